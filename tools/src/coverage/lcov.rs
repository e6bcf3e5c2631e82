//! What LLVM's counters say, in the text format of `lcov`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use anyhow::Context;

/// One way that a condition can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Branch {
    /// Line of the condition, from 1.
    pub line: usize,
    /// Number of the condition in its line.
    pub condition: u32,
    /// Whether this is the way that it goes when it holds.
    pub holds: bool,
}

/// The counters of one source file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// The file.
    pub path: PathBuf,
    /// How often each line with code ran.
    pub lines: BTreeMap<usize, u64>,
    /// How often each condition went each way.
    pub branches: BTreeMap<Branch, u64>,
}

impl Counted {
    /// Drops the lines in `ranges`, and the branches in them.
    pub(super) fn forget(&mut self, ranges: &[RangeInclusive<usize>]) {
        let stays = |line: &usize| !ranges.iter().any(|range| range.contains(line));
        self.lines.retain(|line, _| stays(line));
        self.branches.retain(|branch, _| stays(&branch.line));
    }
}

/// Reads a whole report.
pub(super) fn parse(text: &str) -> anyhow::Result<Vec<Counted>> {
    let mut files: Vec<Counted> = Vec::new();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        if key == "SF" {
            files.push(Counted { path: value.into(), ..Counted::default() });
            continue;
        }
        let Some(file) = files.last_mut() else { continue };
        let context =
            || format!("the counters of {} are not readable: {line}", file.path.display());
        match key {
            "DA" => {
                let (line, count) = line_counter(value).with_context(context)?;
                *file.lines.entry(line).or_default() += count;
            }
            "BRDA" => {
                let (branch, count) = branch_counter(value).with_context(context)?;
                *file.branches.entry(branch).or_default() += count;
            }
            _ => {}
        }
    }
    Ok(files)
}

/// `LINE,COUNT`, and whatever follows.
fn line_counter(text: &str) -> Option<(usize, u64)> {
    let mut parts = text.split(',');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// `LINE,CONDITION,WAY,COUNT`; ways are numbered on within a line, the even ones are taken when the
/// condition holds, and a count of `-` stands for a condition that was never reached.
fn branch_counter(text: &str) -> Option<(Branch, u64)> {
    let mut parts = text.split(',');
    let line = parts.next()?.parse().ok()?;
    let condition = parts.next()?.parse().ok()?;
    let way: u32 = parts.next()?.parse().ok()?;
    let count = match parts.next()? {
        "-" => 0,
        number => number.parse().ok()?,
    };
    Some((Branch { line, condition, holds: way.is_multiple_of(2) }, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "TN:\nSF:/a/one.rs\nFN:1,f\nDA:1,2\nDA:2,0\nBRDA:2,0,0,5\nBRDA:2,0,1,-\nBRDA:9,1,2,3\nend_of_record\n\
                          SF:/a/two.rs\nDA:7,1\nend_of_record\n";

    #[test]
    fn lines_and_branches_are_read() {
        let files = parse(REPORT).unwrap();
        assert_eq!(files.len(), 2);
        assert_eq!(files[0].path, PathBuf::from("/a/one.rs"));
        assert_eq!(files[0].lines, BTreeMap::from([(1, 2), (2, 0)]));
        let branch = |line, condition, holds| Branch { line, condition, holds };
        let expected = [(branch(2, 0, true), 5), (branch(2, 0, false), 0), (branch(9, 1, true), 3)];
        assert_eq!(files[0].branches, BTreeMap::from(expected));
        assert_eq!(files[1].lines, BTreeMap::from([(7, 1)]));
    }

    #[test]
    fn test_code_is_forgotten() {
        let mut files = parse(REPORT).unwrap();
        files[0].forget(&[2..=5]);
        assert_eq!(files[0].lines, BTreeMap::from([(1, 2)]));
        assert_eq!(files[0].branches.len(), 1);
    }

    #[test]
    fn nonsense_is_reported() {
        assert!(parse("SF:/x\nDA:one,2\n").is_err());
        assert!(parse("SF:/x\nBRDA:1,0,0\n").is_err());
    }
}
