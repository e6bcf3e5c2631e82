//! The last words of a CPU: one complete report of an exception from EL2 or a panic, then it halts.
//!
//! Reports hold addresses and syndromes, never the contents of memory: of the general-purpose
//! registers, which may hold a Realm's data while it is copied or hashed, or a Realm's own values
//! on its way in or out, they show those that are addresses of the monitor or of granules.

mod class;

use core::panic::PanicInfo;
use core::ptr;

use aarch64_cpu::asm::wfe;
use defmt::error;

use crate::area;
use crate::boot::start::{image_offset, image_range, refuse_if_booting};
use crate::layout;

/// What the vectors save of an exception from EL2.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Frame {
    gprs: [u64; 31],
    pub(crate) sp: u64,
    pub(crate) elr: u64,
    spsr: u64,
    pub(crate) esr: u64,
    far: u64,
    pub(crate) hpfar: u64,
    vector: u64,
}

/// Most frames of a backtrace.
const BACKTRACE_MAX: usize = 24;

const fn vector_name(vector: u64) -> &'static str {
    match vector {
        0..=3 => "EL2 with SP_EL0",
        4 => "EL2 synchronous",
        5 => "EL2 IRQ",
        6 => "EL2 FIQ",
        7 => "EL2 SError",
        12..=15 => "lower EL, AArch32",
        _ => "?",
    }
}

/// Reports an exception from EL2 that nobody expected. Called by the vectors, on the fault stack.
#[unsafe(no_mangle)]
extern "C" fn cairn_fatal(frame: &Frame) -> ! {
    error!(
        "fatal: {=str} on CPU {=u64}: {=str} (ESR {=u64:#x})",
        vector_name(frame.vector),
        area::here().index.get(),
        class::name(frame.esr),
        frame.esr
    );
    error!(
        "  PC image+{=u64:#x}, SP {=u64:#x}, PSTATE {=u64:#x}",
        image_offset(frame.elr),
        frame.sp,
        frame.spsr
    );
    error!(
        "  FAR {=u64:#x} ({=str}), HPFAR {=u64:#x}",
        frame.far,
        layout::describe(frame.far),
        frame.hpfar
    );
    error!(
        "  serving Host call {=u64:#x}; registers that are no addresses read as all ones:",
        command()
    );
    let image = image_range();
    for (row, registers) in frame.gprs.chunks(4).enumerate() {
        let mut shown = [0; 4];
        for (to, from) in shown.iter_mut().zip(registers) {
            *to = layout::public(*from, &image);
        }
        let shown = shown.get(..registers.len()).unwrap_or_default();
        error!("  X{=usize}.. {=[?]:#x}", row * 4, shown);
    }
    let [.., frame_pointer, link] = frame.gprs;
    error!("  called from image+{=u64:#x}", image_offset(link));
    backtrace(frame_pointer);
    halt()
}

/// The call of the Host that this CPU serves; 0 during its boot.
fn command() -> u64 {
    area::here().command.get()
}

/// Walks the chain of frame pointers, as far as it stays on this CPU's stacks.
fn backtrace(mut frame_pointer: u64) {
    const WORD: u64 = size_of::<u64>() as u64;
    for depth in 0..BACKTRACE_MAX {
        let on_stack = |bottom: usize, top: usize| {
            (bottom as u64..top as u64 - 2 * WORD + 1).contains(&frame_pointer)
        };
        let fault_stack_bottom = layout::page_address(layout::FAULT_STACK_PAGE);
        let valid = on_stack(layout::STACK_BOTTOM, layout::STACK_TOP)
            || on_stack(fault_stack_bottom, layout::FAULT_STACK_TOP);
        let Ok(address) = usize::try_from(frame_pointer) else { return };
        if !valid || !address.is_multiple_of(size_of::<u64>()) {
            return;
        }
        let record: *const [u64; 2] = ptr::with_exposed_provenance(address);
        // SAFETY: 16 aligned bytes inside a stack of this CPU, which is mapped; volatile, since
        // code further up the stack owns them.
        let [next, link] = unsafe { record.read_volatile() };
        if link == 0 {
            return;
        }
        error!("  #{=usize} image+{=u64:#x}", depth, image_offset(link));
        if next <= frame_pointer {
            return;
        }
        frame_pointer = next;
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let area = area::here();
    // A panic while reporting one goes nowhere.
    if area.faulted.replace(1) != 0 {
        halt();
    }
    let (file, line) = info.location().map_or(("?", 0), |place| (place.file(), place.line()));
    error!(
        "fatal: panic on CPU {=u64}, serving Host call {=u64:#x}, at {=str}:{=u32}: {}",
        area.index.get(),
        command(),
        file,
        line,
        defmt::Display2Format(&info.message())
    );
    let frame_pointer: u64;
    // SAFETY: copies a register.
    unsafe {
        core::arch::asm!("mov {}, x29", out(reg) frame_pointer, options(nomem, nostack));
    }
    backtrace(frame_pointer);
    halt()
}

/// Stops this CPU for good. The others go on; at cold boot there are none, and EL3 goes on without
/// a monitor.
fn halt() -> ! {
    refuse_if_booting();
    loop {
        wfe();
    }
}
