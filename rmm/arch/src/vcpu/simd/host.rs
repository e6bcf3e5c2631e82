//! The Host's registers of the SIMD unit, put away while somebody else uses it.
//!
//! A change of the effective vector length may make zero what the shorter length does not reach: an
//! exception to an exception level with longer vectors, from one with shorter ones where floating
//! point is open (Arm ARM, `MaybeZeroSVEUppers`; QEMU also at the return). EL3 may interrupt at any
//! instruction. So the Host's registers are in memory wherever vectors are shorter than the longest
//! and the unit is open:
//!
//! | While | Floating point at EL1, EL2 | Length at EL2 | Of the Host in registers |
//! | --- | --- | --- | --- |
//! | the unit is closed | closed | (any) | all |
//! | it is saved, the monitor computes with it, it is restored | open | the longest, or the Host's own where EL3 does not keep `ZCR_EL2` | P, FFR |
//! | a Realm without SVE has it | open | 128 bits: SVE is closed | nothing |
//! | a Realm with SVE has it | open | the Realm's | nothing |
//!
//! ZA is the exception: it stays, for whether EL3 has opened SME cannot be asked. A Host that has
//! it on while it enters a Realm that uses vectors may lose what is beyond the streaming length of
//! EL1, by the same rule; Linux switches it off before.

use core::arch::{asm, global_asm};
use core::cell::Cell;

use aarch64_cpu::asm::barrier::{self, SY};

use super::moves::{
    all_halves, all_predicates, all_vectors, load_predicates, no_predicates, save_predicates,
};
use crate::area::{self, Saved};
use crate::features::Features;
use crate::layout;
use crate::registers::{
    CPTR_EL2, CPTR_SMEN, FPSR, Guarded, Readable, SMCR_EL2, Writeable, ZCR_EL2,
};

/// `ZCR_EL2.LEN`: the largest vector length that the CPU and EL3 allow.
const ZCR_LEN_MAX: u64 = 0xf;
/// Bytes of a vector at the architecture's largest length.
const VECTOR_BYTES_MAX: usize = 256;
/// Where Z16 to Z31 of the Host are.
const HIGH_VECTORS: usize = layout::SIMD + 16 * VECTOR_BYTES_MAX;
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
    /// Whether this CPU is in streaming mode: its first instruction traps then, and the vectors
    /// resume it behind that.
    ///
    /// # Safety
    ///
    /// SVE is there and open, SME is closed.
    fn cairn_is_streaming() -> u64;
}

/// Writes `ZCR_EL2`.
///
/// # Safety
///
/// A Realm that has SVE runs only at its own length, or what is beyond that would be somebody
/// else's.
pub(super) unsafe fn set_length(zcr: u64) {
    // SAFETY: promised by the caller. Whoever moves vectors between registers and memory proves
    // room for their length.
    unsafe { ZCR_EL2.set(zcr) };
    barrier::isb(SY);
}

/// Makes the vector length the largest; `ZCR_EL2` as it was.
pub(super) fn widen() -> u64 {
    let before = ZCR_EL2.get();
    // SAFETY: `lend_sve` sets a Realm's own length before it runs; for others SVE is closed.
    unsafe { set_length(before | ZCR_LEN_MAX) };
    before
}

/// How much of the Host's state goes to this CPU's SIMD area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The vectors: for the monitor's own use, at the longest length, of V0 to V31.
    Vectors,
    /// The predicates and FFR too: before a Realm has the unit.
    All,
}

/// The SVE hint of the SMCCC in a function identifier: the caller has nothing live in P0 to P15,
/// FFR and the bits of Z0 to Z31 above 127.
///
/// Source: SMC Calling Convention (Arm DEN0028) 1.3, "SVE hint".
const SVE_HINT: u64 = 1 << 16;

