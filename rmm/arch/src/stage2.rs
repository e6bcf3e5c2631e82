//! Invalidation of stage 2 translations, on every CPU.
//!
//! A command that changed descriptors of a Realm calls it once, for the whole range. [`Method::of`]
//! chooses the operations: one operation for one entry, one range operation per power of two of a
//! longer range's length where the CPU has FEAT_TLBIRANGE, else one operation per entry, and
//! everything of the VMID where that would be more than [`OPERATIONS_MAX`].
//!
//! Operations by IPA need not reach combined entries of both stages, so VMALLE1IS follows. It acts
//! on the Realm's regime since `HCR_EL2.TGE` is always 0 (see [`crate::registers::HCR_BOOT`]).
//!
//! Where a CPU of the machine may have stores of a Realm under way after all that,
//! [`crate::errata`] waits for them.
//!
//! Source: Arm ARM (DDI0487), "TLB maintenance instructions"; RMM specification (Arm DEN0137) 1.0,
//! A5.5.

use machine::PAGE_SIZE;

/// Most operations by IPA in one call.
///
/// Each is a message to every CPU of the machine, and the DSB after them waits for all: beyond that
/// number it costs the machine less if the Realm alone fills its translations again.
pub const OPERATIONS_MAX: u64 = 64;

/// Most pages of a range that range operations name: they take 32 operands of the largest size, 32
/// times 2 to the power of 16 pages each, and never more than [`OPERATIONS_MAX`] with what is left
/// before and after.
const RANGE_PAGES_MAX: u64 = 32 * (32 << 16);

/// Which addresses operands of range operations can name, on the CPU that issues them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// None: the CPU has no FEAT_TLBIRANGE.
    None,
    /// Any page below 2 to the power of 48 (`VTCR_EL2.DS` is 0).
    Pages,
    /// Any multiple of 64 KiB: operands count in units of that size (`VTCR_EL2.DS` is 1).
    SixtyFourKib,
}

impl Ranges {
    /// What the CPU can do with this `VTCR_EL2`.
    ///
    /// Source: Arm ARM (DDI0487), TLBI RIPAS2E1IS, BaseADDR.
    #[inline(always)]
    pub const fn new(tlbi_range: bool, vtcr: u64) -> Self {
        const DS: u64 = 1 << 32;
        match (tlbi_range, vtcr & DS) {
            (false, _) => Self::None,
            (true, 0) => Self::Pages,
            (true, _) => Self::SixtyFourKib,
        }
    }

    /// How far a page number is shifted in an operand, if operands can name `[ipa, ipa +
    /// size_bytes)`.
    const fn shift(self, ipa: u64, size_bytes: u64) -> Option<u32> {
        let (shift, ipa_bits) = match self {
            Self::None => return None,
            Self::Pages => (0, 48),
            Self::SixtyFourKib => (4, 52),
        };
        if (ipa + size_bytes - 1) >> ipa_bits == 0 { Some(shift) } else { None }
    }
}

/// The operations that invalidate a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// TLBI IPAS2E1IS of the range's first page: the range is one entry.
    Entry,
    /// TLBI IPAS2E1IS of `lead` pages, TLBI RIPAS2E1IS of each operand, and TLBI IPAS2E1IS of the
    /// page that they leave over.
    Ranges {
        /// Pages before the first address that an operand can name.
        lead: u64,
        /// The pages after those.
        operands: RangeOperands,
    },
    /// TLBI IPAS2E1IS of each entry's first page.
    Entries,
    /// TLBI VMALLS12E1IS: everything of the VMID.
    All,
}

impl Method {
    /// How to invalidate `[ipa, ipa + size_bytes)`, which entries of `leaf_size_bytes` each mapped.
    /// `ranges` is asked only where it matters.
    #[inline(always)]
    pub fn of(
        ipa: u64,
        size_bytes: u64,
        leaf_size_bytes: u64,
        ranges: impl FnOnce() -> Ranges,
    ) -> Self {
        if size_bytes <= leaf_size_bytes {
            return Self::Entry;
        }
        let (page, pages) = (ipa / PAGE_SIZE, size_bytes.div_ceil(PAGE_SIZE));
        if let Some(shift) = ranges().shift(ipa, size_bytes)
            && pages <= RANGE_PAGES_MAX
        {
            let lead = (page.next_multiple_of(1 << shift) - page).min(pages);
            return Self::Ranges {
                lead,
                operands: RangeOperands::new(page + lead, pages - lead, shift),
            };
        }
        if size_bytes.div_ceil(leaf_size_bytes) > OPERATIONS_MAX {
            Self::All
        } else {
            Self::Entries
        }
    }
}

/// Operands of TLBI RIPAS2E1IS that cover a number of pages, each with the pages that it covers.
///
/// An operand covers `(NUM + 1) * 2^(5 * SCALE + 1)` pages. What is left over, a single page, needs
/// the operation without a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeOperands {
    page: u64,
    pages: u64,
    shift: u32,
}

