//! The monitor's own state: configured, activated, deactivated.

use machine::HostMemory;
use machine::addr::PAGE_BYTES;
use realm::Rmm;

use super::args;
use crate::dialect::Stage;
use crate::ops::{Cause, HostPage};

/// `tracking_region_size` and `rmi_granule_size` of `RmmConfig`: the smallest of each, 1 GiB and 4
/// KiB, and the only ones that are offered.
const SMALLEST: u8 = 0;

/// `RMI_RMM_CONFIG_SET`. Nothing is kept: there is one configuration.
///
/// # Errors
///
/// `HostUnaligned`, `HostUntracked`, `HostFault`, `Config`.
///
/// Source: RMM specification (Arm DEN0137) 2.0, `RMI_RMM_CONFIG_SET`, `RmmConfig`: both fields are
/// bytes; the rest of the page is ignored.
pub(super) fn set(rmm: &Rmm<'_, impl HostMemory>, page: u64) -> Result<(), Cause> {
    let page = args::host_page(rmm, HostPage::Config, page)?;
    let mut words = [0; 2];
    rmm.machine.read_host(page, 0, &mut words).map_err(|_| Cause::HostFault(HostPage::Config))?;
    let fields = words.map(|word: u64| word.to_le_bytes()).map(|[lowest, ..]| lowest);
    if fields == [SMALLEST; 2] { Ok(()) } else { Err(Cause::Config) }
}

/// `RMI_RMM_CONFIG_GET`.
///
/// # Errors
///
/// `HostUnaligned`, `HostUntracked`, `HostFault`.
pub(super) fn get(rmm: &Rmm<'_, impl HostMemory>, page: u64) -> Result<(), Cause> {
    const PIECE: usize = 64;
    let page = args::host_page(rmm, HostPage::Config, page)?;
    // Both fields have the code 0, and so has what stands around them.
    for offset in (0..PAGE_BYTES).step_by(PIECE * size_of::<u64>()) {
        rmm.machine
            .write_host(page, offset, &[0; PIECE])
            .map_err(|_| Cause::HostFault(HostPage::Config))?;
    }
    Ok(())
}

/// `RMI_RMM_ACTIVATE`. All that is needed for it the monitor has had since boot.
///
/// # Errors
///
/// `Inactive`: it is active already.
pub(super) fn activate<M>(rmm: &Rmm<'_, M>) -> Result<(), Cause> {
    let is_first = Stage::V2_0Inactive.change(rmm, Stage::V2_0Active);
    if is_first { Ok(()) } else { Err(Cause::MonitorState) }
}

/// `RMI_RMM_DEACTIVATE`: the monitor is as at boot; the next Host may speak another version.
///
/// # Errors
///
/// `Busy` if an operation is not finished, or another CPU carries out a command; `GranulesHeld`;
/// `MonitorState`.
///
/// Source: RMM specification (Arm DEN0137) 2.0, `RMI_RMM_DEACTIVATE`.
pub(super) fn deactivate<M>(rmm: &Rmm<'_, M>) -> Result<(), Cause> {
    // From here on commands of other CPUs are refused; those that have begun are counted.
    if !Stage::V2_0Active.change(rmm, Stage::V2_0Leaving) {
        return Err(Cause::MonitorState);
    }
    let allowed = check_idle(rmm);
    let next = if allowed.is_ok() { Stage::Unchosen } else { Stage::V2_0Active };
    let is_changed = Stage::V2_0Leaving.change(rmm, next);
    debug_assert!(is_changed, "only the CPU that is leaving goes on from there");
    allowed
}

/// Whether nothing is the monitor's, and nobody is at work.
fn check_idle<M>(rmm: &Rmm<'_, M>) -> Result<(), Cause> {
    // The command that asks is one itself.
    const OWN: u32 = 1;
    // First: what a command has done that ends after this is seen below.
    if rmm.host.commands() > OWN || !rmm.operations.is_idle() {
        return Err(Cause::Busy);
    }
    if rmm.granules.account().held() == 0 { Ok(()) } else { Err(Cause::GranulesHeld) }
}

/// `RMI_RMM_STATE_GET`: 0 INIT, 1 ACTIVE (OQ-2).
pub(super) fn state<M>(rmm: &Rmm<'_, M>) -> u64 {
    match Stage::of(rmm) {
        Stage::V2_0Active | Stage::V2_0Leaving => 1,
        Stage::Unchosen
        | Stage::V1_0Asked
        | Stage::V2_0Asked
        | Stage::V1_0
        | Stage::V2_0Inactive => 0,
    }
}
