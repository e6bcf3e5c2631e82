//! Moving the registers of the SIMD unit: what no compiler for soft float does.
//!
//! The macros are single operations of inline assembly, so each use is an `unsafe` block of its own
//! with its own proof.

use core::arch::asm;

/// Stores or loads Z0 to Z15 at the first address and Z16 to Z31 at the second, one vector length
/// apart.
#[rustfmt::skip]
macro_rules! all_vectors {
    ($instruction:literal, $low:expr, $high:expr) => {
        asm!(
            ".arch_extension sve",
            concat!($instruction, " z0, [{0}, #0, mul vl]"), concat!($instruction, " z1, [{0}, #1, mul vl]"),
            concat!($instruction, " z2, [{0}, #2, mul vl]"), concat!($instruction, " z3, [{0}, #3, mul vl]"),
            concat!($instruction, " z4, [{0}, #4, mul vl]"), concat!($instruction, " z5, [{0}, #5, mul vl]"),
            concat!($instruction, " z6, [{0}, #6, mul vl]"), concat!($instruction, " z7, [{0}, #7, mul vl]"),
            concat!($instruction, " z8, [{0}, #8, mul vl]"), concat!($instruction, " z9, [{0}, #9, mul vl]"),
            concat!($instruction, " z10, [{0}, #10, mul vl]"), concat!($instruction, " z11, [{0}, #11, mul vl]"),
            concat!($instruction, " z12, [{0}, #12, mul vl]"), concat!($instruction, " z13, [{0}, #13, mul vl]"),
            concat!($instruction, " z14, [{0}, #14, mul vl]"), concat!($instruction, " z15, [{0}, #15, mul vl]"),
            concat!($instruction, " z16, [{1}, #0, mul vl]"), concat!($instruction, " z17, [{1}, #1, mul vl]"),
            concat!($instruction, " z18, [{1}, #2, mul vl]"), concat!($instruction, " z19, [{1}, #3, mul vl]"),
            concat!($instruction, " z20, [{1}, #4, mul vl]"), concat!($instruction, " z21, [{1}, #5, mul vl]"),
            concat!($instruction, " z22, [{1}, #6, mul vl]"), concat!($instruction, " z23, [{1}, #7, mul vl]"),
            concat!($instruction, " z24, [{1}, #8, mul vl]"), concat!($instruction, " z25, [{1}, #9, mul vl]"),
            concat!($instruction, " z26, [{1}, #10, mul vl]"), concat!($instruction, " z27, [{1}, #11, mul vl]"),
            concat!($instruction, " z28, [{1}, #12, mul vl]"), concat!($instruction, " z29, [{1}, #13, mul vl]"),
            concat!($instruction, " z30, [{1}, #14, mul vl]"), concat!($instruction, " z31, [{1}, #15, mul vl]"),
            ".arch_extension nosve",
            in(reg) $low,
            in(reg) $high,
            options(nostack),
        )
    };
}

/// Stores or loads P0 to P15 at an address, one predicate length apart.
#[rustfmt::skip]
macro_rules! all_predicates {
    ($instruction:literal, $at:expr) => {
        asm!(
            ".arch_extension sve",
            concat!($instruction, " p0, [{0}, #0, mul vl]"), concat!($instruction, " p1, [{0}, #1, mul vl]"),
            concat!($instruction, " p2, [{0}, #2, mul vl]"), concat!($instruction, " p3, [{0}, #3, mul vl]"),
            concat!($instruction, " p4, [{0}, #4, mul vl]"), concat!($instruction, " p5, [{0}, #5, mul vl]"),
            concat!($instruction, " p6, [{0}, #6, mul vl]"), concat!($instruction, " p7, [{0}, #7, mul vl]"),
            concat!($instruction, " p8, [{0}, #8, mul vl]"), concat!($instruction, " p9, [{0}, #9, mul vl]"),
            concat!($instruction, " p10, [{0}, #10, mul vl]"), concat!($instruction, " p11, [{0}, #11, mul vl]"),
            concat!($instruction, " p12, [{0}, #12, mul vl]"), concat!($instruction, " p13, [{0}, #13, mul vl]"),
            concat!($instruction, " p14, [{0}, #14, mul vl]"), concat!($instruction, " p15, [{0}, #15, mul vl]"),
            ".arch_extension nosve",
            in(reg) $at,
            options(nostack),
        )
    };
}

/// Loads or stores V0 to V31 at `at`.
#[rustfmt::skip]
macro_rules! all_halves {
    ($instruction:literal, $at:expr) => {
        asm!(
            ".arch_extension fp",
            ".arch_extension simd",
            concat!($instruction, " q0, q1, [{0}, #0]"), concat!($instruction, " q2, q3, [{0}, #32]"),
            concat!($instruction, " q4, q5, [{0}, #64]"), concat!($instruction, " q6, q7, [{0}, #96]"),
            concat!($instruction, " q8, q9, [{0}, #128]"), concat!($instruction, " q10, q11, [{0}, #160]"),
            concat!($instruction, " q12, q13, [{0}, #192]"), concat!($instruction, " q14, q15, [{0}, #224]"),
            concat!($instruction, " q16, q17, [{0}, #256]"), concat!($instruction, " q18, q19, [{0}, #288]"),
            concat!($instruction, " q20, q21, [{0}, #320]"), concat!($instruction, " q22, q23, [{0}, #352]"),
            concat!($instruction, " q24, q25, [{0}, #384]"), concat!($instruction, " q26, q27, [{0}, #416]"),
            concat!($instruction, " q28, q29, [{0}, #448]"), concat!($instruction, " q30, q31, [{0}, #480]"),
            ".arch_extension nosimd",
            ".arch_extension nofp",
            in(reg) $at,
            options(nostack),
        )
    };
}

/// Makes P0 to P15 and FFR zero, at the vector length of now.
macro_rules! no_predicates {
    () => {
        asm!(
            ".arch_extension sve",
            ".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
            "pfalse p\\n\\().b",
            ".endr",
            "wrffr  p0.b",
            ".arch_extension nosve",
            options(nomem, nostack),
        )
    };
}

/// Stores P0 to P15 and FFR, at the vector length of now. P0 is lost.
///
/// # Safety
///
/// SVE is there and open. `predicates` has room for 16 predicates, `ffr` for one.
pub(super) unsafe fn save_predicates(predicates: usize, ffr: usize) {
    // SAFETY: the caller's.
    unsafe { all_predicates!("str", predicates) };
    // SAFETY: the caller's; P0 is stored.
    unsafe {
        asm!(
            ".arch_extension sve",
            "rdffr p0.b",
            "str p0, [{0}]",
            ".arch_extension nosve",
            in(reg) ffr,
            options(nostack),
        );
    }
}

/// Loads what [`save_predicates`] stored.
///
/// # Safety
///
/// SVE is there and open. `predicates` has 16 predicates, `ffr` has one.
pub(super) unsafe fn load_predicates(predicates: usize, ffr: usize) {
    // SAFETY: the caller's; P0 follows.
    unsafe {
        asm!(
            ".arch_extension sve",
            "ldr p0, [{0}]",
            "wrffr p0.b",
            ".arch_extension nosve",
            in(reg) ffr,
            options(nostack),
        );
    }
    // SAFETY: the caller's.
    unsafe { all_predicates!("ldr", predicates) };
}

pub(super) use {all_halves, all_predicates, all_vectors, no_predicates};
