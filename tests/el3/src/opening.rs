//! What EL3 lets the worlds below use: as one version of TF-A or another does, or as badly as it
//! can.
//!
//! Owns: the values of EL3's controls, and of the trap registers with which a world starts. The
//! machine's loader chooses, by a word at [`crate::board::Board::opening`].
//!
//! Source: Arm ARM (DDI0487), SCR_EL3, CPTR_EL3, MDCR_EL3, HFGRTR_EL2, HFGITR_EL2, HDFGRTR_EL2;
//! TF-A 2.12.1 and 2.15, `lib/el3_runtime/aarch64/context_mgmt.c`.

/// One way to open things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Opening {
    /// As TF-A 2.12.1 does: the Normal world has SME, the Realm world does not; trap registers
    /// start as zero.
    #[default]
    Ordinary,
    /// As TF-A from 2.14 does: some traps of both worlds start open, both have TPIDR2_EL0, and
    /// PMCR_EL0 is nobody's business.
    Newer,
    /// Everything that can be opened is, for both worlds, and every trap register starts so that
    /// nothing traps.
    All,
    /// Fine-grained traps and HCRX_EL2 cannot be used, but TPIDR2_EL0 can: both worlds have to do
    /// without.
    Closed,
}

/// A world, as far as its controls differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The monitor and its Realms.
    Realm,
    /// The host.
    Normal,
}

/// SCR_EL3: NS, RES1, HCE, RW, APK, API.
const SCR_BASE: u64 = 1 | 0x30 | 1 << 8 | 1 << 10 | 1 << 16 | 1 << 17;
/// SCR_EL3.NSE: with NS, the Realm world.
const SCR_NSE: u64 = 1 << 62;
const SCR_ENSCXT: u64 = 1 << 25;
const SCR_FGTEN: u64 = 1 << 27;
const SCR_ECVEN: u64 = 1 << 28;
const SCR_HXEN: u64 = 1 << 38;
const SCR_ENTP2: u64 = 1 << 41;
/// Everything that opens something: FIEN, EnSCXT, ATA, FGTEn, ECVEn, AMVOFFEN, EnAS0, ADEn, HXEn,
/// GCSEn, EnTP2, RCWMASKEn, TCR2En, SCTLR2En, PIEn, AIEn, D128En, MECEn, EnFPM, PFAREn, FGTEn2. A
/// CPU ignores those that it has not.
const SCR_ALL: u64 = 1 << 21
    | 1 << 25
    | 1 << 26
    | 1 << 27
    | 1 << 28
    | 1 << 35
    | 1 << 36
    | 1 << 37
    | 1 << 38
    | 1 << 39
    | 1 << 41
    | 1 << 42
    | 1 << 43
    | 1 << 44
    | 1 << 45
    | 1 << 46
    | 1 << 47
    | 1 << 49
    | 1 << 50
    | 1 << 53
    | 1 << 59;

/// CPTR_EL3.EZ: SVE does not trap.
const CPTR_EZ: u64 = 1 << 8;
/// CPTR_EL3.ESM: SME does not trap. TAM, TTA, TCPAC and TFP are 0.
const CPTR_ESM: u64 = 1 << 12;

/// MDCR_EL3: EnPM2, NSPB, NSTB, SBRBE, EnPMSN, EBWE; TPM, TTRF, TDCC, TDA and TDOSA are 0.
const MDCR_ALL: u64 = 1 << 7 | 0b11 << 12 | 0b11 << 24 | 0b11 << 32 | 1 << 36 | 1 << 43;

/// HFGRTR_EL2 and HFGWTR_EL2: nTPIDR2_EL0, nSMPRI_EL1, nACCDATA_EL1.
const HFGXTR_NEWER: u64 = 1 << 55 | 1 << 54 | 1 << 50;
/// All their bits that open something: nAMAIR2_EL1 down to nGCS_EL0, and nACCDATA_EL1.
const HFGXTR_ALL: u64 = 0xfff << 52 | 1 << 50;
/// HFGITR_EL2: nBRBIALL, nBRBINJ.
const HFGITR_NEWER: u64 = 1 << 56 | 1 << 55;
/// The same, and nGCSEPP, nGCSSTR_EL1, nGCSPUSHM_EL1.
const HFGITR_ALL: u64 = 0b1_1111 << 55;
/// HDFGRTR_EL2: nPMSNEVFR_EL1, nBRBDATA, nBRBCTL, nBRBIDR. HDFGWTR_EL2 has no nBRBIDR.
const HDFGRTR_ALL: u64 = 0b1111 << 59;
const HDFGWTR_ALL: u64 = 0b111 << 60;

