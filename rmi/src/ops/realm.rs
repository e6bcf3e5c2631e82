//! A Realm: made, activated, ended.

use granule::delegation;
use granule::{Delegated, GranuleAddr, GranuleGuard, RdState, RealmNumber, RttState};
use machine::stage2::Stale;
use machine::{Event, Hasher, Log, Memory, Slot, Stage2Tlb};
use realm::features::{ExtensionsWish, IPA_WIDTH_MIN};
use realm::measurement::Algorithm;
use realm::rd::{Rd, RealmState};
use realm::rtt::tree::{ROOTS_MAX, lock_table, roots_for};
use realm::rtt::{Format, Level, Tree};
use realm::{Features, IpaSpace, Rmm};

use super::lock::{TableGuard, encodable};
use super::{Cause, Named, Operand, table};

/// What a Host wants of a new Realm.
#[derive(Debug)]
pub struct Wanted<'p> {
    /// Descriptors with 52-bit addresses (FEAT_LPA2).
    pub lpa2: bool,
    /// Width of intermediate physical addresses in bits.
    pub ipa_width: u8,
    /// What its CPUs have.
    pub extensions: ExtensionsWish,
    /// Hash of its measurements; `None` is one that does not exist.
    pub algorithm: Option<Algorithm>,
    /// Realm Personalization Value.
    pub rpv: [u8; 64],
    /// VMID.
    pub vmid: u16,
    /// Physical address of its start-level tables.
    pub root: u64,
    /// Level of them; `None` is one that does not exist.
    pub start: Option<Level>,
    /// How many there are.
    pub roots: u64,
    /// The page that starts the RIM.
    pub measured: &'p [u8; 4096],
}

/// Makes a Realm.
///
/// # Errors
///
/// `RealmParams`, `RealmUnsupported`, `StartRttGeometry`, `Unaligned`, `StartRttAlias`, `Vmid`, `State`.
pub fn create<M: Memory + Hasher + Log>(
    rmm: &Rmm<'_, M>,
    rd: Named<'_>,
    wanted: &Wanted<'_>,
) -> Result<(), Cause> {
    let machine = rmm.machine;
    let algorithm = wanted.algorithm.ok_or(Cause::RealmParams)?;
    let extensions = rmm.features.extensions(&wanted.extensions).ok_or(Cause::RealmUnsupported)?;
    let tree = geometry(&rmm.features, wanted)?;
    let end = tree.root.as_u64() + tree.roots * granule::GRANULE_SIZE;
    if (tree.root.as_u64()..end).contains(&rd.addr().as_u64()) {
        return Err(Cause::StartRttAlias);
    }
    let vmid = rmm.vmids.reserve(tree.vmid).ok_or(Cause::Vmid)?;

    let (rd, tables) = lock_all(rmm, rd, &tree)?;
    // Nothing can fail from here on.
    let number = rmm.ledger.number_realm();
    let tree = Tree { number, ..tree };
    for (number, table) in tables.into_iter().enumerate() {
        let mut table = rmm.granules.claim::<RttState>(table);
        table::init_start_table(rmm, &tree, number as u64, &mut table);
    }
    machine.publish();
    let mut rd = rmm.granules.claim::<RdState>(rd);
    {
        let mut page = machine.page(Slot::Rd, rd.exclusive());
        let descriptor: &mut Rd = page.view_mut();
        descriptor.init(&tree, extensions, algorithm, wanted.rpv);
        descriptor.measurements.init(machine, algorithm, wanted.measured);
    }
    let addr = rd.addr();
    rd.unlock();
    vmid.keep();
    machine.log(Event::RealmCreated { number, rd: addr, vmid: tree.vmid });
    Ok(())
}

