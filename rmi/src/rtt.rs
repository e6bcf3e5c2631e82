//! RTT commands: translation tables, unprotected mappings, RIPAS.

use granule::delegation;
use granule::machine::stage2::Stale;
use granule::machine::{Event, Hasher, Log, Memory, Slot, Stage2Tlb};
use granule::{Delegated, GranuleAddr, RdState, RecState, RttState};
use realm::holdings::Holdings;
use realm::rd::{Rd, RealmState};
use realm::rtt::{Entry, Level, Position, Ripas, Tree, ripas, scan, tree};
use realm::{Rec, Rmm};

use crate::abi::{NONE, Outputs};
use crate::args::{self, RD, REC, RTT, TableGuard};
use crate::error::Refusal;

/// The translation tables of the Realm whose descriptor is locked.
fn tree_of<M: Memory>(rmm: &Rmm<'_, '_, M>, rd: &mut args::RdGuard<'_>) -> Tree {
    rmm.machine.page(Slot::Rd, rd.exclusive()).view::<Rd>().tree()
}

/// Keeps the Realm's books after a table has come or gone.
fn note<M: Memory>(
    rmm: &Rmm<'_, '_, M>,
    rd: &mut args::RdGuard<'_>,
    note: impl FnOnce(&mut Holdings),
) {
    note(&mut rmm.machine.page(Slot::Rd, rd.exclusive()).view_mut::<Rd>().holdings);
}

/// `RMI_RTT_CREATE`: links a table below an entry; what the entry said is spread over the table (unfolding).
///
/// # Errors
///
/// RMI_ERROR_INPUT: `rd_*`, `level_bound`, `ipa_align`, `ipa_bound`, `rtt_align`, `rtt_bound`, `rtt_state`, `rtt_bound2`;
/// RMI_ERROR_RTT: `rtt_walk`, `rtte_state`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_RTT_CREATE`.
pub fn create<M: Memory + Stage2Tlb>(
    rmm: &Rmm<'_, '_, M>,
    rd: u64,
    rtt: u64,
    ipa: u64,
    level: u64,
) -> Result<Outputs, Refusal> {
    let machine = rmm.machine;
    let (mut table, mut rd) =
        args::lock_pair::<Delegated, RdState, _>(rmm, (&RTT, rtt), (&RD, rd))?;
    let tree = tree_of(rmm, &mut rd);
    let (parent, level) = args::table_level(&tree, level)?;
    args::entry_ipa(tree.space, ipa, parent)?;
    args::address_fits(tree.format, table.addr(), "rtt_bound2")?;
    let addr = table.addr();
    let count = tree.walk(machine, &rmm.granules, ipa, parent, |at| {
        args::reached(&at, parent)?;
        if matches!(at.entry, Entry::Table(_)) {
            return Err(Refusal::rtt(at.level, "rtte_state"));
        }
        if at.entry.is_valid() {
            // Break before make: no walker may see the block and the table at once.
            at.set(Entry::Unassigned(Ripas::Empty));
            invalidate_entry(machine, &tree, &at, ipa);
        }
        let filling = scan::Filling::new(at.entry, level, tree.format);
        // The table is complete before a walker can reach it.
        if filling.is_zero() {
            machine.wipe(Slot::ChildTable, table.exclusive());
        } else {
            filling.write(&mut machine.page(Slot::ChildTable, table.exclusive()).0);
            machine.publish();
        }
        at.set(Entry::Table(addr));
        machine.publish();
        if at.entry.is_live() {
            return Ok(full(level));
        }
        at.count_up();
        Ok(0)
    })?;
    let table = rmm.granules.claim::<RttState>(table);
    table.set_count(count);
    table.unlock();
    note(rmm, &mut rd, |holdings| holdings.add_tables(1));
    Ok(NONE)
}

/// The reference count of a table whose entries are all live.
fn full(level: Level) -> u16 {
    u16::try_from(scan::entries_at(level)).unwrap_or(u16::MAX)
}

