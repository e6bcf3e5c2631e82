//! Physical memory of the host: which 4 KiB pages are free, in use, delegated or lost.
//!
//! The pool never touches memory; it only remembers. A page that the monitor refuses to give back
//! is *leaked*, as Linux does it: it stays out of use for ever and is entered in the ledger.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

/// Size of a page and of a granule in bytes.
pub const PAGE_SIZE: u64 = 0x1000;

/// What a page is used for, as the ledger and the log name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Realm descriptor.
    Rd,
    /// Start-level translation table.
    RootRtt,
    /// Translation table.
    Rtt,
    /// Realm execution context.
    Rec,
    /// Auxiliary granule of a REC.
    RecAux,
    /// Memory of a guest.
    Data,
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rd => "Realm descriptor",
            Self::RootRtt => "start-level table",
            Self::Rtt => "translation table",
            Self::Rec => "REC",
            Self::RecAux => "auxiliary granule",
            Self::Data => "guest page",
        })
    }
}

/// An entry of the ledger: a page that was not given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leak {
    /// Physical address.
    pub pa: u64,
    /// What it was.
    pub purpose: Purpose,
}

/// State of one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    Free,
    Host,
    Delegated,
    Leaked,
}

/// A run of pages that the pool manages.
struct Block {
    base: u64,
    pages: Vec<Page>,
    /// No page before this index is free.
    hint: usize,
}

impl Block {
    fn pa(&self, index: usize) -> u64 {
        self.base + index as u64 * PAGE_SIZE
    }

    fn page_mut(&mut self, pa: u64) -> Option<&mut Page> {
        let offset = pa.checked_sub(self.base)?;
        self.pages.get_mut(usize::try_from(offset / PAGE_SIZE).ok()?)
    }

    /// First index of `count` free pages whose address is a multiple of `align` bytes.
    fn find(&self, count: usize, align: u64) -> Option<usize> {
        let mut run = 0;
        for (index, page) in self.pages.iter().enumerate().skip(self.hint) {
            let usable = *page == Page::Free && (run != 0 || self.pa(index).is_multiple_of(align));
            run = if usable { run + 1 } else { 0 };
            if run == count {
                return Some(index + 1 - count);
            }
        }
        None
    }
}

/// Numbers for the accounting at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Granules that the monitor took.
    pub delegated: u64,
    /// Granules that the monitor gave back.
    pub returned: u64,
}

/// The pages of one machine.
pub struct Pool {
    blocks: Vec<Block>,
    counts: Counts,
    leaks: Vec<Leak>,
}

impl Pool {
    /// Manages these ranges of physical addresses; partial pages at their ends are left out.
    #[must_use]
    pub fn new(ranges: &[Range<u64>]) -> Self {
        let blocks = ranges
            .iter()
            .filter_map(|range| {
                let base = range.start.checked_next_multiple_of(PAGE_SIZE)?;
                let count = range.end.checked_sub(base)? / PAGE_SIZE;
                let pages = vec![Page::Free; usize::try_from(count).ok()?];
                Some(Block { base, pages, hint: 0 })
            })
            .collect();
        Self { blocks, counts: Counts::default(), leaks: Vec::new() }
    }

    /// The ranges of physical addresses that it manages.
    #[must_use]
    pub fn ranges(&self) -> Vec<Range<u64>> {
        let end = |block: &Block| block.pa(block.pages.len());
        self.blocks.iter().map(|block| block.base..end(block)).collect()
    }

    /// Takes `count` contiguous pages that begin at a multiple of `align` bytes.
    pub fn take(&mut self, count: usize, align: u64) -> Option<u64> {
        for block in &mut self.blocks {
            let Some(first) = block.find(count, align) else { continue };
            for page in block.pages.iter_mut().skip(first).take(count) {
                *page = Page::Host;
            }
            if count == 1 || first == block.hint {
                block.hint = first + count;
            }
            return Some(block.pa(first));
        }
        None
    }

