//! What a host does differently for each version of the interface: all of it stands here, side by
//! side.
//!
//! | What | 1.0 | 2.0 |
//! | --- | --- | --- |
//! | beginning | version, features | also: configuration, activation, questions about memory |
//! | delegation | granule by granule | ranges, and how far each got |
//! | a Realm's end | destroyed | terminated first |
//! | memory of a REC | auxiliary granules, listed at creation | donated when the monitor asks |
//! | memory of a guest | pages | ranges; blocks of 2 MiB where nothing is in the way |
//! | virtual interrupts | in the run page | in this CPU's registers |
//! | `PSCI_CPU_ON` | the host names caller and target | the monitor knows the target |
//! | end | nothing | deactivation |
//!
//! Everything else (building, tables, RIPAS, running, exits, devices) is the same code for both.

mod v1_0;
mod v2_0;

pub use v1_0::V1_0;
pub use v2_0::V2_0;

use crate::failure::Failure;
use crate::host::Host;
use crate::rmi::run::{RecEnter, RecExit, RunPage};
use crate::rmi::{Features, Rmi, RmiError};
use crate::vgic::Loaded;
use crate::watch::Entered;
use alloc::vec::Vec;
use core::ops::Range;

/// How far a command on a range got, and why not further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The end of what is done.
    pub top: u64,
    /// Why that is not the end of the range.
    pub refusal: Option<RmiError>,
}

/// What was taken away from a Realm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Where to go on.
    pub next: u64,
    /// Physical address of the memory that was there.
    pub base: u64,
    /// Its size in bytes; 0 if there was nothing.
    pub size: u64,
}

/// A version of the interface.
pub trait Dialect: Send + Sync {
    /// As `RMI_VERSION` has it.
    fn version(&self) -> u64;

    /// Asks for what the monitor can do. The versions agree already.
    ///
    /// # Errors
    ///
    /// The monitor refuses a question.
    fn features(&self, rmi: Rmi<'_>) -> Result<Features, Failure>;

    /// Makes the monitor ready for Realms in this memory.
    ///
    /// # Errors
    ///
    /// It refuses.
    fn begin(&self, host: &Host, memory: &[Range<u64>]) -> Result<(), Failure>;

    /// Leaves the monitor as it was before [`Self::begin`].
    ///
    /// # Errors
    ///
    /// It refuses.
    fn end(&self, host: &Host) -> Result<(), Failure>;

    /// Gives the granules of `[base, top)` to the monitor.
    fn delegate(&self, host: &Host, base: u64, top: u64) -> Reached;

    /// Takes the granules of `[base, top)` back from the monitor.
    fn undelegate(&self, host: &Host, base: u64, top: u64) -> Reached;

    /// `RMI_REALM_CREATE`.
    ///
    /// # Errors
    ///
    /// The parameters are wrong or not supported.
    fn create_realm(&self, host: &Host, rd: u64, params: u64) -> Result<(), Failure>;

    /// Ends the Realm's life, in which no CPU is any more. What it has can be taken away
    /// afterwards.
    ///
    /// # Errors
    ///
    /// A REC is running.
    fn terminate_realm(&self, host: &Host, rd: u64) -> Result<(), Failure>;

    /// `RMI_REALM_DESTROY`.
    ///
    /// # Errors
    ///
    /// The Realm still has RECs, tables or data.
    fn destroy_realm(&self, host: &Host, rd: u64) -> Result<(), Failure>;

    /// `RMI_REC_CREATE`. The granules that the monitor takes besides `rec` are added to `held`.
    ///
    /// # Errors
    ///
    /// The parameters are wrong, or the Realm is active already.
    fn create_rec(&self, host: &Host, rec: &NewRec, held: &mut Vec<u64>) -> Result<(), Failure>;

    /// `RMI_REC_DESTROY`. Granules that come back with it are taken out of `held`.
    ///
    /// # Errors
    ///
    /// The REC is running.
    fn destroy_rec(&self, host: &Host, rec: u64, held: &mut Vec<u64>) -> Result<(), Failure>;

    /// Copies the page `source` of the host into the granule `data` at `ipa` of a new Realm, which
    /// is measured.
    ///
    /// # Errors
    ///
    /// See [`RmiError::rtt_level`] for a missing table.
    fn add_page(&self, host: &Host, rd: u64, place: NewPage) -> Result<(), RmiError>;

    /// Gives a Realm the delegated memory `[data, data + size)` at `ipa`: how far in IPAs it got.
    ///
    /// # Errors
    ///
    /// See [`RmiError::rtt_level`] for a missing table.
    fn map(&self, host: &Host, rd: u64, ipa: u64, data: Range<u64>) -> Result<u64, RmiError>;

    /// Whether [`Self::map`] can make one entry of 2 MiB.
    fn has_blocks(&self) -> bool;

    /// Takes private memory of a Realm, the next in `[base, top)`.
    ///
    /// # Errors
    ///
    /// See [`RmiError::rtt_level`] for an entry that is larger than the range.
    fn unmap(&self, host: &Host, rd: u64, base: u64, top: u64) -> Result<Taken, RmiError>;

    /// Lets a Realm reach the host's page at the unprotected address `ipa`.
    ///
    /// # Errors
    ///
    /// See [`RmiError::rtt_level`] for a missing table, or for a page that is there already.
    fn share(&self, host: &Host, rd: u64, ipa: u64, page: u64) -> Result<(), RmiError>;

    /// Takes a shared page, the next in `[base, top)`: whether there was one, and where to go on.
    ///
    /// # Errors
    ///
    /// The range is wrong.
    fn unshare(&self, host: &Host, rd: u64, base: u64, top: u64) -> Result<(bool, u64), RmiError>;

    /// `RMI_REC_ENTER`. What was loaded of virtual interrupts is exchanged for what the REC leaves.
    ///
    /// # Errors
    ///
    /// The REC cannot run.
    fn enter(
        &self,
        host: &Host,
        rec: &ReadyRec,
        enter: &RecEnter,
        interrupts: &mut Loaded,
    ) -> Result<RecExit, RmiError>;

    /// Allows the call `PSCI_CPU_ON` of REC `caller` for REC `target`.
    ///
    /// # Errors
    ///
    /// No such request is pending.
    fn complete_cpu_on(&self, host: &Host, caller: u64, target: u64) -> Result<(), RmiError>;
}

/// What a REC is made of.
#[derive(Clone, Copy, Debug)]
pub struct NewRec {
    /// The Realm's descriptor.
    pub rd: u64,
    /// The granule that becomes the REC.
    pub rec: u64,
    /// The page of parameters.
    pub params: u64,
    /// Its index in the Realm.
    pub index: usize,
}

/// A page for a new Realm.
#[derive(Clone, Copy, Debug)]
pub struct NewPage {
    /// Where it goes.
    pub ipa: u64,
    /// The delegated granule that holds it.
    pub data: u64,
    /// The host's page with its content.
    pub source: u64,
}

/// A REC that can be entered.
#[derive(Clone, Copy, Debug)]
pub struct ReadyRec {
    /// The REC granule.
    pub rec: u64,
    /// Its run page.
    pub run: RunPage,
    /// How it is named where something is seen of it.
    pub entered: Entered,
}

/// PSCI's status of a call that is allowed.
const PSCI_SUCCESS: i64 = 0;
