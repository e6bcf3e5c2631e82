//! Registers that EL0 may use as well, if EL1 lets it: op0 3, op1 3.

use super::{PMU, constant, fine, harmless, undefined, zero};
use crate::encoding::{one, row_of, rows_of};
use crate::{Fate, Row};

const PSTATE: &str = "PSTATE of the Host's program";
const COUNTS: &str = "it counts, or its interrupt would come";
/// PMCR_EL0.D, X, DP: E would make counters count, P and C act when written.
const PMCR_BITS: u64 = 0b11_1000;
/// All counters that QEMU's CPU has.
const COUNTER_SET: u64 = 0x8000_003f;

pub(super) const ROWS: &[Row] = &[
    Row::new("CTR_EL0", one(3, 3, 0, 0, 1), constant("what the caches are like")),
    Row::new("DCZID_EL0", one(3, 3, 0, 0, 7), constant("the size of DC ZVA")),
    Row::new("RNDR, RNDRRS", row_of(3, 3, 2, 4, (0, 1)), constant("a random number, of nobody's"))
        .varying(),
    Row::new("GCSPR_EL0", one(3, 3, 2, 5, 1), undefined(fine!("nGCS_EL0"))),
    Row::new("NZCV, DAIF", row_of(3, 3, 4, 2, (0, 1)), Fate::Switched).host_keeps(PSTATE),
    Row::new("SVCR", one(3, 3, 4, 2, 2), undefined("CPTR_EL2.SMEN")).host_keeps(PSTATE),
    Row::new("DIT, SSBS, TCO", row_of(3, 3, 4, 2, (5, 7)), Fate::Switched).host_keeps(PSTATE),
    Row::new("FPCR, FPSR", row_of(3, 3, 4, 4, (0, 1)), Fate::Lent { by: "CPTR_EL2.FPEN" }),
    Row::new("FPMR", one(3, 3, 4, 4, 2), undefined("HCRX_EL2.EnFPM")),
    // Performance monitors.
    Row::new("PMCR_EL0", one(3, 3, 9, 12, 0), PMU).bits(PMCR_BITS, 0),
    Row::new("PMCNTENSET_EL0, PMCNTENCLR_EL0, PMOVSCLR_EL0", row_of(3, 3, 9, 12, (1, 3)), PMU)
        .bits(COUNTER_SET, 0),
    Row::new("PMSWINC_EL0", one(3, 3, 9, 12, 4), PMU),
    Row::new("PMSELR_EL0", one(3, 3, 9, 12, 5), PMU).bits(1, 0),
    Row::new("PMCEID0_EL0, PMCEID1_EL0", row_of(3, 3, 9, 12, (6, 7)), PMU),
    Row::new("PMCCNTR_EL0", one(3, 3, 9, 13, 0), PMU),
    Row::new("PMXEVTYPER_EL0, PMXEVCNTR_EL0", row_of(3, 3, 9, 13, (1, 2)), PMU)
        .kept("PMEVTYPER and PMEVCNTR by another name"),
    Row::new("PMZR_EL0", one(3, 3, 9, 13, 4), zero("MDCR_EL2.TPM; HDFGWTR2_EL2.nPMZR_EL0")),
    Row::new("PMUSERENR_EL0", one(3, 3, 9, 14, 0), PMU),
    Row::new("PMOVSSET_EL0", one(3, 3, 9, 14, 3), PMU).bits(COUNTER_SET, 0),
    Row::new("PMICNTR_EL0", one(3, 3, 9, 4, 0), zero("MDCR_EL2.TPM; HDFGRTR2_EL2.nPMICNTR_EL0")),
    Row::new(
        "PMICFILTR_EL0",
        one(3, 3, 9, 6, 0),
        zero("MDCR_EL2.TPM; HDFGRTR2_EL2.nPMICFILTR_EL0"),
    ),
    Row::new("PMEVCNTR<n>_EL0", rows_of(3, 3, 14, (8, 10), (0, 7)), PMU),
    Row::new("PMEVCNTR<n>_EL0", row_of(3, 3, 14, 11, (0, 6)), PMU),
    // An event whose filter excludes nothing would count; no event but one that never happens.
    Row::new("PMEVTYPER<n>_EL0", rows_of(3, 3, 14, (12, 14), (0, 7)), PMU).bits(0xf800_03ff, 0),
    Row::new("PMEVTYPER<n>_EL0", row_of(3, 3, 14, 15, (0, 6)), PMU).bits(0xf800_03ff, 0),
    Row::new("PMCCFILTR_EL0", one(3, 3, 14, 15, 7), PMU).bits(0xf800_0000, 0),
    // Overlays and threads.
    Row::new("POR_EL0", one(3, 3, 10, 2, 4), undefined(fine!("nPOR_EL0"))),
    Row::new("TPIDR_EL0, TPIDRRO_EL0", row_of(3, 3, 13, 0, (2, 3)), Fate::Switched),
    Row::new("TPIDR2_EL0", one(3, 3, 13, 0, 5), undefined(fine!("nTPIDR2_EL0"))),
    Row::new("SCXTNUM_EL0", one(3, 3, 13, 0, 7), zero("HCR_EL2.EnSCXT")),
    // Activity monitors.
    Row::new("AM*_EL0", rows_of(3, 3, 13, (2, 15), (0, 7)), undefined("CPTR_EL2.TAM")),
    // Time.
    Row::new("CNTFRQ_EL0", one(3, 3, 14, 0, 0), constant("ticks in a second")),
    Row::new(
        "CNTPCT_EL0, CNTVCT_EL0",
        row_of(3, 3, 14, 0, (1, 2)),
        harmless("the time; CNTVOFF_EL2 is zero"),
    )
    .varying(),
    Row::new(
        "CNTPCTSS_EL0, CNTVCTSS_EL0",
        row_of(3, 3, 14, 0, (5, 6)),
        harmless("the time; CNTVOFF_EL2 is zero"),
    )
    .varying(),
    Row::new("CNTP_TVAL_EL0", one(3, 3, 14, 2, 0), Fate::Switched).kept(COUNTS).varying(),
    Row::new("CNTP_CTL_EL0", one(3, 3, 14, 2, 1), Fate::Switched).bits(0, 0b10),
    Row::new("CNTP_CVAL_EL0", one(3, 3, 14, 2, 2), Fate::Switched),
    Row::new("CNTV_TVAL_EL0", one(3, 3, 14, 3, 0), Fate::Switched).kept(COUNTS).varying(),
    Row::new("CNTV_CTL_EL0", one(3, 3, 14, 3, 1), Fate::Switched).bits(0, 0b10),
    Row::new("CNTV_CVAL_EL0", one(3, 3, 14, 3, 2), Fate::Switched),
];
