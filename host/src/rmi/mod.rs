//! The Realm Management Interface as typed calls: one function per command.
//!
//! [`Rmi`] has the commands that are the same in both versions of the interface; [`v1_0`] and
//! [`v2_0`] have the others. The pages that Host and monitor exchange are in [`abi`]. Which
//! commands a host needs for what, in each of the versions, is in [`crate::dialect`].
//!
//! Each function is one SMC, but for those that the monitor wants again. It takes checked numbers,
//! gives back the command's outputs, and turns everything but `RMI_SUCCESS` into an [`RmiError`]
//! that knows the command and its arguments.

pub mod abi;
pub mod command;
mod error;
pub mod run;
pub mod v1_0;
pub mod v2_0;

pub use command::Command;
pub use error::{Need, RmiError, Status};

use crate::job::HashAlgorithm;
use crate::machine::Machine;

/// What `RMI_RTT_READ_ENTRY` says of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RttEntry {
    /// Level at which the walk ended.
    pub level: u64,
    /// Entry state: 0 unassigned, 1 assigned, 2 table.
    pub state: u64,
    /// RIPAS, see [`abi::ripas`].
    pub ripas: u64,
}

/// What the monitor can do, whatever the version of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// Feature register 0, of which the low half is the same in both versions.
    common: u64,
    /// For each of [`HashAlgorithm::ALL`], whether Realms can be measured with it.
    hashes: [bool; 3],
    list_registers: usize,
}

impl Features {
    const fn field(self, low: u32, bits: u32) -> u64 {
        (self.common >> low) & ((1 << bits) - 1)
    }

    /// Widest IPA space in bits.
    #[must_use]
    pub const fn max_ipa_width_bits(self) -> u64 {
        self.field(0, 8)
    }

    /// Whether Realms can have descriptors of FEAT_LPA2.
    #[must_use]
    pub const fn has_lpa2(self) -> bool {
        self.field(8, 1) == 1
    }

    /// Breakpoints, minus one.
    #[must_use]
    pub const fn num_bps(self) -> u64 {
        self.field(14, 6)
    }

    /// Watchpoints, minus one.
    #[must_use]
    pub const fn num_wps(self) -> u64 {
        self.field(20, 6)
    }

    /// Longest SVE vector in units of 128 bits, minus one, if Realms can have SVE.
    #[must_use]
    pub const fn sve_vl(self) -> Option<u64> {
        if self.field(9, 1) == 1 { Some(self.field(10, 4)) } else { None }
    }

    /// Event counters, if Realms can have performance monitors.
    #[must_use]
    pub const fn event_counters(self) -> Option<u64> {
        if self.field(26, 1) == 1 { Some(self.field(27, 5)) } else { None }
    }

    /// GICv3 list registers of a REC.
    #[must_use]
    pub const fn list_registers(self) -> usize {
        self.list_registers
    }

    /// Whether Realms can be measured with this algorithm.
    #[must_use]
    pub const fn measures_with(self, algorithm: HashAlgorithm) -> bool {
        let [sha_256, sha_512, sha_384] = self.hashes;
        match algorithm {
            HashAlgorithm::Sha256 => sha_256,
            HashAlgorithm::Sha512 => sha_512,
            HashAlgorithm::Sha384 => sha_384,
        }
    }
}

/// The commands that both versions have, issued on one machine.
#[derive(Clone, Copy)]
pub struct Rmi<'m>(pub &'m dyn Machine);

/// Times that a command is tried again because an unfinished operation owns what it is about, as
/// Linux does it.
const BLOCKED_ATTEMPTS: usize = 2;