/// Saves the Host's vectors in this CPU's SIMD area. The unit is open, and was closed. With SVE,
/// the vectors are the longest from here until [`restore_host`].
#[cold]
#[inline(never)]
pub(crate) fn save_host(features: &Features, extent: Extent) {
    let area = area::here();
    if !features.sve {
        // SAFETY: the SIMD area holds 32 vectors, and is this CPU's.
        unsafe { all_halves!("stp", layout::SIMD) };
        area.host_saved.set(Saved::Halves);
        return;
    }
    // Before anything that an instruction of SVE or `ZCR_EL2` may be needed for: they trap in
    // streaming mode.
    // SAFETY: the caller has opened SVE and not SME.
    let streaming = features.sme && unsafe { cairn_is_streaming() } != 0;
    if streaming {
        save_streaming();
    }
    let [zcr_el2, _] = lengths();
    zcr_el2.set(widen());
    area.host_saved.set(if streaming {
        Saved::Streaming
    } else if area.command.get() & SVE_HINT != 0 {
        // SAFETY: the SIMD area holds 32 vectors, and is this CPU's.
        unsafe { all_halves!("stp", layout::SIMD) };
        Saved::Halves
    } else {
        // SAFETY: the SIMD area holds 32 vectors of the largest length, and is this CPU's.
        unsafe { all_vectors!("str", layout::SIMD, HIGH_VECTORS) };
        match extent {
            Extent::Vectors => Saved::Vectors,
            Extent::All => {
                // SAFETY: the same, for 16 predicates and FFR.
                unsafe { save_predicates(PREDICATES, FFR) };
                Saved::All
            }
        }
    });
}

/// Opens SME to EL2, and makes its vectors the longest; `SMCR_EL2` as it was.
fn open_streaming() -> u64 {
    // SAFETY: only this module runs until `close_streaming`.
    unsafe { CPTR_EL2.set(CPTR_EL2.get() | CPTR_SMEN) };
    barrier::isb(SY);
    let smcr = SMCR_EL2.get();
    // SAFETY: the same; what is stored and loaded meanwhile has room for the largest length.
    unsafe { SMCR_EL2.set(smcr | SMCR_LEN_MAX) };
    barrier::isb(SY);
    smcr
}

/// Brings `SMCR_EL2` back and closes SME.
fn close_streaming(smcr: u64) {
    // SAFETY: the Host's own; SME is closed to Realms.
    unsafe { SMCR_EL2.set(smcr) };
    // SAFETY: one trap more.
    unsafe { CPTR_EL2.set(CPTR_EL2.get() & !CPTR_SMEN) };
    barrier::isb(SY);
}

/// Saves the vectors of the Host, which is in streaming mode, and leaves that.
fn save_streaming() {
    let smcr = open_streaming();
    let area = area::here();
    area.host_streaming_controls.set([smcr, FPSR.get()]);
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
    FPSR.set(fpsr);
    close_streaming(smcr);
}

/// Brings back what [`save_host`] has saved, the length of the vectors at last. The unit is open.
///
/// What the Host says is not live is zero then: nobody else's values are in it.
#[cold]
#[inline(never)]
pub(crate) fn restore_host(features: &Features) {
    let saved = area::here().host_saved.get();
    if !features.sve {
        // SAFETY: loads what `save_host` stored; the compiler, built for soft float, keeps nothing
        // in them.
        unsafe { all_halves!("ldp", layout::SIMD) };
        return;
    }
    match saved {
        Saved::Halves => {
            // At the longest length, so that all of each vector above its low half becomes zero.
            // SAFETY: the same.
            unsafe { all_halves!("ldp", layout::SIMD) };
            // SAFETY: they were not live when the Host called.
            unsafe { no_predicates!() };
        }
        Saved::Vectors | Saved::All => {
            if matches!(saved, Saved::All) {
                // SAFETY: loads what `save_host` stored, at the same length.
                unsafe { load_predicates(PREDICATES, FFR) };
            }
            // SAFETY: the same.
            unsafe { all_vectors!("ldr", layout::SIMD, HIGH_VECTORS) };
        }
        Saved::Streaming => {}
    }
    let [zcr_el2, _] = lengths();
    // SAFETY: the Host's own; a Realm's registers are not in the unit any more.
    unsafe { set_length(zcr_el2.get()) };
    if matches!(saved, Saved::Streaming) {
        // Last: `ZCR_EL2` traps in streaming mode.
        restore_streaming();
    }
}

/// The two words after the Host's vectors: FPCR and FPSR.
pub(super) fn status<'a>() -> &'a Cell<[u64; 2]> {
    let status: *const Cell<[u64; 2]> = core::ptr::with_exposed_provenance(STATUS);
    // SAFETY: inside the SIMD area by the assertion above, zeroed at boot, this CPU's, changed
    // through the cell.
    unsafe { &*status }
}

/// The two words after the Host's FFR: its `ZCR_EL2` and ZCR_EL1.
pub(super) fn lengths<'a>() -> &'a [Cell<u64>; 2] {
    let lengths: *const [Cell<u64>; 2] = core::ptr::with_exposed_provenance(LENGTHS);
    // SAFETY: inside the SIMD area by the assertion above, zeroed at boot, this CPU's, changed
    // through the cells.
    unsafe { &*lengths }
}
