//! What the tests of this module share.

use machine::Hasher;
use sha2::Digest;

/// Hashes by crate `sha2`.
pub(crate) struct Sha2;

impl Hasher for Sha2 {
    fn sha256(&self, message: &[u8]) -> [u8; 32] {
        sha2::Sha256::digest(message).into()
    }

    fn sha384(&self, message: &[u8]) -> [u8; 48] {
        sha2::Sha384::digest(message).into()
    }

    fn sha512(&self, message: &[u8]) -> [u8; 64] {
        sha2::Sha512::digest(message).into()
    }
}

/// Bytes from hexadecimal digits.
pub(crate) fn hex<const BYTES: usize>(digits: &str) -> [u8; BYTES] {
    assert_eq!(digits.len(), 2 * BYTES);
    core::array::from_fn(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap())
}

/// TF-A's public sample of a realm attestation key, which it gives on QEMU and FVP.
pub(crate) const SAMPLE_KEY: &str = "2011c7f03cee4325176e524f033c0ce1e21a76e6c1a4f0b839aa1df61e0e8a5c\
                              8a05740f9b69efa7eb1a4185bd117f68";
