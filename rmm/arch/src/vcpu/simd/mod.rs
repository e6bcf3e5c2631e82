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
use crate::registers::{CPTR_CLOSED, CPTR_FPEN, CPTR_ZEN, mrs, msr};
use crate::slot::Mapping;
use host::{lengths, set_length, status, widen};
use moves::{all_halves, all_vectors, load_predicates, save_predicates};

pub(crate) use host::{Extent, restore_host, save_host};

/// Z registers that fit into a granule with the others if the vector is at most so long.
const SHARED_VECTOR_BYTES: usize = 128;

/// Opens the unit to EL2.
#[inline(always)]
pub(crate) fn open(features: &Features) {
    let sve = if features.sve { CPTR_ZEN } else { 0 };
    msr!("cptr_el2", CPTR_CLOSED | CPTR_FPEN | sve);
    barrier::isb(SY);
}

/// Bytes of the longest vector. Leaves the unit as it was: closed, at boot; but where EL3 keeps
/// `ZCR_EL2` for each world, the monitor's stays the longest, so that opening the unit shortens
/// nothing.
pub(crate) fn longest_vector() -> u64 {
    let before = mrs!("cptr_el2");
    msr!("cptr_el2", before | CPTR_FPEN | CPTR_ZEN);
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
    msr!("cptr_el2", before);
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

/// Opens the unit, without SVE, to the Realm that has it.
pub(crate) fn open_to_realm() {
    msr!("cptr_el2", CPTR_CLOSED | CPTR_FPEN);
}

/// Closes the unit to everybody.
pub(crate) fn close() {
    msr!("cptr_el2", CPTR_CLOSED);
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
    open(features);
    // Before the vectors: leaving streaming mode changes FPSR.
    status().set([mrs!("s3_3_c4_c4_0"), mrs!("s3_3_c4_c4_1")]);
    save_host(features, Extent::All);
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
    let [_, zcr_el1] = lengths();
    zcr_el1.set(mrs!("s3_5_c1_c2_0")); // ZCR_EL12
    let sve = &realm.sve;
    let vectors = Vectors::map(sve.granules());
    if sve.used == 0 {
        vectors.zero(features);
    }
    set_length(u64::from(vl));
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
    sve.zcr_el1 = mrs!("s3_5_c1_c2_0");
    sve.used = 1;
    let [_, zcr_el1] = lengths();
    msr!("s3_5_c1_c2_0", zcr_el1.get());
    // As when the Host's registers were saved.
    widen();
}
