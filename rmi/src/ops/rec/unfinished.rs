//! RECs that are made and ended in several calls of the Host: their auxiliary granules are given
//! and taken back by the calls of [`sro`].
//!
//! All of such a REC is in its own granule, which is PARTIAL: a REC filled in like any other, with
//! as many auxiliary granules as it has at the time. Its Realm counts it from the beginning to the
//! end, so the RD stays where it is.

use granule::{
    Delegated, GranuleAddr, GranuleGuard, Partial, RdState, RealmNumber, RecState, delegation,
};
use machine::{Hasher, Memory, Slot};
use realm::operation::{Abort, Awaits, Unfinished, Work};
use realm::rd::Rd;
use realm::rec::AUX_MAX;
use realm::{Rec, Rmm};

use super::{Wanted, check_new, fill, leave};
use crate::ops::sro::{self, Begun};
use crate::ops::{Cause, Named, Operand, lock};

/// Begins to make a REC of a new Realm.
///
/// The Realm knows the REC's index from now on, so that no other gets it, but does not find the REC
/// by it.
///
/// # Errors
///
/// `State`, `Blocked`, `RealmState`, `RecsFull`, `RecIndex`; then `Busy`, `NoSlot`.
pub fn begin_create<M: Memory + Hasher>(
    rmm: &Rmm<'_, M>,
    rd: Named<'_>,
    rec: Named<'_>,
    wanted: &Wanted<'_>,
) -> Result<Begun, Cause> {
    let machine = rmm.machine;
    let (mut rd, mut rec) = lock::pair::<RdState, Delegated>(rd, rec)?;
    let (rd_addr, rec_addr, num_recs) = (rd.addr(), rec.addr(), rd.count());
    let (slot, granules) = {
        let mut rd_page = machine.page(Slot::Rd, rd.exclusive());
        let descriptor: &mut Rd = rd_page.view_mut();
        check_new(descriptor, num_recs)?;
        let index =
            wanted.index.filter(|&index| descriptor.may_add_rec(index)).ok_or(Cause::RecIndex)?;
        let slot = sro::reserve(rmm)?;
        // Nothing can fail from here on.
        let mut rec_page = machine.page(Slot::Rec, rec.exclusive());
        let rec: &mut Rec = rec_page.view_mut();
        fill(rmm, rec, (rd_addr, descriptor), index, wanted);
        if wanted.is_runnable {
            // The page is the Host's copy of now; the RIM is extended when the REC is complete.
            rec.set_measured(descriptor.algorithm().hash(machine, wanted.measured));
        }
        descriptor.reserve_rec(index, rec_addr);
        (slot, realm::rec::aux_count(&descriptor.extensions) as u64)
    };
    rd.set_count(num_recs + 1);
    rd.unlock();
    rmm.granules.claim::<Partial>(rec).unlock();
    let awaits = Awaits::Donation { granules };
    // Last: who guesses the handle must find a PARTIAL granule.
    let handle = slot.begin(Unfinished::new(Work::RecCreate, rec_addr, awaits, 0));
    Ok(Begun { handle, awaits })
}

/// Begins to end a REC that does not run.
///
/// # Errors
///
/// `State`, `Blocked`, `RecRunning`; then `Busy`, `NoSlot`.
pub fn begin_destroy<M: Memory>(rmm: &Rmm<'_, M>, rec: Named<'_>) -> Result<Begun, Cause> {
    let mut rec = rec.lock::<RecState>()?;
    if rec.count() != 0 {
        return Err(Cause::RecRunning);
    }
    let slot = sro::reserve(rmm)?;
    let addr = rec.addr();
    let held = rmm.machine.page(Slot::Rec, rec.exclusive()).view::<Rec>().aux().count() as u64;
    rmm.granules.take_apart(rec).unlock();
    // Each REC has auxiliary granules.
    let awaits = Awaits::Reclaim;
    let handle = slot.begin(Unfinished::new(Work::RecDestroy, addr, awaits, held));
    Ok(Begun { handle, awaits })
}