/// Invalidates what a valid leaf entry mapped.
fn invalidate_entry(machine: &impl Stage2Tlb, tree: &Tree, at: &Position<'_, '_>, ipa: u64) {
    let size = at.level.entry_size();
    let ipa = at.level.align_down(ipa);
    machine.invalidate(tree.vmid, Stale::Range { ipa, size_bytes: size, leaf_size_bytes: size });
}

/// Takes the table below the entry at `at` out of the tree: the entry becomes `left`. The whole range is invalidated, also
/// if nothing was mapped: walkers may hold the way to the table for any part of it. The table's granule goes back to
/// DELEGATED, wiped.
fn unlink<M: Memory + Stage2Tlb>(
    rmm: &Rmm<'_, '_, M>,
    tree: &Tree,
    at: &Position<'_, '_>,
    ipa: u64,
    table: TableGuard<'_>,
    left: Entry,
) {
    let machine = rmm.machine;
    at.set(if tree.space.is_protected(ipa) {
        Entry::Unassigned(Ripas::Empty)
    } else {
        Entry::UnassignedNs
    });
    let child = at.level.child().unwrap_or(Level::PAGE);
    let stale = Stale::Range {
        ipa,
        size_bytes: at.level.entry_size(),
        leaf_size_bytes: child.entry_size(),
    };
    machine.invalidate(tree.vmid, stale);
    at.set(left);
    machine.publish();
    if !left.is_live() {
        at.count_down();
    }
    delegation::release(machine, &rmm.granules, table, tree.number).unlock();
}

/// `RMI_RTT_DESTROY`: takes a table without live entries out of the tree. X1 is the table, X2 the next live address.
///
/// # Errors
///
/// RMI_ERROR_INPUT: `rd_*`, `level_bound`, `ipa_align`, `ipa_bound`; RMI_ERROR_RTT with `top`: `rtt_walk`, `rtte_state`, `rtt_live`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_RTT_DESTROY`. The text says UNASSIGNED, DESTROYED for both halves;
/// that is a confirmed mistake for the unprotected one, whose entry becomes UNASSIGNED_NS.
pub fn destroy<M: Memory + Stage2Tlb>(
    rmm: &Rmm<'_, '_, M>,
    rd: u64,
    ipa: u64,
    level: u64,
) -> Result<Outputs, Refusal> {
    let machine = rmm.machine;
    let mut rd = RD.lock(rmm, rd)?;
    let tree = tree_of(rmm, &mut rd);
    let (parent, level) = args::table_level(&tree, level)?;
    args::entry_ipa(tree.space, ipa, parent)?;
    tree.walk(machine, &rmm.granules, ipa, parent, |at| {
        let refused =
            |condition| Refusal::rtt(at.level, condition).with_top(at.walk_top(machine, ipa));
        if at.level < parent {
            return Err(refused("rtt_walk"));
        }
        let Entry::Table(addr) = at.entry else { return Err(refused("rtte_state")) };
        let table = tree::lock_table(&rmm.granules, addr);
        if table.count() != 0 && is_holding(machine, &table, level) {
            return Err(Refusal::rtt(level, "rtt_live").with_top(ipa));
        }
        let left = if tree.space.is_protected(ipa) {
            Entry::Unassigned(Ripas::Destroyed)
        } else {
            Entry::UnassignedNs
        };
        unlink(rmm, &tree, &at, ipa, table, left);
        Ok([addr.as_u64(), at.walk_top(machine, ipa), 0, 0])
    })
    .inspect(|_| note(rmm, &mut rd, Holdings::remove_table))
}

/// Whether a table with live entries has others than Host memory.
pub(crate) fn is_holding<M: Memory>(machine: &M, table: &TableGuard<'_>, level: Level) -> bool {
    scan::is_holding(&machine.words(Slot::ChildTable, table.shared()), level)
}

