//! What the conformance suite needs of the hardware: raw calls, pages that may be gone, and the
//! program of its Realms.

use super::machine::BareMachine;
use super::{cpu, gic, memory, watch};
use crate::platform;
use cairn_host::conformance::{Board, PAGE_WORDS, Target};
use cairn_host::machine::Changed;
use cairn_tests::port::Vgic;
use core::arch::{asm, global_asm};

impl Target for BareMachine {
    fn board(&self) -> Board {
        Board {
            distributor: platform::GICD_BASE,
            device: platform::PL011_BASE,
            monitor: platform::MONITOR,
        }
    }

    fn call(&self, registers: [u64; 8]) -> [u64; 8] {
        let [a0, a1, a2, a3, a4, a5, a6, a7] = registers;
        let (x0, x1, x2, x3): (u64, u64, u64, u64);
        let (x4, x5, x6, x7): (u64, u64, u64, u64);
        // SAFETY: a call to EL3 or the monitor, which preserve X18 to X30 and the stack. Memory
        // that the monitor may change belongs to no Rust object.
        unsafe {
            asm!(
                "smc #0",
                inout("x0") a0 => x0,
                inout("x1") a1 => x1,
                inout("x2") a2 => x2,
                inout("x3") a3 => x3,
                inout("x4") a4 => x4,
                inout("x5") a5 => x5,
                inout("x6") a6 => x6,
                inout("x7") a7 => x7,
                clobber_abi("C"),
                options(nostack),
            );
        }
        [x0, x1, x2, x3, x4, x5, x6, x7]
    }

    fn has_streaming(&self) -> bool {
        cpu::has_streaming()
    }

    fn has_sve(&self) -> bool {
        cpu::has_sve()
    }

    fn call_streaming(&self, registers: [u64; 8]) -> ([u64; 8], bool) {
        // SAFETY: the caller has seen that the CPU has SME, which TF-A opens; the compiler, built
        // for soft float, keeps nothing in vectors.
        unsafe { host_enter_streaming() };
        let reply = self.call(registers);
        // SAFETY: the same.
        let kept = unsafe { host_leave_streaming() };
        (reply, kept == 1)
    }

    fn call_watched(&self, registers: [u64; 8], without_sve: bool) -> ([u64; 8], Option<Changed>) {
        let mut registers = registers;
        if without_sve {
            registers[0] |= watch::SVE_HINT;
        }
        watch::smc(&registers, without_sve)
    }

    fn read_page(&self, pa: u64, page: &mut [u64; PAGE_WORDS]) -> bool {
        copy_page(memory::outside_page(pa), page.as_mut_ptr().addr())
    }

    fn write_page(&self, pa: u64, page: &[u64; PAGE_WORDS]) -> bool {
        copy_page(page.as_ptr().expose_provenance(), memory::outside_page(pa))
    }

    fn resting_vmcr(&self) -> u64 {
        cpu::resting_vmcr()
    }

    fn vgic(&self) -> Vgic {
        cpu::vgic()
    }

    fn set_vgic(&self, vgic: &Vgic) {
        cpu::set_vgic(vgic);
    }

    fn barrier(&self) {
        cpu::barrier_before_interrupting();
    }

    fn acknowledge_interrupts(&self) {
        gic::serve();
    }
}

// SAFETY: the symbols are defined by the assembly below.
unsafe extern "C" {
    /// Enters streaming mode with the longest vectors, and fills some vectors and predicates.
    fn host_enter_streaming();
    /// Leaves streaming mode; 1 if the mode, the vectors and the predicates were as
    /// `host_enter_streaming` left them.
    fn host_leave_streaming() -> u64;
}

