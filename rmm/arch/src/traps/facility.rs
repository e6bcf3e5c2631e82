//! What EL3 opens or closes to the Realm world, what a CPU has of it, and where EL3's answers say
//! it.

use machine::CpuFacts;

/// What EL3 opens or closes to the Realm world as one: an access to what is closed traps to EL3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Facility {
    /// FEAT_FGT: HFGRTR_EL2, HFGWTR_EL2, HFGITR_EL2, HDFGRTR_EL2, HDFGWTR_EL2, HAFGRTR_EL2.
    Fgt,
    /// FEAT_FGT2: HFGRTR2_EL2, HFGWTR2_EL2, HFGITR2_EL2, HDFGRTR2_EL2, HDFGWTR2_EL2.
    Fgt2,
    /// FEAT_HCX: HCRX_EL2.
    Hcx,
    /// FEAT_MPAM: MPAM*_EL2, MPAM*_EL1.
    Mpam,
    /// FEAT_BRBE: branch records.
    Brbe,
    /// FEAT_TRF: TRFCR_EL2, TRFCR_EL1.
    Trf,
    /// FEAT_SME: TPIDR2_EL0.
    Tpidr2,
    /// FEAT_SME: SMPRI_EL1 among others.
    Sme,
    /// FEAT_LS64_ACCDATA: ACCDATA_EL1.
    AccData,
    /// FEAT_S1PIE: PIR_EL1, PIRE0_EL1.
    S1Pie,
    /// FEAT_S1POE: POR_EL1, POR_EL0.
    S1Poe,
    /// FEAT_S2POE: S2POR_EL1.
    S2Poe,
    /// FEAT_AIE: MAIR2_EL1, AMAIR2_EL1.
    Aie,
    /// FEAT_THE: RCWMASK_EL1, RCWSMASK_EL1.
    The,
    /// FEAT_GCS: GCSCR_EL1, GCSPR_EL1, GCSCRE0_EL1, GCSPR_EL0.
    Gcs,
    /// FEAT_PFAR: PFAR_EL1.
    Pfar,
    /// FEAT_TCR2: TCR2_EL2.
    Tcr2,
    /// FEAT_SCTLR2: SCTLR2_EL2.
    Sctlr2,
}

impl Facility {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 18] = [
        Self::Fgt,
        Self::Fgt2,
        Self::Hcx,
        Self::Mpam,
        Self::Brbe,
        Self::Trf,
        Self::Tpidr2,
        Self::Sme,
        Self::AccData,
        Self::S1Pie,
        Self::S1Poe,
        Self::S2Poe,
        Self::Aie,
        Self::The,
        Self::Gcs,
        Self::Pfar,
        Self::Tcr2,
        Self::Sctlr2,
    ];

    /// The identification register whose field says that a CPU has it, the field's lowest bit, and
    /// its least value.
    ///
    /// Source: Arm ARM (DDI0487), the ID_AA64*_EL1 registers.
    const fn id_field(self, facts: &CpuFacts) -> (u64, u32, u64) {
        match self {
            Self::Fgt => (facts.id_aa64mmfr0, 56, 1),
            Self::Fgt2 => (facts.id_aa64mmfr0, 56, 2),
            Self::Hcx => (facts.id_aa64mmfr1, 40, 1),
            Self::Mpam => (facts.id_aa64pfr0, 40, 1),
            Self::Brbe => (facts.id_aa64dfr0, 52, 1),
            Self::Trf => (facts.id_aa64dfr0, 40, 1),
            Self::Tpidr2 | Self::Sme => (facts.id_aa64pfr1, 24, 1),
            Self::AccData => (facts.id_aa64isar1, 60, 3),
            Self::S1Pie => (facts.id_aa64mmfr3, 8, 1),
            Self::S1Poe => (facts.id_aa64mmfr3, 16, 1),
            Self::S2Poe => (facts.id_aa64mmfr3, 20, 1),
            Self::Aie => (facts.id_aa64mmfr3, 24, 1),
            Self::The => (facts.id_aa64pfr1, 48, 1),
            Self::Gcs => (facts.id_aa64pfr1, 44, 1),
            Self::Pfar => (facts.id_aa64pfr1, 60, 1),
            Self::Tcr2 => (facts.id_aa64mmfr3, 0, 1),
            Self::Sctlr2 => (facts.id_aa64mmfr3, 4, 1),
        }
    }

    /// Which bit of which answer is 1 if EL3 has opened it.
    ///
    /// Source: SMCCC (Arm DEN0028) 1.5, SMCCC_ARCH_FEATURE_AVAILABILITY: the bits are those of the
    /// register, and 1 always means "open", also where the register's bit is a trap; Arm ARM
    /// (DDI0487), SCR_EL3, CPTR_EL3, MDCR_EL3, MPAM3_EL3. Of SBRBE, the lower bit alone: with 0b10
    /// every access traps.
    const fn answer_bit(self) -> (Control, u32) {
        match self {
            Self::Fgt => (Control::Scr, 27),     // FGTEn
            Self::Fgt2 => (Control::Scr, 59),    // FGTEn2
            Self::Hcx => (Control::Scr, 38),     // HXEn
            Self::Mpam => (Control::Mpam3, 62),  // TRAPLOWER
            Self::Brbe => (Control::Mdcr, 32),   // SBRBE
            Self::Trf => (Control::Mdcr, 19),    // TTRF
            Self::Tpidr2 => (Control::Scr, 41),  // EnTP2
            Self::Sme => (Control::Cptr, 12),    // ESM
            Self::AccData => (Control::Scr, 37), // ADEn
            Self::S1Pie | Self::S1Poe | Self::S2Poe => (Control::Scr, 45), // PIEn
            Self::Aie => (Control::Scr, 46),     // AIEn
            Self::The => (Control::Scr, 42),     // RCWMASKEn
            Self::Gcs => (Control::Scr, 39),     // GCSEn
            Self::Pfar => (Control::Scr, 53),    // PFAREn
            Self::Tcr2 => (Control::Scr, 43),    // TCR2En
            Self::Sctlr2 => (Control::Scr, 44),  // SCTLR2En
        }
    }
}

