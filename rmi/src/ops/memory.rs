//! Memory of a Realm by ranges: pages and blocks, without contents that depend on the Host.

use granule::delegation;
use granule::{
    Budget, Data, GRANULE_SIZE, GranuleAddr, GranuleError, GranuleRange, GranuleState, RdState,
};
use machine::stage2::Stale;
use machine::{Memory, Slot, Stage2Tlb, Vcpu};
use realm::Rmm;
use realm::rd::{Rd, RealmState};
use realm::rtt::{Entry, Level, Position, Ripas, Tree};

use super::blocks::{Sink, Supply, Window};
use super::lock::encodable;
use super::sweep::{self, Entries};
use super::{Cause, Named, Operand, entry};

/// Most granules that are claimed or wiped between two looks for an interrupt, unless one entry has
/// more.
const GRANULES_AT_ONCE: u16 = 128;

/// The largest block of memory that a command makes or takes away in one piece.
///
/// A larger one takes longer than an interrupt may wait: its granules are claimed, or wiped, one by
/// one, and there is no answer that tells of a half of it. The Host makes a table, and folds it if
/// it likes (`docs/memory-and-locking.md`, "Blocks of 1 GiB").
const LARGEST_BLOCK: Level = Level::LAST_BLOCK;

/// Gives a Realm memory in `[base, top)`. Returns how far it got: at most to the end of one table.
///
/// The tables decide how it is mapped, not how `supply` cuts the memory: an entry without a table
/// below it becomes a block if the memory for it is contiguous, aligned and all DELEGATED. What is
/// mapped already, to the same memory, counts as done. No RIPAS changes.
///
/// # Errors
///
/// `State`, `RangeUnaligned`, `RangeEmpty`, `RangeBound`, `RealmState`; of the first entry:
/// `BaseUnaligned`, `NoProgress` if it needs a table, `EntryState` if it has other memory,
/// `OutputMissing`, `NotEncodable`, `Untracked`, `State`, `Busy`, and what `supply` says.
pub fn map<M: Memory + Vcpu>(
    rmm: &Rmm<'_, M>,
    rd: Named<'_>,
    base: u64,
    top: u64,
    supply: &mut impl Supply,
    budget: Budget,
) -> Result<u64, Cause> {
    let machine = rmm.machine;
    let mut rd = rd.lock::<RdState>()?;
    let mut page = machine.page(Slot::Rd, rd.exclusive());
    let rd: &mut Rd = page.view_mut();
    let tree = rd.tree();
    entry::protected_range(tree.space, base, top)?;
    if !matches!(rd.state(), RealmState::New | RealmState::Active) {
        return Err(Cause::RealmState);
    }
    let mut window = Window::new(supply);
    tree.walk(machine, &rmm.granules, base, Level::PAGE, |at| {
        let reached = sweep::fill(machine, &at, base, top, budget, |entries| {
            let (filled, granules) = map_entries(rmm, &tree, &at, entries, &mut window)?;
            rd.holdings.add_data(granules);
            Ok(filled)
        })?;
        machine.publish();
        Ok(reached)
    })
}

/// Maps the next memory of `window` at entries that are alike. Returns at how many, and how many
/// granules that takes: none if they are mapped already.
#[inline(always)]
fn map_entries<M: Memory, S: Supply>(
    rmm: &Rmm<'_, M>,
    tree: &Tree,
    at: &Position<'_, '_>,
    entries: Entries,
    window: &mut Window<'_, S>,
) -> Result<(u16, u64), Cause> {
    let machine = rmm.machine;
    let level = at.level;
    let size = level.entry_size();
    match at.entry_at(entries.first) {
        Entry::Unassigned(ripas) => {
            let block = window.front(size)?;
            // Before the Host makes a table in vain.
            encodable(tree.format, Operand::Data, block.pa)?;
            let most = block.entries(tree.format, level, entries.most.min(at_once(level)));
            if level < LARGEST_BLOCK || most == 0 || !level.is_aligned(block.pa.as_u64()) {
                return Err(Cause::NoProgress(level));
            }
            let range = range_of(block.pa, level, at.alike(entries.first, most));
            // Pages that are not to be had end the run; a block is had whole.
            let mut run = rmm.granules.try_lock_run(range, size / GRANULE_SIZE).map_err(refused)?;
            let granules = run.count();
            let Ok(filled) = u16::try_from(granules * GRANULE_SIZE / size) else {
                unreachable!("a run of more than a table")
            };
            machine.renew_code_run(Slot::Object, run.exclusive());
            at.set_alike(entries.first, filled, Entry::Assigned(ripas, block.pa));
            at.count_up(filled);
            rmm.granules.claim_run::<Data>(run);
            window.advance(u64::from(filled) * size);
            Ok((filled, granules))
        }
        Entry::Assigned(_, pa) => {
            let block = window.front(size)?;
            encodable(tree.format, Operand::Data, block.pa)?;
            let most = block.entries(tree.format, level, entries.most);
            if block.pa != pa || most == 0 {
                return Err(Cause::EntryState { level, next: 0 });
            }
            let there = at.alike(entries.first, most);
            window.advance(u64::from(there) * size);
            Ok((there, 0))
        }
        Entry::Table(_) | Entry::UnassignedNs | Entry::AssignedNs(..) => {
            Err(Cause::EntryState { level, next: 0 })
        }
    }
}

