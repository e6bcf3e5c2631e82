//! Realm commands: create, activate, destroy.

use granule::delegation;
use granule::{Delegated, GranuleAddr, GranuleGuard, RdState, RealmNumber, RttState};
use machine::extensions::Extensions;
use machine::stage2::Stale;
use machine::{Event, Hasher, HostMemory, Log, Memory, Slot, Stage2Tlb};
use realm::features::{IPA_WIDTH_MIN, Wish};
use realm::measurement::Algorithm;
use realm::rd::{Rd, RealmState};
use realm::rtt::tree::{ROOTS_MAX, lock_table, roots_for};
use realm::rtt::{Format, Level, Tree};
use realm::{Features, IpaSpace, Rmm};

use crate::abi::{NONE, Outputs, RealmParams};
use crate::args::{self, Labels, RD};
use crate::error::Refusal;
use crate::rtt;

const FLAG_LPA2: u64 = 1;
const FLAG_SVE: u64 = 1 << 1;
const FLAG_PMU: u64 = 1 << 2;

const START_TABLE: Labels = Labels { align: "rtt_align", bound: "rtt_state", state: "rtt_state" };

/// `RMI_REALM_CREATE`: makes a Realm from parameters in a page of the Host's.
///
/// # Errors
///
/// RMI_ERROR_INPUT: `params_align`, `params_bound`, `params_pas`, `params_valid`, `params_supp`, `alias`, `rd_*`, `rtt_align`, `rtt_num_level`,
/// `rtt_state`, `vmid_valid`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_REALM_CREATE`.
// Out of line: its pages would make the stack of every command larger.
#[inline(never)]
pub fn create<M: Memory + HostMemory + Hasher + Log>(
    rmm: &Rmm<'_, M>,
    rd: u64,
    params_ptr: u64,
) -> Result<Outputs, Refusal> {
    let machine = rmm.machine;
    let rd = RD.check(rmm, rd)?.addr();
    let params_ptr = args::host_pointer(rmm, params_ptr, "params_align", "params_bound")?;
    let mut params = RealmParams::zeroed();
    machine.read_host(params_ptr, 0, params.words_mut()).map_err(args::host_fault("params_pas"))?;
    let algorithm =
        Algorithm::from_u64(u64::from(params.hash_algo())).ok_or(Refusal::input("params_valid"))?;
    let extensions = extensions(&rmm.features, &params)?;
    let tree = geometry(&rmm.features, &params)?;
    let end = tree.root.as_u64() + tree.roots * granule::GRANULE_SIZE;
    if (tree.root.as_u64()..end).contains(&rd.as_u64()) {
        return Err(Refusal::input("alias"));
    }
    let vmid = rmm.vmids.reserve(tree.vmid).ok_or(Refusal::input("vmid_valid"))?;

    let (mut rd, tables) = lock_all(rmm, rd, &tree)?;
    // Nothing can fail from here on.
    let number = rmm.ledger.number_realm();
    let tree = Tree { number, ..tree };
    for (number, table) in tables.into_iter().enumerate() {
        let mut table = rmm.granules.claim::<RttState>(table);
        rtt::init_start_table(rmm, &tree, number as u64, &mut table);
    }
    machine.publish();
    machine.wipe(Slot::Object, rd.exclusive());
    let mut rd = rmm.granules.claim::<RdState>(rd);
    {
        let mut page = machine.page(Slot::Rd, rd.exclusive());
        let descriptor: &mut Rd = page.view_mut();
        descriptor.init(&tree, extensions, algorithm, params.rpv());
        descriptor.measurements.init(machine, algorithm, &params.measured());
    }
    let addr = rd.addr();
    rd.unlock();
    vmid.keep();
    machine.log(Event::RealmCreated { number, rd: addr, vmid: tree.vmid });
    Ok(NONE)
}

const UNSUPPORTED: Refusal = Refusal::input("params_supp");

/// `params_supp`: SVE, performance monitors, breakpoints and watchpoints.
fn extensions(features: &Features, params: &RealmParams) -> Result<Extensions, Refusal> {
    let flags = params.flags();
    let wish = Wish {
        sve_vl: (flags & FLAG_SVE != 0).then_some(params.sve_vl()),
        counters: (flags & FLAG_PMU != 0).then_some(params.pmu_num_ctrs()),
        breakpoints_minus_one: params.num_bps(),
        watchpoints_minus_one: params.num_wps(),
    };
    features.extensions(&wish).ok_or(UNSUPPORTED)
}

