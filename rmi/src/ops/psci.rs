//! The Host's answer to a PSCI call that names another REC.

use granule::RecState;
use machine::{Memory, Slot};
use realm::rec::{Pending, RecIndex};
use realm::{Rec, Rmm};

use super::{Cause, Named, lock};

/// PSCI return codes.
///
/// Source: PSCI (Arm DEN0022), "Return error codes".
const SUCCESS: u64 = 0;
const DENIED: u64 = (-3_i64).cast_unsigned();
const ALREADY_ON: u64 = (-4_i64).cast_unsigned();

/// A PSCI call that the Host completes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Request {
    CpuOn,
    AffinityInfo,
}

/// Completes CPU_ON or AFFINITY_INFO of `calling` about `target`, which are two granules, with the Host's status as PSCI
/// writes it.
///
/// # Errors
///
/// `State`, `PsciNotPending`, `PsciOwner`, `PsciTarget`, `PsciStatus`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_PSCI_COMPLETE`, B3.27. A refused status changes nothing (the reference
/// monitor has completed the call by then).
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
    let target_on = target.count() != 0
        || machine.page(Slot::TargetRec, target.exclusive()).view::<Rec>().is_runnable();
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
            let endianness = calling.registers.el1.sctlr_el1;
            let mut page = machine.page(Slot::TargetRec, target.exclusive());
            let target: &mut Rec = page.view_mut();
            target.reset_for_cpu_on(calling.gpr(2), calling.gpr(3), endianness);
            SUCCESS
        }
        // 0: ON, 1: OFF.
        Request::AffinityInfo => u64::from(!target_on),
    };
    calling.set_gpr(0, result);
    for register in 1..4 {
        calling.set_gpr(register, 0);
    }
    calling.set_pending(Pending::None);
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