/// `RMI_RTT_FOLD`: replaces a homogeneous table by one entry. X1 is the table.
///
/// # Errors
///
/// RMI_ERROR_INPUT: `rd_*`, `level_bound`, `ipa_align`, `ipa_bound`; RMI_ERROR_RTT: `rtt_walk`, `rtte_state`, `rtt_homo`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_RTT_FOLD`. For an ASSIGNED level 1 table the reference monitor
/// reports level 0; the text says the level of the table.
pub fn fold<M: Memory + Stage2Tlb + Log>(
    rmm: &Rmm<'_, '_, M>,
    rd: u64,
    ipa: u64,
    level: u64,
) -> Result<Outputs, Refusal> {
    let machine = rmm.machine;
    let mut rd = RD.lock(rmm, rd)?;
    let tree = tree_of(rmm, &mut rd);
    let (parent, level) = args::table_level(&tree, level)?;
    args::entry_ipa(tree.space, ipa, parent)?;
    tree.walk(machine, &rmm.granules, ipa, parent, |at| {
        args::reached(&at, parent)?;
        let Entry::Table(addr) = at.entry else {
            return Err(Refusal::rtt(at.level, "rtte_state"));
        };
        let table = tree::lock_table(&rmm.granules, addr);
        let folded = {
            let words = machine.words(Slot::ChildTable, table.shared());
            let first_off_step =
                |words: &_, first, step| machine.first_off_step(words, first, step);
            scan::homogeneous(&words, level, tree.format, first_off_step).map_err(|index| {
                let ipa = ipa + index as u64 * level.entry_size();
                machine.log(Event::NotHomogeneous { ipa });
                Refusal::rtt(level, "rtt_homo")
            })?
        };
        unlink(rmm, &tree, &at, ipa, table, folded);
        Ok([addr.as_u64(), 0, 0, 0])
    })
    .inspect(|_| note(rmm, &mut rd, Holdings::remove_table))
}

/// The IPA of an unprotected mapping.
fn unprotected_entry(tree: &Tree, ipa: u64, level: Level) -> Result<(), Refusal> {
    if !level.is_aligned(ipa) {
        return Err(Refusal::input("ipa_align"));
    }
    if !tree.space.is_unprotected(ipa) {
        return Err(Refusal::input("ipa_bound"));
    }
    Ok(())
}

/// A level that may hold leaves, and that the tree has.
fn leaf_level(tree: &Tree, level: u64) -> Result<Level, Refusal> {
    match Level::new(level.cast_signed()) {
        Some(level) if level.may_be_leaf() && level >= tree.start => Ok(level),
        _ => Err(Refusal::input("level_bound")),
    }
}

/// `RMI_RTT_MAP_UNPROTECTED`: shows the Realm Host memory at an unprotected address.
///
/// # Errors
///
/// RMI_ERROR_INPUT: `attr_valid`, `rd_*`, `level_bound`, `addr_align`, `addr_bound`, `ipa_align`, `ipa_bound`; RMI_ERROR_RTT: `rtt_walk`,
/// `rtte_state`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_RTT_MAP_UNPROTECTED`.
pub fn map_unprotected<M: Memory>(
    rmm: &Rmm<'_, '_, M>,
    rd: u64,
    ipa: u64,
    level: u64,
    desc: u64,
) -> Result<Outputs, Refusal> {
    let mut rd = RD.lock(rmm, rd)?;
    let tree = tree_of(rmm, &mut rd);
    let Some((addr, attributes)) = Entry::from_host_descriptor(desc, tree.format) else {
        return Err(Refusal::input("attr_valid"));
    };
    let level = leaf_level(&tree, level)?;
    if !level.is_aligned(addr.as_u64()) {
        return Err(Refusal::input("addr_align"));
    }
    args::address_fits(tree.format, addr, "addr_bound")?;
    unprotected_entry(&tree, ipa, level)?;
    tree.walk(rmm.machine, &rmm.granules, ipa, level, |at| {
        args::reached(&at, level)?;
        if at.entry != Entry::UnassignedNs {
            return Err(Refusal::rtt(at.level, "rtte_state"));
        }
        at.set(Entry::AssignedNs(addr, attributes));
        at.count_up();
        rmm.machine.publish();
        Ok(NONE)
    })
}

