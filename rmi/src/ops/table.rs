//! Translation tables of a Realm: linked, folded, taken away, read.

use granule::delegation;
use granule::{Delegated, GranuleAddr, RdState, RttState};
use machine::stage2::Stale;
use machine::{Event, Log, Memory, Slot, Stage2Tlb};
use realm::Rmm;
use realm::rd::Rd;
use realm::rtt::{Entry, Format, Level, Position, Ripas, Tree, scan, tree};

use super::data::Taken;
use super::lock::{self, TableGuard, encodable, tree_of};
use super::{Cause, Named, Operand, entry};

/// Links a table below an entry; what the entry said is spread over the table (unfolding).
///
/// # Errors
///
/// `State`, `LevelBound`, `IpaUnaligned`, `IpaBound`, `NotEncodable`, `Walk`, `EntryState`.
pub fn create<M: Memory + Stage2Tlb>(
    rmm: &Rmm<'_, M>,
    rd: Named<'_>,
    table: Named<'_>,
    ipa: u64,
    level: Option<Level>,
) -> Result<(), Cause> {
    let machine = rmm.machine;
    let (mut table, mut rd) = lock::pair::<Delegated, RdState>(table, rd)?;
    let mut page = machine.page(Slot::Rd, rd.exclusive());
    let rd: &mut Rd = page.view_mut();
    let tree = rd.tree();
    let (parent, level) = entry::table_level(&tree, level)?;
    entry::entry_ipa(tree.space, ipa, parent)?;
    encodable(tree.format, Operand::Rtt, table.addr())?;
    let addr = table.addr();
    let count = tree.walk(machine, &rmm.granules, ipa, parent, |at| {
        entry::reached(&at, parent)?;
        if matches!(at.entry, Entry::Table(_)) {
            return Err(Cause::EntryState { level: at.level, next: 0 });
        }
        if at.entry.is_valid() {
            // Break before make: no walker may see the block and the table at once.
            at.set(Entry::Unassigned(Ripas::Empty));
            invalidate_entry(machine, &tree, &at, ipa);
        }
        let filling = scan::Filling::new(at.entry, level, tree.format);
        // The table is complete before a walker can reach it. A DELEGATED granule is all zero.
        if !filling.is_zero() {
            filling.write(&mut machine.page(Slot::ChildTable, table.exclusive()).0);
            machine.publish();
        }
        at.set(Entry::Table(addr));
        machine.publish();
        if at.entry.is_live() {
            return Ok(full(level));
        }
        at.count_up(1);
        Ok(0)
    })?;
    let table = rmm.granules.claim::<RttState>(table);
    table.set_count(count);
    table.unlock();
    rd.holdings.add_tables(1);
    Ok(())
}

/// The reference count of a table whose entries are all live.
fn full(level: Level) -> u16 {
    u16::try_from(level.entries()).unwrap_or(u16::MAX)
}

/// Invalidates what a valid leaf entry mapped.
pub(crate) fn invalidate_entry(
    machine: &impl Stage2Tlb,
    tree: &Tree,
    at: &Position<'_, '_>,
    ipa: u64,
) {
    let size = at.level.entry_size();
    let ipa = at.level.align_down(ipa);
    machine.invalidate(tree.vmid, Stale::Range { ipa, size_bytes: size, leaf_size_bytes: size });
}

/// Takes the table below the entry at `at` out of the tree: the entry becomes `left`. The table's
/// granule goes back to DELEGATED, wiped.
fn unlink<M: Memory + Stage2Tlb>(
    rmm: &Rmm<'_, M>,
    tree: &Tree,
    at: &Position<'_, '_>,
    ipa: u64,
    table: TableGuard<'_>,
    left: Entry,
) {
    let machine = rmm.machine;
    // Break before make: no walker may see the table and what replaces it at once.
    at.set(if tree.space.is_protected(ipa) {
        Entry::Unassigned(Ripas::Empty)
    } else {
        Entry::UnassignedNs
    });
    let child = at.level.child().unwrap_or(Level::PAGE);
    // All that the table described, also if nothing was mapped: walkers may hold the way to the
    // table for any part.
    let stale = Stale::Range {
        ipa,
        size_bytes: at.level.entry_size(),
        leaf_size_bytes: child.entry_size(),
    };
    machine.invalidate(tree.vmid, stale);
    at.set(left);
    machine.publish();
    if !left.is_live() {
        at.count_down(1);
    }
    // Last: no walker reaches the granule any more.
    delegation::release(machine, &rmm.granules, table, tree.number).unlock();
}

/// Takes a table without live entries out of the tree.
///
/// # Errors
///
/// `State`, `LevelBound`, `IpaUnaligned`, `IpaBound`; with `next`: `Walk`, `EntryState`,
/// `TableLive`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_RTT_DESTROY`. The text says UNASSIGNED,
/// DESTROYED for both halves; that is a confirmed mistake for the unprotected one, whose entry
/// becomes UNASSIGNED_NS.
#[inline(never)] // Two dialects call it, and one copy is enough.
pub fn destroy<M: Memory + Stage2Tlb>(
    rmm: &Rmm<'_, M>,
    rd: Named<'_>,
    ipa: u64,
    level: Option<Level>,
) -> Result<Taken, Cause> {
    let machine = rmm.machine;
    let mut rd = rd.lock::<RdState>()?;
    let mut page = machine.page(Slot::Rd, rd.exclusive());
    let rd: &mut Rd = page.view_mut();
    let tree = rd.tree();
    let (parent, level) = entry::table_level(&tree, level)?;
    entry::entry_ipa(tree.space, ipa, parent)?;
    let taken = tree.walk(machine, &rmm.granules, ipa, parent, |at| {
        if at.level < parent {
            return Err(Cause::Walk { level: at.level, next: at.walk_top(machine, ipa) });
        }
        let Entry::Table(granule) = at.entry else {
            return Err(Cause::EntryState { level: at.level, next: at.walk_top(machine, ipa) });
        };
        let table = tree::lock_table(&rmm.granules, granule);
        if table.count() != 0 && is_holding(machine, &table, level) {
            return Err(Cause::TableLive { level, next: ipa });
        }
        let left = if tree.space.is_protected(ipa) {
            Entry::Unassigned(Ripas::Destroyed)
        } else {
            Entry::UnassignedNs
        };
        unlink(rmm, &tree, &at, ipa, table, left);
        Ok(Taken { granule, next: at.walk_top(machine, ipa) })
    })?;
    rd.holdings.remove_table();
    Ok(taken)
}

