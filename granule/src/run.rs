//! Locks on granules that follow each other, as many at a time as are in one state.
//!
//! While EL3 changes the granule protection table of a run, its locks are what tells other CPUs
//! that the state is about to change. Only the first lock of a run is waited for, holding nothing;
//! the run ends before a granule that somebody else holds. So no CPU that holds a run waits, and
//! runs need no place in the order of locks.

use core::marker::PhantomData;
use core::sync::atomic::Ordering;

use machine::GranuleAddr;
use machine::memory::ExclusiveRun;

use crate::guard::{LOCKED, acquire, count_lock, history_in, is_in, state_of, word_in};
use crate::history::History;
use crate::state::{Delegated, GranuleState, InRealmPas, State, TransitionTo};
use crate::sync::{AtomicU16, fence};
use crate::table::GranuleError;

/// Exclusive hold on granules that follow each other, all known to be in state `S`; dropping it
/// releases the locks.
#[must_use = "dropping the guard releases the granules"]
#[derive(Debug)]
pub struct RunGuard<'t, S: State> {
    words: &'t [AtomicU16],
    base: GranuleAddr,
    state: PhantomData<S>,
}

impl<'t, S: State> RunGuard<'t, S> {
    /// Locks the granules of `words`, up to the first that is in another state or that somebody
    /// holds. `base` is the address of the first, which is waited for.
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
        let more = try_lock_leading::<S>(rest);
        let words = words.get(..=more).unwrap_or(words);
        Ok(Self { words, base, state: PhantomData })
    }

    /// Locks granules of `words` from the first on, as many as can be locked without waiting, and
    /// at least `least` of them.
    ///
    /// # Errors
    ///
    /// `WrongState` or `Held`, of the first granule that is in another state or that somebody
    /// holds.
    #[inline(always)]
    pub(crate) fn try_lock(
        words: &'t [AtomicU16],
        base: GranuleAddr,
        least: u64,
    ) -> Result<Self, GranuleError> {
        let locked = try_lock_leading::<S>(words);
        let run = Self { words: words.get(..locked).unwrap_or(words), base, state: PhantomData };
        match words.get(locked) {
            Some(other) if run.count() < least => Err(why_not::<S>(other)),
            _ => Ok(run),
        }
    }

    /// Locks all granules of `words`, which the caller knows to be in `S`: whoever holds one only
    /// looks at its state.
    ///
    /// # Panics
    ///
    /// If one is in another state.
    #[inline(always)]
    pub(crate) fn lock_known(words: &'t [AtomicU16], base: GranuleAddr) -> Self {
        let known = try_lock_leading::<S>(words);
        for word in words.iter().skip(known) {
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

    /// Moves the first `count` granules to `T` and lets them go, each with `bits` for a count. The
    /// rest stays held.
    #[inline(always)]
    pub(crate) fn commit<T: State>(&mut self, count: u64, bits: u16)
    where
        S: TransitionTo<T>,
    {
        let wanted = usize::try_from(count).unwrap_or(usize::MAX);
        let Some((done, rest)) = self.words.split_at_checked(wanted) else {
            unreachable!("a run is shorter than {count}")
        };
        release(done, |_| word_in::<T>(bits));
        self.words = rest;
        // There is no address after the last run of all memory, and nothing left to be at it.
        self.base = self.base.add(count).unwrap_or(self.base);
    }
}

/// Granules that are looked at together: most of a run is in the state that is asked for.
const GROUP: usize = 8;

/// Locks granules as long as they are in `S` and nobody holds them; how many.
#[inline(always)]
fn try_lock_leading<S: State>(words: &[AtomicU16]) -> usize {
    let (groups, _) = words.as_chunks::<GROUP>();
    let locked = groups.iter().take_while(|group| try_lock_group::<S>(group)).count() * GROUP;
    let rest = words.get(locked..).unwrap_or(&[]);
    locked + rest.iter().take_while(|word| try_lock::<S>(word)).count()
}

/// Locks all granules of a group if they are in `S` and nobody holds them, else none.
#[inline(always)]
fn try_lock_group<S: State>(group: &[AtomicU16; GROUP]) -> bool {
    // Setting the bit in a word that somebody else has locked changes nothing.
    let before = group.each_ref().map(|word| word.fetch_or(LOCKED, Ordering::Acquire));
    let is_free = |word: u16| word & LOCKED == 0;
    if before.iter().all(|&word| is_free(word) & is_in::<S>(word)) {
        before.iter().for_each(|_| count_lock());
        return true;
    }
    for (word, before) in group.iter().zip(before).filter(|(_, before)| is_free(*before)) {
        word.store(before, Ordering::Release);
    }
    false
}

/// Unlocks granules: each word becomes what `unlocked` makes of it.
#[inline(always)]
fn release(words: &[AtomicU16], unlocked: impl Fn(&AtomicU16) -> u16) {
    // perf: one barrier for all, and stores that can be written side by side (`data_map_2m_block`).
    fence(Ordering::Release);
    let store = |word: &AtomicU16| word.store(unlocked(word), Ordering::Relaxed);
    let (groups, rest) = words.as_chunks::<GROUP>();
    groups.iter().for_each(|group| group.iter().for_each(store));
    rest.iter().for_each(store);
}

/// Why [`try_lock`] has failed.
///
/// A granule in another state is refused for that, also while somebody holds it: until the lock
/// goes it is what it was. And who holds it may be the caller itself, for whom waiting would never
/// end.
#[cold]
fn why_not<S: State>(word: &AtomicU16) -> GranuleError {
    let word = word.load(Ordering::Relaxed);
    if is_in::<S>(word) { GranuleError::Held } else { GranuleError::WrongState(state_of(word)) }
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
    locked.inspect(|_| count_lock()).is_ok()
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
        // Nobody else writes a word that is locked.
        release(self.words, |word| word.load(Ordering::Relaxed) & !LOCKED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::range::GranuleRange;
    use crate::state::{Data, Undelegated};
    use crate::table::GranuleTable;
    use machine::dram::{Bank, Banks};

    const BASE: u64 = 0x4000_0000;
    const COUNT: usize = 40;

    fn table(words: &[AtomicU16]) -> GranuleTable<'_> {
        let mut banks = Banks::new();
        banks.push(Bank { base: BASE, size_bytes: COUNT as u64 * 0x1000 }).unwrap();
        GranuleTable::new(banks, words).unwrap()
    }

    fn words() -> [AtomicU16; COUNT] {
        [const { AtomicU16::new(0) }; COUNT]
    }

    fn range(first: u64, count: u64) -> GranuleRange {
        let base = BASE + first * 0x1000;
        GranuleRange::new(base, base + count * 0x1000).unwrap()
    }

    fn at(number: u64) -> GranuleAddr {
        range(number, 1).base()
    }

    /// Wherever the granule stands in its group.
    #[test]
    fn a_run_ends_before_another_state_and_before_what_somebody_holds() {
        for odd in 1..COUNT as u64 {
            let words = words();
            let table = table(&words);
            let held = table.lock::<Undelegated>(at(odd)).unwrap();
            let run = table.lock_run::<Undelegated>(range(0, COUNT as u64)).unwrap();
            assert_eq!(run.count(), odd);
            drop(run);
            held.transition::<Delegated>().unlock();
            let mut run = table.lock_run::<Undelegated>(range(0, COUNT as u64)).unwrap();
            assert_eq!(run.count(), odd);
            run.commit::<Delegated>(odd / 2, 5);
            assert_eq!((run.count(), run.base()), (odd - odd / 2, at(odd / 2)));
            drop(run);
            for number in 0..odd {
                let word = words[usize::try_from(number).unwrap()].load(Ordering::Relaxed);
                let expected = if number < odd / 2 { word_in::<Delegated>(5) } else { 0 };
                assert_eq!(word, expected, "{number} of {odd}");
            }
        }
    }

    #[test]
    fn all_of_a_range_or_none_or_as_many_as_follow() {
        let words = words();
        let table = table(&words);
        let mut run = table.lock_run::<Undelegated>(range(0, 30)).unwrap();
        run.commit::<Delegated>(30, 9);
        table.account().moved_run(GranuleState::Undelegated, GranuleState::Delegated, 30);
        for number in [0, 3, 8, 29] {
            let held = table.lock::<Delegated>(at(number)).unwrap();
            assert_eq!(table.try_lock_run(range(0, 30), 30).err(), Some(GranuleError::Held));
            let part = table.try_lock_run(range(0, 30), 3).map(|run| run.count());
            assert_eq!(part.ok(), Some(number).filter(|number| *number >= 3), "as many as follow");
            drop(held);
        }
        let other = GranuleError::WrongState(GranuleState::Undelegated);
        assert_eq!(table.try_lock_run(range(20, 11), 11).err(), Some(other));
        assert_eq!(table.try_lock_run(range(20, 11), 10).map(|run| run.count()), Ok(10));
        let untracked = Some(GranuleError::Untracked);
        assert_eq!(table.try_lock_run(range(30, 11), 11).err(), untracked);
        assert_eq!(table.try_lock_run(range(COUNT as u64, 1), 1).err(), untracked);
        let held = table.lock::<Undelegated>(at(30)).unwrap();
        assert_eq!(table.try_lock_run(range(20, 11), 11).err(), Some(other), "held or not");
        drop(held);
        let free = |word: &AtomicU16| word.load(Ordering::Relaxed) == word_in::<Delegated>(9);
        assert!(words.iter().take(30).all(free), "a refusal changes nothing");
        table.claim_run::<Data>(table.try_lock_run(range(0, 30), 30).unwrap());
        assert_eq!(table.peek(at(29)), Some(GranuleState::Data));
        assert_eq!(table.account().granules(), table.census());
    }
}