/// A register of EL3 about which EL3 can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// SCR_EL3.
    Scr,
    /// CPTR_EL3.
    Cptr,
    /// MDCR_EL3.
    Mdcr,
    /// MPAM3_EL3.
    Mpam3,
}

impl Control {
    /// All of them, in the order of [`Answers`].
    pub const ALL: [Self; 4] = [Self::Scr, Self::Cptr, Self::Mdcr, Self::Mpam3];

    /// How the call names it: the fields Op0 to Op2 of the instruction that reads it.
    ///
    /// Source: SMCCC (Arm DEN0028) 1.5, SMCCC_ARCH_FEATURE_AVAILABILITY, `bitmask_selector`.
    pub const fn selector(self) -> u64 {
        match self {
            Self::Scr => 0x1e_1100,
            Self::Cptr => 0x1e_1140,
            Self::Mdcr => 0x1e_1320,
            Self::Mpam3 => 0x1e_a500,
        }
    }
}

/// What EL3 has answered for each of [`Control::ALL`]; 0 where it does not know the register.
pub type Answers = [u64; Control::ALL.len()];

/// A set of facilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facilities(u32);

impl Facilities {
    /// Those that a CPU has.
    pub fn of_cpu(facts: &CpuFacts) -> Self {
        Self::default().filled(|facility| {
            let (register, shift, least) = facility.id_field(facts);
            (register >> shift) & 0xf >= least
        })
    }

    /// Those of `self` that are open by EL3's own word.
    pub fn opened_by(self, answers: &Answers) -> Self {
        let [scr, cptr, mdcr, mpam3] = *answers;
        Self::default().filled(|facility| {
            let (control, bit) = facility.answer_bit();
            let answer = match control {
                Control::Scr => scr,
                Control::Cptr => cptr,
                Control::Mdcr => mdcr,
                Control::Mpam3 => mpam3,
            };
            self.has(facility) && answer >> bit & 1 == 1
        })
    }

    /// Those of `self` for which `is_open` is true. The others are not asked for.
    pub fn tried(self, is_open: impl Fn(Facility) -> bool) -> Self {
        Self::default().filled(|facility| self.has(facility) && is_open(facility))
    }

    fn filled(mut self, belongs: impl Fn(Facility) -> bool) -> Self {
        for facility in Facility::ALL {
            if belongs(facility) {
                self.0 |= 1 << facility as u32;
            }
        }
        self
    }

    /// Whether `facility` belongs to it.
    pub const fn has(self, facility: Facility) -> bool {
        self.0 >> facility as u32 & 1 == 1
    }

    /// One bit for each of [`Facility::ALL`], for the log.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

/// How it is known what EL3 has opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learnt {
    /// EL3 has answered SMCCC_ARCH_FEATURE_AVAILABILITY.
    Asked,
    /// Each register was read once, with the exception that means "closed" expected.
    Tried,
    /// Not at all: an EL3 of this age may stop the machine at such a read, so that everything
    /// counts as closed.
    Assumed,
}

