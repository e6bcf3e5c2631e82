//! What the bench needs of the hardware: a timed call, and the program that runs in its Realm.

use super::machine::BareMachine;
use super::memory;
use cairn_host::bench::Timed;
use core::arch::{asm, global_asm};

impl Timed for BareMachine {
    fn timed_smc(&self, args: [u64; 7]) -> ([u64; 5], u64) {
        let [a0, a1, a2, a3, a4, a5, a6] = args;
        let (x0, x1, x2, x3, x4): (u64, u64, u64, u64, u64);
        let (before, after): (u64, u64);
        // SAFETY: a call to EL3 or the monitor, which preserve X18 to X30 and the stack. The
        // counter is read next to the call, so that the difference counts nothing of the caller.
        unsafe {
            asm!(
                "mrs x15, cntpct_el0",
                "smc #0",
                "mrs x16, cntpct_el0",
                out("x15") before,
                out("x16") after,
                inout("x0") a0 => x0,
                inout("x1") a1 => x1,
                inout("x2") a2 => x2,
                inout("x3") a3 => x3,
                inout("x4") a4 => x4,
                inout("x5") a5 => _,
                inout("x6") a6 => _,
                clobber_abi("C"),
                options(nostack),
            );
        }
        ([x0, x1, x2, x3, x4], after.wrapping_sub(before))
    }

    fn timed_copy(&self, to: u64, from: u64) -> u64 {
        let (to, from) = (memory::outside_page(to), memory::outside_page(from));
        let (before, after): (u64, u64);
        // SAFETY: both are whole pages of mapped RAM outside all Rust objects. The loop reads one
        // and writes the other, 128 bytes a turn.
        unsafe {
            asm!(
                "mrs x15, cntpct_el0",
                "2: .rept 2",
                "ldp x3, x4, [x1], #64",
                "ldp x5, x6, [x1, #-48]",
                "ldp x7, x8, [x1, #-32]",
                "ldp x9, x10, [x1, #-16]",
                "stp x3, x4, [x0], #64",
                "stp x5, x6, [x0, #-48]",
                "stp x7, x8, [x0, #-32]",
                "stp x9, x10, [x0, #-16]",
                ".endr",
                "subs x2, x2, #128",
                "b.ne 2b",
                "mrs x16, cntpct_el0",
                out("x15") before,
                out("x16") after,
                inout("x0") to => _,
                inout("x1") from => _,
                inout("x2") 4096_usize => _,
                clobber_abi("C"),
                options(nostack),
            );
        }
        after.wrapping_sub(before)
    }

    fn end(&self) -> ! {
        crate::bare::finish(None)
    }
}

// The program of `cairn_host::bench::guest`: position independent, MMU off, one structure for all
// host calls, whose address arrives in X0. `gprs[n]` of the structure is at 8 + 8 * n.
global_asm!(
    r#"
    .section .rodata.cairn_bench_program, "a"
    .balign 8
    .global cairn_bench_program
    .global cairn_bench_program_end
cairn_bench_program:
    mov     x19, x0
    movz    x25, #0xc400, lsl #16
    movk    x25, #0x0199
1:  mov     x0, x25
    mov     x1, x19
    smc     #0
    ldr     x20, [x19, #8]
    cmp     x20, #1
    b.eq    2f
    cmp     x20, #2
    b.eq    3f
    cmp     x20, #3
    b.eq    5f
    b       1b
2:  ldp     x0, x1, [x19, #16]
    ldp     x2, x3, [x19, #32]
    ldp     x4, x5, [x19, #48]
    ldp     x6, x7, [x19, #64]
    ldp     x8, x9, [x19, #80]
    ldr     x10, [x19, #96]
    mrs     x21, cntpct_el0
    smc     #0
    mrs     x22, cntpct_el0
    sub     x22, x22, x21
    stp     x0, x1, [x19, #8]
    stp     x2, x3, [x19, #24]
    stp     x4, x5, [x19, #40]
    stp     x6, x7, [x19, #56]
    str     x22, [x19, #248]
    b       1b
3:  ldr     x20, [x19, #16]
4:  ldr     w21, [x20]
    b       4b
5:  ldr     x20, [x19, #16]
    ldr     w21, [x20]
    b       1b
cairn_bench_program_end:
    "#
);

unsafe extern "C" {
    static cairn_bench_program: u8;
    static cairn_bench_program_end: u8;
}

/// The code that runs in the bench's Realm.
pub(crate) fn bench_program() -> &'static [u8] {
    let start = &raw const cairn_bench_program;
    let size = (&raw const cairn_bench_program_end).addr() - start.addr();
    // SAFETY: the assembly above defines `size` bytes of constant data from `start`.
    unsafe { core::slice::from_raw_parts(start, size) }
}
