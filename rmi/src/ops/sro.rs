//! Stateful operations: commands that need more than one call of the Host. A command that cannot finish leaves an operation with a
//! handle; the calls here take it further, whichever CPU makes them, one at a time.
//!
//! ```text
//!   begin -> Donation -> Continue -> Done
//!               |           |
//!               +-> Reclaim <        (something given has to go back first)
//!                      +--> Continue -> the cause
//! ```
//!
//! Whatever of the Host's an operation holds is granules in state REC_AUX, and one in state PARTIAL that is being built or taken
//! apart: no other command gets hold of them. Each call is refused whole or takes the operation further, so a Host that is refused
//! has lost nothing.
//!
//! Source: RMM specification (Arm DEN0137) 2.0, "Stateful RMI operations".

use granule::{Delegated, GranuleAddr, RecAuxState};
use machine::{Hasher, Memory, Slot};
use realm::Rmm;
use realm::operation::{Abort, Entered, HandleError, NoSlot, Reserved, Unfinished, Work};
use realm::rec::AUX_MAX;

use super::{Cause, rec};

pub use realm::operation::Awaits;

/// An operation that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Its handle.
    pub handle: u64,
    /// What it waits for.
    pub awaits: Awaits,
}

/// Memory that a Host gives: so many granules from `first` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gift {
    /// The first granule.
    pub first: GranuleAddr,
    /// How many granules.
    pub granules: u64,
}

/// What became of memory that a Host gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Donated {
    /// How many granules were taken, from the first in the list on.
    pub granules: u64,
    /// What the operation waits for now.
    pub awaits: Awaits,
}

/// What a Host got back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reclaimed {
    /// How many granules: each has an entry of its own.
    pub entries: usize,
    /// What the operation waits for now.
    pub awaits: Awaits,
}

/// How far an operation has come that went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumed {
    /// It is not finished.
    Awaits(Awaits),
    /// It has succeeded, and is over.
    Done,
}

/// The cause if a handle cannot be used.
const fn refused_handle(error: HandleError) -> Cause {
    match error {
        HandleError::Unknown => Cause::NoOperation,
        HandleError::InUse => Cause::Busy,
    }
}

/// The cause if there is no place for an operation.
const fn no_slot(why: NoSlot) -> Cause {
    match why {
        NoSlot::Now => Cause::Busy,
        NoSlot::Waiting => Cause::NoSlot,
    }
}

/// The cause with which an aborted operation ends.
const fn ending(abort: Abort) -> Cause {
    match abort {
        Abort::RealmState => Cause::RealmState,
        Abort::Donation => Cause::DonationState,
        Abort::Cancelled => Cause::Cancelled,
    }
}

/// A place for an operation that begins: the last check of a command that may need it, so that a full house hides no other cause.
///
/// # Errors
///
/// `Busy`, `NoSlot`.
pub(super) fn reserve<'t, M>(rmm: &Rmm<'t, M>) -> Result<Reserved<'t>, Cause> {
    todo!()
}

/// The Host gives memory. `list` reads what it gives, and is called once the operation is known to wait for it.
///
/// Granules are taken in the order of the list, up to the first that is not DELEGATED.
///
/// # Errors
///
/// `NoOperation`, `Busy`, `NotAwaited`; `DonationSize`, `DonationState` and those of `list`, after which the operation waits as
/// before, and the Host may also go on without another donation.
pub fn donate<M: Memory, I: Iterator<Item = Result<Gift, Cause>> + Clone>(
    rmm: &Rmm<'_, M>,
    handle: u64,
    list: impl FnOnce() -> Result<I, Cause>,
) -> Result<Donated, Cause> {
    todo!()
}

/// The Host takes back up to `count` granules, wiped and DELEGATED. `tell` writes a list of them to its memory, and is called once
/// even if the list is empty; what it cannot be told of it does not get.
///
/// # Errors
///
/// `NoOperation`, `Busy`, `NotAwaited`, and those of `tell`; nothing is given back then, and the operation waits as before.
pub fn reclaim<M: Memory>(
    rmm: &Rmm<'_, M>,
    handle: u64,
    count: u64,
    tell: impl FnOnce(&[GranuleAddr]) -> Result<(), Cause>,
) -> Result<Reclaimed, Cause> {
    todo!()
}

/// The operation goes on.
///
/// # Errors
///
/// `NoOperation`, `Busy`, `NotAwaited`. Any other cause is the operation's own, and its end: the handle is free.
pub fn resume<M: Memory + Hasher>(rmm: &Rmm<'_, M>, handle: u64) -> Result<Resumed, Cause> {
    todo!()
}

/// The Host wants an operation no more. It fails, once the Host has taken back what it gave.
///
/// # Errors
///
/// `NoOperation`, `Busy`, `NotCancellable`.
pub fn cancel<M>(rmm: &Rmm<'_, M>, handle: u64) -> Result<Awaits, Cause> {
    todo!()
}
