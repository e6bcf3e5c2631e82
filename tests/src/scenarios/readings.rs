//! Scenarios whose expectation is one of several readings of the specification, and the reading.
//!
//! Another monitor that fails one of them may be right. Where the text alone decides, a scenario is not listed here, whatever
//! other monitors do.

use super::registry::Registry;

/// Name of the scenario, and how it reads the specification.
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
