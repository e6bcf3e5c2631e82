//! Feature registers, and the version.

use realm::Features;
use realm::features::MAX_RECS_ORDER;

/// `RmiFeatureRegister` of this number: there is only register 0 in 1.0, and ours; the others read
/// as zero.
pub(super) fn register(features: &Features, index: u64) -> u64 {
    match index {
        0 => register0(features),
        crate::features::EXTENSIONS_INDEX => crate::features::EXTENSIONS,
        _ => 0,
    }
}

/// Source: RMM specification (Arm DEN0137) 1.0, `RmiFeatureRegister0`.
fn register0(features: &Features) -> u64 {
    const SHA_256: u64 = 1 << 32;
    const SHA_512: u64 = 1 << 33;
    crate::features::register0(features)
        | SHA_256
        | SHA_512
        | u64::from(features.list_registers_minus_one) << 34
        | u64::from(MAX_RECS_ORDER) << 38
}

#[cfg(test)]
mod tests {
    use machine::CpuFacts;

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

    #[test]
    fn the_feature_register_of_qemu() {
        let features = Features::new(&qemu());
        let register = register(&features, 0);
        assert_eq!(register & 0xff, 52);
        assert_eq!((register >> 14) & 0x3f, 5);
        assert_eq!((register >> 20) & 0x3f, 3);
        assert_eq!((register >> 34) & 0xf, 3);
        assert_eq!(register >> 42, 0);
        assert_eq!((register >> 9) & 0x1f, 0x1f, "SVE, 2048 bits");
        assert_eq!((register >> 26) & 0x3f, 6 << 1 | 1, "PMU, 6 counters");
    }

    #[test]
    fn what_the_cpu_lacks_is_not_offered() {
        let facts = CpuFacts { id_aa64dfr0: 0x30_500a, vector_bytes: 0, ..qemu() };
        let register = register(&Features::new(&facts), 0);
        assert_eq!((register >> 9) & 1 | (register >> 26) & 1, 0);
    }

    #[test]
    fn there_is_one_register_and_ours() {
        let features = Features::new(&qemu());
        for index in [1, 2, 0x4361_6972, u64::MAX] {
            assert_eq!(register(&features, index), 0);
        }
        assert_eq!(register(&features, 0x4361_6972_6e52_4d4d), 1);
    }
}
