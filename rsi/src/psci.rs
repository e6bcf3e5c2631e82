//! PSCI 1.1 and SMCCC 1.2 inside a Realm.

use granule::{GranuleAddr, RecState};
use machine::{Event, Log, Memory, Slot};
use realm::exit::Exit;
use realm::rd::RealmState;
use realm::rec::{Pending, RecIndex};
use realm::{Numbering, Rec, Rmm};

use crate::Outcome;
use crate::abi::NOT_SUPPORTED;
use crate::measurement::with_rd;

/// Function identifiers. Bit 30 tells the 64-bit form of a call from the 32-bit one.
///
/// Source: PSCI (Arm DEN0022), SMCCC (Arm DEN0028).
mod fid {
    pub(super) const SMCCC_VERSION: u64 = 0x8000_0000;
    pub(super) const VERSION: u64 = 0x8400_0000;
    pub(super) const CPU_SUSPEND: u64 = 0x8400_0001;
    pub(super) const CPU_OFF: u64 = 0x8400_0002;
    pub(super) const CPU_ON: u64 = 0x8400_0003;
    pub(super) const AFFINITY_INFO: u64 = 0x8400_0004;
    pub(super) const SYSTEM_OFF: u64 = 0x8400_0008;
    pub(super) const SYSTEM_RESET: u64 = 0x8400_0009;
    pub(super) const FEATURES: u64 = 0x8400_000a;
    pub(super) const SMC64: u64 = 0x4000_0000;
    pub(super) const CPU_SUSPEND_64: u64 = CPU_SUSPEND | SMC64;
    pub(super) const CPU_ON_64: u64 = CPU_ON | SMC64;
    pub(super) const AFFINITY_INFO_64: u64 = AFFINITY_INFO | SMC64;
}

const PSCI_1_1: u64 = 0x1_0001;
const SMCCC_1_2: u64 = 0x1_0002;

const SUCCESS: u64 = 0;
const INVALID_PARAMETERS: u64 = (-2_i64).cast_unsigned();
const ALREADY_ON: u64 = (-4_i64).cast_unsigned();
const INVALID_ADDRESS: u64 = (-9_i64).cast_unsigned();

/// AFFINITY_INFO: the CPU is on.
const ON: u64 = 0;
/// AFFINITY_INFO: the CPU is off.
const OFF: u64 = 1;

/// Handles a PSCI or SMCCC call; `None` if it is neither.
///
/// Source: RMM specification (Arm DEN0137) 1.0, B6 "PSCI".
pub fn call<M: Memory + Log>(rmm: &Rmm<'_, M>, rec: &mut Rec, called: u64) -> Option<Outcome> {
    Some(match called {
        fid::SMCCC_VERSION => Outcome::code(SMCCC_1_2),
        fid::VERSION => Outcome::code(PSCI_1_1),
        fid::FEATURES => Outcome::code(features(rec.gpr(1) & 0xffff_ffff)),
        fid::CPU_SUSPEND | fid::CPU_SUSPEND_64 => {
            for number in 0..4 {
                rec.set_gpr(number, SUCCESS);
            }
            tell_host(called, 0)
        }
        fid::CPU_OFF => {
            rec.set_runnable(false);
            tell_host(called, 0)
        }
        fid::CPU_ON | fid::CPU_ON_64 => cpu_on(rmm, rec, called),
        fid::AFFINITY_INFO | fid::AFFINITY_INFO_64 => affinity_info(rmm, rec, called),
        fid::SYSTEM_OFF | fid::SYSTEM_RESET => {
            with_rd(rmm, rec, |rd| rd.set_state(RealmState::SystemOff));
            rmm.machine.log(Event::RealmOff { number: rec.tree().number });
            tell_host(called, 0)
        }
        _ => return None,
    })
}

const fn tell_host(call: u64, target: u64) -> Outcome {
    Outcome::Exit(Exit::Psci { call, target })
}

/// `PSCI_FEATURES`.
const fn features(queried: u64) -> u64 {
    match queried {
        fid::SMCCC_VERSION
        | fid::VERSION
        | fid::CPU_SUSPEND
        | fid::CPU_SUSPEND_64
        | fid::CPU_OFF
        | fid::CPU_ON
        | fid::CPU_ON_64
        | fid::AFFINITY_INFO
        | fid::AFFINITY_INFO_64
        | fid::SYSTEM_OFF
        | fid::SYSTEM_RESET
        | fid::FEATURES => SUCCESS,
        _ => NOT_SUPPORTED,
    }
}

