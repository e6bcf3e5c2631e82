//! Scenarios whose expectation is one of several readings of the specification, and the reading.
//!
//! Another monitor that fails one of them may be right. Where the text alone decides, a scenario is
//! not listed here, whatever other monitors do.

use super::registry::Registry;

const SBZ: &str = "bits that the text calls SBZ are ignored (B4.2); a monitor may refuse them";
const RES0: &str = "a bit of a list register that is RES0 is refused (A6.1: a valid encoding)";
const RESET: &str =
    "registers that the architecture leaves UNKNOWN at reset start at zero (A2.1.2.1)";
const HIDDEN: &str =
    "a Realm has no such feature, whatever the CPU has; the text leaves that open (A2.1.2.3)";
const FORMS: &str = "PSCI calls also have their 32-bit form; the text lists the 64-bit forms (B6)";
const ARGUMENTS: &str =
    "a PSCI exit shows the target alone; by A4.3.3 it may show the call's other arguments";
const EMPTY: &str =
    "a page that is EMPTY is RSI_ERROR_INPUT; the call's page names no such failure (B5.3)";
const RANGE: &str =
    "size_valid comes before no_progress; the text states no order (B4.3.18, B4.3.21)";
const OWNER: &str =
    "rec_state and rec_owner come before the bounds; the text states no order (B4.3.21)";
const IL: &str = "esr.IL is hidden; by A4.3.4.3 it is shown, and hardware gives 1";
const STORE: &str =
    "the data of a store is shown as wide as the access; by A4.3.4.3 it is the whole register";
const HINT: &str =
    "the SVE hint is no part of a function identifier, also for a monitor of SMCCC 1.2 (B1.1)";
const RIM: &str =
    "the descriptor of a RIPAS change has the RIM (C1.13); the steps of B4.3.18.4 omit it";
const OFFER: &str =
    "a monitor offers all that the CPU has; the text leaves it to the monitor (B4.4)";

