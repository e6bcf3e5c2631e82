//! Which version of the interface the Host speaks. Nothing below knows.

use crate::version::Version;

/// A version of the interface that this monitor speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// RMI 1.0.
    V1_0,
}

impl Dialect {
    /// All versions, ascending.
    pub(crate) const SUPPORTED: [Version; 1] = [Version::V1_0];

    /// The version that the calls of now are in. With one version there is nothing to remember.
    pub(crate) const fn current() -> Self {
        Self::V1_0
    }
}
