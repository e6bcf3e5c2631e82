//! The table: every register that Rust code of the monitor reads or writes, except the numbered
//! counters, breakpoints and watchpoints, which are exchanged in one piece of assembly each.
//!
//! | Section | Name and fields from | Writing |
//! | --- | --- | --- |
//! | first | `aarch64-cpu` | safe: EL1's and EL0's, or identification |
//! | `guarded_named` | `aarch64-cpu` | `unsafe`, see [`Guarded`] |
//! | `read_only`, `read_write` | here: `aarch64-cpu` has no name for this target | none, or safe |
//! | `guarded_raw` | the same | `unsafe`, see [`Guarded`] |
//!
//! Names with `_EL12` and `_EL02` are those by which EL2 with `HCR_EL2.E2H` set reaches the
//! registers of EL1 and EL0; `aarch64-cpu` has none of them. `arm-sysregs` has none either, nor
//! those of vector lengths, debug and list registers; and its `unsafe` writes are barriers to the
//! compiler, which the switch of a REC's registers would pay for.
//!
//! Source: Arm ARM (DDI0487), "AArch64 System Register Encoding", for all encodings.
#![expect(
    non_camel_case_types,
    clippy::upper_case_acronyms,
    reason = "types with the architecture's names"
)]

pub(crate) use aarch64_cpu::registers::{
    CNTVOFF_EL2, CSSELR_EL1, ESR_EL2, FAR_EL2, HPFAR_EL2, ICC_CTLR_EL1, ICH_AP0R0_EL2,
    ICH_AP0R1_EL2, ICH_AP0R2_EL2, ICH_AP0R3_EL2, ICH_AP1R0_EL2, ICH_AP1R1_EL2, ICH_AP1R2_EL2,
    ICH_AP1R3_EL2, ICH_LR0_EL2, ICH_LR1_EL2, ICH_LR2_EL2, ICH_LR3_EL2, ICH_LR4_EL2, ICH_LR5_EL2,
    ICH_LR6_EL2, ICH_LR7_EL2, ICH_LR8_EL2, ICH_LR9_EL2, ICH_LR10_EL2, ICH_LR11_EL2, ICH_LR12_EL2,
    ICH_LR13_EL2, ICH_LR14_EL2, ICH_LR15_EL2, ICH_MISR_EL2, ICH_VMCR_EL2, ICH_VTR_EL2,
    ID_AA64DFR0_EL1, ID_AA64DFR1_EL1, ID_AA64ISAR0_EL1, ID_AA64ISAR1_EL1, ID_AA64MMFR0_EL1,
    ID_AA64MMFR1_EL1, ID_AA64MMFR2_EL1, ID_AA64PFR0_EL1, ID_AA64PFR1_EL1, MDSCR_EL1, MIDR_EL1,
    MPIDR_EL1, OSLAR_EL1, PAR_EL1, SP_EL0, SP_EL1, TPIDR_EL0, TPIDR_EL1, TPIDRRO_EL0, VMPIDR_EL2,
};
pub(crate) use aarch64_cpu::registers::{Readable, Writeable};

pub(crate) use super::access::Guarded;
use super::access::{guarded_named, guarded_raw, msr, read_only, read_write};

guarded_named! {
    // Stage 2, and what EL1 and EL0 are.
    HCR_EL2, VTCR_EL2, VTTBR_EL2,
    // Traps.
    CPTR_EL2, MDCR_EL2, CNTHCTL_EL2,
    HFGRTR_EL2, HFGWTR_EL2, HFGITR_EL2, HDFGRTR_EL2, HDFGWTR_EL2, HAFGRTR_EL2,
    // The interrupt interface: whether the monitor reaches it, and whether EL1's signals.
    ICC_SRE_EL2, ICH_HCR_EL2,
}

