//! What the CPUs can give a Realm.

use machine::CpuFacts;
use machine::extensions::Extensions;

use crate::rtt::Level;

/// Smallest IPA width of a Realm, in bits. The lower bound is the monitor's choice.
pub const IPA_WIDTH_MIN: u8 = 32;

/// Largest number of RECs of a Realm is `2^MAX_RECS_ORDER - 1`; bounded by the RD's reference
/// count.
pub const MAX_RECS_ORDER: u8 = 10;

/// The same of a Realm whose RECs are numbered freely; bounded by the places in its RD.
pub const MAX_FREE_RECS_ORDER: u8 = 8;

/// Limits of a Realm's shape on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// Largest IPA width in bits.
    pub ipa_width_max: u8,
    /// Stage 2 tables with 52-bit addresses (FEAT_LPA2).
    pub lpa2: bool,
    /// VMIDs of 16 bits (FEAT_VMID16).
    pub vmid16: bool,
    /// Stage 2 tables may start at level 3 (FEAT_TTST).
    pub small_tables: bool,
    /// ID_AA64MMFR0_EL1.PARange, at most 6 (52 bits): the field that VTCR_EL2.PS takes.
    pub pa_range: u8,
    /// Hardware breakpoints, minus one.
    pub breakpoints_minus_one: u8,
    /// Hardware watchpoints, minus one.
    pub watchpoints_minus_one: u8,
    /// GICv3 list registers, minus one.
    pub list_registers_minus_one: u8,
    /// Implemented bits of a virtual interrupt's priority.
    pub priority_bits: u8,
    /// Bits of a virtual interrupt's number, 16 or 24.
    pub intid_bits: u8,
    /// Extended SPI and PPI ranges (ICC_CTLR_EL1.ExtRange).
    pub extended_intids: bool,
    /// With SVE, the longest vector as `ZCR_EL2.LEN` has it: in units of 128 bits, minus one.
    pub sve_vl: Option<u8>,
    /// With performance monitors, the number of event counters.
    pub counters: Option<u8>,
    /// EL1 may be left without event counters (FEAT_HPMN0).
    pub no_counters: bool,
}

/// What a Host wants of a Realm's CPUs: the fields of its parameters.
#[derive(Clone, Copy, Debug)]
pub struct ExtensionsWish {
    /// With SVE, `sve_vl`.
    pub sve_vl: Option<u8>,
    /// With performance monitors, `pmu_num_ctrs`.
    pub counters: Option<u8>,
    /// `num_bps`.
    pub breakpoints_minus_one: u8,
    /// `num_wps`.
    pub watchpoints_minus_one: u8,
}

/// Widths of physical addresses by ID_AA64MMFR0_EL1.PARange.
const PA_BITS: [u8; 7] = [32, 36, 40, 42, 44, 48, 52];

/// A four-bit field of an ID register.
fn field(register: u64, shift: u32) -> u8 {
    u8::try_from((register >> shift) & 0xf).unwrap_or(0)
}

