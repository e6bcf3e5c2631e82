//! Reads what the CPU says about itself.

use machine::CpuFacts;

use crate::features::has_pmu;
use crate::registers::*;
use crate::vcpu::{gic, simd};

/// Reads the identification registers. Those that the CPU does not have read as zero.
///
/// Source: Arm ARM (DDI0487), "Principles of the ID scheme": op0 3, op1 0, CRn 0, CRm 4 to 7 are
/// never undefined.
pub(crate) fn read() -> CpuFacts {
    let id_aa64pfr0 = ID_AA64PFR0_EL1.get();
    let id_aa64dfr0 = ID_AA64DFR0_EL1.get();
    let has_sve = (id_aa64pfr0 >> 32) & 0xf != 0;
    // With interface 2.0 the register is as EL3 or the Host left it.
    let sre = gic::use_system_registers();
    let (ich_vtr, icc_ctlr) = (ICH_VTR_EL2.get(), ICC_CTLR_EL1.get());
    gic::give_back_system_registers(sre);
    CpuFacts {
        id_aa64pfr0,
        id_aa64pfr1: ID_AA64PFR1_EL1.get(),
        id_aa64pfr2: ID_AA64PFR2_EL1.get(),
        id_aa64zfr0: ID_AA64ZFR0_EL1.get(),
        id_aa64dfr0,
        id_aa64dfr1: ID_AA64DFR1_EL1.get(),
        id_aa64isar0: ID_AA64ISAR0_EL1.get(),
        id_aa64isar1: ID_AA64ISAR1_EL1.get(),
        id_aa64isar2: ID_AA64ISAR2_EL1.get(),
        id_aa64isar3: ID_AA64ISAR3_EL1.get(),
        id_aa64mmfr0: ID_AA64MMFR0_EL1.get(),
        id_aa64mmfr1: ID_AA64MMFR1_EL1.get(),
        id_aa64mmfr2: ID_AA64MMFR2_EL1.get(),
        id_aa64mmfr3: ID_AA64MMFR3_EL1.get(),
        id_aa64mmfr4: ID_AA64MMFR4_EL1.get(),
        ich_vtr,
        icc_ctlr,
        pmcr: if has_pmu(id_aa64dfr0) { PMCR_EL0.get() } else { 0 },
        vector_bytes: if has_sve { simd::longest_vector() } else { 0 },
        ctr: CTR_EL0.get(),
        dczid: DCZID_EL0.get(),
    }
}

/// Reads the identification registers that need no GIC: for the check that there is one.
pub(crate) fn read_without_gic() -> CpuFacts {
    CpuFacts {
        id_aa64pfr0: ID_AA64PFR0_EL1.get(),
        id_aa64isar0: ID_AA64ISAR0_EL1.get(),
        id_aa64isar1: ID_AA64ISAR1_EL1.get(),
        id_aa64mmfr0: ID_AA64MMFR0_EL1.get(),
        id_aa64mmfr1: ID_AA64MMFR1_EL1.get(),
        id_aa64mmfr2: ID_AA64MMFR2_EL1.get(),
        ..CpuFacts::default()
    }
}