/// The tables of the Realm, if the machine can walk them from where the Host wants.
fn geometry(features: &Features, wanted: &Wanted<'_>) -> Result<Tree, Cause> {
    let lpa2 = wanted.lpa2;
    if lpa2 && !features.lpa2 {
        return Err(Cause::RealmUnsupported);
    }
    let format = if lpa2 { Format::Address52 } else { Format::Address48 };
    let width = wanted.ipa_width;
    let width_max = if lpa2 { features.ipa_width_max } else { features.ipa_width_max.min(48) };
    if !(IPA_WIDTH_MIN..=width_max).contains(&width) {
        return Err(Cause::RealmUnsupported);
    }
    let space = IpaSpace::new(width).ok_or(Cause::RealmUnsupported)?;
    let start = wanted.start.ok_or(Cause::StartRttGeometry)?;
    if !features.walks_from(start) {
        return Err(Cause::StartRttGeometry);
    }
    let roots = roots_for(space, start, format).ok_or(Cause::StartRttGeometry)?;
    if wanted.roots != roots {
        return Err(Cause::StartRttGeometry);
    }
    // A base that is not aligned to all tables would make hardware walk other memory.
    let unaligned = Cause::Unaligned(Operand::StartRtt);
    let root = GranuleAddr::new(wanted.root).ok_or(unaligned)?;
    if !root.as_u64().is_multiple_of(roots * granule::GRANULE_SIZE) {
        return Err(unaligned);
    }
    encodable(format, Operand::StartRtt, root)?;
    if wanted.vmid > 255 && !features.vmid16 {
        return Err(Cause::Vmid);
    }
    // The number is given once nothing can fail.
    let number = RealmNumber(0);
    Ok(Tree { space, root, start, roots, format, vmid: wanted.vmid, number })
}

type StartTables<'t> = heapless::Vec<GranuleGuard<'t, Delegated>, ROOTS_MAX>;

/// Locks the RD and the start-level tables, all DELEGATED, in ascending order of address.
fn lock_all<'t, M>(
    rmm: &Rmm<'t, M>,
    rd: Named<'t>,
    tree: &Tree,
) -> Result<(GranuleGuard<'t, Delegated>, StartTables<'t>), Cause> {
    let first = if rd.addr() < tree.root { Some(rd.lock()?) } else { None };
    let mut tables = StartTables::new();
    for addr in table::start_tables(tree) {
        let table = Named::new(rmm, Operand::StartRtt, addr.as_u64())?.lock()?;
        tables.push(table).map_err(|_| Cause::StartRttGeometry)?;
    }
    let rd = match first {
        Some(rd) => rd,
        None => rd.lock()?,
    };
    Ok((rd, tables))
}

/// Ends the building of a Realm; its RECs may run, its RIM is final.
///
/// # Errors
///
/// `State`, `RealmState`.
pub fn activate<M: Memory + Log>(rmm: &Rmm<'_, M>, rd: Named<'_>) -> Result<(), Cause> {
    let mut rd = rd.lock::<RdState>()?;
    let number = {
        let mut page = rmm.machine.page(Slot::Rd, rd.exclusive());
        let descriptor: &mut Rd = page.view_mut();
        if descriptor.state() != RealmState::New {
            return Err(Cause::RealmState);
        }
        descriptor.set_state(RealmState::Active);
        descriptor.tree().number
    };
    rmm.machine.log(Event::RealmActivated { number });
    Ok(())
}

/// Ends a Realm without RECs, memory or tables. RD and start-level tables become DELEGATED.
///
/// # Errors
///
/// `State`, `RealmLive`.
pub fn destroy<M: Memory + Stage2Tlb + Log>(rmm: &Rmm<'_, M>, rd: Named<'_>) -> Result<(), Cause> {
    let machine = rmm.machine;
    let mut rd = rd.lock::<RdState>()?;
    let addr = rd.addr();
    if rd.count() != 0 {
        return Err(Cause::RealmLive);
    }
    let (tree, most) = {
        let page = machine.page(Slot::Rd, rd.exclusive());
        let descriptor: &Rd = page.view();
        (descriptor.tree(), descriptor.holdings.most())
    };
    let mut tables: heapless::Vec<TableGuard<'_>, ROOTS_MAX> = heapless::Vec::new();
    for table in table::start_tables(&tree) {
        let table = lock_table(&rmm.granules, table);
        // Unprotected blocks do not make a Realm live.
        if table.count() != 0 && table::is_holding(machine, &table, tree.start) {
            return Err(Cause::RealmLive);
        }
        tables.push(table).map_err(|_| Cause::RealmLive)?;
    }
    // Unprotected blocks in start-level tables may be cached.
    machine.invalidate(tree.vmid, Stale::All);
    // Before the locks go: a CPU that sees the RD DELEGATED must be able to use the VMID again.
    rmm.vmids.release(tree.vmid);
    for table in tables {
        delegation::release(machine, &rmm.granules, table, tree.number).unlock();
    }
    delegation::release(machine, &rmm.granules, rd, tree.number).unlock();
    machine.log(Event::RealmDestroyed {
        number: tree.number,
        rd: addr,
        most,
        leaked: rmm.ledger.count_of(tree.number),
        granules: rmm.granules.account().granules(),
    });
    Ok(())
}
