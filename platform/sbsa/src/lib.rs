//! Facts of the QEMU `sbsa-ref` board with RME, a server with its DRAM at 1 TiB, under the EL3 of
//! `tests/el3`.
//!
//! For tools and tests. The image uses none of them: it learns memory and console from EL3, so one
//! image runs on every board. The board's devices are QEMU's; where in DRAM each program stands is
//! what the EL3 of the tests chooses, in the order in which TF-A places them on QEMU virt.
//!
//! Source: QEMU 10.0.2, `docs/system/arm/sbsa.rst`, and what `info mtree -f` and the device tree of
//! the running board say.
#![no_std]
#![forbid(unsafe_code)]

use core::ops::Range;

/// Flash from which the board boots, for EL3 alone.
pub const FLASH: Range<u64> = 0x0..0x1000_0000;

/// GICv3 distributor.
pub const GIC_DISTRIBUTOR: u64 = 0x4006_0000;
/// GICv3 redistributors, one after the other.
pub const GIC_REDISTRIBUTORS: u64 = 0x4008_0000;

/// The PL011 that EL3, the monitor and the Normal world share.
pub const CONSOLE: u64 = 0x6000_0000;

/// Secure RAM: EL3's own, never to be delegated.
pub const SECURE: Range<u64> = 0x2000_0000..0x4000_0000;
/// The embedded controller, which EL3 alone reaches: 1 in its first word switches the board off.
pub const CONTROLLER: u64 = 0x5000_0000;

/// CPUs of a cluster: the values of affinity level 0.
pub const CLUSTER_CPUS: u64 = 8;

/// Megabytes of memory (`-m`).
pub const MEMORY_MIB: u64 = 4096;

/// All memory of the board, at 1 TiB.
const INSTALLED: Range<u64> = 0x100_0000_0000..0x101_0000_0000;

/// The device tree that QEMU leaves: memory, CPUs, interrupt controller, and nothing else.
pub const DEVICE_TREE: Range<u64> = 0x100_0000_0000..0x100_0010_0000;
/// Where EL3 has the monitor, up to the shared buffer.
pub const MONITOR: Range<u64> = 0x100_0010_0000..0x100_018f_f000;
/// The page that EL3 and the monitor share.
pub const SHARED_BUFFER: Range<u64> = 0x100_018f_f000..0x100_0190_0000;
/// EL3's own part of DRAM.
pub const EL3: Range<u64> = 0x100_0190_0000..0x100_01a0_0000;
/// DRAM that EL3's manifest names: everything the Normal world has.
pub const DRAM: [Range<u64>; 2] = [DEVICE_TREE, 0x100_01a0_0000..INSTALLED.end];
/// Where EL3 has the Normal world's first program (BL33).
pub const BL33: u64 = 0x100_2000_0000;

/// Console of the Normal world: the board has one PL011 outside the secure world.
pub const CONSOLE_NORMAL_WORLD: u64 = CONSOLE;
/// Interrupt of that console, counted from the first shared one.
pub const CONSOLE_INTERRUPT: u32 = 1;

/// Our Normal-world host: image, stacks and heap. It is loaded as BL33.
pub const HOST: Range<u64> = 0x100_2000_0000..0x100_2200_0000;
/// What the host is to do, as text that the machine's loader puts there.
pub const JOB: Range<u64> = 0x100_2200_0000..0x100_2210_0000;
/// Kernel of the guest, from the loader.
pub const KERNEL: Range<u64> = 0x100_2210_0000..0x100_2e00_0000;
/// Initial RAM disk of the guest, from the loader.
pub const INITRD: Range<u64> = 0x100_2e00_0000..0x100_3400_0000;
/// Memory that the host maps: what can be there at all.
pub const RAM: [Range<u64>; 1] = [INSTALLED];
/// Memory at which the host keeps away whatever the device tree says: the tree, the monitor, EL3, a
/// little room.
pub const RESERVED: Range<u64> = 0x100_0000_0000..0x100_0200_0000;

/// Most CPUs; EL3 tells the monitor this number whatever is installed. The board itself takes 512.
pub const CPUS_MAX: u64 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_windows_follow_each_other_from_the_start_of_memory() {
        let [tree, rest] = DRAM;
        assert_eq!(INSTALLED.start, tree.start);
        assert_eq!(tree.end, MONITOR.start);
        assert_eq!(MONITOR.end, SHARED_BUFFER.start);
        assert_eq!(SHARED_BUFFER.end, EL3.start);
        assert_eq!(EL3.end, rest.start);
        assert_eq!(rest.end, INSTALLED.end);
        assert_eq!(INSTALLED.end - INSTALLED.start, MEMORY_MIB << 20);
        for inside in [DEVICE_TREE, MONITOR, SHARED_BUFFER, EL3] {
            assert!(RESERVED.contains(&inside.start) && inside.end <= RESERVED.end);
        }
        assert_eq!(INSTALLED.start, 1 << 40);
    }

    #[test]
    fn the_host_and_its_files_follow_each_other_in_normal_memory() {
        assert_eq!(HOST.start, BL33);
        for (before, after) in [(RESERVED, HOST), (HOST, JOB), (JOB, KERNEL), (KERNEL, INITRD)] {
            assert!(before.end <= after.start);
        }
        let [_, rest] = DRAM;
        assert!(rest.contains(&HOST.start) && rest.contains(&INITRD.end));
    }

    #[test]
    fn the_monitor_starts_on_a_64_kib_boundary_as_its_log_needs() {
        assert!(MONITOR.start.is_multiple_of(64 << 10));
    }
}
