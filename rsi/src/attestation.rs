//! RSI_ATTESTATION_TOKEN_INIT and RSI_ATTESTATION_TOKEN_CONTINUE: the protocol by which a Realm fetches its token.

use granule::machine::Memory;
use realm::rec::AttestWords;
use realm::{Rec, Rmm};

use crate::Outcome;
use crate::abi::{ERROR_INPUT, ERROR_STATE, ERROR_UNKNOWN, SUCCESS};

/// No token is being made.
const NONE: u64 = 0;
/// A challenge has been given.
const STARTED: u64 = 1;

/// Upper bound of a token's length in bytes.
const TOKEN_MAX: u64 = 4096;

/// `RSI_ATTESTATION_TOKEN_INIT`: starts a token for the challenge in X1 to X8; abandons one in progress. X1 is an upper
/// bound of the token's length. Cannot fail.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RSI_ATTESTATION_TOKEN_INIT`.
pub fn init(rec: &mut Rec) -> Outcome {
    let challenge = core::array::from_fn(|word| rec.gpr(1 + word));
    rec.attest = AttestWords { state: STARTED, copied: 0, length: 0, challenge };
    Outcome::Return([SUCCESS, TOKEN_MAX, 0, 0])
}

/// `RSI_ATTESTATION_TOKEN_CONTINUE`: writes the next part of the token to X2 bytes into the Realm's page at X1, at most X3
/// bytes.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RSI_ATTESTATION_TOKEN_CONTINUE`.
pub fn proceed<M: Memory>(_rmm: &Rmm<'_, '_, M>, rec: &mut Rec) -> Outcome {
    let (ipa, offset, size) = (rec.gpr(1), rec.gpr(2), rec.gpr(3));
    let fits = offset < 4096 && size <= 4096 - offset;
    if !ipa.is_multiple_of(4096) || !fits || !rec.tree().space.is_protected(ipa) {
        return Outcome::code(ERROR_INPUT);
    }
    if rec.attest.state == NONE {
        return Outcome::code(ERROR_STATE);
    }
    // No attestation key: the documented error, and the token in progress is over.
    rec.attest = AttestWords::default();
    Outcome::code(ERROR_UNKNOWN)
}
