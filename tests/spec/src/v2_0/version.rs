//! RMI_VERSION, and which version a Host speaks.
//!
//! Source: sections 3.1 and 3.2 of our notes on RMI 2.0.

use super::choices;
use super::fid::{self, Known};

/// Version 1.0.
pub const V1_0: u64 = 0x1_0000;
/// Version 2.0.
pub const V2_0: u64 = 0x2_0000;

/// X0 to X2 of RMI_VERSION: status, lower, higher (section 3.1).
pub fn negotiate(supported: &[u64], requested: u64) -> [u64; 3] {
    let highest = supported.iter().copied().max().unwrap_or(0);
    if supported.contains(&requested) {
        return [0, requested, highest];
    }
    // Bits 63:31 have to be zero for a match, but a version with them is above all others.
    let below = supported.iter().copied().filter(|&version| version < requested).max();
    [1, below.unwrap_or(highest), highest]
}

/// What is known of the version that the Host speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latch {
    /// It has not said.
    None,
    /// It has asked for this one, and can still ask for another.
    Soft(u64),
    /// It has used this one.
    Hard(u64),
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// A command of 2.0 does it.
    Here,
    /// A command of 1.0 does it; this model knows nothing of that.
    Elsewhere,
    /// There is no such command.
    Nowhere,
}

impl Latch {
    /// The version in which RMI_FEATURES answers.
    pub const fn version(self) -> u64 {
        match self {
            Self::None => choices::DEFAULT_VERSION,
            Self::Soft(version) | Self::Hard(version) => version,
        }
    }

    /// The versions that RMI_VERSION offers.
    pub fn offered(self, supported: &[u64]) -> Vec<u64> {
        match self {
            Self::Hard(version) => vec![version],
            Self::None | Self::Soft(_) => supported.to_vec(),
        }
    }

    /// RMI_VERSION has succeeded with this version.
    #[must_use]
    pub const fn agreed(self, version: u64) -> Self {
        match self {
            Self::Hard(_) => self,
            Self::None | Self::Soft(_) => Self::Soft(version),
        }
    }

    /// The version that decides about a command which exists in one or in both, and the latch after
    /// it (section 3.2).
    pub fn route(self, supported: &[u64], fid: u64) -> (Route, Self) {
        let hidden = |version| {
            !supported.contains(&version)
                || match self {
                    Self::Hard(hard) => hard != version,
                    Self::None | Self::Soft(_) => false,
                }
        };
        let harden = |version| {
            if fid::is_read_only(fid) { self } else { Self::Hard(version) }
        };
        match fid::known(fid) {
            Known::Unknown => (Route::Nowhere, self),
            Known::Only1 if hidden(V1_0) => (Route::Nowhere, self),
            Known::Only1 => (Route::Elsewhere, harden(V1_0)),
            Known::Only2(_) if fid::is_read_only(fid) && !choices::HIDES_2_0_IN_1_0 => {
                (Route::Here, self)
            }
            Known::Only2(_) | Known::Optional if hidden(V2_0) => (Route::Nowhere, self),
            // A command that cannot do anything changes nothing.
            Known::Optional => (Route::Here, self),
            Known::Only2(_) => (Route::Here, harden(V2_0)),
            Known::Both(_) => {
                let wanted = self.version();
                let version = if supported.contains(&wanted) { wanted } else { V1_0 };
                let route = if version == V1_0 { Route::Elsewhere } else { Route::Here };
                (route, harden(version))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: &[u64] = &[V1_0, V2_0];

    #[test]
    fn table_3_1() {
        let rows: [(&[u64], u64, [u64; 3]); 7] = [
            (BOTH, 0x1_0000, [0, V1_0, V2_0]),
            (BOTH, 0x2_0000, [0, V2_0, V2_0]),
            (BOTH, 0x2_0001, [1, V2_0, V2_0]),
            (BOTH, 0x1_0001, [1, V1_0, V2_0]),
            (BOTH, 0, [1, V2_0, V2_0]),
            (&[V2_0], 0x1_0000, [1, V2_0, V2_0]),
            (&[V1_0], 0x2_0000, [1, V1_0, V1_0]),
        ];
        for (supported, requested, answer) in rows {
            assert_eq!(negotiate(supported, requested), answer, "{supported:x?} {requested:x}");
        }
    }

    #[test]
    fn table_3_2() {
        use Latch::{Hard, None, Soft};
        use Route::{Elsewhere, Here, Nowhere};
        const OF_1: u64 = 0xc400_0151;
        const OF_2: u64 = fid::ACTIVATE;
        const OF_BOTH: u64 = fid::REALM_CREATE;
        let rows = [
            // A command of one version decides.
            (None, OF_1, Elsewhere, Hard(V1_0)),
            (None, OF_2, Here, Hard(V2_0)),
            (Soft(V1_0), OF_2, Here, Hard(V2_0)),
            (Soft(V2_0), OF_1, Elsewhere, Hard(V1_0)),
            // A command of both follows what was asked for, or the default.
            (None, OF_BOTH, Here, Hard(choices::DEFAULT_VERSION)),
            (Soft(V1_0), OF_BOTH, Elsewhere, Hard(V1_0)),
            (Soft(V2_0), OF_BOTH, Here, Hard(V2_0)),
            // Then the other version is gone.
            (Hard(V1_0), OF_2, Nowhere, Hard(V1_0)),
            (Hard(V1_0), fid::CONFIG_GET, Nowhere, Hard(V1_0)),
            (Hard(V2_0), OF_1, Nowhere, Hard(V2_0)),
            (Hard(V1_0), OF_BOTH, Elsewhere, Hard(V1_0)),
            (Hard(V2_0), OF_BOTH, Here, Hard(V2_0)),
            // What only reads decides nothing.
            (None, fid::FEATURES, Here, None),
            (Soft(V1_0), fid::STATE_GET, Here, Soft(V1_0)),
            (Soft(V1_0), fid::CONFIG_GET, Here, Soft(V1_0)),
            (None, fid::TRACKING_GET, Here, None),
            (None, fid::GPT_INFO, Here, None),
            (None, fid::VERSION, Here, None),
            (None, 0xc400_01ff, Here, None),
            (None, 0xc400_02ff, Nowhere, None),
        ];
        for (latch, fid, route, after) in rows {
            assert_eq!(latch.route(BOTH, fid), (route, after), "{latch:x?} {fid:x}");
        }
        // EL3 interface 0.8: no 2.0.
        assert_eq!(None.route(&[V1_0], OF_2), (Nowhere, None));
        // VERSION.
        assert_eq!(None.agreed(V1_0), Soft(V1_0));
        assert_eq!(Soft(V1_0).agreed(V2_0), Soft(V2_0));
        assert_eq!(Hard(V1_0).agreed(V1_0), Hard(V1_0));
        assert_eq!(negotiate(&Hard(V1_0).offered(BOTH), V2_0), [1, V1_0, V1_0]);
        assert_eq!(negotiate(&Soft(V1_0).offered(BOTH), V2_0), [0, V2_0, V2_0]);
    }
}
