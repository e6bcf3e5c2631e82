//! The SIMD unit: the Host's registers while a Realm has it.
//!
//! The unit is the Host's when a command starts and when it ends. A Realm gets it when it first uses it.
//!
//! | Realm | Sees | Saved of the Host |
//! | --- | --- | --- |
//! | without SVE | V0 to V31, FPCR, FPSR | Z0 to Z31 whole, since writing a V register clears the rest of its Z register; predicates and FFR are out of the Realm's reach (`CPTR_EL2.ZEN`) and stay |
//! | with SVE | Z, P, FFR, ZCR_EL1 as well, as long as `ZCR_EL2` lets it | the same and those, at the longest length of the CPU |
//!
//! SME traps in a Realm. The Host may call in streaming mode: then Z and P are those of that mode, with a length of their own, and
//! leaving the mode and entering it again zeroes them. ZA stays where it is. Whether EL3 has opened SME cannot be asked, and
//! touching it would be fatal if not; but an instruction of SVE traps to us only in streaming mode, and with SME closed
//! by us. So that is tried first.
//!
//! TF-A 2.12.1 does build SME in for QEMU (ENABLE_SME_FOR_NS is 2), though it is often said not to.

use core::arch::{asm, global_asm};

use aarch64_cpu::asm::barrier::{self, SY};
use machine::GranuleAddr;
use machine::Slot;
use machine::vcpu::VcpuRegisters;

use crate::area::{self, CpuArea};
use crate::features::Features;
use crate::layout;
use crate::memory;
use crate::mmu::descriptor::Access;
use crate::registers::{CPTR_CLOSED, CPTR_FPEN, CPTR_SMEN, CPTR_ZEN, mrs, msr};
use crate::slot::Mapping;

/// `ZCR_EL2.LEN`: the largest vector length that the CPU and EL3 allow.
const ZCR_LEN_MAX: u64 = 0xf;
/// Bytes of a vector at the architecture's largest length.
const VECTOR_BYTES_MAX: usize = 256;
/// Where Z16 to Z31 of the Host are.
const HIGH_VECTORS: usize = layout::SIMD + 16 * VECTOR_BYTES_MAX;
/// Z registers that fit into a granule with the others if the vector is at most so long.
const SHARED_VECTOR_BYTES: usize = 128;

/// What follows the vectors in the SIMD area: FPCR and FPSR, P0 to P15, FFR, `ZCR_EL2` and ZCR_EL1.
const STATUS: usize = layout::SIMD + 32 * VECTOR_BYTES_MAX;
const PREDICATES: usize = STATUS + 16;
const FFR: usize = PREDICATES + 2 * VECTOR_BYTES_MAX;
const LENGTHS: usize = FFR + VECTOR_BYTES_MAX / 8;

/// P0 to P15 and FFR of the Host in streaming mode.
const STREAMING_PREDICATES: usize = LENGTHS + 16;
const STREAMING_FFR: usize = STREAMING_PREDICATES + 2 * VECTOR_BYTES_MAX;

const _: () = assert!(STREAMING_FFR + 32 - layout::SIMD <= layout::SIMD_PAGES * layout::PAGE_BYTES);

/// `SMCR_EL2.LEN`: the largest vector length of streaming mode.
const SMCR_LEN_MAX: u64 = 0xf;
/// `SMCR_EL2.FA64`: streaming mode has all instructions, those on FFR too.
const SMCR_FA64: u64 = 1 << 31;

global_asm!(
    r#"
    .section .text.cairn_is_streaming, "ax"
    .global cairn_is_streaming
    .global cairn_is_streaming_trap
    .arch_extension sve
cairn_is_streaming:
    rdvl    x0, #1
    mov     x0, #0
    ret
cairn_is_streaming_trap:
    mov     x0, #1
    ret
    .arch_extension nosve
    "#
);

