//! ECDSA with P-384, one slice at a time: deterministic, constant time, and able to stop between
//! any two slices and go on on another CPU.
//!
//! | Phase | Slices | What it computes |
//! | --- | --- | --- |
//! | `Nonce` | 5 | k, by RFC 6979 |
//! | `Multiply` | 64 | k G, in homogeneous coordinates |
//! | `InvertZ` | 11 | 1 / Z, and with it r |
//! | `InvertK` | 17 | 1 / k, and with it s |

use machine::Hasher;
use p384::elliptic_curve::ops::Reduce;
use p384::elliptic_curve::zeroize::{Zeroize, Zeroizing};
use p384::{Scalar, U384};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::curve::{Comb, Point};
use crate::field::{Coordinate, Field};
use crate::nonce::{HEDGE_BYTES, Nonce, Seed};
use crate::power::{Inverse, POWERS};
use crate::realm_key::SCALAR_BYTES;

/// Bytes of a signature: r, then s, big endian.
pub const SIGNATURE_BYTES: usize = 2 * SCALAR_BYTES;

// A slice is 25,000 instructions at most, and at the worst comes after `load` (16,000) and before
// `save` (6,000): so long does an interrupt of the Host wait, and 50,000 is what it may.
/// Multiplications in the field in a slice.
const FIELD_PER_SLICE: u32 = 40;
/// Multiplications of scalars in a slice: slower, for the group's order has no special form.
const SCALARS_PER_SLICE: u32 = 30;

/// The number that 48 bytes are, modulo the order of the group.
#[inline(never)]
pub fn reduced(bytes: &[u8; SCALAR_BYTES]) -> Scalar {
    <Scalar as Reduce<U384>>::reduce_bytes(bytes.into())
}

/// A signature being made. Holds secrets, hence no `Debug`.
pub struct Signer {
    digest: [u8; SCALAR_BYTES],
    hedge: Option<[u8; HEDGE_BYTES]>,
    nonce: Nonce,
    phase: Phase,
}

/// What the next slice does.
enum Phase {
    /// The nonce.
    Nonce,
    /// k, and its multiple.
    Multiply(Scalar, Comb),
    /// k, the X of its multiple, and the inverse of the Z.
    InvertZ(Scalar, Coordinate, Inverse<Coordinate>),
    /// r, and the inverse of k.
    InvertK(Scalar, Inverse<Scalar>),
}

impl Signer {
    /// Starts to sign a message with this SHA-384. `hedge` is fresh randomness: good, but nothing
    /// depends on it.
    pub fn new(digest: [u8; SCALAR_BYTES], hedge: Option<[u8; HEDGE_BYTES]>) -> Self {
        Self { digest, hedge, nonce: Nonce::default(), phase: Phase::Nonce }
    }

    /// Does a slice of the work with the private key `key`, big endian. Returns the signature after
    /// the last one.
    ///
    /// Source: FIPS 186-5, 6.4.1. If r or s is zero, it goes on with the next nonce: nobody will
    /// ever see it.
    #[inline(never)]
    pub fn step(
        &mut self,
        hasher: &impl Hasher,
        key: &[u8; SCALAR_BYTES],
    ) -> Option<[u8; SIGNATURE_BYTES]> {
        let next = match &mut self.phase {
            Phase::Nonce => {
                let hedge = self.hedge.as_ref().map_or(&[][..], |hedge| hedge);
                let seed = Seed { key, digest: &self.digest, hedge };
                let mut k = self.nonce.step(hasher, &seed)?;
                let multiply = Phase::Multiply(k, Comb::new(&k));
                k.zeroize();
                multiply
            }
            Phase::Multiply(k, comb) => {
                let mut product = comb.step()?;
                let invert = Phase::InvertZ(*k, product.x, Inverse::new(&product.z));
                product.zeroize();
                invert
            }
            Phase::InvertZ(k, x, inverse) => {
                let inverse = inverse.step(FIELD_PER_SLICE)?;
                let r = reduced(&x.times(&inverse).to_array());
                if bool::from(r.is_zero()) {
                    Phase::Nonce
                } else {
                    Phase::InvertK(r, Inverse::new(k))
                }
            }
            Phase::InvertK(r, inverse) => {
                let inverse = inverse.step(SCALARS_PER_SLICE)?;
                let key = Zeroizing::new(reduced(key));
                let s = inverse.times(&reduced(&self.digest).add(&r.times(&key)));
                if !bool::from(s.is_zero()) {
                    let mut signature = [0; SIGNATURE_BYTES];
                    let (left, right) = signature.split_at_mut(SCALAR_BYTES);
                    left.copy_from_slice(&r.to_array());
                    right.copy_from_slice(&s.to_array());
                    return Some(signature);
                }
                Phase::Nonce
            }
        };
        self.phase = next;
        None
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        self.hedge.zeroize();
        if let Phase::Multiply(k, _) | Phase::InvertZ(k, _, _) = &mut self.phase {
            k.zeroize();
        }
    }
}

