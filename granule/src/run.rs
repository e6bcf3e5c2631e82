//! Locks on granules that follow each other, as many at a time as are in one state.
//!
//! While EL3 changes the granule protection table of a run, its locks are what tells other CPUs that the state is about to
//! change. Only the first lock of a run is waited for, holding nothing; the run ends before a granule that somebody else
//! holds. So no CPU that holds a run waits, and runs need no place in the order of locks.

use core::marker::PhantomData;
use core::sync::atomic::Ordering;

use machine::GranuleAddr;
use machine::memory::ExclusiveRun;

use crate::guard::{LOCKED, acquire, count_lock, history_in, is_in, state_of, word_in};
use crate::history::History;
use crate::state::{Delegated, GranuleState, InRealmPas, State, TransitionTo};
use crate::sync::AtomicU16;
use crate::table::GranuleError;

/// Exclusive hold on granules that follow each other, all known to be in state `S`; dropping it releases the locks.
#[must_use = "dropping the guard releases the granules"]
#[derive(Debug)]
pub struct RunGuard<'t, S: State> {
    words: &'t [AtomicU16],
    base: GranuleAddr,
    state: PhantomData<S>,
}

impl<'t, S: State> RunGuard<'t, S> {
    /// Locks the granules of `words`, up to the first that is in another state or that somebody holds. `base` is the address of
    /// the first, which is waited for.
    ///
    /// # Errors
    ///
    /// The state of the first granule, if it is another.
    #[inline(always)]
    pub(crate) fn lock(words: &'t [AtomicU16], base: GranuleAddr) -> Result<Self, GranuleState> {
        let Some((first, rest)) = words.split_first() else { unreachable!("an empty run") };
        let before = acquire(first);
        if !is_in::<S>(before) {
            first.store(before, Ordering::Release);
            return Err(state_of(before));
        }
        let more = rest.iter().take_while(|word| try_lock::<S>(word)).count();
        let words = words.get(..=more).unwrap_or(words);
        Ok(Self { words, base, state: PhantomData })
    }

    /// Locks all granules of `words`, waiting for none.
    ///
    /// # Errors
    ///
    /// `WrongState` or `Held`, of the first granule that is in another state or that somebody holds.
    #[inline(always)]
    pub(crate) fn try_lock_all(
        words: &'t [AtomicU16],
        base: GranuleAddr,
    ) -> Result<Self, GranuleError> {
        let locked = words.iter().take_while(|word| try_lock::<S>(word)).count();
        let run = Self { words: words.get(..locked).unwrap_or(words), base, state: PhantomData };
        match words.get(locked) {
            None => Ok(run),
            Some(other) => Err(why_not::<S>(other)),
        }
    }

    /// Locks all granules of `words`, which the caller knows to be in `S`: whoever holds one only looks at its state.
    ///
    /// # Panics
    ///
    /// If one is in another state.
    #[inline(always)]
    pub(crate) fn lock_known(words: &'t [AtomicU16], base: GranuleAddr) -> Self {
        for word in words {
            assert!(is_in::<S>(acquire(word)), "granule of a run in another state");
        }
        Self { words, base, state: PhantomData }
    }

    /// The first granule.
    pub fn base(&self) -> GranuleAddr {
        self.base
    }

    /// How many granules are held.
    pub fn count(&self) -> u64 {
        self.words.len() as u64
    }

    /// Moves the first `count` granules to `T` and lets them go, each with `bits` for a count. The rest stays held.
    #[inline(always)]
    pub(crate) fn commit<T: State>(&mut self, count: u64, bits: u16)
    where
        S: TransitionTo<T>,
    {
        let wanted = usize::try_from(count).unwrap_or(usize::MAX);
        let Some((done, rest)) = self.words.split_at_checked(wanted) else {
            unreachable!("a run is shorter than {count}")
        };
        for word in done {
            word.store(word_in::<T>(bits), Ordering::Release);
        }
        self.words = rest;
        if let Some(base) = self.base.add(count) {
            self.base = base;
        }
    }
}

/// Why [`try_lock`] has failed.
#[cold]
fn why_not<S: State>(word: &AtomicU16) -> GranuleError {
    let word = word.load(Ordering::Relaxed);
    if word & LOCKED != 0 || is_in::<S>(word) {
        GranuleError::Held
    } else {
        GranuleError::WrongState(state_of(word))
    }
}

/// Locks a granule if it is in `S` and nobody holds it.
#[inline(always)]
fn try_lock<S: State>(word: &AtomicU16) -> bool {
    let before = word.load(Ordering::Relaxed);
    if before & LOCKED != 0 || !is_in::<S>(before) {
        return false;
    }
    let locked =
        word.compare_exchange(before, before | LOCKED, Ordering::Acquire, Ordering::Relaxed);
    if locked.is_ok() {
        count_lock();
    }
    locked.is_ok()
}

impl RunGuard<'_, Delegated> {
    /// What the first granule was before.
    pub(crate) fn history(&self) -> History {
        self.words.first().map_or(History::FRESH, |word| history_in(word.load(Ordering::Relaxed)))
    }
}

impl<S: InRealmPas> RunGuard<'_, S> {
    /// Proof for the machine that the caller alone may touch the granules.
    pub fn exclusive(&mut self) -> ExclusiveRun<'_> {
        ExclusiveRun::new(self.base, self.count())
    }
}

impl<S: State> Drop for RunGuard<'_, S> {
    #[inline(always)]
    fn drop(&mut self) {
        for word in self.words {
            // Nobody else writes a word that is locked.
            word.store(word.load(Ordering::Relaxed) & !LOCKED, Ordering::Release);
        }
    }
}
