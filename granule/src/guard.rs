//! Locks on granules: holding one is the proof of the granule's state.
//!
//! One 16-bit word per granule carries the lock, the state and a reference count, so a lock costs
//! one atomic operation and the table 0.05 % of DRAM.

use core::cell::Cell;
use core::marker::PhantomData;
use core::mem;
use core::sync::atomic::Ordering;

use machine::GranuleAddr;
use machine::memory::{Exclusive, Shared};

use crate::history::History;
use crate::state::{Delegated, GranuleState, InRealmPas, RecState, State, TransitionTo};
use crate::sync::{AtomicU16, spin_loop};

/// Bit 15 of a granule's word: somebody holds it.
pub(crate) const LOCKED: u16 = 1 << 15;
/// Bits 14:10: the [`GranuleState`].
const STATE_SHIFT: u32 = 10;
const STATE_MASK: u16 = 0x1f;
/// Bits 9:0: the reference count, whose meaning depends on the state; of a DELEGATED granule its
/// [`History`].
const COUNT_MASK: u16 = 0x3ff;

/// Largest reference count of a granule.
pub const COUNT_MAX: u16 = COUNT_MASK;

/// The state in a granule's word. Only the guards write words, so an unknown number cannot occur.
#[inline(never)]
pub(crate) fn state_of(word: u16) -> GranuleState {
    let raw = ((word >> STATE_SHIFT) & STATE_MASK) as u8;
    match GranuleState::from_u8(raw) {
        Some(state) => state,
        None => unreachable!("granule word {word:#x}"),
    }
}

/// Whether a granule's word says that it is in state `S`.
#[inline(always)]
pub(crate) fn is_in<S: State>(word: u16) -> bool {
    word & STATE_MASK << STATE_SHIFT == (S::STATE as u16) << STATE_SHIFT
}

/// Whether a granule's word says that it is a REC that runs.
pub(crate) fn is_running(word: u16) -> bool {
    is_in::<RecState>(word) && word & COUNT_MASK != 0
}

/// The word of a granule in state `S` that nobody holds.
#[inline(always)]
pub(crate) fn word_in<S: State>(count: u16) -> u16 {
    (S::STATE as u16) << STATE_SHIFT | count
}

/// The history in the word of a DELEGATED granule.
pub(crate) fn history_in(word: u16) -> History {
    History::from_bits(word & COUNT_MASK)
}

/// How often any granule's lock has been taken.
#[cfg(feature = "count-locks")]
pub static LOCKS_TAKEN: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(0);

/// A granule's lock has been taken.
#[inline(always)]
pub(crate) fn count_lock() {
    #[cfg(feature = "count-locks")]
    LOCKS_TAKEN.fetch_add(1, Ordering::Relaxed);
}

/// Takes the lock bit of `word`, waiting as long as another CPU holds it; the word as it was.
#[inline(always)]
pub(crate) fn acquire(word: &AtomicU16) -> u16 {
    loop {
        let before = word.fetch_or(LOCKED, Ordering::Acquire);
        if before & LOCKED == 0 {
            count_lock();
            return before;
        }
        while word.load(Ordering::Relaxed) & LOCKED != 0 {
            spin_loop();
        }
    }
}

/// Exclusive hold on one granule known to be in state `S`; dropping it releases the lock.
#[must_use = "dropping the guard releases the granule"]
#[derive(Debug)]
pub struct GranuleGuard<'t, S: State> {
    word: &'t AtomicU16,
    addr: GranuleAddr,
    count: Cell<u16>,
    state: PhantomData<S>,
}

impl<'t, S: State> GranuleGuard<'t, S> {
    /// Locks `word` if the granule is in `S`; otherwise leaves it alone and says what it is.
    #[inline(always)]
    pub(crate) fn lock(word: &'t AtomicU16, addr: GranuleAddr) -> Result<Self, GranuleState> {
        let before = acquire(word);
        if !is_in::<S>(before) {
            word.store(before, Ordering::Release);
            return Err(state_of(before));
        }
        Ok(Self { word, addr, count: Cell::new(before & COUNT_MASK), state: PhantomData })
    }

    /// Address of the granule.
    pub fn addr(&self) -> GranuleAddr {
        self.addr
    }

    /// Reference count: Realm Execution Contexts of an RD, 1 for a running REC, live entries of an
    /// RTT.
    pub fn count(&self) -> u16 {
        self.count.get()
    }

    /// Sets the reference count that the granule has once released.
    ///
    /// # Panics
    ///
    /// If `count` is above [`COUNT_MAX`]; callers bound it by construction (512 entries, MAX_RECS).
    pub fn set_count(&self, count: u16) {
        assert!(count <= COUNT_MAX, "granule reference count");
        self.count.set(count);
    }

    /// Moves the granule to `T`, consuming the proof that it was in `S`. The count begins at 0.
    ///
    /// Callers outside this crate use [`crate::GranuleTable::claim`] or [`crate::delegation`],
    /// which also keep the account.
    pub(crate) fn transition<T: State>(self) -> GranuleGuard<'t, T>
    where
        S: TransitionTo<T>,
    {
        let next = GranuleGuard {
            word: self.word,
            addr: self.addr,
            count: Cell::new(0),
            state: PhantomData,
        };
        mem::forget(self);
        next
    }

    /// Releases the granule. The same as dropping the guard, for places where the order matters.
    pub fn unlock(self) {
        drop(self);
    }
}

impl GranuleGuard<'_, Delegated> {
    /// What the granule was before.
    pub fn history(&self) -> History {
        History::from_bits(self.count.get())
    }

    pub(crate) fn set_history(&self, history: History) {
        self.count.set(history.bits());
    }
}

impl<S: InRealmPas> GranuleGuard<'_, S> {
    /// Proof for the machine that the caller alone may touch the granule.
    ///
    /// # Panics
    ///
    /// If it is a REC that runs: its contents belong to the CPU that runs it, whoever has the lock.
    pub fn exclusive(&mut self) -> Exclusive<'_> {
        let running = matches!(S::STATE, GranuleState::Rec) && self.count.get() != 0;
        assert!(!running, "exclusive use of a running REC");
        Exclusive::new(self.addr)
    }

    /// Proof for the machine that the granule stays what it is while mapped.
    pub fn shared(&self) -> Shared<'_> {
        Shared::new(self.addr)
    }
}

impl<'t> GranuleGuard<'t, RecState> {
    /// Marks the REC as running (count 1) and releases the lock: others see it, nobody may change
    /// it.
    pub fn start_running(self) -> Running<'t> {
        self.count.set(1);
        Running { word: self.word, addr: self.addr }
    }
}

impl<S: State> Drop for GranuleGuard<'_, S> {
    #[inline(always)]
    fn drop(&mut self) {
        self.word.store(word_in::<S>(self.count.get()), Ordering::Release);
    }
}

/// A REC that runs: held by its count instead of its lock, so that other CPUs can see and refuse
/// it.
#[must_use = "dropping it ends the run"]
#[derive(Debug)]
pub struct Running<'t> {
    word: &'t AtomicU16,
    addr: GranuleAddr,
}

impl Running<'_> {
    /// Proof for the machine: a REC with a running count is changed by nobody else.
    pub fn exclusive(&mut self) -> Exclusive<'_> {
        Exclusive::new(self.addr)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // Lock first: a holder of the lock stores the whole word, and would lose a bare decrement.
        let before = acquire(self.word);
        self.word.store(before & !COUNT_MASK, Ordering::Release);
    }
}
