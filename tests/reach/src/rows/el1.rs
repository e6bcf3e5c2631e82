//! Registers of EL1: op0 3, op1 0 to 2.

use super::{constant, fine, undefined, zero};
use crate::encoding::{block, one, row_of, rows_of};
use crate::{Answer, Fate, Feature, Row};

/// What keeps a program that tests from losing itself.
const OWN: &str = "the exceptions by which the test returns set it";
/// What the physical GIC is to the Host.
const GIC: &str = "the Host's own interrupts depend on it; at EL1 of a Realm the name means the virtual interface";

/// The GIC's virtual interface: `ICH_VMCR_EL2` and its active priorities are each REC's.
const VIRTUAL: Fate = Fate::Switched;

pub(super) const ROWS: &[Row] = &[
    // Identification.
    Row::new("MIDR_EL1", one(3, 0, 0, 0, 0), constant("VPIDR_EL2: which CPU this is")),
    Row::new("MPIDR_EL1", one(3, 0, 0, 0, 5), Fate::Switched),
    Row::new("REVIDR_EL1", one(3, 0, 0, 0, 6), constant("which CPU this is")),
    Row::new(
        "ID_*_EL1",
        rows_of(3, 0, 0, (1, 7), (0, 7)),
        Fate::Trapped { by: "HCR_EL2.TID3", answer: Answer::Identification },
    ),
    Row::new("CCSIDR_EL1", one(3, 1, 0, 0, 0), constant("a cache's size; chosen by CSSELR_EL1"))
        .varying(),
    Row::new("CLIDR_EL1", one(3, 1, 0, 0, 1), constant("which caches there are")),
    Row::new("CCSIDR2_EL1", one(3, 1, 0, 0, 2), constant("a cache's size; chosen by CSSELR_EL1"))
        .varying(),
    Row::new("GMID_EL1", one(3, 1, 0, 0, 4), undefined("HCR_EL2.TID5")),
    Row::new("SMIDR_EL1", one(3, 1, 0, 0, 6), constant("which CPU this is")),
    Row::new("AIDR_EL1", one(3, 1, 0, 0, 7), constant("which CPU this is")),
    Row::new("CSSELR_EL1", one(3, 2, 0, 0, 0), Fate::Switched),
    // Control.
    Row::new("SCTLR_EL1", one(3, 0, 1, 0, 0), Fate::Switched)
        .realm_keeps("the test runs with its MMU off"),
    Row::new("ACTLR_EL1", one(3, 0, 1, 0, 1), zero("HCR_EL2.TACR")),
    // FPEN, ZEN and SMEN stay open, TTA stays clear: registers behind them are looked at.
    Row::new("CPACR_EL1", one(3, 0, 1, 0, 2), Fate::Switched).bits(0, 0x0333_0000),
    Row::new("SCTLR2_EL1", one(3, 0, 1, 0, 3), undefined("HCRX_EL2.SCTLR2En")),
    Row::new("RGSR_EL1, GCR_EL1", row_of(3, 0, 1, 0, (5, 6)), undefined("HCR_EL2.ATA")),
    Row::new(
        "CPACRMASK_EL1 to SCTLR2ALIAS_EL1 (FEAT_SRMASK)",
        rows_of(3, 0, 1, (4, 4), (0, 7)),
        undefined(
            "HCRX_EL2.SRMASKEn; HFGRTR2_EL2.nCPACRMASK_EL1, nSCTLRMASK_EL1; \
             HFGWTR2_EL2.nCPACRMASK_EL1, nSCTLRMASK_EL1",
        ),
    ),
    Row::new(
        "ZCR_EL1",
        one(3, 0, 1, 2, 0),
        Fate::Optional { feature: Feature::Sve, by: "CPTR_EL2.ZEN", answer: Answer::Undefined },
    ),
    Row::new("TRFCR_EL1", one(3, 0, 1, 2, 1), undefined("MDCR_EL2.TTRF")),
    Row::new(
        "TRCITECR_EL1",
        one(3, 0, 1, 2, 3),
        undefined("MDCR_EL2.TTRF; HDFGRTR2_EL2.nTRCITECR_EL1"),
    ),
    Row::new("SMPRI_EL1", one(3, 0, 1, 2, 4), undefined(fine!("nSMPRI_EL1"))),
    Row::new("SMCR_EL1", one(3, 0, 1, 2, 6), undefined("CPTR_EL2.SMEN")),
    // Translation. The MMU is off: nothing is reached through these.
    Row::new("TTBR0_EL1, TTBR1_EL1, TCR_EL1", row_of(3, 0, 2, 0, (0, 2)), Fate::Switched),
    Row::new("TCR2_EL1", one(3, 0, 2, 0, 3), undefined("HCRX_EL2.TCR2En")),
    Row::new(
        "APIAKey, APIBKey, APDAKey, APDBKey",
        rows_of(3, 0, 2, (1, 2), (0, 3)),
        Fate::Switched,
    ),
    Row::new("APGAKey", row_of(3, 0, 2, 3, (0, 1)), Fate::Switched),
    Row::new(
        "GCSCR_EL1, GCSPR_EL1, GCSCRE0_EL1",
        row_of(3, 0, 2, 5, (0, 2)),
        undefined(fine!("nGCS_EL1, nGCS_EL0")),
    ),
    Row::new("PAR_EL1", one(3, 0, 7, 4, 0), Fate::Switched),
    Row::new("MAIR_EL1", one(3, 0, 10, 2, 0), Fate::Switched),
    Row::new("MAIR2_EL1", one(3, 0, 10, 2, 1), undefined(fine!("nMAIR2_EL1"))),
    Row::new(
        "PIRE0_EL1, PIR_EL1, POR_EL1, S2POR_EL1",
        row_of(3, 0, 10, 2, (2, 5)),
        undefined(fine!("nPIRE0_EL1, nPIR_EL1, nPOR_EL1, nS2POR_EL1")),
    ),
    Row::new("AMAIR_EL1", one(3, 0, 10, 3, 0), Fate::Switched),
    Row::new("AMAIR2_EL1", one(3, 0, 10, 3, 1), undefined(fine!("nAMAIR2_EL1"))),
    Row::new(
        "LORSA_EL1, LOREA_EL1, LORN_EL1, LORC_EL1",
        row_of(3, 0, 10, 4, (0, 3)),
        zero("HCR_EL2.TLOR"),
    ),
    Row::new(
        "MPAMIDR_EL1",
        one(3, 0, 10, 4, 4),
        undefined("MPAM2_EL2.TIDR; MPAMHCR_EL2.TRAP_MPAMIDR_EL1"),
    ),
    Row::new("MPAMBWIDR_EL1", one(3, 0, 10, 4, 5), zero("MPAMBW3_EL3.nTRAPLOWER")),
    Row::new("LORID_EL1", one(3, 0, 10, 4, 7), zero("HCR_EL2.TLOR")),
    Row::new(
        "MPAM1_EL1, MPAM0_EL1, MPAMSM_EL1",
        row_of(3, 0, 10, 5, (0, 3)),
        undefined("MPAM2_EL2.TRAPMPAM1EL1, TRAPMPAM0EL1, EnMPAMSM"),
    ),
    Row::new(
        "MPAMBW1_EL1, MPAMBW0_EL1, MPAMBWSM_EL1",
        row_of(3, 0, 10, 5, (4, 7)),
        undefined("MPAMBW3_EL3.nTRAPLOWER"),
    ),
    // Exceptions.
    Row::new("SPSR_EL1, ELR_EL1", row_of(3, 0, 4, 0, (0, 1)), Fate::Switched)
        .realm_keeps(OWN)
        .varying(),
    Row::new("SP_EL0", one(3, 0, 4, 1, 0), Fate::Switched),
    Row::new("SPSel, CurrentEL, PAN, UAO", row_of(3, 0, 4, 2, (0, 4)), Fate::Switched)
        .host_keeps("PSTATE of the Host's program"),
    // In PSTATE, as the rows before; of ALLINT, a write traps where the CPU has FEAT_NMI.
    Row::new(
        "ALLINT",
        one(3, 0, 4, 3, 0),
        Fate::Divided { by: "HCRX_EL2.TALLINT", answer: Answer::Undefined },
    )
    .host_keeps("PSTATE of the Host's program"),
    Row::new("PM", one(3, 0, 4, 3, 1), Fate::Switched).host_keeps("PSTATE of the Host's program"),
    Row::new("AFSR0_EL1, AFSR1_EL1", row_of(3, 0, 5, 1, (0, 1)), Fate::Switched),
    Row::new("ESR_EL1", one(3, 0, 5, 2, 0), Fate::Switched).realm_keeps(OWN).varying(),
    Row::new("ERRIDR_EL1, ERRSELR_EL1", row_of(3, 0, 5, 3, (0, 1)), zero("HCR_EL2.TERR")),
    Row::new("ERX*_EL1", rows_of(3, 0, 5, (4, 5), (0, 7)), zero("HCR_EL2.TERR, FIEN")),
    Row::new("TFSR_EL1, TFSRE0_EL1", row_of(3, 0, 5, 6, (0, 1)), undefined("HCR_EL2.ATA")),
    Row::new("FAR_EL1", one(3, 0, 6, 0, 0), Fate::Switched),
    Row::new(
        "PFAR_EL1",
        one(3, 0, 6, 0, 5),
        undefined("HFGRTR2_EL2.nPFAR_EL1; HFGWTR2_EL2.nPFAR_EL1"),
    ),
    Row::new("VBAR_EL1", one(3, 0, 12, 0, 0), Fate::Switched)
        .realm_keeps("the test's vectors are there"),
    Row::new(
        "ISR_EL1",
        one(3, 0, 12, 1, 0),
        constant("which virtual interrupts are pending: the REC's own"),
    )
    .varying(),
    Row::new("DISR_EL1", one(3, 0, 12, 1, 1), Fate::Switched),
    // Profiling and trace buffers.
    Row::new("PMS*_EL1 (SPE)", row_of(3, 0, 9, 9, (0, 7)), undefined("MDCR_EL2.TPMS")),
    Row::new("PMB*_EL1 (SPE)", row_of(3, 0, 9, 10, (0, 7)), undefined("MDCR_EL2.E2PB")),
    Row::new("TRB*_EL1 (TRBE)", row_of(3, 0, 9, 11, (0, 7)), undefined("MDCR_EL2.E2TB")),
    Row::new("PMINTENSET_EL1, PMINTENCLR_EL1", row_of(3, 0, 9, 14, (1, 2)), super::PMU)
        .bits(0x8000_003f, 0),
    Row::new("PMSSCR_EL1", one(3, 0, 9, 13, 3), zero("MDCR_EL2.TPM; HDFGRTR2_EL2.nPMSSCR_EL1")),
    Row::new(
        "PMUACR_EL1, PMECR_EL1",
        row_of(3, 0, 9, 14, (4, 5)),
        zero("MDCR_EL2.TPM; HDFGRTR2_EL2.nPMUACR_EL1, nPMECR_EL1"),
    ),
    Row::new("PMMIR_EL1", one(3, 0, 9, 14, 6), super::PMU),
    Row::new("PMIAR_EL1", one(3, 0, 9, 14, 7), zero("MDCR_EL2.TPM; HDFGRTR2_EL2.nPMIAR_EL1")),
    // The GIC: HCR_EL2.IMO and FMO make these the virtual interface.
    Row::new("ICV_PMR_EL1", one(3, 0, 4, 6, 0), VIRTUAL).host_keeps(GIC),
    Row::new("ICV_IAR0_EL1, ICV_EOIR0_EL1, ICV_HPPIR0_EL1", row_of(3, 0, 12, 8, (0, 2)), VIRTUAL)
        .host_keeps(GIC),
    Row::new("ICV_BPR0_EL1, ICV_AP0R*_EL1", row_of(3, 0, 12, 8, (3, 7)), VIRTUAL).host_keeps(GIC),
    Row::new("ICV_AP1R*_EL1, ICV_NMIAR1_EL1", row_of(3, 0, 12, 9, (0, 5)), VIRTUAL).host_keeps(GIC),
    // ICH_HCR_EL2.TDIR, which a Host may set, makes it trap.
    Row::new(
        "ICV_DIR_EL1",
        one(3, 0, 12, 11, 1),
        Fate::Divided { by: "ICH_HCR_EL2.TDIR", answer: Answer::Host },
    )
    .host_keeps(GIC),
    Row::new("ICV_RPR_EL1", one(3, 0, 12, 11, 3), VIRTUAL).host_keeps(GIC),
    Row::new(
        "ICC_SGI1R_EL1, ICC_ASGI1R_EL1, ICC_SGI0R_EL1",
        row_of(3, 0, 12, 11, (5, 7)),
        Fate::Trapped { by: "HCR_EL2.IMO, FMO", answer: Answer::Host },
    )
    .host_keeps(GIC),
    Row::new("ICV_IAR1_EL1 to ICV_CTLR_EL1", row_of(3, 0, 12, 12, (0, 4)), VIRTUAL).host_keeps(GIC),
    Row::new("ICC_SRE_EL1", one(3, 0, 12, 12, 5), constant("ICC_SRE_EL2: system registers only"))
        .kept(GIC),
    Row::new("ICV_IGRPEN0_EL1, ICV_IGRPEN1_EL1", row_of(3, 0, 12, 12, (6, 7)), VIRTUAL)
        .host_keeps(GIC),
    // Context.
    Row::new("CONTEXTIDR_EL1", one(3, 0, 13, 0, 1), Fate::Switched),
    Row::new(
        "RCWSMASK_EL1",
        one(3, 0, 13, 0, 3),
        undefined("HFGRTR2_EL2.nRCWSMASK_EL1; HFGWTR2_EL2.nRCWSMASK_EL1"),
    ),
    Row::new("TPIDR_EL1", one(3, 0, 13, 0, 4), Fate::Switched),
    Row::new("ACCDATA_EL1", one(3, 0, 13, 0, 5), undefined(fine!("nACCDATA_EL1"))),
    Row::new("RCWMASK_EL1", one(3, 0, 13, 0, 6), undefined(fine!("nRCWMASK_EL1"))),
    Row::new("SCXTNUM_EL1", one(3, 0, 13, 0, 7), zero("HCR_EL2.EnSCXT")),
    Row::new("CNTKCTL_EL1", one(3, 0, 14, 1, 0), Fate::Switched),
    // What a maker adds.
    Row::new(
        "IMPLEMENTATION DEFINED",
        block(3, (0, 7), (11, 11), (0, 15), (0, 7)),
        undefined("HCR_EL2.TIDCP"),
    )
    .host_keeps("nobody knows what it does"),
    Row::new(
        "IMPLEMENTATION DEFINED",
        block(3, (0, 7), (15, 15), (0, 15), (0, 7)),
        undefined("HCR_EL2.TIDCP"),
    )
    .host_keeps("nobody knows what it does"),
];