impl RangeOperands {
    /// The operands for `pages` pages from page number `page`, a multiple of 2 to the power of
    /// `shift`: the bits of a page number that operands do not have, 0 or 4.
    pub const fn new(page: u64, pages: u64, shift: u32) -> Self {
        Self { page, pages, shift }
    }

    /// What the operands handed out so far leave over: page number and number of pages, 0 or 1.
    pub const fn rest(&self) -> (u64, u64) {
        (self.page, self.pages)
    }
}

impl Iterator for RangeOperands {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        /// TG: 4 KiB.
        const GRANULE_4K: u64 = 0b01 << 46;
        if self.pages < 2 {
            return None;
        }
        // The largest scale whose unit fits; at most 32 units of it. Units shrink from operand to
        // operand, and all but those of scale 0, which leave no pair of pages over, are multiples
        // of 64 pages: so each operand starts at a multiple of 16 if the first does.
        let scale = u64::from((self.pages.ilog2() - 1) / 5).min(3);
        let unit = 1 << (5 * scale + 1);
        let count = (self.pages / unit).min(32);
        let operand = self.page >> self.shift | (count - 1) << 39 | scale << 44 | GRANULE_4K;
        self.page += count * unit;
        self.pages -= count * unit;
        Some(operand)
    }
}

#[cfg(target_os = "none")]
mod operations {
    use core::arch::asm;

    use aarch64_cpu::asm::barrier::{self, ISH, ISHST, SY};
    use machine::stage2::Stale;
    use machine::{GRANULE_SIZE, PAGE_SIZE, Stage2Tlb};

    use super::{Method, Ranges};
    use crate::boot::Firmware;
    use crate::cpu::Cpu;
    use crate::errata;
    use crate::registers::{Guarded, Readable, VTCR_EL2, VTTBR_EL2};

    /// One TLBI with an operand.
    macro_rules! tlbi {
        ($name:literal, $operand:expr) => {{
            let operand: u64 = $operand;
            // SAFETY: invalidates cached translations of Realms only: the monitor's own regime is
            // EL2&0.
            unsafe {
                asm!(concat!("tlbi ", $name, ", {}"), in(reg) operand, options(nostack));
            }
        }};
        ($name:literal) => {
            // SAFETY: invalidates cached translations of Realms only: the monitor's own regime is
            // EL2&0.
            unsafe {
                asm!(concat!("tlbi ", $name), options(nostack));
            }
        };
    }

    impl<F: Firmware> Stage2Tlb for Cpu<F> {
        fn invalidate(&self, vmid: u16, stale: Stale) {
            // The new descriptors first.
            barrier::dsb(ISHST);
            let loaded = VTTBR_EL2.get();
            let other = loaded >> 48 != u64::from(vmid);
            if other {
                // SAFETY: no Realm runs before the register is written again: at the end of this
                // function or, if none is loaded, by the next `load`. The monitor's own regime has
                // no stage 2.
                unsafe { VTTBR_EL2.set(VTTBR_EL2::VMID.val(u64::from(vmid)).value) };
                barrier::isb(SY);
            }
            match stale {
                Stale::Range { ipa, size_bytes, leaf_size_bytes } => {
                    self.invalidate_range(ipa, size_bytes, leaf_size_bytes.max(GRANULE_SIZE));
                }
                Stale::All => tlbi!("vmalls12e1is"),
            }
            barrier::dsb(ISH);
            errata::wait_for_late_stores();
            if other {
                // SAFETY: what it was, which suits the loaded Realm if there is one.
                unsafe { VTTBR_EL2.set(loaded) };
            }
            barrier::isb(SY);
        }
    }

