//! Attestation services of EL3, through the page that both sides share.

use core::arch::asm;
use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

use granule::machine::El3Error;
use granule::machine::attest::AttestRoot;
use spin::Mutex;

use crate::boot::Firmware;
use crate::cpu::Cpu;
use crate::layout::{PAGE, PAGE_BYTES};
use crate::registers::{mrs, msr};
use crate::root::result;
use crate::smc;

/// Address of the shared page, 0 until cold boot has set it. Locked for the whole of a service.
static BUFFER: Mutex<usize> = Mutex::new(0);
/// The same, as EL3 takes it.
static SHARED_PA: AtomicU64 = AtomicU64::new(0);

/// Bytes of the realm attestation key, a P-384 scalar.
const KEY_BYTES: usize = 48;
/// Bytes of the challenge, a SHA-256.
const CHALLENGE_BYTES: usize = 32;
/// EL3's code for "no room".
const NO_MEMORY: El3Error = El3Error(-4);
/// EL3's code for "ask again".
const AGAIN: i64 = -6;
/// Most tries while EL3 says so: its attestation hardware is busy.
const TRIES_MAX: u32 = 1_000_000;

/// Most tries of the random number generator, which may be out of entropy for a moment.
///
/// Source: bug catalogue M3.
const RANDOM_TRIES_MAX: u32 = 100;
/// The bit of register DIT.
const DIT: u64 = 1 << 24;

/// A random number of the CPU, which has FEAT_RNG; `None` if its generator fails for long.
fn random() -> Option<u64> {
    for _ in 0..RANDOM_TRIES_MAX {
        let value: u64;
        let good: u64;
        // SAFETY: reads RNDR, which the caller has checked for; Z tells a failure.
        unsafe {
            asm!(
                "mrs {value}, s3_3_c2_c4_0",
                "cset {good}, ne",
                value = out(reg) value,
                good = out(reg) good,
                options(nomem, nostack),
            );
        }
        if good != 0 {
            return Some(value);
        }
    }
    None
}

/// Remembers where the shared page is; cold boot has mapped it.
pub(crate) fn set_shared_buffer(pa: u64) {
    SHARED_PA.store(pa, Ordering::Relaxed);
    *BUFFER.lock() = usize::try_from(pa).unwrap_or(0);
}

/// Words of the shared page.
const WORDS: usize = PAGE_BYTES / WORD_BYTES;
const WORD_BYTES: usize = size_of::<u64>();

/// Copies bytes out of the shared page. In words: the Host waits for its CPU meanwhile.
fn read(buffer: usize, into: &mut [u8]) {
    let from: *const u64 = ptr::with_exposed_provenance(buffer);
    for (index, bytes) in into.chunks_mut(WORD_BYTES).enumerate() {
        assert!(index < WORDS, "shared buffer");
        // SAFETY: inside the page by the assertion.
        let at = unsafe { from.add(index) };
        // SAFETY: cold boot mapped the page, and pages are aligned; EL3 also writes it, hence volatile.
        let word = unsafe { at.read_volatile() };
        for (to, from) in bytes.iter_mut().zip(word.to_le_bytes()) {
            *to = from;
        }
    }
}

/// Writes whole words to the shared page, then zeros up to its end: nothing of an earlier service stays behind.
fn write(buffer: usize, from: &[u8]) {
    let to: *mut u64 = ptr::with_exposed_provenance_mut(buffer);
    let words = from.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
    for (index, word) in words.chain(core::iter::repeat(0)).take(WORDS).enumerate() {
        // SAFETY: `take` keeps it inside the page.
        let at = unsafe { to.add(index) };
        // SAFETY: cold boot mapped the page, and pages are aligned; EL3 also reads it, hence volatile.
        unsafe { at.write_volatile(word) };
    }
}

/// Calls an attestation service with the whole page, as often as EL3 wants to be asked again; its X1 and X2.
fn serve(function: u64, argument: u64) -> Result<(u64, u64), El3Error> {
    let pa = SHARED_PA.load(Ordering::Relaxed);
    for _ in 0..TRIES_MAX {
        let [x0, x1, x2] = smc::call(function, [pa, PAGE, argument]);
        match result(x0) {
            Ok(()) => return Ok((x1, x2)),
            Err(El3Error(AGAIN)) => {}
            Err(other) => return Err(other),
        }
    }
    Err(El3Error(AGAIN))
}

/// Fetches the platform token, hunk by hunk.
fn fetch_token(
    buffer: usize,
    challenge: &[u8; CHALLENGE_BYTES],
    into: &mut [u8],
) -> Result<usize, El3Error> {
    write(buffer, challenge);
    let mut done = 0;
    let mut argument = CHALLENGE_BYTES as u64;
    loop {
        let (hunk, remaining) = serve(smc::ATTEST_GET_PLAT_TOKEN, argument)?;
        let hunk = usize::try_from(hunk).ok().filter(|&hunk| hunk <= PAGE_BYTES);
        let hunk = hunk.ok_or(NO_MEMORY)?;
        let room = into.get_mut(done..).and_then(|room| room.get_mut(..hunk)).ok_or(NO_MEMORY)?;
        read(buffer, room);
        done += hunk;
        // EL3 before interface 0.3 gives the token whole and leaves X2 as it was: 32.
        if remaining == 0 || hunk == 0 {
            return Ok(done);
        }
        argument = 0;
    }
}

impl<F: Firmware> AttestRoot for Cpu<F> {
    fn realm_key(&self) -> Result<[u8; KEY_BYTES], El3Error> {
        let buffer = BUFFER.lock();
        let mut key = [0; KEY_BYTES];
        // Curve 0 is P-384.
        let answer = serve(smc::ATTEST_GET_REALM_KEY, 0).and_then(|(length, _)| {
            if length != KEY_BYTES as u64 {
                return Err(NO_MEMORY);
            }
            read(*buffer, &mut key);
            Ok(key)
        });
        write(*buffer, &[]);
        answer
    }

    fn platform_token(
        &self,
        challenge: &[u8; CHALLENGE_BYTES],
        into: &mut [u8],
    ) -> Result<usize, El3Error> {
        let buffer = BUFFER.lock();
        let answer = fetch_token(*buffer, challenge, into);
        write(*buffer, &[]);
        answer
    }

    fn entropy(&self) -> Option<[u8; 32]> {
        if !self.area().features.get().rng {
            return None;
        }
        let mut bytes = [0; 32];
        for word in bytes.as_chunks_mut::<8>().0 {
            *word = random()?.to_le_bytes();
        }
        Some(bytes)
    }

    fn constant_time<R>(&self, secret: impl FnOnce() -> R) -> R {
        if !self.area().features.get().dit {
            return secret();
        }
        let before = mrs!("s3_3_c4_c2_5"); // DIT
        msr!("s3_3_c4_c2_5", before | DIT);
        let result = secret();
        msr!("s3_3_c4_c2_5", before);
        result
    }
}
