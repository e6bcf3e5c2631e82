//! Attestation services of EL3, through the page that both sides share.

use core::arch::asm;
use core::hint::black_box;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use machine::El3Error;
use machine::attest::AttestRoot;
use spin::Mutex;

use crate::boot::Firmware;
use crate::cpu::Cpu;
use crate::el3::result;
use crate::hunks::{self, NO_MEMORY};
use crate::layout::{PAGE, PAGE_BYTES};
use crate::registers::{DIT, Readable, Writeable};
use crate::smc;

/// Address of the shared page, 0 until cold boot has set it. Locked for the whole of a service.
static BUFFER: Mutex<usize> = Mutex::new(0);
/// The same, as EL3 takes it.
static SHARED_PA: AtomicU64 = AtomicU64::new(0);
/// Whether EL3 gives the platform token in hunks.
static HUNKS: AtomicBool = AtomicBool::new(false);

/// Bytes of the realm attestation key, a P-384 scalar.
const KEY_BYTES: usize = 48;
/// Bytes of the challenge, a SHA-256.
const CHALLENGE_BYTES: usize = 32;
/// Most tries at boot while EL3 says "again": its attestation hardware is busy. Later the Realm
/// tries again.
const TRIES_MAX: u32 = 1_000_000;
/// Bytes of stack below a computation with secrets that are wiped after it: more than it uses.
const SECRET_STACK_BYTES: usize = 8 << 10;

/// Most tries of the random number generator, which may be out of entropy for a moment.
///
/// Source: bug catalogue M3.
const RANDOM_TRIES_MAX: u32 = 100;
/// The bit of register DIT.
const DIT_ON: u64 = 1 << 24;

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

/// Remembers where the shared page is, which cold boot has mapped, and what can be done with it.
pub(crate) fn set_shared_buffer(pa: u64, interface: u64) {
    HUNKS.store(hunks::are_given(interface), Ordering::Relaxed);
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
        // SAFETY: cold boot mapped the page, and pages are aligned; EL3 also writes it, hence
        // volatile.
        let word = unsafe { at.read_volatile() };
        for (to, from) in bytes.iter_mut().zip(word.to_le_bytes()) {
            *to = from;
        }
    }
}

/// Writes whole words to the shared page, then zeros up to its end: nothing of an earlier service
/// stays behind.
fn write(buffer: usize, from: &[u8]) {
    let to: *mut u64 = ptr::with_exposed_provenance_mut(buffer);
    let words = from.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
    for (index, word) in words.chain(core::iter::repeat(0)).take(WORDS).enumerate() {
        // SAFETY: `take` keeps it inside the page.
        let at = unsafe { to.add(index) };
        // SAFETY: cold boot mapped the page, and pages are aligned; EL3 also reads it, hence
        // volatile.
        unsafe { at.write_volatile(word) };
    }
}

/// Calls an attestation service with the whole page; its X1 and X2.
fn serve(function: u64, argument: u64) -> Result<(u64, u64), El3Error> {
    let pa = SHARED_PA.load(Ordering::Relaxed);
    let [x0, x1, x2] = smc::call(function, [pa, PAGE, argument]);
    result(x0).map(|()| (x1, x2))
}

/// Asks for the realm attestation key until EL3 has an answer; its length in bytes.
fn serve_key() -> Result<u64, El3Error> {
    const P384: u64 = 0;
    for _ in 0..TRIES_MAX {
        match serve(smc::ATTEST_GET_REALM_KEY, P384) {
            Ok((length, _)) => return Ok(length),
            Err(El3Error::AGAIN) => {}
            Err(other) => return Err(other),
        }
    }
    Err(El3Error::AGAIN)
}

/// Runs `secret` with a stack frame of its own, so that [`wipe_stack`] in the caller reaches all
/// that it leaves.
#[inline(never)]
fn apart<R>(secret: impl FnOnce() -> R) -> R {
    secret()
}

/// Overwrites the stack below the caller, where a computation that has ended has left copies of its
/// secrets.
#[inline(never)]
fn wipe_stack() {
    black_box(&mut [0_u8; SECRET_STACK_BYTES]);
}

/// Fetches the platform token, hunk by hunk.
fn fetch_token(
    buffer: usize,
    challenge: &[u8; CHALLENGE_BYTES],
    into: &mut [u8],
) -> Result<usize, El3Error> {
    write(buffer, challenge);
    let request = |argument| serve(smc::ATTEST_GET_PLAT_TOKEN, argument);
    let in_hunks = HUNKS.load(Ordering::Relaxed);
    hunks::collect(into, CHALLENGE_BYTES as u64, in_hunks, request, |hunk| read(buffer, hunk))
}

impl<F: Firmware> AttestRoot for Cpu<F> {
    fn realm_key(&self) -> Result<[u8; KEY_BYTES], El3Error> {
        let buffer = BUFFER.lock();
        let mut key = [0; KEY_BYTES];
        let answer = serve_key().and_then(|length| {
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
        // Another CPU may be using the page: this one does not wait for it.
        let buffer = BUFFER.try_lock().ok_or(El3Error::AGAIN)?;
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
        let has_dit = self.area().features.get().dit;
        let before = if has_dit { DIT.get() } else { 0 };
        if has_dit {
            DIT.set(before | DIT_ON);
        }
        let result = apart(secret);
        wipe_stack();
        if has_dit {
            DIT.set(before);
        }
        result
    }
}
