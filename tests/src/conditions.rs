//! The conditions of the specification that must have a scenario.
//!
//! Written from the specification, not from what happens to be tested: a scenario `command/condition`, or one whose name
//! goes on from there, covers a condition. A condition without a scenario fails the build's tests.
//!
//! Source: RMM specification (Arm DEN0137) 1.0, B4.3, B5.3, B6, A4.3.

use alloc::string::String;
use alloc::vec::Vec;

/// Conditions of each command, call and event.
pub static CONDITIONS: &[(&str, &str)] = &[
    ("version", "supported unsupported"),
    ("features", "register_0 other_registers"),
    ("granule_delegate", "gran_align gran_bound gran_state gran_gpt success"),
    ("granule_undelegate", "gran_align gran_bound gran_state success el3_refuses"),
    (
        "data_create",
        "src_align src_bound src_pas data_align data_bound data_state data_bound2 rd_align rd_bound rd_state ipa_align \
         ipa_bound realm_state rtt_walk rtte_state success",
    ),
    (
        "data_create_unknown",
        "data_align data_bound data_state data_bound2 rd_align rd_bound rd_state ipa_align ipa_bound rtt_walk rtte_state success",
    ),
    ("data_destroy", "rd_align rd_bound rd_state ipa_align ipa_bound rtt_walk rtte_state success"),
    ("realm_activate", "rd_align rd_bound rd_state realm_state success"),
    (
        "realm_create",
        "params_align params_bound params_pas params_valid params_supp alias rd_align rd_bound rd_state rtt_align \
         rtt_num_level rtt_state vmid_valid success",
    ),
    ("realm_destroy", "rd_align rd_bound rd_state realm_live success"),
    ("rec_aux_count", "rd_align rd_bound rd_state success"),
    (
        "rec_create",
        "params_align params_bound params_pas rec_align rec_bound rec_gran_state rd_align rd_bound rd_state realm_state num_recs \
         mpidr_index num_aux aux_align aux_alias aux_state success",
    ),
    ("rec_destroy", "rec_align rec_bound rec_gran_state rec_state success"),
    (
        "rec_enter",
        "run_align run_bound run_pas rec_align rec_bound rec_gran_state realm_new system_off rec_state rec_runnable rec_mmio \
         rec_gicv3 rec_psci success emul_mmio inject_sea",
    ),
    (
        "rtt_create",
        "rd_align rd_bound rd_state level_bound ipa_align ipa_bound rtt_align rtt_bound rtt_state rtt_bound2 rtt_walk rtte_state success",
    ),
    (
        "rtt_destroy",
        "rd_align rd_bound rd_state level_bound ipa_align ipa_bound rtt_walk rtte_state rtt_live success",
    ),
    (
        "rtt_fold",
        "rd_align rd_bound rd_state level_bound ipa_align ipa_bound rtt_walk rtte_state rtt_homo success",
    ),
    (
        "rtt_init_ripas",
        "rd_align rd_bound rd_state size_valid top_bound top_gran_align realm_state base_align rtte_state no_progress success",
    ),
    (
        "rtt_set_ripas",
        "rd_align rd_bound rd_state rec_align rec_bound rec_gran_state size_valid top_gran_align rec_state rec_owner base_bound \
         top_bound base_align no_progress success",
    ),
    (
        "rtt_map_unprotected",
        "attr_valid rd_align rd_bound rd_state level_bound addr_align addr_bound ipa_align ipa_bound rtt_walk rtte_state success",
    ),
    ("rtt_read_entry", "rd_align rd_bound rd_state level_bound ipa_align ipa_bound success"),
    (
        "rtt_unmap_unprotected",
        "rd_align rd_bound rd_state level_bound ipa_align ipa_bound rtt_walk rtte_state success",
    ),
    (
        "psci_complete",
        "alias calling_align calling_bound calling_state target_align target_bound target_state pending owner target status success",
    ),
    ("rec_exit", "data_abort instruction_abort serror irq fiq wait system_register timer gicv3"),
    ("realm_abort", "data instruction"),
    ("realm_undefined", "hvc implementation_defined_register sve sme"),
    ("rec_run", "simd wait system_register id_registers"),
    ("rsi_version", "supported unsupported"),
    ("rsi_features", "all_indices"),
    ("rsi_measurement_read", "index success"),
    ("rsi_measurement_extend", "index size success"),
    (
        "rsi_realm_config",
        "addr_align addr_bound page_empty page_destroyed page_ram_unassigned success",
    ),
    (
        "rsi_ipa_state_set",
        "base_align top_align size_valid rgn_bound ripas_valid exit_ram exit_empty answer",
    ),
    ("rsi_ipa_state_get", "base_align end_align size_valid rgn_bound success"),
    (
        "rsi_host_call",
        "addr_align addr_bound page_empty page_destroyed page_ram_unassigned success",
    ),
    ("rsi_attestation_token_init", "success"),
    (
        "rsi_attestation_token_continue",
        "state addr_align addr_bound offset_bound size_overflow size_bound",
    ),
    ("psci_version", "success"),
    ("psci_features", "success"),
    ("psci_cpu_suspend", "success"),
    ("psci_cpu_off", "success"),
    ("psci_cpu_on", "exit entry_point_bound target_exists self_is_on"),
    ("psci_affinity_info", "exit level target_exists self_is_on"),
    ("psci_system_off", "success"),
    ("psci_system_reset", "success"),
    ("unknown", "host realm"),
    ("measurement", "vectors"),
    ("life", "smoke"),
];

/// Orders of failure conditions that the specification states, beyond the table in `scenarios::orders`: those whose second
/// condition needs a REC that runs, or a Realm that is full.
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
    let conditions = CONDITIONS.iter().flat_map(|(command, conditions)| {
        conditions.split_whitespace().map(move |condition| alloc::format!("{command}/{condition}"))
    });
    let orders = MORE_ORDERS.iter().flat_map(|(command, orders)| {
        orders.split_whitespace().map(move |order| alloc::format!("{command}/order/{order}"))
    });
    conditions.chain(orders).collect()
}

/// Conditions that no scenario in `names` covers.
pub fn uncovered(names: &[String]) -> Vec<String> {
    let covers = |condition: &str, name: &str| {
        name.strip_prefix(condition).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let mut conditions = all();
    conditions.retain(|condition| !names.iter().any(|name| covers(condition, name)));
    conditions
}
