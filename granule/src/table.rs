//! The table of granules: which physical addresses the monitor tracks, and the state of each.

use core::sync::atomic::Ordering;

use machine::dram::{self, BANKS_MAX, Bank, Banks};
use machine::{GRANULE_SIZE, GranuleAddr};

use crate::account::Account;
use crate::guard::{self, GranuleGuard};
use crate::range::GranuleRange;
use crate::run::RunGuard;
use crate::state::{Delegated, GranuleState, Partial, RecState, State, TransitionTo};
use crate::sync::AtomicU16;

/// Why a granule could not be locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GranuleError {
    /// The address is not 4 KiB aligned.
    Unaligned,
    /// The address is outside the DRAM that the monitor tracks.
    Untracked,
    /// The granule is in another state than the one asked for.
    WrongState(GranuleState),
    /// Two granule arguments are the same granule.
    Alias,
    /// Somebody holds the granule, who may be about to change its state.
    Held,
}

/// The words of one bank.
#[derive(Clone, Copy, Debug)]
struct Run<'t> {
    base: u64,
    words: &'t [AtomicU16],
}

impl<'t> Run<'t> {
    #[inline(always)]
    fn word(&self, pa: u64) -> Option<&'t AtomicU16> {
        // Below the base the difference is huge.
        let index = pa.wrapping_sub(self.base) / GRANULE_SIZE;
        self.words.get(usize::try_from(index).ok()?)
    }

    /// The words from the granule at `pa` to the end of the bank.
    #[inline(always)]
    fn words_from(&self, pa: u64) -> Option<&'t [AtomicU16]> {
        let index = pa.wrapping_sub(self.base) / GRANULE_SIZE;
        self.words.get(usize::try_from(index).ok()?..).filter(|words| !words.is_empty())
    }
}

/// A granule that the monitor tracks: looked up, and in whatever state.
#[derive(Clone, Copy, Debug)]
pub struct Tracked<'t> {
    word: &'t AtomicU16,
    addr: GranuleAddr,
}

impl<'t> Tracked<'t> {
    /// The granule's address.
    pub fn addr(&self) -> GranuleAddr {
        self.addr
    }

    /// Locks the granule if it is in state `S`.
    ///
    /// # Errors
    ///
    /// `WrongState` with the state it is in.
    #[inline(always)]
    pub fn lock<S: State>(self) -> Result<GranuleGuard<'t, S>, GranuleError> {
        GranuleGuard::lock(self.word, self.addr).map_err(GranuleError::WrongState)
    }
}

/// State and lock of each granule of DRAM.
#[derive(Debug)]
pub struct GranuleTable<'t> {
    /// The bank where most granules are: the lowest, unless another has more than twice its
    /// granules. Of two that are about as large the lower one is there on every model of a board,
    /// and small Hosts know no other.
    main: Run<'t>,
    /// The largest of the others: boards have memory below 4 GiB, and more above.
    second: Run<'t>,
    others: heapless::Vec<Run<'t>, BANKS_MAX>,
    account: Account,
    words: &'t [AtomicU16],
}

impl<'t> GranuleTable<'t> {
    /// A table over `banks`, one word a granule, all granules UNDELEGATED. `None` if `words` is too
    /// short.
    ///
    /// `words` must be zero: that is the encoding of UNDELEGATED, unlocked, count 0.
    pub fn new(banks: Banks, words: &'t [AtomicU16]) -> Option<Self> {
        let needed = usize::try_from(dram::granule_count(&banks)).ok()?;
        let (words, _) = words.split_at_checked(needed)?;
        let [mut main, mut second] = [Run { base: 0, words: &[] }; 2];
        let mut others = heapless::Vec::new();
        let mut rest = words;
        let mut banks = banks.iter().peekable();
        while let Some(&Bank { base, mut size_bytes }) = banks.next() {
            // Banks that touch are one: granules that follow each other are locked as a run.
            while let Some(next) = banks.next_if(|next| next.base == base + size_bytes) {
                size_bytes += next.size_bytes;
            }
            let count = usize::try_from(size_bytes / GRANULE_SIZE).ok()?;
            let (words, after) = rest.split_at_checked(count)?;
            rest = after;
            let mut run = Run { base, words };
            if count / 2 > main.words.len() || main.words.is_empty() {
                core::mem::swap(&mut main, &mut run);
            }
            if run.words.len() > second.words.len() {
                core::mem::swap(&mut second, &mut run);
            }
            others.push(run).ok()?;
        }
        let account = Account::new(words.len() as u64);
        Some(Self { main, second, others, account, words })
    }