impl Rmi<'_> {
    /// Issues a command until the monitor does not want it again: `RMI_BUSY` passes by itself,
    /// `RMI_BLOCKED` may.
    pub(crate) fn call(self, command: Command, args: [u64; 5]) -> Result<[u64; 4], RmiError> {
        let mut blocked = 0;
        loop {
            let result = self.call_once(command, args);
            match result.as_ref().map_err(|error| error.status) {
                Err(Status::Busy) => {}
                Err(Status::Blocked) if blocked < BLOCKED_ATTEMPTS => blocked += 1,
                _ => return result,
            }
            core::hint::spin_loop();
        }
    }

    /// Issues a command once.
    fn call_once(self, command: Command, args: [u64; 5]) -> Result<[u64; 4], RmiError> {
        let [a1, a2, a3, a4, a5] = args;
        let reply = self.0.smc([command.number(), a1, a2, a3, a4, a5, 0]);
        RmiError::from_reply(command, args, reply)
    }

    /// `RMI_VERSION`: the lowest and highest version that fit the request.
    ///
    /// # Errors
    ///
    /// The monitor does not support the version.
    pub fn version(self, wanted: u64) -> Result<(u64, u64), RmiError> {
        let [lower, higher, ..] = self.call(command::VERSION, [wanted, 0, 0, 0, 0])?;
        Ok((lower, higher))
    }

    /// `RMI_FEATURES` of one register.
    ///
    /// # Errors
    ///
    /// The monitor does not know the command.
    pub fn features(self, index: u64) -> Result<u64, RmiError> {
        let [value, ..] = self.call(command::FEATURES, [index, 0, 0, 0, 0])?;
        Ok(value)
    }

    /// `RMI_REALM_ACTIVATE`.
    ///
    /// # Errors
    ///
    /// The Realm is not new.
    pub fn realm_activate(self, rd: u64) -> Result<(), RmiError> {
        self.call(command::REALM_ACTIVATE, [rd, 0, 0, 0, 0]).map(drop)
    }

    /// `RMI_REC_ENTER`: runs the REC on this CPU until it needs the Host.
    ///
    /// # Errors
    ///
    /// The REC cannot run; nothing was written to the run page.
    pub fn rec_enter(self, rec: u64, run: u64) -> Result<(), RmiError> {
        self.call_once(command::REC_ENTER, [rec, run, 0, 0, 0]).map(drop)
    }

    /// `RMI_RTT_CREATE`.
    ///
    /// # Errors
    ///
    /// See [`RmiError::rtt_level`] for a missing parent, or for a table that is there already.
    pub fn rtt_create(self, rd: u64, rtt: u64, ipa: u64, level: u64) -> Result<(), RmiError> {
        self.call(command::RTT_CREATE, [rd, rtt, ipa, level, 0]).map(drop)
    }

    /// `RMI_RTT_DESTROY`: the freed table, and the next IPA that may have one.
    ///
    /// # Errors
    ///
    /// No table is there, or it is in use: [`RmiError::top`] tells which.
    pub fn rtt_destroy(self, rd: u64, ipa: u64, level: u64) -> Result<(u64, u64), RmiError> {
        let [rtt, top, ..] = self.call(command::RTT_DESTROY, [rd, ipa, level, 0, 0])?;
        Ok((rtt, top))
    }

    /// `RMI_RTT_FOLD`: the freed table.
    ///
    /// # Errors
    ///
    /// No table is there, or its entries are not alike.
    pub fn rtt_fold(self, rd: u64, ipa: u64, level: u64) -> Result<u64, RmiError> {
        let [rtt, ..] = self.call(command::RTT_FOLD, [rd, ipa, level, 0, 0])?;
        Ok(rtt)
    }

    /// `RMI_RTT_READ_ENTRY` for a page.
    ///
    /// # Errors
    ///
    /// The IPA is not one of the Realm's.
    pub fn rtt_read_entry(self, rd: u64, ipa: u64) -> Result<RttEntry, RmiError> {
        let [level, state, _, ripas] = self.call(command::RTT_READ_ENTRY, [rd, ipa, 3, 0, 0])?;
        Ok(RttEntry { level, state: state & 0xff, ripas: ripas & 0xff })
    }

    /// `RMI_RTT_INIT_RIPAS`: how far it got.
    ///
    /// # Errors
    ///
    /// See [`RmiError::rtt_level`] for a missing table.
    pub fn rtt_init_ripas(self, rd: u64, base: u64, top: u64) -> Result<u64, RmiError> {
        let [out_top, ..] = self.call(command::RTT_INIT_RIPAS, [rd, base, top, 0, 0])?;
        Ok(out_top)
    }

    /// `RMI_RTT_SET_RIPAS`: how far it got.
    ///
    /// # Errors
    ///
    /// See [`RmiError::rtt_level`] for a missing table.
    pub fn rtt_set_ripas(self, rd: u64, rec: u64, base: u64, top: u64) -> Result<u64, RmiError> {
        let [out_top, ..] = self.call(command::RTT_SET_RIPAS, [rd, rec, base, top, 0])?;
        Ok(out_top)
    }
}
