//! The PL011 that EL3's manifest names: polled output, nothing else. EL3 has set it up.

use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Data register. Source: PL011 reference manual (Arm DDI0183), `UARTDR`.
const DATA: usize = 0x00;
/// Flag register; bit 5 is TXFF, the transmit FIFO is full. Source: `UARTFR`.
const FLAGS: usize = 0x18;
const TXFF: u32 = 1 << 5;
/// Most polls for one byte: a UART that never drains must not stop the monitor.
const POLLS_MAX: u32 = 1_000_000;

/// Address of the console, 0 without one.
static BASE: AtomicUsize = AtomicUsize::new(0);

/// Uses the PL011 at `base` from now on; cold boot has mapped it.
pub(crate) fn open(base: u64) {
    if let Ok(base) = usize::try_from(base) {
        BASE.store(base, Ordering::Relaxed);
    }
}

/// Sends one byte, or drops it without a console.
pub(crate) fn send(byte: u8) {
    let base = BASE.load(Ordering::Relaxed);
    if base == 0 {
        return;
    }
    let flags: *const u32 = ptr::with_exposed_provenance(base + FLAGS);
    let data: *mut u32 = ptr::with_exposed_provenance_mut(base + DATA);
    for _ in 0..POLLS_MAX {
        // SAFETY: a register of the console, which cold boot mapped as Device memory.
        let full = unsafe { flags.read_volatile() } & TXFF != 0;
        if !full {
            break;
        }
        core::hint::spin_loop();
    }
    // SAFETY: as above; a write sends the byte and does nothing else.
    unsafe { data.write_volatile(u32::from(byte)) };
}