    /// Puts a page of the host back; `false` if it was not the host's.
    pub fn put(&mut self, pa: u64) -> bool {
        for block in &mut self.blocks {
            if let Some(page) = block.page_mut(pa)
                && *page == Page::Host
            {
                *page = Page::Free;
                let index = usize::try_from((pa - block.base) / PAGE_SIZE).unwrap_or(0);
                block.hint = block.hint.min(index);
                return true;
            }
        }
        false
    }

    /// Notes that the monitor took a page of the host.
    pub fn delegated(&mut self, pa: u64) {
        self.change(pa, Page::Delegated);
        self.counts.delegated += 1;
    }

    /// Notes that the monitor gave a page back.
    pub fn returned(&mut self, pa: u64) {
        self.change(pa, Page::Host);
        self.counts.returned += 1;
    }

    /// Notes that the monitor refused to give a page back: nobody will use it again.
    pub fn leaked(&mut self, pa: u64, purpose: Purpose) {
        self.change(pa, Page::Leaked);
        self.leaks.push(Leak { pa, purpose });
    }

    /// Notes that a page that was leaked came back after all.
    pub fn recovered(&mut self, leak: Leak) {
        self.leaks.retain(|other| *other != leak);
        self.returned(leak.pa);
        self.put(leak.pa);
    }

    /// What has been delegated and returned.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The ledger.
    #[must_use]
    pub fn leaks(&self) -> &[Leak] {
        &self.leaks
    }

    /// Pages that are neither in use nor lost.
    #[must_use]
    pub fn free_pages(&self) -> usize {
        let pages = self.blocks.iter().flat_map(|block| &block.pages);
        pages.filter(|page| **page == Page::Free).count()
    }

    /// Whether the page is in the monitor's hands.
    #[must_use]
    pub fn is_delegated(&mut self, pa: u64) -> bool {
        self.blocks.iter_mut().any(|block| block.page_mut(pa) == Some(&mut Page::Delegated))
    }

    fn change(&mut self, pa: u64, state: Page) {
        if let Some(page) = self.blocks.iter_mut().find_map(|block| block.page_mut(pa)) {
            *page = state;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> Pool {
        Pool::new(&[0x1000_1000..0x1001_0000, 0x2000_0000..0x2000_4000])
    }

    #[test]
    fn pages_come_in_order_and_come_back() {
        let mut pool = pool();
        assert_eq!(pool.take(1, PAGE_SIZE), Some(0x1000_1000));
        assert_eq!(pool.take(1, PAGE_SIZE), Some(0x1000_2000));
        assert!(pool.put(0x1000_1000));
        assert!(!pool.put(0x1000_1000));
        assert_eq!(pool.take(1, PAGE_SIZE), Some(0x1000_1000));
    }

    #[test]
    fn an_aligned_run_is_aligned_and_contiguous() {
        let mut pool = pool();
        assert_eq!(pool.take(4, 0x8000), Some(0x1000_8000));
        assert_eq!(pool.take(8, 0x8000), None);
        assert_eq!(pool.take(7, PAGE_SIZE), Some(0x1000_1000));
    }

    #[test]
    fn every_page_is_found_before_the_pool_is_empty() {
        let mut pool = pool();
        let all = pool.free_pages();
        assert_eq!((0..).take_while(|_| pool.take(1, PAGE_SIZE).is_some()).count(), all);
        assert_eq!((all, pool.free_pages()), (15 + 4, 0));
    }

    #[test]
    fn a_refused_page_is_in_the_ledger_and_never_handed_out_again() {
        let mut pool = pool();
        let pa = pool.take(1, PAGE_SIZE).unwrap();
        pool.delegated(pa);
        assert!(pool.is_delegated(pa));
        pool.leaked(pa, Purpose::Data);
        assert!(!pool.put(pa));
        assert_ne!(pool.take(1, PAGE_SIZE), Some(pa));
        assert_eq!(pool.leaks(), [Leak { pa, purpose: Purpose::Data }]);
        assert_eq!(pool.counts(), Counts { delegated: 1, returned: 0 });
    }
}
