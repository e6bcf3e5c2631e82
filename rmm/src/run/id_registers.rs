//! What a Realm sees of the CPU: only features whose state is switched and whose controls are on.
//!
//! Each register is an allow-list of fields. A field that we do not know is masked, so a newer CPU
//! shows a Realm nothing that the monitor does not handle; the registers of hidden features trap.

use machine::CpuFacts;
use machine::extensions::Extensions;

/// Mask of four-bit fields, given by their lowest bit.
const fn fields(shifts: &[u32]) -> u64 {
    let mut mask = 0;
    let mut index = 0;
    while index < shifts.len() {
        #[expect(clippy::indexing_slicing, reason = "const evaluation fails the build instead")]
        let shift = shifts[index];
        mask |= 0xf << shift;
        index += 1;
    }
    mask
}

// Source of all masks: Arm ARM (DDI0487), the register of that name. Hidden on purpose: AMU, MPAM,
// SME, MTE, GCS, NMI, THE, TRBE, SPE, BRBE, trace, LS64, MOPS; they are not switched, or off at EL2
// or EL3.

// RAS stays hidden too: error records trap, and EL3 may not give the feature to this world.

/// FP, AdvSIMD, GIC, DIT, CSV2, CSV3.
const PFR0: u64 = fields(&[16, 20, 24, 48, 56, 60]);
/// SVE, of a Realm that has it.
const PFR0_SVE: u64 = fields(&[32]);
/// EL0 and EL1 are AArch64 only, as the AArch32 identification registers read zero.
const PFR0_AARCH64_ONLY: u64 = 0x11;
/// BT, SSBS, CSV2_frac.
const PFR1: u64 = fields(&[0, 4, 32]);
/// SVEver, AES, BitPerm, BF16, B16B16, SHA3, SM4, I8MM, F32MM, F64MM: instructions without
/// registers of their own.
const ZFR0: u64 = fields(&[0, 4, 16, 20, 24, 32, 40, 44, 52, 56]);
/// DebugVer: FEAT_Debugv8p8 is the last version whose registers are switched.
const DEBUGVER_MAX: u64 = 0xa;
/// DoubleLock: 15 is "not implemented", as OSDLR_EL1 does nothing.
const DFR0_NO_DOUBLE_LOCK: u64 = fields(&[36]);
/// HPMN0, of a Realm with performance monitors.
const DFR0_HPMN0: u64 = fields(&[60]);
/// PMUVer: FEAT_PMUv3p8 is the last version whose registers are switched.
const PMUVER_MAX: u64 = 8;
const DFR0_PMUVER_SHIFT: u32 = 8;
/// AES to Atomic, RDM to RNDR; not TME.
const ISAR0: u64 = fields(&[4, 8, 12, 16, 20, 28, 32, 36, 40, 44, 48, 52, 56, 60]);
/// DPB to XS; not LS64, which needs HCRX_EL2.
const ISAR1: u64 = fields(&[0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56]);
/// RPRES, GPA3, APA3, BC, PAC_frac, CLRBHB, CSSC; not MOPS, which needs HCRX_EL2.
///
/// Nor WFxT, although it works: Linux delays by WFIT, with interrupts masked or no timer set as
/// well. A Host that traps WFI may not see the time limit (KVM looks for it where a REC exit shows
/// zeros), and would let the CPU sleep until an interrupt.
const ISAR2: u64 = fields(&[4, 8, 12, 20, 24, 28, 52]);
/// PARange, ASIDBits, BigEnd, BigEndEL0, TGran16, TGran64, TGran4, ExS, ECV.
const MMFR0: u64 = fields(&[0, 4, 8, 16, 20, 24, 28, 44, 60]);
/// HPDS, PAN, XNX, ETS, AFP, nTLBPA.
const MMFR1: u64 = fields(&[12, 20, 28, 36, 44, 48]);
/// HAFDBS, in the lowest field: dirty state is the last that works without TCR2_EL1 (FEAT_HAFT) and
/// EL2 (FEAT_HDBSS).
const HAFDBS_MAX: u64 = 2;
/// CnP, UAO, LSM, VARange, CCIDX, ST, AT, IDS, TTL, BBM, E0PD.
const MMFR2: u64 = fields(&[0, 4, 8, 16, 20, 28, 32, 36, 48, 52, 60]);

/// CTX_CMPs reads 0 as well, which means that the last breakpoint is context-aware. That is true
/// only of the last that the CPU has; there is no way to say "none".
const DFR0_BRPS_SHIFT: u32 = 12;
const DFR0_WRPS_SHIFT: u32 = 20;

