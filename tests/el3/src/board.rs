//! The boards that this EL3 is built for, as data: which devices QEMU gives it, and which memory
//! map it makes of them.

use core::ops::Range;

use platform_fvp as fvp;
use platform_qemu as virt;
use platform_sbsa as sbsa;

use crate::gpt::Gpi;

/// One board.
#[derive(Debug)]
pub struct Board {
    /// What it is, for people.
    pub name: &'static str,
    /// The PL011 that all worlds share.
    pub console: u64,
    /// The interrupt distributor.
    pub distributor: u64,
    /// The first redistributor.
    pub redistributors: u64,
    /// All devices that EL3 itself uses are in here.
    pub devices: Range<u64>,
    /// How the machine is switched off: what is written where, in this order.
    pub switch_off: &'static [(u64, u32)],
    /// CPUs of a cluster, as a power of two.
    pub cluster_bits: u32,
    /// Secure RAM, the first 16 MiB of which are this EL3's.
    pub secure: Range<u64>,
    /// The first byte of RAM, where QEMU leaves the device tree.
    pub ram: u64,
    /// Where the Normal world finds the tree.
    pub device_tree: Range<u64>,
    /// The monitor's window.
    pub monitor: Range<u64>,
    /// The page that EL3 and the monitor share.
    pub shared_buffer: Range<u64>,
    /// Memory of EL3 that it does not use itself: here the machine's loader leaves its orders.
    pub orders: u64,
    /// The Normal world's first program.
    pub bl33: u64,
    /// The number of CPUs that the monitor is told.
    pub cpus: u64,
    /// The banks that the manifest names: what the Normal world has.
    pub dram: [Range<u64>; 2],
    /// Physical addresses that granule protection covers, in bits.
    pub protected_bits: u32,
    /// GiBs that belong as a whole to somebody.
    pub whole: &'static [(u64, Gpi)],
    /// GiBs whose granules are described one by one.
    pub tables: &'static [u64],
    /// What is in those besides `dram`, the monitor's window and the shared page.
    pub others: &'static [(Range<u64>, Gpi)],
}

/// QEMU virt, with the memory map of Arm FVP Base RevC.
pub const FVP: Board = Board {
    name: "Arm FVP",
    console: virt::CONSOLE,
    distributor: virt::GIC_DISTRIBUTOR,
    redistributors: virt::GIC_REDISTRIBUTORS,
    devices: 0x0800_0000..0x0c00_0000,
    // A line of the secure GPIO is an output, low, then high.
    switch_off: &[(0x090b_0400, 1), (0x090b_0004, 0), (0x090b_0004, 1)],
    cluster_bits: 4,
    secure: virt::SECURE,
    ram: virt::DRAM.start,
    device_tree: fvp::DEVICE_TREE,
    monitor: fvp::MONITOR,
    shared_buffer: fvp::SHARED_BUFFER,
    orders: fvp::EL3.start,
    bl33: fvp::BL33,
    cpus: fvp::CPUS_MAX,
    dram: fvp::DRAM,
    protected_bits: 36,
    // Devices, flash, secure RAM: what keeps the Normal world from the latter does not matter here.
    // Then the GiB where QEMU puts the device tree.
    whole: &[(0, Gpi::Any), (1, Gpi::NonSecure)],
    tables: &[2, 3, 34, 35],
    others: &[
        (fvp::EL3, Gpi::Root),
        (fvp::GRANULE_PROTECTION, Gpi::Root),
        (fvp::DRAM[0].end..fvp::MONITOR.start, Gpi::Secure),
    ],
};

