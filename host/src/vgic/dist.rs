//! The distributor's registers.

use super::regs::{Scope, lane_mask};
use super::{CpuSet, PRIVATE_COUNT, SPI_COUNT, Vgic};

const CTLR: u64 = 0x0;
const TYPER: u64 = 0x4;
const IIDR: u64 = 0x8;
const IROUTER: u64 = 0x6000;
const IROUTER_END: u64 = IROUTER + 8 * (PRIVATE_COUNT + SPI_COUNT) as u64;
const PIDR2: u64 = 0xffe8;

const ENABLE_GROUP_1: u32 = 1 << 1;
/// Affinity routing is always on, and there is one security state only.
const ALWAYS: u32 = 1 << 4 | 1 << 6;

/// "JEP106 Arm" and nothing else.
pub(super) const ARM_IIDR: u32 = 0x43b;
/// Architecture revision 3.
pub(super) const ARCHITECTURE_3: u32 = 0x30;

impl Vgic {
    /// Reads `size` bytes at `offset` of the distributor.
    #[must_use]
    pub fn read_distributor(&self, offset: u64, size: u64) -> u64 {
        if size == 8 {
            let high = self.read_distributor_word(offset + 4);
            return u64::from(high) << 32 | u64::from(self.read_distributor_word(offset));
        }
        let word = self.read_distributor_word(offset & !3) & lane_mask(offset, size);
        u64::from(word >> (8 * (offset & 3)))
    }

    fn read_distributor_word(&self, offset: u64) -> u32 {
        const LINES: u32 = (PRIVATE_COUNT + SPI_COUNT) / 32 - 1;
        const ID_BITS: u32 = 10 - 1;
        match offset {
            CTLR => ALWAYS | if self.enabled { ENABLE_GROUP_1 } else { 0 },
            TYPER => ID_BITS << 19 | LINES,
            IIDR => ARM_IIDR,
            PIDR2 => ARCHITECTURE_3,
            IROUTER..IROUTER_END => self.route(offset).map_or(0, |(_, word)| word),
            _ => self.read_row(Scope::Shared, offset).unwrap_or(0),
        }
    }

    /// Writes `size` bytes at `offset` of the distributor.
    pub fn write_distributor(&mut self, offset: u64, size: u64, value: u64) -> CpuSet {
        let low = (value & 0xffff_ffff) as u32;
        if size == 8 {
            let high = (value >> 32) as u32;
            return self.write_distributor_word(offset, low, u32::MAX)
                | self.write_distributor_word(offset + 4, high, u32::MAX);
        }
        let shifted = low.wrapping_shl(8 * (offset & 3) as u32);
        self.write_distributor_word(offset & !3, shifted, lane_mask(offset, size))
    }

    fn write_distributor_word(&mut self, offset: u64, value: u32, mask: u32) -> CpuSet {
        match offset {
            CTLR => {
                self.enabled = value & ENABLE_GROUP_1 != 0;
                (1 << self.cpus.len()) - 1
            }
            IROUTER..IROUTER_END => {
                let Some((intid, _)) = self.route(offset) else { return 0 };
                let Some(irq) = self.irq_mut(0, intid) else { return 0 };
                let shift = 8 * (offset & 4);
                irq.route = irq.route & !(0xffff_ffff << shift) | u64::from(value) << shift;
                self.interested(intid)
            }
            _ => self.write_row(Scope::Shared, offset, value, mask),
        }
    }

    /// Interrupt and half of its route that the word at `offset` holds.
    fn route(&self, offset: u64) -> Option<(u32, u32)> {
        let intid = (((offset - IROUTER) / 8) & 0xffff) as u32;
        let irq = self.irq(0, intid).filter(|_| intid >= PRIVATE_COUNT)?;
        Some((intid, ((irq.route >> (8 * (offset & 4))) & 0xffff_ffff) as u32))
    }
}
