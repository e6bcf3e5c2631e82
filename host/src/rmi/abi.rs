//! Page layouts and values of the Realm Management Interface, as far as both of its versions have
//! them.
//!
//! Where one version has a field that the other has not, the field says so: version 2.0 ignores
//! what it does not have.
//!
//! Written from the specification and from nothing else, so that a mistake in the monitor is not
//! repeated here.
//!
//! Source: RMM specification (Arm DEN0137) 1.0 and 2.0-bet3, "Realm Management Interface".

/// Interface version 1.0, as `RmiInterfaceVersion`.
pub const VERSION_1_0: u64 = 0x1_0000;

/// Interface version 2.0.
pub const VERSION_2_0: u64 = 0x2_0000;

/// Number of the feature register with Cairn's own extensions: bit 0 is population in place.
pub const EXTENSIONS: u64 = 0x4361_6972_6e52_4d4d;

/// The flag of a page's creation that asks for population in place.
pub const IN_PLACE: u64 = 1 << 63;

/// Byte offsets of `RmiRealmParams`.
pub mod realm_params {
    /// Feature flags: bit 0 LPA2, bit 1 SVE, bit 2 PMU.
    pub const FLAGS: u64 = 0x000;
    /// IPA width in bits.
    pub const S2SZ: u64 = 0x008;
    /// SVE vector length in units of 128 bits, minus one.
    pub const SVE_VL: u64 = 0x010;
    /// Breakpoints, minus one.
    pub const NUM_BPS: u64 = 0x018;
    /// Watchpoints, minus one.
    pub const NUM_WPS: u64 = 0x020;
    /// Event counters.
    pub const PMU_NUM_CTRS: u64 = 0x028;
    /// Hash algorithm: 0 SHA-256, 1 SHA-512, from 2.0 on 2 SHA-384.
    pub const HASH_ALGO: u64 = 0x030;
    /// Realm Personalization Value, 64 bytes.
    pub const RPV: u64 = 0x400;
    /// VMID. Version 2.0 chooses it itself.
    pub const VMID: u64 = 0x800;
    /// Address of the first start-level table.
    pub const RTT_BASE: u64 = 0x808;
    /// Start level.
    pub const RTT_LEVEL_START: u64 = 0x810;
    /// Number of start-level tables.
    pub const RTT_NUM_START: u64 = 0x818;
}

/// Byte offsets of `RmiRecParams`.
pub mod rec_params {
    /// Bit 0: the REC can run at once.
    pub const FLAGS: u64 = 0x000;
    /// Affinity, in `RmiRecMpidr` layout.
    pub const MPIDR: u64 = 0x100;
    /// First program counter.
    pub const PC: u64 = 0x200;
    /// `gprs[0]`; eight of them.
    pub const GPRS: u64 = 0x300;
    /// Number of auxiliary granules. Version 2.0 asks for them when it needs them.
    pub const NUM_AUX: u64 = 0x800;
    /// `aux[0]`; sixteen of them. Only version 1.0.
    pub const AUX: u64 = 0x808;
}

/// Byte offsets of the `enter` half of `RmiRecRun`.
pub mod rec_enter {
    /// Entry flags.
    pub const FLAGS: u64 = 0x000;
    /// `gprs[0]`; 31 of them.
    pub const GPRS: u64 = 0x200;
    /// The Host's part of `ICH_HCR_EL2`. Only version 1.0; 2.0 takes the registers themselves.
    pub const GICV3_HCR: u64 = 0x300;
    /// `gicv3_lrs[0]`; 16 of them.
    pub const GICV3_LRS: u64 = 0x308;

    /// The Host emulated the access of the last exit.
    pub const FLAG_EMUL_MMIO: u64 = 1 << 0;
    /// The Realm takes an external abort for the access of the last exit.
    pub const FLAG_INJECT_SEA: u64 = 1 << 1;
    /// `WFI` exits to the Host.
    pub const FLAG_TRAP_WFI: u64 = 1 << 2;
    /// The Host rejects the RIPAS change of the last exit.
    pub const FLAG_RIPAS_REJECT: u64 = 1 << 4;
}

/// Byte offsets of the `exit` half of `RmiRecRun`, from the start of the page.
pub mod rec_exit {
    /// Exit reason.
    pub const EXIT_REASON: u64 = 0x800;
    /// Syndrome.
    pub const ESR: u64 = 0x900;
    /// Fault address: low 12 bits only.
    pub const FAR: u64 = 0x908;
    /// Faulting IPA, shifted right by 8.
    pub const HPFAR: u64 = 0x910;
    /// `gprs[0]`; 31 of them.
    pub const GPRS: u64 = 0xA00;
    /// The REC's part of `ICH_HCR_EL2`.
    pub const GICV3_HCR: u64 = 0xB00;
    /// `gicv3_lrs[0]`; 16 of them.
    pub const GICV3_LRS: u64 = 0xB08;
    /// `ICH_VMCR_EL2`.
    pub const GICV3_VMCR: u64 = 0xB90;
    /// Physical timer control.
    pub const CNTP_CTL: u64 = 0xC00;
    /// Physical timer compare value.
    pub const CNTP_CVAL: u64 = 0xC08;
    /// Virtual timer control.
    pub const CNTV_CTL: u64 = 0xC10;
    /// Virtual timer compare value.
    pub const CNTV_CVAL: u64 = 0xC18;
    /// First IPA of a RIPAS change.
    pub const RIPAS_BASE: u64 = 0xD00;
    /// End IPA of a RIPAS change.
    pub const RIPAS_TOP: u64 = 0xD08;
    /// Wanted RIPAS, low byte.
    pub const RIPAS_VALUE: u64 = 0xD10;
    /// Immediate of a host call, low 16 bits.
    pub const IMM: u64 = 0xE00;
}

/// RIPAS values.
pub mod ripas {
    /// No memory of the Realm's own.
    pub const EMPTY: u64 = 0;
    /// Memory of the Realm.
    pub const RAM: u64 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_fields_are_half_a_page_after_their_offsets_in_the_structure() {
        assert_eq!(rec_exit::ESR - rec_exit::EXIT_REASON, 0x100);
        assert_eq!(rec_exit::GPRS - rec_exit::EXIT_REASON, rec_enter::GPRS);
        assert_eq!(rec_exit::GICV3_LRS - rec_exit::EXIT_REASON, rec_enter::GICV3_LRS);
    }
}
