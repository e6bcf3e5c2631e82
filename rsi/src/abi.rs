//! The ABI of RSI 1.0, PSCI 1.1 and SMCCC inside a Realm: identifiers and return codes.

/// Version 1.0 as `RsiInterfaceVersion`.
pub const VERSION_1_0: u64 = 0x1_0000;

/// RSI_SUCCESS.
pub const SUCCESS: u64 = 0;
/// RSI_ERROR_INPUT.
pub const ERROR_INPUT: u64 = 1;
/// RSI_ERROR_STATE.
pub const ERROR_STATE: u64 = 2;
/// RSI_INCOMPLETE.
pub const INCOMPLETE: u64 = 3;
/// RSI_ERROR_UNKNOWN.
pub const ERROR_UNKNOWN: u64 = 4;

/// SMCCC and PSCI NOT_SUPPORTED.
pub const NOT_SUPPORTED: u64 = u64::MAX;

/// Function identifiers of RSI.
///
/// Source: RMM specification (Arm DEN0137) 1.0, B5.1.
#[expect(missing_docs, reason = "each constant is the call of that name")]
pub mod fid {
    pub const VERSION: u64 = 0xc400_0190;
    pub const FEATURES: u64 = 0xc400_0191;
    pub const MEASUREMENT_READ: u64 = 0xc400_0192;
    pub const MEASUREMENT_EXTEND: u64 = 0xc400_0193;
    pub const ATTESTATION_TOKEN_INIT: u64 = 0xc400_0194;
    pub const ATTESTATION_TOKEN_CONTINUE: u64 = 0xc400_0195;
    pub const REALM_CONFIG: u64 = 0xc400_0196;
    pub const IPA_STATE_SET: u64 = 0xc400_0197;
    pub const IPA_STATE_GET: u64 = 0xc400_0198;
    pub const HOST_CALL: u64 = 0xc400_0199;
}
