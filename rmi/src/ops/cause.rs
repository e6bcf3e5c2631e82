//! Why a command is refused, in terms of no interface: no numbers, no labels. Each dialect has one
//! function that turns a cause into what its Host is told.

use granule::GranuleAddr;
use realm::rtt::Level;

/// The argument of a command that names a granule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// The granule that is to be delegated or given back.
    Granule,
    /// The Realm Descriptor.
    Rd,
    /// The REC.
    Rec,
    /// An auxiliary granule of a REC.
    RecAux,
    /// The granule of a Realm's memory.
    Data,
    /// The translation table.
    Rtt,
    /// A translation table of the start level.
    StartRtt,
    /// The REC whose PSCI call is completed.
    CallingRec,
    /// The REC that a PSCI call is about.
    TargetRec,
}

impl Operand {
    /// Every operand.
    pub const ALL: [Self; 9] = [
        Self::Granule,
        Self::Rd,
        Self::Rec,
        Self::RecAux,
        Self::Data,
        Self::Rtt,
        Self::StartRtt,
        Self::CallingRec,
        Self::TargetRec,
    ];
}

/// A page of the Host's that a command reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostPage {
    /// The parameters of an object.
    Params,
    /// The contents of a page of a new Realm.
    Source,
    /// The page through which a REC is run.
    Run,
    /// The configuration of the monitor.
    Config,
    /// A list of physical addresses.
    List,
}

