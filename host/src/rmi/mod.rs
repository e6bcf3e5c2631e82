//! The Realm Management Interface as typed calls: one function per command.
//!
//! Each function is one SMC. It takes checked numbers, gives back the command's outputs, and turns
//! everything but `RMI_SUCCESS` into an [`RmiError`] that knows the command and its arguments.

pub mod abi;
mod error;
pub mod run;

pub use error::{RmiError, Status};

use crate::job::HashAlgorithm;
use crate::machine::Machine;
use abi::Command;

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

/// What the monitor can do: `RmiFeatureRegister0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features(pub u64);

impl Features {
    const fn field(self, low: u32, bits: u32) -> u64 {
        (self.0 >> low) & ((1 << bits) - 1)
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
        ((self.0 >> 34) & 0xf) as usize + 1
    }

    /// Whether Realms can be measured with this algorithm.
    #[must_use]
    pub const fn measures_with(self, algorithm: HashAlgorithm) -> bool {
        match algorithm {
            HashAlgorithm::Sha256 => self.field(32, 1) == 1,
            HashAlgorithm::Sha512 => self.field(33, 1) == 1,
        }
    }
}

/// The commands, issued on one machine.
#[derive(Clone, Copy)]
pub struct Rmi<'m>(pub &'m dyn Machine);

