//! Slots: the keyholes through which a CPU touches granules.
//!
//! A slot is one page of the CPU's private address space. Mapping writes its level 3 entry; nobody
//! else uses that entry, so unmapping invalidates this CPU's TLB only. The window is a row of such
//! pages, for granules that are wiped together: one barrier and one invalidation for all.
//!
//! Source: Arm ARM (DDI0487), "TLB maintenance": invalid to valid needs DSB and ISB; valid to
//! invalid needs DSB, TLBI, DSB.

use core::arch::asm;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

use aarch64_cpu::asm::barrier::{self, NSH, NSHST, SY};
use machine::GranuleAddr;
use machine::addr::PAGE_WORDS;

use crate::area;
use crate::layout;
use crate::mmu::descriptor::{self, Access};

/// Entries of the level 3 table.
const ENTRIES: usize = PAGE_WORDS;

/// One slot with a granule in it; unmapped on drop.
#[derive(Debug)]
pub(crate) struct Mapping {
    slot: usize,
    address: usize,
}

impl Mapping {
    /// Maps a granule.
    ///
    /// # Panics
    ///
    /// If the slot is in use: a bug of the monitor.
    #[inline(always)]
    pub(crate) fn new(slot: usize, granule: GranuleAddr, access: Access) -> Self {
        let entry = entry(slot);
        assert!(entry.load(Ordering::Relaxed) == 0, "slot in use");
        entry.store(descriptor::page(granule.as_u64(), access), Ordering::Relaxed);
        barrier::dsb(NSHST);
        barrier::isb(SY);
        Self { slot, address: area::opaque(slot_address(slot)) }
    }

    /// Where the granule is now.
    #[inline(always)]
    pub(crate) fn address(&self) -> usize {
        self.address
    }
}

impl Drop for Mapping {
    #[inline(always)]
    fn drop(&mut self) {
        entry(self.slot).store(0, Ordering::Relaxed);
        barrier::dsb(NSHST);
        // Bits 43:0 are the page, 47:44 a level hint that stays unused, 63:48 the ASID, 0 as in
        // TTBR0_EL2.
        let page = (slot_address(self.slot) as u64) << 8 >> 20;
        // SAFETY: forgets a cached translation, which the table no longer has; no reference into
        // the slot lives, since all borrow from `self`.
        unsafe {
            asm!("tlbi vae2, {}", in(reg) page, options(nostack));
        }
        barrier::dsb(NSH);
    }
}

/// Granules that follow each other, in the window; unmapped on drop.
#[derive(Debug)]
pub(crate) struct Window {
    pages: usize,
    /// Whether the CPU has FEAT_TLBIRANGE.
    has_ranges: bool,
}

impl Window {
    /// Maps `pages` granules from `first` on, to be written.
    ///
    /// # Panics
    ///
    /// If the window is in use or too small: a bug of the monitor.
    pub(crate) fn new(first: GranuleAddr, pages: usize, has_ranges: bool) -> Self {
        assert!(pages <= layout::WINDOW_PAGES, "size of the window");
        let mut descriptor = descriptor::page(first.as_u64(), Access::ReadWrite);
        for page in 0..pages {
            let entry = page_entry(layout::WINDOW_PAGE + page);
            assert!(entry.load(Ordering::Relaxed) == 0, "window in use");
            entry.store(descriptor, Ordering::Relaxed);
            // The address stands in its own place in a descriptor.
            descriptor += layout::PAGE;
        }
        barrier::dsb(NSHST);
        barrier::isb(SY);
        Self { pages, has_ranges }
    }

    /// Where the first granule is now.
    pub(crate) fn address(&self) -> usize {
        area::opaque(layout::page_address(layout::WINDOW_PAGE))
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        /// TG: 4 KiB; SCALE: 0; NUM: 31, so (31 + 1) * 2 pages.
        const ALL_PAGES: u64 = 0b01 << 46 | 31 << 39;
        const _: () = assert!(layout::WINDOW_PAGES == 64);
        for page in 0..self.pages {
            page_entry(layout::WINDOW_PAGE + page).store(0, Ordering::Relaxed);
        }
        barrier::dsb(NSHST);
        let address = layout::page_address(layout::WINDOW_PAGE) as u64;
        if self.has_ranges {
            // Bits 36:0 are bits 48:12 of the address; ASID 0.
            let operand = ALL_PAGES | address << 15 >> 27;
            // TLBI RVAE2, written as SYS since it is named from Armv8.4 on. SAFETY: forgets cached
            // translations, which the table no longer has; no reference into the window lives,
            // since none is ever made.
            unsafe {
                asm!("sys #4, c8, c6, #1, {}", in(reg) operand, options(nostack));
            }
        } else {
            for page in 0..self.pages as u64 {
                let operand = (address + page * layout::PAGE) << 8 >> 20;
                // SAFETY: the same.
                unsafe {
                    asm!("tlbi vae2, {}", in(reg) operand, options(nostack));
                }
            }
        }
        barrier::dsb(NSH);
    }
}

/// Virtual address of a slot.
#[inline(always)]
const fn slot_address(slot: usize) -> usize {
    layout::page_address(layout::SLOT_PAGE + slot)
}

/// The level 3 entry of a slot of this CPU.
#[inline(always)]
fn entry<'a>(slot: usize) -> &'a AtomicU64 {
    assert!(slot < layout::SLOTS, "slot number");
    page_entry(layout::SLOT_PAGE + slot)
}

/// The level 3 entry of a page of the high half.
#[inline(always)]
fn page_entry<'a>(page: usize) -> &'a AtomicU64 {
    assert!(page < ENTRIES, "page number");
    let entry = layout::TABLE + page * size_of::<u64>();
    let entry: *const AtomicU64 = ptr::with_exposed_provenance(entry);
    // SAFETY: the CPU's own level 3 table is mapped at TABLE from boot on, and `page` is inside it.
    // Hardware reads it at any time, hence the atomic.
    unsafe { &*entry }
}