impl Features {
    /// Judges the CPUs' identification registers.
    ///
    /// Source: Arm ARM (DDI0487), ID_AA64MMFR0_EL1, ID_AA64MMFR1_EL1, ID_AA64MMFR2_EL1,
    /// ID_AA64DFR0_EL1, ICH_VTR_EL2.
    pub fn new(facts: &CpuFacts) -> Self {
        let tgran4 = field(facts.id_aa64mmfr0, 28);
        let tgran4_stage2 = field(facts.id_aa64mmfr0, 40);
        // TGran4_2: 0 means "as stage 1", 3 means 52 bits.
        let lpa2 = tgran4_stage2 == 3 || (tgran4_stage2 == 0 && tgran4 == 1);
        let pa_range = field(facts.id_aa64mmfr0, 0).min(6);
        let pa_bits = PA_BITS.get(usize::from(pa_range)).copied().unwrap_or(48);
        let small = |value: u64| u8::try_from(value).unwrap_or(u8::MAX);
        // VL in units of 128 bits; the field of the Host's feature register ends at 2048 bits, as
        // does the architecture.
        let sve_vl = small(facts.vector_bytes / 16).min(16).checked_sub(1);
        let has_pmu = !matches!(field(facts.id_aa64dfr0, 8), 0 | 15);
        Self {
            ipa_width_max: if lpa2 { pa_bits } else { pa_bits.min(48) },
            lpa2: lpa2 && pa_bits == 52,
            vmid16: field(facts.id_aa64mmfr1, 4) == 2,
            small_tables: field(facts.id_aa64mmfr2, 28) == 1,
            pa_range,
            // More than 16 of a kind take banks (FEAT_Debugv8p9), which are not switched.
            breakpoints_minus_one: field(facts.id_aa64dfr0, 12),
            watchpoints_minus_one: field(facts.id_aa64dfr0, 20),
            list_registers_minus_one: field(facts.ich_vtr, 0),
            priority_bits: u8::try_from((facts.ich_vtr >> 29) & 7).unwrap_or(0) + 1,
            intid_bits: if (facts.ich_vtr >> 23) & 7 == 0 { 16 } else { 24 },
            extended_intids: (facts.icc_ctlr >> 19) & 1 == 1,
            sve_vl,
            counters: has_pmu.then_some(small((facts.pmcr >> 11) & 0x1f)),
            no_counters: field(facts.id_aa64dfr0, 60) == 1,
        }
    }

    /// Whether these CPUs walk stage 2 tables that start at `level`. Levels that formats or widths
    /// rule out are not looked at.
    ///
    /// Source: Arm ARM (DDI0487), `AArch64.S2InvalidSL`: level 0 takes 44 bits of physical address,
    /// level 3 FEAT_TTST.
    pub fn walks_from(&self, level: Level) -> bool {
        const PA_44_BITS: u8 = 4;
        match level.as_i64() {
            0 => self.pa_range >= PA_44_BITS,
            3 => self.small_tables,
            _ => true,
        }
    }

    /// Width of physical addresses in bits.
    pub fn pa_bits(&self) -> u8 {
        PA_BITS.get(usize::from(self.pa_range)).copied().unwrap_or(48)
    }

    /// Number of list registers.
    pub fn list_registers(&self) -> usize {
        usize::from(self.list_registers_minus_one) + 1
    }

