//! One instruction, given as a number: the host tries it at EL2, and survives if it is refused. And
//! the program that does the same in the Realms of `cairn_host::stress::registers`.

use super::cpu;
use super::machine::BareMachine;
use cairn_host::stress::registers::{Access, Probe};
use core::arch::global_asm;
use spin::Mutex;

/// There is one place for the instruction.
static PLACE: Mutex<()> = Mutex::new(());

/// What became of an instruction. Known to the assembly below: X0 and X1.
#[repr(C)]
struct Tried {
    /// X0 after it.
    value: u64,
    /// 0, or the syndrome of the exception that it was.
    esr: u64,
}

// X9 to X11 may change at an exception: the vector uses them. The instruction names X0 alone.
global_asm!(
    r#"
    .section .text.host_probe, "ax"
    .global host_probe
    .global host_probe_place
    .global host_probe_end
    .global host_probe_fault
host_probe:                                 // w0: instruction, x1: X0 for it
    adr     x2, host_probe_place
    str     w0, [x2]
    dc      cvau, x2
    dsb     ish
    ic      ivau, x2
    dsb     ish
    isb
    mov     x0, x1
    b       host_probe_place
    .balign 64
host_probe_place:
    nop
host_probe_end:
    isb
    mov     x1, #0
    ret
host_probe_fault:
    mrs     x1, esr_el2
    ret
    .balign 64
    "#
);

// SAFETY: the symbol is defined by the assembly above with this signature.
unsafe extern "C" {
    fn host_probe(instruction: u32, operand: u64) -> Tried;
}

/// The value that a register has, or that was written to it; `None` if the host may not do that.
pub(super) fn access(access: Access) -> Option<u64> {
    let _place = PLACE.lock();
    // SAFETY:
    // - `Access` is a read of a register to X0, or a write of one to which the table lets the Host
    //   write: neither touches memory, and EL2's own translation, vectors, stack and PSTATE stay as
    //   they are.
    // - The place of the instruction is in the block of code, which is writable, and is made
    //   visible to fetches before it runs.
    // - An exception at it resumes behind it (see the vectors).
    let tried = unsafe { host_probe(access.instruction(), access.operand()) };
    (tried.esr == 0).then_some(tried.value)
}

impl Probe for BareMachine {
    fn access(&self, wanted: Access) -> Option<u64> {
        access(wanted)
    }

    fn open(&self) {
        cpu::allow_vectors(cpu::has_sve());
        if cpu::has_streaming() {
            cpu::allow_streaming();
        }
    }

    fn program(&self) -> &'static [u8] {
        let start = &raw const cairn_prober_program;
        let size = (&raw const cairn_prober_program_end).addr() - start.addr();
        // SAFETY: the assembly below defines `size` bytes of constant data from `start`.
        unsafe { core::slice::from_raw_parts(start, size) }
    }
}

// X0: the buffer that it shares with the Host. X1: a page of its own, for the instruction. Position
// independent, MMU off.
//
// Word 0 of the buffer is how many orders follow from byte 32. Each has 32 bytes: instruction and
// level (0 for EL1, 1 for EL0); X0, before and after; syndrome and, in bits 63:48, the vector;
// ticks. The instruction is followed by an SVC, so it always ends in an exception, whatever it does
// to PSTATE; the next starts from the same PSTATE again.
global_asm!(
    r#"
    .section .rodata.cairn_prober_program, "a"
    .balign 8
    .global cairn_prober_program
    .global cairn_prober_program_end
cairn_prober_program:
    mov     x19, x0
    mov     x20, x1
    adr     x3, cairn_prober_program + 0x800
    msr     vbar_el1, x3
    // EL0 may use what EL1 can let it use: UCI, UCT, DZE, UMA; EnTP2 where there is one; timers and
    // counters.
    mrs     x3, sctlr_el1
    movz    x4, #0xc200
    movk    x4, #0x0400, lsl #16
    movk    x4, #0x1000, lsl #48
    orr     x3, x3, x4
    msr     sctlr_el1, x3
    movz    x3, #0x0333, lsl #16            // CPACR_EL1: SMEN, FPEN, ZEN
    msr     cpacr_el1, x3
    mov     x3, #0x303                      // CNTKCTL_EL1
    msr     cntkctl_el1, x3
    isb
    movz    w3, #0x0001
    movk    w3, #0xd400, lsl #16            // SVC #0
    str     w3, [x20, #4]

    // WFI asks the Host for orders.
1:  dsb     sy
    wfi
    dsb     sy
    ldr     x22, [x19]
    add     x23, x19, #32
2:  cbz     x22, 1b
    ldp     w3, w4, [x23]
    str     w3, [x20]
    dc      cvau, x20
    dsb     ish
    ic      ivau, x20
    dsb     ish
    mov     x5, #0x3c5                      // EL1h
    mov     x6, #0x3c0                      // EL0t
    cmp     w4, #0
    csel    x5, x5, x6, eq
    msr     spsr_el1, x5
    msr     elr_el1, x20
    ldr     x0, [x23, #8]
    isb
    mrs     x24, cntvct_el0
    eret

3:  sub     x25, x25, x24
    mrs     x3, esr_el1
    orr     x3, x3, x26, lsl #48
    str     x0, [x23, #8]
    stp     x3, x25, [x23, #16]
    add     x23, x23, #32
    sub     x22, x22, #1
    b       2b

    .set    offset, 0
    .rept   16
    .org    cairn_prober_program + 0x800 + offset
    mrs     x25, cntvct_el0
    mov     x26, #offset
    b       3b
    .set    offset, offset + 0x80
    .endr
cairn_prober_program_end:
    "#
);

// SAFETY: the symbols are defined by the assembly above; Rust only reads what is between them.
unsafe extern "C" {
    static cairn_prober_program: u8;
    static cairn_prober_program_end: u8;
}
