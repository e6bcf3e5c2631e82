//! The boards that boot the EL3 of `tests/el3`, which stands in for TF-A: QEMU's loader puts
//! everything into memory, and tells that EL3 what to be.

use cairn_el3::board::{self, Board};
use cairn_el3::edition::Edition;
use cairn_el3::opening::Opening;

use crate::cli::Platform;
use crate::image::{HOST_FOR_SBSA, HOST_UNDER_STAND_IN, Program, STAND_IN, STAND_IN_FOR_SBSA};
use crate::job::{self, Layout};
use crate::qemu::Model;

/// One of them.
#[derive(Debug)]
pub(crate) struct StandIn {
    /// What EL3 is built for: where the monitor and the host are, and where EL3 looks for orders.
    pub board: &'static Board,
    /// The EL3.
    pub el3: Program,
    /// The host.
    pub host: Program,
    /// Where the host looks for its job.
    pub layout: &'static Layout,
    /// QEMU's machine.
    pub model: Model,
    /// Memory of another size than the machine's usual one, in MiB.
    memory: Option<u64>,
}

/// QEMU virt with so much memory that both banks of Arm FVP exist.
const FVP: StandIn = StandIn {
    board: &board::FVP,
    el3: STAND_IN,
    host: HOST_UNDER_STAND_IN,
    layout: &job::FVP,
    model: Model::Virt,
    memory: {
        let [_, last] = platform_fvp::DRAM;
        Some((last.end - platform_qemu::DRAM.start) >> 20)
    },
};

/// QEMU sbsa-ref.
const SBSA: StandIn = StandIn {
    board: &board::SBSA,
    el3: STAND_IN_FOR_SBSA,
    host: HOST_FOR_SBSA,
    layout: &job::SBSA,
    model: Model::Sbsa,
    memory: None,
};

impl StandIn {
    /// The one that plays this platform. For QEMU virt that is the one with FVP's memory map.
    pub(crate) const fn of(platform: Platform) -> &'static Self {
        match platform {
            Platform::Qemu | Platform::Fvp => &FVP,
            Platform::Sbsa => &SBSA,
        }
    }

    /// QEMU's arguments for its memory, of which only what is used takes any of ours.
    pub(crate) fn memory(&self) -> Vec<String> {
        let Some(mebibytes) = self.memory else { return Vec::new() };
        let object = format!("memory-backend-ram,id=ram,size={mebibytes}M,reserve=off");
        ["-object", &object, "-machine", "memory-backend=ram", "-m", &format!("{mebibytes}M")]
            .map(str::to_owned)
            .to_vec()
    }

    /// QEMU's arguments that tell EL3 what to open and which version of the interface to speak.
    pub(crate) fn orders(&self, opening: Opening, edition: Edition) -> Vec<String> {
        let order = |place: u64, number: u64| {
            ["-device".to_owned(), format!("loader,addr={place:#x},data={number},data-len=8")]
        };
        [
            order(self.board.opening(), opening.number()),
            order(self.board.edition(), edition.number()),
        ]
        .concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_banks_of_fvp_exist() {
        let memory = StandIn::of(Platform::Qemu).memory();
        assert_eq!(memory.last().map(String::as_str), Some("35840M"));
        assert!(StandIn::of(Platform::Sbsa).memory().is_empty());
    }

    #[test]
    fn orders_go_where_the_board_s_el3_looks() {
        let orders = StandIn::of(Platform::Sbsa).orders(Opening::All, Edition::V0);
        assert_eq!(orders[1], "loader,addr=0x10001900000,data=2,data-len=8");
        let orders = StandIn::of(Platform::Fvp).orders(Opening::Ordinary, Edition::V2);
        assert_eq!(orders[3], "loader,addr=0xffc00008,data=1,data-len=8");
    }
}
