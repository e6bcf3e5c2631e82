//! The platform's public key: from a file, or the sample that everybody has.

use std::path::Path;

use anyhow::{Context, bail};
use p384::ecdsa::VerifyingKey;
use p384::pkcs8::DecodePublicKey;
use p384::{EncodedPoint, FieldBytes, PublicKey};

use crate::fault::IoContext;

/// Largest file that can be a key.
const SIZE_MAX: u64 = 1 << 16;

/// The key that signs TF-A's sample of a platform token, on QEMU and on FVP. Its private half is public.
const SAMPLE_X: [u8; 48] = [
    0x22, 0x18, 0x67, 0xc5, 0x2e, 0x2b, 0x95, 0x08, 0xb0, 0xa4, 0x20, 0xa9, 0x05, 0x60, 0xf3, 0x94,
    0xd2, 0xdf, 0xaa, 0x21, 0xbd, 0xd7, 0x5d, 0x45, 0xf1, 0xa9, 0x01, 0xaf, 0xe7, 0xe1, 0xf7, 0x8b,
    0xb1, 0x1d, 0x4e, 0x66, 0xf8, 0xa8, 0xa3, 0x8a, 0xfa, 0x76, 0xaf, 0x6a, 0x31, 0xc4, 0xde, 0x8c,
];
const SAMPLE_Y: [u8; 48] = [0; 48];

/// Whose signature the platform token must have.
#[derive(Clone, Debug)]
pub struct PlatformKey {
    /// The key.
    pub key: VerifyingKey,
    /// Whose it is, for sentences.
    pub owner: String,
    /// Whether everybody can sign with it.
    pub is_sample: bool,
}