    /// What CPUs a Realm gets for the parameters of its Host; `None` if these CPUs do not have it.
    ///
    /// Fields of what is not asked for are not looked at.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, `RealmParamsSupported`, A3.1.3 to A3.1.5.
    pub fn extensions(&self, wish: &ExtensionsWish) -> Option<Extensions> {
        // The counts are "minus one", and 0 is reserved.
        if !(1..=self.breakpoints_minus_one).contains(&wish.breakpoints_minus_one)
            || !(1..=self.watchpoints_minus_one).contains(&wish.watchpoints_minus_one)
        {
            return None;
        }
        let mut extensions =
            Extensions::new(wish.breakpoints_minus_one, wish.watchpoints_minus_one);
        if let Some(vl) = wish.sve_vl {
            if vl > self.sve_vl? {
                return None;
            }
            extensions = extensions.with_sve(vl);
        }
        if let Some(counters) = wish.counters {
            let most = self.counters?;
            // Without FEAT_HPMN0, MDCR_EL2.HPMN is 0 only where there is no event counter at all.
            if counters > most || (counters == 0 && most != 0 && !self.no_counters) {
                return None;
            }
            extensions = extensions.with_pmu(counters);
        }
        Some(extensions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// QEMU 10.0.2, `-cpu max`.
    fn qemu() -> CpuFacts {
        CpuFacts {
            id_aa64mmfr0: 0x2100_0323_1020_1126,
            id_aa64mmfr1: 0x0110_1120_1031_2122,
            id_aa64mmfr2: 0x1221_0111_1201_1011,
            id_aa64dfr0: 0x1000_0000_1030_560a,
            ich_vtr: 0x90b8_0003,
            pmcr: 0x4101_3000,
            vector_bytes: 256,
            ..CpuFacts::default()
        }
    }

    const PLAIN: ExtensionsWish = ExtensionsWish {
        sve_vl: None,
        counters: None,
        breakpoints_minus_one: 1,
        watchpoints_minus_one: 1,
    };

    #[test]
    fn the_features_of_qemu() {
        let features = Features::new(&qemu());
        assert!(features.lpa2 && features.vmid16);
        assert_eq!(features.ipa_width_max, 52);
        assert_eq!((features.priority_bits, features.intid_bits), (5, 24));
    }

    #[test]
    fn a_realm_gets_at_most_what_the_cpu_has() {
        let features = Features::new(&qemu());
        for (wish, granted) in [
            (PLAIN, true),
            (ExtensionsWish { sve_vl: Some(15), ..PLAIN }, true),
            (ExtensionsWish { sve_vl: Some(16), ..PLAIN }, false),
            (ExtensionsWish { counters: Some(6), ..PLAIN }, true),
            (ExtensionsWish { counters: Some(7), ..PLAIN }, false),
            (ExtensionsWish { counters: Some(0), ..PLAIN }, true),
            (ExtensionsWish { breakpoints_minus_one: 5, watchpoints_minus_one: 3, ..PLAIN }, true),
            (ExtensionsWish { breakpoints_minus_one: 6, ..PLAIN }, false),
            (ExtensionsWish { watchpoints_minus_one: 0, ..PLAIN }, false),
        ] {
            assert_eq!(features.extensions(&wish).is_some(), granted, "{wish:?}");
        }
        let plain = Features::new(&CpuFacts { id_aa64dfr0: 0x30_560a, ..qemu() });
        assert!(
            plain.extensions(&ExtensionsWish { counters: Some(0), ..PLAIN }).is_none(),
            "FEAT_HPMN0"
        );
        let empty = Features::new(&CpuFacts { id_aa64dfr0: 0x30_560a, pmcr: 0, ..qemu() });
        assert!(
            empty.extensions(&ExtensionsWish { counters: Some(0), ..PLAIN }).is_some(),
            "no counter"
        );
        assert!(empty.extensions(&ExtensionsWish { counters: Some(1), ..PLAIN }).is_none());
        let none = Features::new(&CpuFacts { id_aa64dfr0: 0x30_500a, vector_bytes: 0, ..qemu() });
        assert!(none.extensions(&ExtensionsWish { counters: Some(1), ..PLAIN }).is_none());
        assert!(none.extensions(&ExtensionsWish { sve_vl: Some(0), ..PLAIN }).is_none());
    }

    #[test]
    fn stage_2_without_a_field_of_its_own_is_as_stage_1() {
        // PARange 52 bits; TGran4 1: 52-bit addresses; TGran4_2 0: as TGran4.
        let facts = CpuFacts { id_aa64mmfr0: 1 << 28 | 6, ..CpuFacts::default() };
        assert!(Features::new(&facts).lpa2);
        // TGran4_2 2: stage 2 has 48-bit addresses only.
        let facts = CpuFacts { id_aa64mmfr0: 2 << 40 | 1 << 28 | 6, ..CpuFacts::default() };
        assert!(!Features::new(&facts).lpa2);
    }

    #[test]
    fn breakpoints_in_banks_are_not_offered() {
        // FEAT_Debugv8p9: the field says 16, and ID_AA64DFR1_EL1 how many there are in all banks.
        let (dfr0, dfr1) = (15 << 12 | 15 << 20, 31 << 8 | 20 << 16);
        let facts = CpuFacts { id_aa64dfr0: dfr0, id_aa64dfr1: dfr1, ..CpuFacts::default() };
        let features = Features::new(&facts);
        assert_eq!((features.breakpoints_minus_one, features.watchpoints_minus_one), (15, 15));
    }

    #[test]
    fn without_lpa2_the_ipa_space_ends_at_48_bits() {
        let features = Features::new(&CpuFacts { id_aa64mmfr0: 6, ..CpuFacts::default() });
        assert!(!features.lpa2);
        assert_eq!(features.ipa_width_max, 48);
    }
}
