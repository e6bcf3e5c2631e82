//! Facts of the Arm FVP Base RevC board under TF-A with RME (`PLAT=fvp ENABLE_RME=1`).
//!
//! For tools and tests. The image uses none of them: it learns memory and console from EL3, so one
//! image runs on every board. The model itself is under a licence of its own and has not been run
//! with this image.
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
/// UART2: test programs that bring their own driver.
pub const CONSOLE_TESTS: u64 = 0x1c0b_0000;
/// Console of the Normal world, which EL3 has set up at boot: UART0.
pub const CONSOLE_NORMAL_WORLD: u64 = CONSOLE_BOOT;
/// Interrupt of that console, counted from the first shared one.
pub const CONSOLE_INTERRUPT: u32 = 5;
/// UART3: the monitor's console, which the manifest names.
pub const CONSOLE: u64 = 0x1c0c_0000;
/// Clock of the monitor's UART, as the manifest says (`FVP_RMM_CONSOLE_CLK_IN_HZ`).
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

/// Where BL2 puts the device tree for the Normal world, and room for it.
///
/// Source: TF-A 2.12.1, `plat/arm/board/fvp/fdts/fvp_fw_config.dts`, `hw-config`,
/// `secondary-load-address`.
pub const DEVICE_TREE: Range<u64> = 0x8200_0000..0x8210_0000;
/// Where EL3 loads the Normal world's first program (BL33).
///
/// Source: TF-A 2.12.1, `plat/arm/board/fvp/include/platform_def.h`, `PLAT_ARM_NS_IMAGE_BASE`.
pub const BL33: u64 = 0x8800_0000;
/// NOR flash 0, from which BL1 reads the firmware package.
///
/// Source: TF-A 2.12.1, `include/plat/arm/board/common/v2m_def.h`, `V2M_FLASH0_BASE` and
/// `V2M_FLASH0_SIZE`.
pub const FLASH: Range<u64> = 0x0800_0000..0x0c00_0000;
/// Trusted ROM with BL1.
///
/// Source: TF-A 2.12.1, `plat/arm/board/fvp/include/platform_def.h`, `PLAT_ARM_TRUSTED_ROM_SIZE`.
pub const ROM: Range<u64> = 0x0..0x0400_0000;

/// Our Normal-world host: image, stacks and heap. It is loaded as BL33.
pub const HOST: Range<u64> = 0x8800_0000..0x8a00_0000;
/// What the host is to do, as text that the model puts there.
pub const JOB: Range<u64> = 0x8a00_0000..0x8a10_0000;
/// Kernel of the guest, from the model.
pub const KERNEL: Range<u64> = 0x8a10_0000..0x9600_0000;
/// Initial RAM disk of the guest, from the model.
pub const INITRD: Range<u64> = 0x9600_0000..0x9c00_0000;
/// Memory that the host maps: what can be there at all.
pub const RAM: [Range<u64>; 2] = DRAM;
/// Memory at which the host keeps away whatever the device tree says: EL3's configuration and the
/// tree.
pub const RESERVED: Range<u64> = 0x8000_0000..0x8300_0000;

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

    #[test]
    fn the_host_and_its_files_follow_each_other_in_the_first_bank() {
        assert_eq!(HOST.start, BL33);
        for (before, after) in
            [(RESERVED, HOST), (HOST, JOB), (JOB, KERNEL), (KERNEL, INITRD), (INITRD, MONITOR)]
        {
            assert!(before.end <= after.start);
        }
        let [first, _] = DRAM;
        assert!(first.contains(&RESERVED.start) && first.contains(&INITRD.end));
        assert!(RESERVED.contains(&DEVICE_TREE.start) && DEVICE_TREE.end <= RESERVED.end);
    }
}
