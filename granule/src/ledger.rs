//! The leak ledger: granules that could not be given back, and why.
//!
//! A granule whose undelegation EL3 refused stays DELEGATED and wiped: it costs memory, never a
//! secret. The ledger remembers it until a later try works. It has a fixed capacity; what does not
//! fit is counted.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use machine::GranuleAddr;
use machine::log::{Leak, RealmNumber};
use machine::root::El3Error;
use spin::Mutex;

use crate::history::History;

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
    const fn name(self) -> &'static str {
        match self {
            Self::GptToNonSecure => "gpt_to_non_secure",
        }
    }
}

/// A failed try to give a granule back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The granule.
    pub granule: GranuleAddr,
    /// What it was before it became DELEGATED, which it still is.
    pub history: History,
    /// The step that failed.
    pub step: Step,
    /// EL3's code.
    pub el3: El3Error,
}

#[derive(Debug)]
struct Inner {
    entries: heapless::Vec<Leak, CAPACITY>,
    next_sequence: u64,
    overflowed: u64,
}

/// The ledger. Locked only when something fails, by undelegation while it is not empty, and when a
/// Realm comes or goes.
#[derive(Debug)]
pub struct Ledger {
    inner: Mutex<Inner>,
    /// Number of entries, so that the way without failures reads one word and takes no lock.
    entries: AtomicUsize,
    /// Number of the latest Realm.
    latest: AtomicU64,
}

impl Ledger {
    /// An empty ledger.
    pub const fn new() -> Self {
        let inner = Inner { entries: heapless::Vec::new(), next_sequence: 0, overflowed: 0 };
        Self { inner: Mutex::new(inner), entries: AtomicUsize::new(0), latest: AtomicU64::new(0) }
    }

    /// The number of a new Realm.
    pub fn number_realm(&self) -> RealmNumber {
        RealmNumber(self.latest.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Enters a failure, or counts one more try of a granule that is already there. The entry, and
    /// whether there was room to keep it.
    pub fn enter(&self, failure: Failure) -> (Leak, bool) {
        let Failure { granule, history, step, el3 } = failure;
        let mut inner = self.inner.lock();
        if let Some(entry) = inner.entries.iter_mut().find(|entry| entry.granule == granule) {
            entry.tries = entry.tries.saturating_add(1);
            entry.el3 = el3;
            return (*entry, true);
        }
        let sequence = inner.next_sequence;
        inner.next_sequence += 1;
        let latest = RealmNumber(self.latest.load(Ordering::Relaxed));
        let (role, realm) = (history.role().name(), history.realm(latest));
        let step = step.name();
        let entry = Leak { granule, role, realm, step, el3, tries: 1, sequence };
        let kept = inner.entries.push(entry).is_ok();
        if !kept {
            inner.overflowed += 1;
        }
        self.entries.store(inner.entries.len(), Ordering::Relaxed);
        (entry, kept)
    }

    /// How many granules of a Realm are in it.
    pub fn count_of(&self, realm: RealmNumber) -> u64 {
        if !self.has_entries() {
            return 0;
        }
        let inner = self.inner.lock();
        inner.entries.iter().filter(|entry| entry.realm == Some(realm)).count() as u64
    }

    /// Removes a granule that has been given back after all.
    pub fn settle(&self, granule: GranuleAddr) -> Option<Leak> {
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
    use crate::state::GranuleState;

    fn failure(index: u64, history: History, code: i64) -> Failure {
        let granule = GranuleAddr::new(index * 4096).unwrap();
        Failure { granule, history, step: Step::GptToNonSecure, el3: El3Error(code) }
    }

    #[test]
    fn a_second_failure_of_the_same_granule_is_one_entry_with_two_tries() {
        let ledger = Ledger::new();
        ledger.enter(failure(1, History::FRESH, -3));
        let (entry, kept) = ledger.enter(failure(1, History::FRESH, -6));
        assert_eq!((entry.tries, entry.el3, entry.sequence, kept), (2, El3Error(-6), 0, true));
        assert_eq!(ledger.len(), (1, 0));
    }

    #[test]
    fn settling_removes_the_entry() {
        let ledger = Ledger::default();
        let (entry, _) = ledger.enter(failure(1, History::FRESH, -3));
        assert_eq!(entry.step, "gpt_to_non_secure");
        assert!(ledger.settle(GranuleAddr::new(0x2000).unwrap()).is_none());
        assert!(ledger.settle(GranuleAddr::new(0x1000).unwrap()).is_some());
        assert!(ledger.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let ledger = Ledger::new();
        for index in 0..=CAPACITY as u64 {
            let (_, kept) = ledger.enter(failure(index, History::FRESH, -1));
            assert_eq!(kept, index < CAPACITY as u64);
        }
        assert_eq!(ledger.len(), (CAPACITY, 1));
    }

    #[test]
    fn an_entry_knows_the_role_and_the_realm() {
        let ledger = Ledger::new();
        let (first, second) = (ledger.number_realm(), ledger.number_realm());
        let (entry, _) = ledger.enter(failure(1, History::new(GranuleState::Data, first), -1));
        assert_eq!((entry.role, entry.realm), (GranuleState::Data.name(), Some(first)));
        ledger.enter(failure(2, History::new(GranuleState::Rtt, second), -1));
        ledger.enter(failure(3, History::FRESH, -1));
        let counts = [first, second, RealmNumber(9)].map(|realm| ledger.count_of(realm));
        assert_eq!(counts, [1, 1, 0]);
    }
}
