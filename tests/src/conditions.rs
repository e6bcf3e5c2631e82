//! The conditions of the specification that must have a scenario.
//!
//! Written from the specification, not from what happens to be tested: a scenario
//! `command/condition`, or one whose name goes on from there, covers a condition. A condition
//! without a scenario fails the build's tests.
//!
//! Source: RMM specification (Arm DEN0137) 1.0, B4.3, B5.3, B6, A4.3.

use alloc::string::String;
use alloc::vec::Vec;

/// Each command, call and event: its clause of RMM 1.0, and its conditions.
pub static CONDITIONS: &[(&str, &str, &str)] = &[
    ("version", "B4.3.23", "supported unsupported"),
    ("features", "B4.3.4", "register_0 other_registers"),
    ("granule_delegate", "B4.3.5", "gran_align gran_bound gran_state gran_gpt success"),
    ("granule_undelegate", "B4.3.6", "gran_align gran_bound gran_state success el3_refuses"),
    (
        "data_create",
        "B4.3.1",
        "src_align src_bound src_pas data_align data_bound data_state data_bound2 rd_align rd_bound rd_state ipa_align \
         ipa_bound realm_state rtt_walk rtte_state success",
    ),
    (
        "data_create_unknown",
        "B4.3.2",
        "data_align data_bound data_state data_bound2 rd_align rd_bound rd_state ipa_align ipa_bound rtt_walk rtte_state success",
    ),
    (
        "data_destroy",
        "B4.3.3",
        "rd_align rd_bound rd_state ipa_align ipa_bound rtt_walk rtte_state success",
    ),
    ("realm_activate", "B4.3.8", "rd_align rd_bound rd_state realm_state success"),
    (
        "realm_create",
        "B4.3.9",
        "params_align params_bound params_pas params_valid params_supp alias rd_align rd_bound rd_state rtt_align \
         rtt_num_level rtt_state vmid_valid success",
    ),
    ("realm_destroy", "B4.3.10", "rd_align rd_bound rd_state realm_live success"),
    ("rec_aux_count", "B4.3.11", "rd_align rd_bound rd_state success"),
    (
        "rec_create",
        "B4.3.12",
        "params_align params_bound params_pas rec_align rec_bound rec_gran_state rd_align rd_bound rd_state realm_state num_recs \
         mpidr_index num_aux aux_align aux_alias aux_state success",
    ),
    ("rec_destroy", "B4.3.13", "rec_align rec_bound rec_gran_state rec_state success"),
    (
        "rec_enter",
        "B4.3.14, A4.2",
        "run_align run_bound run_pas rec_align rec_bound rec_gran_state realm_new system_off rec_state rec_runnable rec_mmio \
         rec_gicv3 rec_psci success emul_mmio inject_sea",
    ),
    (
        "rtt_create",
        "B4.3.15",
        "rd_align rd_bound rd_state level_bound ipa_align ipa_bound rtt_align rtt_bound rtt_state rtt_bound2 rtt_walk rtte_state success",
    ),
    (
        "rtt_destroy",
        "B4.3.16",
        "rd_align rd_bound rd_state level_bound ipa_align ipa_bound rtt_walk rtte_state rtt_live success",
    ),
    (
        "rtt_fold",
        "B4.3.17",
        "rd_align rd_bound rd_state level_bound ipa_align ipa_bound rtt_walk rtte_state rtt_homo success",
    ),
    (
        "rtt_init_ripas",
        "B4.3.18",
        "rd_align rd_bound rd_state size_valid top_bound top_gran_align realm_state base_align rtte_state no_progress success",
    ),
    (
        "rtt_set_ripas",
        "B4.3.21",
        "rd_align rd_bound rd_state rec_align rec_bound rec_gran_state size_valid top_gran_align rec_state rec_owner base_bound \
         top_bound base_align no_progress success",
    ),
    (
        "rtt_map_unprotected",
        "B4.3.19",
        "attr_valid rd_align rd_bound rd_state level_bound addr_align addr_bound ipa_align ipa_bound rtt_walk rtte_state success",
    ),
    (
        "rtt_read_entry",
        "B4.3.20",
        "rd_align rd_bound rd_state level_bound ipa_align ipa_bound success",
    ),
    (
        "rtt_unmap_unprotected",
        "B4.3.22",
        "rd_align rd_bound rd_state level_bound ipa_align ipa_bound rtt_walk rtte_state success",
    ),
    (
        "psci_complete",
        "B4.3.7",
        "alias calling_align calling_bound calling_state target_align target_bound target_state pending owner target status success",
    ),
    (
        "rec_exit",
        "A4.3",
        "data_abort instruction_abort serror irq fiq wait system_register timer gicv3 pmu_overflow",
    ),
    ("realm_abort", "A5.2", "data instruction"),
    (
        "realm_undefined",
        "A2.1.2",
        "hvc implementation_defined_register permission_overlay hidden_features sve sme",
    ),
    ("rec_run", "A2.1.2", "simd sve pmu debug wait system_register id_registers"),
    ("rsi_version", "B5.3.10", "supported unsupported"),
    ("rsi_features", "B5.3.3", "all_indices"),
    ("rsi_measurement_read", "B5.3.8", "index success"),
    ("rsi_measurement_extend", "B5.3.7", "index size success"),
    (
        "rsi_realm_config",
        "B5.3.9",
        "addr_align addr_bound page_empty page_destroyed page_ram_unassigned success",
    ),
    (
        "rsi_ipa_state_set",
        "B5.3.6",
        "base_align top_align size_valid rgn_bound ripas_valid exit_ram exit_empty answer",
    ),
    ("rsi_ipa_state_get", "B5.3.5", "base_align end_align size_valid rgn_bound success"),
    (
        "rsi_host_call",
        "B5.3.4",
        "addr_align addr_bound page_empty page_destroyed page_ram_unassigned success",
    ),
    ("rsi_attestation_token_init", "B5.3.2", "success"),
    (
        "rsi_attestation_token_continue",
        "B5.3.1",
        "state addr_align addr_bound offset_bound size_overflow size_bound",
    ),
    ("psci_version", "B6", "success"),
    ("psci_features", "B6", "success"),
    ("psci_cpu_suspend", "B6", "success"),
    ("psci_cpu_off", "B6", "success"),
    ("psci_cpu_on", "B6", "exit entry_point_bound target_exists self_is_on"),
    ("psci_affinity_info", "B6", "exit level target_exists self_is_on"),
    ("psci_system_off", "B6", "success"),
    ("psci_system_reset", "B6", "success"),
    ("unknown", "B1.2", "host realm"),
    ("measurement", "A7.1", "vectors"),
    ("life", "B4.3", "smoke"),
];

