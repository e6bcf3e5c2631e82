//! What the tests of the copy said, and whether the right ones have noticed a fault.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::table::{By, Fault};

/// The test that sends random sequences.
const SEQUENCES: &str = "monitor_and_specification_agree";

/// Scenarios that are named if more of them fail.
const NAMED_MAX: usize = 4;

/// The result of each test of one run.
#[derive(Debug)]
pub(super) struct Heard {
    passed: BTreeMap<String, bool>,
    /// All that the tests said.
    pub log: PathBuf,
}

impl Heard {
    /// Reads what Rust's test harness prints: a line for each test.
    pub(super) fn new(text: &str, log: PathBuf) -> Self {
        let results = text.lines().filter_map(|line| {
            let (name, result) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
            match result.trim() {
                "ok" => Some((name.trim().to_owned(), true)),
                "FAILED" => Some((name.trim().to_owned(), false)),
                _ => None,
            }
        });
        Self { passed: results.collect(), log }
    }

    /// How many scenarios ended.
    pub(super) fn count(&self) -> usize {
        self.passed.keys().filter(|name| *name != SEQUENCES).count()
    }

    /// Every test that failed.
    pub(super) fn failed(&self) -> impl Iterator<Item = &str> {
        self.passed.iter().filter(|(_, passed)| !**passed).map(|(name, _)| name.as_str())
    }

    /// Scenarios that failed.
    fn blames(&self) -> impl Iterator<Item = &str> {
        self.failed().filter(|name| *name != SEQUENCES)
    }

    /// Whether random sequences found something; `None` if none were sent to their end.
    fn is_found_by_sequences(&self) -> Option<bool> {
        self.passed.get(SEQUENCES).map(|passed| !passed)
    }
}

/// Who noticed a fault.
#[derive(Debug)]
pub(super) struct Judged {
    /// Scenarios that failed.
    blames: Vec<String>,
    /// Those that should have, and did not.
    silent: Vec<&'static str>,
    /// Scenarios that did not end.
    lost: usize,
    /// Whether random sequences found it; `None` if they do not have to.
    sequences: Option<bool>,
    log: PathBuf,
}

impl Judged {
    /// Compares what was heard with what the fault says, of a run that has `all` scenarios.
    pub(super) fn new(fault: &Fault, heard: &Heard, all: usize) -> Self {
        let is_silent = |name: &&&str| !heard.blames().any(|blame| blame == **name);
        let sequences = match fault.by {
            By::Both => Some(heard.is_found_by_sequences() == Some(true)),
            By::Scenarios(_) => None,
        };
        Self {
            blames: heard.blames().map(str::to_owned).collect(),
            silent: fault.blamed_by.iter().filter(is_silent).copied().collect(),
            lost: all.saturating_sub(heard.count()),
            sequences,
            log: heard.log.clone(),
        }
    }

    /// Whether all that have to notice the fault did.
    pub(super) fn is_caught(&self) -> bool {
        self.silent.is_empty() && self.lost == 0 && self.sequences != Some(false)
    }
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.blames.len();
        if self.is_caught() {
            write!(f, "blamed by {count} scenarios")?;
        } else {
            write!(f, "NOT CAUGHT: {count} scenarios fail")?;
            if !self.silent.is_empty() {
                write!(f, ", but not {:?}", self.silent)?;
            }
            if self.lost != 0 {
                write!(f, ", {} did not end", self.lost)?;
            }
            let named = self.blames.get(..NAMED_MAX).unwrap_or(&self.blames);
            write!(f, "; for example {named:?}; see {}", self.log.display())?;
        }
        match self.sequences {
            Some(true) => f.write_str(", and found by random sequences"),
            Some(false) => f.write_str("; random sequences do not find it"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::FAULTS;
    use super::*;

    const LOG: &str = "   Compiling rmi v0.1.0\nrunning 3 tests\n\
        test v2/a/one               ... ok\ntest v2/a/two               ... FAILED\n\
        test v2/a/slow              ... ignored\n\nfailures:\n---- v2/a/two ----\nresult is 1 ... FAILED\n\
        test monitor_and_specification_agree ... FAILED\n";

    fn judged(blamed_by: &'static [&'static str], by: By, all: usize) -> Judged {
        let fault = Fault { blamed_by, by, ..*FAULTS.first().unwrap() };
        Judged::new(&fault, &Heard::new(LOG, PathBuf::new()), all)
    }

    #[test]
    fn the_harness_is_understood() {
        let heard = Heard::new(LOG, PathBuf::new());
        assert_eq!(heard.count(), 2);
        assert_eq!(heard.failed().collect::<Vec<_>>(), [SEQUENCES, "v2/a/two"]);
        assert_eq!(heard.is_found_by_sequences(), Some(true));
        assert_eq!(Heard::new("", PathBuf::new()).is_found_by_sequences(), None);
    }

    #[test]
    fn a_fault_is_caught_if_everybody_who_has_to_notice_it_does() {
        assert!(judged(&["v2/a/two"], By::Both, 2).is_caught());
        assert!(!judged(&["v2/a/two", "v2/a/one"], By::Both, 2).is_caught());
        assert!(!judged(&["v2/a"], By::Both, 2).is_caught(), "a name is a whole one");
        assert!(!judged(&["v2/a/two"], By::Both, 3).is_caught(), "a scenario did not end");
        let fault = Fault { blamed_by: &[], ..*FAULTS.first().unwrap() };
        let silent = Heard::new("test monitor_and_specification_agree ... ok", PathBuf::new());
        assert!(!Judged::new(&Fault { by: By::Both, ..fault }, &silent, 0).is_caught());
        assert!(Judged::new(&Fault { by: By::Scenarios("x"), ..fault }, &silent, 0).is_caught());
    }
}
