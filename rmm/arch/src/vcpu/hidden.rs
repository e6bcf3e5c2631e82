//! Registers that are zero while a Realm is loaded, since nothing keeps the Realm from them, or
//! since they act although it cannot reach them.
//!
//! The Realm's own value, if it has made one, is dropped: it is shown none of the features that
//! they belong to. With TF-A there are none of them unless it opens branch records or trace.

use core::arch::asm;

use crate::area::CpuArea;
use crate::registers::*;
use crate::traps::{HIDDEN, Hidden, WIPE_BRANCHES};

/// The table: each register of [`Hidden`] and the name by which EL2 with E2H set reaches it.
///
/// BRBCR_EL1 is BRBCR_EL12 there, since its own name means BRBCR_EL2. That comes last: the Host's
/// records do not begin again before all else is the Host's.
macro_rules! for_each_register {
    ($apply:ident, $($argument:expr),*) => {
        $apply! {
            ($($argument),*)
            BrbcrEl1: BRBCR_EL12,
            BrbfcrEl1: BRBFCR_EL1,
            BrbtsEl1: BRBTS_EL1,
            BrbinfinjEl1: BRBINFINJ_EL1,
            BrbsrcinjEl1: BRBSRCINJ_EL1,
            BrbtgtinjEl1: BRBTGTINJ_EL1,
            TrfcrEl1: TRFCR_EL12,
            Tpidr2El0: TPIDR2_EL0,
            SmpriEl1: SMPRI_EL1,
            AccdataEl1: ACCDATA_EL1,
            PirEl1: PIR_EL12,
            Pire0El1: PIRE0_EL12,
            PorEl1: POR_EL12,
            PorEl0: POR_EL0,
            S2porEl1: S2POR_EL1,
            Mair2El1: MAIR2_EL12,
            Amair2El1: AMAIR2_EL12,
            RcwmaskEl1: RCWMASK_EL1,
            RcwsmaskEl1: RCWSMASK_EL1,
            GcscrEl1: GCSCR_EL12,
            GcsprEl1: GCSPR_EL12,
            Gcscre0El1: GCSCRE0_EL1,
            GcsprEl0: GCSPR_EL0,
            PfarEl1: PFAR_EL12,
            BrbcrEl2: BRBCR_EL2,
        }
    };
}

macro_rules! hide_all {
    (($cells:expr, $set:expr) $($hidden:ident: $register:ident,)*) => {
        const _: () = assert!([$(Hidden::$hidden),*].len() == HIDDEN);
        let mut cells = $cells.iter();
        $(if let Some(cell) = cells.next() && $set & Hidden::$hidden.bit() != 0 {
            cell.set($register.get());
            // SAFETY: the register is open by its bit in the set. Zero switches off what it does,
            // and a Realm is what is loaded next.
            unsafe { $register.set(0) };
        })*
    };
}

macro_rules! bring_all_back {
    (($cells:expr, $set:expr) $($hidden:ident: $register:ident,)*) => {
        let mut cells = $cells.iter();
        $(if let Some(cell) = cells.next() && $set & Hidden::$hidden.bit() != 0 {
            // SAFETY: the register is open by its bit in the set. The Host runs next, and the value
            // is its own: `hide` has kept it.
            unsafe { $register.set(cell.get()) };
        })*
    };
}

/// Keeps the Host's registers of `set`, and zeroes them.
#[cold]
#[inline(never)]
pub(super) fn hide(area: &CpuArea, set: u32) {
    for_each_register!(hide_all, area.host_hidden, set);
    if set & WIPE_BRANCHES != 0 {
        wipe_branches();
    }
}

/// Brings the Host's registers of `set` back.
#[cold]
#[inline(never)]
pub(super) fn bring_back(area: &CpuArea, set: u32) {
    if set & WIPE_BRANCHES != 0 {
        wipe_branches();
    }
    for_each_register!(bring_all_back, area.host_hidden, set);
}

/// BRB IALL: forgets all branch records.
fn wipe_branches() {
    // SAFETY: the set says that the CPU has branch records and that EL3 has opened them; no memory
    // is touched.
    unsafe { asm!("sys #1, c7, c2, #4", options(nostack)) };
}
