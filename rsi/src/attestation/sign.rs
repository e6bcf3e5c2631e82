//! ECDSA with P-384, one slice at a time: deterministic, constant time, and able to stop between any two slices and go on
//! on another CPU.
//!
//! | Phase | Slices | What it computes |
//! | --- | --- | --- |
//! | `Nonce` | 3 | k, by RFC 6979 |
//! | `Multiply` | 32 | k G, in homogeneous coordinates |
//! | `InvertZ` | about 8 | 1 / Z, and with it r |
//! | `InvertK` | about 8 | 1 / k, and with it s |

use granule::machine::Hasher;
use p384::elliptic_curve::ff::Field as _;
use p384::elliptic_curve::ops::Reduce;
use p384::elliptic_curve::zeroize::{Zeroize, Zeroizing};
use p384::{FieldElement, Scalar, U384};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::SCALAR_BYTES;
use super::curve::{Comb, Point};
use super::nonce::{HEDGE_BYTES, Nonce, Seed};
use super::power::{Field, Inverse, POWERS};

/// Bytes of a signature: r, then s, big endian.
pub const SIGNATURE_BYTES: usize = 2 * SCALAR_BYTES;

// A slice must stay below 50,000 instructions: an interrupt of the Host waits that long.
/// Digits of the multiplication in a slice.
const DIGITS_PER_SLICE: u32 = 2;
/// Windows of an inversion in a slice.
const WINDOWS_PER_SLICE: u32 = 14;

/// The number that 48 bytes are, modulo the order of the group.
pub fn reduced(bytes: &[u8; SCALAR_BYTES]) -> Scalar {
    <Scalar as Reduce<U384>>::reduce_bytes(bytes.into())
}

/// A signature being made.
#[derive(Debug)]
pub struct Signer {
    digest: [u8; SCALAR_BYTES],
    hedge: Option<[u8; HEDGE_BYTES]>,
    phase: Phase,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one value, on the stack, without an allocator")]
enum Phase {
    /// The generator of the nonce.
    Nonce(Nonce),
    /// k, and its multiple.
    Multiply(Scalar, Comb),
    /// k, the X of its multiple, and the inverse of the Z.
    InvertZ(Scalar, FieldElement, Inverse<FieldElement>),
    /// r, and the inverse of k.
    InvertK(Scalar, Inverse<Scalar>),
}

impl Signer {
    /// Starts to sign a message with this SHA-384. `hedge` is fresh randomness: good, but nothing depends on it.
    pub fn new(digest: [u8; SCALAR_BYTES], hedge: Option<[u8; HEDGE_BYTES]>) -> Self {
        Self { digest, hedge, phase: Phase::Nonce(Nonce::new()) }
    }

    /// Does a slice of the work with the private key `key`, big endian. Returns the signature after the last one.
    ///
    /// Source: FIPS 186-5, 6.4.1; a zero r or s begins again with the next nonce, which nobody will ever see happen.
    pub fn step(
        &mut self,
        hasher: &impl Hasher,
        key: &[u8; SCALAR_BYTES],
    ) -> Option<[u8; SIGNATURE_BYTES]> {
        let next = match &mut self.phase {
            Phase::Nonce(nonce) => {
                let hedge = self.hedge.as_ref().map_or(&[][..], |hedge| hedge);
                let seed = Seed { key, digest: &self.digest, hedge };
                nonce.step(hasher, &seed).map(|k| Phase::Multiply(k, Comb::new(&k)))
            }
            Phase::Multiply(k, comb) => {
                let mut product = (0..DIGITS_PER_SLICE).find_map(|_| comb.step());
                let next =
                    product.map(|Point { x, z, .. }| Phase::InvertZ(*k, x, Inverse::new(&z)));
                product.zeroize();
                next
            }
            Phase::InvertZ(k, x, inverse) => {
                (0..WINDOWS_PER_SLICE).find_map(|_| inverse.step()).map(|inverse| {
                    let r = reduced(&(*x * &inverse).to_array());
                    if bool::from(r.is_zero()) {
                        return Phase::Nonce(Nonce::new());
                    }
                    Phase::InvertK(r, Inverse::new(k))
                })
            }
            Phase::InvertK(r, inverse) => {
                let inverse = (0..WINDOWS_PER_SLICE).find_map(|_| inverse.step())?;
                let key = Zeroizing::new(reduced(key));
                let s = inverse * &(reduced(&self.digest) + &(*r * &*key));
                let mut signature = [0; SIGNATURE_BYTES];
                let (left, right) = signature.split_at_mut(SCALAR_BYTES);
                left.copy_from_slice(&r.to_array());
                right.copy_from_slice(&s.to_array());
                return Some(signature);
            }
        };
        if let Some(next) = next {
            self.phase = next;
        }
        None
    }
}