unsafe extern "C" {
    /// Whether this CPU is in streaming mode: its first instruction traps then, and the vectors resume it behind that.
    ///
    /// # Safety
    ///
    /// SVE is there and open, SME is closed.
    fn cairn_is_streaming() -> u64;
}

/// Stores or loads Z0 to Z15 at the first address and Z16 to Z31 at the second, one vector length apart.
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

/// Opens the unit to EL2.
#[inline(always)]
pub(crate) fn open(features: &Features) {
    let sve = if features.sve { CPTR_ZEN } else { 0 };
    msr!("cptr_el2", CPTR_CLOSED | CPTR_FPEN | sve);
    barrier::isb(SY);
}

/// `ZCR_EL2`.
fn length() -> u64 {
    mrs!("s3_4_c1_c2_0")
}

/// Writes `ZCR_EL2`.
fn set_length(zcr: u64) {
    msr!("s3_4_c1_c2_0", zcr);
    barrier::isb(SY);
}

/// Makes the vector length the largest; `ZCR_EL2` as it was.
fn widen() -> u64 {
    let before = length();
    set_length(before | ZCR_LEN_MAX);
    before
}

/// Bytes of the longest vector. Leaves the unit as it was: closed, at boot.
pub(crate) fn longest_vector() -> u64 {
    let before = mrs!("cptr_el2");
    msr!("cptr_el2", before | CPTR_FPEN | CPTR_ZEN);
    barrier::isb(SY);
    let zcr = widen();
    let bytes: u64;
    // SAFETY: reads the vector length; the caller has checked for SVE.
    unsafe {
        asm!(
            ".arch_extension sve",
            "rdvl {0}, #1",
            ".arch_extension nosve",
            out(reg) bytes,
            options(nomem, nostack),
        );
    }
    set_length(zcr);
    msr!("cptr_el2", before);
    barrier::isb(SY);
    bytes
}

/// Saves the Host's vectors in this CPU's SIMD area. The unit is open.
#[cold]
#[inline(never)]
pub(crate) fn save_host(features: &Features) {
    // SAFETY: the caller has opened SVE and not SME.
    if features.sve && features.sme && unsafe { cairn_is_streaming() } != 0 {
        save_streaming();
    } else if features.sve {
        let length = widen();
        // SAFETY: the SIMD area holds 32 vectors of the largest length, and is this CPU's.
        unsafe { all_vectors!("str", layout::SIMD, HIGH_VECTORS) };
        set_length(length);
    } else {
        // SAFETY: the SIMD area holds 32 vectors, and is this CPU's.
        unsafe { all_halves!("stp", layout::SIMD) };
    }
}

/// Opens SME to EL2, and makes its vectors the longest; `SMCR_EL2` as it was.
fn open_streaming() -> u64 {
    msr!("cptr_el2", mrs!("cptr_el2") | CPTR_SMEN);
    barrier::isb(SY);
    let smcr = mrs!("s3_4_c1_c2_6"); // SMCR_EL2
    msr!("s3_4_c1_c2_6", smcr | SMCR_LEN_MAX);
    barrier::isb(SY);
    smcr
}

/// Brings `SMCR_EL2` back and closes SME.
fn close_streaming(smcr: u64) {
    msr!("s3_4_c1_c2_6", smcr);
    msr!("cptr_el2", mrs!("cptr_el2") & !CPTR_SMEN);
    barrier::isb(SY);
}

/// Saves the vectors of the Host, which is in streaming mode, and leaves that.
fn save_streaming() {
    let smcr = open_streaming();
    let area = area::here();
    area.host_streaming.set(true);
    area.host_streaming_controls.set([smcr, mrs!("s3_3_c4_c4_1")]); // FPSR
    // SAFETY: the SIMD area holds 32 vectors of the largest length, and is this CPU's.
    unsafe { all_vectors!("str", layout::SIMD, HIGH_VECTORS) };
    // SAFETY: the same, for 16 predicates.
    unsafe { all_predicates!("str", STREAMING_PREDICATES) };
    if smcr & SMCR_FA64 != 0 {
        // SAFETY: the same; FFR may be read, P0 is stored.
        unsafe { save_predicates(STREAMING_PREDICATES, STREAMING_FFR) };
    }
    // SAFETY: zeroes the vectors and predicates, which are stored.
    unsafe { asm!(".arch_extension sme", "smstop sm", ".arch_extension nosme", options(nostack)) };
    close_streaming(smcr);
}

