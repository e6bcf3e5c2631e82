//! Pages of a Realm's memory.

use granule::delegation;
use granule::{Data, Delegated, GRANULE_SIZE, GranuleAddr, GranuleGuard, RdState};
use machine::stage2::Stale;
use machine::{Hasher, HostMemory, Memory, Slot, Stage2Tlb};
use realm::Rmm;
use realm::rd::{Rd, RealmState};
use realm::rtt::{Entry, Level, Position, Ripas, Tree};
use zerocopy::IntoBytes;

use super::lock::{self, encodable};
use super::{Cause, HostPage, Named, Operand, entry};

/// A page that the Host gives to a new Realm.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// Where it is.
    pub page: GranuleAddr,
    /// Whether its contents are measured. Where it goes always is.
    pub measures_content: bool,
    /// The flags of the command, as they are measured.
    pub measured_flags: u64,
}

/// Copies a page of the Host's into a new Realm, and measures it.
///
/// # Errors
///
/// `State`, `NotEncodable`, `IpaUnaligned`, `IpaBound`, `RealmState`, `Walk`, `EntryState`,
/// `HostFault`.
pub fn create<M: Memory + HostMemory + Hasher>(
    rmm: &Rmm<'_, M>,
    rd: Named<'_>,
    data: Named<'_>,
    ipa: u64,
    source: &Source,
) -> Result<(), Cause> {
    let machine = rmm.machine;
    let (mut data, mut rd) = lock::pair::<Delegated, RdState>(data, rd)?;
    let mut page = machine.page(Slot::Rd, rd.exclusive());
    let rd: &mut Rd = page.view_mut();
    let tree = rd.tree();
    check_page(&tree, data.addr(), ipa)?;

    if rd.state() != RealmState::New {
        return Err(Cause::RealmState);
    }

    let algorithm = rd.algorithm();
    let measurements = &mut rd.measurements;
    tree.walk(machine, &rmm.granules, ipa, Level::PAGE, |at| {
        entry::unassigned_page(&at)?;
        {
            // What is measured is the copy, never the source, which the Host may change.
            let mut page = machine.page(Slot::Object, data.exclusive());
            if machine.read_host(source.page, 0, &mut page.0).is_err() {
                // It stays DELEGATED: all zero.
                page.0.fill(0);
                return Err(Cause::HostFault(HostPage::Source));
            }
            let content = source.measures_content.then(|| page.as_bytes());
            let placed = (ipa, source.measured_flags);
            measurements.extend_data(machine, algorithm, placed, content);
        }
        hand_over(machine, &at, Ripas::Ram, &mut data);
        Ok(())
    })?;
    rmm.granules.claim::<Data>(data).unlock();
    rd.holdings.add_data(1);
    Ok(())
}

/// Gives a Realm a page whose contents do not depend on the Host.
///
/// # Errors
///
/// `State`, `NotEncodable`, `IpaUnaligned`, `IpaBound`, `Walk`, `EntryState`.
// perf: two dialects call it, and neither should pay for that (`data_create_unknown`).
#[inline(always)]
pub fn create_unknown<M: Memory>(
    rmm: &Rmm<'_, M>,
    rd: Named<'_>,
    data: Named<'_>,
    ipa: u64,
) -> Result<(), Cause> {
    let machine = rmm.machine;
    let (mut data, mut rd) = lock::pair::<Delegated, RdState>(data, rd)?;
    let mut page = machine.page(Slot::Rd, rd.exclusive());
    let rd: &mut Rd = page.view_mut();
    let tree = rd.tree();
    check_page(&tree, data.addr(), ipa)?;
    tree.walk(machine, &rmm.granules, ipa, Level::PAGE, |at| {
        let ripas = entry::unassigned_page(&at)?;
        hand_over(machine, &at, ripas, &mut data);
        Ok(())
    })?;
    rmm.granules.claim::<Data>(data).unlock();
    rd.holdings.add_data(1);
    Ok(())
}

/// A granule that the Realm's descriptors can hold, and an IPA that can have one.
pub(super) fn check_page(tree: &Tree, data: GranuleAddr, ipa: u64) -> Result<(), Cause> {
    encodable(tree.format, Operand::Data, data)?;
    entry::protected_page(tree.space, ipa)
}

/// Makes the page entry ASSIGNED: from now on the Realm may read, write and run what is in the
/// granule.
#[inline(always)]
pub(super) fn hand_over(
    machine: &impl Memory,
    at: &Position<'_, '_>,
    ripas: Ripas,
    data: &mut GranuleGuard<'_, Delegated>,
) {
    machine.renew_code(Slot::Object, data.exclusive());
    at.set(Entry::Assigned(ripas, data.addr()));
    at.count_up(1);
    machine.publish();
}

/// What taking a page away from a Realm gives the Host.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// The granule, DELEGATED again and wiped.
    pub granule: GranuleAddr,
    /// Where the Host may go on: nothing is live between.
    pub next: u64,
}

/// Takes a page away from a Realm.
///
/// # Errors
///
/// `State`, `IpaUnaligned`, `IpaBound`, `Walk`, `EntryState`, the last two with `next`.
#[inline(always)] // perf: two dialects call it, and neither should pay for that (`data_destroy`).
pub fn destroy<M: Memory + Stage2Tlb>(
    rmm: &Rmm<'_, M>,
    rd: Named<'_>,
    ipa: u64,
) -> Result<Taken, Cause> {
    let machine = rmm.machine;
    let mut rd = rd.lock::<RdState>()?;
    let mut page = machine.page(Slot::Rd, rd.exclusive());
    let rd: &mut Rd = page.view_mut();
    let tree = rd.tree();
    entry::protected_page(tree.space, ipa)?;
    tree.walk(machine, &rmm.granules, ipa, Level::PAGE, |at| {
        let level = at.level;
        if !level.is_page() {
            return Err(Cause::Walk { level, next: at.walk_top(machine, ipa) });
        }
        let Entry::Assigned(ripas, granule) = at.entry else {
            return Err(Cause::EntryState { level, next: at.walk_top(machine, ipa) });
        };
        let left = if ripas == Ripas::Ram { Ripas::Destroyed } else { ripas };
        at.set(Entry::Unassigned(left));
        if at.entry.is_valid() {
            let size = GRANULE_SIZE;
            let stale = Stale::Range { ipa, size_bytes: size, leaf_size_bytes: size };
            machine.invalidate(tree.vmid, stale);
        }
        at.count_down(1);
        let Ok(page) = rmm.granules.lock::<Data>(granule) else {
            unreachable!("DATA of an RTT entry")
        };
        delegation::release(machine, &rmm.granules, page, tree.number).unlock();
        rd.holdings.remove_data(1);
        Ok(Taken { granule, next: at.walk_top(machine, ipa) })
    })
}