/// What EL3 has opened to this world on one CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Openings {
    /// What the CPU has.
    pub present: Facilities,
    /// What of that is open.
    pub open: Facilities,
    /// How it is known.
    pub learnt: Learnt,
}

/// Least minor version of interface 0.x at which a register that EL3 has closed is an UNDEFINED
/// exception here.
///
/// Before that version an EL3 that cannot be asked may stop the machine instead.
///
/// Source: TF-A's change log: since 2.11 a trap of a register that EL3 does not handle is injected
/// as an UNDEFINED exception (`inject_undef64`, bl31/bl31_traps.c); 2.12 is the first version with
/// interface 0.4. Rusted Firmware-A has the interface from 0.5 on, and does the same.
pub const INTERFACE_WITH_UNDEFINED: u64 = 4;

impl Openings {
    /// Nothing known: everything that could be closed counts as closed.
    ///
    /// That is safe with TF-A up to 2.11, whose Realm world starts with all of FGT's registers and
    /// HCRX_EL2 zero (`setup_context_common` clears the context), which is what would be written.
    pub const fn assumed(present: Facilities) -> Self {
        Self { present, open: Facilities(0), learnt: Learnt::Assumed }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A CPU that has everything.
    pub(crate) fn all() -> Facilities {
        let ones = u64::MAX;
        Facilities::of_cpu(&CpuFacts {
            id_aa64pfr0: ones,
            id_aa64pfr1: ones,
            id_aa64dfr0: ones,
            id_aa64isar1: ones,
            id_aa64mmfr0: ones,
            id_aa64mmfr1: ones,
            id_aa64mmfr3: ones,
            ..CpuFacts::default()
        })
    }

    pub(crate) fn only(facilities: &[Facility]) -> Facilities {
        all().tried(|facility| facilities.contains(&facility))
    }

    #[test]
    fn facilities_are_numbered_in_order_and_fit() {
        for (number, facility) in (0..).zip(Facility::ALL) {
            assert_eq!(facility as u32, number, "{facility:?}");
        }
        assert_eq!(all().bits().count_ones() as usize, Facility::ALL.len());
        assert_eq!(Facilities::of_cpu(&CpuFacts::default()), Facilities::default());
    }

    #[test]
    fn each_facility_has_its_field() {
        let fgt = CpuFacts { id_aa64mmfr0: 1 << 56, ..CpuFacts::default() };
        assert_eq!(Facilities::of_cpu(&fgt), only(&[Facility::Fgt]));
        let fgt2 = CpuFacts { id_aa64mmfr0: 2 << 56, ..CpuFacts::default() };
        assert_eq!(Facilities::of_cpu(&fgt2), only(&[Facility::Fgt, Facility::Fgt2]));
        let ls64 = |value: u64| CpuFacts { id_aa64isar1: value << 60, ..CpuFacts::default() };
        assert_eq!(Facilities::of_cpu(&ls64(2)), only(&[]), "LS64_V has no ACCDATA_EL1");
        assert_eq!(Facilities::of_cpu(&ls64(3)), only(&[Facility::AccData]));
    }

    #[test]
    fn the_answer_of_a_real_el3_is_understood() {
        // SCR_EL3 as TF-A of interface 2.0 answers on QEMU.
        let open = all().opened_by(&[0x0340_1a21_8000, 0, 0, 0]);
        assert_eq!(open, only(&[Facility::Fgt, Facility::Hcx, Facility::Tpidr2]));
        let tpidr2 = all().opened_by(&[1 << 41 | 1 << 27, 1 << 12, 1 << 32, 1 << 62]);
        let expected =
            [Facility::Tpidr2, Facility::Fgt, Facility::Sme, Facility::Brbe, Facility::Mpam];
        assert_eq!(tpidr2, only(&expected));
        // Nothing is open that the CPU does not have.
        assert_eq!(only(&[Facility::Fgt]).opened_by(&[u64::MAX; 4]), only(&[Facility::Fgt]));
    }

    #[test]
    fn selectors_are_the_fields_of_mrs() {
        let field = |op1: u64, crn: u64, crm: u64, op2: u64| {
            3 << 19 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5
        };
        assert_eq!(Control::Scr.selector(), field(6, 1, 1, 0));
        assert_eq!(Control::Cptr.selector(), field(6, 1, 1, 2));
        assert_eq!(Control::Mdcr.selector(), field(6, 1, 3, 1));
        assert_eq!(Control::Mpam3.selector(), field(6, 10, 5, 0));
    }
}
