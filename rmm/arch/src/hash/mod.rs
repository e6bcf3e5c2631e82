//! SHA-256, SHA-384 and SHA-512: the CPU's instructions where it has them, else crate `sha2`.
//!
//! The vector registers are the Host's or the Realm's. The first hash of a command saves them,
//! later ones find them saved, and they come back before the command ends or the Realm runs:
//! [`Cpu::give_vectors_back`]. Only the vectors of a Realm with SVE stay where they are: there is
//! no room to save them twice, so that its hashes take the library.

mod sha256;
mod sha512;

use machine::Hasher;
use sha2::Digest;

use crate::boot::Firmware;
use crate::cpu::Cpu;
use crate::vcpu::simd::{self, Extent};

impl<F: Firmware> Cpu<F> {
    /// Whether [`Self::take_vectors`] may be called.
    #[inline(always)]
    pub(crate) fn has_vectors(&self) -> bool {
        !self.area().sve_lent.get()
    }

    /// Makes V0 to V31 free to use. They are not those of a Realm with SVE.
    #[inline(always)]
    pub(crate) fn take_vectors(&self) {
        let area = self.area();
        if !area.hashing.replace(true) {
            // Lent to a Realm, it is open to EL2 as well.
            if area.simd_lent.get() {
                simd::save_realm(area);
            } else {
                let features = area.features.get();
                // SAFETY: `run` gives the vectors back first, and that closes the unit.
                unsafe { simd::open(&features) };
                simd::save_host(&features, Extent::Vectors);
            }
        }
    }

    /// Brings V0 to V31 back if a hash function has used them.
    #[inline(always)]
    pub(crate) fn give_vectors_back(&self) {
        if self.area().hashing.get() {
            self.restore_vectors();
        }
    }

    #[cold]
    fn restore_vectors(&self) {
        let area = self.area();
        if area.simd_lent.get() {
            simd::restore_realm(area);
        } else {
            simd::restore_host(&area.features.get());
            simd::close();
        }
        area.hashing.set(false);
    }
}

/// The last block or two of a message, and their number: its rest, a one bit, zeros, and its length
/// in bits.
///
/// `WORDS` words make a block; the length takes its last eighth.
///
/// Source: FIPS 180-4, 5.1.
#[inline(always)]
fn padding<const WORDS: usize>(rest: &[u8], message_bytes: usize) -> ([[u64; WORDS]; 2], usize) {
    let mut tail = [[0; WORDS]; 2];
    let words = tail.as_flattened_mut();
    let (chunks, odd) = rest.as_chunks::<8>();
    for (word, chunk) in words.iter_mut().zip(chunks) {
        *word = u64::from_ne_bytes(*chunk);
    }
    let mut last = 0x80;
    for &byte in odd.iter().rev() {
        last = last << 8 | u64::from(byte);
    }
    if let Some(word) = words.get_mut(chunks.len()) {
        *word = last;
    }
    let used = if rest.len() + 1 + WORDS <= WORDS * 8 { 1 } else { 2 };
    if let Some(word) = words.get_mut(used * WORDS - 1) {
        *word = (message_bytes as u64 * 8).swap_bytes();
    }
    (tail, used)
}

impl<F: Firmware> Cpu<F> {
    /// SHA-512, or SHA-384 by its initial state, with the CPU's instructions.
    fn sha512_from(&self, initial: &[u64; 8], message: &[u8]) -> [u8; 64] {
        let (blocks, rest) = message.as_chunks::<128>();
        let (tail, used) = padding::<16>(rest, message.len());
        self.take_vectors();
        // SAFETY: the vectors are ours since `take_vectors`, and the callers have checked for the
        // instructions.
        unsafe { sha512::digest(initial, blocks, tail.get(..used).unwrap_or_default()) }
    }
}

impl<F: Firmware> Hasher for Cpu<F> {
    fn sha256(&self, message: &[u8]) -> [u8; 32] {
        if !self.area().features.get().sha256 || !self.has_vectors() {
            return sha2::Sha256::digest(message).into();
        }
        let (blocks, rest) = message.as_chunks::<64>();
        let (tail, used) = padding::<8>(rest, message.len());
        self.take_vectors();
        // SAFETY: the vectors are ours since `take_vectors`, and the CPU has the instructions.
        unsafe { sha256::digest(blocks, tail.get(..used).unwrap_or_default()) }
    }

    fn sha384(&self, message: &[u8]) -> [u8; 48] {
        if !self.area().features.get().sha512 || !self.has_vectors() {
            return sha2::Sha384::digest(message).into();
        }
        let digest = self.sha512_from(&sha512::INITIAL_384, message);
        core::array::from_fn(|index| digest.get(index).copied().unwrap_or_default())
    }

    fn sha512(&self, message: &[u8]) -> [u8; 64] {
        if !self.area().features.get().sha512 || !self.has_vectors() {
            return sha2::Sha512::digest(message).into();
        }
        self.sha512_from(&sha512::INITIAL, message)
    }
}