/// QEMU sbsa-ref.
pub const SBSA: Board = Board {
    name: "QEMU sbsa-ref",
    console: sbsa::CONSOLE,
    distributor: sbsa::GIC_DISTRIBUTOR,
    redistributors: sbsa::GIC_REDISTRIBUTORS,
    devices: 0x4000_0000..0x6100_0000,
    switch_off: &[(sbsa::CONTROLLER, 1)],
    cluster_bits: sbsa::CLUSTER_CPUS.trailing_zeros(),
    secure: sbsa::SECURE,
    ram: sbsa::DEVICE_TREE.start,
    device_tree: sbsa::DEVICE_TREE,
    monitor: sbsa::MONITOR,
    shared_buffer: sbsa::SHARED_BUFFER,
    orders: sbsa::EL3.start,
    bl33: sbsa::BL33,
    cpus: sbsa::CPUS_MAX,
    dram: sbsa::DRAM,
    protected_bits: 42,
    // Flash and secure RAM, then devices.
    whole: &[(0, Gpi::Any), (1, Gpi::Any)],
    tables: &[1024, 1025, 1026, 1027],
    others: &[(sbsa::EL3, Gpi::Root)],
};

/// All of them.
pub const ALL: [&Board; 2] = [&FVP, &SBSA];

impl Board {
    /// Where the loader puts the number of an [`crate::opening::Opening`].
    #[must_use]
    pub const fn opening(&self) -> u64 {
        self.orders
    }

    /// Where the loader puts the number of an [`crate::edition::Edition`].
    #[must_use]
    pub const fn edition(&self) -> u64 {
        self.orders + 8
    }

    /// Where the loader puts the platform's token: a word with its length in bytes, then the token.
    #[must_use]
    pub const fn token(&self) -> u64 {
        self.orders + 16
    }

    /// Where the level 0 table of granule protection is: secure RAM that nobody else uses, behind
    /// zeroed data and stacks.
    #[must_use]
    pub const fn level_0(&self) -> u64 {
        self.secure.start + 0x10_0000
    }

    /// Where the level 1 tables are.
    #[must_use]
    pub const fn level_1(&self) -> u64 {
        self.secure.start + 0x20_0000
    }

    /// A word of secure RAM that says that the first CPU has got as far as its tables.
    #[must_use]
    pub const fn ready(&self) -> u64 {
        self.level_1() - 0x1000
    }

    /// Whether a word at `pa` is RAM that no part of this program occupies.
    #[must_use]
    pub const fn is_outside(&self, pa: u64) -> bool {
        (pa >= self.level_0() && pa < self.secure.end) || pa >= self.ram
    }

    /// Linear index of a CPU.
    #[must_use]
    pub fn index_of(&self, mpidr: u64) -> usize {
        let [aff0, aff1, ..] = mpidr.to_le_bytes();
        usize::from(aff0) + (usize::from(aff1) << self.cluster_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{gpt, token};

    #[test]
    fn what_this_el3_uses_has_a_place_of_its_own() {
        for board in ALL {
            let level_0_end = board.level_0() + 8 * gpt::level_0_entries(board);
            assert!(level_0_end <= board.ready(), "{}", board.name);
            assert!(board.level_0().is_multiple_of(8 * gpt::level_0_entries(board)));
            let tables = board.tables.len() as u64 * gpt::LEVEL_1_BYTES;
            assert!(board.level_1() + tables <= board.secure.end, "{}", board.name);
            assert!(board.is_outside(board.level_0()) && !board.is_outside(board.secure.start));
            assert!(board.is_outside(board.orders) && !board.is_outside(board.console));
            assert_eq!(gpt::initial(board, board.token() + token::LENGTH_MAX), Gpi::Root);
        }
    }

    #[test]
    fn all_devices_are_where_devices_are() {
        for board in ALL {
            let last = board.redistributors + board.cpus * 0x2_0000 - 4;
            let off = board.switch_off.iter().map(|(pa, _)| *pa);
            for pa in [board.console, board.distributor, board.redistributors, last]
                .into_iter()
                .chain(off)
            {
                assert!(board.devices.contains(&pa), "{}: {pa:#x}", board.name);
            }
        }
    }

    #[test]
    fn cpus_are_counted_through_their_clusters() {
        assert_eq!([0, 7, 0x100, 0x101].map(|mpidr| SBSA.index_of(mpidr)), [0, 7, 8, 9]);
        assert_eq!([0, 15, 0x100].map(|mpidr| FVP.index_of(mpidr)), [0, 15, 16]);
    }
}
