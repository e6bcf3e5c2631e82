//! The Root world: what EL3 does for the monitor.

use crate::addr::GranuleAddr;

/// Version of the interface between EL3 and the monitor, as far as it decides what the monitor
/// does.
///
/// Source: RMM-EL3 communication interface 0.x and 2.0, "Cold boot".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum El3Interface {
    /// 0.x: five result registers reach the Host, and EL3 switches the controls of virtual
    /// interrupts.
    V0,
    /// 2.0: eight result registers, and those controls are the Host's and the monitor's in turn.
    V2,
}

/// Physical address space of a granule, as far as the monitor moves granules between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pas {
    /// The Host's.
    NonSecure,
    /// The monitor's and the Realms'.
    Realm,
}

/// EL3's answer to a request that it did not carry out (negative). Codes are those of interface
/// 0.x; newer services are translated.
///
/// Source: RMM-EL3 communication interface 0.x, "Return codes".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct El3Error(pub i64);

impl El3Error {
    /// It cannot now, for instance because another CPU uses the service; it may when it is asked
    /// again.
    pub const AGAIN: Self = Self(-6);
    /// The request met another one about the same memory, which has to end first.
    pub const CONFLICT: Self = Self(-10);
}

/// Services of EL3 for granules.
pub trait RootWorld {
    /// Asks EL3 to move `count` granules from `first` on to a physical address space; how many it
    /// moved, from the first on: at least one. Fewer than asked is no failure: EL3 may stop short,
    /// an interrupt may be pending, or the next granule is one that it refuses, which a call from
    /// there on tells.
    ///
    /// Granules that leave the Realm physical address space must not be mapped on any CPU.
    ///
    /// # Errors
    ///
    /// EL3's code for the first granule, for example -3 if it is Secure or Root; nothing changed
    /// then.
    ///
    /// # Panics
    ///
    /// May panic if `count` is 0.
    fn set_pas(&self, first: GranuleAddr, count: u64, to: Pas) -> Result<u64, El3Error>;
}
