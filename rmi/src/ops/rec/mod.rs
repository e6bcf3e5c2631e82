//! A REC: made, ended, and what it needs.

use granule::delegation;
use granule::{GranuleAddr, RdState, RecState};
use machine::addr::PAGE_BYTES;
use machine::extensions::Extensions;
use machine::{Hasher, Memory, Slot};
use realm::rd::{Rd, RealmState};
use realm::rec::{AUX_MAX, RecIndex, controls};
use realm::{Rec, Rmm};

mod unfinished;

pub(super) use unfinished::{aux_of, complete, end, keep_aux, push_aux};
pub use unfinished::{begin_create, begin_destroy};

use super::donation::{self, Locked, lock_donated};
use super::{Cause, Named};

/// What a Host wants of a new REC.
#[derive(Debug)]
pub struct Wanted<'p> {
    /// Whether it may run once the Realm is active.
    pub is_runnable: bool,
    /// Its number in the Realm; `None` is one that no REC can have.
    pub index: Option<RecIndex>,
    /// Where it starts.
    pub pc: u64,
    /// X0 to X7.
    pub gprs: [u64; 8],
    /// The page that extends the RIM if the REC is runnable.
    pub measured: &'p [u8; PAGE_BYTES],
}

/// The number of auxiliary granules that a REC of the Realm needs.
///
/// # Errors
///
/// `State`.
pub fn aux_count<M: Memory>(rmm: &Rmm<'_, M>, rd: Named<'_>) -> Result<usize, Cause> {
    let mut rd = rd.lock::<RdState>()?;
    let extensions = rmm.machine.page(Slot::Rd, rd.exclusive()).view::<Rd>().extensions;
    Ok(realm::rec::aux_count(&extensions))
}

/// Makes a REC of a new Realm, with these auxiliary granules; `None` is more than the Host could
/// list.
///
/// # Errors
///
/// `State`, `RealmState`, `RecsFull`, `RecAuxCount`, those of auxiliary granules, `RecIndex`.
pub fn create<M: Memory + Hasher>(
    rmm: &Rmm<'_, M>,
    rd: Named<'_>,
    rec: Named<'_>,
    wanted: &Wanted<'_>,
    aux: Option<&[u64]>,
) -> Result<(), Cause> {
    let machine = rmm.machine;
    // Which state the Realm is in decides between a refusal for it and the rest; a Realm does not
    // go back to NEW, so a look before all is locked is as good as one after.
    let extensions = check_realm(rmm, rd)?;
    let aux = aux
        .filter(|aux| aux.len() == realm::rec::aux_count(&extensions))
        .ok_or(Cause::RecAuxCount)?;
    let Locked { mut rd, mut rec, donation } = donation::lock_all(rmm, rd, rec, aux)?;
    let (rd_addr, rec_addr) = (rd.addr(), rec.addr());
    let num_recs = rd.count();
    {
        let mut rd_page = machine.page(Slot::Rd, rd.exclusive());
        let descriptor: &mut Rd = rd_page.view_mut();
        check_new(descriptor, num_recs)?;
        // Another Realm may have its RD here by now.
        if donation.len() != realm::rec::aux_count(&descriptor.extensions) {
            return Err(Cause::RecAuxCount);
        }
        let index =
            wanted.index.filter(|&index| descriptor.may_add_rec(index)).ok_or(Cause::RecIndex)?;
        // Nothing can fail from here on.
        let mut rec_page = machine.page(Slot::Rec, rec.exclusive());
        fill(rmm, rec_page.view_mut(), (rd_addr, descriptor), index, wanted);
        rec_page.view_mut::<Rec>().set_aux(donation.addresses());
        descriptor.holdings.add_rec(donation.len() as u64);
        donation.take(rmm);
        descriptor.reserve_rec(index, rec_addr);
        descriptor.complete_rec(index);
        if wanted.is_runnable {
            let algorithm = descriptor.algorithm();
            descriptor.measurements.extend_rec(machine, algorithm, wanted.measured);
        }
    }
    rd.set_count(num_recs + 1);
    rd.unlock();
    rmm.granules.claim::<RecState>(rec).unlock();
    Ok(())
}

/// Whether a Realm with so many RECs may have another one.
fn check_new(rd: &Rd, num_recs: u16) -> Result<(), Cause> {
    if rd.state() != RealmState::New {
        return Err(Cause::RealmState);
    }
    if u64::from(num_recs) == rd.numbering().recs_max() { Err(Cause::RecsFull) } else { Ok(()) }
}

/// The conditions of the Realm, ahead of the checks that need all locks; what the Realm's CPUs
/// have.
fn check_realm<M: Memory>(rmm: &Rmm<'_, M>, rd: Named<'_>) -> Result<Extensions, Cause> {
    let mut rd = rd.lock::<RdState>()?;
    let num_recs = rd.count();
    let page = rmm.machine.page(Slot::Rd, rd.exclusive());
    let descriptor: &Rd = page.view();
    check_new(descriptor, num_recs)?;
    Ok(descriptor.extensions)
}

/// Writes a zeroed REC.
fn fill<M>(
    rmm: &Rmm<'_, M>,
    rec: &mut Rec,
    (owner, rd): (GranuleAddr, &Rd),
    index: RecIndex,
    wanted: &Wanted<'_>,
) {
    rec.init(owner, rd, index, wanted.is_runnable);
    let tree = rd.tree();
    let registers = &mut rec.registers;
    controls::reset(registers);
    registers.vtcr_el2 = controls::vtcr(&tree, &rmm.features);
    registers.vttbr_el2 = controls::vttbr(&tree);
    registers.vmpidr_el2 = index.vmpidr();
    registers.hcr_el2 = controls::hcr(false, false);
    registers.pc = wanted.pc;
    for (register, value) in registers.gprs.iter_mut().zip(wanted.gprs) {
        *register = value;
    }
}

/// Ends a REC that does not run. The REC and its auxiliary granules become DELEGATED.
///
/// # Errors
///
/// `State`, `RecRunning`.
pub fn destroy<M: Memory>(rmm: &Rmm<'_, M>, rec: Named<'_>) -> Result<(), Cause> {
    let mut rec = rec.lock::<RecState>()?;
    if rec.count() != 0 {
        return Err(Cause::RecRunning);
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
        let granule = lock_donated(rmm, addr);
        delegation::release(rmm.machine, &rmm.granules, granule, number).unlock();
    }
    delegation::release(rmm.machine, &rmm.granules, rec, number).unlock();
    leave(rmm, owner, index, Some(aux_count));
    Ok(())
}

/// A REC does not exist any more: its Realm has one less. `aux` is the number of auxiliary granules
/// with which the Realm had it; `None` of one that was never complete.
///
/// After the REC is gone: REALM_DESTROY must not see a Realm without RECs while one exists. Both
/// locks are never held at once, because nothing orders their addresses.
fn leave<M: Memory>(rmm: &Rmm<'_, M>, owner: GranuleAddr, index: RecIndex, aux: Option<u64>) {
    let Ok(mut rd) = rmm.granules.lock::<RdState>(owner) else { unreachable!("RD of a REC") };
    {
        let mut page = rmm.machine.page(Slot::Rd, rd.exclusive());
        let descriptor: &mut Rd = page.view_mut();
        descriptor.remove_rec(index);
        if let Some(aux) = aux {
            descriptor.holdings.remove_rec(aux);
        }
    }
    rd.set_count(rd.count() - 1);
}
