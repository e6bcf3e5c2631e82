//! RMI_PSCI_COMPLETE: the Host's answer to a PSCI call that names another REC.

use granule::RecState;
use machine::{Memory, Slot};
use realm::rec::{Pending, RecIndex};
use realm::{Rec, Rmm};

use crate::abi::{NONE, Outputs};
use crate::args::{self, Labels};
use crate::error::Refusal;

const CALLING: Labels =
    Labels { align: "calling_align", bound: "calling_bound", state: "calling_state" };
const TARGET: Labels =
    Labels { align: "target_align", bound: "target_bound", state: "target_state" };

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

/// `RMI_PSCI_COMPLETE`: completes CPU_ON or AFFINITY_INFO of `calling` about `target`.
///
/// # Errors
///
/// RMI_ERROR_INPUT: `alias`, `calling_*`, `target_*`, `pending`, `owner`, `target`, `status`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RMI_PSCI_COMPLETE`, B3.27. A refused status changes nothing (the reference
/// monitor has completed the call by then).
pub fn complete<M: Memory>(
    rmm: &Rmm<'_, M>,
    calling: u64,
    target: u64,
    status: u64,
) -> Result<Outputs, Refusal> {
    if calling == target {
        return Err(Refusal::input("alias"));
    }
    let machine = rmm.machine;
    let (mut calling, mut target) =
        args::lock_pair::<RecState, RecState, _>(rmm, (&CALLING, calling), (&TARGET, target))?;
    if calling.count() != 0 {
        return Err(Refusal::input("pending"));
    }
    let mut calling_page = machine.page(Slot::Rec, calling.exclusive());
    let calling: &mut Rec = calling_page.view_mut();
    if calling.pending() != Pending::Psci {
        return Err(Refusal::input("pending"));
    }
    let wanted = RecIndex::from_mpidr(calling.gpr(1));
    // The target may be running: then its contents, `runnable` among them, are not ours to look at.
    let (owner, index) = Rec::identity(&machine.words(Slot::TargetRec, target.shared()));
    if calling.owner() != owner {
        return Err(Refusal::input("owner"));
    }
    if wanted != Some(index) {
        return Err(Refusal::input("target"));
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
        return Err(Refusal::input("status"));
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
    Ok(NONE)
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