/// Orders of failure conditions that the specification states, beyond the table in
/// `scenarios::orders`: those whose second condition needs a REC that runs, or a Realm that is
/// full.
pub static MORE_ORDERS: &[(&str, &str)] = &[
    ("rec_destroy", "rec_bound_before_rec_state rec_gran_state_before_rec_state"),
    (
        "rec_enter",
        "run_align_before_rec_state run_bound_before_rec_state run_pas_before_rec_state rec_align_before_rec_state \
         rec_bound_before_rec_state rec_gran_state_before_rec_state",
    ),
    ("rtt_set_ripas", "rec_bound_before_rec_state rec_gran_state_before_rec_state"),
    ("rec_create", "rd_bound_before_num_recs rd_state_before_num_recs"),
];

/// All conditions as `command/condition`.
pub fn all() -> Vec<String> {
    let conditions = CONDITIONS.iter().flat_map(|(command, _, conditions)| {
        conditions.split_whitespace().map(move |condition| alloc::format!("{command}/{condition}"))
    });
    let orders = MORE_ORDERS.iter().flat_map(|(command, orders)| {
        orders.split_whitespace().map(move |order| alloc::format!("{command}/order/{order}"))
    });
    conditions.chain(orders).collect()
}

/// Whether a scenario of this name covers a condition.
pub fn covers(condition: &str, name: &str) -> bool {
    name.strip_prefix(condition).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Conditions that no scenario in `names` covers.
pub fn uncovered(names: &[String]) -> Vec<String> {
    let mut conditions = all();
    conditions.retain(|condition| !names.iter().any(|name| covers(condition, name)));
    conditions
}

/// The part of a name before the first `/`: a command, a call, an event, or a group of scenarios.
pub fn command(name: &str) -> &str {
    name.split('/').next().unwrap_or(name)
}

/// The clause of RMM 1.0 that a scenario or condition is about; empty if it is about several.
pub fn clause(name: &str) -> &'static str {
    let found = CONDITIONS.iter().find(|(other, ..)| *other == command(name));
    found.map_or("", |(_, clause, _)| clause)
}