impl Rmi<'_> {
    fn call(self, command: Command, args: [u64; 5]) -> Result<[u64; 4], RmiError> {
        let [a1, a2, a3, a4, a5] = args;
        let reply = self.0.smc([u64::from(command as u32), a1, a2, a3, a4, a5, 0]);
        RmiError::from_reply(command, args, reply)
    }

    /// `RMI_VERSION`: the lowest and highest version that fit the request.
    ///
    /// # Errors
    ///
    /// The monitor does not support the version.
    pub fn version(self, wanted: u64) -> Result<(u64, u64), RmiError> {
        let [lower, higher, ..] = self.call(Command::Version, [wanted, 0, 0, 0, 0])?;
        Ok((lower, higher))
    }

    /// `RMI_FEATURES`, register 0.
    ///
    /// # Errors
    ///
    /// The monitor does not know the command.
    pub fn features(self) -> Result<Features, RmiError> {
        let [value, ..] = self.call(Command::Features, [0; 5])?;
        Ok(Features(value))
    }

    /// `RMI_GRANULE_DELEGATE`.
    ///
    /// # Errors
    ///
    /// The granule is not the Host's to give.
    pub fn granule_delegate(self, pa: u64) -> Result<(), RmiError> {
        self.call(Command::GranuleDelegate, [pa, 0, 0, 0, 0]).map(drop)
    }

    /// `RMI_GRANULE_UNDELEGATE`.
    ///
    /// # Errors
    ///
    /// The granule is in use by a Realm, or was never delegated.
    pub fn granule_undelegate(self, pa: u64) -> Result<(), RmiError> {
        self.call(Command::GranuleUndelegate, [pa, 0, 0, 0, 0]).map(drop)
    }

    /// `RMI_REALM_CREATE`.
    ///
    /// # Errors
    ///
    /// The parameters are wrong or not supported.
    pub fn realm_create(self, rd: u64, params: u64) -> Result<(), RmiError> {
        self.call(Command::RealmCreate, [rd, params, 0, 0, 0]).map(drop)
    }

    /// `RMI_REALM_ACTIVATE`.
    ///
    /// # Errors
    ///
    /// The Realm is not new.
    pub fn realm_activate(self, rd: u64) -> Result<(), RmiError> {
        self.call(Command::RealmActivate, [rd, 0, 0, 0, 0]).map(drop)
    }

    /// `RMI_REALM_DESTROY`.
    ///
    /// # Errors
    ///
    /// The Realm still has RECs, tables or data.
    pub fn realm_destroy(self, rd: u64) -> Result<(), RmiError> {
        self.call(Command::RealmDestroy, [rd, 0, 0, 0, 0]).map(drop)
    }

    /// `RMI_REC_AUX_COUNT`: auxiliary granules that each REC needs.
    ///
    /// # Errors
    ///
    /// `rd` is no Realm.
    pub fn rec_aux_count(self, rd: u64) -> Result<u64, RmiError> {
        let [count, ..] = self.call(Command::RecAuxCount, [rd, 0, 0, 0, 0])?;
        Ok(count)
    }

    /// `RMI_REC_CREATE`.
    ///
    /// # Errors
    ///
    /// The parameters are wrong, or the Realm is active already.
    pub fn rec_create(self, rd: u64, rec: u64, params: u64) -> Result<(), RmiError> {
        self.call(Command::RecCreate, [rd, rec, params, 0, 0]).map(drop)
    }

    /// `RMI_REC_DESTROY`.
    ///
    /// # Errors
    ///
    /// The REC is running.
    pub fn rec_destroy(self, rec: u64) -> Result<(), RmiError> {
        self.call(Command::RecDestroy, [rec, 0, 0, 0, 0]).map(drop)
    }

    /// `RMI_REC_ENTER`: runs the REC on this CPU until it needs the Host.
    ///
    /// # Errors
    ///
    /// The REC cannot run; nothing was written to the run page.
    pub fn rec_enter(self, rec: u64, run: u64) -> Result<(), RmiError> {
        self.call(Command::RecEnter, [rec, run, 0, 0, 0]).map(drop)
    }

    /// `RMI_PSCI_COMPLETE`.
    ///
    /// # Errors
    ///
    /// No such request is pending.
    pub fn psci_complete(self, caller: u64, target: u64, status: i64) -> Result<(), RmiError> {
        let args = [caller, target, status.cast_unsigned(), 0, 0];
        self.call(Command::PsciComplete, args).map(drop)
    }

    /// `RMI_DATA_CREATE`, measured: copies the page `src` of the Host into the Realm.
    ///
    /// # Errors
    ///
    /// See [`RmiError::rtt_level`] for a missing table.
    pub fn data_create(self, rd: u64, data: u64, ipa: u64, src: u64) -> Result<(), RmiError> {
        self.call(Command::DataCreate, [rd, data, ipa, src, 1]).map(drop)
    }

    /// `RMI_DATA_CREATE_UNKNOWN`.
    ///
    /// # Errors
    ///
    /// See [`RmiError::rtt_level`] for a missing table.
    pub fn data_create_unknown(self, rd: u64, data: u64, ipa: u64) -> Result<(), RmiError> {
        self.call(Command::DataCreateUnknown, [rd, data, ipa, 0, 0]).map(drop)
    }

    /// `RMI_DATA_DESTROY`: the freed page, and the next IPA that may hold something.
    ///
    /// # Errors
    ///
    /// Nothing is there: [`RmiError::top`] says where to go on.
    pub fn data_destroy(self, rd: u64, ipa: u64) -> Result<(u64, u64), RmiError> {
        let [data, top, ..] = self.call(Command::DataDestroy, [rd, ipa, 0, 0, 0])?;
        Ok((data, top))
    }

    /// `RMI_RTT_CREATE`.
    ///
    /// # Errors
    ///
    /// See [`RmiError::rtt_level`] for a missing parent, or for a table that is there already.
    pub fn rtt_create(self, rd: u64, rtt: u64, ipa: u64, level: u64) -> Result<(), RmiError> {
        self.call(Command::RttCreate, [rd, rtt, ipa, level, 0]).map(drop)
    }

    /// `RMI_RTT_DESTROY`: the freed table, and the next IPA that may have one.
    ///
    /// # Errors
    ///
    /// No table is there, or it is in use: [`RmiError::top`] tells which.
    pub fn rtt_destroy(self, rd: u64, ipa: u64, level: u64) -> Result<(u64, u64), RmiError> {
        let [rtt, top, ..] = self.call(Command::RttDestroy, [rd, ipa, level, 0, 0])?;
        Ok((rtt, top))
    }

    /// `RMI_RTT_MAP_UNPROTECTED` of one page.
    ///
    /// # Errors
    ///
    /// See [`RmiError::rtt_level`] for a missing table, or for a page that is there already.
    pub fn rtt_map_unprotected(self, rd: u64, ipa: u64, desc: u64) -> Result<(), RmiError> {
        self.call(Command::RttMapUnprotected, [rd, ipa, 3, desc, 0]).map(drop)
    }

    /// `RMI_RTT_UNMAP_UNPROTECTED` of one page: the next IPA that may hold something.
    ///
    /// # Errors
    ///
    /// Nothing is there: [`RmiError::top`] says where to go on.
    pub fn rtt_unmap_unprotected(self, rd: u64, ipa: u64) -> Result<u64, RmiError> {
        let [top, ..] = self.call(Command::RttUnmapUnprotected, [rd, ipa, 3, 0, 0])?;
        Ok(top)
    }

    /// `RMI_RTT_READ_ENTRY` for a page.
    ///
    /// # Errors
    ///
    /// The IPA is not one of the Realm's.
    pub fn rtt_read_entry(self, rd: u64, ipa: u64) -> Result<RttEntry, RmiError> {
        let [level, state, _, ripas] = self.call(Command::RttReadEntry, [rd, ipa, 3, 0, 0])?;
        Ok(RttEntry { level, state: state & 0xff, ripas: ripas & 0xff })
    }

    /// `RMI_RTT_INIT_RIPAS`: how far it got.
    ///
    /// # Errors
    ///
    /// See [`RmiError::rtt_level`] for a missing table.
    pub fn rtt_init_ripas(self, rd: u64, base: u64, top: u64) -> Result<u64, RmiError> {
        let [out_top, ..] = self.call(Command::RttInitRipas, [rd, base, top, 0, 0])?;
        Ok(out_top)
    }

    /// `RMI_RTT_SET_RIPAS`: how far it got.
    ///
    /// # Errors
    ///
    /// See [`RmiError::rtt_level`] for a missing table.
    pub fn rtt_set_ripas(self, rd: u64, rec: u64, base: u64, top: u64) -> Result<u64, RmiError> {
        let [out_top, ..] = self.call(Command::RttSetRipas, [rd, rec, base, top, 0])?;
        Ok(out_top)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_taken_apart() {
        let features = Features(33 | 5 << 14 | 3 << 20 | 1 << 32 | 3 << 34);
        assert_eq!((features.sve_vl(), features.event_counters()), (None, None));
        let more = Features(1 << 9 | 15 << 10 | 1 << 26 | 6 << 27);
        assert_eq!((more.sve_vl(), more.event_counters()), (Some(15), Some(6)));
        assert_eq!(features.max_ipa_width_bits(), 33);
        assert_eq!((features.num_bps(), features.num_wps()), (5, 3));
        assert_eq!(features.list_registers(), 4);
        assert!(features.measures_with(HashAlgorithm::Sha256));
        assert!(!features.measures_with(HashAlgorithm::Sha512));
    }
}
