//! The leak ledger: granules that could not be given back, and why.
//!
//! A granule whose undelegation EL3 refused stays DELEGATED and wiped: it costs memory, never a secret.
//! The ledger remembers it until a later try works. It has a fixed capacity; what does not fit is counted.

use core::sync::atomic::{AtomicUsize, Ordering};

use spin::Mutex;

use crate::addr::GranuleAddr;
use crate::machine::root::El3Error;
use crate::state::GranuleState;

/// Most granules that the ledger names at the same time.
pub const CAPACITY: usize = 64;

/// The step that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// EL3 refused to move the granule back to the Non-secure physical address space.
    GptToNonSecure,
}

impl Step {
    /// A name for logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GptToNonSecure => "gpt_to_non_secure",
        }
    }
}

/// One granule that could not be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The granule.
    pub granule: GranuleAddr,
    /// What it was before the failing step, and still is.
    pub state: GranuleState,
    /// The step that failed.
    pub step: Step,
    /// EL3's code.
    pub el3: El3Error,
    /// How many tries have failed.
    pub tries: u32,
    /// Number of the first failure among all that were ever entered.
    pub sequence: u64,
}

#[derive(Debug)]
struct Inner {
    entries: heapless::Vec<Entry, CAPACITY>,
    next_sequence: u64,
    overflowed: u64,
}

/// The ledger. Locked only when something fails, and by undelegation while it is not empty.
#[derive(Debug)]
pub struct Ledger {
    inner: Mutex<Inner>,
    /// Number of entries, so that the way without failures reads one word and takes no lock.
    entries: AtomicUsize,
}

impl Ledger {
    /// An empty ledger.
    pub const fn new() -> Self {
        let inner = Inner { entries: heapless::Vec::new(), next_sequence: 0, overflowed: 0 };
        Self { inner: Mutex::new(inner), entries: AtomicUsize::new(0) }
    }

    /// Enters a failure, or counts one more try of a granule that is already there.
    pub fn enter(
        &self,
        granule: GranuleAddr,
        state: GranuleState,
        step: Step,
        el3: El3Error,
    ) -> Entry {
        let mut inner = self.inner.lock();
        if let Some(entry) = inner.entries.iter_mut().find(|entry| entry.granule == granule) {
            entry.tries = entry.tries.saturating_add(1);
            entry.el3 = el3;
            return *entry;
        }
        let sequence = inner.next_sequence;
        inner.next_sequence += 1;
        let entry = Entry { granule, state, step, el3, tries: 1, sequence };
        if inner.entries.push(entry).is_err() {
            inner.overflowed += 1;
        }
        self.entries.store(inner.entries.len(), Ordering::Relaxed);
        entry
    }

    /// Removes a granule that has been given back after all.
    pub fn settle(&self, granule: GranuleAddr) -> Option<Entry> {
        let mut inner = self.inner.lock();
        let index = inner.entries.iter().position(|entry| entry.granule == granule)?;
        let entry = inner.entries.swap_remove(index);
        self.entries.store(inner.entries.len(), Ordering::Relaxed);
        Some(entry)
    }

    /// Whether any granule is named now. One load.
    pub fn has_entries(&self) -> bool {
        self.entries.load(Ordering::Relaxed) != 0
    }

    /// Number of granules named now, and of those that did not fit.
    pub fn len(&self) -> (usize, u64) {
        let inner = self.inner.lock();
        (inner.entries.len(), inner.overflowed)
    }

    /// Whether nothing was ever lost track of and nothing is outstanding.
    pub fn is_empty(&self) -> bool {
        self.len() == (0, 0)
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(index: u64) -> GranuleAddr {
        GranuleAddr::new(index * 4096).unwrap()
    }

    #[test]
    fn a_second_failure_of_the_same_granule_is_one_entry_with_two_tries() {
        let ledger = Ledger::new();
        ledger.enter(at(1), GranuleState::Delegated, Step::GptToNonSecure, El3Error(-3));
        let entry =
            ledger.enter(at(1), GranuleState::Delegated, Step::GptToNonSecure, El3Error(-6));
        assert_eq!((entry.tries, entry.el3, entry.sequence), (2, El3Error(-6), 0));
        assert_eq!(ledger.len(), (1, 0));
    }

    #[test]
    fn settling_removes_the_entry() {
        let ledger = Ledger::new();
        ledger.enter(at(1), GranuleState::Delegated, Step::GptToNonSecure, El3Error(-3));
        assert!(ledger.settle(at(2)).is_none());
        assert!(ledger.settle(at(1)).is_some());
        assert!(ledger.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let ledger = Ledger::new();
        for index in 0..=CAPACITY as u64 {
            ledger.enter(at(index), GranuleState::Delegated, Step::GptToNonSecure, El3Error(-1));
        }
        assert_eq!(ledger.len(), (CAPACITY, 1));
    }
}
