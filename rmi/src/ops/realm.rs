//! A Realm: made, activated, ended.

use granule::delegation;
use granule::{Delegated, GranuleAddr, GranuleGuard, RdState, RealmNumber, RttState};
use machine::addr::PAGE_BYTES;
use machine::stage2::Stale;
use machine::{AttestRoot, Event, Hasher, Log, Memory, Slot, Stage2Tlb};
use realm::features::{ExtensionsWish, IPA_WIDTH_MIN};
use realm::measurement::Algorithm;
use realm::rd::{Instance, Rd, RealmState};
use realm::rtt::tree::{ROOTS_MAX, lock_table, roots_for};
use realm::rtt::{Format, Level, Tree};
use realm::{Features, IpaSpace, Numbering, Rmm};

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
    /// VMID; `None` lets the monitor choose.
    pub vmid: Option<u16>,
    /// Physical address of its start-level tables.
    pub root: u64,
    /// Level of them; `None` is one that does not exist.
    pub start: Option<Level>,
    /// How many there are.
    pub roots: u64,
    /// The page that starts the RIM, which is zero without one.
    pub measured: Option<&'p [u8; PAGE_BYTES]>,
    /// Whose memory encryption context it uses, for Realms whose tokens say that, and what tells
    /// them from all others.
    pub encryption: Option<Encryption>,
    /// How its RECs are numbered.
    pub numbering: Numbering,
}

/// Whose memory encryption context a Realm uses. Without FEAT_MEC there is one for all, whatever
/// the Host asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// One that other Realms may use too.
    Shared,
    /// One of its own.
    Private,
}

/// Makes a Realm.
///
/// # Errors
///
/// `RealmParams`, `RealmUnsupported`, `StartRttGeometry`, `Unaligned`, `StartRttAlias`,
/// `NoEntropy`, `Vmid`, `NoVmid`, `State`.
pub fn create<M: Memory + Hasher + AttestRoot + Log>(
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
    let instance = wanted.encryption.map(|encryption| instance(machine, encryption)).transpose()?;
    let vmid = match wanted.vmid {
        Some(vmid) => rmm.vmids.reserve(vmid).ok_or(Cause::Vmid)?,
        None => rmm.vmids.reserve_any(vmids(&rmm.features)).ok_or(Cause::NoVmid)?,
    };

    let (rd, tables) = lock_all(rmm, rd, &tree)?;
    // Nothing can fail from here on.
    let number = rmm.ledger.number_realm();
    let tree = Tree { number, vmid: vmid.vmid(), ..tree };
    for (number, table) in tables.into_iter().enumerate() {
        let mut table = rmm.granules.claim::<RttState>(table);
        table::init_start_table(rmm, &tree, number as u64, &mut table);
    }
    machine.publish();
    let mut rd = rmm.granules.claim::<RdState>(rd);
    {
        let mut page = machine.page(Slot::Rd, rd.exclusive());
        let descriptor: &mut Rd = page.view_mut();
        descriptor.init(&tree, extensions, algorithm, wanted.rpv, wanted.numbering);
        if let Some(measured) = wanted.measured {
            descriptor.measurements.init(machine, algorithm, measured);
        }
        if let Some(instance) = instance {
            descriptor.instance = instance.into();
        }
    }
    let addr = rd.addr();
    rd.unlock();
    vmid.keep();
    machine.log(Event::RealmCreated { number, rd: addr, vmid: tree.vmid });
    Ok(())
}

/// What tells a new Realm from all others.
fn instance(machine: &impl AttestRoot, encryption: Encryption) -> Result<Instance, Cause> {
    let id = machine.entropy().ok_or(Cause::NoEntropy)?;
    Ok(Instance { id, private_encryption: encryption == Encryption::Private })
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
    if wanted.vmid.is_some_and(|vmid| u32::from(vmid) >= vmids(features)) {
        return Err(Cause::Vmid);
    }
    // VMID and number are given once nothing else can fail.
    Ok(Tree { space, root, start, roots, format, vmid: 0, number: RealmNumber(0) })
}

/// How many VMIDs the CPUs have.
const fn vmids(features: &Features) -> u32 {
    if features.vmid16 { 1 << 16 } else { 1 << 8 }
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
#[inline(always)] // perf: two dialects call it, and neither should pay for that (`realm_activate`).
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

/// Which Realms may be destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Those that [`terminate`] has ended.
    Terminated,
    /// All.
    Any,
}

/// Ends a Realm of which no REC runs: none will run again, and it gets nothing new.
///
/// # Errors
///
/// `State`, `RealmRunning`.
///
/// Source: RMM specification (Arm DEN0137) 2.0, `RMI_REALM_TERMINATE`.
pub fn terminate<M: Memory + Log>(rmm: &Rmm<'_, M>, rd: Named<'_>) -> Result<(), Cause> {
    let mut rd = rd.lock::<RdState>()?;
    let count = usize::from(rd.count());
    let mut page = rmm.machine.page(Slot::Rd, rd.exclusive());
    let descriptor: &mut Rd = page.view_mut();
    // A REC is marked as running before its Realm's state is looked at, under the lock that is held
    // here. So a REC that is not seen running now will see the new state.
    if descriptor.recs().take(count).any(|rec| rmm.granules.is_running(rec)) {
        return Err(Cause::RealmRunning);
    }
    descriptor.set_state(RealmState::Zombie);
    rmm.machine.log(Event::RealmTerminated { number: descriptor.tree().number });
    Ok(())
}

/// Ends a Realm without RECs, memory or tables. RD and start-level tables become DELEGATED.
///
/// # Errors
///
/// `State`, `RealmNotTerminated`, `RealmLive`.
pub fn destroy<M: Memory + Stage2Tlb + Log>(
    rmm: &Rmm<'_, M>,
    rd: Named<'_>,
    ending: Ending,
) -> Result<(), Cause> {
    let machine = rmm.machine;
    let mut rd = rd.lock::<RdState>()?;
    let addr = rd.addr();
    let (tree, most) = {
        let page = machine.page(Slot::Rd, rd.exclusive());
        let descriptor: &Rd = page.view();
        if ending == Ending::Terminated && descriptor.state() != RealmState::Zombie {
            return Err(Cause::RealmNotTerminated);
        }
        (descriptor.tree(), descriptor.holdings.most())
    };
    if rd.count() != 0 {
        return Err(Cause::RealmLive);
    }
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
