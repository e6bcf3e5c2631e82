//! The redistributors' registers: a control frame and a frame for private interrupts, per CPU.

use super::dist::{ARCHITECTURE_3, ARM_IIDR};
use super::regs::{Scope, lane_mask};
use super::{CpuSet, Vgic};
use crate::ipa::{GICR_STRIDE, rec_mpidr};

const IIDR: u64 = 0x4;
const TYPER: u64 = 0x8;
const TYPER_HIGH: u64 = 0xc;
const PIDR2: u64 = 0xffe8;
const PRIVATE_FRAME: u64 = 0x1_0000;

const LAST: u32 = 1 << 4;

impl Vgic {
    /// Reads `size` bytes at `offset` from the base of the first redistributor.
    #[must_use]
    pub fn read_redistributor(&self, offset: u64, size: u64) -> u64 {
        if size == 8 {
            let high = self.read_redistributor_word(offset + 4);
            return u64::from(high) << 32 | u64::from(self.read_redistributor_word(offset));
        }
        let word = self.read_redistributor_word(offset & !3) & lane_mask(offset, size);
        u64::from(word >> (8 * (offset & 3)))
    }

    fn read_redistributor_word(&self, offset: u64) -> u32 {
        let cpu = offset / GICR_STRIDE;
        let last = cpu + 1 == self.cpus.len() as u64;
        match offset % GICR_STRIDE {
            IIDR => ARM_IIDR,
            TYPER => ((cpu & 0xffff) as u32) << 8 | if last { LAST } else { 0 },
            TYPER_HIGH => (rec_mpidr(cpu) & 0xffff_ffff) as u32,
            PIDR2 => ARCHITECTURE_3,
            word @ PRIVATE_FRAME.. => {
                self.read_row(Scope::Private(index(cpu)), word - PRIVATE_FRAME).unwrap_or(0)
            }
            // Among them GICR_CTLR, and GICR_WAKER: the CPU interface is always awake.
            _ => 0,
        }
    }

    /// Writes `size` bytes at `offset` from the base of the first redistributor.
    pub fn write_redistributor(&mut self, offset: u64, size: u64, value: u64) -> CpuSet {
        let cpu = index(offset / GICR_STRIDE);
        let Some(offset) = (offset % GICR_STRIDE).checked_sub(PRIVATE_FRAME) else { return 0 };
        let low = (value & 0xffff_ffff) as u32;
        if size == 8 {
            let high = (value >> 32) as u32;
            return self.write_row(Scope::Private(cpu), offset, low, u32::MAX)
                | self.write_row(Scope::Private(cpu), offset + 4, high, u32::MAX);
        }
        let shifted = low.wrapping_shl(8 * (offset & 3) as u32);
        self.write_row(Scope::Private(cpu), offset & !3, shifted, lane_mask(offset, size))
    }
}

fn index(cpu: u64) -> usize {
    usize::try_from(cpu).unwrap_or(usize::MAX)
}
