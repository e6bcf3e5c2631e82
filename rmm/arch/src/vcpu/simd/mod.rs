//! The SIMD unit: the Host's registers while a Realm has it.
//!
//! The unit is the Host's when a command starts and when it ends. A Realm gets it when it first
//! uses it.
//!
//! | Realm | Sees | Saved of the Host |
//! | --- | --- | --- |
//! | without SVE | V0 to V31, FPCR, FPSR | Z0 to Z31, P0 to P15 and FFR, at the longest length of the CPU |
//! | with SVE | Z, P, FFR, ZCR_EL1 as well, as long as `ZCR_EL2` lets it | the same, ZCR_EL1 and `ZCR_EL2` |
//!
//! A Realm without SVE reaches neither predicates nor the upper part of a vector (`CPTR_EL2.ZEN`),
//! and yet they cannot stay: module `host` says why. If the Host has called with the SVE hint, only
//! V0 to V31 are saved, and the rest is zero afterwards.
//!
//! SME traps in a Realm. The Host may call in streaming mode: then Z and P are those of that mode,
//! with a length of their own, and leaving the mode and entering it again zeroes them. ZA stays
//! where it is. Whether EL3 has opened SME cannot be asked, and touching it would be fatal if not;
//! but an instruction of SVE traps to us only in streaming mode, and with SME closed by us. So that
//! is tried first.
//!
//! TF-A 2.12.1 does build SME in for QEMU (ENABLE_SME_FOR_NS is 2), though it is often said not to.

mod host;
mod moves;

use core::arch::asm;

use aarch64_cpu::asm::barrier::{self, SY};
use machine::GranuleAddr;
use machine::Slot;
use machine::vcpu::VcpuRegisters;

use crate::area::CpuArea;
use crate::features::Features;
use crate::layout;
use crate::memory;
use crate::mmu::descriptor::Access;
use crate::registers::{
    CPTR_CLOSED, CPTR_EL2, CPTR_FPEN, CPTR_ZEN, FPCR, FPSR, Guarded, Readable, Writeable, ZCR_EL12,
};
use crate::slot::Mapping;
use host::{lengths, set_length, status, widen};
use moves::{all_halves, all_vectors, load_predicates, save_predicates};

pub(crate) use host::{Extent, restore_host, save_host};

/// Z registers that fit into a granule with the others if the vector is at most so long.
const SHARED_VECTOR_BYTES: usize = 128;

/// Opens the unit to EL2, and with that to EL1 and EL0.
///
/// # Safety
///
/// No Realm runs before the unit is closed, or open just as far as it holds that Realm's registers.
#[inline(always)]
pub(crate) unsafe fn open(features: &Features) {
    let sve = if features.sve { CPTR_ZEN } else { 0 };
    // SAFETY: promised by the caller; SME stays closed.
    unsafe { CPTR_EL2.set(CPTR_CLOSED | CPTR_FPEN | sve) };
    barrier::isb(SY);
}

/// Bytes of the longest vector. Leaves the unit as it was: closed, at boot; but where EL3 keeps
/// `ZCR_EL2` for each world, the monitor's stays the longest, so that opening the unit shortens
/// nothing.
pub(crate) fn longest_vector() -> u64 {
    let before = CPTR_EL2.get();
    // SAFETY: no Realm runs before the register is as it was.
    unsafe { CPTR_EL2.set(before | CPTR_FPEN | CPTR_ZEN) };
    barrier::isb(SY);
    widen();
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
    // SAFETY: as it was.
    unsafe { CPTR_EL2.set(before) };
    barrier::isb(SY);
    bytes
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

/// Closes the unit to everybody.
pub(crate) fn close() {
    // SAFETY: all of the unit traps.
    unsafe { CPTR_EL2.set(CPTR_CLOSED) };
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
///
/// The Host's are all in memory before the first of the Realm's is loaded, and before SVE is
/// closed.
#[cold]
#[inline(never)]
pub(super) fn lend(area: &CpuArea, features: &Features, realm: &VcpuRegisters) {
    // SAFETY: when this function ends, what is open are the registers of the Realm.
    unsafe { open(features) };
    // Before the vectors: leaving streaming mode changes FPSR.
    status().set([FPCR.get(), FPSR.get()]);
    save_host(features, Extent::All);
    if let Some(vl) = realm.extensions.sve_vl() {
        lend_sve(features, realm, vl);
        area.sve_lent.set(true);
    } else {
        // SAFETY: reads the 512 bytes of `v`.
        unsafe { all_halves!("ldp", realm.simd.v.as_ptr()) };
        // SAFETY: V0 to V31 are the Realm's since the line above, FPCR and FPSR below; the rest of
        // the vectors and the predicates, which are the Host's, are closed.
        unsafe { CPTR_EL2.set(CPTR_CLOSED | CPTR_FPEN) };
    }
    FPCR.set(realm.simd.fpcr);
    FPSR.set(realm.simd.fpsr);
}

/// The same for what SVE adds. The Host's vectors are saved; the unit stays open.
fn lend_sve(features: &Features, realm: &VcpuRegisters, vl: u8) {
    let [_, zcr_el1] = lengths();
    zcr_el1.set(ZCR_EL12.get());
    let sve = &realm.sve;
    let vectors = Vectors::map(sve.granules());
    if sve.used == 0 {
        vectors.zero(features);
    }
    // SAFETY: the Realm's own length; all that it reaches at that is loaded below.
    unsafe { set_length(u64::from(vl)) };
    let (low, high) = vectors.addresses();
    // SAFETY: 16 vectors of this length fit at each address, by the number of granules that the
    // length takes.
    unsafe { all_vectors!("ldr", low, high) };
    // SAFETY: reads fields that have room for the longest length.
    unsafe {
        load_predicates(
            sve.predicates.as_ptr().expose_provenance(),
            sve.ffr.as_ptr().expose_provenance(),
        )
    };
    ZCR_EL12.set(sve.zcr_el1);
}

/// Stores the Realm's registers, brings the Host's back and closes the unit.
#[cold]
#[inline(never)]
pub(super) fn take_back(area: &CpuArea, features: &Features, realm: &mut VcpuRegisters) {
    // SAFETY: it is closed below.
    unsafe { open(features) };
    realm.simd.fpcr = FPCR.get();
    realm.simd.fpsr = FPSR.get();
    if area.sve_lent.replace(false) {
        take_sve_back(realm);
    } else {
        // SAFETY: writes the 512 bytes of `v`.
        unsafe { all_halves!("stp", realm.simd.v.as_mut_ptr()) };
    }
    restore_host(features);
    let [fpcr, fpsr] = status().get();
    FPCR.set(fpcr);
    FPSR.set(fpsr);
    close();
    area.simd_lent.set(false);
}

/// The same for what SVE adds. `ZCR_EL2` is still the Realm's.
fn take_sve_back(realm: &mut VcpuRegisters) {
    let sve = &mut realm.sve;
    let vectors = Vectors::map(sve.granules());
    let (low, high) = vectors.addresses();
    // SAFETY: 16 vectors of this length fit at each address, by the number of granules that the
    // length takes.
    unsafe { all_vectors!("str", low, high) };
    drop(vectors);
    // SAFETY: writes fields that have room for the longest length.
    unsafe {
        save_predicates(
            sve.predicates.as_mut_ptr().expose_provenance(),
            sve.ffr.as_mut_ptr().expose_provenance(),
        )
    };
    sve.zcr_el1 = ZCR_EL12.get();
    sve.used = 1;
    let [_, zcr_el1] = lengths();
    ZCR_EL12.set(zcr_el1.get());
    // As when the Host's registers were saved.
    widen();
}
