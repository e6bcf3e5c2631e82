//! Granule commands: delegate, undelegate.

use granule::delegation;
use granule::{Delegated, Undelegated};
use machine::{Log, Memory, RootWorld};
use realm::Rmm;

use crate::abi::{NONE, Outputs};
use crate::args::GRAN;
use crate::error::Refusal;

/// `RMI_GRANULE_DELEGATE`: hands one granule from the Host to the monitor.
///
/// # Errors
///
/// `gran_align`, `gran_bound`, `gran_state`, `gran_gpt`, all RMI_ERROR_INPUT.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_GRANULE_DELEGATE`.
pub fn delegate(rmm: &Rmm<'_, impl RootWorld>, addr: u64) -> Result<Outputs, Refusal> {
    let granule = GRAN.lock::<Undelegated, _>(rmm, addr)?;
    delegation::delegate(rmm.machine, &rmm.granules, granule)
        .map_err(|_| Refusal::input("gran_gpt"))?;
    Ok(NONE)
}

/// `RMI_GRANULE_UNDELEGATE`: hands one granule back to the Host.
///
/// # Errors
///
/// `gran_align`, `gran_bound`, `gran_state`, all RMI_ERROR_INPUT; the same if EL3 refuses, which the specification
/// does not foresee: the granule then stays DELEGATED, wiped, and is in the leak ledger.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_GRANULE_UNDELEGATE`.
pub fn undelegate<M: Memory + RootWorld + Log>(
    rmm: &Rmm<'_, M>,
    addr: u64,
) -> Result<Outputs, Refusal> {
    let granule = GRAN.lock::<Delegated, _>(rmm, addr)?;
    delegation::undelegate(rmm.machine, &rmm.granules, &rmm.ledger, granule)
        .map_err(|_| Refusal::input("el3_refused"))?;
    Ok(NONE)
}
