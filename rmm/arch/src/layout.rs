//! Where things are in the monitor's address space.
//!
//! | Half | Table | Holds |
//! | --- | --- | --- |
//! | low, 48 bits | `TTBR0_EL2`, the same on every CPU | identity map: image, granule words, shared buffer, console |
//! | high, 25 bits | `TTBR1_EL2`, one per CPU | slots, stacks, the CPU's own page |
//!
//! What is private to a CPU has the same virtual address on every CPU, in the last 2 MiB of the
//! address space. So the address of the CPU's own page is a constant, one instruction, and needs no
//! register; `TPIDR_EL2` is free to be the scratch register of the exception vectors.
//!
//! | Page (of 512) | Holds |
//! | --- | --- |
//! | 511, 499, 482, 479, 464 to 475, all below 400 | nothing: a guard |
//! | 510 | the level 3 table of this very range, where slots are mapped |
//! | 509 | `CpuArea` of module `area` |
//! | 500 to 508 | slots: the roles of [`Slot`], then the one for Host memory |
//! | 483 to 498 | stack |
//! | 480 to 481 | stack of fatal exceptions |
//! | 476 to 478 | SIMD registers of the Host while they are lent |
//! | 400 to 463 | the window: granules that are wiped together |

use core::ops::Range;

use machine::Slot;

/// Size of a page of the monitor's own address space.
pub const PAGE: u64 = machine::PAGE_SIZE;
/// The same, for lengths.
pub const PAGE_BYTES: usize = machine::addr::PAGE_BYTES;
/// Width of the low half, in bits.
pub const LOW_BITS: u64 = 48;
/// Width of the high half, in bits: 16 level 2 entries, the last of which is used.
pub const HIGH_BITS: u64 = 25;

/// Page index of the level 3 table that maps itself.
pub const TABLE_PAGE: usize = 510;
/// Page index of the CPU's own page.
pub const AREA_PAGE: usize = 509;
/// Page index of the first slot.
pub const SLOT_PAGE: usize = 500;
/// Number of slots: one per role, and one for Host memory.
pub const SLOTS: usize = Slot::COUNT + 1;
/// Index of the slot for Host memory.
pub const HOST_SLOT: usize = Slot::COUNT;
/// Page index of the lowest page of the stack.
pub const STACK_PAGE: usize = 483;
/// Number of pages of the stack.
pub const STACK_PAGES: usize = 16;
/// Page index of the lowest page of the stack of fatal exceptions.
pub const FAULT_STACK_PAGE: usize = 480;
/// Number of pages of the stack of fatal exceptions.
pub const FAULT_STACK_PAGES: usize = 2;
/// Page index of the lowest page of the Host's SIMD registers.
pub const SIMD_PAGE: usize = 476;
/// Number of pages of the Host's SIMD registers.
pub const SIMD_PAGES: usize = 3;
/// Page index of the first page of the window.
pub const WINDOW_PAGE: usize = 400;
/// Number of pages of the window: what one operand of TLBI RVAE2 of the smallest scale names.
pub const WINDOW_PAGES: usize = 64;

/// Virtual address of a page of the high half.
pub const fn page_address(page: usize) -> usize {
    0usize.wrapping_sub((512 - page) << 12)
}

/// Virtual address of the level 3 table.
pub const TABLE: usize = page_address(TABLE_PAGE);
/// Virtual address of the CPU's own page.
pub const AREA: usize = page_address(AREA_PAGE);
/// First address past the stack.
pub const STACK_TOP: usize = page_address(STACK_PAGE + STACK_PAGES);
/// Lowest address of the stack.
pub const STACK_BOTTOM: usize = page_address(STACK_PAGE);
/// First address past the stack of fatal exceptions.
pub const FAULT_STACK_TOP: usize = page_address(FAULT_STACK_PAGE + FAULT_STACK_PAGES);
/// Virtual address of the Host's SIMD registers.
pub const SIMD: usize = page_address(SIMD_PAGE);

// One `movn` makes each of them.
const _: () = assert!(SLOT_PAGE >= 512 - 16);
const _: () = assert!(SLOT_PAGE + SLOTS == AREA_PAGE);
const _: () = assert!(WINDOW_PAGE + WINDOW_PAGES < SIMD_PAGE);

