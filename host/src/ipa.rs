//! The guest's physical address space: where RAM and devices are.
//!
//! The space has two halves. The lower, *protected* half is the Realm's own; each address of it
//! has an alias in the upper, *unprotected* half, which the Realm shares with the host. Devices
//! are emulated in the upper half: the guest adds the top bit itself.

use crate::granules::PAGE_SIZE;

/// Width of the guest's IPA space in bits.
pub const IPA_WIDTH_BITS: u64 = 33;

/// The bit that makes an unprotected alias of a protected address.
pub const SHARED_BIT: u64 = 1 << (IPA_WIDTH_BITS - 1);

/// End of the whole space.
pub const IPA_END: u64 = 1 << IPA_WIDTH_BITS;

/// Level of the start tables: level 2, with several concatenated, as KVM chooses for this width.
pub const RTT_START_LEVEL: u64 = 2;

/// Number of concatenated start tables.
pub const RTT_START_COUNT: usize = 8;

/// First address of guest RAM.
pub const RAM_BASE: u64 = 0x8000_0000;

/// The 16550 UART.
pub const UART_BASE: u64 = 0x100_0000;

/// Size of the UART's window.
pub const UART_SIZE: u64 = 0x100;

/// The virtio entropy device.
pub const VIRTIO_BASE: u64 = 0x101_0000;

/// Size of the entropy device's window.
pub const VIRTIO_SIZE: u64 = 0x200;

/// The interrupt distributor.
pub const GICD_BASE: u64 = 0x3fff_0000;

/// Size of the distributor's window.
pub const GICD_SIZE: u64 = 0x1_0000;

/// The redistributor of CPU 0; the others follow.
pub const GICR_BASE: u64 = 0x3fd0_0000;

/// Size of one redistributor: a frame for control and a frame for private interrupts.
pub const GICR_STRIDE: u64 = 0x2_0000;

/// Interrupt of the UART.
pub const UART_INTID: u32 = 32;

/// Interrupt of the entropy device.
pub const VIRTIO_INTID: u32 = 33;

/// Private interrupt of the virtual timer.
pub const VIRTUAL_TIMER_INTID: u32 = 27;

/// Private interrupt of the physical timer.
pub const PHYSICAL_TIMER_INTID: u32 = 30;

/// Bytes described by one entry of a table at `level`.
#[must_use]
pub const fn entry_size(level: u64) -> u64 {
    PAGE_SIZE << (9 * 3_u64.saturating_sub(level))
}

/// Rounds down to the start of the entry at `level` that describes `ipa`.
#[must_use]
pub const fn entry_base(ipa: u64, level: u64) -> u64 {
    ipa & !(entry_size(level) - 1)
}

/// The address without the bit that tells protected from unprotected.
#[must_use]
pub const fn device_address(ipa: u64) -> u64 {
    ipa & (SHARED_BIT - 1)
}

/// Whether the address is in the half that the Realm shares.
#[must_use]
pub const fn is_unprotected(ipa: u64) -> bool {
    ipa & SHARED_BIT != 0
}

/// Affinity of the REC with this index, in `RmiRecMpidr` layout. Below 16 CPUs it is the index.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RmiRecMpidr`.
#[must_use]
pub const fn rec_mpidr(index: u64) -> u64 {
    (index & 0xf) | (index >> 4) << 8
}

/// Index of the REC with this affinity, in the architecture's layout.
#[must_use]
pub const fn rec_index(mpidr: u64) -> u64 {
    (mpidr & 0xf) | ((mpidr >> 8) & 0xff) << 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_sizes_are_those_of_a_4k_granule() {
        assert_eq!([entry_size(1), entry_size(2), entry_size(3)], [1 << 30, 1 << 21, 1 << 12]);
        assert_eq!(entry_base(0x8012_3456, 2), 0x8000_0000);
        assert_eq!(entry_base(0x8032_3456, 3), 0x8032_3000);
    }

    #[test]
    fn the_start_tables_cover_the_whole_space() {
        let covered = RTT_START_COUNT as u64 * 512 * entry_size(RTT_START_LEVEL);
        assert_eq!(covered, IPA_END);
    }

    #[test]
    fn affinities_go_both_ways() {
        for index in 0..40 {
            assert_eq!(rec_index(rec_mpidr(index)), index);
        }
    }

    #[test]
    fn aliases_differ_in_one_bit() {
        assert!(is_unprotected(RAM_BASE | SHARED_BIT) && !is_unprotected(RAM_BASE));
        assert_eq!(device_address(SHARED_BIT | UART_BASE), UART_BASE);
    }
}
