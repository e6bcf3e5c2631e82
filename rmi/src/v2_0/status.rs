//! Why a command is refused: the number for the Host and the condition's name for the log.

use machine::GranuleAddr;
use realm::rtt::Level;

use crate::ops::sro::Awaits;
use crate::ops::{Cause, Operand};
use crate::pages::host_labels;

/// RMI_SUCCESS.
pub(super) const SUCCESS: u64 = 0;

/// `RmiResult`: status in bits `[7:0]`, what belongs to it above.
///
/// Source: RMM specification (Arm DEN0137) 2.0-bet3, `RmiCommandReturnCode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    /// RMI_ERROR_INPUT.
    Input,
    /// RMI_ERROR_INPUT about a granule of a range.
    InputAt(GranuleAddr),
    /// RMI_ERROR_REALM.
    Realm,
    /// RMI_ERROR_REC.
    Rec,
    /// RMI_ERROR_RTT, with the level at which it happened.
    Rtt(Level),
    /// RMI_ERROR_NOT_SUPPORTED.
    NotSupported,
    /// RMI_BUSY: the reason may pass by itself.
    Busy,
    /// RMI_ERROR_GLOBAL: the monitor's own state, or something that all Realms share.
    Global,
    /// RMI_ERROR_TRACKING about a granule of a range.
    TrackingAt(GranuleAddr),
    /// RMI_BLOCKED: an operation that is not finished has to come to its end first.
    Blocked,
    /// RMI_ERROR_GPT.
    Gpt,
}

/// The part of a result that says where: a level, and an address in granules from bit 16 on (OQ-1).
const fn place(level: Level, addr: GranuleAddr) -> u64 {
    (level.as_u8() as u64) << 8 | addr.as_u64() >> 12 << 16
}

impl Code {
    const fn to_u64(self) -> u64 {
        match self {
            Self::Input => 1,
            Self::InputAt(addr) => 1 | place(Level::PAGE, addr),
            Self::Realm => 2,
            Self::Rec => 3,
            Self::Rtt(level) => 4 | (level.as_u8() as u64) << 8,
            Self::NotSupported => 5,
            Self::Busy => 10,
            Self::Global => 11,
            Self::TrackingAt(addr) => 12 | place(Level::FIRST_LEAF, addr),
            Self::Blocked => 14,
            Self::Gpt => 15,
        }
    }
}

/// RMI_INCOMPLETE, with what the operation waits for, and whether it can be cancelled.
///
/// Source: RMM specification (Arm DEN0137) 2.0-bet3, `RmiCommandReturnCode`, `RmiOpMemReq`.
pub(super) const fn incomplete(awaits: Awaits) -> u64 {
    const INCOMPLETE: u64 = 13;
    const CANCELLABLE: u64 = 1 << 10;
    let memory = match awaits {
        Awaits::Continue => 0,
        Awaits::Donation { .. } => 1,
        Awaits::Reclaim => 2,
    };
    let cancellable = if awaits.is_cancellable() { CANCELLABLE } else { 0 };
    INCOMPLETE | memory << 8 | cancellable
}

/// What is told of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status {
    /// X0 for the Host.
    pub(super) code: u64,
    /// The failed condition's label in the specification, or a name like it where the text has
    /// none.
    pub(super) condition: &'static str,
}

/// The checks on a granule: aligned, delegable, in the right state, of no unfinished operation.
struct Labels {
    align: &'static str,
    bound: &'static str,
    state: &'static str,
    blocked: &'static str,
}

const fn labels(operand: Operand) -> Labels {
    let (align, bound, state, blocked) = match operand {
        Operand::Granule => ("gran_align", "gran_bound", "gran_state", "gran_blocked"),
        Operand::Rd => ("rd_align", "rd_bound", "rd_state", "rd_blocked"),
        Operand::Rec => ("rec_align", "rec_bound", "rec_gran_state", "rec_blocked"),
        Operand::RecAux => ("aux_align", "aux_bound", "aux_state", "aux_blocked"),
        Operand::Data => ("data_align", "data_bound", "data_state", "data_blocked"),
        Operand::Rtt => ("rtt_align", "rtt_bound", "rtt_state", "rtt_blocked"),
        Operand::StartRtt => ("rtt_align", "rtt_bound", "rtt_state", "rtt_blocked"),
        Operand::CallingRec => {
            ("calling_align", "calling_bound", "calling_state", "calling_blocked")
        }
        Operand::TargetRec => ("target_align", "target_bound", "target_state", "target_blocked"),
    };
    Labels { align, bound, state, blocked }
}

