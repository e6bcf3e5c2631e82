//! Passes over the entries of one table, for commands on ranges: what is common to both halves of
//! an address space.
//!
//! A command changes entries of the one table in which the walk to its base ends, from there on,
//! and reports how far it got. It fails only if it cannot do the first entry. At least one entry is
//! done whatever is pending.

use granule::Budget;
use machine::{GranuleShift, Memory, Vcpu};
use realm::rtt::{LevelOf, Position, scan};

use super::Cause;

/// Entries of a table, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entries {
    /// Index of the first.
    pub(super) first: usize,
    /// The address that it maps.
    pub(super) ipa: u64,
    /// How many may be changed: those up to the end of the range or of the table. At least one.
    pub(super) most: u16,
}

impl Entries {
    /// Those from `first` on that are in `[ipa, top)`, not more than `budget` has left.
    fn new<const SHIFT: u32>(
        level: LevelOf<SHIFT>,
        first: usize,
        ipa: u64,
        top: u64,
        left: u64,
    ) -> Option<Self> {
        let behind = level.entries().saturating_sub(first) as u64;
        let most = ((top - ipa) / level.entry_size()).min(left).min(behind);
        let most = u16::try_from(most).ok().filter(|most| *most != 0)?;
        Some(Self { first, ipa, most })
    }
}

/// Fills entries from `base` on. `fill` fills the first of the entries that it is given, as many as
/// it likes, at least one, and says how many; or why it cannot fill the first.
///
/// # Errors
///
/// `BaseUnaligned`; `NoProgress` if the first entry reaches past `top`; what `fill` says of the
/// first entry.
#[inline(always)]
pub(super) fn fill<M: Vcpu>(
    machine: &M,
    at: &Position<'_, '_>,
    base: u64,
    top: u64,
    budget: Budget,
    fill: impl FnMut(Entries) -> Result<u16, Cause>,
) -> Result<u64, Cause> {
    Pass::new(at, base, top, budget).fill(|done| budget.goes_on(done, machine), fill)
}

/// Takes mappings away from `base` on, stepping over what is not mapped. `take` is given entries
/// the first of which is mapped, takes as many away as it likes, and says how many: 0 if not even
/// the first can be.
///
/// Where nothing is mapped, neither the alignment of `base` nor the size of the entry matters.
///
/// # Errors
///
/// If the first entry is mapped: `BaseUnaligned`; `NoProgress` if it reaches past `top`, or `take`
/// takes nothing.
#[inline(always)]
pub(super) fn clear<M: Memory + Vcpu>(
    machine: &M,
    at: &Position<'_, '_>,
    base: u64,
    top: u64,
    budget: Budget,
    take: impl FnMut(Entries) -> u16,
) -> Result<u64, Cause> {
    let void_from = |index| void_from(machine, at, index);
    Pass::new(at, base, top, budget).clear(|done| budget.goes_on(done, machine), void_from, take)
}

/// How many entries from `index` on are not live.
fn void_from<M: Memory>(machine: &M, at: &Position<'_, '_>, index: usize) -> usize {
    if at.table.count() == 0 {
        return at.level.entries().saturating_sub(index);
    }
    let first_marked = |from, mark| machine.first_marked(at.words, from, mark);
    scan::until_live(at.level, index, first_marked)
}

/// A pass over `[base, top)` in a table of `level`, from the entry at `index` on.
#[derive(Clone, Copy, Debug)]
struct Pass<const SHIFT: u32, E> {
    level: LevelOf<SHIFT>,
    index: usize,
    base: u64,
    top: u64,
    /// Most entries to be done.
    units: u64,
    /// What to say if `base` is not aligned to the first entry.
    unaligned: E,
    /// What to say if the first entry reaches past `top`, or cannot be done.
    no_progress: E,
}

impl Pass<{ GranuleShift::OFFERED.bits() }, Cause> {
    #[inline(always)]
    fn new(at: &Position<'_, '_>, base: u64, top: u64, budget: Budget) -> Self {
        let (level, index, units) = (at.level, at.index, budget.units);
        let (unaligned, no_progress) = (Cause::BaseUnaligned(level), Cause::NoProgress(level));
        Self { level, index, base, top, units, unaligned, no_progress }
    }
}