/// Why a command is refused.
///
/// `next` is an address to which a Host that takes a Realm's memory away may skip: nothing is live
/// below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The address of a granule is not aligned to granules.
    Unaligned(Operand),
    /// A granule is outside the memory that may be delegated.
    Untracked(Operand),
    /// A granule is in another state than the command needs, or is named twice.
    State(Operand),
    /// The Realm's descriptors cannot hold the granule's address.
    NotEncodable(Operand),
    /// An unfinished operation has the granule: it has to come to its end first.
    Blocked(Operand),
    /// Two arguments are one granule.
    Alias(Operand),
    /// The address of a page of the Host's is not aligned.
    HostUnaligned(HostPage),
    /// A page of the Host's is outside the memory that may be delegated.
    HostUntracked(HostPage),
    /// A page of the Host's is not the Host's, or is not any more.
    HostFault(HostPage),
    /// EL3 does not move the granule to the Realm physical address space.
    NotDelegated,
    /// EL3 does not move the granule back: it stays DELEGATED, wiped, and is in the leak ledger.
    NotUndelegated,
    /// EL3 cannot now, and may when it is asked again.
    El3Busy,
    /// EL3 meets another request about the same granules, which has to end first.
    El3Conflict,
    /// A granule of a range is outside the memory that may be delegated.
    NotTracked {
        /// The granule.
        addr: GranuleAddr,
    },
    /// A granule of a range is in another state than the command needs.
    RangeState {
        /// The granule.
        addr: GranuleAddr,
    },

    /// The monitor is not in the state that the command needs: activated, or not yet.
    MonitorState,
    /// A granule is not the Host's: the monitor cannot be deactivated.
    GranulesHeld,
    /// A state or a category of memory has no meaning.
    TrackingState,
    /// A region has no memory that could be a Realm's.
    RegionReserved,
    /// A value that configures the monitor is not offered.
    Config,
    /// The monitor has not what the command is for.
    Unsupported,
    /// A part of the address space that protection tables describe is not what the command needs.
    ProtectionTable,

    /// A parameter of a Realm has no meaning.
    RealmParams,
    /// A parameter of a Realm is beyond what the machine has.
    RealmUnsupported,
    /// Level or number of the start-level tables do not fit the Realm's address space.
    StartRttGeometry,
    /// A start-level table would contain the Realm Descriptor.
    StartRttAlias,
    /// The VMID is out of range, or another Realm has it.
    Vmid,
    /// Every VMID belongs to a Realm.
    NoVmid,
    /// The CPU gives no random bytes.
    NoEntropy,

    /// The Realm is not NEW (any more).
    RealmState,
    /// The Realm is not active yet.
    RealmNew,
    /// The Realm has been switched off.
    RealmOff,
    /// The Realm still has RECs, tables or memory.
    RealmLive,
    /// The Realm has as many RECs as it may have.
    RecsFull,
    /// A REC of the Realm runs.
    RealmRunning,
    /// The Realm has not been terminated.
    RealmNotTerminated,
    /// The Realm has been terminated.
    RealmTerminated,

    /// The REC's number is not the one that is due.
    RecIndex,
    /// The number of auxiliary granules is not the one that a REC needs.
    RecAuxCount,
    /// The REC runs.
    RecRunning,
    /// The REC belongs to another Realm.
    RecOwner,
    /// The REC is off.
    RecOff,
    /// The REC waits for the completion of a PSCI call.
    RecPsciPending,
    /// The virtual interrupts that the Host passes are not valid.
    Vgic,
    /// The Host emulated an access that cannot be emulated.
    NotEmulatable,

    /// The REC is running, or does not wait for the completion of a PSCI call.
    PsciNotPending,
    /// The two RECs belong to different Realms.
    PsciOwner,
    /// The call is about another REC.
    PsciTarget,
    /// The Host may not answer this call like that.
    PsciStatus,

    /// Another CPU is at work on what the command needs: the same call may succeed at once.
    Busy,
    /// As many operations are unfinished as there may be.
    NoSlot,
    /// No operation has the handle.
    NoOperation,
    /// The operation waits for another call than this one.
    NotAwaited,
    /// The operation cannot be cancelled (any more).
    NotCancellable,
    /// The operation has been cancelled.
    Cancelled,
    /// More memory is given than the operation wants.
    DonationSize,
    /// A block of the memory that is given is not aligned to its size.
    DonationUnaligned,
    /// The first granule that is given is not one that the Host may give.
    DonationState,

    /// A level of translation tables is out of range.
    LevelBound,
    /// An IPA is not aligned to an entry of the level.
    IpaUnaligned,
    /// An IPA is outside the part of the address space that the command is for.
    IpaBound,
    /// The attributes of Host memory are not those that a Host may choose.
    HostAttributes,
    /// The Host does not say how it passes physical addresses, or where it wants to be told of
    /// them.
    AddressType,
    /// The address of Host memory is not aligned to its block.
    OutputUnaligned,
    /// The Realm's descriptors cannot hold the address of Host memory.
    OutputBound,
    /// The Host names no memory that could be mapped.
    OutputMissing,

    /// A range is empty or ends below its start.
    RangeEmpty,
    /// A range does not end at a granule.
    RangeUnaligned,
    /// A range ends outside the protected address space.
    RangeBound,
    /// A range does not start where the Realm's request goes on.
    RequestBase,
    /// A range reaches past the Realm's request.
    RequestTop,

    /// The walk ends above the wanted level.
    Walk {
        /// Level that the walk reached.
        level: Level,
        /// Where the Host may go on.
        next: u64,
    },
    /// The entry is in another state than the command needs.
    EntryState {
        /// Level of the entry.
        level: Level,
        /// Where the Host may go on.
        next: u64,
    },
    /// The table has live entries.
    TableLive {
        /// Level of the table.
        level: Level,
        /// Where the Host may go on.
        next: u64,
    },
    /// The table's entries do not make one.
    NotHomogeneous(Level),
    /// A range does not start at an entry of the level that the walk reached.
    BaseUnaligned(Level),
    /// Nothing of a range could be done at the level that the walk reached.
    NoProgress(Level),
}

impl Cause {
    /// Where the Host may go on, if the cause says so; else 0.
    pub const fn next(self) -> u64 {
        if let Self::Walk { next, .. }
        | Self::EntryState { next, .. }
        | Self::TableLive { next, .. } = self
        {
            next
        } else {
            0
        }
    }
}