/// How many entries of `level` are claimed or wiped between two looks for an interrupt.
const fn at_once(level: Level) -> u16 {
    if level.is_page() { GRANULES_AT_ONCE } else { 1 }
}

/// Why memory for a Realm cannot be taken.
#[cold]
fn refused(error: GranuleError) -> Cause {
    match error {
        GranuleError::Untracked | GranuleError::Unaligned => Cause::Untracked(Operand::Data),
        GranuleError::WrongState(GranuleState::Partial) => Cause::Blocked(Operand::Data),
        GranuleError::WrongState(_) | GranuleError::Alias => Cause::State(Operand::Data),
        GranuleError::Held => Cause::Busy,
    }
}

/// The granules that `count` entries map, which are alike.
#[inline(always)]
fn range_of(pa: GranuleAddr, level: Level, count: u16) -> GranuleRange {
    let bytes = u64::from(count) * level.entry_size();
    match GranuleRange::new(pa.as_u64(), pa.as_u64() + bytes) {
        Ok(range) => range,
        Err(_) => unreachable!("memory of entries"),
    }
}

/// Takes a Realm's memory in `[base, top)` away. Returns how far it got: at most to the end of one
/// table. `sink` is told of what has been mapped there; the granules are DELEGATED again, and
/// wiped.
///
/// # Errors
///
/// `State`, `RangeUnaligned`, `RangeEmpty`, `RangeBound`; of the first entry, if it has memory:
/// `BaseUnaligned`, `NoProgress`.
pub fn unmap<M: Memory + Stage2Tlb + Vcpu>(
    rmm: &Rmm<'_, M>,
    rd: Named<'_>,
    base: u64,
    top: u64,
    sink: &mut impl Sink,
    budget: Budget,
) -> Result<u64, Cause> {
    let machine = rmm.machine;
    let mut rd = rd.lock::<RdState>()?;
    let mut page = machine.page(Slot::Rd, rd.exclusive());
    let rd: &mut Rd = page.view_mut();
    let tree = rd.tree();
    entry::protected_range(tree.space, base, top)?;
    tree.walk(machine, &rmm.granules, base, Level::PAGE, |at| {
        let reached = sweep::clear(machine, &at, base, top, budget, |entries| {
            let taken = unmap_entries(rmm, &tree, &at, entries, sink);
            rd.holdings.remove_data(u64::from(taken) * (at.level.entry_size() / GRANULE_SIZE));
            taken
        })?;
        machine.publish();
        Ok(reached)
    })
}

/// Takes the memory of entries away, as far as `sink` has room to be told of it, and makes it
/// DELEGATED. Returns how many.
#[inline(always)]
fn unmap_entries<M: Memory + Stage2Tlb>(
    rmm: &Rmm<'_, M>,
    tree: &Tree,
    at: &Position<'_, '_>,
    entries: Entries,
    sink: &mut impl Sink,
) -> u16 {
    if at.level < LARGEST_BLOCK {
        return 0;
    }
    let most = entries.most.min(at_once(at.level));
    let taken = block_access(rmm.machine, tree, at, Entries { most, ..entries }, sink);
    // Only now: no CPU reaches the memory any more.
    let mut done = 0;
    while done < taken {
        let first = entries.first + usize::from(done);
        let Entry::Assigned(left, pa) = at.entry_at(first) else {
            unreachable!("an entry that has been emptied by another")
        };
        let count = at.alike(first, taken - done);
        at.set_alike(first, count, Entry::Unassigned(left));
        let range = range_of(pa, at.level, count);
        delegation::release_run::<Data>(rmm.machine, &rmm.granules, range, tree.number);
        done += count;
    }
    at.count_down(taken);
    taken
}

/// Takes the Realm's access to memory away, at entries from the first on that `sink` has room for.
/// Returns how many. The entries keep their addresses.
#[inline(always)]
fn block_access<M: Memory + Stage2Tlb>(
    machine: &M,
    tree: &Tree,
    at: &Position<'_, '_>,
    Entries { first, ipa, most }: Entries,
    sink: &mut impl Sink,
) -> u16 {
    let level = at.level;
    let mut is_stale = false;
    let mut taken = 0;
    while taken < most {
        let next = first + usize::from(taken);
        let Entry::Assigned(ripas, pa) = at.entry_at(next) else { break };
        let count = sink.take(pa, level, at.alike(next, most - taken));
        if count == 0 {
            break;
        }
        if ripas == Ripas::Ram {
            at.set_alike(next, count, Entry::Assigned(Ripas::Destroyed, pa));
            is_stale = true;
        }
        taken += count;
    }
    if is_stale {
        let size = level.entry_size();
        let size_bytes = u64::from(taken) * size;
        let stale = Stale::Range { ipa, size_bytes, leaf_size_bytes: size };
        machine.invalidate(tree.vmid, stale);
    }
    taken
}
