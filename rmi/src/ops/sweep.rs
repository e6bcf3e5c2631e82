//! Passes over the entries of one table, for commands on ranges: what is common to both halves of
//! an address space.
//!
//! A command changes entries of the one table in which the walk to its base ends, from there on,
//! and reports how far it got. It fails only if it cannot do the first entry. At least one entry is
//! done whatever is pending.

use granule::Budget;
use machine::{Memory, Vcpu};
use realm::rtt::{Level, Position, scan};

use super::Cause;

/// Entries of a table, one after the other.
#[derive(Clone, Copy, Debug)]
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
    fn new(level: Level, first: usize, ipa: u64, top: u64, left: u64) -> Option<Self> {
        let behind = scan::entries_at(level).saturating_sub(first) as u64;
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
    mut fill: impl FnMut(Entries) -> Result<u16, Cause>,
) -> Result<u64, Cause> {
    let level = at.level;
    if !level.is_aligned(base) {
        return Err(Cause::BaseUnaligned(level));
    }
    let (mut index, mut reached, mut done) = (at.index, base, 0_u64);
    loop {
        let left = budget.units.saturating_sub(done);
        let entries = Entries::new(level, index, reached, top, left);
        match entries.ok_or(Cause::NoProgress(level)).and_then(&mut fill) {
            Ok(filled) => {
                index += usize::from(filled);
                reached += u64::from(filled) * level.entry_size();
                done += u64::from(filled);
            }
            Err(cause) if reached == base => return Err(cause),
            // The Host's next call meets the same entry first.
            Err(_) => return Ok(reached),
        }
        if reached == top || index >= scan::entries_at(level) || !budget.goes_on(done, machine) {
            return Ok(reached);
        }
    }
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
    mut take: impl FnMut(Entries) -> u16,
) -> Result<u64, Cause> {
    let level = at.level;
    let size = level.entry_size();
    let (mut index, mut reached, mut done) = (at.index, base, 0_u64);
    loop {
        let void = void_from(machine, at, index);
        if void != 0 {
            index += void;
            reached = top.min(level.align_down(reached) + void as u64 * size);
        }
        if reached == top || index >= scan::entries_at(level) {
            return Ok(reached);
        }
        let left = budget.units.saturating_sub(done);
        let taken = Entries::new(level, index, reached, top, left)
            .filter(|_| level.is_aligned(reached))
            .map_or(0, &mut take);
        if taken == 0 {
            return if reached > base {
                Ok(reached)
            } else if level.is_aligned(base) {
                Err(Cause::NoProgress(level))
            } else {
                Err(Cause::BaseUnaligned(level))
            };
        }
        index += usize::from(taken);
        reached += u64::from(taken) * size;
        done += u64::from(taken);
        if reached == top || !budget.goes_on(done, machine) {
            return Ok(reached);
        }
    }
}

/// How many entries from `index` on are not live.
fn void_from<M: Memory>(machine: &M, at: &Position<'_, '_>, index: usize) -> usize {
    if at.table.count() == 0 {
        return scan::entries_at(at.level).saturating_sub(index);
    }
    let first_marked = |words: &_, from, mark| machine.first_marked(words, from, mark);
    scan::until_live(at.words, at.level, index, first_marked)
}