guarded_raw! {
    // Traps.
    HSTR_EL2 = "hstr_el2",
    HCRX_EL2 = "s3_4_c1_c2_2",
    HFGRTR2_EL2 = "s3_4_c3_c1_2",
    HFGWTR2_EL2 = "s3_4_c3_c1_3",
    HFGITR2_EL2 = "s3_4_c3_c1_7",
    HDFGRTR2_EL2 = "s3_4_c3_c1_0",
    HDFGWTR2_EL2 = "s3_4_c3_c1_1",
    MPAM2_EL2 = "s3_4_c10_c5_0",
    MPAMHCR_EL2 = "s3_4_c10_c4_0",
    // Controls of the monitor's own regime and of its trace.
    SCTLR2_EL2 = "s3_4_c1_c0_3",
    TCR2_EL2 = "s3_4_c2_c0_3",
    GCSCR_EL2 = "s3_4_c2_c5_0",
    TRFCR_EL2 = "s3_4_c1_c2_1",
    // How much of a vector, and with that of memory, an instruction reaches.
    ZCR_EL2 = "s3_4_c1_c2_0",
    SMCR_EL2 = "s3_4_c1_c2_6",
    // What acts in a Realm, or at EL2, although no Realm has it: see `vcpu::hidden`.
    BRBCR_EL2 = "s2_4_c9_c0_0",
    BRBCR_EL12 = "s2_5_c9_c0_0",
    BRBFCR_EL1 = "s2_1_c9_c0_1",
    BRBTS_EL1 = "s2_1_c9_c0_2",
    BRBINFINJ_EL1 = "s2_1_c9_c1_0",
    BRBSRCINJ_EL1 = "s2_1_c9_c1_1",
    BRBTGTINJ_EL1 = "s2_1_c9_c1_2",
    TRFCR_EL12 = "s3_5_c1_c2_1",
    TPIDR2_EL0 = "s3_3_c13_c0_5",
    SMPRI_EL1 = "s3_0_c1_c2_4",
    ACCDATA_EL1 = "s3_0_c13_c0_5",
    PIR_EL12 = "s3_5_c10_c2_3",
    PIRE0_EL12 = "s3_5_c10_c2_2",
    POR_EL12 = "s3_5_c10_c2_4",
    POR_EL0 = "s3_3_c10_c2_4",
    S2POR_EL1 = "s3_0_c10_c2_5",
    MAIR2_EL12 = "s3_5_c10_c2_1",
    AMAIR2_EL12 = "s3_5_c10_c3_1",
    RCWMASK_EL1 = "s3_0_c13_c0_6",
    RCWSMASK_EL1 = "s3_0_c13_c0_3",
    GCSCR_EL12 = "s3_5_c2_c5_0",
    GCSPR_EL12 = "s3_5_c2_c5_1",
    GCSCRE0_EL1 = "s3_0_c2_c5_2",
    GCSPR_EL0 = "s3_3_c2_c5_1",
    PFAR_EL12 = "s3_5_c6_c0_5",
}

read_only! {
    // Identification.
    ID_AA64PFR2_EL1 = "s3_0_c0_c4_2",
    ID_AA64ZFR0_EL1 = "s3_0_c0_c4_4",
    ID_AA64ISAR2_EL1 = "s3_0_c0_c6_2",
    ID_AA64ISAR3_EL1 = "s3_0_c0_c6_3",
    ID_AA64MMFR3_EL1 = "s3_0_c0_c7_3",
    ID_AA64MMFR4_EL1 = "s3_0_c0_c7_4",
    MPAMIDR_EL1 = "s3_0_c10_c4_4",
    CTR_EL0 = "ctr_el0",
    DCZID_EL0 = "dczid_el0",
    // What is pending.
    ISR_EL1 = "isr_el1",
    ICC_HPPIR1_EL1 = "s3_0_c12_c12_2",
    // Whether the OS Lock is set.
    OSLSR_EL1 = "oslsr_el1",
}

