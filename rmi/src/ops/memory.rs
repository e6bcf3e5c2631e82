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
use super::sweep::{self, Live};
use super::{Cause, Named, Operand, entry};

/// Most granules that are wiped between two looks for an interrupt, unless one entry has more.
const WIPED_MAX: u64 = 128;

/// The largest block of memory that a command makes or takes away in one piece.
///
/// A larger one takes longer than an interrupt may wait: its granules are claimed, or wiped, one by
/// one, and there is no answer that tells of a half of it. The Host makes a table, and folds it if it
/// likes (`docs/memory-and-locking.md`, "Blocks of 1 GiB").
const LARGEST_BLOCK: Level = Level::SECOND_LEAF;

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
        let reached = sweep::fill(machine, &at, base, top, budget, |index| {
            let granules = map_entry(rmm, &tree, &at, index, &mut window)?;
            rd.holdings.add_data(granules);
            Ok(())
        })?;
        machine.publish();
        Ok(reached)
    })
}

/// Maps the next memory of `window` at one entry. Returns how many granules that takes: none if it
/// is mapped already.
#[inline(always)]
fn map_entry<M: Memory, S: Supply>(
    rmm: &Rmm<'_, M>,
    tree: &Tree,
    at: &Position<'_, '_>,
    index: usize,
    window: &mut Window<'_, S>,
) -> Result<u64, Cause> {
    let machine = rmm.machine;
    let level = at.level;
    let size = level.entry_size();
    match at.entry_at(index) {
        Entry::Unassigned(ripas) => {
            let block = window.front(size)?;
            // Before the Host makes a table in vain.
            encodable(tree.format, Operand::Data, block.pa)?;
            let fits = block.bytes >= size && level.is_aligned(block.pa.as_u64());
            if level < LARGEST_BLOCK || !fits {
                return Err(Cause::NoProgress(level));
            }
            let range = range_of(block.pa, level);
            let mut run = rmm.granules.try_lock_all(range).map_err(refused)?;
            machine.renew_code_run(Slot::Object, run.exclusive());
            at.set_at(index, Entry::Assigned(ripas, block.pa));
            at.count_up();
            rmm.granules.claim_run::<Data>(run);
            window.advance(size);
            Ok(range.count())
        }
        Entry::Assigned(_, pa) => {
            let block = window.front(size)?;
            encodable(tree.format, Operand::Data, block.pa)?;
            if block.pa != pa || block.bytes < size {
                return Err(Cause::EntryState { level, next: 0 });
            }
            window.advance(size);
            Ok(0)
        }
        Entry::Table(_) | Entry::UnassignedNs | Entry::AssignedNs(..) => {
            Err(Cause::EntryState { level, next: 0 })
        }
    }
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

/// The granules that one entry maps.
#[inline(always)]
fn range_of(pa: GranuleAddr, level: Level) -> GranuleRange {
    match GranuleRange::new(pa.as_u64(), pa.as_u64() + level.entry_size()) {
        Ok(range) => range,
        Err(_) => unreachable!("memory of an entry"),
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
        let reached = sweep::clear(machine, &at, base, top, budget, |live| {
            if at.level < LARGEST_BLOCK {
                return 0;
            }
            let taken = block_access(machine, &tree, &at, live, sink);
            give_back(rmm, &tree, &at, live.first, taken);
            rd.holdings.remove_data(taken as u64 * (at.level.entry_size() / GRANULE_SIZE));
            taken
        })?;
        machine.publish();
        Ok(reached)
    })
}

/// Takes the Realm's access to memory away, at entries from the first on that `sink` has room for.
/// Returns how many. The entries keep their addresses.
#[inline(always)]
fn block_access<M: Memory + Stage2Tlb>(
    machine: &M,
    tree: &Tree,
    at: &Position<'_, '_>,
    live: Live,
    sink: &mut impl Sink,
) -> usize {
    let level = at.level;
    let at_once = usize::try_from(WIPED_MAX * GRANULE_SIZE / level.entry_size()).unwrap_or(1);
    let mut is_stale = false;
    let mut taken = 0;
    while taken < live.most.min(at_once.max(1)) {
        let index = live.first + taken;
        let Entry::Assigned(ripas, pa) = at.entry_at(index) else { break };
        if !sink.take(pa, level) {
            break;
        }
        if ripas == Ripas::Ram {
            at.set_at(index, Entry::Assigned(Ripas::Destroyed, pa));
            is_stale = true;
        }
        taken += 1;
    }
    if is_stale {
        let size = level.entry_size();
        let size_bytes = taken as u64 * size;
        let stale = Stale::Range { ipa: live.ipa, size_bytes, leaf_size_bytes: size };
        machine.invalidate(tree.vmid, stale);
    }
    taken
}

/// Empties entries whose memory no CPU reaches any more, and makes it DELEGATED.
#[inline(always)]
fn give_back<M: Memory>(
    rmm: &Rmm<'_, M>,
    tree: &Tree,
    at: &Position<'_, '_>,
    first: usize,
    count: usize,
) {
    let size = at.level.entry_size();
    // Neighbours go back together.
    let mut run: Option<(GranuleAddr, u64)> = None;
    let release = |run: Option<(GranuleAddr, u64)>| {
        let Some((pa, bytes)) = run else { return };
        let Ok(range) = GranuleRange::new(pa.as_u64(), pa.as_u64() + bytes) else {
            unreachable!("memory of entries")
        };
        delegation::release_run::<Data>(rmm.machine, &rmm.granules, range, tree.number);
    };
    for index in first..first + count {
        let Entry::Assigned(left, pa) = at.entry_at(index) else {
            unreachable!("an entry that has been emptied by another")
        };
        at.set_at(index, Entry::Unassigned(left));
        at.count_down();
        run = match run {
            Some((base, bytes)) if base.as_u64() + bytes == pa.as_u64() => {
                Some((base, bytes + size))
            }
            other => {
                release(other);
                Some((pa, size))
            }
        };
    }
    release(run);
}
