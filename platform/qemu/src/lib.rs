//! Facts of the QEMU `virt` board under TF-A with RME (`PLAT=qemu ENABLE_RME=1`): the machine we
//! run every day.
//!
//! For tools and tests. The image uses none of them: it learns memory and console from EL3, so one
//! image runs on every board.
//!
//! Source: TF-A 2.12.1, `plat/qemu/qemu/include/platform_def.h` and `docs/plat/qemu.rst`; QEMU
//! 10.0.2, `hw/arm/virt.c`.
#![no_std]
#![forbid(unsafe_code)]

use core::ops::Range;

/// Flash from which the board boots: BL1, then the firmware package.
pub const FLASH: Range<u64> = 0x0..0x0800_0000;
/// Byte offset of the firmware package (FIP) in the flash.
pub const FIP_OFFSET: u64 = 256 << 10;

/// GICv3 distributor.
pub const GIC_DISTRIBUTOR: u64 = 0x0800_0000;
/// GICv3 redistributors, one after the other.
pub const GIC_REDISTRIBUTORS: u64 = 0x080a_0000;

/// Page of the PL011 that EL3, the monitor and the Normal world share.
pub const CONSOLE: u64 = 0x0900_0000;

/// Secure SRAM and DRAM: EL3's own, never to be delegated.
pub const SECURE: Range<u64> = 0x0e00_0000..0x0f00_0000;

/// DRAM that EL3's manifest names, whatever is installed.
pub const DRAM: Range<u64> = 0x4000_0000..0x1_0000_0000;
/// Megabytes of memory (`-m`) that make the manifest true.
pub const MEMORY_MIB: u64 = 3072;

/// The device tree that QEMU and BL2 leave.
pub const DEVICE_TREE: Range<u64> = 0x4000_0000..0x4010_0000;
/// Where EL3 loads the monitor, up to the shared buffer.
pub const MONITOR: Range<u64> = 0x4010_0000..0x418f_f000;
/// The page that EL3 and the monitor share.
pub const SHARED_BUFFER: Range<u64> = 0x418f_f000..0x4190_0000;
/// Memory of the Normal world.
pub const NORMAL_WORLD: Range<u64> = 0x4190_0000..0x1_0000_0000;
/// Where EL3 loads the Normal world's first program (BL33).
pub const BL33: u64 = 0x6000_0000;

/// Console of the Normal world: the board has one PL011 for everybody.
pub const CONSOLE_NORMAL_WORLD: u64 = CONSOLE;
/// Interrupt of that console, counted from the first shared one.
pub const CONSOLE_INTERRUPT: u32 = 1;

/// Our Normal-world host: image, stacks and heap. It is loaded as BL33.
pub const HOST: Range<u64> = 0x6000_0000..0x6200_0000;
/// What the host is to do, as text that the machine's loader puts there.
pub const JOB: Range<u64> = 0x6200_0000..0x6210_0000;
/// Kernel of the guest, from the loader.
pub const KERNEL: Range<u64> = 0x6210_0000..0x6e00_0000;
/// Initial RAM disk of the guest, from the loader.
pub const INITRD: Range<u64> = 0x6e00_0000..0x7400_0000;
/// Memory that the host maps: what can be there at all.
pub const RAM: [Range<u64>; 1] = [DRAM];
/// Memory at which the host keeps away whatever the device tree says: the tree, the monitor, a
/// little room.
pub const RESERVED: Range<u64> = 0x4000_0000..0x4200_0000;

/// Most CPUs; EL3 tells the monitor this number whatever is installed.
pub const CPUS_MAX: u64 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_windows_follow_each_other_and_the_monitor_has_24_mib() {
        assert_eq!(DRAM.start, DEVICE_TREE.start);
        assert_eq!(DEVICE_TREE.end, MONITOR.start);
        assert_eq!(MONITOR.end, SHARED_BUFFER.start);
        assert_eq!(SHARED_BUFFER.end, NORMAL_WORLD.start);
        assert_eq!(NORMAL_WORLD.end, DRAM.end);
        assert_eq!(SHARED_BUFFER.end - MONITOR.start, 24 << 20);
        assert_eq!(DRAM.end - DRAM.start, MEMORY_MIB << 20);
        assert!(NORMAL_WORLD.contains(&BL33));
        for inside in [DEVICE_TREE, MONITOR, SHARED_BUFFER] {
            assert!(RESERVED.contains(&inside.start) && inside.end <= RESERVED.end);
        }
    }

    #[test]
    fn the_host_and_its_files_follow_each_other_in_normal_memory() {
        assert_eq!(HOST.start, BL33);
        for (before, after) in [(HOST, JOB), (JOB, KERNEL), (KERNEL, INITRD)] {
            assert!(before.end <= after.start);
        }
        assert!(NORMAL_WORLD.contains(&HOST.start) && NORMAL_WORLD.contains(&INITRD.end));
    }

    #[test]
    fn the_monitor_starts_on_a_64_kib_boundary_as_its_log_needs() {
        assert!(MONITOR.start.is_multiple_of(64 << 10));
    }
}
