//! At each boot of a CPU: learns what EL3 has opened to this world, and writes every trap register
//! that is open.
//!
//! Nothing is taken as EL3 or an earlier boot left it. TF-A up to 2.13 starts this world with zero
//! in all of them; later ones, and Rusted Firmware-A, with some traps off.

use core::arch::global_asm;

use aarch64_cpu::asm::barrier::{self, SY};

use crate::area;
use crate::facts;
use crate::registers::*;
use crate::smc;
use crate::traps::{
    self, Answers, Control, Facilities, Facility, INTERFACE_WITH_UNDEFINED, Learnt, Openings,
};

/// Learns what EL3 has opened, and closes to Realms what they have no business with.
///
/// `interface` is the version of the RMM-EL3 interface. Once per boot of a CPU, before it serves
/// the Host.
pub(super) fn close(interface: u64) -> Openings {
    let openings = learn(interface);
    write(openings.open);
    area::here().hidden.set(traps::hidden(openings.open));
    openings
}

fn learn(interface: u64) -> Openings {
    let present = Facilities::of_cpu(&facts::read());
    if let Some(answers) = ask() {
        return Openings { present, open: present.opened_by(&answers), learnt: Learnt::Asked };
    }
    if interface < INTERFACE_WITH_UNDEFINED {
        return Openings::assumed(present);
    }
    Openings { present, open: present.tried(can_read), learnt: Learnt::Tried }
}

/// What EL3 says of itself; `None` if it does not know the question.
///
/// Source: SMCCC (Arm DEN0028) 1.5, SMCCC_ARCH_FEATURE_AVAILABILITY: it exists if
/// SMCCC_ARCH_FEATURES says so, of which TF-A 2.13 knows the number for 32 bits and later ones that
/// for 64; the call itself is the one for 64.
fn ask() -> Option<Answers> {
    let names = [smc::ARCH_FEATURE_AVAILABILITY, smc::ARCH_FEATURE_AVAILABILITY_32];
    let knows = |name| {
        let [code, ..] = smc::call(smc::ARCH_FEATURES, [name, 0, 0]);
        // A 32-bit call: the upper half of the answer means nothing.
        (code & 0xffff_ffff) == 0
    };
    if !names.into_iter().any(knows) {
        return None;
    }
    Some(Control::ALL.map(|control| {
        let [code, answer, _] =
            smc::call(smc::ARCH_FEATURE_AVAILABILITY, [control.selector(), 0, 0]);
        if code == 0 { answer } else { 0 }
    }))
}

/// Writes what is open.
fn write(open: Facilities) {
    write_fine_grained_traps(open);
    write_other_traps(open);
    write_own_controls(open);
    barrier::isb(SY);
}

fn write_fine_grained_traps(open: Facilities) {
    if open.has(Facility::Fgt) {
        // SAFETY: traps from EL1 and EL0, and what does not trap is shown to Realms or switched.
        unsafe { HFGRTR_EL2.set(traps::HFGRTR) };
        // SAFETY: the same.
        unsafe { HFGWTR_EL2.set(traps::HFGWTR) };
        // SAFETY: the same.
        unsafe { HFGITR_EL2.set(traps::HFGITR) };
        // SAFETY: the same.
        unsafe { HDFGRTR_EL2.set(traps::HDFGRTR) };
        // SAFETY: the same.
        unsafe { HDFGWTR_EL2.set(traps::HDFGWTR) };
        // There with FEAT_AMUv1 alone.
        if ID_AA64PFR0_EL1.read(ID_AA64PFR0_EL1::AMU) != 0 {
            // SAFETY: traps all that it can.
            unsafe { HAFGRTR_EL2.set(traps::HAFGRTR) };
        }
    }
    if open.has(Facility::Fgt2) {
        // SAFETY: zero traps all that these registers can, but for an instruction that does nothing
        // to others.
        unsafe { HFGRTR2_EL2.set(traps::FGT2) };
        // SAFETY: the same.
        unsafe { HFGWTR2_EL2.set(traps::FGT2) };
        // SAFETY: the same.
        unsafe { HFGITR2_EL2.set(traps::FGT2) };
        // SAFETY: the same.
        unsafe { HDFGRTR2_EL2.set(traps::FGT2) };
        // SAFETY: the same.
        unsafe { HDFGWTR2_EL2.set(traps::FGT2) };
    }
}

