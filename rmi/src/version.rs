//! RMI_VERSION: negotiation over the set of interfaces that this monitor speaks.

/// A version of the interface, as the ABI writes it: major in bits 30:16, minor in 15:0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(u64);

impl Version {
    /// RMM specification 1.0.
    pub(crate) const V1_0: Self = Self(0x1_0000);

    /// RMM specification 2.0, in any beta.
    pub(crate) const V2_0: Self = Self(0x2_0000);

    /// The version as the ABI writes it.
    pub(crate) const fn as_u64(self) -> u64 {
        self.0
    }
}

/// What a Host is told of the version that it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Negotiated {
    /// The version that both speak from now on, if there is one.
    pub(crate) agreed: Option<Version>,
    /// `lower`: the version asked for, or else the greatest below it, or else the same as `higher`.
    pub(crate) lower: Version,
    /// `higher`: the greatest version of all.
    pub(crate) higher: Version,
}

/// Negotiates over the versions that are supported: the lowest and the highest, and none between.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_VERSION`, B2; 2.0 has the same text.
#[inline(always)]
pub(crate) fn negotiate((lowest, highest): (Version, Version), requested: u64) -> Negotiated {
    let requested = Version(requested);
    let is_supported = requested == lowest || requested == highest;
    // Bits 63:31 are no part of a version: what has one of them set is above all, and nothing is
    // below it.
    let is_between = lowest < requested && requested < highest;
    let lower = match (is_supported, is_between) {
        (true, _) => requested,
        (false, true) => lowest,
        (false, false) => highest,
    };
    Negotiated { agreed: is_supported.then_some(requested), lower, higher: highest }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(supported: (Version, Version), requested: u64) -> (bool, u64, u64) {
        let Negotiated { agreed, lower, higher } = negotiate(supported, requested);
        (agreed.is_some(), lower.as_u64(), higher.as_u64())
    }

    #[test]
    fn only_1_0_is_supported_and_the_answer_always_names_it() {
        for (request, supported) in [
            (0x1_0000, true),
            (0x1_0001, false),
            (0, false),
            (0x2_0000, false),
            (1 << 63 | 0x1_0000, false),
        ] {
            assert_eq!(
                answer((Version::V1_0, Version::V1_0), request),
                (supported, 0x1_0000, 0x1_0000)
            );
        }
    }

    #[test]
    fn of_two_versions_the_host_gets_its_own_or_the_next_below() {
        let both = (Version::V1_0, Version::V2_0);
        assert_eq!(answer(both, 0x1_0000), (true, 0x1_0000, 0x2_0000));
        assert_eq!(answer(both, 0x2_0000), (true, 0x2_0000, 0x2_0000));
        assert_eq!(answer(both, 0x2_0001), (false, 0x2_0000, 0x2_0000));
        assert_eq!(answer(both, 0x1_0001), (false, 0x1_0000, 0x2_0000));
        assert_eq!(answer(both, 0), (false, 0x2_0000, 0x2_0000));
        assert_eq!(answer(both, 1 << 31 | 0x1_0000), (false, 0x2_0000, 0x2_0000));
        assert_eq!(answer((Version::V2_0, Version::V2_0), 0x1_0000), (false, 0x2_0000, 0x2_0000));
    }
}
