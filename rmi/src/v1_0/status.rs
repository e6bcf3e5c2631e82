//! Why a command is refused: the number for the Host and the condition's name for the log. The only
//! place that knows either.

use realm::rtt::Level;

use crate::ops::{Cause, Operand};
use crate::pages::host_labels;

/// `RmiCommandReturnCode`: status in bits `[7:0]`, index in bits `[15:8]`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RmiCommandReturnCode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    /// RMI_ERROR_INPUT.
    Input,
    /// RMI_ERROR_REALM, with the index that the specification assigns.
    Realm(u8),
    /// RMI_ERROR_REC.
    Rec,
    /// RMI_ERROR_RTT, with the level at which it happened.
    Rtt(Level),
}

impl Code {
    const fn to_u64(self) -> u64 {
        match self {
            Self::Input => 1,
            Self::Realm(index) => 2 | (index as u64) << 8,
            Self::Rec => 3,
            Self::Rtt(level) => 4 | (level.as_u8() as u64) << 8,
        }
    }
}

/// What is told of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status {
    /// X0 for the Host.
    pub(super) code: u64,
    /// The failed condition's label in the specification.
    pub(super) condition: &'static str,
}

/// The three checks on a granule: aligned, delegable, in the right state.
struct Labels {
    align: &'static str,
    bound: &'static str,
    state: &'static str,
}

const fn labels(operand: Operand) -> Labels {
    let (align, bound, state) = match operand {
        Operand::Granule => ("gran_align", "gran_bound", "gran_state"),
        Operand::Rd => ("rd_align", "rd_bound", "rd_state"),
        Operand::Rec => ("rec_align", "rec_bound", "rec_gran_state"),
        Operand::RecAux => ("aux_align", "aux_state", "aux_state"),
        Operand::Data => ("data_align", "data_bound", "data_state"),
        Operand::Rtt => ("rtt_align", "rtt_bound", "rtt_state"),
        Operand::StartRtt => ("rtt_align", "rtt_state", "rtt_state"),
        Operand::CallingRec => ("calling_align", "calling_bound", "calling_state"),
        Operand::TargetRec => ("target_align", "target_bound", "target_state"),
    };
    Labels { align, bound, state }
}

/// A granule whose address the Realm's descriptors cannot hold.
const fn encodable_label(operand: Operand) -> &'static str {
    match operand {
        Operand::Data => "data_bound2",
        Operand::Rtt => "rtt_bound2",
        Operand::StartRtt => "rtt_align",
        Operand::Granule
        | Operand::Rd
        | Operand::Rec
        | Operand::RecAux
        | Operand::CallingRec
        | Operand::TargetRec => labels(operand).bound,
    }
}

/// The same granule in two arguments.
const fn alias_label(operand: Operand) -> &'static str {
    match operand {
        Operand::RecAux => "aux_alias",
        Operand::Granule
        | Operand::Rd
        | Operand::Rec
        | Operand::Data
        | Operand::Rtt
        | Operand::StartRtt
        | Operand::CallingRec
        | Operand::TargetRec => "alias",
    }
}