read_write! {
    // EL1's and EL0's.
    ELR_EL12 = "s3_5_c4_c0_1",
    SPSR_EL12 = "s3_5_c4_c0_0",
    SCTLR_EL12 = "s3_5_c1_c0_0",
    CPACR_EL12 = "s3_5_c1_c0_2",
    ZCR_EL12 = "s3_5_c1_c2_0",
    TTBR0_EL12 = "s3_5_c2_c0_0",
    TTBR1_EL12 = "s3_5_c2_c0_1",
    TCR_EL12 = "s3_5_c2_c0_2",
    ESR_EL12 = "s3_5_c5_c2_0",
    AFSR0_EL12 = "s3_5_c5_c1_0",
    AFSR1_EL12 = "s3_5_c5_c1_1",
    FAR_EL12 = "s3_5_c6_c0_0",
    MAIR_EL12 = "s3_5_c10_c2_0",
    AMAIR_EL12 = "s3_5_c10_c3_0",
    VBAR_EL12 = "s3_5_c12_c0_0",
    CONTEXTIDR_EL12 = "s3_5_c13_c0_1",
    CNTKCTL_EL12 = "s3_5_c14_c1_0",
    CNTP_CVAL_EL02 = "s3_5_c14_c2_2",
    CNTV_CVAL_EL02 = "s3_5_c14_c3_2",
    CNTP_CTL_EL02 = "s3_5_c14_c2_1",
    CNTV_CTL_EL02 = "s3_5_c14_c3_1",
    // Pointer authentication keys, which the monitor's own code does not use. `aarch64-cpu` names
    // them as the assembler does only for targets that have the feature.
    APIAKEYLO_EL1 = "s3_0_c2_c1_0",
    APIAKEYHI_EL1 = "s3_0_c2_c1_1",
    APIBKEYLO_EL1 = "s3_0_c2_c1_2",
    APIBKEYHI_EL1 = "s3_0_c2_c1_3",
    APDAKEYLO_EL1 = "s3_0_c2_c2_0",
    APDAKEYHI_EL1 = "s3_0_c2_c2_1",
    APDBKEYLO_EL1 = "s3_0_c2_c2_2",
    APDBKEYHI_EL1 = "s3_0_c2_c2_3",
    APGAKEYLO_EL1 = "s3_0_c2_c3_0",
    APGAKEYHI_EL1 = "s3_0_c2_c3_1",
    // What EL1 is told of CPU and SErrors, and the SErrors that an ESB has found here.
    VPIDR_EL2 = "vpidr_el2",
    VDISR_EL2 = "s3_4_c12_c1_1",
    VSESR_EL2 = "s3_4_c5_c2_3",
    DISR_EL1 = "s3_0_c12_c1_1",
    // Performance monitors: `MDCR_EL2.HPMD` and HCCD keep EL2 out.
    PMCR_EL0 = "pmcr_el0",
    PMCCNTR_EL0 = "pmccntr_el0",
    PMCCFILTR_EL0 = "pmccfiltr_el0",
    PMSELR_EL0 = "pmselr_el0",
    PMUSERENR_EL0 = "pmuserenr_el0",
    PMCNTENSET_EL0 = "pmcntenset_el0",
    PMCNTENCLR_EL0 = "pmcntenclr_el0",
    PMINTENSET_EL1 = "pmintenset_el1",
    PMINTENCLR_EL1 = "pmintenclr_el1",
    PMOVSSET_EL0 = "pmovsset_el0",
    PMOVSCLR_EL0 = "pmovsclr_el0",
    // An external debugger's, and claim tags.
    OSECCR_EL1 = "oseccr_el1",
    DBGCLAIMCLR_EL1 = "dbgclaimclr_el1",
    DBGCLAIMSET_EL1 = "dbgclaimset_el1",
    // Floating point, which no compiled code here uses, and the timing of instructions.
    FPCR = "s3_3_c4_c4_0",
    FPSR = "s3_3_c4_c4_1",
    DIT = "s3_3_c4_c2_5",
}