/// `params_supp`, `rtt_align`, `rtt_num_level` and the range of `vmid_valid`.
fn geometry(features: &Features, params: &RealmParams) -> Result<Tree, Refusal> {
    const NUMBER: Refusal = Refusal::input("rtt_num_level");
    let lpa2 = params.flags() & FLAG_LPA2 != 0;
    if lpa2 && !features.lpa2 {
        return Err(UNSUPPORTED);
    }
    let format = if lpa2 { Format::Address52 } else { Format::Address48 };
    let width = params.s2sz();
    let width_max = if lpa2 { features.ipa_width_max } else { features.ipa_width_max.min(48) };
    if !(IPA_WIDTH_MIN..=width_max).contains(&width) {
        return Err(UNSUPPORTED);
    }
    let space = IpaSpace::new(width).ok_or(UNSUPPORTED)?;
    let start = Level::new(params.rtt_level_start()).ok_or(NUMBER)?;
    if !features.walks_from(start) {
        return Err(NUMBER);
    }
    let roots = roots_for(space, start, format).ok_or(NUMBER)?;
    if params.rtt_num_start() != roots {
        return Err(NUMBER);
    }
    // A base that is not aligned to all tables would make hardware walk other memory.
    let root = GranuleAddr::new(params.rtt_base()).ok_or(Refusal::input("rtt_align"))?;
    if !root.as_u64().is_multiple_of(roots * granule::GRANULE_SIZE) {
        return Err(Refusal::input("rtt_align"));
    }
    args::address_fits(format, root, "rtt_align")?;
    if params.vmid() > 255 && !features.vmid16 {
        return Err(Refusal::input("vmid_valid"));
    }
    // The number is given once nothing can fail.
    let number = RealmNumber(0);
    Ok(Tree { space, root, start, roots, format, vmid: params.vmid(), number })
}

const ROOTS: usize = ROOTS_MAX;
type StartTables<'t> = heapless::Vec<GranuleGuard<'t, Delegated>, ROOTS>;

/// Locks the RD and the start-level tables, all DELEGATED, in ascending order of address.
fn lock_all<'t, M>(
    rmm: &Rmm<'t, M>,
    rd: GranuleAddr,
    tree: &Tree,
) -> Result<(GranuleGuard<'t, Delegated>, StartTables<'t>), Refusal> {
    let lock_rd = || rmm.granules.lock(rd).map_err(|error| RD.refusal(error));
    let mut first = if rd < tree.root { Some(lock_rd()?) } else { None };
    let mut tables = StartTables::new();
    for addr in rtt::start_tables(tree) {
        let table = rmm.granules.lock(addr).map_err(|error| START_TABLE.refusal(error))?;
        tables.push(table).map_err(|_| Refusal::input("rtt_num_level"))?;
    }
    let rd = match first.take() {
        Some(rd) => rd,
        None => lock_rd()?,
    };
    Ok((rd, tables))
}

/// `RMI_REALM_ACTIVATE`: ends the building of a Realm; its RECs may run, its RIM is final.
///
/// # Errors
///
/// RMI_ERROR_INPUT: `rd_*`; RMI_ERROR_REALM: `realm_state`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_REALM_ACTIVATE`.
pub fn activate<M: Memory + Log>(rmm: &Rmm<'_, M>, rd: u64) -> Result<Outputs, Refusal> {
    let mut rd = RD.lock::<RdState, _>(rmm, rd)?;
    let number = {
        let mut page = rmm.machine.page(Slot::Rd, rd.exclusive());
        let descriptor: &mut Rd = page.view_mut();
        if descriptor.state() != RealmState::New {
            return Err(Refusal::realm("realm_state"));
        }
        descriptor.set_state(RealmState::Active);
        descriptor.tree().number
    };
    rmm.machine.log(Event::RealmActivated { number });
    Ok(NONE)
}

/// `RMI_REALM_DESTROY`: ends a Realm without RECs, memory or tables. RD and start-level tables become DELEGATED.
///
/// # Errors
///
/// RMI_ERROR_INPUT: `rd_*`; RMI_ERROR_REALM: `realm_live`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_REALM_DESTROY`.
pub fn destroy<M: Memory + Stage2Tlb + Log>(
    rmm: &Rmm<'_, M>,
    rd: u64,
) -> Result<Outputs, Refusal> {
    const LIVE: Refusal = Refusal::realm("realm_live");
    let machine = rmm.machine;
    let mut rd = RD.lock::<RdState, _>(rmm, rd)?;
    let addr = rd.addr();
    if rd.count() != 0 {
        return Err(LIVE);
    }
    let (tree, most) = {
        let page = machine.page(Slot::Rd, rd.exclusive());
        let descriptor: &Rd = page.view();
        (descriptor.tree(), descriptor.holdings.most())
    };
    let mut tables: heapless::Vec<args::TableGuard<'_>, ROOTS> = heapless::Vec::new();
    for table in rtt::start_tables(&tree) {
        let table = lock_table(&rmm.granules, table);
        // Unprotected blocks do not make a Realm live.
        if table.count() != 0 && rtt::is_holding(machine, &table, tree.start) {
            return Err(LIVE);
        }
        tables.push(table).map_err(|_| LIVE)?;
    }
    // Unprotected blocks in start-level tables may be cached.
    machine.invalidate(tree.vmid, Stale::All);
    // Before the locks are: who finds the RD released finds the VMID free.
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
    Ok(NONE)
}
