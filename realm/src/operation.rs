//! Operations that need more than one call of the Host: what of them is kept between two calls.
//!
//! An operation has a slot in a fixed pool, whose number is its handle. What it builds or takes
//! apart is in a granule in state PARTIAL, and so is everything large: parameters, and which
//! granules the Host has given for it. A slot is small.
//!
//! Does not own: what the operations do (crate `rmi`, `ops::sro`).

use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU64, Ordering};

use granule::GranuleAddr;
use spin::{Mutex, MutexGuard};

/// Most operations that can be unfinished at the same time.
pub const OPERATIONS_MAX: usize = 64;

/// What an unfinished operation waits for: the one kind of call that takes it further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaits {
    /// The Host gives it memory: so many DELEGATED granules more, in any places. Only now can it be
    /// cancelled.
    Donation {
        /// How many granules are missing.
        granules: u64,
    },
    /// The Host takes memory back.
    Reclaim,
    /// The Host lets it go on.
    Continue,
}

impl Awaits {
    /// Whether the Host may cancel the operation. Any operation that asks for memory must be: the
    /// Host may have none.
    pub const fn is_cancellable(self) -> bool {
        matches!(self, Self::Donation { .. })
    }
}

/// Which operation it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A REC is made.
    RecCreate,
    /// A REC is ended.
    RecDestroy,
}

/// Why an operation will fail, once the Host has its memory back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abort {
    /// The Realm is not NEW any more.
    RealmState,
    /// The Host gave a granule that cannot be used, and goes on without another one.
    Donation,
    /// The Host wishes so.
    Cancelled,
}

/// An operation between two calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// Which operation it is.
    pub work: Work,
    /// The granule in state PARTIAL.
    pub object: GranuleAddr,
    /// What it waits for.
    pub awaits: Awaits,
    /// Granules of the Host's that it holds besides the object.
    pub held: u64,
    /// Whether the last donation failed: the Host may go on without another one then.
    pub donation_failed: bool,
    /// Why it will fail, if it will.
    pub abort: Option<Abort>,
}

impl Unfinished {
    /// An operation that begins.
    pub const fn new(work: Work, object: GranuleAddr, awaits: Awaits, held: u64) -> Self {
        Self { work, object, awaits, held, donation_failed: false, abort: None }
    }
}

/// Why a handle cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandleError {
    /// No operation has it.
    Unknown,
    /// Another CPU works on the operation now.
    InUse,
}

/// Why there is no slot for an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoSlot {
    /// Another CPU works on some operation, which may be its last step.
    Now,
    /// All slots have operations that wait for the Host.
    Waiting,
}

/// The pool of all operations.
///
/// A slot is locked by the CPU that works on its operation, as long as it does, and no other waits
/// for it: so granules may be locked under it, and it may be taken under locks of granules.
#[derive(Debug)]
pub struct Operations {
    /// A bit per slot that is not free. Apart from the slots, so that a search for a free one
    /// touches the lock of none: a CPU that uses its handle must not be told that it is in use.
    taken: AtomicU64,
    slots: [Mutex<Option<Unfinished>>; OPERATIONS_MAX],
}

const _: () = assert!(OPERATIONS_MAX == u64::BITS as usize);

impl Operations {
    /// No operation.
    pub const fn new() -> Self {
        Self { taken: AtomicU64::new(0), slots: [const { Mutex::new(None) }; OPERATIONS_MAX] }
    }

    /// Takes the lowest free slot. It is free again when dropped, unless [`Reserved::begin`] was
    /// called.
    ///
    /// Handles carry nothing but the number, and begin at 0: there are Hosts that pass 0 whatever
    /// they were given, and work as long as they have one operation at a time.
    ///
    /// # Errors
    ///
    /// `Now` if a slot may be about to become free; else `Waiting`.
    pub fn reserve(&self) -> Result<Reserved<'_>, NoSlot> {
        let lowest = |taken: u64| (taken != u64::MAX).then(|| taken | (taken + 1));
        match self.taken.fetch_update(Ordering::AcqRel, Ordering::Relaxed, lowest) {
            Ok(before) => {
                let handle = before.trailing_ones();
                Ok(Reserved { operations: self, handle })
            }
            Err(_) if self.slots.iter().any(Mutex::is_locked) => Err(NoSlot::Now),
            Err(_) => Err(NoSlot::Waiting),
        }
    }

    /// Takes the operation with this handle, for as long as the result lives.
    ///
    /// # Errors
    ///
    /// `Unknown`, `InUse`.
    pub fn enter(&self, handle: u64) -> Result<Entered<'_>, HandleError> {
        let number = u32::try_from(handle).map_err(|_| HandleError::Unknown)?;
        let slot = self.slot(number).ok_or(HandleError::Unknown)?;
        let slot = slot.try_lock().ok_or(HandleError::InUse)?;
        if slot.is_none() {
            return Err(HandleError::Unknown);
        }
        Ok(Entered { operations: self, slot, handle: number })
    }

    fn slot(&self, handle: u32) -> Option<&Mutex<Option<Unfinished>>> {
        self.slots.get(usize::try_from(handle).ok()?)
    }

    fn free(&self, handle: u32) {
        self.taken.fetch_and(!(1 << handle), Ordering::AcqRel);
    }

    /// Whether no operation is unfinished.
    pub fn is_idle(&self) -> bool {
        self.taken.load(Ordering::Acquire) == 0
    }

    /// All operations with their handles, while no CPU works on any: for tests.
    pub fn waiting(&self) -> impl Iterator<Item = (u64, Unfinished)> {
        (0..).zip(&self.slots).filter_map(|(handle, slot)| Some((handle, (*slot.try_lock()?)?)))
    }
}

