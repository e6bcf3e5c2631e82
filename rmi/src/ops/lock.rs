//! From granules that arguments name to locked ones in the state that a command needs.

use core::cmp::Ordering;

use granule::{
    GranuleAddr, GranuleError, GranuleGuard, GranuleState, RdState, RttState, State, Tracked,
};
use machine::{Memory, Slot};
use realm::Rmm;
use realm::rd::Rd;
use realm::rtt::{Format, Tree};

use super::cause::{Cause, Operand};

/// A locked Realm Descriptor.
pub(crate) type RdGuard<'t> = GranuleGuard<'t, RdState>;

/// A locked translation table.
pub(crate) type TableGuard<'t> = GranuleGuard<'t, RttState>;

/// A granule that an argument names: looked up, in whatever state.
#[derive(Clone, Copy, Debug)]
pub struct Named<'t> {
    operand: Operand,
    granule: Tracked<'t>,
}

impl<'t> Named<'t> {
    /// Checks alignment and bound of an argument, so that nothing of the granule's state is looked
    /// at yet.
    ///
    /// # Errors
    ///
    /// `Unaligned`, `Untracked`.
    #[inline]
    pub fn new<M>(rmm: &Rmm<'t, M>, operand: Operand, raw: u64) -> Result<Self, Cause> {
        let addr = GranuleAddr::new(raw).ok_or(Cause::Unaligned(operand))?;
        let granule = rmm.granules.find(addr).ok_or(Cause::Untracked(operand))?;
        Ok(Self { operand, granule })
    }

    /// The granule's address.
    pub fn addr(&self) -> GranuleAddr {
        self.granule.addr()
    }

    /// The cause if the granule is in another state than the command needs.
    pub(crate) fn in_wrong_state(&self) -> Cause {
        Cause::State(self.operand)
    }

    /// The cause if the granule could not be locked.
    fn refused(&self, error: GranuleError) -> Cause {
        match error {
            GranuleError::WrongState(GranuleState::Partial) => Cause::Blocked(self.operand),
            GranuleError::Unaligned
            | GranuleError::Untracked
            | GranuleError::WrongState(_)
            | GranuleError::Held
            | GranuleError::Alias => self.in_wrong_state(),
        }
    }

    /// Locks the granule if it is in state `S`.
    ///
    /// # Errors
    ///
    /// `State`; `Blocked` if an unfinished operation has it.
    #[inline]
    pub(crate) fn lock<S: State>(self) -> Result<GranuleGuard<'t, S>, Cause> {
        self.granule.lock().map_err(|error| self.refused(error))
    }
}

/// Locks two granules in ascending order of address, whatever their order as arguments: two
/// commands that name the same two cannot wait for each other.
///
/// # Errors
///
/// `State` or `Blocked` of whichever is in another state; the same granule twice is a wrong state
/// of the second.
#[inline(always)] // perf: its result is large (`data_create_unmeasured`).
pub(crate) fn pair<'t, A: State, B: State>(
    a: Named<'t>,
    b: Named<'t>,
) -> Result<(GranuleGuard<'t, A>, GranuleGuard<'t, B>), Cause> {
    match a.addr().cmp(&b.addr()) {
        Ordering::Less => {
            let first = a.lock()?;
            Ok((first, b.lock()?))
        }
        Ordering::Greater => {
            let second = b.lock()?;
            Ok((a.lock()?, second))
        }
        Ordering::Equal => Err(b.in_wrong_state()),
    }
}

/// The translation tables of the Realm whose descriptor is locked.
#[inline(always)] // perf: its result is large (`rtt_read_entry`).
pub(crate) fn tree_of<M: Memory>(rmm: &Rmm<'_, M>, rd: &mut RdGuard<'_>) -> Tree {
    rmm.machine.page(Slot::Rd, rd.exclusive()).view::<Rd>().tree()
}

/// Whether a granule's address fits the Realm's descriptors.
///
/// # Errors
///
/// `NotEncodable`.
pub(crate) fn encodable(format: Format, operand: Operand, addr: GranuleAddr) -> Result<(), Cause> {
    if format.can_hold(addr.as_u64()) { Ok(()) } else { Err(Cause::NotEncodable(operand)) }
}