/// Name of the scenario, and how it reads the specification: the clause is that of RMM 1.0.
static READINGS: &[(&str, &str)] = &[
    (
        "rtt_destroy/success/unprotected",
        "the parent entry of a destroyed unprotected table becomes UNASSIGNED_NS; the text says UNASSIGNED, DESTROYED",
    ),
    ("data_create/success", "the granule receives the contents of src; the text does not say so"),
    (
        "rtt_init_ripas/success/stops_at_assigned",
        "an ASSIGNED entry later in the range ends the walk; the formal text goes on",
    ),
    ("data_create/flags_reserved_bits_ignored", "reserved flags may be ignored or refused"),
    (
        "rec_create/mpidr_index/reserved_bits",
        "reserved bits of RmiRecMpidr are refused; the text says SBZ",
    ),
    (
        "data_destroy/rtt_walk/block",
        "top of a live entry is the address as given; the formula rounds down",
    ),
    (
        "rtt_destroy/rtt_walk/block",
        "top of a live entry is the address as given; the formula rounds down",
    ),
    (
        "rtt_unmap_unprotected/rtt_walk/block_above",
        "top of a live entry is the address as given; the formula rounds down",
    ),
    (
        "measurement/vectors/sha256_rem",
        "a REM is extended by the old 64 bytes and the value padded to 64 bytes",
    ),
    (
        "measurement/vectors/sha512_rem",
        "a REM is extended by the old 64 bytes and the value padded to 64 bytes",
    ),
    ("rtt_set_ripas/success/already_as_wanted", "top covers entries that have the RIPAS already"),
    ("rtt_read_entry/success/each_kind", "the RIPAS of a TABLE entry is returned as 0"),
    (
        "realm_create/rtt_base_above_48_bits",
        "start tables that VTTBR_EL2 cannot name without FEAT_LPA2 are refused",
    ),
    ("unknown/host/whole_range", "an unknown call returns zero in X1 to X3, and leaves X4 alone"),
    (
        "rec_exit/system_register/gic_0",
        "the Host learns the value written to a register of the GIC, not which register held it",
    ),
    (
        "rec_exit/system_register/gic_1",
        "the Host learns the value written to a register of the GIC, not which register held it",
    ),
    (
        "rec_exit/system_register/gic_2",
        "the Host learns the value written to a register of the GIC, not which register held it",
    ),
    (
        "bugs/l3_register_number_of_an_access_is_hidden",
        "the Host learns the value written to a register of the GIC, not which register held it",
    ),
    (
        "rec_exit/system_register/gic_3",
        "ICC_DIR_EL1 is the Host's to emulate if it asks for the trap",
    ),
    ("rec_exit/system_register/gic_4", "ICC_PMR_EL1 is the Host's to emulate if it traps"),
    ("features/register_0/all_that_the_cpu_has", OFFER),
    ("features/register_0/plain/all_that_the_cpu_has", OFFER),
    (
        "version/unsupported/reserved_bits",
        "a request with bits that the text calls SBZ is another version (B4.3.23, B4.2)",
    ),
    ("version/supported/sve_hint", HINT),
    ("rec_enter/hints/sve", HINT),
    ("rsi/hints/sve", HINT),
    ("realm_create/success/sbz_bits_ignored", SBZ),
    ("rec_create/success/sbz_bits_ignored", SBZ),
    ("rec_enter/success/reserved_flags_ignored", SBZ),
    (
        "realm_create/success/fields_of_features_not_selected",
        "parameters of features that are not selected are not looked at (B4.3.9, params_supp)",
    ),
    (
        "granule_undelegate/success/zeros",
        "a wiped granule reads as zero; the text asks for any contents that are nobody's (B4.3.6)",
    ),
    ("rec_create/success/sctlr", RESET),
    ("psci_complete/success/cpu_on_sctlr", RESET),
    ("psci_complete/success/cpu_on_resets_el1_registers", RESET),
    ("rec_run/simd/starts_at_zero", RESET),
    ("rec_run/simd/host_in_streaming_mode", RESET),
    ("rec_run/sve/host_in_streaming_mode", RESET),
    ("rec_run/sve/starts_empty_and_is_kept", RESET),
    ("rec_run/pmu/starts_at_zero", RESET),
    ("rec_run/debug/starts_at_zero", RESET),
    (
        "rtt_read_entry/success/level_minus_1",
        "level -1 is returned as a number of 64 bits; the type is only UInt64 (B4.3.20)",
    ),
    ("rtt_init_ripas/size_valid", RANGE),
    ("rtt_init_ripas/size_valid/all", RANGE),
    ("rtt_set_ripas/size_valid", RANGE),
    ("rtt_set_ripas/rec_state", OWNER),
    ("rtt_set_ripas/rec_owner/no_request_there", OWNER),
    ("measurement/vectors/sha256_rim", RIM),
    ("measurement/vectors/sha512_rim", RIM),
    ("rec_exit/data_abort/unprotected_without_syndrome", IL),
    ("rec_exit/data_abort/unprotected_permission", IL),
    ("rec_exit/data_abort/unprotected_permission_on_a_stage_1_walk", IL),
    ("rec_enter/emul_mmio/write_8", STORE),
    ("rec_enter/emul_mmio/write_16", STORE),
    ("rec_enter/emul_mmio/write_32", STORE),
    (
        "rec_enter/rec_gicv3/lr_hw_inactive",
        "an inactive list register is not looked at; by A6.1 HW has to be 0",
    ),
    (
        "rec_enter/rec_gicv3/lr_inactive_garbage",
        "an inactive list register is not looked at; by A6.1 HW has to be 0",
    ),
    ("rec_enter/rec_gicv3/lr_physical_number", RES0),
    ("rec_enter/rec_gicv3/lr_physical_number_low", RES0),
    ("rec_enter/rec_gicv3/lr_priority_unimplemented", RES0),
    (
        "realm_abort/data/beyond_the_ipa_space",
        "an access that stage 1 lets through is an external abort; by A5.2.8 an address size \
         fault",
    ),
    (
        "realm_undefined/hvc/at_the_instruction",
        "ELR_EL1 is the address of the HVC; the text does not say so (A2.1.2)",
    ),
    ("realm_undefined/permission_overlay", HIDDEN),
    ("bugs/l8_neither_mpam_nor_branch_records_exist", HIDDEN),
    (
        "rec_run/id_registers/hidden_features",
        "AArch32, MPAM, MTE, SME, trace, branch records, WFET and WFIT are hidden; the text \
         demands it of SVE, AMU, SPE and TRBE (A3.1)",
    ),
    (
        "rec_run/system_register/other_reads_zero",
        "registers of what a Realm has not read as zero; they may be UNDEFINED (A2.1.2.3)",
    ),
    (
        "rsi/other_registers_kept",
        "X4 and above keep their values (SMCCC 1.2); B1.2 may be read as making them zero",
    ),
    (
        "rsi/outputs_of_failed_calls",
        "outputs of a call that fails are zero; the text leaves them open (B5)",
    ),
    (
        "unknown/outputs_of_failed_commands",
        "outputs of a command that fails are zero; the text leaves them open (B4.3)",
    ),
    (
        "unknown/realm/results_are_zero",
        "an unknown call returns zero in X1 to X3; the SMCCC leaves them open",
    ),
    (
        "unknown/realm/other_services",
        "a Realm has no SMCCC_ARCH_FEATURES, TRNG and vendor services; the text does not exclude \
         them",
    ),
    ("rsi_realm_config/page_empty", EMPTY),
    ("rsi_host_call/page_empty", EMPTY),
    (
        "rsi_host_call/page_made_empty_before_the_answer",
        "the call returns RSI_SUCCESS, and the answer is dropped; A4.5 does not say what happens",
    ),
    (
        "rsi_ipa_state_get/success/as_far_as_it_goes",
        "top is where the RIPAS changes; B5.3.5 demands base < top <= end",
    ),
    ("psci_version/success/smccc", "a Realm sees SMCCC 1.2; a later 1.x is as good (B1.1)"),
    ("psci_features/success/32_bit_forms", FORMS),
    (
        "psci_cpu_suspend/success/32",
        "PSCI calls also have their 32-bit form; the text lists the 64-bit forms (B6); and a PSCI \
         exit shows the target alone; by A4.3.3 it may show the call's other arguments",
    ),
    ("psci_cpu_suspend/success/64", ARGUMENTS),
    ("psci_cpu_on/exit/64", ARGUMENTS),
    (
        "psci_cpu_on/exit/32",
        "PSCI calls also have their 32-bit form; the text lists the 64-bit forms (B6); and a PSCI \
         exit shows the target alone; by A4.3.3 it may show the call's other arguments",
    ),
    (
        "psci_cpu_on/target_exists/32_bit_arguments",
        "PSCI calls also have their 32-bit form; the text lists the 64-bit forms (B6); and a PSCI \
         exit shows the target alone; by A4.3.3 it may show the call's other arguments",
    ),
    ("psci_affinity_info/exit/32", FORMS),
    (
        "psci_cpu_on/entry_point_bound/of_no_target",
        "the entry point is looked at before the target; the text states no order (B6)",
    ),
    (
        "psci_cpu_on/target_exists/mpidr_bits_7_4",
        "an MPIDR with bits 7:4 set names no REC; RmiRecMpidr calls them SBZ (B4.4, B6)",
    ),
];

/// Marks the scenarios; the readings without one come back.
pub(super) fn apply(registry: &mut Registry) -> usize {
    let mut marked = 0;
    for scenario in &mut registry.scenarios {
        if let Some((_, text)) = READINGS.iter().find(|(name, _)| *name == scenario.name) {
            scenario.reading(text);
            marked += 1;
        }
    }
    READINGS.len() - marked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reading_has_a_scenario() {
        assert_eq!(apply(&mut crate::scenarios::all()), 0);
    }
}
