//! The SIMD unit: the Host's registers while a Realm has it.
//!
//! The unit is the Host's when a command starts and when it ends. A Realm gets it when it first uses it, without
//! SVE: it sees V0 to V31, FPCR and FPSR. Writing a V register clears the rest of its Z register, so the Host's Z
//! registers are saved whole, at the largest vector length; its predicates and FFR are out of the Realm's reach
//! (`CPTR_EL2.ZEN`) and stay where they are.

use core::arch::asm;

use aarch64_cpu::asm::barrier::{self, SY};
use granule::machine::vcpu::SimdRegisters;

use crate::area::CpuArea;
use crate::features::Features;
use crate::layout;
use crate::registers::{CPTR_CLOSED, CPTR_FPEN, CPTR_ZEN, mrs, msr};

/// `ZCR_EL2.LEN`: the largest vector length that the CPU and EL3 allow.
const ZCR_LEN_MAX: u64 = 0xf;
/// Bytes of a vector at the architecture's largest length.
const VECTOR_BYTES_MAX: usize = 256;

/// Offsets in the SIMD area of what follows the vectors.
const STATUS: usize = layout::SIMD + 32 * VECTOR_BYTES_MAX;

const _: () = assert!(32 * VECTOR_BYTES_MAX + 16 <= layout::SIMD_PAGES * 4096);

/// Stores Z0 to Z31 at `at`, one vector length apart.
#[rustfmt::skip]
macro_rules! all_vectors {
    ($instruction:literal, $at:expr) => {
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
            concat!($instruction, " z16, [{0}, #16, mul vl]"), concat!($instruction, " z17, [{0}, #17, mul vl]"),
            concat!($instruction, " z18, [{0}, #18, mul vl]"), concat!($instruction, " z19, [{0}, #19, mul vl]"),
            concat!($instruction, " z20, [{0}, #20, mul vl]"), concat!($instruction, " z21, [{0}, #21, mul vl]"),
            concat!($instruction, " z22, [{0}, #22, mul vl]"), concat!($instruction, " z23, [{0}, #23, mul vl]"),
            concat!($instruction, " z24, [{0}, #24, mul vl]"), concat!($instruction, " z25, [{0}, #25, mul vl]"),
            concat!($instruction, " z26, [{0}, #26, mul vl]"), concat!($instruction, " z27, [{0}, #27, mul vl]"),
            concat!($instruction, " z28, [{0}, #28, mul vl]"), concat!($instruction, " z29, [{0}, #29, mul vl]"),
            concat!($instruction, " z30, [{0}, #30, mul vl]"), concat!($instruction, " z31, [{0}, #31, mul vl]"),
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

/// Opens the unit to EL2.
#[inline(always)]
pub(crate) fn open(features: &Features) {
    let sve = if features.sve { CPTR_ZEN } else { 0 };
    msr!("cptr_el2", CPTR_CLOSED | CPTR_FPEN | sve);
    barrier::isb(SY);
}

/// Makes the vector length the largest; what it was.
fn widen() -> u64 {
    let length = mrs!("s3_4_c1_c2_0"); // ZCR_EL2
    msr!("s3_4_c1_c2_0", length | ZCR_LEN_MAX);
    barrier::isb(SY);
    length
}

/// Saves the Host's vectors in this CPU's SIMD area. The unit is open.
#[cold]
#[inline(never)]
pub(crate) fn save_host(features: &Features) {
    if features.sve {
        let length = widen();
        // SAFETY: the SIMD area holds 32 vectors of the largest length, and is this CPU's.
        unsafe { all_vectors!("str", layout::SIMD) };
        msr!("s3_4_c1_c2_0", length);
    } else {
        // SAFETY: the SIMD area holds 32 vectors, and is this CPU's.
        unsafe { all_halves!("stp", layout::SIMD) };
    }
}

/// Brings the Host's vectors back. The unit is open.
#[cold]
#[inline(never)]
pub(crate) fn restore_host(features: &Features) {
    if features.sve {
        let length = widen();
        // SAFETY: loads what `save_host` stored; the compiler, built for soft float, keeps nothing in them.
        unsafe { all_vectors!("ldr", layout::SIMD) };
        msr!("s3_4_c1_c2_0", length);
    } else {
        // SAFETY: loads what `save_host` stored; the compiler, built for soft float, keeps nothing in them.
        unsafe { all_halves!("ldp", layout::SIMD) };
    }
}

/// Saves V0 to V31 of the Realm that has the unit. The unit is open.
pub(crate) fn save_realm(area: &CpuArea) {
    // SAFETY: writes the 512 bytes of the cell, which is this CPU's.
    unsafe { all_halves!("stp", area.hash_save.as_ptr()) };
}

/// Brings V0 to V31 of the Realm that has the unit back. The unit is open.
pub(crate) fn restore_realm(area: &CpuArea) {
    // SAFETY: reads the 512 bytes of the cell, which is this CPU's.
    unsafe { all_halves!("ldp", area.hash_save.as_ptr()) };
}

/// Opens the unit, without SVE, to the Realm that has it.
pub(crate) fn open_to_realm() {
    msr!("cptr_el2", CPTR_CLOSED | CPTR_FPEN);
}

/// Closes the unit to everybody.
pub(crate) fn close() {
    msr!("cptr_el2", CPTR_CLOSED);
}

/// The two words after the Host's vectors: FPCR and FPSR.
fn status<'a>() -> &'a core::cell::Cell<[u64; 2]> {
    let status: *const core::cell::Cell<[u64; 2]> = core::ptr::with_exposed_provenance(STATUS);
    // SAFETY: inside the SIMD area by the assertion above, zeroed at boot, this CPU's, changed through the cell.
    unsafe { &*status }
}

/// Puts the Host's registers away, loads the Realm's and opens the unit to it, not to SVE.
#[cold]
#[inline(never)]
pub(super) fn lend(features: &Features, realm: &SimdRegisters) {
    open(features);
    save_host(features);
    status().set([mrs!("s3_3_c4_c4_0"), mrs!("s3_3_c4_c4_1")]);
    // SAFETY: reads the 512 bytes of `v`.
    unsafe { all_halves!("ldp", realm.v.as_ptr()) };
    msr!("s3_3_c4_c4_0", realm.fpcr);
    msr!("s3_3_c4_c4_1", realm.fpsr);
    open_to_realm();
}

/// Stores the Realm's registers, brings the Host's back and closes the unit.
#[cold]
#[inline(never)]
pub(super) fn take_back(area: &CpuArea, features: &Features, realm: &mut SimdRegisters) {
    open(features);
    // SAFETY: writes the 512 bytes of `v`.
    unsafe { all_halves!("stp", realm.v.as_mut_ptr()) };
    realm.fpcr = mrs!("s3_3_c4_c4_0");
    realm.fpsr = mrs!("s3_3_c4_c4_1");
    restore_host(features);
    let [fpcr, fpsr] = status().get();
    msr!("s3_3_c4_c4_0", fpcr);
    msr!("s3_3_c4_c4_1", fpsr);
    close();
    area.simd_lent.set(false);
}