fn write_other_traps(open: Facilities) {
    if open.has(Facility::Hcx) {
        // SAFETY: enables nothing at EL1 and EL0 beyond what every CPU has.
        unsafe { HCRX_EL2.set(traps::hcrx(ID_AA64PFR1_EL1.get())) };
    }
    if open.has(Facility::Mpam) {
        let (mpam2, mpamhcr) = traps::mpam(MPAMIDR_EL1.get());
        // SAFETY: traps the partitions of EL1 and EL0; the monitor's own is 0.
        unsafe { MPAM2_EL2.set(mpam2) };
        if let Some(mpamhcr) = mpamhcr {
            // SAFETY: MPAMIDR_EL1 has said that the register is there, and this traps the same.
            unsafe { MPAMHCR_EL2.set(mpamhcr) };
        }
    }
}

/// The monitor's own: no trace of it, no control that its tables and code do not expect.
fn write_own_controls(open: Facilities) {
    if open.has(Facility::Trf) {
        // SAFETY: zero forbids trace of EL2.
        unsafe { TRFCR_EL2.set(0) };
    }
    if open.has(Facility::Tcr2) {
        // SAFETY: zero is what the tables of stage 1 are made for: no permission indirection, and
        // descriptors of 64 bits.
        unsafe { TCR2_EL2.set(0) };
    }
    if open.has(Facility::Sctlr2) {
        // SAFETY: zero is what the code is made for: the controls of the first version alone.
        unsafe { SCTLR2_EL2.set(0) };
    }
    if open.has(Facility::Gcs) {
        // SAFETY: zero is what the code is made for: it keeps no control stack.
        unsafe { GCSCR_EL2.set(0) };
    }
}

// One read each, which the vectors resume behind with X0 = 0 if it is UNDEFINED. In the order of
// `Facility`.
global_asm!(
    r#"
    .set    tries, 0
    .macro try register
    .set    tries, tries + 1
    mrs     x1, \register
    mov     x0, #1
    ret
    .endm

    .section .text.cairn_tries, "ax"
    .global cairn_tries
    .global cairn_tries_end
    .global cairn_try_failed
cairn_tries:
    try     s3_4_c1_c1_4    // HFGRTR_EL2
    try     s3_4_c3_c1_2    // HFGRTR2_EL2
    try     s3_4_c1_c2_2    // HCRX_EL2
    try     s3_4_c10_c5_0   // MPAM2_EL2
    try     s2_5_c9_c0_0    // BRBCR_EL12
    try     s3_4_c1_c2_1    // TRFCR_EL2
    try     s3_3_c13_c0_5   // TPIDR2_EL0
    try     s3_0_c1_c2_4    // SMPRI_EL1
    try     s3_0_c13_c0_5   // ACCDATA_EL1
    try     s3_5_c10_c2_3   // PIR_EL12
    try     s3_5_c10_c2_4   // POR_EL12
    try     s3_0_c10_c2_5   // S2POR_EL1
    try     s3_5_c10_c2_1   // MAIR2_EL12
    try     s3_0_c13_c0_6   // RCWMASK_EL1
    try     s3_5_c2_c5_0    // GCSCR_EL12
    try     s3_5_c6_c0_5    // PFAR_EL12
    try     s3_4_c2_c0_3    // TCR2_EL2
    try     s3_4_c1_c0_3    // SCTLR2_EL2
cairn_tries_end:
cairn_try_failed:
    mov     x0, #0
    ret
    .purgem try
    .global cairn_try
    // X0: the number of the facility. 12 bytes each.
cairn_try:
    adr     x1, cairn_tries
    add     x0, x0, x0, lsl #1
    add     x1, x1, x0, lsl #2
    br      x1
    .if tries != {count}
    .error "a facility without a read"
    .endif
    "#,
    count = const Facility::ALL.len(),
);

unsafe extern "C" {
    /// Reads one register of the facility with this number; 0 if that is UNDEFINED, which it is
    /// where EL3 has closed it.
    ///
    /// # Safety
    ///
    /// `facility` is the number of a [`Facility`]. EL3 makes an access that it traps UNDEFINED at
    /// the level that made it.
    fn cairn_try(facility: u64) -> u64;
}

/// Whether the registers of `facility`, which the CPU has, can be read.
fn can_read(facility: Facility) -> bool {
    // SAFETY: `learn` tries only with an EL3 that makes it UNDEFINED. Reading these registers
    // changes nothing.
    unsafe { cairn_try(facility as u64) != 0 }
}
