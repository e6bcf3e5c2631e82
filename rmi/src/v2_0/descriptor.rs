//! Descriptors of physical memory, and lists of them in the Host's memory.

use granule::GranuleAddr;
use machine::{HostMemory, PAGE_SIZE};
use realm::rtt::Level;

use super::args;
use crate::ops::{Cause, HostPage};
use realm::Rmm;

/// So many blocks of one size, one behind the other.
///
/// Source: RMM specification (Arm DEN0137) 2.0-bet3, `RmiAddrRangeDesc4KB`: size of a block in bits
/// 1:0, number in 11:2, address in 51:12, state in 63:62.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AddrRange {
    /// The first block.
    pub(super) base: GranuleAddr,
    /// Level of the entry that has the size of a block.
    pub(super) level: Level,
    /// How many blocks.
    pub(super) count: u16,
}

/// Most blocks of one descriptor.
pub(super) const COUNT_MAX: u16 = 0x3ff;

const COUNT_SHIFT: u32 = 2;
const ADDRESS: u64 = 0xf_ffff_ffff_f000;

impl AddrRange {
    /// Reads a descriptor. Its state and the bits that should be zero are not looked at: what a
    /// granule is, its own state says. `None` if the address is not aligned to a block, or the end
    /// is past all physical addresses.
    pub(super) fn decode(desc: u64) -> Option<Self> {
        let level = Level::new(3 - (desc & 3).cast_signed())?;
        let base =
            GranuleAddr::new(desc & ADDRESS).filter(|base| level.is_aligned(base.as_u64()))?;
        let count = u16::try_from(desc >> COUNT_SHIFT & u64::from(COUNT_MAX)).ok()?;
        let end = base.as_u64().checked_add(u64::from(count).checked_mul(level.entry_size())?)?;
        (end <= 1 << 52).then_some(Self { base, level, count })
    }

    /// Writes a descriptor of DELEGATED memory, the state of which is 0.
    pub(super) fn encode(self) -> u64 {
        let size = 3_u64.wrapping_sub(u64::from(self.level.as_u8()));
        self.base.as_u64() | u64::from(self.count) << COUNT_SHIFT | size & 3
    }

    /// Bytes of all blocks.
    pub(super) fn bytes(self) -> u64 {
        u64::from(self.count) * self.level.entry_size()
    }
}

/// Descriptors in a page of the Host's: from any aligned place in it, up to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    page: GranuleAddr,
    offset: usize,
    /// How many there are.
    pub(super) count: usize,
}

impl List {
    /// A list at `address` with `count` descriptors, of which those behind the end of the page are
    /// not looked at.
    ///
    /// # Errors
    ///
    /// `HostUnaligned`, `HostUntracked`.
    pub(super) fn new<M>(rmm: &Rmm<'_, M>, address: u64, count: u64) -> Result<Self, Cause> {
        if !address.is_multiple_of(size_of::<u64>() as u64) {
            return Err(Cause::HostUnaligned(HostPage::List));
        }
        let within = address % PAGE_SIZE;
        let page = args::host_page(rmm, HostPage::List, address - within)?;
        let room = (PAGE_SIZE - within) / size_of::<u64>() as u64;
        let small = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        Ok(Self { page, offset: small(within), count: small(count.min(room)) })
    }

    /// Looks whether the list can be read and written. All of it is in one page, so that its first
    /// word tells, which keeps its value.
    ///
    /// # Errors
    ///
    /// `HostFault`.
    pub(super) fn probe(&self, machine: &impl HostMemory) -> Result<(), Cause> {
        let mut first = [0];
        self.read(machine, 0, &mut first)?;
        self.write(machine, 0, &first)
    }

    /// Reads descriptors from number `first` on. Each is to be read once.
    ///
    /// # Errors
    ///
    /// `HostFault`.
    pub(super) fn read(
        &self,
        machine: &impl HostMemory,
        first: usize,
        into: &mut [u64],
    ) -> Result<(), Cause> {
        machine
            .read_host(self.page, self.offset + first * size_of::<u64>(), into)
            .map_err(|_| Cause::HostFault(HostPage::List))
    }

    /// Writes descriptors from number `first` on.
    ///
    /// # Errors
    ///
    /// `HostFault`; some may have been written.
    pub(super) fn write(
        &self,
        machine: &impl HostMemory,
        first: usize,
        from: &[u64],
    ) -> Result<(), Cause> {
        machine
            .write_host(self.page, self.offset + first * size_of::<u64>(), from)
            .map_err(|_| Cause::HostFault(HostPage::List))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_those_of_the_notes() {
        for (desc, base, level, count) in [
            (0x8000_0004, 0x8000_0000, 3, 1),
            (0x8020_0005, 0x8020_0000, 2, 1),
            (0x8000_07fc, 0x8000_0000, 3, 511),
            (0x4000_0006, 0x4000_0000, 1, 1),
        ] {
            let range = AddrRange::decode(desc).unwrap();
            let expected = AddrRange {
                base: GranuleAddr::new(base).unwrap(),
                level: Level::new(level).unwrap(),
                count,
            };
            assert_eq!(range, expected);
            assert_eq!(range.encode(), desc);
        }
    }

    #[test]
    fn the_state_and_reserved_bits_are_not_looked_at() {
        for bits in [1 << 63, 1 << 62, 3 << 62, 0x3ff << 52] {
            assert_eq!(AddrRange::decode(0x8000_0004 | bits), AddrRange::decode(0x8000_0004));
        }
    }

    #[test]
    fn what_is_not_aligned_or_too_long_is_no_range() {
        for desc in [0x8000_1005, 0x8020_0006, 0xf_ffff_ffff_f008, 0xf_ffc0_0000_0fff] {
            assert_eq!(AddrRange::decode(desc), None, "{desc:#x}");
        }
    }
}
