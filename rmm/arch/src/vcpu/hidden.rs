//! Registers that are zero while a Realm is loaded, since nothing keeps the Realm from them, or
//! since they act although it cannot reach them.
//!
//! The Realm's own value, if it has made one, is dropped: it is shown none of the features that
//! they belong to. With TF-A there are none of them unless it opens branch records or trace.

use core::arch::asm;

use crate::area::CpuArea;
use crate::registers::{mrs, msr};
use crate::traps::{HIDDEN, Hidden, WIPE_BRANCHES};

/// The table: each register of [`Hidden`] and the name by which EL2 with E2H set reaches it.
///
/// BRBCR_EL2 comes last: the Host's records do not begin again before all else is the Host's.
macro_rules! for_each_register {
    ($apply:ident, $($argument:expr),*) => {
        $apply! {
            ($($argument),*)
            BrbcrEl1: "s2_5_c9_c0_0", // BRBCR_EL12: the name of EL1's is BRBCR_EL2 here
            BrbfcrEl1: "s2_1_c9_c0_1",
            BrbtsEl1: "s2_1_c9_c0_2",
            BrbinfinjEl1: "s2_1_c9_c1_0",
            BrbsrcinjEl1: "s2_1_c9_c1_1",
            BrbtgtinjEl1: "s2_1_c9_c1_2",
            TrfcrEl1: "s3_5_c1_c2_1", // TRFCR_EL12
            Tpidr2El0: "s3_3_c13_c0_5",
            SmpriEl1: "s3_0_c1_c2_4",
            AccdataEl1: "s3_0_c13_c0_5",
            PirEl1: "s3_5_c10_c2_3", // PIR_EL12
            Pire0El1: "s3_5_c10_c2_2", // PIRE0_EL12
            PorEl1: "s3_5_c10_c2_4", // POR_EL12
            PorEl0: "s3_3_c10_c2_4",
            S2porEl1: "s3_0_c10_c2_5",
            Mair2El1: "s3_5_c10_c2_1", // MAIR2_EL12
            Amair2El1: "s3_5_c10_c3_1", // AMAIR2_EL12
            RcwmaskEl1: "s3_0_c13_c0_6",
            RcwsmaskEl1: "s3_0_c13_c0_3",
            GcscrEl1: "s3_5_c2_c5_0", // GCSCR_EL12
            GcsprEl1: "s3_5_c2_c5_1", // GCSPR_EL12
            Gcscre0El1: "s3_0_c2_c5_2",
            GcsprEl0: "s3_3_c2_c5_1",
            PfarEl1: "s3_5_c6_c0_5", // PFAR_EL12
            BrbcrEl2: "s2_4_c9_c0_0",
        }
    };
}

macro_rules! hide_all {
    (($cells:expr, $set:expr) $($register:ident: $name:literal,)*) => {
        const _: () = assert!([$(Hidden::$register),*].len() == HIDDEN);
        let mut cells = $cells.iter();
        $(if let Some(cell) = cells.next() && $set & Hidden::$register.bit() != 0 {
            cell.set(mrs!($name));
            msr!($name, 0);
        })*
    };
}

macro_rules! bring_all_back {
    (($cells:expr, $set:expr) $($register:ident: $name:literal,)*) => {
        let mut cells = $cells.iter();
        $(if let Some(cell) = cells.next() && $set & Hidden::$register.bit() != 0 {
            msr!($name, cell.get());
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