/// The value of an identification register, (op0, op1, CRn, CRm, op2); what is not listed reads as
/// zero.
///
/// Source: RMM specification (Arm DEN0137) 1.0, A2.1.2.3, A3.1.
pub fn read(facts: &CpuFacts, extensions: &Extensions, register: (u8, u8, u8, u8, u8)) -> u64 {
    let (_, _, _, crm, op2) = register;
    let sve = extensions.sve_vl().is_some();
    match (crm, op2) {
        (4, 0) => {
            let sve = if sve { facts.id_aa64pfr0 & PFR0_SVE } else { 0 };
            facts.id_aa64pfr0 & PFR0 | sve | PFR0_AARCH64_ONLY
        }
        (4, 1) => facts.id_aa64pfr1 & PFR1,
        (4, 4) if sve => facts.id_aa64zfr0 & ZFR0,
        (5, 0) => {
            (facts.id_aa64dfr0 & 0xf).min(DEBUGVER_MAX)
                | DFR0_NO_DOUBLE_LOCK
                | pmu(facts, extensions)
                | u64::from(extensions.breakpoints_minus_one) << DFR0_BRPS_SHIFT
                | u64::from(extensions.watchpoints_minus_one) << DFR0_WRPS_SHIFT
        }
        (6, 0) => facts.id_aa64isar0 & ISAR0,
        (6, 1) => facts.id_aa64isar1 & ISAR1,
        (6, 2) => facts.id_aa64isar2 & ISAR2,
        (7, 0) => facts.id_aa64mmfr0 & MMFR0,
        (7, 1) => facts.id_aa64mmfr1 & MMFR1 | (facts.id_aa64mmfr1 & 0xf).min(HAFDBS_MAX),
        (7, 2) => facts.id_aa64mmfr2 & MMFR2,
        _ => 0,
    }
}

/// What ID_AA64DFR0_EL1 says of the performance monitors.
fn pmu(facts: &CpuFacts, extensions: &Extensions) -> u64 {
    if extensions.counters().is_none() {
        return 0;
    }
    let version = ((facts.id_aa64dfr0 >> DFR0_PMUVER_SHIFT) & 0xf).min(PMUVER_MAX);
    facts.id_aa64dfr0 & DFR0_HPMN0 | version << DFR0_PMUVER_SHIFT
}

#[cfg(test)]
mod tests {
    use super::*;

    const PFR0_REGISTER: (u8, u8, u8, u8, u8) = (3, 0, 0, 4, 0);

    #[test]
    fn what_is_not_switched_is_hidden() {
        let facts = CpuFacts {
            id_aa64pfr0: u64::MAX,
            id_aa64pfr1: u64::MAX,
            id_aa64isar1: u64::MAX,
            ..CpuFacts::default()
        };
        let none = Extensions::new(1, 1);
        let pfr0 = read(&facts, &none, PFR0_REGISTER);
        for hidden in [28, 32, 36, 40, 44, 52] {
            assert_eq!((pfr0 >> hidden) & 0xf, 0, "bit {hidden}");
        }
        assert_eq!(pfr0 & 0xff, 0x11);
        assert_eq!(read(&facts, &none, (3, 0, 0, 4, 1)), 0xf_0000_00ff);
        assert_eq!(read(&facts, &none, (3, 0, 0, 6, 1)) >> 60, 0);
        assert_eq!(read(&facts, &none, (3, 0, 0, 1, 0)), 0);
        assert_eq!(read(&facts, &none, (3, 0, 0, 4, 5)), 0);
    }

    #[test]
    fn dirty_state_is_the_last_of_hardware_updates_that_is_shown() {
        const MMFR1_REGISTER: (u8, u8, u8, u8, u8) = (3, 0, 0, 7, 1);
        let none = Extensions::new(1, 1);
        for (has, shown) in [(0, 0), (1, 1), (2, 2), (3, 2), (4, 2)] {
            let facts = CpuFacts { id_aa64mmfr1: 0x1000 | has, ..CpuFacts::default() };
            assert_eq!(read(&facts, &none, MMFR1_REGISTER), 0x1000 | shown);
        }
    }

    #[test]
    fn a_realm_sees_what_it_was_given() {
        let facts = CpuFacts {
            id_aa64pfr0: u64::MAX,
            id_aa64zfr0: u64::MAX,
            id_aa64dfr0: u64::MAX,
            ..CpuFacts::default()
        };
        const DFR0_REGISTER: (u8, u8, u8, u8, u8) = (3, 0, 0, 5, 0);
        const ZFR0_REGISTER: (u8, u8, u8, u8, u8) = (3, 0, 0, 4, 4);
        let none = Extensions::new(2, 3);
        assert_eq!(read(&facts, &none, DFR0_REGISTER), 0xf0_0030_200a);
        assert_eq!(read(&facts, &none, ZFR0_REGISTER), 0);
        let all = none.with_sve(3).with_pmu(4);
        assert_eq!(read(&facts, &all, DFR0_REGISTER), 0xf000_00f0_0030_280a);
        assert_eq!(read(&facts, &all, PFR0_REGISTER) >> 32 & 0xf, 0xf);
        assert_eq!(read(&facts, &all, ZFR0_REGISTER), ZFR0);
    }
}
