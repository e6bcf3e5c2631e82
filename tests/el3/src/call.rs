//! Function identifiers.
//!
//! Source: RMM-EL3 communication interface; PSCI (Arm DEN0022); SMCCC (Arm DEN0028).

use crate::edition::Edition;

/// The monitor has carried out a command.
pub const REQUEST_COMPLETE: u64 = 0xc400_018f;
/// Granule to the Realm world.
pub const DELEGATE: u64 = 0xc400_01b0;
/// Granule back to the Normal world.
pub const UNDELEGATE: u64 = 0xc400_01b1;
/// The Realm attestation key.
pub const REALM_KEY: u64 = 0xc400_01b2;
/// The platform's token.
pub const PLATFORM_TOKEN: u64 = 0xc400_01b3;
/// Optional services.
pub const FEATURES: u64 = 0xc400_01b4;
/// Memory for the monitor.
pub const RESERVE_MEMORY: u64 = 0xc400_01bb;
/// The monitor has booted on this CPU.
pub const BOOT_COMPLETE: u64 = 0xc400_01cf;

/// `SMCCC_VERSION`.
pub const SMCCC_VERSION: u64 = 0x8000_0000;
/// `SMCCC_ARCH_FEATURES`.
pub const ARCH_FEATURES: u64 = 0x8000_0001;
/// `SMCCC_ARCH_FEATURE_AVAILABILITY`, as the call before names it.
pub const FEATURE_AVAILABILITY: u64 = 0x8000_0003;
/// The call itself, which has 64-bit results. TF-A 2.15 has it by this number alone.
pub const FEATURE_AVAILABILITY_64: u64 = 0xc000_0003;
/// What `SMCCC_VERSION` gives: 1.5.
pub const SMCCC_1_5: u64 = 0x1_0005;
/// `SMCCC_RET_INVALID_PARAMETER`.
pub const SMCCC_INVALID: u64 = (-3_i64).cast_unsigned();

/// `PSCI_VERSION`.
pub const PSCI_VERSION: u64 = 0x8400_0000;
/// `PSCI_CPU_SUSPEND`.
pub const PSCI_CPU_SUSPEND: u64 = 0xc400_0001;
/// `PSCI_CPU_OFF`.
pub const PSCI_CPU_OFF: u64 = 0x8400_0002;
/// `PSCI_CPU_ON`.
pub const PSCI_CPU_ON: u64 = 0xc400_0003;
/// `PSCI_AFFINITY_INFO`.
pub const PSCI_AFFINITY_INFO: u64 = 0xc400_0004;
/// `PSCI_SYSTEM_OFF`.
pub const PSCI_SYSTEM_OFF: u64 = 0x8400_0008;

/// Refuse the granule change with number X1 from now with the code in X2.
pub const REFUSE_NTH: u64 = 0xc200_0001;
/// Refuse changes of the granule at X1 with the code in X2.
pub const REFUSE_GRANULE: u64 = 0xc200_0002;
/// How many granules were moved (X1), and how many requests refused by order (X2).
pub const COUNTS: u64 = 0xc200_0003;

/// The CPU with index X1, and no other, has short vectors from its next start on, and this EL3 goes
/// on if the monitor does not boot there; 0 for none.
pub const STRANGER: u64 = 0xc200_0004;

/// How FIRME takes runs from now on: [`crate::firme::Runs`] by its number in X1, granules in X2.
pub const RUNS: u64 = 0xc200_0005;
/// What this CPU has spent here: ticks of the counter (X1), services that the monitor has asked for
/// (X2), and changes between the worlds (X3), all since it was started.
pub const SPENT: u64 = 0xc200_0006;

/// Errors of the interface, as X0.
pub const UNKNOWN: u64 = u64::MAX;
/// A bad address.
pub const BAD_ADDRESS: u64 = (-2_i64).cast_unsigned();
/// The granule is not in the address space that it has to be in.
pub const BAD_PAS: u64 = (-3_i64).cast_unsigned();
/// There is no memory, or not so much.
pub const NO_MEMORY: u64 = (-4_i64).cast_unsigned();
/// An argument is not valid.
pub const INVALID: u64 = (-5_i64).cast_unsigned();

/// PSCI's errors, as X0.
pub const INVALID_PARAMETERS: u64 = (-2_i64).cast_unsigned();
/// The CPU is on.
pub const ALREADY_ON: u64 = (-4_i64).cast_unsigned();

/// Whether a call of the Normal world is for the monitor. Bit 16 is a hint.
#[must_use]
pub const fn is_rmi(function: u64, edition: Edition) -> bool {
    let is_forwarded = match function & 0xffff {
        0x150..=0x18f => true,
        0x1d0..=0x2cf => edition.is_v2,
        _ => false,
    };
    function & 0xfffe_0000 == 0xc400_0000 && is_forwarded
}

/// Whether `PSCI_CPU_SUSPEND` with this power state keeps the state of the CPU: then it goes on
/// after its call.
///
/// Source: PSCI (Arm DEN0022), `CPU_SUSPEND`, original format of the power state.
pub const fn is_standby(power_state: u64) -> bool {
    power_state & 1 << 16 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_for_the_monitor_are_told_from_others() {
        let (v0, v2) = (Edition::V0, Edition::V2);
        for function in [0xc400_0150, 0xc401_015c, 0xc400_018f] {
            assert!(is_rmi(function, v0) && is_rmi(function, v2), "{function:#x}");
        }
        for function in [0xc400_01d0, 0xc401_01f1, 0xc400_02cf] {
            assert!(!is_rmi(function, v0) && is_rmi(function, v2), "{function:#x}");
        }
        let others = [0xc400_0190, 0xc400_01af, DELEGATE, BOOT_COMPLETE, 0xc400_02d0, 0xc402_0150];
        for function in others.into_iter().chain([PSCI_CPU_ON, REFUSE_NTH, crate::firme::GPI_SET]) {
            assert!(!is_rmi(function, v0) && !is_rmi(function, v2), "{function:#x}");
        }
    }
}
