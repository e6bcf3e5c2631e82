//! The `defmt` logger: one frame at a time, on the console.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering};

use defmt::Encoder;

use crate::area;
use crate::console;
use crate::frame::{CLOSE, OPEN, Packer};

#[defmt::global_logger]
struct ConsoleLogger;

/// The CPU that writes a frame, its index plus one; 0 if none does.
static OWNER: AtomicU64 = AtomicU64::new(0);

/// How often a CPU that reports a fatal exception looks for a free console before it takes it.
const FATAL_TRIES: u32 = 10_000_000;

struct Frame {
    encoder: Encoder,
    packer: Packer,
}

struct FrameCell(UnsafeCell<Frame>);

// SAFETY: touched only by the CPU that `OWNER` names, see `frame`.
unsafe impl Sync for FrameCell {}

static FRAME: FrameCell =
    FrameCell(UnsafeCell::new(Frame { encoder: Encoder::new(), packer: Packer::new() }));

/// The frame under construction.
///
/// # Safety
///
/// This CPU owns the logger, and no other reference to the frame lives.
unsafe fn frame<'a>() -> &'a mut Frame {
    // SAFETY: exclusive by this function's contract.
    unsafe { &mut *FRAME.0.get() }
}

/// Waits for the console. A CPU that reports a fatal exception takes it after a while: its owner
/// may be the very CPU that failed, in the middle of a frame.
fn take() {
    let me = area::here().index.get() + 1;
    let mut tries = 0;
    while OWNER.compare_exchange_weak(0, me, Ordering::Acquire, Ordering::Relaxed).is_err() {
        core::hint::spin_loop();
        tries += 1;
        if area::here().faulted.get() != 0
            && (tries > FATAL_TRIES || OWNER.load(Ordering::Relaxed) == me)
        {
            OWNER.store(me, Ordering::Relaxed);
            return;
        }
    }
}

// SAFETY: `acquire` excludes every other CPU until `release`. On one CPU frames do not nest: the
// monitor runs with interrupts masked, and an exception that logs is fatal and never returns to the
// frame that it broke into.
unsafe impl defmt::Logger for ConsoleLogger {
    fn acquire() {
        take();
        // SAFETY: owned since `take`.
        let Frame { encoder, packer } = unsafe { frame() };
        *packer = Packer::new();
        console::send(OPEN);
        encoder.start_frame(|bytes| send(packer, bytes));
    }

    unsafe fn flush() {}

    unsafe fn release() {
        // SAFETY: owned since `acquire`, by the contract of `Logger`.
        let Frame { encoder, packer } = unsafe { frame() };
        encoder.end_frame(|bytes| send(packer, bytes));
        packer.finish(console::send);
        console::send(CLOSE);
        OWNER.store(0, Ordering::Release);
    }

    unsafe fn write(bytes: &[u8]) {
        // SAFETY: owned since `acquire`, by the contract of `Logger`.
        let Frame { encoder, packer } = unsafe { frame() };
        encoder.write(bytes, |bytes| send(packer, bytes));
    }
}

#[inline] // perf: `realm_destroy`.
fn send(packer: &mut Packer, bytes: &[u8]) {
    for &byte in bytes {
        packer.push(byte, console::send);
    }
}