/// Arguments X1 to X3; the 32-bit form of a call has 32-bit arguments.
fn arguments(rec: &Rec, called: u64) -> [u64; 3] {
    let mask = if called & fid::SMC64 == 0 { 0xffff_ffff } else { u64::MAX };
    [rec.gpr(1) & mask, rec.gpr(2) & mask, rec.gpr(3) & mask]
}

/// The REC that an MPIDR names, if the Realm has one.
fn target<M: Memory>(rmm: &Rmm<'_, M>, rec: &Rec, mpidr: u64) -> Option<RecIndex> {
    let index = RecIndex::from_mpidr(mpidr)?;
    with_rd(rmm, rec, |rd| rd.rec_exists(index)).then_some(index)
}

/// Whether AFFINITY_INFO may be asked about an index: any, where the monitor knows the RECs; else
/// one of a REC.
fn is_nameable<M: Memory>(rmm: &Rmm<'_, M>, rec: &Rec, index: RecIndex) -> bool {
    with_rd(rmm, rec, |rd| rd.numbering() == Numbering::Free || rd.rec_exists(index))
}

/// `PSCI_CPU_ON`: needs the Host, which knows where the other REC is.
fn cpu_on<M: Memory>(rmm: &Rmm<'_, M>, rec: &mut Rec, called: u64) -> Outcome {
    let [mpidr, entry, context] = arguments(rec, called);
    if !rec.tree().space.is_protected(entry) {
        return Outcome::code(INVALID_ADDRESS);
    }
    let Some(index) = target(rmm, rec, mpidr) else {
        return Outcome::code(INVALID_PARAMETERS);
    };
    if index == rec.index() {
        return Outcome::code(ALREADY_ON);
    }
    // RMI_PSCI_COMPLETE reads the call from the registers.
    for (number, value) in [called, mpidr, entry, context].into_iter().enumerate() {
        rec.set_gpr(number, value);
    }
    rec.set_pending(Pending::Psci);
    // Entry point and context are the Realm's own business.
    tell_host(called, mpidr)
}

/// Who answers a question about another REC.
enum Answerable {
    /// The monitor: whether it is on.
    Here(bool),
    /// The Host, which alone knows where the REC is.
    ByHost,
}

/// Whether the other REC with this index is on, if the monitor knows where the Realm's RECs are.
/// One that does not exist is off.
///
/// The answer is of a moment that has passed: it may change as soon as no lock is held.
fn sibling<M: Memory>(rmm: &Rmm<'_, M>, rec: &Rec, index: RecIndex) -> Answerable {
    let (numbering, found) = with_rd(rmm, rec, |rd| (rd.numbering(), rd.find_rec(index)));
    if numbering == Numbering::InOrder {
        return Answerable::ByHost;
    }
    let on = found.is_some_and(|addr| is_on(rmm, (rec.owner(), index), addr));
    Answerable::Here(on)
}

/// Whether the granule at `addr` is the REC of this Realm with this index, and on.
fn is_on<M: Memory>(
    rmm: &Rmm<'_, M>,
    identity: (GranuleAddr, RecIndex),
    addr: GranuleAddr,
) -> bool {
    // It may have been destroyed meanwhile, and another one may be there.
    let Ok(mut sibling) = rmm.granules.lock::<RecState>(addr) else { return false };
    if Rec::identity(&rmm.machine.words(Slot::TargetRec, sibling.shared())) != identity {
        return false;
    }
    sibling.count() != 0
        || rmm.machine.page(Slot::TargetRec, sibling.exclusive()).view::<Rec>().is_runnable()
}

/// `PSCI_AFFINITY_INFO`: only single CPUs, not clusters.
///
/// Source: RMM specification (Arm DEN0137) 1.0 and 2.0, B6 "PSCI": where the monitor can answer, no
/// Host is asked, and a CPU that the Realm does not have is off.
fn affinity_info<M: Memory>(rmm: &Rmm<'_, M>, rec: &mut Rec, called: u64) -> Outcome {
    let [mpidr, level, _] = arguments(rec, called);
    let named = RecIndex::from_mpidr(mpidr).filter(|_| level == 0);
    let Some(index) = named.filter(|&index| is_nameable(rmm, rec, index)) else {
        return Outcome::code(INVALID_PARAMETERS);
    };
    if index == rec.index() {
        return Outcome::code(ON);
    }
    if let Answerable::Here(on) = sibling(rmm, rec, index) {
        return Outcome::code(if on { ON } else { OFF });
    }
    for (number, value) in [called, mpidr].into_iter().enumerate() {
        rec.set_gpr(number, value);
    }
    rec.set_pending(Pending::Psci);
    tell_host(called, mpidr)
}
