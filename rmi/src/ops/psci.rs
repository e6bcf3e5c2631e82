//! The Host's answer to a PSCI call that names another REC.

use granule::{GranuleAddr, GranuleGuard, RdState, RecState};
use machine::{Memory, Slot};
use realm::rd::Rd;
use realm::rec::{Pending, RecIndex};
use realm::{Rec, Rmm};

use super::{Cause, Named, Operand, lock};

/// PSCI return codes.
///
/// Source: PSCI (Arm DEN0022), "Return error codes".
const SUCCESS: u64 = 0;
const INVALID_PARAMETERS: u64 = (-2_i64).cast_unsigned();
const DENIED: u64 = (-3_i64).cast_unsigned();
const ALREADY_ON: u64 = (-4_i64).cast_unsigned();

/// A PSCI call that the Host completes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Request {
    CpuOn,
    AffinityInfo,
}

/// Completes CPU_ON or AFFINITY_INFO of `calling` about `target`, which are two granules, with the
/// Host's status as PSCI writes it.
///
/// # Errors
///
/// `State`, `PsciNotPending`, `PsciOwner`, `PsciTarget`, `PsciStatus`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_PSCI_COMPLETE`, B3.27. A refused status
/// changes nothing (the reference monitor has completed the call by then).
#[inline(never)] // Two dialects call it, and one copy is enough.
pub fn complete<M: Memory>(
    rmm: &Rmm<'_, M>,
    calling: Named<'_>,
    target: Named<'_>,
    status: u64,
) -> Result<(), Cause> {
    let machine = rmm.machine;
    let (mut calling, mut target) = lock::pair::<RecState, RecState>(calling, target)?;
    if calling.count() != 0 {
        return Err(Cause::PsciNotPending);
    }
    let mut calling_page = machine.page(Slot::Rec, calling.exclusive());
    let calling: &mut Rec = calling_page.view_mut();
    if calling.pending() != Pending::Psci {
        return Err(Cause::PsciNotPending);
    }
    let wanted = RecIndex::from_mpidr(calling.gpr(1));
    // The target may be running: then its contents, `runnable` among them, are not ours to look at.
    let (owner, index) = Rec::identity(&machine.words(Slot::TargetRec, target.shared()));
    if calling.owner() != owner {
        return Err(Cause::PsciOwner);
    }
    if wanted != Some(index) {
        return Err(Cause::PsciTarget);
    }
    let target_on = is_on(machine, &mut target);
    let request = request_of(calling.gpr(0));
    let permitted = match status {
        SUCCESS => true,
        DENIED => request == Request::CpuOn && !target_on,
        _ => false,
    };
    if !permitted {
        return Err(Cause::PsciStatus);
    }
    let result = match request {
        Request::CpuOn if target_on => ALREADY_ON,
        Request::CpuOn if status == DENIED => DENIED,
        Request::CpuOn => {
            turn_on(machine, calling, &mut target);
            SUCCESS
        }
        // 0: ON, 1: OFF.
        Request::AffinityInfo => u64::from(!target_on),
    };
    finish(calling, result);
    Ok(())
}

/// Whether a REC is on: it runs, or may run.
fn is_on(machine: &impl Memory, target: &mut GranuleGuard<'_, RecState>) -> bool {
    target.count() != 0
        || machine.page(Slot::TargetRec, target.exclusive()).view::<Rec>().is_runnable()
}

/// Carries out the CPU_ON of `calling`: the target, which is off, starts where the call says.
fn turn_on(machine: &impl Memory, calling: &Rec, target: &mut GranuleGuard<'_, RecState>) {
    let endianness = calling.registers.el1.sctlr_el1;
    let mut page = machine.page(Slot::TargetRec, target.exclusive());
    let target: &mut Rec = page.view_mut();
    target.reset_for_cpu_on(calling.gpr(2), calling.gpr(3), endianness);
}

/// Ends the PSCI call of `calling` with a result.
fn finish(calling: &mut Rec, result: u64) {
    calling.set_gpr(0, result);
    for register in 1..4 {
        calling.set_gpr(register, 0);
    }
    calling.set_pending(Pending::None);
}

