//! What only version 2.0 of the interface has: commands on ranges, and operations that take several
//! calls.
//!
//! A range command ends with how far it got, which may be less than was asked for; the caller goes
//! on from there. The commands that may become an operation (`RMM_ACTIVATE`, `REALM_CREATE`,
//! `REC_CREATE`, ...) are not here: [`operation::Operation`] drives them.
//!
//! Source: RMM specification (Arm DEN0137) 2.0-bet3.

pub mod command;
pub mod descriptor;
pub mod operation;

use super::{Command, Features, RmiError};
use crate::machine::Machine;
use descriptor::AddrRange;

/// Number of feature registers.
pub const FEATURE_REGISTERS: usize = 5;

/// What the feature registers say, for a CPU with so many list registers: these are hardware, so
/// the monitor does not say.
#[must_use]
pub fn features(registers: [u64; FEATURE_REGISTERS], list_registers: usize) -> Features {
    let [common, sizes, ..] = registers;
    let has = |bit: u32| sizes >> bit & 1 == 1;
    Features { common, hashes: [has(3), has(5), has(4)], list_registers }
}

/// Byte offsets of `RmiRmmConfig`.
pub mod rmm_config {
    /// Size of the regions in which memory is tracked: 0 is 1 GiB.
    pub const TRACKING_REGION_SIZE: u64 = 0x0;
    /// Size of a granule: 0 is 4 KiB.
    pub const RMI_GRANULE_SIZE: u64 = 0x8;
}

/// What [`Rmi::tracking`] says of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracking {
    /// What it is: 0 conventional.
    pub category: u64,
    /// How it is tracked: 2 granule by granule.
    pub state: u64,
    /// Where memory begins that may differ.
    pub top: u64,
}

impl Tracking {
    /// Whether it can be given to Realms page by page.
    #[must_use]
    pub const fn is_fine_memory(self) -> bool {
        const CONVENTIONAL: u64 = 0;
        const FINE: u64 = 2;
        self.category == CONVENTIONAL && self.state == FINE
    }
}

/// What a command took away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unmapped {
    /// Where to go on.
    pub top: u64,
    /// Memory that was mapped before there; its count may be 0.
    pub memory: AddrRange,
}

/// Flags of commands on mappings: one descriptor, in a register.
pub const SINGLE: u64 = 1;

/// Flags of a shared mapping: Normal write-back memory (MemAttr in bits 18:16), readable and
/// writable (bits 22:19).
pub const SHARED: u64 = 0b110 << 16 | 0b11 << 19;

/// The commands, issued on one machine.
#[derive(Clone, Copy)]
pub struct Rmi<'m>(pub &'m dyn Machine);