/// Pages of physical memory that each CPU needs, and their order in its block.
pub mod block {
    use super::{FAULT_STACK_PAGES, SIMD_PAGES, STACK_PAGES};

    /// The level 2 table, at which `TTBR1_EL2` points.
    pub const LEVEL2: usize = 0;
    /// The level 3 table.
    pub const LEVEL3: usize = 1;
    /// The CPU's own page.
    pub const AREA: usize = 2;
    /// The stack.
    pub const STACK: usize = 3;
    /// The stack of fatal exceptions.
    pub const FAULT_STACK: usize = STACK + STACK_PAGES;
    /// The Host's SIMD registers.
    pub const SIMD: usize = FAULT_STACK + FAULT_STACK_PAGES;
    /// Number of pages.
    pub const PAGES: usize = SIMD + SIMD_PAGES;
}

/// What [`public`] makes of any other value.
pub const HIDDEN: u64 = u64::MAX;

/// A register's value if it is an address, of the image, of a page of the high half or of a whole
/// granule; else [`HIDDEN`]. Anything else may be a Realm's data.
pub fn public(value: u64, image: &Range<u64>) -> u64 {
    const HIGH: u64 = 0u64.wrapping_sub(512 << 12);
    const GRANULES_END: u64 = 1 << 52;
    let is_granule = value < GRANULES_END && value.is_multiple_of(PAGE);
    if is_granule || value >= HIGH || image.contains(&value) { value } else { HIDDEN }
}

/// What a virtual address in the high half belongs to, for reports.
pub fn describe(address: u64) -> &'static str {
    const TOP: u64 = 0u64.wrapping_sub(512 << 12);
    if address < TOP {
        return "low half";
    }
    let Ok(page) = usize::try_from((address - TOP) >> 12) else { return "high half" };
    match page {
        479 | 482 => "guard page: a stack overflowed",
        WINDOW_PAGE..=463 => "window that is not mapped",
        SIMD_PAGE..=478 => "SIMD area",
        FAULT_STACK_PAGE..=481 => "fault stack",
        STACK_PAGE..=498 => "stack",
        SLOT_PAGE..AREA_PAGE => "slot that is not mapped",
        TABLE_PAGE => "slot table",
        AREA_PAGE => "CPU area",
        _ => "nothing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_shows_addresses_and_hides_everything_else() {
        let image = 0xfdc0_0000..0xfdc4_0000;
        for address in [0, 0x4200_0000, 0xfdc0_0004, AREA as u64 + 8, STACK_TOP as u64 - 24] {
            assert_eq!(public(address, &image), address);
        }
        for data in [1, 0xff, 0x4200_0008, 0xfdc4_0008, 0x1234_5678_9abc_d000, u64::MAX << 30] {
            assert_eq!(public(data, &image), HIDDEN, "{data:#x}");
        }
    }

    #[test]
    fn the_pages_do_not_overlap_and_each_stack_has_a_guard_below() {
        assert_eq!(AREA, 0xffff_ffff_ffff_d000);
        assert_eq!(TABLE, 0xffff_ffff_ffff_e000);
        assert_eq!(STACK_TOP, page_address(499));
        assert_eq!(FAULT_STACK_TOP, page_address(482));
        assert_eq!(describe(STACK_BOTTOM as u64 - 1), "guard page: a stack overflowed");
        assert_eq!(
            describe(page_address(FAULT_STACK_PAGE) as u64 - 8),
            "guard page: a stack overflowed"
        );
        assert_eq!(SIMD_PAGE + SIMD_PAGES, 479);
        assert_eq!(block::PAGES, 24);
        let window = page_address(WINDOW_PAGE) as u64;
        let end = window + (WINDOW_PAGES * PAGE_BYTES) as u64;
        assert_eq!(describe(window), "window that is not mapped");
        assert_eq!(describe(end - 1), "window that is not mapped");
        assert_eq!((describe(window - 1), describe(end)), ("nothing", "nothing"));
    }
}
