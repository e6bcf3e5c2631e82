//! Host memory at the unprotected addresses of a Realm.

use granule::{Budget, GranuleAddr, RdState};
use machine::stage2::Stale;
use machine::{Memory, Slot, Stage2Tlb, Vcpu};
use realm::Rmm;
use realm::rd::{Rd, RealmState};
use realm::rtt::{Entry, HostAttributes, Level, Position, Tree};

use super::blocks::{Sink, Supply, Window};
use super::lock::tree_of;
use super::sweep::{self, Entries};
use super::table::invalidate_entry;
use super::{Cause, Named, entry};

/// What a Host wants to show a Realm: an address of its own, and how it is mapped.
pub type Mapping = (GranuleAddr, HostAttributes);

/// Shows the Realm Host memory at an unprotected address. `mapping` reads what the Host asks for,
/// which depends on the format of the Realm's descriptors; `None` if its attributes are not those
/// that a Host may choose.
///
/// # Errors
///
/// `State`, `HostAttributes`, `LevelBound`, `OutputUnaligned`, `OutputBound`, `IpaUnaligned`,
/// `IpaBound`, `Walk`, `EntryState`.
// perf: two dialects call it, and neither should pay for that (`rtt_map_unprotected`).
#[inline(always)]
pub fn map<M: Memory>(
    rmm: &Rmm<'_, M>,
    rd: Named<'_>,
    ipa: u64,
    level: Option<Level>,
    mapping: impl FnOnce(&Tree) -> Option<Mapping>,
) -> Result<(), Cause> {
    let mut rd = rd.lock()?;
    let tree = tree_of(rmm, &mut rd);
    let (addr, attributes) = mapping(&tree).ok_or(Cause::HostAttributes)?;
    let level = entry::leaf_level(&tree, level)?;
    if !level.is_aligned(addr.as_u64()) {
        return Err(Cause::OutputUnaligned);
    }
    if !tree.format.can_hold(addr.as_u64()) {
        return Err(Cause::OutputBound);
    }
    entry::unprotected_entry(tree.space, ipa, level)?;
    tree.walk(rmm.machine, &rmm.granules, ipa, level, |at| {
        entry::reached(&at, level)?;
        if at.entry != Entry::UnassignedNs {
            return Err(Cause::EntryState { level: at.level, next: 0 });
        }
        at.set(Entry::AssignedNs(addr, attributes));
        at.count_up(1);
        rmm.machine.publish();
        Ok(())
    })
}

/// Takes Host memory away from the Realm. Returns where the Host may go on.
///
/// # Errors
///
/// `State`, `LevelBound`, `IpaUnaligned`, `IpaBound`; with `next`: `Walk`, `EntryState`.
// perf: two dialects call it, and neither should pay for that (`rtt_unmap_unprotected`).
#[inline(always)]
pub fn unmap<M: Memory + Stage2Tlb>(
    rmm: &Rmm<'_, M>,
    rd: Named<'_>,
    ipa: u64,
    level: Option<Level>,
) -> Result<u64, Cause> {
    let machine = rmm.machine;
    let mut rd = rd.lock()?;
    let tree = tree_of(rmm, &mut rd);
    let level = entry::leaf_level(&tree, level)?;
    entry::unprotected_entry(tree.space, ipa, level)?;
    tree.walk(machine, &rmm.granules, ipa, level, |at| {
        if at.level < level {
            return Err(Cause::Walk { level: at.level, next: at.walk_top(machine, ipa) });
        }
        if !matches!(at.entry, Entry::AssignedNs(..)) {
            return Err(Cause::EntryState { level: at.level, next: at.walk_top(machine, ipa) });
        }
        at.set(Entry::UnassignedNs);
        at.count_down(1);
        invalidate_entry(machine, &tree, &at, ipa);
        Ok(at.walk_top(machine, ipa))
    })
}

