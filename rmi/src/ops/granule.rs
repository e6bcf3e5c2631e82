//! Granules on their way between Host and monitor.

use granule::delegation;
use granule::{Delegated, Undelegated};
use machine::{Log, Memory, RootWorld};
use realm::Rmm;

use super::{Cause, Named};

/// Hands one granule from the Host to the monitor.
///
/// # Errors
///
/// `State`, `NotDelegated`.
pub fn delegate(rmm: &Rmm<'_, impl RootWorld>, granule: Named<'_>) -> Result<(), Cause> {
    let granule = granule.lock::<Undelegated>()?;
    delegation::delegate(rmm.machine, &rmm.granules, granule).map_err(|_| Cause::NotDelegated)?;
    Ok(())
}

/// Hands one granule back to the Host.
///
/// # Errors
///
/// `State`; `NotUndelegated` if EL3 refuses, which the specification does not foresee.
pub fn undelegate<M: Memory + RootWorld + Log>(
    rmm: &Rmm<'_, M>,
    granule: Named<'_>,
) -> Result<(), Cause> {
    let granule = granule.lock::<Delegated>()?;
    delegation::undelegate(rmm.machine, &rmm.granules, &rmm.ledger, granule)
        .map_err(|_| Cause::NotUndelegated)
}
