//! Things worth telling a person who debugs a host or a guest. No contents of Realm memory, no
//! keys.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::addr::GranuleAddr;
use crate::root::El3Error;

/// Number of a Realm: the first one created since boot is 1. Never used again, unlike VMIDs and
/// addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RealmNumber(pub u64);

/// One granule that could not be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leak {
    /// The granule.
    pub granule: GranuleAddr,
    /// The state that was its last role; UNDELEGATED if it came from the Host and has had none.
    pub role: &'static str,
    /// The Realm that it served last, if any.
    pub realm: Option<RealmNumber>,
    /// The step that failed.
    pub step: &'static str,
    /// EL3's code of the last try.
    pub el3: El3Error,
    /// How many tries have failed.
    pub tries: u32,
    /// Number of the first failure among all that were ever entered.
    pub sequence: u64,
}

/// Something that happened. The firmware turns it into a log line; tests collect it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A command was refused, by this condition of the specification.
    Refused {
        /// The command's name, as `RMI_RTT_FOLD`.
        command: &'static str,
        /// The condition's label in the specification, as `rtt_walk`.
        condition: &'static str,
        /// What the Host gets in X0.
        code: u64,
    },
    /// A table could not be folded, because of this entry.
    NotHomogeneous {
        /// The first address whose entry does not go on from its neighbour's.
        ipa: u64,
    },
    /// A granule could not be given back and is now in the leak ledger.
    Leaked {
        /// The entry.
        entry: &'a Leak,
        /// Whether there was room for it.
        kept: bool,
    },
    /// A granule of the leak ledger has been given back after all.
    Recovered(&'a Leak),
    /// A Realm used a system register that the monitor neither emulates nor passes through.
    UnknownRegister {
        /// The instruction's ISS of ESR_EL2 (which register, which direction).
        iss: u64,
        /// The PC of the instruction.
        pc: u64,
    },
    /// A Realm made a call that the monitor does not know; it got -1.
    UnknownCall {
        /// The function identifier.
        fid: u64,
    },
    /// An exception from a Realm that has no meaning here; the Realm got UNDEFINED.
    UnknownException {
        /// ESR_EL2.
        esr: u64,
        /// The PC of the instruction.
        pc: u64,
    },
    /// The Host used a command that does not exist in this version; it got -1.
    UnknownCommand {
        /// The function identifier.
        fid: u64,
    },
    /// A synchronous external abort or a translation fault that the Realm has to handle itself was
    /// injected.
    InjectedAbort {
        /// The faulting intermediate physical address.
        ipa: u64,
        /// The PC of the instruction.
        pc: u64,
    },
    /// EL3 gave no platform token; a Realm's request for a token failed.
    NoPlatformToken {
        /// EL3's code.
        code: i64,
    },
    /// A Realm was created.
    RealmCreated {
        /// Its number.
        number: RealmNumber,
        /// Its Realm Descriptor.
        rd: GranuleAddr,
        /// Its VMID.
        vmid: u16,
    },
    /// A Realm was destroyed.
    RealmDestroyed {
        /// Its number.
        number: RealmNumber,
        /// Its former Realm Descriptor.
        rd: GranuleAddr,
        /// Granules that it had at most at one time: DATA and RTT, and RECs with their auxiliary
        /// granules.
        most: RealmGranules,
        /// Granules of it that are in the leak ledger.
        leaked: u64,
        /// Granules in each state now, in the order of `GranuleState::ALL`.
        granules: [u64; 8],
    },
    /// A Realm was activated.
    RealmActivated {
        /// Its number.
        number: RealmNumber,
    },
    /// A Realm was terminated by its Host.
    RealmTerminated {
        /// Its number.
        number: RealmNumber,
    },
    /// A Realm asked to be switched off or reset.
    RealmOff {
        /// Its number.
        number: RealmNumber,
    },
}

/// Granules of a Realm by role. Its one RD is not counted.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct RealmGranules {
    /// DATA.
    pub data: u64,
    /// RTT, start-level tables included.
    pub rtt: u64,
    /// REC and REC_AUX.
    pub rec: u64,
}

/// Where events go.
pub trait Log {
    /// Records one event. May drop it; never waits for anything but the console.
    fn log(&self, event: Event<'_>);
}
