//! Arguments in registers, checked as far as that is possible without looking at any state.

use realm::Rmm;

pub(super) use crate::args::{granule, host_page, level, rd, rec, rec_index, source};
use crate::ops::{Cause, Named, Operand};

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