impl Default for Operations {
    fn default() -> Self {
        Self::new()
    }
}

/// A slot for an operation that begins.
#[must_use = "dropping the reservation frees the slot"]
#[derive(Debug)]
pub struct Reserved<'s> {
    operations: &'s Operations,
    handle: u32,
}

impl Reserved<'_> {
    /// The operation exists now. Returns its handle.
    pub fn begin(self, unfinished: Unfinished) -> u64 {
        if let Some(slot) = self.operations.slot(self.handle) {
            // Whoever guesses the handle now finds no operation, and is gone at once.
            *slot.lock() = Some(unfinished);
        }
        let handle = u64::from(self.handle);
        core::mem::forget(self);
        handle
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.operations.free(self.handle);
    }
}

/// An operation on which this CPU works.
#[derive(Debug)]
pub struct Entered<'s> {
    operations: &'s Operations,
    slot: MutexGuard<'s, Option<Unfinished>>,
    handle: u32,
}

impl Entered<'_> {
    /// The operation is over: its handle means nothing any more.
    pub fn end(self) {
        let Self { operations, mut slot, handle } = self;
        *slot = None;
        // The slot is unlocked before it is free: its next user finds it so.
        drop(slot);
        operations.free(handle);
    }
}

impl Deref for Entered<'_> {
    type Target = Unfinished;

    fn deref(&self) -> &Unfinished {
        match &*self.slot {
            Some(unfinished) => unfinished,
            None => unreachable!("an entered slot has an operation"),
        }
    }
}

impl DerefMut for Entered<'_> {
    fn deref_mut(&mut self) -> &mut Unfinished {
        match &mut *self.slot {
            Some(unfinished) => unfinished,
            None => unreachable!("an entered slot has an operation"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(operations: &Operations) -> Result<u64, NoSlot> {
        let object = GranuleAddr::containing(0x8000_0000);
        let unfinished = Unfinished::new(Work::RecCreate, object, Awaits::Continue, 0);
        Ok(operations.reserve()?.begin(unfinished))
    }

    #[test]
    fn the_lowest_free_handle_is_given_first() {
        let operations = Operations::new();
        assert_eq!(
            [begin(&operations), begin(&operations), begin(&operations)],
            [Ok(0), Ok(1), Ok(2)]
        );
        operations.enter(1).unwrap().end();
        assert_eq!(operations.enter(1).err(), Some(HandleError::Unknown));
        assert_eq!(begin(&operations), Ok(1));
        assert_eq!(operations.waiting().map(|(handle, _)| handle).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn a_reservation_that_comes_to_nothing_keeps_no_slot() {
        let operations = Operations::new();
        drop(operations.reserve().unwrap());
        assert!(operations.is_idle());
        assert_eq!(begin(&operations), Ok(0));
        assert!(!operations.is_idle());
    }

    #[test]
    fn a_handle_is_used_by_one_cpu_at_a_time() {
        let operations = Operations::new();
        begin(&operations).unwrap();
        let entered = operations.enter(0).unwrap();
        assert_eq!(operations.enter(0).err(), Some(HandleError::InUse));
        assert!(!operations.is_idle());
        drop(entered);
        assert!(operations.enter(0).is_ok());
        for handle in [1, OPERATIONS_MAX as u64, u64::MAX] {
            assert_eq!(operations.enter(handle).err(), Some(HandleError::Unknown));
        }
    }

    #[test]
    fn a_full_pool_tells_whether_waiting_helps() {
        let operations = Operations::new();
        for _ in 0..OPERATIONS_MAX {
            begin(&operations).unwrap();
        }
        assert_eq!(begin(&operations), Err(NoSlot::Waiting));
        let entered = operations.enter(5).unwrap();
        assert_eq!(begin(&operations), Err(NoSlot::Now));
        entered.end();
        assert_eq!(begin(&operations), Ok(5));
    }
}
