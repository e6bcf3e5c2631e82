//! The programs of `cairn_host::stress`: one that looks for what is not its own, one that spins.

use core::arch::global_asm;

// X0: memory to work on, 16 pages 256 KiB apart; X1: the secret; X2: bit 0 for a mender instead of
// a worker, bit 1 if the Realm has SVE, bit 2 if it has an event counter. Position independent, MMU
// off. An exception starts it over: the vectors are at address 0, those of EL1 with SP_EL1 at
// 0x200.
global_asm!(
    r#"
    .arch_extension fp
    .arch_extension simd
    .arch_extension sve
    .section .rodata.cairn_worker_program, "a"
    .balign 8
    .global cairn_worker_program
    .global cairn_worker_program_end
cairn_worker_program:
    b       1f
    .org    cairn_worker_program + 0x200
    b       20f

    // The first instructions: every register but the arguments is zero.
1:  .irp    n, 3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    cbnz    x\n, 8f
    .endr
    mov     x19, x0
    mov     x20, x1
    mov     x21, x2
    mov     x0, #(0x33 << 16)
    msr     cpacr_el1, x0
    isb
    .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    fmov    x9, d\n
    cbnz    x9, 9f
    fmov    x9, v\n\().d[1]
    cbnz    x9, 9f
    fmov    d\n, x20
    fmov    v\n\().d[1], x20
    .endr
    .irp    name, tpidr_el0, tpidr_el1, tpidrro_el0, sp_el0, ttbr1_el1, mair_el1, contextidr_el1
    mrs     x9, \name
    cbnz    x9, 9f
    .endr
    .irp    name, tpidr_el0, tpidr_el1, tpidrro_el0, sp_el0, mair_el1
    msr     \name, x20
    .endr
    mrs     x9, dbgbvr0_el1
    cbnz    x9, 9f
    and     x9, x20, #0x7ffffffffffc
    msr     dbgbvr0_el1, x9
    msr     dbgwvr0_el1, xzr
    mov     x9, #(1 << 15)
    msr     mdscr_el1, x9
    tbz     x21, #1, 11f
    mov     x9, #15
    msr     s3_0_c1_c2_0, x9                // ZCR_EL1
    isb
    .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    dup     z\n\().d, x20
    .endr
    .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    ptrue   p\n\().b
    .endr
    setffr
11: tbz     x21, #2, 20f
    .irp    name, pmcntenset_el0, pmintenset_el1, pmccntr_el0, pmevcntr0_el0, pmevtyper0_el0
    mrs     x9, \name
    cbnz    x9, 9f
    .endr
    mov     w9, w20
    msr     pmevcntr0_el0, x9
    msr     pmccntr_el0, x20
    mov     x9, #1
    .irp    name, pmcntenset_el0, pmintenset_el1, pmovsset_el0, pmuserenr_el0, pmselr_el0, pmevtyper0_el0
    msr     \name, x9
    .endr
    mov     x9, #(1 << 31)
    msr     pmccfiltr_el0, x9
    b       20f
8:  mov     x9, #-1
    b       9f

    // What was written is still there.
20: .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    fmov    x9, d\n
    cmp     x9, x20
    b.ne    9f
    fmov    x9, v\n\().d[1]
    cmp     x9, x20
    b.ne    9f
    .endr
    .irp    name, tpidr_el0, tpidr_el1, tpidrro_el0, sp_el0, mair_el1
    mrs     x9, \name
    cmp     x9, x20
    b.ne    9f
    .endr
    mrs     x9, dbgbvr0_el1
    and     x10, x20, #0x7ffffffffffc
    cmp     x9, x10
    b.ne    9f
    tbz     x21, #1, 12f
    ptrue   p0.b
    .irp    n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    lastb   x9, p0, z\n\().d
    cmp     x9, x20
    b.ne    9f
    .endr
12: tbz     x21, #2, 13f
    mrs     x9, pmevcntr0_el0
    cmp     x9, w20, uxtw
    b.ne    9f
    mrs     x9, pmccntr_el0
    cmp     x9, x20
    b.ne    9f
13: tbnz    x21, #0, 30f
    mov     x2, x19
    mov     x3, #16
21: ldr     x9, [x2]
    cbz     x9, 22f
    cmp     x9, x20
    b.ne    9f
22: str     x20, [x2]
    ldr     x9, [x2, #4088]
    cbz     x9, 23f
    cmp     x9, x20
    b.ne    9f
23: str     x20, [x2, #4088]
    add     x2, x2, #0x40, lsl #12
    subs    x3, x3, #1
    b.ne    21b
    wfi
    b       20b

    // RSI_IPA_STATE_SET of 4 MiB to RAM, also where it was destroyed.
30: movz    x0, #0xc400, lsl #16
    movk    x0, #0x0197
    mov     x1, x19
    add     x2, x19, #0x400, lsl #12
    mov     x3, #1
    mov     x4, #1
    smc     #0
    wfi
    b       20b

    // PSCI_SYSTEM_OFF tells the Host.
9:  mov     x1, x9
    movz    x0, #0x8400, lsl #16
    movk    x0, #0x0008
    smc     #0
    b       9b
cairn_worker_program_end:

    .global cairn_spin_program
    .global cairn_spin_program_end
cairn_spin_program:
    str     x1, [x0]
1:  b       1b
cairn_spin_program_end:
    "#
);

unsafe extern "C" {
    static cairn_worker_program: u8;
    static cairn_worker_program_end: u8;
    static cairn_spin_program: u8;
    static cairn_spin_program_end: u8;
}

/// The worker and mender.
pub(crate) fn worker_program() -> &'static [u8] {
    let start = &raw const cairn_worker_program;
    let size = (&raw const cairn_worker_program_end).addr() - start.addr();
    // SAFETY: the assembly above defines `size` bytes of constant data from `start`.
    unsafe { core::slice::from_raw_parts(start, size) }
}

/// The one that spins.
pub(crate) fn spin_program() -> &'static [u8] {
    let start = &raw const cairn_spin_program;
    let size = (&raw const cairn_spin_program_end).addr() - start.addr();
    // SAFETY: the assembly above defines `size` bytes of constant data from `start`.
    unsafe { core::slice::from_raw_parts(start, size) }
}
