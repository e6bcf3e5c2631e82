//! What EL3 has opened to the Realm world, what traps there, and what is hidden because it cannot
//! trap.
//!
//! * A trap register that EL3 has opened (FGT, FGT2, HCX, MPAM) is written at each boot of a CPU:
//!   no value of EL3's or the Host's stays.
//! * One that EL3 has closed counts as zero if it is HCRX_EL2, and does not exist if it is FGT's:
//!   what EL3 has nevertheless opened of what FGT would trap is [hidden](Hidden).
//! * A control that acts in a Realm although it traps (BRBCR_EL1, TRFCR_EL1, GCSCR_EL1, the RCW
//!   masks) is [hidden](Hidden) if EL3 has opened it.
//!
//! Values only: who writes them is `boot::openings` and `vcpu::hidden`.

mod facility;
mod hidden;

pub use facility::{
    Answers, Control, Facilities, Facility, INTERFACE_WITH_UNDEFINED, Learnt, Openings,
};
pub use hidden::{HIDDEN, Hidden, WIPE_BRANCHES, hidden};

/// Bits of a register, by their numbers.
const fn bits(numbers: &[u32]) -> u64 {
    let mut mask = 0;
    let mut index = 0;
    while index < numbers.len() {
        #[expect(clippy::indexing_slicing, reason = "const evaluation fails the build instead")]
        let number = numbers[index];
        mask |= 1 << number;
        index += 1;
    }
    mask
}

// Source of the values below: Arm ARM (DDI0487), the register of that name. A field whose name
// begins with n traps while it is 0, and all of them are 0: GCS, permission indirection and
// overlays, TPIDR2_EL0, SMPRI_EL1, ACCDATA_EL1, RCW masks, second MAIRs, branch records. A field of
// a feature that the CPU lacks is RES0 and does nothing.

/// `HFGRTR_EL2`: reads of LORegions, SCXTNUM and error records trap; so do those of all n* fields.
///
/// LORC, LOREA, LORID, LORN, LORSA; SCXTNUM_EL1, SCXTNUM_EL0; ERRIDR to ERXADDR.
pub const HFGRTR: u64 = bits(&[19, 20, 21, 22, 23, 30, 31, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49]);

/// `HFGWTR_EL2`: as [`HFGRTR`], without LORID, ERRIDR, ERXFR and ERXPFGF, which are read-only.
pub const HFGWTR: u64 = HFGRTR & !bits(&[21, 40, 42, 46]);

/// `HFGITR_EL2`: no instruction that a Realm has traps; those on branch records and on guarded
/// control stacks do, by their n* fields.
pub const HFGITR: u64 = 0;

/// `HDFGRTR_EL2`: reads of DBGAUTHSTATUS_EL1, OSECCR_EL1, profiling, trace and trace buffer trap;
/// so do those of branch records.
///
/// A Realm that has the debug registers has no use for the first two: OSECCR_EL1 is the external
/// debugger's. PMBIDR_EL1 and TRBIDR_EL1 trap by nothing else.
pub const HDFGRTR: u64 = bits(&[6, 7, 10, 11]) // DBGAUTHSTATUS, DBGPRCR, OSECCR, OSDLR
    | bits(&[23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 63]) // PMB*, PMS*, PMBIDR
    | bits(&[33, 34, 35, 36, 37, 40, 41, 43, 44, 45, 46, 47, 48]) // TRC*
    | bits(&[50, 51, 52, 53, 54, 55, 56]); // TRB*

/// `HDFGWTR_EL2`: as [`HDFGRTR`] for what can be written, and TRCOSLAR and TRFCR_EL1.
pub const HDFGWTR: u64 = HDFGRTR & !bits(&[6, 30, 34, 40, 43, 47, 51, 63]) | bits(&[42, 49]);

/// `HAFGRTR_EL2`: all activity monitors trap (besides `CPTR_EL2.TAM`).
///
/// AMCNTEN0, AMEVCNTR00 to 03, AMCNTEN1, and a counter and a type for each of 16 auxiliary
/// counters.
pub const HAFGRTR: u64 = 0x1f | ((1 << 33) - 1) << 17;