impl Opening {
    /// The one with this number; the ordinary one if there is none.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        match number {
            1 => Self::Newer,
            2 => Self::All,
            3 => Self::Closed,
            _ => Self::Ordinary,
        }
    }

    /// Its number, for the loader.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Self::Ordinary => 0,
            Self::Newer => 1,
            Self::All => 2,
            Self::Closed => 3,
        }
    }

    /// SCR_EL3 while a world runs.
    #[must_use]
    pub const fn scr(self, side: Side) -> u64 {
        let (world, sme) = match side {
            Side::Realm => (SCR_NSE, 0),
            Side::Normal => (0, SCR_ENTP2),
        };
        let opens = match self {
            Self::Ordinary => SCR_FGTEN | SCR_ECVEN | SCR_HXEN | SCR_ENSCXT | sme,
            Self::Newer => SCR_FGTEN | SCR_ECVEN | SCR_HXEN | SCR_ENSCXT | SCR_ENTP2,
            Self::All => SCR_ALL,
            Self::Closed => SCR_ECVEN | SCR_ENSCXT | SCR_ENTP2,
        };
        SCR_BASE | world | opens
    }

    /// CPTR_EL3 while a world runs.
    #[must_use]
    pub const fn cptr(self, side: Side) -> u64 {
        match (self, side) {
            (Self::All, _) | (_, Side::Normal) => CPTR_EZ | CPTR_ESM,
            (Self::Ordinary | Self::Newer | Self::Closed, Side::Realm) => CPTR_EZ,
        }
    }

    /// MDCR_EL3.
    #[must_use]
    pub const fn mdcr(self) -> u64 {
        match self {
            Self::All => MDCR_ALL,
            Self::Ordinary | Self::Newer | Self::Closed => 0,
        }
    }

    /// Whether each world has a PMCR_EL0 of its own.
    #[must_use]
    pub const fn keeps_pmcr(self) -> bool {
        matches!(self, Self::Ordinary)
    }

    /// Whether worlds may use HFGRTR_EL2 and its like, and HCRX_EL2.
    #[must_use]
    pub const fn has_traps(self) -> bool {
        !matches!(self, Self::Closed)
    }

    /// Whether it says what it has opened: `SMCCC_ARCH_FEATURE_AVAILABILITY`.
    #[must_use]
    pub const fn tells(self) -> bool {
        matches!(self, Self::Newer | Self::All)
    }

    /// The value with which a register of EL2 that traps starts, by its assembler name; none if it
    /// starts as zero.
    #[must_use]
    pub const fn starts_with(self, register: Register) -> u64 {
        match (self, register) {
            (Self::Newer, Register::Hfgxtr) => HFGXTR_NEWER,
            (Self::Newer, Register::Hfgitr) => HFGITR_NEWER,
            (Self::All, Register::Hfgxtr) => HFGXTR_ALL,
            (Self::All, Register::Hfgitr) => HFGITR_ALL,
            (Self::All, Register::Hdfgrtr) => HDFGRTR_ALL,
            (Self::All, Register::Hdfgwtr) => HDFGWTR_ALL,
            (Self::All, Register::Hcrx) => u64::MAX,
            (Self::Ordinary | Self::Closed | Self::Newer, _) => 0,
        }
    }
}

/// A register of EL2 that traps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// HFGRTR_EL2 and HFGWTR_EL2.
    Hfgxtr,
    /// HFGITR_EL2.
    Hfgitr,
    /// HDFGRTR_EL2.
    Hdfgrtr,
    /// HDFGWTR_EL2.
    Hdfgwtr,
    /// HCRX_EL2.
    Hcrx,
}

/// Registers about which a world may ask, as `SMCCC_ARCH_FEATURE_AVAILABILITY` names them: the
/// fields of an `MRS`.
pub mod asked {
    /// SCR_EL3.
    pub const SCR: u64 = 0x1e_1100;
    /// CPTR_EL3.
    pub const CPTR: u64 = 0x1e_1140;
    /// MDCR_EL3.
    pub const MDCR: u64 = 0x1e_1320;
}