/// `RMI_RTT_UNMAP_UNPROTECTED`: takes Host memory away from the Realm. X1 is the next live address.
///
/// # Errors
///
/// RMI_ERROR_INPUT: `rd_*`, `level_bound`, `ipa_align`, `ipa_bound`; RMI_ERROR_RTT with `top`: `rtt_walk`, `rtte_state`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_RTT_UNMAP_UNPROTECTED`.
pub fn unmap_unprotected<M: Memory + Stage2Tlb>(
    rmm: &Rmm<'_, '_, M>,
    rd: u64,
    ipa: u64,
    level: u64,
) -> Result<Outputs, Refusal> {
    let machine = rmm.machine;
    let mut rd = RD.lock(rmm, rd)?;
    let tree = tree_of(rmm, &mut rd);
    let level = leaf_level(&tree, level)?;
    unprotected_entry(&tree, ipa, level)?;
    tree.walk(machine, &rmm.granules, ipa, level, |at| {
        let refused =
            |condition| Refusal::rtt(at.level, condition).with_top(at.walk_top(machine, ipa));
        if at.level < level {
            return Err(refused("rtt_walk"));
        }
        if !matches!(at.entry, Entry::AssignedNs(..)) {
            return Err(refused("rtte_state"));
        }
        at.set(Entry::UnassignedNs);
        at.count_down();
        invalidate_entry(machine, &tree, &at, ipa);
        Ok([at.walk_top(machine, ipa), 0, 0, 0])
    })
}

/// `RMI_RTT_READ_ENTRY`: X1 level reached, X2 state, X3 descriptor, X4 RIPAS.
///
/// # Errors
///
/// RMI_ERROR_INPUT: `rd_*`, `level_bound`, `ipa_align`, `ipa_bound`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_RTT_READ_ENTRY`.
pub fn read_entry<M: Memory>(
    rmm: &Rmm<'_, '_, M>,
    rd: u64,
    ipa: u64,
    level: u64,
) -> Result<Outputs, Refusal> {
    const UNASSIGNED: u64 = 0;
    const ASSIGNED: u64 = 1;
    const TABLE: u64 = 2;
    let mut rd = RD.lock(rmm, rd)?;
    let tree = tree_of(rmm, &mut rd);
    let level = match Level::new(level.cast_signed()) {
        Some(level) if level >= tree.start => level,
        _ => return Err(Refusal::input("level_bound")),
    };
    args::entry_ipa(tree.space, ipa, level)?;
    tree.walk(rmm.machine, &rmm.granules, ipa, level, |at| {
        let (state, ripas) = match at.entry {
            Entry::Unassigned(ripas) => (UNASSIGNED, ripas as u64),
            Entry::Assigned(ripas, _) => (ASSIGNED, ripas as u64),
            Entry::UnassignedNs => (UNASSIGNED, 0),
            Entry::AssignedNs(..) => (ASSIGNED, 0),
            Entry::Table(_) => (TABLE, 0),
        };
        let desc = at.entry.host_descriptor(tree.format);
        Ok([at.level.as_i64().cast_unsigned(), state, desc, ripas])
    })
}

