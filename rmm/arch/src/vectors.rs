//! The EL2 exception vectors.
//!
//! | From | Does |
//! | --- | --- |
//! | EL2, synchronous, in the Host copy loop | resumes at its error return |
//! | EL2, undefined, where a register is tried that EL3 may have closed | resumes at the answer |
//! | EL2, SME access, where streaming mode is asked for | resumes at the answer |
//! | EL2, anything else | saves all registers on the fault stack, reports, halts this CPU |
//! | lower EL, AArch64 | saves X0 to X30 straight into the REC and returns from [`crate::vcpu`]'s `run` |
//! | lower EL, AArch32 | cannot happen (HCR_EL2.RW, no AArch32 in the ID registers); reports |
//!
//! While a Realm runs SP_EL2 points at its `VcpuRegisters`, so the exit needs no scratch register.
//! An exception from EL2 trusts no stack: `TPIDR_EL2` holds X0, and the CPU's own page, whose
//! address is a constant, the rest.

use core::arch::global_asm;
use core::mem::offset_of;

use machine::vcpu::VcpuRegisters;

use crate::area::CpuArea;
use crate::layout;
use crate::report::Frame;

global_asm!(
    r#"
    .macro fatal_vector number
    .balign 128
    msr     tpidr_el2, x0
    mov     x0, #{area}
    stp     x1, x2, [x0, #{scratch}]
    mov     x1, #\number
    b       cairn_fatal_entry
    .endm

    .macro realm_vector number
    .balign 128
    stp     x0, x1, [sp, #0]
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x19, [sp, #144]
    stp     x20, x21, [sp, #160]
    stp     x22, x23, [sp, #176]
    stp     x24, x25, [sp, #192]
    stp     x26, x27, [sp, #208]
    stp     x28, x29, [sp, #224]
    str     x30, [sp, #240]
    mov     x0, #\number
    b       cairn_realm_exit
    .endm

    .section .text.cairn_vectors, "ax"
    .balign 2048
    .global cairn_vectors
cairn_vectors:
    fatal_vector 0
    fatal_vector 1
    fatal_vector 2
    fatal_vector 3

    // Current EL with SP_EL2, synchronous.
    .balign 128
    msr     tpidr_el2, x0
    mov     x0, #{area}
    stp     x1, x2, [x0, #{scratch}]
    b       cairn_el2_sync
    fatal_vector 5
    fatal_vector 6
    fatal_vector 7

    realm_vector 0
    realm_vector 1
    realm_vector 2
    realm_vector 3

    fatal_vector 12
    fatal_vector 13
    fatal_vector 14
    fatal_vector 15
    .balign 128

    // A data abort of the Host copy loop, because the Host took the page away, is an answer. X0 is
    // the area.
cairn_el2_sync:
    mrs     x1, elr_el2
    adr     x2, cairn_is_streaming
    cmp     x1, x2
    b.eq    5f
    adr     x2, cairn_stage1
    cmp     x1, x2
    b.eq    6f
    adr     x2, cairn_tries
    cmp     x1, x2
    b.lo    9f
    adr     x2, cairn_tries_end
    cmp     x1, x2
    b.lo    8f
9:  adr     x2, cairn_host_copy
    cmp     x1, x2
    b.lo    2f
    adr     x2, cairn_host_copy_end
    cmp     x1, x2
    b.hs    2f
    mrs     x1, esr_el2
    lsr     x2, x1, #26
    cmp     x2, #0x25
    b.ne    2f
    and     x1, x1, #0x3f
    cmp     x1, #0x28
    b.eq    1f
    cmp     x1, #0x10
    b.ne    2f
1:  adr     x1, cairn_host_copy_fault
    b       7f
    // Streaming mode, in which the Host has called, is an answer as well.
5:  mrs     x1, esr_el2
    lsr     x1, x1, #26
    cmp     x1, #0x1d
    b.ne    2f
    adr     x1, cairn_is_streaming_trap
    b       7f
    // A walk of the Realm's own tables, which the Host can make end in an external abort, is an
    // answer too.
6:  mrs     x1, esr_el2
    lsr     x1, x1, #26
    cmp     x1, #0x25
    b.ne    2f
    adr     x1, cairn_stage1_abort
    b       7f
    // A register that EL3 has closed is UNDEFINED, which is an answer too.
8:  mrs     x1, esr_el2
    lsr     x1, x1, #26
    cbnz    x1, 2f
    adr     x1, cairn_try_failed
    // X1 is where the code that expected it goes on.
7:  msr     elr_el2, x1
    ldp     x1, x2, [x0, #{scratch}]
    mrs     x0, tpidr_el2
    eret
    .inst   0xd50330ff // sb
2:  mov     x1, #4

    // X0 is the area, X1 the number of the vector.
cairn_fatal_entry:
    ldr     x2, [x0, #{faulted}]
    cbz     x2, 4f
3:  wfe
    b       3b
4:  mov     x2, #1
    str     x2, [x0, #{faulted}]
    ldr     x2, ={frame_at}
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
    mov     x4, sp
    stp     x30, x4, [x2, #240]
    mrs     x4, tpidr_el2
    ldp     x5, x6, [x0, #{scratch}]
    stp     x4, x5, [x2]
    stp     x6, x3, [x2, #16]
    mrs     x4, elr_el2
    mrs     x5, spsr_el2
    stp     x4, x5, [x2, #256]
    mrs     x4, esr_el2
    mrs     x5, far_el2
    stp     x4, x5, [x2, #272]
    mrs     x4, hpfar_el2
    stp     x4, x1, [x2, #288]
    mov     sp, x2
    mov     x0, x2
    bl      cairn_fatal
    b       3b

    // Enter the Realm. X0: its VcpuRegisters, 16-byte aligned. Returns the number of the vector.
    .global cairn_realm_enter
    .balign 64
cairn_realm_enter:
    stp     x29, x30, [sp, #-96]!
    mov     x29, sp
    stp     x19, x20, [sp, #16]
    stp     x21, x22, [sp, #32]
    stp     x23, x24, [sp, #48]
    stp     x25, x26, [sp, #64]
    stp     x27, x28, [sp, #80]
    mov     x1, #{area}
    mov     x2, sp
    str     x2, [x1, #{stack_pointer}]
    ldp     x2, x3, [x0, #{pc}]
    msr     elr_el2, x2
    msr     spsr_el2, x3
    mov     sp, x0
    ldp     x2, x3, [sp, #16]
    ldp     x4, x5, [sp, #32]
    ldp     x6, x7, [sp, #48]
    ldp     x8, x9, [sp, #64]
    ldp     x10, x11, [sp, #80]
    ldp     x12, x13, [sp, #96]
    ldp     x14, x15, [sp, #112]
    ldp     x16, x17, [sp, #128]
    ldp     x18, x19, [sp, #144]
    ldp     x20, x21, [sp, #160]
    ldp     x22, x23, [sp, #176]
    ldp     x24, x25, [sp, #192]
    ldp     x26, x27, [sp, #208]
    ldp     x28, x29, [sp, #224]
    ldr     x30, [sp, #240]
    ldp     x0, x1, [sp]
    eret
    // Nothing after the ERET may run speculatively with the Realm's registers.
    .inst   0xd50330ff // sb

    // The Realm stopped. X0: the number of the vector; SP: its VcpuRegisters.
cairn_realm_exit:
    mov     x1, #{area}
    mrs     x2, elr_el2
    mrs     x3, spsr_el2
    ldr     x4, [x1, #{stack_pointer}]
    stp     x2, x3, [sp, #{pc}]
    mov     sp, x4
    ldp     x19, x20, [sp, #16]
    ldp     x21, x22, [sp, #32]
    ldp     x23, x24, [sp, #48]
    ldp     x25, x26, [sp, #64]
    ldp     x27, x28, [sp, #80]
    ldp     x29, x30, [sp], #96
    ret
    .inst   0xd50330ff // sb
    .ltorg
    "#,
    area = const layout::AREA as i64,
    frame_at = const (layout::FAULT_STACK_TOP - size_of::<Frame>()) as i64,
    scratch = const offset_of!(CpuArea, scratch),
    faulted = const offset_of!(CpuArea, faulted),
    stack_pointer = const offset_of!(CpuArea, stack_pointer),
    pc = const offset_of!(VcpuRegisters, pc),
);

// What the assembly above counts on.
const _: () = assert!(offset_of!(VcpuRegisters, gprs) == 0);
const _: () = assert!(offset_of!(VcpuRegisters, pstate) == offset_of!(VcpuRegisters, pc) + 8);
const _: () = assert!(offset_of!(VcpuRegisters, pc) == 248);
const _: () = assert!(offset_of!(Frame, sp) == 248 && offset_of!(Frame, elr) == 256);
const _: () = assert!(offset_of!(Frame, esr) == 272 && offset_of!(Frame, hpfar) == 288);
const _: () = assert!(size_of::<Frame>().is_multiple_of(16));