/// What a cause is in RMI 1.0.
pub(super) const fn status(cause: Cause) -> Status {
    let (code, condition) = match cause {
        Cause::Unaligned(operand) => (Code::Input, labels(operand).align),
        Cause::Untracked(operand) => (Code::Input, labels(operand).bound),
        Cause::State(operand) => (Code::Input, labels(operand).state),
        // Versions without stateful operations leave no object unfinished.
        Cause::Blocked(operand) => (Code::Input, labels(operand).state),
        Cause::NotEncodable(operand) => (Code::Input, encodable_label(operand)),
        Cause::Alias(operand) => (Code::Input, alias_label(operand)),
        Cause::HostUnaligned(page) => (Code::Input, host_labels(page).0),
        Cause::HostUntracked(page) => (Code::Input, host_labels(page).1),
        Cause::HostFault(page) => (Code::Input, host_labels(page).2),
        Cause::NotDelegated => (Code::Input, "gran_gpt"),
        Cause::NotUndelegated => (Code::Input, "el3_refused"),
        Cause::El3Busy => (Code::Input, "el3_busy"),
        Cause::El3Conflict => (Code::Input, "el3_conflict"),
        // Ranges are of one granule here.
        Cause::NotTracked { .. } => (Code::Input, labels(Operand::Granule).bound),
        Cause::RangeState { .. } => (Code::Input, labels(Operand::Granule).state),

        // Conditions that 1.0 has no word for, and in which a Host of 1.0 cannot be.
        Cause::MonitorState => (Code::Input, "rmm_state"),
        Cause::GranulesHeld => (Code::Input, "granules_held"),
        Cause::TrackingState => (Code::Input, "state_valid"),
        Cause::RegionReserved => (Code::Input, "region"),
        Cause::Config => (Code::Input, "config"),
        Cause::Unsupported => (Code::Input, "unsupported"),
        Cause::ProtectionTable => (Code::Input, "gpt"),
        Cause::NoVmid => (Code::Input, "vmid"),
        Cause::NoEntropy => (Code::Input, "entropy"),
        Cause::RealmRunning => (Code::Realm(0), "realm_running"),
        Cause::RealmNotTerminated => (Code::Realm(0), "realm_state"),
        Cause::RealmTerminated => (Code::Realm(1), "realm_terminated"),

        Cause::RealmParams => (Code::Input, "params_valid"),
        Cause::RealmUnsupported => (Code::Input, "params_supp"),
        Cause::StartRttGeometry => (Code::Input, "rtt_num_level"),
        Cause::StartRttAlias => (Code::Input, "alias"),
        Cause::Vmid => (Code::Input, "vmid_valid"),

        Cause::RealmState => (Code::Realm(0), "realm_state"),
        Cause::RealmNew => (Code::Realm(0), "realm_new"),
        Cause::RealmOff => (Code::Realm(1), "system_off"),
        Cause::RealmLive => (Code::Realm(0), "realm_live"),
        Cause::RecsFull => (Code::Realm(0), "num_recs"),

        Cause::RecIndex => (Code::Input, "mpidr_index"),
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

        // No command of this version has a handle.
        Cause::Busy | Cause::NoSlot | Cause::NoOperation => (Code::Input, "handle"),
        Cause::NotAwaited => (Code::Input, "complete"),
        Cause::NotCancellable | Cause::Cancelled => (Code::Input, "can_cancel"),
        Cause::DonationSize => (Code::Input, "mem_gt"),
        Cause::DonationUnaligned => (Code::Input, "mem_align"),
        Cause::DonationState => (Code::Input, "mem_state"),

        Cause::LevelBound => (Code::Input, "level_bound"),
        Cause::IpaUnaligned => (Code::Input, "ipa_align"),
        Cause::IpaBound => (Code::Input, "ipa_bound"),
        Cause::HostAttributes => (Code::Input, "attr_valid"),
        Cause::AddressType => (Code::Input, "addr_type"),
        Cause::OutputUnaligned => (Code::Input, "addr_align"),
        Cause::OutputBound => (Code::Input, "addr_bound"),
        Cause::OutputMissing => (Code::Input, "addr_valid"),

        Cause::RangeEmpty => (Code::Input, "size_valid"),
        Cause::RangeUnaligned => (Code::Input, "top_gran_align"),
        Cause::RangeBound | Cause::RequestTop => (Code::Input, "top_bound"),
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
        for (cause, code, condition) in [
            (Cause::State(Operand::Rd), 1, "rd_state"),
            (Cause::RealmNew, 2, "realm_new"),
            (Cause::RealmOff, 0x102, "system_off"),
            (Cause::RecRunning, 3, "rec_state"),
            (Cause::Walk { level: level(2), next: 0x1000 }, 0x204, "rtt_walk"),
            (Cause::NoProgress(level(-1)), 0xff04, "no_progress"),
        ] {
            assert_eq!(status(cause), Status { code, condition });
        }
    }

    #[test]
    fn every_operand_has_labels_of_the_specification() {
        for operand in Operand::ALL {
            let Labels { align, bound, state } = labels(operand);
            assert!(align.ends_with("_align") && !bound.is_empty() && state.ends_with("_state"));
            for cause in [Cause::NotEncodable(operand), Cause::Alias(operand)] {
                let Status { code, condition } = status(cause);
                assert!(code == 1 && !condition.is_empty(), "{cause:?}");
            }
        }
    }
}