/// What a bit of an EL3 control means to a world below: 1 if the feature can be used. Bits that
/// trap are turned over.
///
/// Source: SMC Calling Convention (Arm DEN0028) 1.6, `SMCCC_ARCH_FEATURE_AVAILABILITY`.
#[must_use]
pub const fn available(register: u64, value: u64) -> Option<u64> {
    /// What opens something, APK and TWEDEn; what traps: TERR.
    const SCR: u64 = SCR_ALL | 1 << 16 | 1 << 29;
    const SCR_TERR: u64 = 1 << 15;
    /// TRNDR is told as a feature that can be used.
    const SCR_RNG: u64 = 1 << 40;
    /// TCPAC, TAM, TTA, TFP.
    const CPTR_TRAPS: u64 = 1 << 31 | 1 << 30 | 1 << 20 | 1 << 10;
    /// TPM, TTRF, TDCC.
    const MDCR_TRAPS: u64 = 1 << 6 | 1 << 19 | 1 << 27;
    let (opens, traps, always) = match register {
        asked::SCR => (SCR, SCR_TERR, SCR_RNG),
        asked::CPTR => (CPTR_EZ | CPTR_ESM, CPTR_TRAPS, 0),
        asked::MDCR => (MDCR_ALL, MDCR_TRAPS, 0),
        _ => return None,
    };
    Some(value & opens | !value & traps | always)
}

/// How a level below takes an UNDEFINED exception in place of an access that EL3 has trapped.
///
/// Source: TF-A 2.12.1, `bl31/bl31_traps.c`, `inject_undef64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undefined {
    /// At EL2, else at EL1.
    pub at_el2: bool,
    /// Offset from that level's vectors.
    pub vector: u64,
    /// PSTATE there.
    pub pstate: u64,
}

impl Undefined {
    /// From PSTATE at the access.
    #[must_use]
    pub const fn new(pstate: u64) -> Self {
        const EL2H: u64 = 9;
        const EL1H: u64 = 5;
        const DAIF: u64 = 0x3c0;
        /// NZCV, TCO, DIT, PAN, SSBS.
        const KEPT: u64 = 0xf << 28 | 1 << 25 | 1 << 24 | 1 << 22 | 1 << 12;
        let at_el2 = pstate >> 2 & 3 == 2;
        let vector = match (pstate >> 2 & 3, pstate & 1) {
            (0, _) => 0x400,
            (_, 1) => 0x200,
            _ => 0,
        };
        Self { at_el2, vector, pstate: pstate & KEPT | DAIF | if at_el2 { EL2H } else { EL1H } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENINGS: [Opening; 4] =
        [Opening::Ordinary, Opening::Newer, Opening::All, Opening::Closed];

    #[test]
    fn numbers_are_read_back() {
        for opening in OPENINGS {
            assert_eq!(Opening::from_number(opening.number()), opening);
        }
        assert_eq!(Opening::from_number(u64::MAX), Opening::Ordinary);
    }

    #[test]
    fn what_is_open_is_told_as_available() {
        let scr = |opening: Opening| available(asked::SCR, opening.scr(Side::Realm)).unwrap();
        assert_eq!(scr(Opening::All) & SCR_ALL, SCR_ALL);
        assert_ne!(scr(Opening::Newer) & (SCR_FGTEN | SCR_HXEN), 0);
        assert_eq!(scr(Opening::Closed) & (SCR_FGTEN | SCR_HXEN), 0);
        let cptr = available(asked::CPTR, Opening::Newer.cptr(Side::Realm)).unwrap();
        assert_eq!(cptr & (CPTR_EZ | CPTR_ESM | 1 << 30), CPTR_EZ | 1 << 30);
        assert_eq!(available(0x1e_a500, 0), None);
    }

    #[test]
    fn worlds_differ_in_security_state_and_in_what_only_one_has() {
        for opening in OPENINGS {
            let (realm, normal) = (opening.scr(Side::Realm), opening.scr(Side::Normal));
            assert_eq!((realm >> 62 & 1, normal >> 62 & 1), (1, 0));
            assert_ne!(normal & SCR_ENTP2, 0);
        }
        assert_eq!(Opening::Ordinary.scr(Side::Realm) & SCR_ENTP2, 0);
    }

    #[test]
    fn an_undefined_access_is_taken_where_it_was_made() {
        let monitor = Undefined::new(0x6040_03c9);
        let expected = Undefined { at_el2: true, vector: 0x200, pstate: 0x6040_03c9 };
        assert_eq!(monitor, expected);
        let user = Undefined::new(0);
        assert_eq!(user, Undefined { at_el2: false, vector: 0x400, pstate: 0x3c5 });
        assert_eq!(Undefined::new(4).vector, 0);
        assert_eq!(Undefined::new(0x20_0c05).pstate, 0x3c5, "SS and BTYPE are cleared");
    }
}