/// What a cause is in RMI 2.0.
pub(super) const fn status(cause: Cause) -> Status {
    let (code, condition) = match cause {
        Cause::Unaligned(operand) => (Code::Input, labels(operand).align),
        Cause::Untracked(operand) | Cause::NotEncodable(operand) => {
            (Code::Input, labels(operand).bound)
        }
        Cause::State(operand) => (Code::Input, labels(operand).state),
        Cause::Blocked(operand) => (Code::Blocked, labels(operand).blocked),
        Cause::Alias(_) | Cause::StartRttAlias => (Code::Input, "alias"),
        Cause::HostUnaligned(page) => (Code::Input, host_labels(page).0),
        Cause::HostUntracked(page) => (Code::Input, host_labels(page).1),
        Cause::HostFault(page) => (Code::Input, host_labels(page).2),
        Cause::NotTracked { addr } => (Code::TrackingAt(addr), "tracking"),
        Cause::RangeState { addr } => (Code::InputAt(addr), "gran_state"),
        Cause::NotDelegated => (Code::Input, "gran_gpt"),
        Cause::NotUndelegated => (Code::Input, "el3_refused"),
        Cause::El3Busy => (Code::Busy, "el3_busy"),
        Cause::El3Conflict => (Code::Blocked, "el3_conflict"),

        Cause::MonitorState => (Code::Global, "rmm_state"),
        Cause::GranulesHeld => (Code::Global, "gran_undelegated"),
        Cause::TrackingState => (Code::Input, "state_valid"),
        Cause::RegionReserved => (Code::Input, "region"),
        Cause::Config => (Code::Input, "cfg_supp"),
        Cause::Unsupported => (Code::NotSupported, "not_supported"),
        Cause::ProtectionTable => (Code::Gpt, "gpt_state"),

        Cause::RealmParams => (Code::Input, "params_valid"),
        Cause::RealmUnsupported => (Code::Input, "params_supp"),
        Cause::StartRttGeometry => (Code::Input, "rtt_num_level"),
        Cause::Vmid | Cause::NoVmid => (Code::Global, "vmid"),
        Cause::NoEntropy => (Code::Global, "entropy"),

        Cause::RealmState => (Code::Realm, "realm_state"),
        Cause::RealmNew => (Code::Realm, "realm_new"),
        Cause::RealmOff => (Code::Realm, "system_off"),
        Cause::RealmTerminated => (Code::Realm, "realm_zombie"),
        Cause::RealmNotTerminated => (Code::Realm, "realm_state"),
        Cause::RealmRunning => (Code::Realm, "rec_running"),
        Cause::RealmLive => (Code::Realm, "realm_live"),
        Cause::RecsFull => (Code::Realm, "num_recs"),

        Cause::RecIndex => (Code::Input, "mpidr"),
        Cause::RecAuxCount => (Code::Input, "num_aux"),
        Cause::RecRunning => (Code::Rec, "rec_state"),
        Cause::RecOwner => (Code::Rec, "rec_owner"),
        Cause::RecOff => (Code::Rec, "rec_runnable"),
        Cause::RecPsciPending => (Code::Rec, "rec_psci"),
        Cause::Vgic => (Code::Rec, "rec_gicv3"),
        Cause::NotEmulatable => (Code::Rec, "rec_mmio"),

        Cause::PsciNotPending => (Code::Input, "pending"),
        Cause::PsciOwner => (Code::Input, "owner"),
        Cause::PsciTarget => (Code::Input, "target"),
        Cause::PsciStatus => (Code::Input, "status"),

        Cause::Busy => (Code::Busy, "busy"),
        Cause::NoSlot => (Code::Blocked, "operations"),
        Cause::NoOperation | Cause::NotAwaited => (Code::Input, "complete"),
        Cause::NotCancellable | Cause::Cancelled => (Code::Input, "can_cancel"),
        Cause::DonationSize => (Code::Input, "mem_gt"),
        Cause::DonationUnaligned => (Code::Input, "mem_align"),
        Cause::DonationState => (Code::Input, "mem_state"),

        Cause::LevelBound => (Code::Input, "level_bound"),
        Cause::IpaUnaligned => (Code::Input, "ipa_align"),
        Cause::IpaBound => (Code::Input, "ipa_bound"),
        Cause::HostAttributes => (Code::Input, "attr_valid"),
        Cause::OutputUnaligned => (Code::Input, "addr_align"),
        Cause::OutputBound => (Code::Input, "addr_bound"),
        Cause::OutputMissing => (Code::Input, "addr_range"),
        Cause::AddressType => (Code::Input, "oaddr_type"),

        Cause::RangeEmpty => (Code::Input, "size_valid"),
        Cause::RangeUnaligned => (Code::Input, "range_align"),
        Cause::RangeBound => (Code::Input, "range_bound"),
        Cause::RequestTop => (Code::Input, "top_bound"),
        Cause::RequestBase => (Code::Input, "base_bound"),

        Cause::Walk { level, .. } => (Code::Rtt(level), "rtt_walk"),
        Cause::EntryState { level, .. } => (Code::Rtt(level), "rtte_state"),
        Cause::TableLive { level, .. } => (Code::Rtt(level), "rtt_live"),
        Cause::NotHomogeneous(level) => (Code::Rtt(level), "rtt_homo"),
        Cause::BaseUnaligned(level) => (Code::Rtt(level), "base_align"),
        Cause::NoProgress(level) => (Code::Rtt(level), "no_progress"),
    };
    Status { code: code.to_u64(), condition }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_code() {
        let level = |level| Level::new(level).unwrap();
        let addr = GranuleAddr::new(0x8000_3000).unwrap();
        for (cause, code, condition) in [
            (Cause::State(Operand::Rd), 1, "rd_state"),
            (Cause::RealmOff, 2, "system_off"),
            (Cause::RecRunning, 3, "rec_state"),
            (Cause::Walk { level: level(2), next: 0x1000 }, 0x204, "rtt_walk"),
            (Cause::NoProgress(level(-1)), 0xff04, "no_progress"),
            (Cause::Unsupported, 5, "not_supported"),
            (Cause::Busy, 10, "busy"),
            (Cause::MonitorState, 11, "rmm_state"),
            (Cause::Blocked(Operand::Rec), 14, "rec_blocked"),
            (Cause::ProtectionTable, 15, "gpt_state"),
            (Cause::RangeState { addr }, 0x8_0003_0301, "gran_state"),
            (Cause::NotTracked { addr }, 0x8_0003_010c, "tracking"),
        ] {
            assert_eq!(status(cause), Status { code, condition });
        }
    }

    #[test]
    fn an_incomplete_operation_says_what_it_waits_for() {
        assert_eq!(incomplete(Awaits::Continue), 0xd);
        assert_eq!(incomplete(Awaits::Donation { granules: 3 }), 0x50d);
        assert_eq!(incomplete(Awaits::Reclaim), 0x20d);
    }
}
