//! Facts about QEMU's `virt` machine under TF-A, and where the loader puts things.

use core::ops::Range;

/// The PL011 that EL3, the monitor, the host and the guest share.
pub const PL011_BASE: usize = 0x0900_0000;

/// The interrupt distributor.
pub const GICD_BASE: usize = 0x0800_0000;

/// The first redistributor.
pub const GICR_BASE: usize = 0x080A_0000;

/// Number of the PL011's shared interrupt.
pub const PL011_SPI: u32 = 1;

/// Where the job text is.
pub const JOB_TEXT: u64 = 0x6200_0000;

/// Where QEMU puts the device tree.
pub const DEVICE_TREE: u64 = 0x4000_0000;

/// Device tree, monitor, and a little room around them.
pub const FIRMWARE: Range<u64> = 0x4000_0000..0x4200_0000;

/// The host itself, with stacks and heap.
pub const HOST_IMAGE: Range<u64> = 0x6000_0000..0x6200_0000;

/// RAM that the host's own tables map.
pub const MAPPED_RAM: Range<u64> = 0x4000_0000..0x1_0000_0000;