impl<const SHIFT: u32, E: Copy> Pass<SHIFT, E> {
    /// [`fill`], as long as `goes_on` says so of the number of entries done.
    #[inline(always)]
    fn fill(
        self,
        goes_on: impl Fn(u64) -> bool,
        mut fill: impl FnMut(Entries) -> Result<u16, E>,
    ) -> Result<u64, E> {
        let Self { level, mut index, base, top, units, .. } = self;
        if !level.is_aligned(base) {
            return Err(self.unaligned);
        }
        let (mut reached, mut done) = (base, 0_u64);
        loop {
            let entries = Entries::new(level, index, reached, top, units.saturating_sub(done));
            match entries.ok_or(self.no_progress).and_then(&mut fill) {
                Ok(filled) => {
                    index += usize::from(filled);
                    reached += u64::from(filled) * level.entry_size();
                    done += u64::from(filled);
                }
                Err(cause) if reached == base => return Err(cause),
                // The Host's next call meets the same entry first.
                Err(_) => return Ok(reached),
            }
            if reached == top || index >= level.entries() || !goes_on(done) {
                return Ok(reached);
            }
        }
    }

    /// [`clear`], as long as `goes_on` says so of the number of entries done. `void_from` is how
    /// many entries from an index on are not live.
    #[inline(always)]
    fn clear(
        self,
        goes_on: impl Fn(u64) -> bool,
        void_from: impl Fn(usize) -> usize,
        mut take: impl FnMut(Entries) -> u16,
    ) -> Result<u64, E> {
        let Self { level, mut index, base, top, units, .. } = self;
        let size = level.entry_size();
        let (mut reached, mut done) = (base, 0_u64);
        loop {
            let void = void_from(index);
            if void != 0 {
                index += void;
                reached = top.min(level.align_down(reached) + void as u64 * size);
            }
            if reached == top || index >= level.entries() {
                return Ok(reached);
            }
            let taken = Entries::new(level, index, reached, top, units.saturating_sub(done))
                .filter(|_| level.is_aligned(reached))
                .map_or(0, &mut take);
            if taken == 0 {
                return if reached > base {
                    Ok(reached)
                } else if level.is_aligned(base) {
                    Err(self.no_progress)
                } else {
                    Err(self.unaligned)
                };
            }
            index += usize::from(taken);
            reached += u64::from(taken) * size;
            done += u64::from(taken);
            if reached == top || !goes_on(done) {
                return Ok(reached);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random and repeat with the seed (SplitMix64), below `limit`.
    fn below(seed: &mut u64, limit: u64) -> u64 {
        *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (*seed ^ *seed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % limit
    }

    fn index_below(seed: &mut u64, limit: usize) -> usize {
        usize::try_from(below(seed, limit as u64)).unwrap()
    }

    /// Why a pass cannot do its first entry.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Stop {
        Unaligned,
        NoProgress,
        Refused,
    }

    /// A table of granules of 2 to the power of SHIFT bytes, where `mapped` are; and a range that
    /// begins in it, in units of an entry's eighth: so that ends are unaligned now and then.
    struct Trial<const SHIFT: u32> {
        pass: Pass<SHIFT, Stop>,
        mapped: Vec<bool>,
        /// After so many entries an interrupt is pending.
        patience: u64,
        /// The entry that is refused.
        refused: usize,
    }

    impl<const SHIFT: u32> Trial<SHIFT> {
        fn new(seed: &mut u64) -> Self {
            let level = loop {
                let number = 3_u64.wrapping_sub(below(seed, 5)).cast_signed();
                if let Some(level) = LevelOf::new(number) {
                    break level;
                }
            };
            let eighth = level.entry_size() / 8;
            let entries = level.entries() as u64;
            let table = below(seed, 1 << 52 >> (level.shift() + entries.ilog2()));
            let aligned = below(seed, 4) != 0;
            let step = if aligned { 8 } else { 1 };
            let at = below(seed, entries * 8 / step) * step;
            // Mostly short, at times to the end of the table and past it.
            let reach = if below(seed, 4) == 0 { entries * 9 } else { 200 };
            let length = (1 + below(seed, reach / step)) * step;
            let base = table * entries * level.entry_size() + at * eighth;
            let index = level.index_of(base);
            let share = 1 + below(seed, 8);
            let mapped = (0..entries).map(|_| below(seed, 8) < share).collect();
            let units = [1, 7, entries, u64::MAX][index_below(seed, 4)];
            let (unaligned, no_progress) = (Stop::Unaligned, Stop::NoProgress);
            let top = base + length * eighth;
            Self {
                pass: Pass { level, index, base, top, units, unaligned, no_progress },
                mapped,
                patience: 1 + below(seed, 3 * entries),
                refused: index + index_below(seed, 300),
            }
        }

        /// Where each entry of the table begins, from the first that the range touches on.
        fn entries(&self) -> impl Iterator<Item = (usize, u64, u64)> {
            let Pass { level, index, base, .. } = self.pass;
            let size = level.entry_size();
            let first = base / size * size;
            (index..level.entries()).map(move |at| {
                let begin = first + (at - index) as u64 * size;
                (at, begin, begin + size)
            })
        }

        /// Entry by entry, as the text has it: how far it gets, and what has been filled.
        fn filled_one_by_one(&self) -> (Result<u64, Stop>, Vec<usize>) {
            let Pass { base, top, units, .. } = self.pass;
            let mut filled = Vec::new();
            let mut reached = base;
            for (index, begin, end) in self.entries() {
                let stop = if begin < base {
                    Some(Stop::Unaligned)
                } else if end > top {
                    Some(Stop::NoProgress)
                } else {
                    (index == self.refused).then_some(Stop::Refused)
                };
                if let Some(stop) = stop {
                    let first = filled.is_empty();
                    return (if first { Err(stop) } else { Ok(reached) }, filled);
                }
                filled.push(index);
                reached = end;
                let done = filled.len() as u64;
                if reached == top || done >= units || done >= self.patience {
                    break;
                }
            }
            (Ok(reached), filled)
        }

        fn taken_one_by_one(&self) -> (Result<u64, Stop>, Vec<usize>) {
            let Pass { base, top, units, .. } = self.pass;
            let (mut taken, mut reached) = (Vec::new(), base);
            for (index, begin, end) in self.entries() {
                if reached == top {
                    break;
                }
                if !self.mapped[index] {
                    reached = end.min(top);
                    continue;
                }
                if begin < base || end > top || index == self.refused {
                    let stop = if begin < base { Stop::Unaligned } else { Stop::NoProgress };
                    return (if reached > base { Ok(reached) } else { Err(stop) }, taken);
                }
                taken.push(index);
                reached = end;
                let done = taken.len() as u64;
                if done >= units || done >= self.patience {
                    break;
                }
            }
            (Ok(reached), taken)
        }
    }

    /// Filling several entries at once, with a budget and interrupts, is filling one by one.
    fn filling_is_filling_one_by_one<const SHIFT: u32>(seed: &mut u64) {
        let trial = Trial::<SHIFT>::new(seed);
        // One at a time: where an interrupt ends a pass, it is looked for after each.
        let mut filled = Vec::new();
        let reached = trial.pass.fill(
            |done| done < trial.pass.units && done < trial.patience,
            |entries| {
                let Entries { first, ipa, most } = entries;
                let Pass { level, top, .. } = trial.pass;
                assert_eq!((level.index_of(ipa), level.align_down(ipa)), (first, ipa));
                assert!(first + usize::from(most) <= level.entries());
                assert!(ipa + u64::from(most) * level.entry_size() <= top);
                if first == trial.refused {
                    return Err(Stop::Refused);
                }
                filled.push(first);
                Ok(1)
            },
        );
        assert_eq!((reached, filled), trial.filled_one_by_one(), "{:?}", trial.pass);
        let patient = Trial { patience: u64::MAX, ..trial };
        let mut filled = Vec::new();
        let reached = patient.pass.fill(
            |done| done < patient.pass.units,
            |Entries { first, most, .. }| {
                let most = usize::from(most).min(patient.refused.wrapping_sub(first));
                let count = if most > 1 { 1 + index_below(seed, most) } else { most };
                filled.extend(first..first + count);
                if count == 0 { Err(Stop::Refused) } else { Ok(u16::try_from(count).unwrap()) }
            },
        );
        assert_eq!((reached, filled), patient.filled_one_by_one(), "{:?}", patient.pass);
    }

    fn clearing_is_clearing_one_by_one<const SHIFT: u32>(seed: &mut u64) {
        let trial = Trial::<SHIFT>::new(seed);
        let void_from = |index: usize| {
            let entries = trial.mapped.get(index..).unwrap_or(&[]);
            entries.iter().position(|mapped| *mapped).unwrap_or(entries.len())
        };
        let mut taken = Vec::new();
        let reached = trial.pass.clear(
            |done| done < trial.pass.units && done < trial.patience,
            void_from,
            |Entries { first, .. }| {
                assert!(trial.mapped[first]);
                if first == trial.refused {
                    return 0;
                }
                taken.push(first);
                1
            },
        );
        assert_eq!((reached, taken), trial.taken_one_by_one(), "{:?}", trial.pass);
    }

    #[test]
    fn a_pass_is_its_entries_one_by_one_whatever_the_granule() {
        let mut seed = 1;
        for _ in 0..if cfg!(miri) { 3 } else { 2000 } {
            filling_is_filling_one_by_one::<12>(&mut seed);
            filling_is_filling_one_by_one::<14>(&mut seed);
            filling_is_filling_one_by_one::<16>(&mut seed);
            clearing_is_clearing_one_by_one::<12>(&mut seed);
            clearing_is_clearing_one_by_one::<14>(&mut seed);
            clearing_is_clearing_one_by_one::<16>(&mut seed);
        }
    }
}
