//! Stateful operations: commands that need more than one call of the Host. A command that cannot
//! finish leaves an operation with a handle; the calls here take it further, whichever CPU makes
//! them, one at a time.
//!
//! ```text
//!   begin -> Donation -> Continue -> Done
//!               |           |
//!               +-> Reclaim <        (something given has to go back first)
//!                      +--> Continue -> the cause
//! ```
//!
//! Whatever of the Host's an operation holds is granules in state REC_AUX, and one in state PARTIAL
//! that is being built or taken apart: no other command gets hold of them. Each call is refused
//! whole or takes the operation further, so a Host that is refused has lost nothing.
//!
//! Source: RMM specification (Arm DEN0137) 2.0, "Stateful RMI operations".

use granule::{GranuleAddr, delegation};
use machine::{Hasher, Memory};
use realm::Rmm;
use realm::operation::{Abort, Entered, HandleError, NoSlot, Reserved, Work};
use realm::rec::AUX_MAX;

use super::{Cause, donation, rec};

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

impl Gift {
    /// Its granules; `None` of what is past the physical address space.
    fn into_granules(self) -> impl Iterator<Item = Option<GranuleAddr>> {
        (0..self.granules).map(move |number| self.first.add(number))
    }
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

/// A place for an operation that begins: the last check of a command that needs one, so that a full
/// house hides no other cause.
///
/// # Errors
///
/// `Busy`, `NoSlot`.
pub(super) fn reserve<'r, M>(rmm: &'r Rmm<'_, M>) -> Result<Reserved<'r>, Cause> {
    rmm.operations.reserve().map_err(no_slot)
}

/// Takes the operation with this handle.
fn enter<'r, M>(rmm: &'r Rmm<'_, M>, handle: u64) -> Result<Entered<'r>, Cause> {
    rmm.operations.enter(handle).map_err(refused_handle)
}

/// The Host gives memory. `list` reads what it gives, and is called once the operation is known to
/// wait for it.
///
/// Granules are taken in the order of the list, up to the first that is not DELEGATED.
///
/// # Errors
///
/// `NoOperation`, `Busy`, `NotAwaited`; `DonationSize`, `DonationState` and those of `list`, after
/// which the operation waits as before, and the Host may also go on without another donation.
pub fn donate<M: Memory, I: Iterator<Item = Result<Gift, Cause>> + Clone>(
    rmm: &Rmm<'_, M>,
    handle: u64,
    list: impl FnOnce() -> Result<I, Cause>,
) -> Result<Donated, Cause> {
    let mut operation = enter(rmm, handle)?;
    let Awaits::Donation { granules: wanted } = operation.awaits else {
        return Err(Cause::NotAwaited);
    };
    operation.donation_failed = true;
    let list = list()?;
    if total(list.clone())? > wanted {
        return Err(Cause::DonationSize);
    }
    // No lock is held while the Host's granules are locked one by one: it chooses the order.
    let taken = donation::take(rmm, list.filter_map(Result::ok).flat_map(Gift::into_granules))?;
    operation.donation_failed = false;
    rec::push_aux(rmm, operation.object, &taken);
    let granules = taken.len() as u64;
    operation.held += granules;
    operation.awaits = match wanted - granules {
        0 => Awaits::Continue,
        granules => Awaits::Donation { granules },
    };
    Ok(Donated { granules, awaits: operation.awaits })
}

/// How many granules a list has, if nothing is wrong with it.
fn total(mut list: impl Iterator<Item = Result<Gift, Cause>>) -> Result<u64, Cause> {
    list.try_fold(0_u64, |sum, gift| Ok(sum.saturating_add(gift?.granules)))
}

/// The Host takes back up to `count` granules, wiped and DELEGATED. `tell` writes a list of them to
/// its memory, and is called once even if the list is empty; what it cannot be told of it does not
/// get.
///
/// # Errors
///
/// `NoOperation`, `Busy`, `NotAwaited`, and those of `tell`; nothing is given back then, and the
/// operation waits as before.
pub fn reclaim<M: Memory>(
    rmm: &Rmm<'_, M>,
    handle: u64,
    count: u64,
    tell: impl FnOnce(&[GranuleAddr]) -> Result<(), Cause>,
) -> Result<Reclaimed, Cause> {
    let mut operation = enter(rmm, handle)?;
    if operation.awaits != Awaits::Reclaim {
        return Err(Cause::NotAwaited);
    }
    let (granules, number) = rec::aux_of(rmm, operation.object);
    // From the end, so that those that stay are the first as before.
    let kept = granules.len().saturating_sub(usize::try_from(count).unwrap_or(usize::MAX));
    let (_, returned) = granules.split_at(kept);
    // The granules stay locked until the Host has been told of all: another CPU of its that names
    // one of them too early waits, and does not get it if the list cannot be written. Nobody who
    // holds one of them waits for another, so any order will do.
    let locked: heapless::Vec<_, AUX_MAX> =
        returned.iter().map(|&granule| donation::lock_donated(rmm, granule)).collect();
    tell(returned)?;
    rec::keep_aux(rmm, operation.object, kept);
    for granule in locked {
        delegation::release(rmm.machine, &rmm.granules, granule, number).unlock();
    }
    operation.held = kept as u64;
    operation.awaits = if kept == 0 { Awaits::Continue } else { Awaits::Reclaim };
    Ok(Reclaimed { entries: returned.len(), awaits: operation.awaits })
}

/// The operation goes on.
///
/// # Errors
///
/// `NoOperation`, `Busy`, `NotAwaited`. Any other cause is the operation's own, and its end: the
/// handle is free.
pub fn resume<M: Memory + Hasher>(rmm: &Rmm<'_, M>, handle: u64) -> Result<Resumed, Cause> {
    let operation = enter(rmm, handle)?;
    match (operation.awaits, operation.abort) {
        // The Host has no better granule.
        (Awaits::Donation { .. }, _) if operation.donation_failed => {
            return abort(rmm, operation, Abort::Donation);
        }
        (Awaits::Donation { .. } | Awaits::Reclaim, _) => return Err(Cause::NotAwaited),
        (Awaits::Continue, Some(why)) => return abort(rmm, operation, why),
        (Awaits::Continue, None) => {}
    }
    match operation.work {
        Work::RecCreate => {
            if let Err(why) = rec::complete(rmm, operation.object) {
                return abort(rmm, operation, why);
            }
        }
        Work::RecDestroy => rec::end(rmm, Work::RecDestroy, operation.object),
    }
    operation.end();
    Ok(Resumed::Done)
}

/// An operation fails: at once if nothing of the Host's is in it, else when the Host has it back.
fn abort<M: Memory>(
    rmm: &Rmm<'_, M>,
    mut operation: Entered<'_>,
    why: Abort,
) -> Result<Resumed, Cause> {
    if operation.held != 0 {
        operation.abort = Some(why);
        operation.awaits = Awaits::Reclaim;
        return Ok(Resumed::Awaits(Awaits::Reclaim));
    }
    rec::end(rmm, operation.work, operation.object);
    operation.end();
    Err(ending(why))
}

/// The Host wants an operation no more. It fails, once the Host has taken back what it gave.
///
/// # Errors
///
/// `NoOperation`, `Busy`, `NotCancellable`.
pub fn cancel<M>(rmm: &Rmm<'_, M>, handle: u64) -> Result<Awaits, Cause> {
    let mut operation = enter(rmm, handle)?;
    if !operation.awaits.is_cancellable() {
        return Err(Cause::NotCancellable);
    }
    operation.abort = Some(Abort::Cancelled);
    operation.awaits = if operation.held == 0 { Awaits::Continue } else { Awaits::Reclaim };
    Ok(operation.awaits)
}
