//! What attestation needs of the machine: the key, the platform token, and time-independent
//! execution.

use crate::root::El3Error;

/// Largest platform token that the monitor accepts, in bytes.
pub const PLATFORM_TOKEN_MAX: usize = 3072;

/// Attestation services of EL3.
///
/// Source: RMM-EL3 communication interface 0.x, `RMM_ATTEST_GET_REALM_KEY`,
/// `RMM_ATTEST_GET_PLAT_TOKEN`.
pub trait AttestRoot {
    /// Fetches the P-384 private scalar of the realm attestation key (big endian), and wipes the
    /// buffer it came through.
    ///
    /// # Errors
    ///
    /// EL3's code.
    fn realm_key(&self) -> Result<[u8; 48], El3Error>;

    /// Fetches the platform token for `challenge` (a SHA-256) into `into`; its length in bytes.
    ///
    /// # Errors
    ///
    /// EL3's code, or -4 if the token does not fit. After [`El3Error::AGAIN`] the caller lets the
    /// Host have its CPU before it tries again: this never waits.
    fn platform_token(&self, challenge: &[u8; 32], into: &mut [u8]) -> Result<usize, El3Error>;

    /// Random bytes of the CPU, if it has a generator that works. To a derived nonce they only add,
    /// and no secret depends on their being random; they are the identifier of a Realm that has
    /// one.
    fn entropy(&self) -> Option<[u8; 32]> {
        None
    }

    /// Runs `secret` so that the time of its instructions does not depend on their data, if the CPU
    /// can promise that (PSTATE.DIT), and wipes what it leaves on the stack.
    fn constant_time<R>(&self, secret: impl FnOnce() -> R) -> R {
        secret()
    }
}
