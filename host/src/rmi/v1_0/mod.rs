//! What only version 1.0 of the interface has.

pub mod command;

use super::{Command, Features, RmiError};
use crate::machine::Machine;

/// What `RMI_FEATURES` says in register 0, the only one.
#[must_use]
pub fn features(register: u64) -> Features {
    let has = |bit: u32| register >> bit & 1 == 1;
    Features {
        common: register,
        hashes: [has(32), has(33), false],
        list_registers: ((register >> 34) & 0xf) as usize + 1,
    }
}

/// The commands, issued on one machine.
#[derive(Clone, Copy)]
pub struct Rmi<'m>(pub &'m dyn Machine);

impl Rmi<'_> {
    fn call(self, command: Command, args: [u64; 5]) -> Result<[u64; 4], RmiError> {
        super::Rmi(self.0).call(command, args)
    }

    /// `RMI_REALM_CREATE`.
    ///
    /// # Errors
    ///
    /// The parameters are wrong or not supported.
    pub fn realm_create(self, rd: u64, params: u64) -> Result<(), RmiError> {
        self.call(crate::rmi::command::REALM_CREATE, [rd, params, 0, 0, 0]).map(drop)
    }

    /// `RMI_REALM_DESTROY`.
    ///
    /// # Errors
    ///
    /// The Realm still has RECs, tables or data.
    pub fn realm_destroy(self, rd: u64) -> Result<(), RmiError> {
        self.call(crate::rmi::command::REALM_DESTROY, [rd, 0, 0, 0, 0]).map(drop)
    }

    /// `RMI_REC_CREATE`.
    ///
    /// # Errors
    ///
    /// The parameters are wrong, or the Realm is active already.
    pub fn rec_create(self, rd: u64, rec: u64, params: u64) -> Result<(), RmiError> {
        self.call(crate::rmi::command::REC_CREATE, [rd, rec, params, 0, 0]).map(drop)
    }

    /// `RMI_REC_DESTROY`.
    ///
    /// # Errors
    ///
    /// The REC is running.
    pub fn rec_destroy(self, rec: u64) -> Result<(), RmiError> {
        self.call(crate::rmi::command::REC_DESTROY, [rec, 0, 0, 0, 0]).map(drop)
    }

    /// `RMI_GRANULE_DELEGATE`.
    ///
    /// # Errors
    ///
    /// The granule is not the Host's to give.
    pub fn granule_delegate(self, pa: u64) -> Result<(), RmiError> {
        self.call(command::GRANULE_DELEGATE, [pa, 0, 0, 0, 0]).map(drop)
    }

    /// `RMI_GRANULE_UNDELEGATE`.
    ///
    /// # Errors
    ///
    /// The granule is in use by a Realm, or was never delegated.
    pub fn granule_undelegate(self, pa: u64) -> Result<(), RmiError> {
        self.call(command::GRANULE_UNDELEGATE, [pa, 0, 0, 0, 0]).map(drop)
    }

    /// `RMI_REC_AUX_COUNT`: auxiliary granules that each REC needs.
    ///
    /// # Errors
    ///
    /// `rd` is no Realm.
    pub fn rec_aux_count(self, rd: u64) -> Result<u64, RmiError> {
        let [count, ..] = self.call(command::REC_AUX_COUNT, [rd, 0, 0, 0, 0])?;
        Ok(count)
    }

    /// `RMI_PSCI_COMPLETE`.
    ///
    /// # Errors
    ///
    /// No such request is pending.
    pub fn psci_complete(self, caller: u64, target: u64, status: i64) -> Result<(), RmiError> {
        let args = [caller, target, status.cast_unsigned(), 0, 0];
        self.call(command::PSCI_COMPLETE, args).map(drop)
    }

    /// `RMI_DATA_CREATE`, measured: copies the page `src` of the Host into the Realm.
    ///
    /// # Errors
    ///
    /// See [`RmiError::rtt_level`] for a missing table.
    pub fn data_create(self, rd: u64, data: u64, ipa: u64, src: u64) -> Result<(), RmiError> {
        self.call(command::DATA_CREATE, [rd, data, ipa, src, 1]).map(drop)
    }

    /// `RMI_DATA_CREATE_UNKNOWN`.
    ///
    /// # Errors
    ///
    /// See [`RmiError::rtt_level`] for a missing table.
    pub fn data_create_unknown(self, rd: u64, data: u64, ipa: u64) -> Result<(), RmiError> {
        self.call(command::DATA_CREATE_UNKNOWN, [rd, data, ipa, 0, 0]).map(drop)
    }

    /// `RMI_DATA_DESTROY`: the freed page, and the next IPA that may hold something.
    ///
    /// # Errors
    ///
    /// Nothing is there: [`RmiError::top`] says where to go on.
    pub fn data_destroy(self, rd: u64, ipa: u64) -> Result<(u64, u64), RmiError> {
        let [data, top, ..] = self.call(command::DATA_DESTROY, [rd, ipa, 0, 0, 0])?;
        Ok((data, top))
    }

    /// `RMI_RTT_MAP_UNPROTECTED` of one page.
    ///
    /// # Errors
    ///
    /// See [`RmiError::rtt_level`] for a missing table, or for a page that is there already.
    pub fn rtt_map_unprotected(self, rd: u64, ipa: u64, desc: u64) -> Result<(), RmiError> {
        self.call(command::RTT_MAP_UNPROTECTED, [rd, ipa, 3, desc, 0]).map(drop)
    }

    /// `RMI_RTT_UNMAP_UNPROTECTED` of one page: the next IPA that may hold something.
    ///
    /// # Errors
    ///
    /// Nothing is there: [`RmiError::top`] says where to go on.
    pub fn rtt_unmap_unprotected(self, rd: u64, ipa: u64) -> Result<u64, RmiError> {
        let [top, ..] = self.call(command::RTT_UNMAP_UNPROTECTED, [rd, ipa, 3, 0, 0])?;
        Ok(top)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::HashAlgorithm;

    #[test]
    fn features_are_taken_apart() {
        let features = features(33 | 5 << 14 | 3 << 20 | 1 << 32 | 3 << 34);
        assert_eq!((features.sve_vl(), features.event_counters()), (None, None));
        assert_eq!(features.max_ipa_width_bits(), 33);
        assert_eq!((features.num_bps(), features.num_wps()), (5, 3));
        assert_eq!(features.list_registers(), 4);
        assert!(features.measures_with(HashAlgorithm::Sha256));
        assert!(!features.measures_with(HashAlgorithm::Sha512));
        assert!(!features.measures_with(HashAlgorithm::Sha384));
        let more = super::features(1 << 9 | 15 << 10 | 1 << 26 | 6 << 27);
        assert_eq!((more.sve_vl(), more.event_counters()), (Some(15), Some(6)));
    }
}
