//! Facts of the board that the host is built for; all of them stand in the board's own crate.

use core::ops::Range;

#[cfg(all(feature = "fvp", not(any(feature = "stand-in", feature = "sbsa"))))]
use platform_fvp as board;
#[cfg(not(any(feature = "fvp", feature = "stand-in", feature = "sbsa")))]
use platform_qemu as board;
#[cfg(feature = "sbsa")]
use platform_sbsa as board;

/// What the EL3 of the tests makes of QEMU virt.
#[cfg(all(feature = "stand-in", not(feature = "sbsa")))]
mod board {
    pub(crate) use platform_fvp::{DEVICE_TREE, HOST, JOB, MONITOR, RAM, RESERVED};
    pub(crate) use platform_qemu::{
        CONSOLE_INTERRUPT, CONSOLE_NORMAL_WORLD, GIC_DISTRIBUTOR, GIC_REDISTRIBUTORS,
    };
}

/// The PL011 of the Normal world.
pub(crate) const PL011_BASE: u64 = board::CONSOLE_NORMAL_WORLD;

/// The interrupt distributor.
pub(crate) const GICD_BASE: u64 = board::GIC_DISTRIBUTOR;

/// The first redistributor.
pub(crate) const GICR_BASE: u64 = board::GIC_REDISTRIBUTORS;

/// Number of the PL011's shared interrupt.
pub(crate) const PL011_SPI: u32 = board::CONSOLE_INTERRUPT;

/// Shared interrupts that no device has, for the first and the second CPU: 200 and 201 are 232 and
/// 233 of the distributor.
pub(crate) const PROGRAM_SPIS: [u32; 2] = [200, 201];

/// Where the job text is.
pub(crate) const JOB_TEXT: u64 = board::JOB.start;

/// Where the device tree is if nobody says.
pub(crate) const DEVICE_TREE: u64 = board::DEVICE_TREE.start;

/// What belongs to the firmware, with a little room around it.
pub(crate) const FIRMWARE: Range<u64> = board::RESERVED;

/// The first page of the monitor.
pub(crate) const MONITOR: u64 = board::MONITOR.start;

/// The host itself, with stacks and heap.
pub(crate) const HOST_IMAGE: Range<u64> = board::HOST;

/// RAM that the host's own tables map, in ascending order.
pub(crate) const MAPPED_RAM: &[Range<u64>] = &board::RAM;

/// The GiB that holds the host's image; the tables describe it in blocks of 2 MiB.
pub(crate) const HOST_GIB: u64 = HOST_IMAGE.start >> 30;

/// The 2 MiB block of that GiB with the host's code.
pub(crate) const HOST_BLOCK: u64 = (HOST_IMAGE.start >> 21) % 512;

/// GiBs that the tables map as normal memory: those that RAM begins, fills or ends in.
pub(crate) const fn is_normal_gib(gib: u64) -> bool {
    let (start, end) = (gib << 30, (gib + 1) << 30);
    let mut rest = MAPPED_RAM;
    while let [bank, others @ ..] = rest {
        if bank.start < end && start < bank.end {
            return true;
        }
        rest = others;
    }
    false
}