global_asm!(
    r#"
    .section .text.host_streaming, "ax"
    .arch_extension sve
    .arch_extension sme
    .global host_enter_streaming
    .global host_leave_streaming
host_enter_streaming:
    mov     x0, #15
    msr     s3_4_c1_c2_6, x0                // SMCR_EL2.LEN
    isb
    smstart sm
    dup     z5.b, #0x11
    dup     z31.b, #0x3c
    ptrue   p3.b
    ret
host_leave_streaming:
    mrs     x1, s3_3_c4_c2_2                // SVCR
    ptrue   p0.b
    lastb   w2, p0, z5.b
    lastb   w3, p0, z31.b
    cntp    x4, p0, p0.b
    cntp    x5, p0, p3.b
    smstop  sm
    mov     x0, #0
    tbz     x1, #0, 1f
    cmp     w2, #0x11
    b.ne    1f
    cmp     w3, #0x3c
    b.ne    1f
    cmp     x4, x5
    b.ne    1f
    mov     x0, #1
1:  ret
    .arch_extension nosme
    .arch_extension nosve
    "#
);

// SAFETY: the symbol is defined by the assembly below.
unsafe extern "C" {
    fn host_copy_page(from: usize, to: usize) -> u64;
}

/// Copies a page; `false` if one of the two is not the Normal world's any more.
fn copy_page(from: usize, to: usize) -> bool {
    // SAFETY: one side is a page of words that the caller owns, the other is RAM outside all Rust
    // objects, as `outside_page` proved. A fault ends the copy instead of the host (see the
    // vectors).
    unsafe { host_copy_page(from, to) == 1 }
}

// X9 to X11 may change at any instruction: the exception vector uses them.
global_asm!(
    r#"
    .section .text.host_copy_page, "ax"
    .global host_copy_page
    .global host_copy_page_end
    .global host_copy_page_fault
host_copy_page:
    add     x2, x0, #4096
1:  ldp     x3, x4, [x0], #16
    stp     x3, x4, [x1], #16
    cmp     x0, x2
    b.ne    1b
host_copy_page_end:
    mov     x0, #1
    ret
host_copy_page_fault:
    mov     x0, #0
    ret
    "#
);

