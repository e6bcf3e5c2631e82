//! Feature registers, as far as every version of the interface has them: a part of register 0, and
//! one of ours.

use realm::Features;

/// Number of the feature register that says which extensions of ours the monitor has: the letters
/// `CairnRMM`. Without them a monitor answers zero, as for each register that does not exist.
pub(crate) const EXTENSIONS_INDEX: u64 = u64::from_be_bytes(*b"CairnRMM");

/// That register. Bit 0: population in place (`docs/in-place-population.md`).
pub(crate) const EXTENSIONS: u64 = 1;

/// Bits 31:0 of `RmiFeatureRegister0`.
///
/// Source: RMM specification (Arm DEN0137) 1.0 and 2.0, `RmiFeatureRegister0`.
pub(crate) fn register0(features: &Features) -> u64 {
    u64::from(features.ipa_width_max)
        | u64::from(features.lpa2) << 8
        | u64::from(features.sve_vl.is_some()) << 9
        | u64::from(features.sve_vl.unwrap_or(0)) << 10
        | u64::from(features.breakpoints_minus_one) << 14
        | u64::from(features.watchpoints_minus_one) << 20
        | u64::from(features.counters.is_some()) << 26
        | u64::from(features.counters.unwrap_or(0)) << 27
}