/// Shows the Realm Host memory in a range of unprotected addresses. Returns how far it got: at most
/// to the end of one table.
///
/// As with [`super::memory::map`], the tables decide how it is mapped. What is mapped already, to
/// the same memory with the same attributes, counts as done.
///
/// # Errors
///
/// `State`, `RangeUnaligned`, `RangeEmpty`, `RangeBound`, `RealmState`; of the first entry:
/// `BaseUnaligned`, `NoProgress` if it needs a table, `EntryState` if something else is mapped,
/// `OutputMissing`, `OutputBound`, and what `supply` says.
pub fn map_range<M: Memory + Vcpu>(
    rmm: &Rmm<'_, M>,
    rd: Named<'_>,
    (base, top): (u64, u64),
    attributes: HostAttributes,
    supply: &mut impl Supply,
    budget: Budget,
) -> Result<u64, Cause> {
    let machine = rmm.machine;
    let mut rd = rd.lock::<RdState>()?;
    let (tree, state) = {
        let page = machine.page(Slot::Rd, rd.exclusive());
        let rd: &Rd = page.view();
        (rd.tree(), rd.state())
    };
    entry::unprotected_range(tree.space, base, top)?;
    if !matches!(state, RealmState::New | RealmState::Active) {
        return Err(Cause::RealmState);
    }
    let mut window = Window::new(supply);
    tree.walk(machine, &rmm.granules, base, Level::PAGE, |at| {
        let reached = sweep::fill(machine, &at, base, top, budget, |entries| {
            map_entries(&tree, &at, entries, attributes, &mut window)
        })?;
        machine.publish();
        Ok(reached)
    })
}

/// Maps the next memory of `window` at entries that are alike; says at how many.
#[inline(always)]
fn map_entries<S: Supply>(
    tree: &Tree,
    at: &Position<'_, '_>,
    entries: Entries,
    attributes: HostAttributes,
    window: &mut Window<'_, S>,
) -> Result<u16, Cause> {
    let level = at.level;
    let size = level.entry_size();
    let there = at.entry_at(entries.first);
    if matches!(there, Entry::UnassignedNs) && !level.may_be_leaf() {
        return Err(Cause::NoProgress(level));
    }
    let block = window.front(size)?;
    // First, or the Host makes a table in vain.
    if !tree.format.can_hold(block.pa.as_u64()) {
        return Err(Cause::OutputBound);
    }
    let count = at.alike(entries.first, block.entries(tree.format, level, entries.most));
    let wanted = Entry::AssignedNs(block.pa, attributes);
    if there == Entry::UnassignedNs {
        if count == 0 || !level.is_aligned(block.pa.as_u64()) {
            return Err(Cause::NoProgress(level));
        }
        at.set_alike(entries.first, count, wanted);
        at.count_up(count);
    } else if there != wanted || count == 0 {
        return Err(Cause::EntryState { level, next: 0 });
    }
    window.advance(u64::from(count) * size);
    Ok(count)
}

/// Takes Host memory in a range of unprotected addresses away from the Realm. Returns how far it
/// got: at most to the end of one table. `sink` is told of what has been mapped there.
///
/// # Errors
///
/// `State`, `RangeUnaligned`, `RangeEmpty`, `RangeBound`; of the first entry, if it is mapped:
/// `BaseUnaligned`, `NoProgress`.
pub fn unmap_range<M: Memory + Stage2Tlb + Vcpu>(
    rmm: &Rmm<'_, M>,
    rd: Named<'_>,
    base: u64,
    top: u64,
    sink: &mut impl Sink,
    budget: Budget,
) -> Result<u64, Cause> {
    let machine = rmm.machine;
    let mut rd = rd.lock()?;
    let tree = tree_of(rmm, &mut rd);
    entry::unprotected_range(tree.space, base, top)?;
    tree.walk(machine, &rmm.granules, base, Level::PAGE, |at| {
        let level = at.level;
        let size = level.entry_size();
        sweep::clear(machine, &at, base, top, budget, |Entries { first, ipa, most }| {
            let mut taken = 0;
            while taken < most {
                let next = first + usize::from(taken);
                let Entry::AssignedNs(pa, _) = at.entry_at(next) else { break };
                let count = sink.take(pa, level, at.alike(next, most - taken));
                if count == 0 {
                    break;
                }
                at.set_alike(next, count, Entry::UnassignedNs);
                at.count_down(count);
                taken += count;
            }
            if taken != 0 {
                let size_bytes = u64::from(taken) * size;
                let stale = Stale::Range { ipa, size_bytes, leaf_size_bytes: size };
                machine.invalidate(tree.vmid, stale);
            }
            taken
        })
    })
}
