//! Feature registers.

use realm::Features;

/// The granule size of the monitor: 4 KiB. Larger ones are not offered.
const GRANULE_4K: u64 = 1;
const SHA_256: u64 = 1 << 3;
const SHA_384: u64 = 1 << 4;
const SHA_512: u64 = 1 << 5;

/// `MAX_RECS_ORDER`: a Realm has at most 2^n - 1 RECs.
const MAX_RECS_ORDER: u64 = realm::features::MAX_FREE_RECS_ORDER as u64;

/// `RmiFeatureRegister` of this number. Registers 2 to 4 say that there are no devices, planes and
/// encryption contexts.
///
/// Source: RMM specification (Arm DEN0137) 2.0, `RMI_FEATURES`: a register that does not exist
/// reads as zero.
pub(super) fn register(features: &Features, index: u64) -> u64 {
    match index {
        0 => crate::features::register0(features) | u64::from(features.pa_bits()) << 33,
        1 => register1(features),
        crate::features::EXTENSIONS_INDEX => crate::features::EXTENSIONS,
        _ => 0,
    }
}

/// Source: RMM specification (Arm DEN0137) 2.0, `RmiFeatureRegister1`. L0GPTSZ, bits 13:10, is 0:
/// EL3 describes 1 GiB with each entry of its first table. PPS has the codes of PARange.
fn register1(features: &Features) -> u64 {
    GRANULE_4K
        | SHA_256
        | SHA_384
        | SHA_512
        | MAX_RECS_ORDER << 6
        | u64::from(features.pa_range) << 14
}

#[cfg(test)]
mod tests {
    use machine::CpuFacts;

    use super::*;

    /// The example of the notes: 48 bits, 6 breakpoints, 4 watchpoints; all hashes and our number
    /// of RECs.
    #[test]
    fn the_registers_of_a_plain_machine() {
        let facts =
            CpuFacts { id_aa64mmfr0: 5, id_aa64dfr0: 3 << 20 | 5 << 12, ..CpuFacts::default() };
        let features = Features::new(&facts);
        assert_eq!(register(&features, 0), 0x60_0031_4030);
        assert_eq!(register(&features, 1), 0x1_4239);
        for index in [2, 3, 4, 5, u64::MAX] {
            assert_eq!(register(&features, index), 0);
        }
        assert_eq!(register(&features, 0x4361_6972_6e52_4d4d), 1);
    }
}
