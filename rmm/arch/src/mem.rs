//! `memcpy`, `memmove` and `memset`: the compiler calls them for every copy of a structure.
//!
//! The portable ones in the compiler's support library take several instructions per word. These
//! move 64 bytes per turn when both addresses are equally far from a word's, which is the rule
//! between structures, and single bytes otherwise. They work with the MMU off: no access is ever
//! unaligned.
//!
//! With FEAT_MOPS, once the MMU is on, three instructions do each of them.

use core::arch::global_asm;
use core::sync::atomic::{AtomicBool, Ordering};

/// Whether all CPUs that have booted have the memory copy and set instructions. False while the MMU
/// is off.
static MOPS: AtomicBool = AtomicBool::new(false);

/// Notes what the CPU that boots has. The first one decides, and one without the instructions ends
/// their use.
pub(crate) fn note_mops(has_mops: bool, is_first: bool) {
    if is_first || !has_mops {
        MOPS.store(has_mops, Ordering::Relaxed);
    }
}

global_asm!(
    r#"
    .arch_extension mops
    .section .text.cairn_mem, "ax"
    .balign 64
    .global memmove
memmove:
    adrp    x3, {mops}
    ldrb    w3, [x3, #:lo12:{mops}]
    cbz     w3, 9f
    mov     x3, x0
    cpyp    [x3]!, [x1]!, x2!
    cpym    [x3]!, [x1]!, x2!
    cpye    [x3]!, [x1]!, x2!
    ret
9:
    sub     x3, x0, x1
    cmp     x3, x2
    b.hs    11f
    // The destination overlaps the end of the source: backwards, by words if that is possible.
    add     x4, x0, x2
    add     x5, x1, x2
    orr     x6, x4, x5
    orr     x6, x6, x2
    tst     x6, #7
    b.ne    2f
1:  cbz     x2, 3f
    ldr     x6, [x5, #-8]!
    str     x6, [x4, #-8]!
    sub     x2, x2, #8
    b       1b
2:  cbz     x2, 3f
    ldrb    w6, [x5, #-1]!
    strb    w6, [x4, #-1]!
    sub     x2, x2, #1
    b       2b
3:  ret

    .balign 64
    .global memcpy
memcpy:
    adrp    x3, {mops}
    ldrb    w3, [x3, #:lo12:{mops}]
    cbz     w3, 11f
    mov     x3, x0
    cpyfp   [x3]!, [x1]!, x2!
    cpyfm   [x3]!, [x1]!, x2!
    cpyfe   [x3]!, [x1]!, x2!
    ret
11: mov     x3, x0
    eor     x4, x0, x1
    tst     x4, #7
    b.ne    4f
    // Single bytes up to the first word, the same number on both sides.
7:  tst     x3, #7
    b.eq    8f
    cbz     x2, 6f
    ldrb    w4, [x1], #1
    strb    w4, [x3], #1
    sub     x2, x2, #1
    b       7b
8:  subs    x2, x2, #64
    b.lo    2f
1:  ldp     x4, x5, [x1], #64
    ldp     x6, x7, [x1, #-48]
    ldp     x8, x9, [x1, #-32]
    ldp     x10, x11, [x1, #-16]
    stp     x4, x5, [x3], #64
    stp     x6, x7, [x3, #-48]
    stp     x8, x9, [x3, #-32]
    stp     x10, x11, [x3, #-16]
    subs    x2, x2, #64
    b.hs    1b
2:  adds    x2, x2, #56
    b.mi    3f
22: ldr     x4, [x1], #8
    str     x4, [x3], #8
    subs    x2, x2, #8
    b.pl    22b
3:  add     x2, x2, #8
4:  cbz     x2, 6f
5:  ldrb    w4, [x1], #1
    strb    w4, [x3], #1
    subs    x2, x2, #1
    b.ne    5b
6:  ret

    .balign 64
    .global memset
memset:
    adrp    x3, {mops}
    ldrb    w4, [x3, #:lo12:{mops}]
    mov     x3, x0
    cbz     w4, 9f
    setp    [x3]!, x2!, x1
    setm    [x3]!, x2!, x1
    sete    [x3]!, x2!, x1
    ret
9:
    and     x1, x1, #0xff
    orr     x1, x1, x1, lsl #8
    orr     x1, x1, x1, lsl #16
    orr     x1, x1, x1, lsl #32
    tst     x3, #7
    b.ne    4f
    subs    x2, x2, #64
    b.lo    2f
1:  stp     x1, x1, [x3], #64
    stp     x1, x1, [x3, #-48]
    stp     x1, x1, [x3, #-32]
    stp     x1, x1, [x3, #-16]
    subs    x2, x2, #64
    b.hs    1b
2:  adds    x2, x2, #56
    b.mi    3f
22: str     x1, [x3], #8
    subs    x2, x2, #8
    b.pl    22b
3:  add     x2, x2, #8
4:  cbz     x2, 6f
5:  strb    w1, [x3], #1
    subs    x2, x2, #1
    b.ne    5b
6:  ret
    .arch_extension nomops
    "#,
    mops = sym MOPS,
);
