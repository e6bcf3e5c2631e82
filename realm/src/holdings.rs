//! How many granules a Realm holds, by role, and how many it held at most.

use machine::log::RealmGranules;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The granules of one Realm, in its RD.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Holdings {
    now: RealmGranules,
    most: RealmGranules,
}

/// Adds to a counter and to its high-water mark.
#[inline(always)]
fn add(now: &mut u64, most: &mut u64, count: u64) {
    *now = now.wrapping_add(count);
    *most = (*most).max(*now);
}

impl Holdings {
    /// More DATA granules.
    #[inline]
    pub fn add_data(&mut self, count: u64) {
        add(&mut self.now.data, &mut self.most.data, count);
    }

    /// Fewer DATA granules.
    #[inline]
    pub fn remove_data(&mut self, count: u64) {
        self.now.data = self.now.data.wrapping_sub(count);
    }

    /// More tables.
    #[inline]
    pub fn add_tables(&mut self, count: u64) {
        add(&mut self.now.rtt, &mut self.most.rtt, count);
    }

    /// One table less.
    #[inline]
    pub fn remove_table(&mut self) {
        self.now.rtt = self.now.rtt.wrapping_sub(1);
    }

    /// A REC more, with its auxiliary granules.
    pub fn add_rec(&mut self, aux: u64) {
        add(&mut self.now.rec, &mut self.most.rec, 1 + aux);
    }

    /// A REC less.
    pub fn remove_rec(&mut self, aux: u64) {
        self.now.rec = self.now.rec.wrapping_sub(1 + aux);
    }

    /// What the Realm holds.
    pub fn now(&self) -> RealmGranules {
        self.now
    }

    /// What the Realm held at most at one time, each role by itself.
    pub fn most(&self) -> RealmGranules {
        self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_stays_when_granules_go() {
        let mut holdings = Holdings::default();
        holdings.add_tables(2);
        holdings.add_data(1);
        holdings.add_data(1);
        holdings.remove_data(1);
        holdings.add_data(1);
        holdings.add_rec(1);
        holdings.remove_rec(1);
        holdings.remove_table();
        assert_eq!(holdings.now(), RealmGranules { data: 2, rtt: 1, rec: 0 });
        assert_eq!(holdings.most(), RealmGranules { data: 2, rtt: 2, rec: 2 });
    }
}
