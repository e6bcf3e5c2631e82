//! The nonce of a signature, derived from key and message: no random number generator can spoil it.
//!
//! Source: RFC 6979, 3.2 and 3.6, with HMAC-SHA-384.

use machine::Hasher;
use p384::Scalar;
use p384::elliptic_curve::zeroize::Zeroize;

use crate::field::Field;
use crate::realm_key::SCALAR_BYTES;
use crate::sign::reduced;

/// Bytes of a block of SHA-384.
const BLOCK_BYTES: usize = 128;

/// Bytes of a hedge: fresh randomness mixed into the nonce.
pub(crate) const HEDGE_BYTES: usize = 32;

/// Most bytes that are authenticated at once: V, a separator, key, digest, hedge.
const MESSAGE_MAX: usize = 3 * SCALAR_BYTES + 1 + HEDGE_BYTES;

/// HMAC-SHA-384 of the concatenation of `parts`.
///
/// Source: RFC 2104; the key is shorter than a block.
fn hmac(hasher: &impl Hasher, key: &[u8; SCALAR_BYTES], parts: &[&[u8]]) -> [u8; SCALAR_BYTES] {
    const INNER: u8 = 0x36;
    const OUTER: u8 = 0x5c;
    let mut message = [0; BLOCK_BYTES + MESSAGE_MAX];
    let mut fill = |pad: u8, parts: &[&[u8]]| {
        let key = key.iter().chain(core::iter::repeat(&0)).take(BLOCK_BYTES).map(|byte| byte ^ pad);
        let bytes = key.chain(parts.iter().flat_map(|part| part.iter().copied()));
        let mut length = 0;
        for (to, from) in message.iter_mut().zip(bytes) {
            *to = from;
            length += 1;
        }
        hasher.sha384(message.get(..length).unwrap_or_default())
    };
    let inner = fill(INNER, parts);
    let outer = fill(OUTER, &[&inner]);
    message.zeroize();
    outer
}

/// The state of the generator: secret.
pub(crate) struct Nonce {
    k: [u8; SCALAR_BYTES],
    v: [u8; SCALAR_BYTES],
    /// Steps done.
    stage: u32,
}

/// What the generator starts from.
pub(crate) struct Seed<'s> {
    /// The private key, big endian.
    pub key: &'s [u8; SCALAR_BYTES],
    /// The message's digest.
    pub digest: &'s [u8; SCALAR_BYTES],
    /// Additional data of RFC 6979, 3.6; empty if there is none.
    pub hedge: &'s [u8],
}

impl Default for Nonce {
    /// The generator before its first step.
    fn default() -> Self {
        Self { k: [0; SCALAR_BYTES], v: [1; SCALAR_BYTES], stage: 0 }
    }
}

impl Nonce {
    /// Takes up the generator where [`Nonce::parts`] left it.
    pub(crate) fn resume(k: [u8; SCALAR_BYTES], v: [u8; SCALAR_BYTES], stage: u32) -> Self {
        Self { k, v, stage }
    }

    /// What there is to remember of the generator: secret.
    pub(crate) fn parts(&self) -> (&[u8; SCALAR_BYTES], &[u8; SCALAR_BYTES], u32) {
        (&self.k, &self.v, self.stage)
    }

    /// Does one step of RFC 6979, 3.2, each an HMAC: d, e, f, g, then h. Returns a candidate that
    /// is in range; further calls give the next one.
    pub(crate) fn step(&mut self, hasher: &impl Hasher, seed: &Seed<'_>) -> Option<Scalar> {
        let stage = self.stage;
        self.stage += 1;
        match stage {
            0 | 2 => {
                let separator = [if stage == 0 { 0 } else { 1 }];
                // bits2octets of 2.3.4: the digest is as long as the order, so one subtraction
                // reduces it.
                let digest = reduced(seed.digest).to_array();
                let parts: [&[u8]; 5] = [&self.v, &separator, seed.key, &digest, seed.hedge];
                self.k = hmac(hasher, &self.k, &parts);
                None
            }
            1 | 3 => {
                self.v = hmac(hasher, &self.k, &[&self.v]);
                None
            }
            4 => {
                self.v = hmac(hasher, &self.k, &[&self.v]);
                Scalar::from_array(&self.v).filter(|candidate| !bool::from(candidate.is_zero()))
            }
            _ => {
                self.k = hmac(hasher, &self.k, &[&self.v, &[0]]);
                self.stage = 3;
                None
            }
        }
    }
}

impl Drop for Nonce {
    fn drop(&mut self) {
        self.k.zeroize();
        self.v.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Sha2;

    /// A candidate that is no use is followed by another one, from a new K and V.
    ///
    /// Source: RFC 6979, 3.2, step h.3.
    #[test]
    fn the_next_candidate_comes_from_a_new_key() {
        let (k, v) = ([3; SCALAR_BYTES], [5; SCALAR_BYTES]);
        let seed = Seed { key: &[7; SCALAR_BYTES], digest: &[9; SCALAR_BYTES], hedge: &[] };
        let mut nonce = Nonce::resume(k, v, 5);
        assert!(nonce.step(&Sha2, &seed).is_none());
        assert!(nonce.step(&Sha2, &seed).is_none());
        let candidate = nonce.step(&Sha2, &seed).unwrap();
        let k = hmac(&Sha2, &k, &[&v, &[0]]);
        let v = hmac(&Sha2, &k, &[&v]);
        let expected = hmac(&Sha2, &k, &[&v]);
        assert_eq!(candidate.to_array(), expected);
    }

    #[test]
    fn zero_and_numbers_above_the_order_are_no_candidates() {
        // All ones are above the order: HMAC never gives them, so the check is called by itself.
        assert!(Scalar::from_array(&[0xff; SCALAR_BYTES]).is_none());
        assert!(Scalar::from_array(&[0; SCALAR_BYTES]).is_some_and(|zero| zero.is_zero().into()));
    }
}
