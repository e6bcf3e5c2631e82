//! Slots: the keyholes through which a CPU touches granules.
//!
//! A slot is one page of the CPU's private address space. Mapping writes its level 3 entry; nobody else uses
//! that entry, so unmapping invalidates this CPU's TLB only.
//!
//! Source: Arm ARM (DDI0487), "TLB maintenance": invalid to valid needs DSB and ISB; valid to invalid needs DSB, TLBI,
//! DSB.

use core::arch::asm;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

use aarch64_cpu::asm::barrier::{self, NSH, NSHST, SY};
use machine::GranuleAddr;

use crate::area;
use crate::layout;
use crate::mmu::descriptor::{self, Access};

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
        // Bits 43:0 are the page, 47:44 a level hint that stays unused, 63:48 the ASID, 0 as in TTBR0_EL2.
        let page = (slot_address(self.slot) as u64) << 8 >> 20;
        // SAFETY: forgets a cached translation, which the table no longer has; no reference into the slot lives,
        // since all borrow from `self`.
        unsafe {
            asm!("tlbi vae2, {}", in(reg) page, options(nostack));
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
    let entry = layout::TABLE + (layout::SLOT_PAGE + slot) * size_of::<u64>();
    let entry: *const AtomicU64 = ptr::with_exposed_provenance(entry);
    // SAFETY: the CPU's own level 3 table is mapped at TABLE from boot on, and 500 + slot is inside it. Hardware
    // reads it at any time, hence the atomic.
    unsafe { &*entry }
}