// The program of `cairn_host::conformance`, one page, position independent. It interprets the
// operations that it finds in the mailbox of its REC; the offsets are those of
// `conformance::mailbox`. A Realm may start with any endianness: SCTLR_EL1 is only what the
// operations say while the one instruction of an operation runs.
global_asm!(
    r#"
    .section .rodata.cairn_realm_program, "a"
    .balign 8
    .global cairn_realm_program
cairn_realm_program:
    .rept   8
    msr     tpidr_el0, x0
    adr     x0, . - 4
    b       10f
    nop
    .endr

    // One instruction for each of 32 RECs, between its registers and the end of its masked debug
    // exceptions.
50: .rept   32
    mrs     x30, tpidr_el0
    nop
    msr     daifset, #8
    b       40f
    .endr

    // A REC starts: x0 is where. Nothing of what it starts with may get lost.
10: msr     elr_el1, x1
    msr     far_el1, x2
    mrs     x1, sctlr_el1
    msr     sp_el0, x1
    and     x1, x1, #0xfffffffffdffffff
    msr     sctlr_el1, x1
    isb
    mrs     x2, mpidr_el1
    ubfx    x1, x2, #8, #8
    and     x2, x2, #0xf
    orr     x2, x2, x1, lsl #4
    ldr     x1, 90f
    add     x2, x1, x2, lsl #16
    msr     tpidrro_el0, x2
    str     x0, [x2, #0x100]
    mrs     x0, sp_el0
    str     x0, [x2, #0x110]
    mrs     x0, tpidr_el0
    mrs     x1, elr_el1
    stp     x0, x1, [x2]
    mrs     x0, far_el1
    stp     x0, x3, [x2, #16]
    stp     x4, x5, [x2, #32]
    stp     x6, x7, [x2, #48]
    stp     x8, x9, [x2, #64]
    stp     x10, x11, [x2, #80]
    stp     x12, x13, [x2, #96]
    stp     x14, x15, [x2, #112]
    stp     x16, x17, [x2, #128]
    stp     x18, x19, [x2, #144]
    stp     x20, x21, [x2, #160]
    stp     x22, x23, [x2, #176]
    stp     x24, x25, [x2, #192]
    stp     x26, x27, [x2, #208]
    stp     x28, x29, [x2, #224]
    str     x30, [x2, #240]
    mov     x28, x2
    str     xzr, [x28, #0xf8]
    bl      80f
    str     x0, [x28, #0x108]
    mrs     x0, vbar_el1
    str     x0, [x28, #0x118]
    adr     x0, 60f
    msr     vbar_el1, x0
    movz    x0, #0x0333, lsl #16            // SMEN, FPEN, ZEN
    msr     cpacr_el1, x0
    isb
    ldr     x0, 90f
    sub     x0, x28, x0
    ubfx    x0, x0, #16, #5
    adr     x1, 50b
    add     x0, x1, x0, lsl #4
    str     x0, [x28, #0x140]
    // An action that was under way will never end.
    ldr     x0, [x28, #0x148]
    cbz     x0, 20f
    ldr     x1, [x28, #0x130]
    stp     x1, x0, [x28, #0x150]
11: ldr     x0, [x28, #0x120]
    ldr     x3, [x28, x0]
    add     x0, x0, #8
    and     w4, w3, #0xff
    cmp     w4, #1
    b.hi    12f
    add     x0, x0, #8
12: str     x0, [x28, #0x120]
    cmp     w4, #5
    b.ne    11b
    str     xzr, [x28, #0x148]

    // The next operation, or an interrupt for the Host if there is none.
20: mrs     x28, tpidrro_el0
    ldr     x0, [x28, #0x120]
    ldr     x1, [x28, #0x128]
    cmp     x0, x1
    b.ne    21f
    mov     x0, #1
    str     x0, [x28, #0x138]
    dsb     sy
    ldr     x0, [x28, #0x300]
    ldr     w1, [x28, #0x308]
    str     w1, [x0]
    dsb     sy
    isb
    b       20b
21: str     xzr, [x28, #0x138]
    mov     x1, #1
    str     x1, [x28, #0x148]
    add     x2, x28, x0
    ldr     x3, [x2]
    add     x0, x0, #8
    str     x0, [x28, #0x120]
    and     x4, x3, #0xff
    ubfx    x5, x3, #8, #8
    lsr     x6, x3, #32
    add     x7, x28, x5, lsl #3
    cmp     x4, #3
    b.eq    30f
    b.hi    23f
    cmp     x4, #2
    b.eq    22f
    ldr     x8, [x2, #8]
    add     x0, x0, #8
    str     x0, [x28, #0x120]
    cbz     x4, 1f
    ldr     x9, [x7]
    str     x9, [x7, #0x200]
1:  str     x8, [x7]
    b       20b
22: ldr     x9, [x7, #0x200]
    str     x9, [x7]
    b       20b
23: cmp     x4, #5
    b.eq    24f
    b.hi    25f
    ldr     x0, [x7]
    bl      70f
    b       20b
24: ldr     x0, [x28, #0xf8]
    add     x0, x0, #1
    str     x0, [x28, #0xf8]
    str     xzr, [x28, #0x148]
    b       20b
25: mov     x0, #1
    str     x0, [x28, #0x160]
    dsb     sy
    ldr     x0, [x28, #0x300]
    ldr     w1, [x28, #0x310]
    str     w1, [x0]
    dsb     sy
1:  ldr     x0, [x28, #0x160]
    cmp     x0, #2
    b.ne    1b
    dmb     sy
    str     xzr, [x28, #0x160]
    b       20b

    // One instruction, with all registers as the mailbox has them.
30: ldr     x7, [x28, #0x140]
    str     w6, [x7, #4]
    add     x8, x7, #4
    dc      cvau, x8
    dsb     ish
    ic      ivau, x8
    dsb     ish
    isb
    ldr     x0, [x28, #0x110]
    msr     far_el1, x0
    msr     elr_el1, x7
    ldr     x0, [x28, #240]
    msr     tpidr_el0, x0
    mov     x30, x28
    ldp     x0, x1, [x30]
    ldp     x2, x3, [x30, #16]
    ldp     x4, x5, [x30, #32]
    ldp     x6, x7, [x30, #48]
    ldp     x8, x9, [x30, #64]
    ldp     x10, x11, [x30, #80]
    ldp     x12, x13, [x30, #96]
    ldp     x14, x15, [x30, #112]
    ldp     x16, x17, [x30, #128]
    ldp     x18, x19, [x30, #144]
    ldp     x20, x21, [x30, #160]
    ldp     x22, x23, [x30, #176]
    ldp     x24, x25, [x30, #192]
    ldp     x26, x27, [x30, #208]
    ldp     x28, x29, [x30, #224]
    mrs     x30, far_el1
    msr     sctlr_el1, x30
    isb
    msr     daifclr, #8
    mrs     x30, elr_el1
    br      x30

    // After it. If debug exceptions are not masked, the instruction after the one that ran was
    // skipped.
40: msr     tpidr_el0, x30
    mrs     x30, sctlr_el1
    and     x30, x30, #0xfffffffffdffffff
    msr     sctlr_el1, x30
    isb
    mrs     x30, tpidrro_el0
    stp     x0, x1, [x30]
    bl      41f
    mrs     x1, daif
    mov     x0, #0
    tbnz    x1, #9, 1f
    mov     x0, #2
1:  msr     daifset, #8
    bl      70f
    b       20b
    // Stores X2 to X30; X30 is in TPIDR_EL0, the mailbox in TPIDRRO_EL0. The mailbox goes to X28.
41: msr     far_el1, x30
    mrs     x30, tpidrro_el0
    stp     x2, x3, [x30, #16]
    stp     x4, x5, [x30, #32]
    stp     x6, x7, [x30, #48]
    stp     x8, x9, [x30, #64]
    stp     x10, x11, [x30, #80]
    stp     x12, x13, [x30, #96]
    stp     x14, x15, [x30, #112]
    stp     x16, x17, [x30, #128]
    stp     x18, x19, [x30, #144]
    stp     x20, x21, [x30, #160]
    stp     x22, x23, [x30, #176]
    stp     x24, x25, [x30, #192]
    stp     x26, x27, [x30, #208]
    stp     x28, x29, [x30, #224]
    mov     x28, x30
    mrs     x1, tpidr_el0
    str     x1, [x28, #240]
    mrs     x30, far_el1
    ret

    // An exception: x0 is the vector's offset. The instruction is skipped.
61: mrs     x1, far_el1
    msr     sp_el0, x1
    bl      41b
    mov     x9, x0
    mov     x0, #1
    bl      70f
    mrs     x0, esr_el1
    bl      70f
    mrs     x0, sp_el0
    bl      70f
    mov     x0, x9
    bl      70f
    mrs     x0, elr_el1
    bl      70f
    ldr     x0, [x28, #0x140]
    add     x0, x0, #4
    bl      70f
    bl      80f
    bl      70f
    b       20b

    // Appends x0 to the results.
70: ldr     x1, [x28, #0x130]
    str     x0, [x28, x1]
    add     x1, x1, #8
    str     x1, [x28, #0x130]
    ret

    // PSTATE.
80: mrs     x0, nzcv
    mrs     x1, daif
    orr     x0, x0, x1
    mrs     x1, currentel
    orr     x0, x0, x1
    mrs     x1, spsel
    orr     x0, x0, x1
    ret

    .org    cairn_realm_program + 0x7f8
90: .quad   0
60: .set    offset, 0
    .rept   16
    .org    cairn_realm_program + 0x800 + offset
    msr     tpidr_el0, x30
    mrs     x30, sctlr_el1
    and     x30, x30, #0xfffffffffdffffff
    msr     sctlr_el1, x30
    isb
    mrs     x30, tpidrro_el0
    stp     x0, x1, [x30]
    mov     x0, #offset
    b       61b
    .set    offset, offset + 0x80
    .endr
    .org    cairn_realm_program + 0x1000
    "#
);

// SAFETY: the symbol is defined by the assembly above; Rust only reads the page.
unsafe extern "C" {
    static cairn_realm_program: [u64; PAGE_WORDS];
}

/// The page of code that runs in the suite's Realms.
pub(crate) fn realm_program() -> &'static [u64; PAGE_WORDS] {
    let page = &raw const cairn_realm_program;
    // SAFETY: the assembly above defines a page of constant data, aligned to 8 bytes.
    unsafe { &*page }
}
