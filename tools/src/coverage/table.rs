//! Sums per crate, the bars, and what is missing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::lcov::Counted;

/// Least share of lines and of branches that must run, in percent, in each crate.
const BARS: (u64, u64) = (95, 90);

/// How many there are, and how many ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Share {
    all: u64,
    ran: u64,
}

impl Share {
    fn count(&mut self, ran: bool) {
        self.all += 1;
        self.ran += u64::from(ran);
    }

    fn merge(&mut self, other: Self) {
        self.all += other.all;
        self.ran += other.ran;
    }

    /// Hundredths of a percent, rounded down; nothing at all counts as whole.
    fn hundredths(self) -> u64 {
        (self.ran * 10_000).checked_div(self.all).unwrap_or(10_000)
    }

    fn percent(self) -> String {
        format!("{}.{:02}", self.hundredths() / 100, self.hundredths() % 100)
    }

    fn is_below(self, bar: u64) -> bool {
        self.hundredths() < bar * 100
    }
}

/// What did not run in one file.
#[derive(Debug, Default)]
struct Missing {
    lines: Vec<usize>,
    /// Line, and the way that its condition never went.
    branches: Vec<(usize, bool)>,
}

/// All counters of the crates that are judged.
#[derive(Debug)]
pub(super) struct Summary {
    crates: Vec<(&'static str, Share, Share)>,
    missing: BTreeMap<PathBuf, Missing>,
}

impl Summary {
    /// Nothing counted yet.
    pub(super) fn new(crates: &[&'static str]) -> Self {
        let crates = crates.iter().map(|name| (*name, Share::default(), Share::default()));
        Self { crates: crates.collect(), missing: BTreeMap::new() }
    }

    /// Adds one file, whose path is relative to the checkout; files of other crates do not count.
    pub(super) fn add(&mut self, path: &Path, file: &Counted) {
        let in_crate = |name: &str| path.starts_with(Path::new(name).join("src"));
        let Some((_, lines, branches)) = self.crates.iter_mut().find(|(name, ..)| in_crate(name))
        else {
            return;
        };
        let mut missing = Missing::default();
        for (&line, &count) in &file.lines {
            lines.count(count > 0);
            if count == 0 {
                missing.lines.push(line);
            }
        }
        for (branch, &count) in &file.branches {
            branches.count(count > 0);
            if count == 0 {
                missing.branches.push((branch.line, branch.holds));
            }
        }
        if !missing.lines.is_empty() || !missing.branches.is_empty() {
            self.missing.insert(path.to_path_buf(), missing);
        }
    }

    fn total(&self) -> (Share, Share) {
        let mut total = (Share::default(), Share::default());
        for (_, lines, branches) in &self.crates {
            total.0.merge(*lines);
            total.1.merge(*branches);
        }
        total
    }

    /// A row for each crate, and the total.
    pub(super) fn table(&self, with_branches: bool) -> String {
        let mut text =
            format!("{:<10} {:>14} {:>8}   {:>14} {:>8}\n", "crate", "lines", "%", "branches", "%");
        let (lines, branches) = self.total();
        for (name, lines, branches) in self.crates.iter().chain([&("total", lines, branches)]) {
            let lines_run = format!("{} of {}", lines.ran, lines.all);
            let (branches_run, share) = if with_branches {
                (format!("{} of {}", branches.ran, branches.all), branches.percent())
            } else {
                ("not counted".to_owned(), "-".to_owned())
            };
            let _ = writeln!(
                text,
                "{name:<10} {lines_run:>14} {:>8}   {branches_run:>14} {share:>8}",
                lines.percent()
            );
        }
        let _ = writeln!(text, "{:<10} {:>14} {:>8}   {:>14} {:>8}", "bar", "", BARS.0, "", BARS.1);
        text
    }

    /// What did not run, by file.
    pub(super) fn missing(&self) -> String {
        let mut text = String::new();
        for (path, missing) in &self.missing {
            let _ = writeln!(text, "{}", path.display());
            if !missing.lines.is_empty() {
                let _ = writeln!(text, "    lines that did not run: {}", runs(&missing.lines));
            }
            for (line, holds) in &missing.branches {
                let way = if *holds { "held" } else { "failed to hold" };
                let _ = writeln!(text, "    a condition in line {line} never {way}");
            }
        }
        text
    }

    /// The crates that are below a bar, as sentences.
    pub(super) fn below(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (name, lines, branches) in &self.crates {
            for (what, share, bar) in [("lines", lines, BARS.0), ("branches", branches, BARS.1)] {
                if share.is_below(bar) {
                    found.push(format!(
                        "{name}: {} % of {what}, less than {bar} %",
                        share.percent()
                    ));
                }
            }
            if lines.all == 0 {
                found.push(format!("{name}: nothing was counted"));
            }
        }
        found
    }
}

/// Ascending numbers as `1-3, 7`.
fn runs(numbers: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let text =
        runs.iter().map(
            |(first, last)| {
                if first == last { first.to_string() } else { format!("{first}-{last}") }
            },
        );
    text.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::lcov;
    use super::*;

    fn summary(lines_run: usize, branches_run: usize) -> Summary {
        let mut text = "SF:/r/one/src/a.rs\n".to_owned();
        for line in 0..100 {
            let _ = writeln!(text, "DA:{line},{}", u8::from(line < lines_run));
            let _ = writeln!(text, "BRDA:{line},0,0,{}", u8::from(line < branches_run));
        }
        let mut summary = Summary::new(&["one"]);
        for file in lcov::parse(&text).unwrap() {
            summary.add(file.path.strip_prefix("/r").unwrap(), &file);
        }
        summary
    }

    #[test]
    fn bars_are_for_lines_and_for_branches() {
        assert!(summary(95, 90).below().is_empty());
        assert_eq!(summary(94, 90).below(), ["one: 94.00 % of lines, less than 95 %"]);
        assert_eq!(summary(95, 89).below(), ["one: 89.00 % of branches, less than 90 %"]);
    }

    #[test]
    fn a_crate_without_counters_is_below() {
        assert_eq!(Summary::new(&["one"]).below(), ["one: nothing was counted"]);
    }

    #[test]
    fn files_outside_the_crates_do_not_count() {
        let mut summary = summary(100, 100);
        let other = Counted { lines: BTreeMap::from([(1, 0)]), ..Counted::default() };
        summary.add(Path::new("two/src/a.rs"), &other);
        summary.add(Path::new("one/arch/src/a.rs"), &other);
        assert!(summary.missing().is_empty());
    }

    #[test]
    fn what_is_missing_is_listed_in_runs() {
        assert_eq!(runs(&[1, 2, 3, 7, 9, 10]), "1-3, 7, 9-10");
        let text = summary(97, 99).missing();
        assert!(text.contains("lines that did not run: 97-99"), "{text}");
        assert!(text.contains("a condition in line 99 never held"), "{text}");
    }

    #[test]
    fn shares_round_down() {
        assert_eq!(Share { all: 3, ran: 2 }.percent(), "66.66");
        assert!(Share { all: 100_000, ran: 94_999 }.is_below(95));
    }
}