/// Completes the CPU_ON of `calling` with the Host's status. Which REC it is about the monitor
/// finds itself, in a Realm that numbers freely.
///
/// If that REC does not exist any more the call ends with INVALID_PARAMETERS; no other answer would
/// ever end it.
///
/// `consumes_denial`: what the Host may not deny, because the REC is on already, ends the call with
/// ALREADY_ON all the same.
///
/// # Errors
///
/// `State`, `Blocked`, `PsciNotPending`, `PsciStatus`.
///
/// Source: RMM specification (Arm DEN0137) 2.0-bet3, `RMI_PSCI_COMPLETE`.
pub fn complete_call<M: Memory>(
    rmm: &Rmm<'_, M>,
    calling: Named<'_>,
    status: u64,
    consumes_denial: bool,
) -> Result<(), Cause> {
    if !matches!(status, SUCCESS | DENIED) {
        return Err(Cause::PsciStatus);
    }
    let wanted = look_at_call(rmm, calling)?;
    let Some(target) = find_target(rmm, &wanted) else {
        return end_without_target(rmm, calling, &wanted);
    };
    // Neither REC was locked in between: what was found has to be looked at again.
    let (mut calling_guard, mut target) = match lock::pair::<RecState, RecState>(calling, target) {
        Ok(pair) => pair,
        Err(Cause::State(Operand::TargetRec) | Cause::Blocked(Operand::TargetRec)) => {
            return end_without_target(rmm, calling, &wanted);
        }
        Err(cause) => return Err(cause),
    };
    let machine = rmm.machine;
    let (owner, index) = Rec::identity(&machine.words(Slot::TargetRec, target.shared()));
    if (owner, index) != (wanted.owner, wanted.target) {
        drop((calling_guard, target));
        return end_without_target(rmm, calling, &wanted);
    }
    let mut page = pending_page(rmm, &mut calling_guard, &wanted)?;
    let calling: &mut Rec = page.view_mut();
    let (result, refused) = match (is_on(machine, &mut target), status) {
        (true, DENIED) if consumes_denial => (ALREADY_ON, Err(Cause::PsciStatus)),
        (true, DENIED) => return Err(Cause::PsciStatus),
        (true, _) => (ALREADY_ON, Ok(())),
        (false, DENIED) => (DENIED, Ok(())),
        (false, _) => {
            turn_on(machine, calling, &mut target);
            (SUCCESS, Ok(()))
        }
    };
    finish(calling, result);
    refused
}

/// A CPU_ON that waits for its Host.
#[derive(Clone, Copy, PartialEq, Eq)]
struct PendingCall {
    /// The RD of the Realm.
    owner: GranuleAddr,
    /// The REC that it is about.
    target: RecIndex,
}

/// The call that a REC waits with.
fn pending_call(calling: &Rec) -> Result<PendingCall, Cause> {
    if calling.pending() != Pending::Psci {
        return Err(Cause::PsciNotPending);
    }
    let target = RecIndex::from_mpidr(calling.gpr(1)).ok_or(Cause::PsciNotPending)?;
    Ok(PendingCall { owner: calling.owner(), target })
}

/// The call that the REC `calling` waits with.
fn look_at_call<M: Memory>(rmm: &Rmm<'_, M>, calling: Named<'_>) -> Result<PendingCall, Cause> {
    let mut calling = calling.lock::<RecState>()?;
    if calling.count() != 0 {
        return Err(Cause::PsciNotPending);
    }
    pending_call(rmm.machine.page(Slot::Rec, calling.exclusive()).view())
}

/// The locked REC `calling`, if it still waits with the same call.
fn pending_page<'a, M: Memory>(
    rmm: &Rmm<'a, M>,
    calling: &'a mut GranuleGuard<'_, RecState>,
    wanted: &PendingCall,
) -> Result<M::Page<'a>, Cause> {
    if calling.count() != 0 {
        return Err(Cause::PsciNotPending);
    }
    let page = rmm.machine.page(Slot::Rec, calling.exclusive());
    if pending_call(page.view())? == *wanted { Ok(page) } else { Err(Cause::PsciNotPending) }
}

/// Where the REC is that a call is about, if there is one at this moment.
fn find_target<'t, M: Memory>(rmm: &Rmm<'t, M>, wanted: &PendingCall) -> Option<Named<'t>> {
    let mut rd = rmm.granules.lock::<RdState>(wanted.owner).ok()?;
    let addr = rmm.machine.page(Slot::Rd, rd.exclusive()).view::<Rd>().find_rec(wanted.target)?;
    Named::new(rmm, Operand::TargetRec, addr.as_u64()).ok()
}

/// Ends a call about a REC that does not exist any more.
fn end_without_target<M: Memory>(
    rmm: &Rmm<'_, M>,
    calling: Named<'_>,
    wanted: &PendingCall,
) -> Result<(), Cause> {
    let mut calling = calling.lock::<RecState>()?;
    let mut page = pending_page(rmm, &mut calling, wanted)?;
    finish(page.view_mut(), INVALID_PARAMETERS);
    Ok(())
}

/// Which call is pending. Only these two are ever left pending.
fn request_of(fid: u64) -> Request {
    const CPU_ON_32: u64 = 0x8400_0003;
    const CPU_ON_64: u64 = 0xc400_0003;
    match fid & 0xffff_ffff {
        CPU_ON_32 | CPU_ON_64 => Request::CpuOn,
        _ => Request::AffinityInfo,
    }
}
