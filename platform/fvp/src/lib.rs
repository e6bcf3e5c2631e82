//! Facts of the Arm FVP Base RevC board under TF-A with RME (`PLAT=fvp ENABLE_RME=1`).
//!
//! For tools and tests. The image uses none of them: it learns memory and console from EL3, so one image runs on every
//! board. The model itself is under a licence of its own and has not been run with this image.
//!
//! Source: TF-A 2.12.1, `include/plat/arm/common/arm_def.h`, `plat/arm/board/fvp`,
//! `docs/components/realm-management-extension.rst`.
#![no_std]
#![forbid(unsafe_code)]

use core::ops::Range;

/// GICv3 distributor.
pub const GIC_DISTRIBUTOR: u64 = 0x2f00_0000;
/// GICv3 redistributors, one after the other.
pub const GIC_REDISTRIBUTORS: u64 = 0x2f10_0000;
/// Bytes from one redistributor to the next, without GICv4.
pub const GIC_REDISTRIBUTOR_BYTES: u64 = 0x2_0000;

/// UART0: EL3 at boot.
pub const CONSOLE_BOOT: u64 = 0x1c09_0000;
/// UART1: EL3 at run time.
pub const CONSOLE_EL3: u64 = 0x1c0a_0000;
/// UART2: the Normal world's test programs.
pub const CONSOLE_NORMAL_WORLD: u64 = 0x1c0b_0000;
/// UART3: the monitor's console, which the manifest names.
pub const CONSOLE: u64 = 0x1c0c_0000;
/// Clock of the UARTs.
pub const CONSOLE_CLOCK_HZ: u64 = 14_745_600;
/// Baud rate of the UARTs.
pub const CONSOLE_BAUD: u64 = 115_200;

/// Where EL3 loads the monitor, up to the shared buffer.
pub const MONITOR: Range<u64> = 0xfdc0_0000..0xffbf_f000;
/// The page that EL3 and the monitor share.
pub const SHARED_BUFFER: Range<u64> = 0xffbf_f000..0xffc0_0000;
/// EL3's own memory.
pub const EL3: Range<u64> = 0xffc0_0000..0xfff0_0000;
/// The granule protection tables.
pub const GRANULE_PROTECTION: Range<u64> = 0xfff0_0000..0x1_0000_0000;

/// DRAM that EL3's manifest names: everything the Normal world has.
pub const DRAM: [Range<u64>; 2] = [0x8000_0000..0xfc00_0000, 0x8_8000_0000..0x9_0000_0000];

/// Most CPUs: two clusters of four.
pub const CPUS_MAX: u64 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserved_memory_is_above_the_first_bank_and_does_not_overlap() {
        let [first, second] = DRAM;
        assert!(first.end <= MONITOR.start);
        assert_eq!(MONITOR.end, SHARED_BUFFER.start);
        assert_eq!(SHARED_BUFFER.end, EL3.start);
        assert_eq!(EL3.end, GRANULE_PROTECTION.start);
        assert!(GRANULE_PROTECTION.end <= second.start);
    }

    #[test]
    fn the_monitor_starts_on_a_64_kib_boundary_as_its_log_needs() {
        assert!(MONITOR.start.is_multiple_of(64 << 10));
    }
}