/// A [`Signer`] in memory, between two runs of its REC.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SavedSigner {
    phase: u64,
    /// Steps of the nonce's generator done.
    stage: u64,
    /// Digits or bits left of the phase.
    left: u64,
    hedged: u64,
    hedge: [u8; HEDGE_BYTES],
    digest: [u8; SCALAR_BYTES],
    nonce: [[u8; SCALAR_BYTES]; 2],
    /// k or r.
    scalar: [u8; SCALAR_BYTES],
    /// X of the product, or teeth of the comb.
    number: [u8; SCALAR_BYTES],
    /// Coordinates of the sum, or value and powers of the inversion.
    numbers: [[u8; SCALAR_BYTES]; 1 + POWERS],
}

const NONCE: u64 = 0;
const MULTIPLY: u64 = 1;
const INVERT_Z: u64 = 2;
const INVERT_K: u64 = 3;

/// A number that [`Signer::save`] wrote.
fn number<F: Field>(bytes: &[u8; SCALAR_BYTES]) -> F {
    match F::from_array(bytes) {
        Some(number) => number,
        None => unreachable!("a number of a saved signer"),
    }
}

/// Writes down an inversion; bits left.
fn save_inverse<F: Field>(
    inverse: &Inverse<F>,
    numbers: &mut [[u8; SCALAR_BYTES]; 1 + POWERS],
) -> u64 {
    let (powers, value, left) = inverse.parts();
    for (bytes, number) in numbers.iter_mut().zip(core::iter::once(value).chain(powers)) {
        *bytes = number.to_array();
    }
    u64::from(left)
}

/// The inversion that [`save_inverse`] wrote down.
fn load_inverse<F: Field>(numbers: &[[u8; SCALAR_BYTES]; 1 + POWERS], left: u32) -> Inverse<F> {
    let [value, powers @ ..] = numbers;
    Inverse::resume(powers.each_ref().map(number), number(value), left)
}

impl Signer {
    /// Writes the state down.
    #[inline(never)]
    pub fn save(&self, saved: &mut SavedSigner) {
        let (k, v, stage) = self.nonce.parts();
        saved.nonce = [*k, *v];
        saved.stage = u64::from(stage);
        saved.digest = self.digest;
        saved.hedged = u64::from(self.hedge.is_some());
        saved.hedge = self.hedge.unwrap_or_default();
        match &self.phase {
            Phase::Nonce => saved.phase = NONCE,
            Phase::Multiply(k, comb) => {
                let (teeth, left, sum) = comb.parts();
                saved.phase = MULTIPLY;
                saved.left = u64::from(left);
                saved.scalar = k.to_array();
                saved.number = zerocopy::transmute!(*teeth);
                for (bytes, number) in saved.numbers.iter_mut().zip([&sum.x, &sum.y, &sum.z]) {
                    *bytes = number.to_array();
                }
            }
            Phase::InvertZ(k, x, inverse) => {
                saved.phase = INVERT_Z;
                saved.left = save_inverse(inverse, &mut saved.numbers);
                saved.scalar = k.to_array();
                saved.number = x.to_array();
            }
            Phase::InvertK(r, inverse) => {
                saved.phase = INVERT_K;
                saved.left = save_inverse(inverse, &mut saved.numbers);
                saved.scalar = r.to_array();
            }
        }
    }

    /// The signer that was written down; `saved` keeps no secret.
    #[inline(never)]
    pub fn load(saved: &mut SavedSigner) -> Self {
        let small = |word: u64| match u32::try_from(word) {
            Ok(small) => small,
            Err(_) => unreachable!("a count of a saved signer"),
        };
        let (left, [k, v]) = (small(saved.left), saved.nonce);
        let phase = match saved.phase {
            NONCE => Phase::Nonce,
            MULTIPLY => {
                let [x, y, z, ..] = &saved.numbers;
                let sum = Point { x: number(x), y: number(y), z: number(z) };
                let comb = Comb::resume(zerocopy::transmute!(saved.number), left, sum);
                Phase::Multiply(number(&saved.scalar), comb)
            }
            INVERT_Z => Phase::InvertZ(
                number(&saved.scalar),
                number(&saved.number),
                load_inverse(&saved.numbers, left),
            ),
            INVERT_K => Phase::InvertK(number(&saved.scalar), load_inverse(&saved.numbers, left)),
            other => unreachable!("phase {other} of a saved signer"),
        };
        let hedge = (saved.hedged != 0).then_some(saved.hedge);
        let nonce = Nonce::resume(k, v, small(saved.stage));
        let signer = Self { digest: saved.digest, hedge, nonce, phase };
        saved.as_mut_bytes().zeroize();
        signer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sha2, hex};
    use ecdsa::hazmat::SignPrimitive;
    use p384::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
    use p384::ecdsa::{Signature, SigningKey, VerifyingKey};
    use zerocopy::FromZeros;

    /// RFC 6979, A.2.6.
    const KEY: &str = "6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d8\
                       96d5724e4c70a825f872c9ea60d2edf5";

