//! RMI_VERSION and RMI_FEATURES.

use realm::Features;

use crate::abi::{Outputs, VERSION_1_0};

/// `RMI_VERSION`: success, then the versions `lower` and `higher`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_VERSION`, and B2 for the three outcomes. With the one
/// revision 1.0, any other request is told 1.0 twice. The outputs are written on failure too.
pub fn version(requested: u64) -> (bool, Outputs) {
    (requested == VERSION_1_0, [VERSION_1_0, VERSION_1_0, 0, 0])
}

/// `RMI_FEATURES`: feature register `index`; there is only register 0 in 1.0, the others read as zero.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_FEATURES`.
pub fn features(features: &Features, index: u64) -> Outputs {
    let value = if index == 0 { features.register0() } else { 0 };
    [value, 0, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_1_0_is_supported_and_the_answer_always_names_it() {
        for (request, supported) in [
            (0x1_0000, true),
            (0x1_0001, false),
            (0, false),
            (0x2_0000, false),
            (1 << 63 | 0x1_0000, false),
        ] {
            assert_eq!(version(request), (supported, [0x1_0000, 0x1_0000, 0, 0]));
        }
    }
}
