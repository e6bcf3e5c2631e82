//! Host memory at the unprotected addresses of a Realm.

use granule::GranuleAddr;
use machine::{Memory, Stage2Tlb};
use realm::Rmm;
use realm::rtt::{Entry, HostAttributes, Level, Tree};

use super::lock::tree_of;
use super::table::invalidate_entry;
use super::{Cause, Named, entry};

/// What a Host wants to show a Realm: an address of its own, and how it is mapped.
pub type Mapping = (GranuleAddr, HostAttributes);

/// Shows the Realm Host memory at an unprotected address. `mapping` reads what the Host asks for, which depends on the
/// format of the Realm's descriptors; `None` if its attributes are not those that a Host may choose.
///
/// # Errors
///
/// `State`, `HostAttributes`, `LevelBound`, `OutputUnaligned`, `OutputBound`, `IpaUnaligned`, `IpaBound`, `Walk`, `EntryState`.
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
        at.count_up();
        rmm.machine.publish();
        Ok(())
    })
}

/// Takes Host memory away from the Realm. Returns where the Host may go on.
///
/// # Errors
///
/// `State`, `LevelBound`, `IpaUnaligned`, `IpaBound`; with `next`: `Walk`, `EntryState`.
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
        at.count_down();
        invalidate_entry(machine, &tree, &at, ipa);
        Ok(at.walk_top(machine, ipa))
    })
}
