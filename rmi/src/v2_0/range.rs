//! Commands on ranges: what the Host passes with them, and how far they got.

use ::granule::{Budget, GranuleRange, Progress, RangeError};
use machine::{HostMemory, Log, Machine, Memory, RootWorld, Stage2Tlb, Vcpu};
use realm::Rmm;

use super::choices;
use super::table::Reply;
use crate::ops::granule::{self, AlreadyThere};
use crate::ops::{Cause, Named};

/// A range of physical addresses.
///
/// # Errors
///
/// `RangeUnaligned`, `RangeEmpty`, `RangeBound`.
fn granules(base: u64, top: u64) -> Result<GranuleRange, Cause> {
    GranuleRange::new(base, top).map_err(|error| match error {
        RangeError::Unaligned => Cause::RangeUnaligned,
        RangeError::Empty => Cause::RangeEmpty,
        RangeError::OutOfBounds => Cause::RangeBound,
    })
}

/// `RMI_GRANULE_RANGE_DELEGATE`: how far it got.
///
/// # Errors
///
/// `RangeUnaligned`, `RangeEmpty`, `RangeBound`, and those of [`granule::delegate`].
pub(super) fn delegate<M: RootWorld + Vcpu>(
    rmm: &Rmm<'_, M>,
    base: u64,
    top: u64,
) -> Result<[u64; 1], Cause> {
    let already = if choices::DELEGATED_IS_PROGRESS {
        AlreadyThere::IsProgress
    } else {
        AlreadyThere::IsRefused
    };
    let Progress { reached } =
        granule::delegate(rmm, granules(base, top)?, already, Budget::TABLE)?;
    Ok([reached])
}

/// `RMI_GRANULE_RANGE_UNDELEGATE`: how far it got.
///
/// # Errors
///
/// `RangeUnaligned`, `RangeEmpty`, `RangeBound`, and those of [`granule::undelegate`].
pub(super) fn undelegate<M: Memory + RootWorld + Vcpu + Log>(
    rmm: &Rmm<'_, M>,
    base: u64,
    top: u64,
) -> Result<[u64; 1], Cause> {
    let range = granules(base, top)?;
    let Progress { reached } =
        granule::undelegate(rmm, range, AlreadyThere::IsProgress, Budget::TABLE)?;
    Ok([reached])
}

/// TODO
pub(super) fn map_data<M: Machine>(
    rmm: &Rmm<'_, M>,
    rd: Named<'_>,
    range: (u64, u64),
    flags: u64,
    addresses: u64,
) -> Result<Reply, Cause> {
    todo!()
}
/// TODO
pub(super) fn unmap_data<M: Machine>(
    rmm: &Rmm<'_, M>,
    rd: Named<'_>,
    range: (u64, u64),
    flags: u64,
    addresses: u64,
) -> Result<Reply, Cause> {
    todo!()
}
/// TODO
pub(super) fn map_host<M: Machine>(
    rmm: &Rmm<'_, M>,
    rd: Named<'_>,
    range: (u64, u64),
    flags: u64,
    addresses: u64,
) -> Result<Reply, Cause> {
    todo!()
}
/// TODO
pub(super) fn unmap_host<M: Machine>(
    rmm: &Rmm<'_, M>,
    rd: Named<'_>,
    range: (u64, u64),
    flags: u64,
    addresses: u64,
) -> Result<Reply, Cause> {
    todo!()
}
