//! Reads what the CPU says about itself.

use machine::CpuFacts;

use crate::features::has_pmu;
use crate::registers::mrs;
use crate::vcpu::{gic, simd};

/// Reads the identification registers. Those that the CPU does not have read as zero.
///
/// Source: Arm ARM (DDI0487), "Principles of the ID scheme": op0 3, op1 0, CRn 0, CRm 4 to 7 are
/// never undefined.
pub(crate) fn read() -> CpuFacts {
    let id_aa64pfr0 = mrs!("id_aa64pfr0_el1");
    let id_aa64dfr0 = mrs!("id_aa64dfr0_el1");
    let has_sve = (id_aa64pfr0 >> 32) & 0xf != 0;
    // With interface 2.0 the register is as EL3 or the Host left it.
    let sre = gic::use_system_registers();
    let (ich_vtr, icc_ctlr) = (mrs!("s3_4_c12_c11_1"), mrs!("s3_0_c12_c12_4"));
    gic::give_back_system_registers(sre);
    CpuFacts {
        id_aa64pfr0,
        id_aa64pfr1: mrs!("id_aa64pfr1_el1"),
        id_aa64pfr2: mrs!("s3_0_c0_c4_2"),
        id_aa64zfr0: mrs!("s3_0_c0_c4_4"),
        id_aa64dfr0,
        id_aa64dfr1: mrs!("id_aa64dfr1_el1"),
        id_aa64isar0: mrs!("id_aa64isar0_el1"),
        id_aa64isar1: mrs!("id_aa64isar1_el1"),
        id_aa64isar2: mrs!("s3_0_c0_c6_2"),
        id_aa64isar3: mrs!("s3_0_c0_c6_3"),
        id_aa64mmfr0: mrs!("id_aa64mmfr0_el1"),
        id_aa64mmfr1: mrs!("id_aa64mmfr1_el1"),
        id_aa64mmfr2: mrs!("s3_0_c0_c7_2"),
        id_aa64mmfr3: mrs!("s3_0_c0_c7_3"),
        id_aa64mmfr4: mrs!("s3_0_c0_c7_4"),
        ich_vtr,
        icc_ctlr,
        pmcr: if has_pmu(id_aa64dfr0) { mrs!("pmcr_el0") } else { 0 },
        vector_bytes: if has_sve { simd::longest_vector() } else { 0 },
        ctr: mrs!("ctr_el0"),
        dczid: mrs!("dczid_el0"),
    }
}

/// Reads the identification registers that need no GIC: for the check that there is one.
pub(crate) fn read_without_gic() -> CpuFacts {
    CpuFacts {
        id_aa64pfr0: mrs!("id_aa64pfr0_el1"),
        id_aa64isar0: mrs!("id_aa64isar0_el1"),
        id_aa64isar1: mrs!("id_aa64isar1_el1"),
        id_aa64mmfr0: mrs!("id_aa64mmfr0_el1"),
        id_aa64mmfr1: mrs!("id_aa64mmfr1_el1"),
        id_aa64mmfr2: mrs!("s3_0_c0_c7_2"),
        ..CpuFacts::default()
    }
}
