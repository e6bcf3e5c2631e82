//! EL3, in the two versions of its interface that the monitor speaks.
//!
//! | | 0.x | 2.0 |
//! | --- | --- | --- |
//! | registers that reach the Host | X0 to X4 | X0 to X7 |
//! | ICH_HCR_EL2, ICH_VMCR_EL2, ICC_SRE_EL2 | EL3 switches them | `vcpu::gic` switches them |
//! | granules | one by one: `v0` | by FIRME in runs ([`firme`], `v2`); as with 0.x without it |
//! | X1 of a warm boot, X2 of `RMM_BOOT_COMPLETE` | nothing | the activation token |
//!
//! The token is EL3's memory of a monitor that a later image takes over from. This monitor is not
//! taken over from: it hands 0 over, and what it is given at a warm boot decides nothing.
//!
//! The call for memory, `RMM_RESERVE_MEMORY`, is not made with either version. EL3 takes what it
//! hands out from the end of the window into which it has loaded the monitor (TF-A: from
//! `RMM_LIMIT` down), where nobody else takes memory from. All that the monitor needs is known
//! before its MMU is on, and [`crate::boot::carve`] takes it from that window; the call would bring
//! the same memory in pieces, and only on the boards that implement it (QEMU virt answers "no
//! memory").
//!
//! Source: RMM-EL3 communication interface 0.x and 2.0; TF-A main of 2026-08,
//! `services/std_svc/rmmd`.

pub mod firme;
#[cfg(target_os = "none")]
pub(crate) mod v0;
#[cfg(target_os = "none")]
pub(crate) mod v2;

#[cfg(any(target_os = "none", test))]
use machine::El3Error;
use machine::El3Interface;

/// The interface that a version means (major in bits 30:16, minor in 15:0); `None` if the monitor
/// does not speak it.
///
/// The monitor asks for nothing that came with a minor version without looking whether it is there.
pub const fn interface(version: u64) -> Option<El3Interface> {
    match (version >> 16, version & 0xffff) {
        (0, 1..) => Some(El3Interface::V0),
        (2, _) => Some(El3Interface::V2),
        _ => None,
    }
}

/// EL3's X0 as a result: 0 or a negative code.
#[cfg(any(target_os = "none", test))]
pub(crate) const fn result(x0: u64) -> Result<(), El3Error> {
    if x0 == 0 { Ok(()) } else { Err(El3Error(x0.cast_signed())) }
}

/// What EL3 offers to change granules with, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GranuleCalls {
    /// `RMM_GTSI_DELEGATE` and `RMM_GTSI_UNDELEGATE`.
    OneByOne,
    /// `FIRME_GM_GPI_SET`, whose operations EL3 ends within one call.
    Runs,
    /// The same, and `FIRME_GM_GPI_OP_CONTINUE`.
    ContinuedRuns,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_0_1_and_2_0_and_their_newer_minors_are_spoken() {
        for version in [1, 4, 8, 0xffff] {
            assert_eq!(interface(version), Some(El3Interface::V0), "{version:#x}");
        }
        for version in [0x2_0000, 0x2_0001, 0x2_ffff] {
            assert_eq!(interface(version), Some(El3Interface::V2), "{version:#x}");
        }
        for version in [0, 0x1_0000, 0x1_0008, 0x3_0000, 0x8000_0004, 0x8002_0000, 1 << 32] {
            assert_eq!(interface(version), None, "{version:#x}");
        }
    }

    #[test]
    fn a_result_is_0_or_a_code() {
        assert_eq!(result(0), Ok(()));
        assert_eq!(result((-6_i64).cast_unsigned()), Err(El3Error::AGAIN));
    }
}