    #[inline(always)]
    fn word(&self, addr: GranuleAddr) -> Option<&'t AtomicU16> {
        let pa = addr.as_u64();
        self.main.word(pa).or_else(|| self.word_of_second(pa))
    }

    #[cold]
    #[inline(never)]
    fn word_of_second(&self, pa: u64) -> Option<&'t AtomicU16> {
        self.second.word(pa).or_else(|| self.word_of_others(pa))
    }

    #[cold]
    #[inline(never)]
    fn word_of_others(&self, pa: u64) -> Option<&'t AtomicU16> {
        self.others.iter().find_map(|run| run.word(pa))
    }

    /// The words of the first granules of a range, as many as are in one bank; `None` if the first
    /// is not tracked.
    #[inline(always)]
    pub(crate) fn words_of(&self, range: GranuleRange) -> Option<&'t [AtomicU16]> {
        let pa = range.base().as_u64();
        let words = self.main.words_from(pa).or_else(|| self.words_of_second(pa))?;
        let count = usize::try_from(range.count()).ok()?;
        Some(words.get(..count).unwrap_or(words))
    }

    #[cold]
    #[inline(never)]
    fn words_of_second(&self, pa: u64) -> Option<&'t [AtomicU16]> {
        self.second.words_from(pa).or_else(|| self.words_of_others(pa))
    }

    #[cold]
    #[inline(never)]
    fn words_of_others(&self, pa: u64) -> Option<&'t [AtomicU16]> {
        self.others.iter().find_map(|run| run.words_from(pa))
    }

    /// How many granules at the beginning of a range are in state `S` at this instant, and held by
    /// nobody.
    pub fn leading<S: State>(&self, range: GranuleRange) -> u64 {
        let words = self.words_of(range).unwrap_or(&[]);
        let is_there = |word: &&AtomicU16| {
            let word = word.load(Ordering::Acquire);
            word & guard::LOCKED == 0 && guard::is_in::<S>(word)
        };
        words.iter().take_while(is_there).count() as u64
    }

    /// Locks granules of a range from its first one on, as many as follow each other in state `S`.
    ///
    /// # Errors
    ///
    /// `Untracked`, or `WrongState` with the state of the first granule.
    #[inline(always)]
    pub fn lock_run<S: State>(&self, range: GranuleRange) -> Result<RunGuard<'t, S>, GranuleError> {
        let words = self.words_of(range).ok_or(GranuleError::Untracked)?;
        RunGuard::lock(words, range.base()).map_err(GranuleError::WrongState)
    }

    /// Locks DELEGATED granules of a range from its first one on, as many as follow each other in
    /// one bank, and at least `least`, without waiting for any: for those who hold what others wait
    /// for.
    ///
    /// # Errors
    ///
    /// `Untracked`, `WrongState` with the state of the first granule in another one, or `Held`.
    #[inline(always)]
    pub fn try_lock_run(
        &self,
        range: GranuleRange,
        least: u64,
    ) -> Result<RunGuard<'t, Delegated>, GranuleError> {
        let words = self.words_of(range).ok_or(GranuleError::Untracked)?;
        if (words.len() as u64) < least {
            return Err(GranuleError::Untracked);
        }
        RunGuard::try_lock(words, range.base(), least)
    }

    /// Locks all granules of a range that are known to be in state `S`.
    ///
    /// # Panics
    ///
    /// If one is not.
    #[inline(always)]
    pub(crate) fn lock_known<S: State>(&self, range: GranuleRange) -> RunGuard<'t, S> {
        match self.words_of(range) {
            Some(words) if words.len() as u64 == range.count() => {
                RunGuard::lock_known(words, range.base())
            }
            _ => unreachable!("a run of known granules"),
        }
    }

    /// Gives DELEGATED granules a role, and lets them go.
    #[inline(always)]
    pub fn claim_run<T: State>(&self, mut run: RunGuard<'t, Delegated>)
    where
        Delegated: TransitionTo<T>,
    {
        let count = run.count();
        self.account.moved_run(Delegated::STATE, T::STATE, count);
        run.commit::<T>(count, 0);
    }

    /// Looks a granule up; `None` if the monitor does not track it (the specification's
    /// "delegable").
    #[inline(always)]
    pub fn find(&self, addr: GranuleAddr) -> Option<Tracked<'t>> {
        self.word(addr).map(|word| Tracked { word, addr })
    }

    /// Whether the monitor tracks the granule (the specification's "delegable").
    pub fn is_tracked(&self, addr: GranuleAddr) -> bool {
        self.word(addr).is_some()
    }

    /// State of a granule at this instant, without holding it; `None` if it is not tracked.
    pub fn peek(&self, addr: GranuleAddr) -> Option<GranuleState> {
        self.word(addr).map(|word| guard::state_of(word.load(Ordering::Acquire)))
    }

    /// The banks that the monitor tracks: first address, and first address past the end.
    pub fn banks(&self) -> impl Iterator<Item = core::ops::Range<u64>> {
        self.others
            .iter()
            .chain([&self.second, &self.main])
            .filter(|run| !run.words.is_empty())
            .map(|run| {
                let end = run.base + run.words.len() as u64 * GRANULE_SIZE;
                run.base..end
            })
    }

    /// Whether the granule is a REC that runs at this instant.
    pub fn is_running(&self, addr: GranuleAddr) -> bool {
        self.word(addr).is_some_and(|word| guard::is_running(word.load(Ordering::Acquire)))
    }

    /// How many granules are in each state.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Gives a DELEGATED granule a role.
    #[inline]
    pub fn claim<T: State>(&self, granule: GranuleGuard<'t, Delegated>) -> GranuleGuard<'t, T>
    where
        Delegated: TransitionTo<T>,
    {
        self.account.moved(Delegated::STATE, T::STATE);
        granule.transition()
    }

    /// Begins to take a REC apart.
    pub fn take_apart(&self, granule: GranuleGuard<'t, RecState>) -> GranuleGuard<'t, Partial> {
        self.account.moved(RecState::STATE, Partial::STATE);
        granule.transition()
    }

    /// Ends the building of a REC.
    pub fn complete(&self, granule: GranuleGuard<'t, Partial>) -> GranuleGuard<'t, RecState> {
        self.account.moved(Partial::STATE, RecState::STATE);
        granule.transition()
    }

    /// Locks one granule in state `S`.
    ///
    /// # Errors
    ///
    /// `Untracked`, or `WrongState` with the state it is in.
    #[inline]
    pub fn lock<S: State>(&self, addr: GranuleAddr) -> Result<GranuleGuard<'t, S>, GranuleError> {
        self.find(addr).ok_or(GranuleError::Untracked)?.lock()
    }

    /// How many granules are in each state, in the order of [`GranuleState::ALL`].
    ///
    /// A walk over the whole table: for reports, never for a command.
    pub fn census(&self) -> [u64; GranuleState::ALL.len()] {
        let mut counts = [0; GranuleState::ALL.len()];
        for word in self.words {
            let state = guard::state_of(word.load(Ordering::Relaxed));
            if let Some(count) = counts.get_mut(state as usize) {
                *count += 1;
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{RttState, Undelegated};

    fn table(words: &[AtomicU16]) -> GranuleTable<'_> {
        let mut banks = Banks::new();
        banks.push(Bank { base: 0x4000_0000, size_bytes: 0x4000 }).unwrap();
        banks.push(Bank { base: 0x8_8000_0000, size_bytes: 0x2000 }).unwrap();
        GranuleTable::new(banks, words).unwrap()
    }

    /// A run goes on where the memory does, however EL3 cuts it.
    #[test]
    fn banks_that_touch_are_one() {
        let words = words();
        let mut banks = Banks::new();
        for (base, size_bytes) in
            [(0x4000_0000, 0x2000), (0x4000_2000, 0x3000), (0x4000_6000, 0x1000)]
        {
            banks.push(Bank { base, size_bytes }).unwrap();
        }
        let table = GranuleTable::new(banks, &words).unwrap();
        let mut runs: Vec<_> = table.banks().collect();
        runs.sort_by_key(|run| run.start);
        assert_eq!(runs, [0x4000_0000..0x4000_5000, 0x4000_6000..0x4000_7000]);
        let range = GranuleRange::new(0x4000_0000, 0x4000_5000).unwrap();
        assert_eq!(table.lock_run::<Undelegated>(range).unwrap().count(), 5);
    }

    /// A granule is found in whatever bank it is, also when the main one is not the first.
    #[test]
    fn each_of_many_banks_is_looked_at() {
        let words = [const { AtomicU16::new(0) }; 9];
        let mut banks = Banks::new();
        for (base, size_bytes) in [
            (0x1000_0000, 0x1000),
            (0x2000_0000, 0x4000),
            (0x3000_0000, 0x1000),
            (0x4000_0000, 0x3000),
        ] {
            banks.push(Bank { base, size_bytes }).unwrap();
        }
        let table = GranuleTable::new(banks.clone(), &words).unwrap();
        assert_eq!(table.main.base, 0x2000_0000, "twice as large as the first");
        assert_eq!(table.second.base, 0x4000_0000);
        for Bank { base, size_bytes } in banks {
            for pa in (base..base + size_bytes).step_by(0x1000) {
                assert!(table.is_tracked(at(pa)), "{pa:#x}");
                let range = GranuleRange::new(pa, base + size_bytes).unwrap();
                let run = table.lock_run::<Undelegated>(range).unwrap();
                assert_eq!(run.count(), range.count(), "{pa:#x}");
            }
            assert!(!table.is_tracked(at(base + size_bytes)));
        }
    }

    fn words() -> [AtomicU16; 6] {
        [const { AtomicU16::new(0) }; 6]
    }

    fn at(pa: u64) -> GranuleAddr {
        GranuleAddr::new(pa).unwrap()
    }

    #[test]
    fn addresses_in_any_bank_are_tracked_and_others_are_not() {
        let words = words();
        let table = table(&words);
        assert!(table.is_tracked(at(0x4000_3000)));
        assert!(table.is_tracked(at(0x8_8000_1000)));
        assert!(!table.is_tracked(at(0x4000_4000)));
        assert!(!table.is_tracked(at(0x3fff_f000)));
        assert!(!table.is_tracked(at(0x8_8000_2000)));
    }

    #[test]
    fn a_transition_is_visible_after_unlock_and_only_in_its_own_granule() {
        let words = words();
        let table = table(&words);
        let granule = table.lock::<Undelegated>(at(0x4000_1000)).unwrap();
        granule.transition::<Delegated>().transition::<RttState>().unlock();
        assert_eq!(table.peek(at(0x4000_1000)), Some(GranuleState::Rtt));
        assert_eq!(table.peek(at(0x4000_2000)), Some(GranuleState::Undelegated));
        assert_eq!(
            table.lock::<Delegated>(at(0x4000_1000)).err(),
            Some(GranuleError::WrongState(GranuleState::Rtt))
        );
    }

    #[test]
    fn a_running_rec_keeps_its_count_while_others_lock_it() {
        let words = words();
        let table = table(&words);
        let rec = table.lock::<Undelegated>(at(0x4000_0000)).unwrap();
        let running = rec.transition::<Delegated>().transition::<RecState>().start_running();
        assert_eq!(table.lock::<RecState>(at(0x4000_0000)).unwrap().count(), 1);
        drop(running);
        assert_eq!(table.lock::<RecState>(at(0x4000_0000)).unwrap().count(), 0);
    }

    /// The lock orders what its holders do to anything else. (Miri runs this with weak memory.)
    #[test]
    fn a_holder_sees_what_the_last_one_did() {
        const TURNS: u64 = if cfg!(miri) { 40 } else { 10_000 };
        let words = words();
        let table = table(&words);
        let contents = core::sync::atomic::AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..TURNS {
                        let granule = table.lock::<Undelegated>(at(0x4000_1000)).unwrap();
                        let before = contents.load(Ordering::Relaxed);
                        contents.store(before + 1, Ordering::Relaxed);
                        granule.unlock();
                    }
                });
            }
        });
        assert_eq!(contents.load(Ordering::Relaxed), 2 * TURNS);
    }

    /// Whoever comes while a granule is held waits for it. (Without the pause it may come too late
    /// to wait.)
    #[test]
    fn a_held_granule_is_waited_for() {
        let words = words();
        let table = table(&words);
        let held = table.lock::<Undelegated>(at(0x4000_1000)).unwrap();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| table.lock::<Delegated>(at(0x4000_1000)).is_ok());
            std::thread::sleep(std::time::Duration::from_millis(50));
            assert!(!waits.is_finished());
            held.transition::<Delegated>().unlock();
            assert!(waits.join().unwrap(), "it sees the state that the holder left");
        });
    }

    #[test]
    fn the_census_adds_up_to_the_tracked_memory() {
        let words = words();
        let table = table(&words);
        table.lock::<Undelegated>(at(0x4000_1000)).unwrap().transition::<Delegated>().unlock();
        let census = table.census();
        assert_eq!(census.iter().sum::<u64>(), 6);
        assert_eq!(census.get(GranuleState::Delegated as usize), Some(&1));
    }

    #[test]
    fn too_few_words_make_no_table() {
        let words = words();
        let mut banks = Banks::new();
        banks.push(Bank { base: 0, size_bytes: 0x7000 }).unwrap();
        assert!(GranuleTable::new(banks, &words).is_none());
    }
}