/// Enters streaming mode again and brings back what [`save_streaming`] stored.
fn restore_streaming() {
    let [smcr, fpsr] = area::here().host_streaming_controls.get();
    open_streaming();
    // SAFETY: zeroes vectors and predicates, which nobody needs: they are brought back now.
    unsafe { asm!(".arch_extension sme", "smstart sm", ".arch_extension nosme", options(nostack)) };
    if smcr & SMCR_FA64 != 0 {
        // SAFETY: loads what `save_streaming` stored, at the same length.
        unsafe { load_predicates(STREAMING_PREDICATES, STREAMING_FFR) };
    }
    // SAFETY: the same.
    unsafe { all_predicates!("ldr", STREAMING_PREDICATES) };
    // SAFETY: the same.
    unsafe { all_vectors!("ldr", layout::SIMD, HIGH_VECTORS) };
    msr!("s3_3_c4_c4_1", fpsr);
    close_streaming(smcr);
}

/// Brings the Host's vectors back. The unit is open.
#[cold]
#[inline(never)]
pub(crate) fn restore_host(features: &Features) {
    if area::here().host_streaming.replace(false) {
        restore_streaming();
    } else if features.sve {
        let length = widen();
        // SAFETY: loads what `save_host` stored; the compiler, built for soft float, keeps nothing in them.
        unsafe { all_vectors!("ldr", layout::SIMD, HIGH_VECTORS) };
        set_length(length);
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

/// Stores P0 to P15 and FFR, at the vector length of now. P0 is lost.
///
/// # Safety
///
/// SVE is there and open. `predicates` has room for 16 predicates, `ffr` for one.
unsafe fn save_predicates(predicates: usize, ffr: usize) {
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
unsafe fn load_predicates(predicates: usize, ffr: usize) {
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

/// The two words after the Host's FFR: its `ZCR_EL2` and ZCR_EL1.
fn lengths<'a>() -> &'a core::cell::Cell<[u64; 2]> {
    let lengths: *const core::cell::Cell<[u64; 2]> = core::ptr::with_exposed_provenance(LENGTHS);
    // SAFETY: inside the SIMD area by the assertion above, zeroed at boot, this CPU's, changed through the cell.
    unsafe { &*lengths }
}

/// The granules of a REC's vectors, mapped.
struct Vectors {
    low: Mapping,
    high: Option<Mapping>,
}

impl Vectors {
    fn map((low, high): (GranuleAddr, Option<GranuleAddr>)) -> Self {
        Self {
            low: Mapping::new(Slot::RecAux as usize, low, Access::ReadWrite),
            high: high.map(|high| Mapping::new(Slot::Object as usize, high, Access::ReadWrite)),
        }
    }

    /// Zeroes them.
    fn zero(&self, features: &Features) {
        // SAFETY: the granule is the REC's, which is loaded on this CPU, and mapped here alone.
        unsafe { memory::zero(self.low.address(), layout::PAGE_BYTES, features) };
        if let Some(high) = &self.high {
            // SAFETY: the same.
            unsafe { memory::zero(high.address(), layout::PAGE_BYTES, features) };
        }
    }

    /// Where Z0 and Z16 are.
    fn addresses(&self) -> (usize, usize) {
        let low = self.low.address();
        let shared = low + 16 * SHARED_VECTOR_BYTES;
        (low, self.high.as_ref().map_or(shared, Mapping::address))
    }
}

/// Puts the Host's registers away, loads the Realm's and opens the unit to it.
#[cold]
#[inline(never)]
pub(super) fn lend(area: &CpuArea, features: &Features, realm: &VcpuRegisters) {
    open(features);
    // Before the vectors: leaving streaming mode changes FPSR.
    status().set([mrs!("s3_3_c4_c4_0"), mrs!("s3_3_c4_c4_1")]);
    save_host(features);
    if let Some(vl) = realm.extensions.sve_vl() {
        lend_sve(features, realm, vl);
        area.sve_lent.set(true);
    } else {
        // SAFETY: reads the 512 bytes of `v`.
        unsafe { all_halves!("ldp", realm.simd.v.as_ptr()) };
        open_to_realm();
    }
    msr!("s3_3_c4_c4_0", realm.simd.fpcr);
    msr!("s3_3_c4_c4_1", realm.simd.fpsr);
}

/// The same for what SVE adds. The Host's vectors are saved; the unit stays open.
fn lend_sve(features: &Features, realm: &VcpuRegisters, vl: u8) {
    let host = widen();
    lengths().set([host, mrs!("s3_5_c1_c2_0")]); // ZCR_EL12
    // SAFETY: both are in the SIMD area, with room for the longest length.
    unsafe { save_predicates(PREDICATES, FFR) };
    let sve = &realm.sve;
    let vectors = Vectors::map(sve.granules());
    if sve.used == 0 {
        vectors.zero(features);
    }
    set_length(u64::from(vl));
    let (low, high) = vectors.addresses();
    // SAFETY: 16 vectors of this length fit at each address, by the number of granules that the length takes.
    unsafe { all_vectors!("ldr", low, high) };
    // SAFETY: reads fields that have room for the longest length.
    unsafe {
        load_predicates(
            sve.predicates.as_ptr().expose_provenance(),
            sve.ffr.as_ptr().expose_provenance(),
        )
    };
    msr!("s3_5_c1_c2_0", sve.zcr_el1);
}

/// Stores the Realm's registers, brings the Host's back and closes the unit.
#[cold]
#[inline(never)]
pub(super) fn take_back(area: &CpuArea, features: &Features, realm: &mut VcpuRegisters) {
    open(features);
    realm.simd.fpcr = mrs!("s3_3_c4_c4_0");
    realm.simd.fpsr = mrs!("s3_3_c4_c4_1");
    if area.sve_lent.replace(false) {
        take_sve_back(realm);
    } else {
        // SAFETY: writes the 512 bytes of `v`.
        unsafe { all_halves!("stp", realm.simd.v.as_mut_ptr()) };
    }
    restore_host(features);
    let [fpcr, fpsr] = status().get();
    msr!("s3_3_c4_c4_0", fpcr);
    msr!("s3_3_c4_c4_1", fpsr);
    close();
    area.simd_lent.set(false);
}

/// The same for what SVE adds. `ZCR_EL2` is still the Realm's.
fn take_sve_back(realm: &mut VcpuRegisters) {
    let sve = &mut realm.sve;
    let vectors = Vectors::map(sve.granules());
    let (low, high) = vectors.addresses();
    // SAFETY: 16 vectors of this length fit at each address, by the number of granules that the length takes.
    unsafe { all_vectors!("str", low, high) };
    drop(vectors);
    // SAFETY: writes fields that have room for the longest length.
    unsafe {
        save_predicates(
            sve.predicates.as_mut_ptr().expose_provenance(),
            sve.ffr.as_mut_ptr().expose_provenance(),
        )
    };
    sve.zcr_el1 = mrs!("s3_5_c1_c2_0");
    sve.used = 1;
    let [zcr_el2, zcr_el1] = lengths().get();
    msr!("s3_5_c1_c2_0", zcr_el1);
    set_length(zcr_el2 | ZCR_LEN_MAX);
    // SAFETY: loads what `lend_sve` stored, at the same length.
    unsafe { load_predicates(PREDICATES, FFR) };
    set_length(zcr_el2);
}
