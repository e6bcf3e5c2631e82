//! Feature register 0, as far as every version of the interface has it.

use realm::Features;

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
