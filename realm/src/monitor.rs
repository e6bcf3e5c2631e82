//! The state of the whole monitor, and the handle through which one CPU works on it.

use core::ops::Deref;

use granule::GranuleTable;
use granule::ledger::Ledger;
use machine::dram::Banks;
use machine::{CpuFacts, El3Interface};

use crate::features::Features;
use crate::host::HostSide;
use crate::operation::Operations;
use crate::vmid::VmidSet;
use attest::RealmKey;

/// What all CPUs share. Built once at boot.
#[derive(Debug)]
#[repr(C)] // The small parts first: they stay within reach of one load.
pub struct Shared<'t> {
    /// State and lock of each granule.
    pub granules: GranuleTable<'t>,
    /// What the Host has chosen.
    pub host: HostSide,
    /// What Realms can have.
    pub features: Features,
    /// Memory that is the monitor's own, next to what `granules` tracks.
    pub reserved: Banks,
    /// The CPUs' identification registers.
    pub facts: CpuFacts,
    /// What the monitor and EL3 have agreed on.
    pub el3: El3Interface,
    /// The realm attestation key; without it no Realm gets a token.
    pub attestation: Option<RealmKey>,
    /// Granules that could not be given back.
    pub ledger: Ledger,
    /// VMIDs in use.
    pub vmids: VmidSet,
    /// Operations that are not finished.
    pub operations: Operations,
}

impl<'t> Shared<'t> {
    /// The state at boot, over EL3 0.x: nothing delegated, no Realm, no attestation key yet.
    pub fn new(granules: GranuleTable<'t>, facts: CpuFacts) -> Self {
        Self {
            granules,
            host: HostSide::new(),
            ledger: Ledger::new(),
            vmids: VmidSet::new(),
            operations: Operations::new(),
            features: Features::new(&facts),
            reserved: Banks::new(),
            facts,
            el3: El3Interface::V0,
            attestation: None,
        }
    }
}

/// The monitor as one CPU sees it: the shared state and the machine under this CPU.
#[derive(Debug)]
pub struct Rmm<'m, M> {
    /// The machine, as this CPU.
    pub machine: &'m M,
    shared: &'m Shared<'m>,
}

impl<'m, M> Rmm<'m, M> {
    /// The handle of the CPU that `machine` stands for.
    pub fn new(machine: &'m M, shared: &'m Shared<'m>) -> Self {
        Self { machine, shared }
    }
}

impl<M> Clone for Rmm<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Rmm<'_, M> {}

impl<'m, M> Deref for Rmm<'m, M> {
    type Target = Shared<'m>;

    fn deref(&self) -> &Self::Target {
        self.shared
    }
}
