//! Commands about the monitor itself, and those that hand granules over.

use super::memory::put_pages;
use super::range::granules;
use crate::bench::Bench;
use crate::bench::fixture::{L1_SIZE, L2_SIZE, PAGE};
use crate::failure::Failure;
use crate::rmi::abi::VERSION_2_0;
use crate::rmi::v2_0::command::{
    GPT_INFO, GPT_L1_CREATE, GPT_L1_DESTROY, GRANULE_RANGE_DELEGATE, GRANULE_RANGE_UNDELEGATE,
    GRANULE_TRACKING_GET, GRANULE_TRACKING_SET, RMM_ACTIVATE, RMM_CONFIG_GET, RMM_CONFIG_SET,
    RMM_DEACTIVATE, RMM_STATE_GET,
};
use crate::rmi::{Command, command};

/// A command, and the name of its row.
pub(super) struct Asked {
    pub row: &'static str,
    pub command: Command,
    pub args: [u64; 5],
}

const fn asked(row: &'static str, command: Command, args: [u64; 5]) -> Asked {
    Asked { row, command, args }
}

/// Commands that take the monitor out of service and back into it, while no granule is delegated,
/// questions about it and about memory, and changes of what EL3 has laid down, which are refused.
pub(super) fn questions(bench: &Bench<'_>) -> Result<[Asked; 12], Failure> {
    const CONVENTIONAL: u64 = 0;
    const FINE: u64 = 2;
    // A page of zeros asks for what is usual, and is the host's as long as the list is used: the
    // host does nothing else then.
    let page = bench.host.take_page()?;
    bench.host.put_page(page);
    let base = page & !(L1_SIZE - 1);
    let top = base + L1_SIZE;
    Ok([
        asked("rmm_deactivate", RMM_DEACTIVATE, [0; 5]),
        asked("rmi_version", command::VERSION, [VERSION_2_0, 0, 0, 0, 0]),
        asked("rmm_config_set", RMM_CONFIG_SET, [page, 0, 0, 0, 0]),
        asked("rmm_activate", RMM_ACTIVATE, [0; 5]),
        asked("rmm_config_get", RMM_CONFIG_GET, [page, 0, 0, 0, 0]),
        asked("rmm_state_get", RMM_STATE_GET, [0; 5]),
        asked("rmi_features", command::FEATURES, [1, 0, 0, 0, 0]),
        asked("granule_tracking_get", GRANULE_TRACKING_GET, [page, top, 0, 0, 0]),
        asked("granule_tracking_set", GRANULE_TRACKING_SET, [base, CONVENTIONAL, FINE, 0, 0]),
        asked("gpt_info", GPT_INFO, [base, top, 0, 0, 0]),
        asked("gpt_l1_create", GPT_L1_CREATE, [base, 0, 0, 0, 0]),
        asked("gpt_l1_destroy", GPT_L1_DESTROY, [base, 0, 0, 0, 0]),
    ])
}

/// An order to the EL3 of the tests: from now on it refuses every count but one, as TF-A does. See
/// `cairn_el3::call`.
pub(super) const RUNS_REFUSED: [u64; 7] = [0xc200_0005, 1, 0, 0, 0, 0, 0];

/// 2 MiB and single granules: first with an EL3 that takes counts, if this one can be told to
/// refuse them, then with one that does not. What a monitor has learnt of EL3 it may keep for ever.
pub(super) fn delegation(bench: &Bench<'_>) -> Result<(), Failure> {
    let base = bench.host.take_pages(512, L2_SIZE)?;
    let top = base + L2_SIZE;
    let delegate = |top| granules(bench, GRANULE_RANGE_DELEGATE, base, top);
    let undelegate = |top| granules(bench, GRANULE_RANGE_UNDELEGATE, base, top);
    if bench.meter.is_some() {
        bench.row("range_delegate_2m_counted", delegate(top)?);
        bench.row("range_undelegate_2m_counted", undelegate(top)?);
        bench.host.machine().smc(RUNS_REFUSED);
        delegate(base + 2 * PAGE)?;
        undelegate(base + 2 * PAGE)?;
    }
    bench.row("range_delegate_2m", delegate(top)?);
    bench.row("range_undelegate_2m", undelegate(top)?);
    bench.row("range_delegate_1", delegate(base + PAGE)?);
    bench.row("range_undelegate_1", undelegate(base + PAGE)?);
    put_pages(bench, base, 512);
    Ok(())
}