/// `HFGRTR2_EL2`, `HFGWTR2_EL2`, `HFGITR2_EL2`, `HDFGRTR2_EL2`, `HDFGWTR2_EL2`: all n* fields are 0
/// and trap; TSB CSYNC does not.
pub const FGT2: u64 = 0;

/// `HCRX_EL2` without FEAT_NMI: nothing is enabled.
///
/// So at EL1 and EL0 the instructions of FEAT_LS64 and FEAT_MOPS, 128-bit accesses, guarded control
/// stacks, FPMR, TCR2_EL1, SCTLR2_EL1 and the masks of FEAT_SRMASK trap or are UNDEFINED.
const HCRX: u64 = 0;
/// `HCRX_EL2.TALLINT`: writes of PSTATE.ALLINT trap, which is FEAT_NMI's.
const HCRX_TALLINT: u64 = 1 << 6;

/// `HCRX_EL2`.
pub const fn hcrx(id_aa64pfr1: u64) -> u64 {
    let has_nmi = (id_aa64pfr1 >> 36) & 0xf != 0;
    if has_nmi { HCRX | HCRX_TALLINT } else { HCRX }
}

/// `MPAM2_EL2.TRAPMPAM0EL1` and `TRAPMPAM1EL1`; EnMPAMSM is 0 and traps as well. The monitor's own
/// partition is 0.
const MPAM2: u64 = 1 << 49 | 1 << 48;
/// `MPAM2_EL2.TIDR`: MPAMIDR_EL1 traps.
const MPAM2_TIDR: u64 = 1 << 58;
/// `MPAMHCR_EL2.TRAP_MPAMIDR_EL1`: the same, on a CPU without TIDR.
const MPAMHCR_TRAP_MPAMIDR: u64 = 1 << 31;

/// `MPAM2_EL2`, and `MPAMHCR_EL2` if the CPU has it.
///
/// Source: Arm ARM (DDI0487), MPAMIDR_EL1.HAS_HCR and HAS_TIDR. Where both are 0, MPAMIDR_EL1 is a
/// constant of the CPU that a Realm can read.
pub const fn mpam(mpamidr: u64) -> (u64, Option<u64>) {
    let has_tidr = mpamidr & 1 << 58 != 0;
    let has_hcr = mpamidr & 1 << 17 != 0;
    let mpam2 = if has_tidr { MPAM2 | MPAM2_TIDR } else { MPAM2 };
    (mpam2, if has_hcr { Some(MPAMHCR_TRAP_MPAMIDR) } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_realm_is_shown_does_not_trap() {
        // HFGRTR: pointer authentication keys, cache and CPU identification, EL1's own registers,
        // the GIC's group enables.
        let shown = 0x7_ffff | 0x3f << 24 | 0xff << 32;
        assert_eq!((HFGRTR | HFGWTR) & shown, 0);
        // HDFGRTR: breakpoints to DBGCLAIM, OSLAR and OSLSR, all of the performance monitors.
        let shown = 0x3f | 3 << 8 | 0x7f_f000 | 3 << 57;
        assert_eq!((HDFGRTR | HDFGWTR) & shown, 0);
    }

    #[test]
    fn all_that_traps_while_zero_is_zero() {
        assert_eq!((HFGRTR | HFGWTR) >> 50, 0);
        assert_eq!((HFGITR >> 55) & 0x1f, 0);
        assert_eq!(((HDFGRTR | HDFGWTR) >> 59) & 0xf, 0);
        assert_eq!(HFGRTR, 0x0003_ff00_c0f8_0000);
        assert_eq!(HFGWTR, 0x0003_ba00_c0d8_0000);
        assert_eq!(HDFGRTR, 0x81fd_fb3f_ff80_0cc0);
        assert_eq!(HDFGWTR, 0x01f7_763b_bf80_0c80);
        assert_eq!(HAFGRTR, 0x0003_ffff_fffe_001f);
    }

    #[test]
    fn mpam_traps_its_identification_by_what_the_cpu_has() {
        assert_eq!(mpam(0), (3 << 48, None));
        assert_eq!(mpam(1 << 17), (3 << 48, Some(1 << 31)));
        assert_eq!(mpam(1 << 58 | 1 << 17), (3 << 48 | 1 << 58, Some(1 << 31)));
        assert_eq!(hcrx(0), 0);
        assert_eq!(hcrx(1 << 36), 1 << 6);
    }
}