/// `RMI_RTT_INIT_RIPAS`: makes a range of a new Realm RAM, and measures it. X1 is how far it got.
///
/// # Errors
///
/// RMI_ERROR_INPUT: `rd_*`, `size_valid`, `top_bound`, `top_gran_align`; RMI_ERROR_REALM: `realm_state`; RMI_ERROR_RTT: `base_align`,
/// `rtte_state`, `no_progress`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_RTT_INIT_RIPAS`. `base` has no alignment check of its own: an
/// unaligned one is `base_align`. DESTROYED entries become RAM too (confirmed by Arm; the reference monitor stops).
pub fn init_ripas<M: Memory + Hasher>(
    rmm: &Rmm<'_, '_, M>,
    rd: u64,
    base: u64,
    top: u64,
) -> Result<Outputs, Refusal> {
    let machine = rmm.machine;
    let mut guard = RD.lock::<RdState, _>(rmm, rd)?;
    let mut page = machine.page(Slot::Rd, guard.exclusive());
    let rd: &mut Rd = page.view_mut();
    let tree = rd.tree();
    if top <= base {
        return Err(Refusal::input("size_valid"));
    }
    if !tree.space.is_protected(top - 1) {
        return Err(Refusal::input("top_bound"));
    }
    if !Level::PAGE.is_aligned(top) {
        return Err(Refusal::input("top_gran_align"));
    }
    if rd.state() != RealmState::New {
        return Err(Refusal::realm("realm_state"));
    }
    let algorithm = rd.algorithm();
    tree.walk(machine, &rmm.granules, base, Level::PAGE, |at| {
        if !at.level.is_aligned(base) {
            return Err(Refusal::rtt(at.level, "base_align"));
        }
        if !matches!(at.entry, Entry::Unassigned(_)) {
            return Err(Refusal::rtt(at.level, "rtte_state"));
        }
        let mut extension = rd.measurements.extend_ripas(algorithm);
        let reached = ripas::init(&at, base, top, |base, top| extension.extend(machine, base, top));
        machine.publish();
        if reached == base {
            return Err(Refusal::rtt(at.level, "no_progress"));
        }
        Ok([reached, 0, 0, 0])
    })
}

/// `RMI_RTT_SET_RIPAS`: carries out a part of what a Realm wished. X1 is how far it got.
///
/// # Errors
///
/// RMI_ERROR_INPUT: `rd_*`, `rec_*`, `size_valid`, `top_gran_align`, `base_bound`, `top_bound`; RMI_ERROR_REC: `rec_state`, `rec_owner`;
/// RMI_ERROR_RTT: `base_align`, `no_progress`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_RTT_SET_RIPAS`.
pub fn set_ripas<M: Memory + Stage2Tlb>(
    rmm: &Rmm<'_, '_, M>,
    rd: u64,
    rec: u64,
    base: u64,
    top: u64,
) -> Result<Outputs, Refusal> {
    let machine = rmm.machine;
    let (mut rd, mut rec_guard) =
        args::lock_pair::<RdState, RecState, _>(rmm, (&RD, rd), (&REC, rec))?;
    if top <= base {
        return Err(Refusal::input("size_valid"));
    }
    if !Level::PAGE.is_aligned(top) {
        return Err(Refusal::input("top_gran_align"));
    }
    if rec_guard.count() != 0 {
        return Err(Refusal::rec("rec_state"));
    }
    let tree = tree_of(rmm, &mut rd);
    let mut page = machine.page(Slot::Rec, rec_guard.exclusive());
    let rec: &mut Rec = page.view_mut();
    if rec.owner() != rd.addr() {
        return Err(Refusal::rec("rec_owner"));
    }
    if base != rec.ripas.addr {
        return Err(Refusal::input("base_bound"));
    }
    if top > rec.ripas.top {
        return Err(Refusal::input("top_bound"));
    }
    let wish = rec.ripas.wish();
    let progress = tree.walk(machine, &rmm.granules, base, Level::PAGE, |at| {
        let aligned = at.level.is_aligned(base);
        let condition = if aligned { "no_progress" } else { "base_align" };
        let progress = ripas::set(&at, base, top, wish).ok_or(Refusal::rtt(at.level, condition))?;
        if progress.stale {
            let stale = Stale::Range {
                ipa: base,
                size_bytes: progress.reached - base,
                leaf_size_bytes: at.level.entry_size(),
            };
            machine.invalidate(tree.vmid, stale);
        } else {
            machine.publish();
        }
        Ok(progress)
    })?;
    rec.ripas.addr = progress.reached;
    Ok([progress.reached, 0, 0, 0])
}

/// Fills the start-level tables of a new Realm: protected entries UNASSIGNED and EMPTY, unprotected ones UNASSIGNED_NS.
pub(crate) fn init_start_table<M: Memory>(
    rmm: &Rmm<'_, '_, M>,
    tree: &Tree,
    number: u64,
    table: &mut args::TableGuard<'_>,
) {
    let mut page = rmm.machine.page(Slot::Table, table.exclusive());
    let entries = scan::entries_at(tree.start) as u64;
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
