//! REC commands: create, destroy, enter, auxiliary granules.

pub mod enter;
pub mod gic;

use granule::delegation;
use granule::{Delegated, GranuleAddr, GranuleGuard, History, RdState, RecAuxState, RecState};
use machine::extensions::Extensions;
use machine::{Hasher, HostMemory, Memory, Slot};
use realm::features::MAX_RECS_ORDER;
use realm::rd::{Rd, RealmState};
use realm::rec::{AUX_MAX, RecIndex, controls};
use realm::{Rec, Rmm};

use crate::abi::{NONE, Outputs, RecParams};
use crate::args::{self, Labels, RD, REC};
use crate::error::Refusal;

const AUX: Labels = Labels { align: "aux_align", bound: "aux_state", state: "aux_state" };

/// `RmiRecCreateFlags`, bit 0.
const FLAG_RUNNABLE: u64 = 1;

/// `RMI_REC_AUX_COUNT`: X1 is the number of auxiliary granules that a REC of the Realm needs.
///
/// # Errors
///
/// RMI_ERROR_INPUT: `rd_*`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_REC_AUX_COUNT`.
pub fn aux_count<M: Memory>(rmm: &Rmm<'_, M>, rd: u64) -> Result<Outputs, Refusal> {
    let mut rd: GranuleGuard<'_, RdState> = RD.lock(rmm, rd)?;
    let extensions = rmm.machine.page(Slot::Rd, rd.exclusive()).view::<Rd>().extensions;
    Ok([realm::rec::aux_count(&extensions) as u64, 0, 0, 0])
}

/// Auxiliary granules on their way to a REC: claimed one at a time, given back on failure.
///
/// They are claimed before the REC and the RD are locked: all three addresses are the Host's choice, and locking one
/// while holding another in no fixed order could deadlock two calls. A claimed granule is REC_AUX and unlocked, so
/// nothing else can take it.
struct Claim<'r, 't, M: Memory> {
    rmm: &'r Rmm<'t, M>,
    granules: heapless::Vec<(GranuleAddr, History), AUX_MAX>,
    kept: bool,
}

impl<'r, 't, M: Memory> Claim<'r, 't, M> {
    fn take(rmm: &'r Rmm<'t, M>, rec: GranuleAddr, addresses: &[u64]) -> Result<Self, Refusal> {
        let mut claim = Self { rmm, granules: heapless::Vec::new(), kept: false };
        for &raw in addresses {
            let addr = GranuleAddr::new(raw).ok_or(Refusal::input(AUX.align))?;
            if addr == rec || claim.granules.iter().any(|(taken, _)| *taken == addr) {
                return Err(Refusal::input("aux_alias"));
            }
            let mut granule =
                rmm.granules.lock::<Delegated>(addr).map_err(|error| AUX.refusal(error))?;
            rmm.machine.wipe(Slot::Object, granule.exclusive());
            let history = granule.history();
            claim.granules.push((addr, history)).map_err(|_| Refusal::input("num_aux"))?;
            rmm.granules.claim::<RecAuxState>(granule).unlock();
        }
        Ok(claim)
    }

    fn keep(mut self) {
        self.kept = true;
    }
}

impl<M: Memory> Drop for Claim<'_, '_, M> {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        for &(addr, history) in &self.granules {
            let granule = lock_aux(self.rmm, addr);
            delegation::put_back(self.rmm.machine, &self.rmm.granules, granule, history).unlock();
        }
    }
}

/// Locks an auxiliary granule that a REC, or one that is being made, has.
fn lock_aux<'t, M>(rmm: &Rmm<'t, M>, addr: GranuleAddr) -> GranuleGuard<'t, RecAuxState> {
    match rmm.granules.lock(addr) {
        Ok(granule) => granule,
        Err(_) => unreachable!("auxiliary granule of a REC"),
    }
}

