//! SHA-256, SHA-384 and SHA-512: the CPU's instructions where it has them, else crate `sha2`.
//!
//! The vector registers are the Host's or the Realm's. The first hash of a command saves them, later ones find
//! them saved, and they come back before the command ends or the Realm runs: [`Cpu::give_vectors_back`].

mod sha256;
mod sha512;

use granule::machine::Hasher;
use sha2::Digest;

use crate::boot::Firmware;
use crate::cpu::Cpu;
use crate::vcpu::simd;

impl<F: Firmware> Cpu<F> {
    /// Makes V0 to V31 free to use.
    #[inline(always)]
    fn take_vectors(&self) {
        let area = self.area();
        if !area.hashing.replace(true) {
            let features = area.features.get();
            simd::open(&features);
            if area.simd_lent.get() {
                simd::save_realm(area);
            } else {
                simd::save_host(&features);
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

    /// The compression of SHA-512 over a message, from an initial state; the first bytes of the final one. The CPU must
    /// have the instructions.
    fn sha512_from<const BYTES: usize>(&self, mut state: [u64; 8], message: &[u8]) -> [u8; BYTES] {
        let (blocks, rest) = message.as_chunks::<128>();
        let (tail, used) = padding::<128>(rest, message.len(), 16);
        self.take_vectors();
        // SAFETY: the vectors are ours since `take_vectors`, and the callers have checked for the instructions.
        unsafe { sha512::compress(&mut state, blocks) };
        // SAFETY: as above.
        unsafe { sha512::compress(&mut state, tail.get(..used).unwrap_or_default()) };
        let mut digest = [0; BYTES];
        for (bytes, word) in digest.as_chunks_mut::<8>().0.iter_mut().zip(state) {
            *bytes = word.to_be_bytes();
        }
        digest
    }

    #[cold]
    fn restore_vectors(&self) {
        let area = self.area();
        let features = area.features.get();
        if area.simd_lent.get() {
            simd::restore_realm(area);
            simd::open_to_realm();
        } else {
            simd::restore_host(&features);
            simd::close();
        }
        area.hashing.set(false);
    }
}

/// The last block or two of a message: its rest, a one bit, zeros, and its length in bits at the end.
///
/// Source: FIPS 180-4, 5.1. `length_bytes` is the size of the length field.
fn padding<const BLOCK: usize>(
    rest: &[u8],
    message_bytes: usize,
    length_bytes: usize,
) -> ([[u8; BLOCK]; 2], usize) {
    let mut tail = [[0; BLOCK]; 2];
    let used = if rest.len() + 1 + length_bytes <= BLOCK { 1 } else { 2 };
    let bytes = tail.as_flattened_mut();
    if let Some(start) = bytes.get_mut(..rest.len()) {
        start.copy_from_slice(rest);
    }
    if let Some(byte) = bytes.get_mut(rest.len()) {
        *byte = 0x80;
    }
    let end = used * BLOCK;
    if let Some(length) = bytes.get_mut(end - 8..end) {
        length.copy_from_slice(&(message_bytes as u64 * 8).to_be_bytes());
    }
    (tail, used)
}

impl<F: Firmware> Hasher for Cpu<F> {
    fn sha256(&self, message: &[u8]) -> [u8; 32] {
        if !self.area().features.get().sha256 {
            return sha2::Sha256::digest(message).into();
        }
        let (blocks, rest) = message.as_chunks::<64>();
        let (tail, used) = padding::<64>(rest, message.len(), 8);
        let mut state = sha256::INITIAL;
        self.take_vectors();
        // SAFETY: the vectors are ours since `take_vectors`, and the CPU has the instructions.
        unsafe { sha256::compress(&mut state, blocks) };
        // SAFETY: as above.
        unsafe { sha256::compress(&mut state, tail.get(..used).unwrap_or_default()) };
        let mut digest = [0; 32];
        for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(state) {
            *bytes = word.to_be_bytes();
        }
        digest
    }

    fn sha384(&self, message: &[u8]) -> [u8; 48] {
        if !self.area().features.get().sha512 {
            return sha2::Sha384::digest(message).into();
        }
        self.sha512_from(sha512::INITIAL_384, message)
    }

    fn sha512(&self, message: &[u8]) -> [u8; 64] {
        if !self.area().features.get().sha512 {
            return sha2::Sha512::digest(message).into();
        }
        self.sha512_from(sha512::INITIAL, message)
    }
}
