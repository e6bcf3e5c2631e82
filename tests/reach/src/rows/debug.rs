//! Debug and trace: op0 2.

use super::{undefined, zero};
use crate::encoding::{block, one, rows_of};
use crate::{Answer, Fate, Row};

/// Breakpoints, watchpoints and what belongs to them trap until the Realm uses the first.
const LENT: Fate = Fate::Lent { by: "MDCR_EL2.TDA" };
/// The channel to an external debugger.
const CHANNEL: Fate = zero("MDCR_EL2.TDCC, TDA");
const DEBUGGER: &str = "an external debugger's";

const TIDCP: Fate = undefined("HCR_EL2.TIDCP");

pub(super) const ROWS: &[Row] = &[
    Row::new("OSDTRRX_EL1", one(2, 0, 0, 0, 2), CHANNEL).host_keeps(DEBUGGER),
    Row::new("MDCCINT_EL1", one(2, 0, 0, 2, 0), CHANNEL).host_keeps(DEBUGGER),
    // KDE and TDCC: with MDE or SS, debug exceptions would happen.
    Row::new("MDSCR_EL1", one(2, 0, 0, 2, 2), LENT).bits(1 << 13 | 1 << 12, 0),
    Row::new("OSDTRTX_EL1", one(2, 0, 0, 3, 2), CHANNEL).host_keeps(DEBUGGER),
    Row::new("MDSELR_EL1", one(2, 0, 0, 4, 2), zero("MDCR_EL2.EBWE; HDFGRTR2_EL2.nMDSELR_EL1")),
    Row::new("MDSTEPOP_EL1", one(2, 0, 0, 5, 2), zero("MDCR_EL2.EnSTEPOP")),
    // While these do not trap they belong to the REC: OSECCR_EL1 is exchanged, the other a
    // constant.
    Row::new(
        "OSECCR_EL1",
        one(2, 0, 0, 6, 2),
        Fate::Divided { by: "MDCR_EL2.TDA; HDFGRTR_EL2.OSECCR_EL1", answer: Answer::Zero },
    )
    .host_keeps(DEBUGGER),
    Row::new("DBGBVR<n>_EL1", rows_of(2, 0, 0, (0, 15), (4, 4)), LENT).bits(0xffff_ffff_fffc, 0),
    Row::new("DBGBCR<n>_EL1", rows_of(2, 0, 0, (0, 15), (5, 5)), LENT).bits(0x00ff_c1e6, 0),
    Row::new("DBGWVR<n>_EL1", rows_of(2, 0, 0, (0, 15), (6, 6)), LENT).bits(0xffff_ffff_fff8, 0),
    Row::new("DBGWCR<n>_EL1", rows_of(2, 0, 0, (0, 15), (7, 7)), LENT).bits(0x1f1f_fffe, 0),
    Row::new("MDRAR_EL1", one(2, 0, 1, 0, 0), zero("MDCR_EL2.TDRA")),
    Row::new(
        "OSLAR_EL1",
        one(2, 0, 1, 0, 4),
        Fate::Trapped { by: "MDCR_EL2.TDOSA", answer: Answer::Emulated },
    )
    .bits(0, 0),
    Row::new(
        "OSLSR_EL1",
        one(2, 0, 1, 1, 4),
        Fate::Trapped { by: "MDCR_EL2.TDOSA", answer: Answer::Emulated },
    ),
    Row::new("OSDLR_EL1", one(2, 0, 1, 3, 4), zero("MDCR_EL2.TDOSA")).host_keeps(DEBUGGER),
    Row::new("DBGPRCR_EL1", one(2, 0, 1, 4, 4), zero("MDCR_EL2.TDOSA")).host_keeps(DEBUGGER),
    Row::new("DBGCLAIMSET_EL1, DBGCLAIMCLR_EL1", rows_of(2, 0, 7, (8, 9), (6, 6)), LENT)
        .bits(0xff, 0),
    Row::new(
        "DBGAUTHSTATUS_EL1",
        one(2, 0, 7, 14, 6),
        Fate::Divided { by: "MDCR_EL2.TDA; HDFGRTR_EL2.DBGAUTHSTATUS_EL1", answer: Answer::Zero },
    ),
    Row::new("MDCCSR_EL0", one(2, 3, 0, 1, 0), CHANNEL),
    Row::new("DBGDTR_EL0", one(2, 3, 0, 4, 0), CHANNEL).host_keeps(DEBUGGER),
    Row::new("DBGDTRRX_EL0, DBGDTRTX_EL0", one(2, 3, 0, 5, 0), CHANNEL).host_keeps(DEBUGGER),
    // System performance monitors.
    Row::new("SPM*_EL1", block(2, (0, 0), (9, 9), (0, 15), (0, 7)), zero("MDCR_EL2.EnSPM")),
    Row::new("SPM*_EL0", block(2, (3, 3), (9, 9), (0, 15), (0, 7)), zero("MDCR_EL2.EnSPM")),
    Row::new("SPMEV*_EL0", block(2, (3, 3), (14, 14), (0, 15), (0, 7)), zero("MDCR_EL2.EnSPM")),
    // Trace, and branch records.
    Row::new("TRC*", block(2, (1, 1), (0, 7), (0, 15), (0, 7)), zero("CPTR_EL2.TTA")),
    Row::new(
        "BRBINF, BRBSRC, BRBTGT, BRBCR_EL1, BRBFCR_EL1",
        block(2, (1, 1), (8, 9), (0, 15), (0, 7)),
        undefined("HDFGRTR_EL2.nBRBDATA, nBRBCTL, nBRBIDR; HDFGWTR_EL2.nBRBDATA, nBRBCTL"),
    ),
    // HCR_EL2.TIDCP names op0 3 alone, but QEMU looks at CRn only; elsewhere these are UNDEFINED.
    Row::new("unallocated", block(2, (0, 7), (11, 11), (0, 15), (0, 7)), TIDCP)
        .host_keeps("nobody knows what it does"),
    Row::new("unallocated", block(2, (0, 7), (15, 15), (0, 15), (0, 7)), TIDCP)
        .host_keeps("nobody knows what it does"),
];