/// `RMI_REC_CREATE`: makes a REC of a new Realm from parameters in a page of the Host's.
///
/// # Errors
///
/// RMI_ERROR_INPUT: `params_align`, `params_bound`, `params_pas`, `rec_*`, `rd_*`, `aux_*`, `mpidr_index`, `num_aux`; RMI_ERROR_REALM:
/// `realm_state`, `num_recs`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_REC_CREATE`.
// Out of line: its pages would make the stack of every command larger.
#[inline(never)]
pub fn create<M: Memory + HostMemory + Hasher>(
    rmm: &Rmm<'_, M>,
    rd: u64,
    rec: u64,
    params_ptr: u64,
) -> Result<Outputs, Refusal> {
    let machine = rmm.machine;
    let rec_addr = REC.check(rmm, rec)?.addr();
    RD.check(rmm, rd)?;
    let params_ptr = args::host_pointer(rmm, params_ptr, "params_align", "params_bound")?;
    let mut params = RecParams::zeroed();
    machine.read_host(params_ptr, 0, params.words_mut()).map_err(args::host_fault("params_pas"))?;
    // Which state the Realm is in decides between RMI_ERROR_REALM and the rest; a Realm does not go back to NEW,
    // so a look before the claim is as good as one after.
    let extensions = check_realm(rmm, rd)?;
    let aux = params.aux();
    let aux = usize::try_from(params.num_aux())
        .ok()
        .filter(|&count| count == realm::rec::aux_count(&extensions))
        .and_then(|count| aux.get(..count))
        .ok_or(Refusal::input("num_aux"))?;
    let claim = Claim::take(rmm, rec_addr, aux)?;

    let (mut rec, mut rd) = args::lock_pair::<Delegated, RdState, _>(rmm, (&REC, rec), (&RD, rd))?;
    let rd_addr = rd.addr();
    let num_recs = rd.count();
    {
        let mut rd_page = machine.page(Slot::Rd, rd.exclusive());
        let descriptor: &mut Rd = rd_page.view_mut();
        if descriptor.state() != RealmState::New {
            return Err(Refusal::realm("realm_state"));
        }
        if u64::from(num_recs) == (1 << MAX_RECS_ORDER) - 1 {
            return Err(Refusal::realm("num_recs"));
        }
        // Another Realm may have its RD here by now.
        if claim.granules.len() != realm::rec::aux_count(&descriptor.extensions) {
            return Err(Refusal::input("num_aux"));
        }
        let index = RecIndex::from_rmi(params.mpidr())
            .filter(|index| index.as_u64() == descriptor.next_rec_index)
            .ok_or(Refusal::input("mpidr_index"))?;
        // Nothing can fail from here on.
        machine.wipe(Slot::Object, rec.exclusive());
        let mut rec_page = machine.page(Slot::Rec, rec.exclusive());
        fill(rmm, rec_page.view_mut(), (rd_addr, descriptor), index, &params);
        rec_page.view_mut::<Rec>().set_aux(claim.granules.iter().map(|(addr, _)| *addr));
        descriptor.holdings.add_rec(claim.granules.len() as u64);
        descriptor.next_rec_index += 1;
        descriptor.set_rec_exists(index, true);
        if params.flags() & FLAG_RUNNABLE != 0 {
            let algorithm = descriptor.algorithm();
            descriptor.measurements.extend_rec(machine, algorithm, &params.measured());
        }
    }
    rd.set_count(num_recs + 1);
    rd.unlock();
    rmm.granules.claim::<RecState>(rec).unlock();
    claim.keep();
    Ok(NONE)
}

/// `realm_state` and `num_recs`, ahead of the checks that need the claim; what the Realm's CPUs have.
fn check_realm<M: Memory>(rmm: &Rmm<'_, M>, rd: u64) -> Result<Extensions, Refusal> {
    let mut rd: GranuleGuard<'_, RdState> = RD.lock(rmm, rd)?;
    let full = u64::from(rd.count()) == (1 << MAX_RECS_ORDER) - 1;
    let page = rmm.machine.page(Slot::Rd, rd.exclusive());
    let descriptor: &Rd = page.view();
    match descriptor.state() {
        RealmState::New if full => Err(Refusal::realm("num_recs")),
        RealmState::New => Ok(descriptor.extensions),
        RealmState::Active | RealmState::SystemOff => Err(Refusal::realm("realm_state")),
    }
}

/// Writes a zeroed REC.
fn fill<M>(
    rmm: &Rmm<'_, M>,
    rec: &mut Rec,
    (owner, rd): (GranuleAddr, &Rd),
    index: RecIndex,
    params: &RecParams,
) {
    rec.init(owner, rd, index, params.flags() & FLAG_RUNNABLE != 0);
    let tree = rd.tree();
    let registers = &mut rec.registers;
    controls::reset(registers);
    registers.vtcr_el2 = controls::vtcr(&tree, &rmm.features);
    registers.vttbr_el2 = controls::vttbr(&tree);
    registers.vmpidr_el2 = index.vmpidr();
    registers.hcr_el2 = controls::hcr(false, false);
    registers.pc = params.pc();
    for (register, value) in registers.gprs.iter_mut().zip(params.gprs()) {
        *register = value;
    }
}

/// `RMI_REC_DESTROY`: ends a REC that does not run. The REC and its auxiliary granules become DELEGATED.
///
/// # Errors
///
/// RMI_ERROR_INPUT: `rec_align`, `rec_bound`, `rec_gran_state`; RMI_ERROR_REC: `rec_state`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_REC_DESTROY`.
pub fn destroy<M: Memory>(rmm: &Rmm<'_, M>, rec: u64) -> Result<Outputs, Refusal> {
    let mut rec: GranuleGuard<'_, RecState> = REC.lock(rmm, rec)?;
    if rec.count() != 0 {
        return Err(Refusal::rec("rec_state"));
    }
    let mut aux: heapless::Vec<GranuleAddr, AUX_MAX> = heapless::Vec::new();
    let (owner, index, number) = {
        let page = rmm.machine.page(Slot::Rec, rec.exclusive());
        let rec: &Rec = page.view();
        aux.extend(rec.aux());
        (rec.owner(), rec.index(), rec.tree().number)
    };
    let aux_count = aux.len() as u64;
    for addr in aux {
        let granule = lock_aux(rmm, addr);
        delegation::release(rmm.machine, &rmm.granules, granule, number).unlock();
    }
    delegation::release(rmm.machine, &rmm.granules, rec, number).unlock();
    // After the REC is gone: REALM_DESTROY must not see a Realm without RECs while one exists. Both locks are never
    // held at once, because nothing orders their addresses.
    let Ok(mut rd) = rmm.granules.lock::<RdState>(owner) else { unreachable!("RD of a REC") };
    {
        let mut page = rmm.machine.page(Slot::Rd, rd.exclusive());
        let descriptor: &mut Rd = page.view_mut();
        descriptor.set_rec_exists(index, false);
        descriptor.holdings.remove_rec(aux_count);
    }
    rd.set_count(rd.count() - 1);
    Ok(NONE)
}
