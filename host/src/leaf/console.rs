//! The PL011, shared with EL3 and the monitor.

use crate::platform;
use arm_pl011_uart::{Interrupts, PL011Registers, Uart};
use cairn_host::console::{Console, Sink};
use core::fmt;
use core::num::NonZeroUsize;
use core::ptr::NonNull;
use safe_mmio::UniqueMmioPointer;
use spin::Mutex;

static CONSOLE: Mutex<Option<Console<Pl011>>> = Mutex::new(None);

struct Pl011(Uart<'static>);

impl Sink for Pl011 {
    fn write_byte(&mut self, byte: u8) {
        while self.0.is_tx_fifo_full() {
            core::hint::spin_loop();
        }
        self.0.write_word(byte);
    }
}

fn with_console<T>(f: impl FnOnce(&mut Console<Pl011>) -> T) -> T {
    f(CONSOLE.lock().get_or_insert_with(|| {
        let address = usize::try_from(platform::PL011_BASE).ok().and_then(NonZeroUsize::new);
        let address = address.expect("the board has a console");
        let registers = NonNull::<PL011Registers>::with_exposed_provenance(address);
        // SAFETY: the address is that of the machine's PL011, mapped as device memory for good;
        // this is the only place that makes a pointer to it, once, under the lock.
        let registers = unsafe { UniqueMmioPointer::new(registers) };
        Console::new(Pl011(Uart::new(registers)))
    }))
}

/// Writes a line that starts in column 0.
pub(crate) fn console_line(line: fmt::Arguments<'_>) {
    with_console(|console| console.write_line(line));
}

/// Writes bytes of a guest.
pub(super) fn write(bytes: &[u8]) {
    with_console(|console| console.write_raw(bytes));
}

/// Takes a byte that was typed; a byte that was damaged on the line is dropped.
pub(super) fn read() -> Option<u8> {
    with_console(|console| console.sink().0.read_word().ok().flatten())
}

/// Makes the PL011 interrupt when something is typed.
pub(super) fn enable_input() {
    with_console(|console| console.sink().0.set_interrupt_masks(Interrupts::RXI | Interrupts::RTI));
}

/// For the last words of a CPU that may hold the console already.
pub(crate) fn unlock_console() {
    // SAFETY: called only when this CPU will print its last line and switch the machine off. If
    // it holds the lock itself, the console it interrupted is never resumed. If another CPU holds
    // it, the worst is that their characters mix.
    unsafe { CONSOLE.force_unlock() }
}