impl Rmi<'_> {
    fn call(self, command: Command, args: [u64; 5]) -> Result<[u64; 4], RmiError> {
        super::Rmi(self.0).call(command, args)
    }

    /// `RMI_RMM_CONFIG_SET`.
    ///
    /// # Errors
    ///
    /// The monitor is active, or does not support what the page asks for.
    pub fn rmm_config_set(self, page: u64) -> Result<(), RmiError> {
        self.call(command::RMM_CONFIG_SET, [page, 0, 0, 0, 0]).map(drop)
    }

    /// `RMI_GRANULE_TRACKING_GET`.
    ///
    /// # Errors
    ///
    /// The range is no range of physical addresses.
    pub fn tracking(self, base: u64, top: u64) -> Result<Tracking, RmiError> {
        let [category, state, top, _] =
            self.call(command::GRANULE_TRACKING_GET, [base, top, 0, 0, 0])?;
        Ok(Tracking { category, state, top })
    }

    /// `RMI_GPT_INFO`: how far, and who has made the protection tables there: 1 is EL3.
    ///
    /// # Errors
    ///
    /// The range does not consist of whole level 0 entries of the protection tables.
    pub fn gpt_info(self, base: u64, top: u64) -> Result<(u64, u64), RmiError> {
        let [top, state, ..] = self.call(command::GPT_INFO, [base, top, 0, 0, 0])?;
        Ok((top, state))
    }

    /// `RMI_GRANULE_RANGE_DELEGATE`: how far it got.
    ///
    /// # Errors
    ///
    /// The first granule is not the Host's to give.
    pub fn granule_range_delegate(self, base: u64, top: u64) -> Result<u64, RmiError> {
        let [top, ..] = self.call(command::GRANULE_RANGE_DELEGATE, [base, top, 0, 0, 0])?;
        Ok(top)
    }

    /// `RMI_GRANULE_RANGE_UNDELEGATE`: how far it got.
    ///
    /// # Errors
    ///
    /// The first granule is in use by a Realm.
    pub fn granule_range_undelegate(self, base: u64, top: u64) -> Result<u64, RmiError> {
        let [top, ..] = self.call(command::GRANULE_RANGE_UNDELEGATE, [base, top, 0, 0, 0])?;
        Ok(top)
    }

    /// `RMI_REALM_TERMINATE`.
    ///
    /// # Errors
    ///
    /// A REC is running.
    pub fn realm_terminate(self, rd: u64) -> Result<(), RmiError> {
        self.call(command::REALM_TERMINATE, [rd, 0, 0, 0, 0]).map(drop)
    }

    /// `RMI_RTT_DATA_MAP_INIT`, measured: copies the page `src` of the Host into the Realm.
    ///
    /// # Errors
    ///
    /// See [`RmiError::rtt_level`] for a missing table.
    pub fn rtt_data_map_init(self, rd: u64, data: u64, ipa: u64, src: u64) -> Result<(), RmiError> {
        const MEASURE: u64 = 1;
        self.call(command::RTT_DATA_MAP_INIT, [rd, data, ipa, src, MEASURE]).map(drop)
    }

    /// `RMI_RTT_DATA_MAP` of as much as `memory` describes: how far it got.
    ///
    /// # Errors
    ///
    /// See [`RmiError::rtt_level`] for a missing table.
    pub fn rtt_data_map(self, rd: u64, ipa: u64, memory: AddrRange) -> Result<u64, RmiError> {
        let args = [rd, ipa, ipa + memory.size(), SINGLE, memory.encode()];
        let [top, ..] = self.call(command::RTT_DATA_MAP, args)?;
        Ok(top)
    }

    /// `RMI_RTT_DATA_UNMAP`.
    ///
    /// # Errors
    ///
    /// See [`RmiError::rtt_level`] for an entry that is larger than the range.
    pub fn rtt_data_unmap(self, rd: u64, base: u64, top: u64) -> Result<Unmapped, RmiError> {
        let [top, memory, ..] = self.call(command::RTT_DATA_UNMAP, [rd, base, top, SINGLE, 0])?;
        Ok(Unmapped { top, memory: AddrRange::decode(memory) })
    }

    /// `RMI_RTT_UNPROT_MAP` of as much as `memory` describes: how far it got.
    ///
    /// # Errors
    ///
    /// See [`RmiError::rtt_level`] for a missing table, or for something else that is there
    /// already.
    pub fn rtt_unprot_map(self, rd: u64, ipa: u64, memory: AddrRange) -> Result<u64, RmiError> {
        let args = [rd, ipa, ipa + memory.size(), SINGLE | SHARED, memory.encode()];
        let [top, ..] = self.call(command::RTT_UNPROT_MAP, args)?;
        Ok(top)
    }

    /// `RMI_RTT_UNPROT_UNMAP`.
    ///
    /// # Errors
    ///
    /// See [`RmiError::rtt_level`] for an entry that is larger than the range.
    pub fn rtt_unprot_unmap(self, rd: u64, base: u64, top: u64) -> Result<Unmapped, RmiError> {
        let [top, memory, ..] = self.call(command::RTT_UNPROT_UNMAP, [rd, base, top, SINGLE, 0])?;
        Ok(Unmapped { top, memory: AddrRange::decode(memory) })
    }

    /// `RMI_PSCI_COMPLETE`: the monitor knows which REC the call was about.
    ///
    /// # Errors
    ///
    /// No such request is pending.
    pub fn psci_complete(self, caller: u64, status: i64) -> Result<(), RmiError> {
        self.call(command::PSCI_COMPLETE, [caller, status.cast_unsigned(), 0, 0, 0]).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::HashAlgorithm;

    #[test]
    fn features_are_taken_apart() {
        // A machine of 48 bits, 6 breakpoints, 4 watchpoints, pages of 4 KiB, SHA-256 and SHA-512.
        let features = features([0x60_0031_4030, 0x1_4269, 0, 0, 0], 4);
        assert_eq!((features.max_ipa_width_bits(), features.list_registers()), (48, 4));
        assert_eq!((features.num_bps(), features.num_wps()), (5, 3));
        assert!(features.measures_with(HashAlgorithm::Sha256));
        assert!(features.measures_with(HashAlgorithm::Sha512));
        assert!(!features.measures_with(HashAlgorithm::Sha384));
    }
}