/// Makes a REC of one that has all its granules.
///
/// # Errors
///
/// `RealmState`: the Realm has been activated meanwhile. Nothing has changed.
pub(in crate::ops) fn complete<M: Memory + Hasher>(
    rmm: &Rmm<'_, M>,
    rec: GranuleAddr,
) -> Result<(), Abort> {
    let machine = rmm.machine;
    let owner = with(rmm, rec, |rec| rec.owner());
    let (mut rd, mut rec) = lock_both(rmm, owner, rec);
    let num_recs = rd.count();
    {
        let mut rd_page = machine.page(Slot::Rd, rd.exclusive());
        let descriptor: &mut Rd = rd_page.view_mut();
        // The one that is to be is counted already, and has its index.
        check_new(descriptor, num_recs - 1).map_err(|_| Abort::RealmState)?;
        let mut rec_page = machine.page(Slot::Rec, rec.exclusive());
        let rec: &mut Rec = rec_page.view_mut();
        let aux: heapless::Vec<GranuleAddr, AUX_MAX> = rec.aux().collect();
        // Now that all are there, each has its role.
        rec.set_aux(aux.iter().copied());
        let content = rec.take_measured();
        if rec.is_runnable() {
            let algorithm = descriptor.algorithm();
            descriptor.measurements.extend_rec_content(machine, algorithm, &content);
        }
        descriptor.holdings.add_rec(aux.len() as u64);
        descriptor.complete_rec(rec.index());
    }
    rd.unlock();
    rmm.granules.complete(rec).unlock();
    Ok(())
}

/// Ends a REC whose auxiliary granules are back with the Host: its granule is DELEGATED, wiped.
pub(in crate::ops) fn end<M: Memory>(rmm: &Rmm<'_, M>, work: Work, rec: GranuleAddr) {
    let mut rec = lock_partial(rmm, rec);
    let (owner, index, number, extensions) = {
        let page = rmm.machine.page(Slot::Rec, rec.exclusive());
        let rec: &Rec = page.view();
        (rec.owner(), rec.index(), rec.tree().number, rec.registers.extensions)
    };
    delegation::release(rmm.machine, &rmm.granules, rec, number).unlock();
    let aux = match work {
        Work::RecCreate => None,
        Work::RecDestroy => Some(realm::rec::aux_count(&extensions) as u64),
    };
    leave(rmm, owner, index, aux);
}

/// The auxiliary granules that an unfinished REC has, and its Realm's number.
pub(in crate::ops) fn aux_of<M: Memory>(
    rmm: &Rmm<'_, M>,
    rec: GranuleAddr,
) -> (heapless::Vec<GranuleAddr, AUX_MAX>, RealmNumber) {
    with(rmm, rec, |rec| (rec.aux().collect(), rec.tree().number))
}

/// Gives an unfinished REC more auxiliary granules.
pub(in crate::ops) fn push_aux<M: Memory>(
    rmm: &Rmm<'_, M>,
    rec: GranuleAddr,
    granules: &[GranuleAddr],
) {
    with(rmm, rec, |rec| granules.iter().for_each(|&granule| rec.push_aux(granule)));
}

/// Takes all auxiliary granules from an unfinished REC but for the first `count`.
pub(in crate::ops) fn keep_aux<M: Memory>(rmm: &Rmm<'_, M>, rec: GranuleAddr, count: usize) {
    with(rmm, rec, |rec| rec.keep_aux(count));
}

/// Works on an unfinished REC.
fn with<M: Memory, T>(rmm: &Rmm<'_, M>, rec: GranuleAddr, work: impl FnOnce(&mut Rec) -> T) -> T {
    let mut rec = lock_partial(rmm, rec);
    work(rmm.machine.page(Slot::Rec, rec.exclusive()).view_mut())
}

/// Locks an unfinished REC. The CPU that has its operation is the only one that does.
fn lock_partial<'t, M>(rmm: &Rmm<'t, M>, rec: GranuleAddr) -> GranuleGuard<'t, Partial> {
    match rmm.granules.lock(rec) {
        Ok(granule) => granule,
        Err(_) => unreachable!("object of an operation"),
    }
}

/// Locks an unfinished REC and the RD of its Realm, in the order of any two granules.
fn lock_both<'t, M>(
    rmm: &Rmm<'t, M>,
    rd: GranuleAddr,
    rec: GranuleAddr,
) -> (GranuleGuard<'t, RdState>, GranuleGuard<'t, Partial>) {
    let named = |operand, addr: GranuleAddr| Named::new(rmm, operand, addr.as_u64());
    let (Ok(rd), Ok(rec)) = (named(Operand::Rd, rd), named(Operand::Rec, rec)) else {
        unreachable!("REC and RD are granules")
    };
    match lock::pair(rd, rec) {
        Ok(both) => both,
        Err(_) => unreachable!("RD of a REC, and object of an operation"),
    }
}
