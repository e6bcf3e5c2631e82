//! Passes over the entries of one table, for commands on ranges: what is common to both halves of
//! an address space.
//!
//! A command changes entries of the one table in which the walk to its base ends, from there on,
//! and reports how far it got. It fails only if it cannot do the first entry. At least one entry is
//! done whatever is pending.

use granule::Budget;
use machine::{Memory, Vcpu};
use realm::rtt::Position;
use realm::rtt::scan;

use super::Cause;

/// Fills entries from `base` on. `fill` is given the index of each, and says why it cannot be
/// filled.
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
    mut fill: impl FnMut(usize) -> Result<(), Cause>,
) -> Result<u64, Cause> {
    let level = at.level;
    if !level.is_aligned(base) {
        return Err(Cause::BaseUnaligned(level));
    }
    let size = level.entry_size();
    let mut reached = base;
    for (done, index) in (1..).zip(at.index..scan::entries_at(level)) {
        let fits = top - reached >= size;
        match if fits { fill(index) } else { Err(Cause::NoProgress(level)) } {
            Ok(()) => reached += size,
            Err(cause) if reached == base => return Err(cause),
            // The Host's next call meets the same entry first.
            Err(_) => break,
        }
        if reached == top || !budget.goes_on(done, machine) {
            break;
        }
    }
    Ok(reached)
}

/// Entries with a mapping, one after the other in a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Live {
    /// Index of the first.
    pub(super) first: usize,
    /// The address that it maps.
    pub(super) ipa: u64,
    /// How many may be taken away: those up to the end of the range or of the table. At least one.
    pub(super) most: usize,
}

/// Takes mappings away from `base` on, stepping over what is not mapped. `take` does so with the
/// first of the entries that it is given, as many as it likes, and says how many: 0 if not even the
/// first can be.
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
    mut take: impl FnMut(Live) -> usize,
) -> Result<u64, Cause> {
    let level = at.level;
    let size = level.entry_size();
    let end = scan::entries_at(level);
    let (mut index, mut reached, mut done) = (at.index, base, 0_u64);
    loop {
        let void = void_from(machine, at, index);
        if void != 0 {
            index += void;
            reached = top.min(level.align_down(reached) + void as u64 * size);
        }
        if reached == top || index >= end {
            return Ok(reached);
        }
        let fitting = ((top - reached) / size).min(budget.units.saturating_sub(done));
        let most = usize::try_from(fitting).unwrap_or(end).min(end - index);
        let taken = if most == 0 || !level.is_aligned(reached) {
            0
        } else {
            take(Live { first: index, ipa: reached, most })
        };
        if taken == 0 {
            return if reached > base {
                Ok(reached)
            } else if level.is_aligned(base) {
                Err(Cause::NoProgress(level))
            } else {
                Err(Cause::BaseUnaligned(level))
            };
        }
        index += taken;
        reached += taken as u64 * size;
        done += taken as u64;
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
