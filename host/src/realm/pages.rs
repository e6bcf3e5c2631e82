//! Which pages of guest RAM the Realm may use, and which of those it has.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use crate::granules::PAGE_SIZE;
use crate::ipa::{entry_base, entry_size};

/// Pages that are given around one on which the guest faulted.
///
/// Guests use memory in runs, and an exit costs far more than the commands for one page.
pub(super) const AROUND: u64 = 16;

/// What the host knows of one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    /// Its RIPAS is RAM, but nothing is there.
    Missing,
    /// The monitor has a granule for it, or one is on its way.
    Present,
    /// The Realm gave it up.
    Empty,
}

/// The pages of guest RAM.
pub(super) struct PageMap {
    base: u64,
    pages: Vec<Page>,
}

impl PageMap {
    /// RAM of which nothing is there.
    pub(super) fn new(ram: &Range<u64>) -> Self {
        let count = usize::try_from((ram.end - ram.start) / PAGE_SIZE).unwrap_or(0);
        Self { base: ram.start, pages: vec![Page::Missing; count] }
    }

    /// Claims `page` and missing pages around it: they are present from now on. The first is
    /// `page` itself; nothing is claimed if that is not missing.
    pub(super) fn claim_around(&mut self, page: u64) -> Vec<u64> {
        let mut claimed = Vec::new();
        if self.claim(page) {
            claimed.push(page);
            let first = page - (page - self.base) % (AROUND * PAGE_SIZE);
            let around = (0..AROUND).map(|n| first + n * PAGE_SIZE);
            claimed.extend(around.filter(|page| self.claim(*page)));
        }
        claimed
    }

    /// Claims all pages of the 2 MiB that `page` is in, if all of them are RAM and missing; where
    /// they begin.
    pub(super) fn claim_block(&mut self, page: u64) -> Option<u64> {
        let base = entry_base(page, 2);
        let end = base + entry_size(2);
        let pages = self.range_mut(base, end);
        let is_whole = pages.len() as u64 == entry_size(2) / PAGE_SIZE;
        if !is_whole || pages.iter().any(|page| *page != Page::Missing) {
            return None;
        }
        pages.fill(Page::Present);
        Some(base)
    }

    /// Marks one page as present; `false` if it was not missing.
    pub(super) fn claim(&mut self, page: u64) -> bool {
        let slot = self.range_mut(page, page + PAGE_SIZE).first_mut();
        let missing = slot.filter(|slot| **slot == Page::Missing);
        missing.map(|slot| *slot = Page::Present).is_some()
    }

    /// A claimed page could not be given.
    pub(super) fn unclaim(&mut self, page: u64) {
        self.range_mut(page, page + PAGE_SIZE).fill(Page::Missing);
    }

    /// The Realm gives up `[base, top)`, and the granules there were taken back.
    pub(super) fn emptied(&mut self, base: u64, top: u64) {
        self.range_mut(base, top).fill(Page::Empty);
    }

    /// `[base, top)` is RAM (again).
    pub(super) fn became_ram(&mut self, base: u64, top: u64) {
        for page in self.range_mut(base, top) {
            if *page == Page::Empty {
                *page = Page::Missing;
            }
        }
    }

    fn range_mut(&mut self, base: u64, top: u64) -> &mut [Page] {
        let index = |address: u64| {
            let offset = address.saturating_sub(self.base) / PAGE_SIZE;
            usize::try_from(offset).unwrap_or(usize::MAX).min(self.pages.len())
        };
        let (first, end) = (index(base), index(top));
        self.pages.get_mut(first..end.max(first)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 0x8000_0000;

    #[test]
    fn a_fault_claims_its_page_first_and_then_what_is_missing_around_it() {
        let mut map = PageMap::new(&(BASE..BASE + 64 * PAGE_SIZE));
        assert!(map.claim(BASE + 17 * PAGE_SIZE));
        map.emptied(BASE + 20 * PAGE_SIZE, BASE + 22 * PAGE_SIZE);
        let claimed = map.claim_around(BASE + 18 * PAGE_SIZE);
        assert_eq!(claimed[..3], [18, 16, 19].map(|n| BASE + n * PAGE_SIZE));
        assert_eq!(claimed.len(), 16 - 3);
        assert!(map.claim_around(BASE + 18 * PAGE_SIZE).is_empty());
    }

    #[test]
    fn what_was_given_up_is_missing_once_it_is_ram_again() {
        let mut map = PageMap::new(&(BASE..BASE + 4 * PAGE_SIZE));
        assert!(map.claim(BASE));
        map.became_ram(BASE, BASE + 4 * PAGE_SIZE);
        assert!(!map.claim(BASE), "it stays present");
        map.emptied(BASE, BASE + PAGE_SIZE);
        assert!(!map.claim(BASE));
        map.became_ram(BASE, BASE + PAGE_SIZE);
        assert!(map.claim(BASE));
    }

    #[test]
    fn a_block_is_claimed_whole_or_not_at_all() {
        let block = entry_size(2);
        let mut map = PageMap::new(&(BASE..BASE + 2 * block + PAGE_SIZE));
        assert!(map.claim(BASE + 5 * PAGE_SIZE));
        assert_eq!(map.claim_block(BASE), None);
        assert_eq!(map.claim_block(BASE + block + PAGE_SIZE), Some(BASE + block));
        assert_eq!(map.claim_block(BASE + block), None);
        assert!(!map.claim(BASE + 2 * block - PAGE_SIZE) && map.claim(BASE + PAGE_SIZE));
        assert_eq!(map.claim_block(BASE + 2 * block), None, "RAM ends before the block does");
    }

    #[test]
    fn addresses_outside_ram_are_never_claimed() {
        let mut map = PageMap::new(&(BASE..BASE + 4 * PAGE_SIZE));
        assert_eq!(map.claim_around(BASE + PAGE_SIZE).len(), 4);
        assert!(!map.claim(BASE + 4 * PAGE_SIZE) && !map.claim(u64::MAX - PAGE_SIZE));
        map.emptied(BASE - PAGE_SIZE, BASE);
        map.unclaim(BASE);
        assert!(map.claim(BASE));
    }
}
