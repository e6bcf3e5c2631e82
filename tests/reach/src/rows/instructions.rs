//! System instructions: op0 1. `SYS` and `SYSL` have the same encodings.

use super::{harmless, undefined};
use crate::encoding::{block, one, row_of, rows_of};
use crate::{Fate, Row};

const CODE: Fate = harmless("maintenance of instruction caches moves no data");
const DATA: Fate = harmless("maintenance by address acts on what the Realm can reach");
const WAYS: Fate = harmless("by set and way: HCR_EL2.SWIO makes invalidation a clean as well");
const ADDRESS: Fate = harmless("the Realm's own translation, in the Realm's own PAR_EL1");
const PREDICTION: Fate = harmless("forgets predictions of the Realm's own context");
const TLB: Fate = harmless("only entries of the Realm's own VMID");

pub(super) const ROWS: &[Row] = &[
    Row::new("IC IALLUIS", one(1, 0, 7, 1, 0), CODE),
    Row::new("IC IALLU", one(1, 0, 7, 5, 0), CODE),
    Row::new("IC IVAU", one(1, 3, 7, 5, 1), CODE),
    Row::new("DC IVAC", one(1, 0, 7, 6, 1), DATA),
    Row::new("DC ISW", one(1, 0, 7, 6, 2), WAYS),
    Row::new("DC IGVAC, IGSW, IGDVAC, IGDSW", row_of(1, 0, 7, 6, (3, 6)), WAYS),
    Row::new("DC CSW, CGSW, CGDSW", row_of(1, 0, 7, 10, (2, 6)), WAYS),
    Row::new("DC CISW, CIGSW, CIGDSW", row_of(1, 0, 7, 14, (2, 6)), WAYS),
    Row::new("DC CIVAPS, CIGDVAPS", row_of(1, 0, 7, 15, (1, 5)), DATA),
    Row::new("DC ZVA, GVA, GZVA", row_of(1, 3, 7, 4, (1, 4)), DATA),
    Row::new("DC CVAC, CGVAC, CGDVAC", row_of(1, 3, 7, 10, (1, 5)), DATA),
    Row::new("DC CVAOC, CVAU, CGDVAOC", row_of(1, 3, 7, 11, (0, 7)), DATA),
    Row::new("DC CVAP, CGVAP, CGDVAP", row_of(1, 3, 7, 12, (1, 5)), DATA),
    Row::new("DC CVADP, CGVADP, CGDVADP", row_of(1, 3, 7, 13, (1, 5)), DATA),
    Row::new("DC CIVAC, CIGVAC, CIGDVAC", row_of(1, 3, 7, 14, (1, 5)), DATA),
    Row::new("DC CIVAOC, CIGDVAOC", row_of(1, 3, 7, 15, (0, 7)), DATA),
    Row::new("AT S1E1R, S1E1W, S1E0R, S1E0W", row_of(1, 0, 7, 8, (0, 3)), ADDRESS),
    Row::new("AT S1E1RP, S1E1WP, S1E1A", row_of(1, 0, 7, 9, (0, 2)), ADDRESS),
    Row::new("CFP, DVP, COSP, CPP RCTX", row_of(1, 3, 7, 3, (4, 7)), PREDICTION),
    Row::new("TRCIT", one(1, 3, 7, 2, 7), undefined("MDCR_EL2.TTRF")),
    Row::new(
        "BRB IALL, BRB INJ",
        row_of(1, 1, 7, 2, (4, 5)),
        undefined("HFGITR_EL2.nBRBIALL, nBRBINJ"),
    ),
    Row::new(
        "GCSPUSHX, GCSPOPCX, GCSPOPX",
        row_of(1, 0, 7, 7, (0, 7)),
        undefined("HFGITR_EL2.nGCSEPP"),
    ),
    Row::new(
        "GCSPUSHM, GCSPOPM, GCSSS1, GCSSS2",
        row_of(1, 3, 7, 7, (0, 7)),
        undefined("HFGITR_EL2.nGCSPUSHM_EL1, nGCSSTR_EL1"),
    ),
    Row::new("TLBI *E1*, RVA*E1*", rows_of(1, 0, 8, (1, 7), (0, 7)), TLB),
    Row::new("TLBI *NXS", rows_of(1, 0, 9, (1, 7), (0, 7)), TLB),
    Row::new(
        "IMPLEMENTATION DEFINED",
        block(1, (0, 7), (11, 11), (0, 15), (0, 7)),
        undefined("HCR_EL2.TIDCP"),
    ),
    Row::new(
        "IMPLEMENTATION DEFINED",
        block(1, (0, 7), (15, 15), (0, 15), (0, 7)),
        undefined("HCR_EL2.TIDCP"),
    ),
];
