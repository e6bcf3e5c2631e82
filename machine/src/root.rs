//! The Root world: what EL3 does for the monitor.

use crate::addr::GranuleAddr;

/// EL3's answer to a request that it did not carry out (negative, see the table of error codes).
///
/// Source: RMM-EL3 communication interface 0.x, "Return codes".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct El3Error(pub i64);

impl El3Error {
    /// It cannot now, for instance because another CPU uses the service; it may when it is asked again.
    pub const AGAIN: Self = Self(-6);
}

/// Services of EL3 for granules.
pub trait RootWorld {
    /// Asks EL3 to move a granule from the Non-secure to the Realm physical address space.
    ///
    /// # Errors
    ///
    /// EL3's code, for example -3 if the granule is Secure or Root; nothing changed then.
    fn delegate(&self, granule: GranuleAddr) -> Result<(), El3Error>;

    /// Asks EL3 to move a granule from the Realm to the Non-secure physical address space.
    ///
    /// The granule must not be mapped on any CPU.
    ///
    /// # Errors
    ///
    /// EL3's code; the granule is still in the Realm physical address space then.
    fn undelegate(&self, granule: GranuleAddr) -> Result<(), El3Error>;
}
