//! Commands on ranges, each again and again from where it ended: all calls together are the cost.

use crate::bench::{Bench, Cost};
use crate::failure::Failure;
use crate::rmi::Command;
use crate::rmi::v2_0::SHARED;
use crate::rmi::v2_0::SINGLE;
use crate::rmi::v2_0::command::{RTT_DATA_MAP, RTT_DATA_UNMAP, RTT_UNPROT_MAP, RTT_UNPROT_UNMAP};
use crate::rmi::v2_0::descriptor::AddrRange;

/// Issues a command that takes it from the first address to the second, and gives back how far it
/// got in X1, until all is done.
pub(super) fn whole(
    bench: &Bench<'_>,
    command: Command,
    (base, top): (u64, u64),
    args: impl Fn(u64) -> [u64; 5],
) -> Result<Cost, Failure> {
    let mut cost = Cost::default();
    let mut at = base;
    while at < top {
        let answer = bench.call(command, args(at))?;
        cost += answer.cost;
        if answer.x1 <= at || answer.x1 > top {
            let name = command.name();
            return Err(failure!("{name} at {at:#x}, up to {top:#x}, went to {:#x}", answer.x1));
        }
        at = answer.x1;
    }
    Ok(cost)
}

/// Delegates a range, or takes it back.
pub(super) fn granules(
    bench: &Bench<'_>,
    command: Command,
    base: u64,
    top: u64,
) -> Result<Cost, Failure> {
    whole(bench, command, (base, top), |at| [at, top, 0, 0, 0])
}

/// Memory of one kind that is mapped somewhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mapping {
    /// The Realm.
    pub rd: u64,
    /// First intermediate physical address.
    pub ipa: u64,
    /// First physical address.
    pub pa: u64,
    /// Bytes.
    pub size: u64,
}

impl Mapping {
    const fn end(self) -> u64 {
        self.ipa + self.size
    }

    /// `RMI_RTT_DATA_MAP`.
    pub(super) fn map(self, bench: &Bench<'_>) -> Result<Cost, Failure> {
        self.map_as(bench, RTT_DATA_MAP, SINGLE, false)
    }

    /// `RMI_RTT_UNPROT_MAP`.
    pub(super) fn share(self, bench: &Bench<'_>) -> Result<Cost, Failure> {
        self.map_as(bench, RTT_UNPROT_MAP, SINGLE | SHARED, true)
    }

    fn map_as(
        self,
        bench: &Bench<'_>,
        command: Command,
        flags: u64,
        undelegated: bool,
    ) -> Result<Cost, Failure> {
        whole(bench, command, (self.ipa, self.end()), |at| {
            let done = at - self.ipa;
            let memory = AddrRange::delegated(self.pa + done, self.size - done);
            let memory = AddrRange { undelegated, ..memory };
            [self.rd, at, self.end(), flags, memory.encode()]
        })
    }

    /// `RMI_RTT_DATA_UNMAP`.
    pub(super) fn unmap(self, bench: &Bench<'_>) -> Result<Cost, Failure> {
        self.unmap_as(bench, RTT_DATA_UNMAP)
    }

    /// `RMI_RTT_UNPROT_UNMAP`.
    pub(super) fn unshare(self, bench: &Bench<'_>) -> Result<Cost, Failure> {
        self.unmap_as(bench, RTT_UNPROT_UNMAP)
    }

    fn unmap_as(self, bench: &Bench<'_>, command: Command) -> Result<Cost, Failure> {
        whole(bench, command, (self.ipa, self.end()), |at| [self.rd, at, self.end(), SINGLE, 0])
    }
}