/// Whether a table with live entries has others than Host memory.
pub(crate) fn is_holding<M: Memory>(machine: &M, table: &TableGuard<'_>, level: Level) -> bool {
    scan::is_holding(&machine.words(Slot::ChildTable, table.shared()).0, level)
}

/// Replaces a homogeneous table by one entry. Returns the table's granule, DELEGATED again.
///
/// # Errors
///
/// `State`, `LevelBound`, `IpaUnaligned`, `IpaBound`, `Walk`, `EntryState`, `NotHomogeneous`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_RTT_FOLD`. For an ASSIGNED level 1 table the
/// reference monitor reports level 0; the text says the level of the table.
pub fn fold<M: Memory + Stage2Tlb + Log>(
    rmm: &Rmm<'_, M>,
    rd: Named<'_>,
    ipa: u64,
    level: Option<Level>,
) -> Result<GranuleAddr, Cause> {
    let machine = rmm.machine;
    let mut rd = rd.lock::<RdState>()?;
    let mut page = machine.page(Slot::Rd, rd.exclusive());
    let rd: &mut Rd = page.view_mut();
    let tree = rd.tree();
    let (parent, level) = entry::table_level(&tree, level)?;
    entry::entry_ipa(tree.space, ipa, parent)?;
    let granule = tree.walk(machine, &rmm.granules, ipa, parent, |at| {
        entry::reached(&at, parent)?;
        let Entry::Table(granule) = at.entry else {
            return Err(Cause::EntryState { level: at.level, next: 0 });
        };
        let table = tree::lock_table(&rmm.granules, granule);
        let folded = {
            let words = machine.words(Slot::ChildTable, table.shared());
            let first_off_step = |first, step| machine.first_off_step(&words, first, step);
            scan::homogeneous(&words.0, level, tree.format, first_off_step).map_err(|index| {
                let ipa = ipa + index as u64 * level.entry_size();
                machine.log(Event::NotHomogeneous { ipa });
                Cause::NotHomogeneous(level)
            })?
        };
        unlink(rmm, &tree, &at, ipa, table, folded);
        Ok(granule)
    })?;
    rd.holdings.remove_table();
    Ok(granule)
}

/// Reads the entry at which the walk to an IPA ends, at `level` or above it. `show` makes of it, of
/// its level and of the format of descriptors what the Host sees.
///
/// # Errors
///
/// `State`, `LevelBound`, `IpaUnaligned`, `IpaBound`.
#[inline(always)] // perf: two dialects call it, and neither should pay for that (`rtt_read_entry`).
pub fn read<M: Memory, R>(
    rmm: &Rmm<'_, M>,
    rd: Named<'_>,
    ipa: u64,
    level: Option<Level>,
    show: impl FnOnce(Level, Entry, Format) -> R,
) -> Result<R, Cause> {
    let mut rd = rd.lock()?;
    let tree = tree_of(rmm, &mut rd);
    let level = level.filter(|level| *level >= tree.start).ok_or(Cause::LevelBound)?;
    entry::entry_ipa(tree.space, ipa, level)?;
    tree.walk(rmm.machine, &rmm.granules, ipa, level, |at| {
        Ok(show(at.level, at.entry, tree.format))
    })
}

/// Fills the start-level tables of a new Realm: protected entries UNASSIGNED and EMPTY, unprotected
/// ones UNASSIGNED_NS.
pub(crate) fn init_start_table<M: Memory>(
    rmm: &Rmm<'_, M>,
    tree: &Tree,
    number: u64,
    table: &mut TableGuard<'_>,
) {
    let mut page = rmm.machine.page(Slot::Table, table.exclusive());
    let entries = tree.start.entries() as u64;
    // Past the end of the space no address leads here; UNASSIGNED_NS is never reached there.
    let protected_all = tree.space.unprotected_base() >> tree.start.shift();
    let protected = protected_all.saturating_sub(number * entries).min(page.0.len() as u64);
    let Some((protected, unprotected)) =
        usize::try_from(protected).ok().and_then(|count| page.0.split_at_mut_checked(count))
    else {
        unreachable!("entries of a start-level table")
    };
    for (part, entry) in
        [(protected, Entry::Unassigned(Ripas::Empty)), (unprotected, Entry::UnassignedNs)]
    {
        scan::Filling::new(entry, tree.start, tree.format).write(part);
    }
}

/// The start-level tables of a tree, from low to high.
pub(crate) fn start_tables(tree: &Tree) -> impl Iterator<Item = GranuleAddr> {
    let root = tree.root;
    (0..tree.roots).filter_map(move |number| root.add(number))
}
