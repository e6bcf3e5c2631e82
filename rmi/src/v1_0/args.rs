//! Arguments in registers, checked as far as that is possible without looking at any state.

use granule::{GranuleAddr, GranuleRange};
use realm::Rmm;

pub(super) use crate::args::{granule, host_page, level, rd, rec, rec_index, source};
use crate::ops::{Cause, Named, Operand};

/// The range of the one granule that is to be delegated or given back.
///
/// # Errors
///
/// `Unaligned`.
#[inline]
pub(super) fn one_granule(raw: u64) -> Result<GranuleRange, Cause> {
    let granule = GranuleAddr::new(raw).ok_or(Cause::Unaligned(Operand::Granule))?;
    Ok(GranuleRange::one(granule))
}

/// The two RECs of a RMI_PSCI_COMPLETE, which must differ.
///
/// # Errors
///
/// `Alias`, `Unaligned`, `Untracked`.
pub(super) fn calling_and_target<'t, M>(
    rmm: &Rmm<'t, M>,
    calling: u64,
    target: u64,
) -> Result<(Named<'t>, Named<'t>), Cause> {
    if calling == target {
        return Err(Cause::Alias(Operand::TargetRec));
    }
    let calling = granule(rmm, Operand::CallingRec, calling)?;
    Ok((calling, granule(rmm, Operand::TargetRec, target)?))
}
