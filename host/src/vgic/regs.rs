//! Registers that the distributor and the redistributors have in common: one bit, two bits or one
//! byte for each interrupt, at the same offsets.

use super::{CpuSet, PRIVATE_COUNT, Vgic};

/// Priority bits that the CPU interface implements; the low ones read as zero.
const PRIORITY_BITS: u8 = 0xf8;

/// Whose interrupts a register describes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// The shared ones, in the distributor.
    Shared,
    /// The private ones of a CPU, in its redistributor.
    Private(usize),
}

impl Scope {
    fn cpu(self) -> usize {
        match self {
            Self::Shared => 0,
            Self::Private(cpu) => cpu,
        }
    }

    fn contains(self, intid: u32) -> bool {
        (self == Self::Shared) == (intid >= PRIVATE_COUNT)
    }
}

/// A row of registers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Row {
    Group,
    SetEnable,
    ClearEnable,
    SetPending,
    ClearPending,
    SetActive,
    ClearActive,
    Priority,
    Config,
}

/// Row, first interrupt and bits per interrupt of the 32-bit register at `offset`.
fn decode(offset: u64) -> Option<(Row, u32, u32)> {
    let (row, start, bits) = match offset {
        0x080..0x100 => (Row::Group, 0x080, 1),
        0x100..0x180 => (Row::SetEnable, 0x100, 1),
        0x180..0x200 => (Row::ClearEnable, 0x180, 1),
        0x200..0x280 => (Row::SetPending, 0x200, 1),
        0x280..0x300 => (Row::ClearPending, 0x280, 1),
        0x300..0x380 => (Row::SetActive, 0x300, 1),
        0x380..0x400 => (Row::ClearActive, 0x380, 1),
        0x400..0x800 => (Row::Priority, 0x400, 8),
        0xc00..0xd00 => (Row::Config, 0xc00, 2),
        _ => return None,
    };
    let first = (offset - start) * 8 / u64::from(bits);
    Some((row, (first & 0xffff) as u32, bits))
}

impl Vgic {
    /// Reads the 32-bit register at the aligned `offset`; `None` if it is not of this kind.
    pub(super) fn read_row(&self, scope: Scope, offset: u64) -> Option<u32> {
        let (row, first, bits) = decode(offset)?;
        let mut value = 0;
        for n in 0..32 / bits {
            if !scope.contains(first + n) {
                continue;
            }
            let Some(irq) = self.irq(scope.cpu(), first + n) else { break };
            let field = match row {
                Row::Group => 1,
                Row::SetEnable | Row::ClearEnable => u32::from(irq.enabled),
                Row::SetPending | Row::ClearPending => u32::from(irq.pending()),
                Row::SetActive | Row::ClearActive => u32::from(irq.active),
                Row::Priority => u32::from(irq.priority),
                Row::Config => u32::from(irq.edge) << 1,
            };
            value |= field << (n * bits);
        }
        Some(value)
    }

    /// Writes the bytes of `mask` in the 32-bit register at the aligned `offset`.
    pub(super) fn write_row(&mut self, scope: Scope, offset: u64, value: u32, mask: u32) -> CpuSet {
        let Some((row, first, bits)) = decode(offset) else { return 0 };
        let mut affected = 0;
        for n in 0..32 / bits {
            let intid = first + n;
            let field_mask = (1_u32 << bits.min(31)) - 1;
            let field = (value >> (n * bits)) & field_mask;
            let covered = (mask >> (n * bits)) & field_mask == field_mask;
            if !covered || !scope.contains(intid) {
                continue;
            }
            let Some(irq) = self.irq_mut(scope.cpu(), intid) else { break };
            match row {
                Row::Group => continue,
                Row::Priority => irq.priority = (field & 0xff) as u8 & PRIORITY_BITS,
                // The first 16 are software interrupts, which are always edges.
                Row::Config if intid >= 16 => irq.edge = field & 2 != 0,
                Row::Config => continue,
                _ if field == 0 => continue,
                Row::SetEnable => irq.enabled = true,
                Row::ClearEnable => irq.enabled = false,
                Row::SetPending => irq.latch = true,
                Row::ClearPending => irq.latch = false,
                Row::SetActive => {
                    irq.active = true;
                    irq.home = Some(scope.cpu());
                }
                Row::ClearActive => irq.active = false,
            }
            affected |= match scope {
                Scope::Shared => self.interested(intid),
                Scope::Private(cpu) => 1 << cpu,
            };
        }
        affected
    }
}

/// Bits of a 32-bit register that an access of `size` bytes at byte `offset & 3` covers.
pub(super) const fn lane_mask(offset: u64, size: u64) -> u32 {
    let bytes = match size {
        1 => 0xff,
        2 => 0xffff,
        _ => 0xffff_ffff_u32,
    };
    bytes << (8 * (offset & 3))
}
