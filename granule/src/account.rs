//! How many granules are in each state, at any moment and without a walk over all of them.
//!
//! Each step between two states moves one granule from one counter to the other, so the counters
//! always add up to the tracked memory, as soon as no command is half way.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::state::GranuleState;

/// The counters, in the order of [`GranuleState::ALL`].
#[derive(Debug)]
pub struct Account {
    tracked: u64,
    counters: [AtomicU64; GranuleState::ALL.len()],
}

impl Account {
    /// All of `tracked` granules UNDELEGATED.
    pub fn new(tracked: u64) -> Self {
        let account =
            Self { tracked, counters: [const { AtomicU64::new(0) }; GranuleState::ALL.len()] };
        account.counter(GranuleState::Undelegated).store(tracked, Ordering::Relaxed);
        account
    }

    #[inline(always)]
    fn counter(&self, state: GranuleState) -> &AtomicU64 {
        match self.counters.get(state as usize) {
            Some(counter) => counter,
            None => unreachable!("a counter per state"),
        }
    }

    /// One granule goes from a state to another.
    #[inline(always)]
    pub(crate) fn moved(&self, from: GranuleState, to: GranuleState) {
        self.moved_run(from, to, 1);
    }

    /// So many granules go from a state to another.
    #[inline(always)]
    pub(crate) fn moved_run(&self, from: GranuleState, to: GranuleState, count: u64) {
        self.counter(from).fetch_sub(count, Ordering::Relaxed);
        self.counter(to).fetch_add(count, Ordering::Relaxed);
    }

    /// How many granules are not the Host's.
    pub fn held(&self) -> u64 {
        self.tracked - self.counter(GranuleState::Undelegated).load(Ordering::SeqCst)
    }

    /// How many granules are in each state, in the order of [`GranuleState::ALL`].
    pub fn granules(&self) -> [u64; GranuleState::ALL.len()] {
        self.counters.each_ref().map(|counter| counter.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_always_the_tracked_memory() {
        let account = Account::new(10);
        account.moved(GranuleState::Undelegated, GranuleState::Delegated);
        account.moved(GranuleState::Undelegated, GranuleState::Delegated);
        account.moved(GranuleState::Delegated, GranuleState::Data);
        assert_eq!(account.granules(), [8, 1, 0, 0, 0, 1, 0, 0]);
        assert_eq!(account.held(), 2);
        assert_eq!(account.granules().iter().sum::<u64>(), 10);
    }
}