    fn sign(mut signer: Signer, key: &[u8; 48], interrupted: bool) -> [u8; SIGNATURE_BYTES] {
        for slices in 0.. {
            assert!(slices < 120, "a signature takes too many slices");
            if let Some(signature) = signer.step(&Sha2, key) {
                return signature;
            }
            if interrupted {
                let mut saved = SavedSigner::new_zeroed();
                signer.save(&mut saved);
                signer = Signer::load(&mut saved);
                assert!(saved.as_bytes().iter().all(|&byte| byte == 0), "secrets stay behind");
            }
        }
        unreachable!()
    }

    #[test]
    fn signatures_are_those_of_rfc_6979() {
        let key = hex(KEY);
        for (message, expected) in [
            (
                "sample",
                "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c\
                 81a648152e44acf96e36dd1e80fabe46\
                 99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94f\
                 a329c145786e679e7b82c71a38628ac8",
            ),
            (
                "test",
                "8203b63d3c853e8d77227fb377bcf7b7b772e97892a80f36ab775d509d7a5feb\
                 0542a7f0812998da8f1dd3ca3cf023db\
                 ddd0760448d42d8a43af45af836fce4de8be06b485e9b61b827c2f13173923e0\
                 6a739f040649a667bf3b828246baa5a5",
            ),
        ] {
            let digest = Sha2.sha384(message.as_bytes());
            assert_eq!(sign(Signer::new(digest, None), &key, false), hex(expected), "{message}");
        }
    }

    #[test]
    fn signatures_are_those_of_the_curve_library_whether_interrupted_or_not() {
        for seed in 0..12_u8 {
            let key: [u8; 48] = Sha2.sha384(&[seed]);
            let digest = Sha2.sha384(&[seed, seed]);
            let theirs = SigningKey::from_slice(&key).unwrap();
            let expected: Signature = theirs.sign_prehash(&digest).unwrap();
            for interrupted in [false, true] {
                let ours = sign(Signer::new(digest, None), &key, interrupted);
                assert_eq!(ours[..], expected.to_bytes()[..], "{seed}");
            }
        }
    }

    #[test]
    fn digests_above_the_order_are_reduced() {
        let (key, digest) = ([7; 48], [0xff; 48]);
        let ours = sign(Signer::new(digest, None), &key, true);
        // The curve library of this generation forgets bits2octets of RFC 6979, 2.3.4, so only the
        // verdict can be compared.
        let verifying = VerifyingKey::from(&SigningKey::from_slice(&key).unwrap());
        verifying.verify_prehash(&digest, &Signature::from_slice(&ours).unwrap()).unwrap();
        let same = reduced(&digest).to_array();
        assert_eq!(ours, sign(Signer::new(same, None), &key, false));
    }

    #[test]
    fn a_hedge_changes_the_signature_as_rfc_6979_says() {
        let (key, digest, hedge) = ([9; 48], Sha2.sha384(b"hedged"), [0x5a; HEDGE_BYTES]);
        let ours = sign(Signer::new(digest, Some(hedge)), &key, true);
        let scalar = number::<Scalar>(&key);
        let (expected, _) = scalar
            .try_sign_prehashed_rfc6979::<p384_sha384::Sha384>(&digest.into(), &hedge)
            .unwrap();
        assert_eq!(ours[..], expected.to_bytes()[..]);
        assert_ne!(ours, sign(Signer::new(digest, None), &key, false));
        let verifying = VerifyingKey::from(&SigningKey::from_slice(&key).unwrap());
        verifying.verify_prehash(&digest, &Signature::from_slice(&ours).unwrap()).unwrap();
    }

    /// A signer that has used up its first nonce, and goes on with `phase`; the key and the digest
    /// are those of `signed`.
    fn after_the_first_nonce(digest: [u8; 48], key: &[u8; 48], phase: Phase) -> Signer {
        let mut signer = Signer::new(digest, None);
        while matches!(signer.phase, Phase::Nonce) {
            assert!(signer.step(&Sha2, key).is_none());
        }
        signer.phase = phase;
        signer
    }

    /// Source: FIPS 186-5, 6.4.1, steps 7 and 10: r and s must not be zero.
    #[test]
    fn a_zero_in_a_signature_leads_to_the_next_nonce() {
        let key: [u8; 48] = Sha2.sha384(b"key");
        let k = reduced(&[3; 48]);
        let verifying = VerifyingKey::from(&SigningKey::from_slice(&key).unwrap());
        // With X = 0 r is 0; with r = 1 and the digest the key's negative, s is.
        let x = Coordinate::from_words([0; 6]);
        let no_r = Phase::InvertZ(k, x, Inverse::new(&Coordinate::ONE));
        let no_s = Phase::InvertK(Scalar::ONE, Inverse::new(&k));
        let opposite = (-reduced(&key)).to_array();
        for (digest, phase) in [(Sha2.sha384(b"message"), no_r), (opposite, no_s)] {
            let signature = sign(after_the_first_nonce(digest, &key, phase), &key, false);
            verifying.verify_prehash(&digest, &Signature::from_slice(&signature).unwrap()).unwrap();
            assert_ne!(signature, sign(Signer::new(digest, None), &key, false));
        }
    }
}
