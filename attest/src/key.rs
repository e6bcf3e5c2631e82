//! The realm attestation key (RAK): from EL3 at boot, checked, with its public half and the hash
//! that the platform token vouches for.

use machine::attest::AttestRoot;
use machine::{El3Error, Hasher};
use p384::Scalar;
use p384::elliptic_curve::zeroize::{Zeroize, Zeroizing};

use crate::curve::Comb;
use crate::field::Field;
use crate::power::Inverse;
use crate::realm_key::{COSE_KEY_BYTES, RealmKey, SCALAR_BYTES};
use crate::token::encode;

/// Why there is no realm attestation key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// EL3 does not give one.
    Refused(El3Error),
    /// The scalar is zero, or not below the order of the group.
    OutOfRange,
}

impl KeyError {
    /// For the log, with EL3's code if it is the reason.
    pub fn reason(self) -> (&'static str, i64) {
        match self {
            Self::Refused(El3Error(code)) => ("EL3 refuses the realm attestation key", code),
            Self::OutOfRange => ("the realm attestation key is not a P-384 scalar", 0),
        }
    }
}

/// Fetches the key and derives what belongs to it. Takes about as long as a token: once, at cold
/// boot.
///
/// # Errors
///
/// There is no key. The monitor works without; tokens then fail with RSI_ERROR_UNKNOWN.
pub fn fetch(machine: &(impl AttestRoot + Hasher)) -> Result<RealmKey, KeyError> {
    machine.constant_time(|| {
        let secret = Zeroizing::new(machine.realm_key().map_err(KeyError::Refused)?);
        derive(machine, &secret)
    })
}

/// The key with this private scalar, big endian.
///
/// # Errors
///
/// The scalar is out of range.
pub fn derive(hasher: &impl Hasher, secret: &[u8; SCALAR_BYTES]) -> Result<RealmKey, KeyError> {
    let mut scalar = Scalar::from_array(secret).ok_or(KeyError::OutOfRange)?;
    if bool::from(scalar.is_zero()) {
        return Err(KeyError::OutOfRange);
    }
    let mut comb = Comb::new(&scalar);
    scalar.zeroize();
    let point = finish(|| comb.step());
    let mut inverse = Inverse::new(&point.z);
    let inverse = finish(|| inverse.step(u32::MAX));
    let x = point.x.times(&inverse).to_array();
    let y = point.y.times(&inverse).to_array();
    let public = cose_key(&x, &y);
    Ok(RealmKey::new(*secret, public, hasher.sha256(&public)))
}

/// Repeats a step until it has a result.
fn finish<T>(mut step: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(result) = step() {
            return result;
        }
    }
}

/// A public key as a COSE_Key: {1: 2, -1: 2, -2: x, -3: y}, which is type EC2, curve P-384.
///
/// Source: RFC 9053, 7.1; RMM specification (Arm DEN0137) 1.0, A7.2.3.1.7.
fn cose_key(x: &[u8; SCALAR_BYTES], y: &[u8; SCALAR_BYTES]) -> [u8; COSE_KEY_BYTES] {
    let mut key = [0; COSE_KEY_BYTES];
    encode(&mut key, |into| {
        into.map(4)?.i8(1)?.i8(2)?.i8(-1)?.i8(2)?.i8(-2)?.bytes(x)?.i8(-3)?.bytes(y)?;
        Ok(())
    });
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{SAMPLE_KEY, Sha2, hex};

    #[test]
    fn the_public_half_and_its_hash_are_those_of_the_sample() {
        let key = derive(&Sha2, &hex(SAMPLE_KEY)).unwrap();
        let expected = [
            "a40102200221 5830",
            "76f988091be585ed41801aecfab858548c63057e16b0e676120bbd0d2f9c29e056c5d41a0130eb9c21517899dc23146b",
            "22 5830",
            "28e1b062bd3ea4b315fd219f1cbb528cb6e74ca49be16773734f61a1ca61031b2bbf3d918f2f94ffc4228e50919544ae",
        ];
        assert_eq!(*key.public(), hex(&expected.concat().replace(' ', "")));
        // The challenge in TF-A's sample of a platform token.
        let challenge = "0d22e08a98469058486318283489bdb36f09dbefeb1864df433fa6e54ea2d711";
        assert_eq!(*key.challenge(), hex(challenge));
    }

    #[test]
    fn scalars_out_of_range_are_refused() {
        let order = "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973";
        let order: [u8; 48] = hex(order);
        let mut below = order;
        below[47] -= 1;
        for refused in [[0; 48], order, [0xff; 48]] {
            assert_eq!(derive(&Sha2, &refused).unwrap_err(), KeyError::OutOfRange);
        }
        assert!(derive(&Sha2, &below).is_ok());
    }

    struct Silent;

    impl AttestRoot for Silent {
        fn realm_key(&self) -> Result<[u8; 48], El3Error> {
            Err(El3Error(-1))
        }

        fn platform_token(&self, _: &[u8; 32], _: &mut [u8]) -> Result<usize, El3Error> {
            Err(El3Error(-1))
        }
    }

    impl Hasher for Silent {
        fn sha256(&self, message: &[u8]) -> [u8; 32] {
            Sha2.sha256(message)
        }

        fn sha384(&self, message: &[u8]) -> [u8; 48] {
            Sha2.sha384(message)
        }

        fn sha512(&self, message: &[u8]) -> [u8; 64] {
            Sha2.sha512(message)
        }
    }

    #[test]
    fn the_code_of_el3_is_kept_for_the_log() {
        let error = fetch(&Silent).unwrap_err();
        assert_eq!(error.reason(), ("EL3 refuses the realm attestation key", -1));
    }
}
