//! Invalidation of stage 2 translations, on every CPU.
//!
//! A command that changed descriptors of a Realm calls it once, for the whole range: one range operation per power
//! of two of its length where the CPU has FEAT_TLBIRANGE, else one operation per entry, and everything of the VMID
//! when that would be more than [`OPERATIONS_MAX`].
//!
//! Operations by IPA need not reach combined entries of both stages, so VMALLE1IS follows. It acts on the Realm's
//! regime since `HCR_EL2.TGE` is always 0 (see [`crate::registers::HCR_BOOT`]).
//!
//! Source: Arm ARM (DDI0487), "TLB maintenance instructions"; RMM specification (Arm DEN0137) 1.0, A5.5.

/// Most operations by IPA in one call.
pub const OPERATIONS_MAX: u64 = 512;

/// Bits of an IPA that a range operation can name with 4 KiB granules and 48-bit descriptors.
pub const RANGE_IPA_BITS: u32 = 48;

/// Operands of TLBI RIPAS2E1IS that cover `[ipa, ipa + pages * 4096)`, each with the pages that it covers.
///
/// An operand covers `(NUM + 1) * 2^(5 * SCALE + 1)` pages. What is left over, a single page, needs the operation
/// without a range.
#[derive(Clone, Copy, Debug)]
pub struct RangeOperands {
    page: u64,
    pages: u64,
}

impl RangeOperands {
    /// The operands for `pages` pages from page number `page`.
    pub const fn new(page: u64, pages: u64) -> Self {
        Self { page, pages }
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
        // The largest scale whose unit fits; at most 32 units of it.
        let scale = u64::from((self.pages.ilog2() - 1) / 5).min(3);
        let unit = 1 << (5 * scale + 1);
        let count = (self.pages / unit).min(32);
        let operand = self.page | (count - 1) << 39 | scale << 44 | GRANULE_4K;
        self.page += count * unit;
        self.pages -= count * unit;
        Some(operand)
    }
}

#[cfg(target_os = "none")]
mod operations {
    use core::arch::asm;

    use aarch64_cpu::asm::barrier::{self, ISH, ISHST, SY};
    use machine::GRANULE_SIZE;
    use machine::Stage2Tlb;
    use machine::stage2::Stale;

    use super::{OPERATIONS_MAX, RANGE_IPA_BITS, RangeOperands};
    use crate::boot::Firmware;
    use crate::cpu::Cpu;
    use crate::registers::{mrs, msr};

    /// `VTCR_EL2.DS`: range operations take addresses in units of 64 KiB.
    const VTCR_DS: u64 = 1 << 32;

    /// One TLBI with an operand.
    macro_rules! tlbi {
        ($name:literal, $operand:expr) => {{
            let operand: u64 = $operand;
            // SAFETY: invalidates cached translations of Realms only: the monitor's own regime is EL2&0.
            unsafe {
                asm!(concat!("tlbi ", $name, ", {}"), in(reg) operand, options(nostack));
            }
        }};
        ($name:literal) => {
            // SAFETY: invalidates cached translations of Realms only: the monitor's own regime is EL2&0.
            unsafe {
                asm!(concat!("tlbi ", $name), options(nostack));
            }
        };
    }

    impl<F: Firmware> Stage2Tlb for Cpu<F> {
        fn invalidate(&self, vmid: u16, stale: Stale) {
            // The new descriptors first.
            barrier::dsb(ISHST);
            let loaded = mrs!("vttbr_el2");
            let other = loaded >> 48 != u64::from(vmid);
            if other {
                msr!("vttbr_el2", u64::from(vmid) << 48);
                barrier::isb(SY);
            }
            match stale {
                Stale::Range { ipa, size_bytes, leaf_size_bytes } => {
                    self.invalidate_range(ipa, size_bytes, leaf_size_bytes);
                }
                Stale::All => tlbi!("vmalls12e1is"),
            }
            barrier::dsb(ISH);
            if other {
                msr!("vttbr_el2", loaded);
            }
            barrier::isb(SY);
        }
    }

    impl<F: Firmware> Cpu<F> {
        fn invalidate_range(&self, ipa: u64, size_bytes: u64, leaf_size_bytes: u64) {
            let leaf = leaf_size_bytes.max(GRANULE_SIZE);
            let (page, pages) = (ipa / GRANULE_SIZE, size_bytes.div_ceil(GRANULE_SIZE));
            if size_bytes <= leaf {
                tlbi!("ipas2e1is", page);
            } else if self.can_name_ranges(ipa, size_bytes) {
                let mut operands = RangeOperands::new(page, pages);
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
            } else if size_bytes / leaf > OPERATIONS_MAX {
                tlbi!("vmalls12e1is");
                return;
            } else {
                let mut at = page;
                while at < page + pages {
                    tlbi!("ipas2e1is", at);
                    at += leaf / GRANULE_SIZE;
                }
            }
            barrier::dsb(ISH);
            tlbi!("vmalle1is");
        }

        fn can_name_ranges(&self, ipa: u64, size_bytes: u64) -> bool {
            self.area().features.get().tlbi_range
                && (ipa + size_bytes - 1) >> RANGE_IPA_BITS == 0
                && mrs!("vtcr_el2") & VTCR_DS == 0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages that an operand covers.
    fn covered(operand: u64) -> (u64, u64) {
        let (num, scale) = (operand >> 39 & 0x1f, operand >> 44 & 3);
        (operand & ((1 << 37) - 1), (num + 1) << (5 * scale + 1))
    }

    /// Bug catalogue T1: a range loop that covers too little.
    #[test]
    fn t1_operands_cover_exactly_the_range_whatever_its_length() {
        for pages in (1..3000).chain([262_144, 262_145, 1 << 20, (1 << 27) + 3]) {
            let mut operands = RangeOperands::new(7, pages);
            let mut at = 7;
            for operand in &mut operands {
                let (page, count) = covered(operand);
                assert_eq!(page, at);
                assert_eq!(operand >> 46, 1);
                at += count;
            }
            let (page, rest) = operands.rest();
            assert_eq!(page, at);
            assert!(rest <= 1);
            assert_eq!(at + rest, 7 + pages);
        }
    }

    #[test]
    fn a_block_takes_one_operand() {
        assert_eq!(RangeOperands::new(0, 512).count(), 1);
        assert_eq!(RangeOperands::new(0, 262_144).count(), 1);
        assert_eq!(RangeOperands::new(0, 2).count(), 1);
    }
}
