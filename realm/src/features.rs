//! What the CPUs can give a Realm: the limits that the Host reads in feature register 0.

use granule::machine::CpuFacts;

/// Smallest IPA width of a Realm, in bits. The lower bound is the monitor's choice.
pub const IPA_WIDTH_MIN: u8 = 32;

/// Largest number of RECs of a Realm is `2^MAX_RECS_ORDER - 1`; bounded by the RD's reference count.
pub const MAX_RECS_ORDER: u8 = 10;

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
}

/// A four-bit field of an ID register.
fn field(register: u64, shift: u32) -> u8 {
    u8::try_from((register >> shift) & 0xf).unwrap_or(0)
}

impl Features {
    /// Judges the CPUs' identification registers.
    ///
    /// Source: Arm ARM (DDI0487), ID_AA64MMFR0_EL1, ID_AA64MMFR1_EL1, ID_AA64MMFR2_EL1, ID_AA64DFR0_EL1,
    /// ICH_VTR_EL2.
    pub fn new(facts: &CpuFacts) -> Self {
        const PA_BITS: [u8; 7] = [32, 36, 40, 42, 44, 48, 52];
        let tgran4 = field(facts.id_aa64mmfr0, 28);
        let tgran4_stage2 = field(facts.id_aa64mmfr0, 40);
        // TGran4_2: 0 means "as stage 1", 3 means 52 bits.
        let lpa2 = tgran4_stage2 == 3 || (tgran4_stage2 == 0 && tgran4 == 1);
        let pa_range = field(facts.id_aa64mmfr0, 0).min(6);
        let pa_bits = PA_BITS.get(usize::from(pa_range)).copied().unwrap_or(48);
        let breakpoints = match field(facts.id_aa64dfr0, 12) {
            15 => u8::try_from((facts.id_aa64dfr1 >> 8) & 0xff).unwrap_or(0).clamp(15, 63),
            count => count,
        };
        let watchpoints = match field(facts.id_aa64dfr0, 20) {
            15 => u8::try_from((facts.id_aa64dfr1 >> 16) & 0xff).unwrap_or(0).clamp(15, 63),
            count => count,
        };
        Self {
            ipa_width_max: if lpa2 { pa_bits } else { pa_bits.min(48) },
            lpa2: lpa2 && pa_bits == 52,
            vmid16: field(facts.id_aa64mmfr1, 4) == 2,
            small_tables: field(facts.id_aa64mmfr2, 28) == 1,
            pa_range,
            breakpoints_minus_one: breakpoints,
            watchpoints_minus_one: watchpoints,
            list_registers_minus_one: field(facts.ich_vtr, 0),
            priority_bits: u8::try_from((facts.ich_vtr >> 29) & 7).unwrap_or(0) + 1,
            intid_bits: if (facts.ich_vtr >> 23) & 7 == 0 { 16 } else { 24 },
            extended_intids: (facts.icc_ctlr >> 19) & 1 == 1,
        }
    }

    /// Number of list registers.
    pub fn list_registers(&self) -> usize {
        usize::from(self.list_registers_minus_one) + 1
    }

    /// `RmiFeatureRegister0` as the Host reads it.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, `RmiFeatureRegister0`. SVE and PMU are not offered.
    pub fn register0(&self) -> u64 {
        u64::from(self.ipa_width_max)
            | u64::from(self.lpa2) << 8
            | u64::from(self.breakpoints_minus_one) << 14
            | u64::from(self.watchpoints_minus_one) << 20
            | 1 << 32 // SHA-256
            | 1 << 33 // SHA-512
            | u64::from(self.list_registers_minus_one) << 34
            | u64::from(MAX_RECS_ORDER) << 38
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
            ..CpuFacts::default()
        }
    }

    #[test]
    fn the_feature_register_of_qemu() {
        let features = Features::new(&qemu());
        assert!(features.lpa2 && features.vmid16);
        assert_eq!(features.ipa_width_max, 52);
        assert_eq!(features.register0() & 0xff, 52);
        assert_eq!((features.register0() >> 14) & 0x3f, 5);
        assert_eq!((features.register0() >> 20) & 0x3f, 3);
        assert_eq!((features.register0() >> 34) & 0xf, 3);
        assert_eq!(features.register0() >> 42, 0);
        assert_eq!((features.priority_bits, features.intid_bits), (5, 24));
    }

    #[test]
    fn without_lpa2_the_ipa_space_ends_at_48_bits() {
        let features = Features::new(&CpuFacts { id_aa64mmfr0: 6, ..CpuFacts::default() });
        assert!(!features.lpa2);
        assert_eq!(features.ipa_width_max, 48);
    }
}