    impl<F: Firmware> Cpu<F> {
        fn invalidate_range(&self, ipa: u64, size_bytes: u64, leaf_size_bytes: u64) {
            let ranges = || Ranges::new(self.area().features.get().tlbi_range, VTCR_EL2.get());
            let page = ipa / PAGE_SIZE;
            match Method::of(ipa, size_bytes, leaf_size_bytes, ranges) {
                Method::Entry => tlbi!("ipas2e1is", page),
                Method::Ranges { lead, mut operands } => {
                    for page in page..page + lead {
                        tlbi!("ipas2e1is", page);
                    }
                    for operand in &mut operands {
                        // RIPAS2E1IS
                        // SAFETY: as above; written as SYS since it is named from Armv8.4 on.
                        unsafe {
                            asm!("sys #4, c8, c0, #2, {}", in(reg) operand, options(nostack));
                        }
                    }
                    if let (page, 1) = operands.rest() {
                        tlbi!("ipas2e1is", page);
                    }
                }
                Method::Entries => {
                    let mut at = ipa;
                    while at < ipa + size_bytes {
                        tlbi!("ipas2e1is", at / PAGE_SIZE);
                        at += leaf_size_bytes;
                    }
                }
                Method::All => {
                    tlbi!("vmalls12e1is");
                    return;
                }
            }
            barrier::dsb(ISH);
            tlbi!("vmalle1is");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = 4096;
    /// Bytes that a table describes, by level.
    const TABLES: [u64; 4] = [1 << 48, 1 << 39, 1 << 30, 1 << 21];

    /// Pages that an operand covers.
    fn covered(operand: u64, shift: u32) -> (u64, u64) {
        let (num, scale) = (operand >> 39 & 0x1f, operand >> 44 & 3);
        ((operand & ((1 << 37) - 1)) << shift, (num + 1) << (5 * scale + 1))
    }

    /// The pages that the operations of `[ipa, ipa + size)` name one after the other, each run with
    /// its length; empty if everything of the VMID goes.
    fn named(ipa: u64, size: u64, leaf: u64, ranges: Ranges) -> Vec<(u64, u64)> {
        let (page, pages) = (ipa / PAGE, size / PAGE);
        match Method::of(ipa, size, leaf, || ranges) {
            Method::Entry => vec![(page, pages)],
            Method::Entries => {
                (0..size / leaf).map(|n| (page + n * leaf / PAGE, leaf / PAGE)).collect()
            }
            Method::All => Vec::new(),
            Method::Ranges { lead, mut operands } => {
                let shift = if ranges == Ranges::SixtyFourKib { 4 } else { 0 };
                let mut runs: Vec<_> = (page..page + lead).map(|page| (page, 1)).collect();
                runs.extend((&mut operands).map(|operand| {
                    assert_eq!(operand >> 46, 1, "TG");
                    covered(operand, shift)
                }));
                let (page, rest) = operands.rest();
                runs.extend((page..page + rest).map(|page| (page, 1)));
                runs
            }
        }
    }

    /// Bug catalogue T1: a range loop that covers too little.
    #[test]
    fn t1_operations_cover_exactly_the_range_whatever_its_length() {
        for ranges in [Ranges::Pages, Ranges::SixtyFourKib] {
            for first in [0, 7, 16, 511, 512] {
                let more = [262_144, 262_145, 1 << 20, RANGE_PAGES_MAX - 1, RANGE_PAGES_MAX];
                for pages in (1..3000).chain(more) {
                    let runs = named(first * PAGE, pages * PAGE, PAGE, ranges);
                    let mut at = first;
                    for &(page, count) in &runs {
                        assert_eq!(page, at, "{ranges:?}, {first}, {pages}");
                        at += count;
                    }
                    assert_eq!(at, first + pages, "{ranges:?}, {first}, {pages}");
                    assert!(runs.len() as u64 <= OPERATIONS_MAX, "{} for {pages}", runs.len());
                }
            }
        }
    }

    #[test]
    fn no_range_takes_more_operations_than_the_bound() {
        for ranges in [Ranges::None, Ranges::Pages, Ranges::SixtyFourKib] {
            for table in TABLES {
                for ipa in [0, table, 7 * table] {
                    let runs = named(ipa, table, table / 512, ranges);
                    assert!(runs.len() as u64 <= OPERATIONS_MAX, "{ranges:?}, {table:#x}");
                }
            }
            for entries in [63, 64, 65, 511, 512] {
                let runs = named(1 << 30, entries * PAGE, PAGE, ranges);
                assert!(runs.len() as u64 <= OPERATIONS_MAX, "{ranges:?}, {entries}");
            }
        }
    }

    #[test]
    fn a_level_0_table_takes_everything_of_its_vmid_with_it() {
        for ranges in [Ranges::None, Ranges::Pages, Ranges::SixtyFourKib] {
            assert_eq!(Method::of(0, 1 << 48, 1 << 39, || ranges), Method::All);
        }
    }

    #[test]
    fn tables_of_pages_and_of_blocks_take_one_operand_in_either_unit() {
        for ranges in [Ranges::Pages, Ranges::SixtyFourKib] {
            for table in [1 << 21, 1 << 30] {
                assert_eq!(named(5 * table, table, table / 512, ranges).len(), 1, "{ranges:?}");
            }
            assert_eq!(named(0, 2 * PAGE, PAGE, ranges).len(), 1);
        }
    }

    #[test]
    fn the_unit_of_operands_follows_vtcr_and_addresses_above_them_are_named_one_by_one() {
        assert_eq!(Ranges::new(true, 0), Ranges::Pages);
        assert_eq!(Ranges::new(true, 1 << 32), Ranges::SixtyFourKib);
        assert_eq!(Ranges::new(false, 1 << 32), Ranges::None);
        let above = 1 << 48;
        assert_eq!(Method::of(above, 2 * PAGE, PAGE, || Ranges::Pages), Method::Entries);
        assert_eq!(named(above, 1 << 21, PAGE, Ranges::SixtyFourKib), [(above / PAGE, 512)]);
    }

    #[test]
    fn one_entry_is_one_operation_and_asks_for_no_register() {
        let unasked = || unreachable!();
        assert_eq!(Method::of(0x1000, PAGE, PAGE, unasked), Method::Entry);
        assert_eq!(Method::of(1 << 39, 1 << 39, 1 << 39, unasked), Method::Entry);
    }
}
