//! The ABI of RMI 1.0: function identifiers, and the pages that the Host passes.
//!
//! What the monitor uses of a page is copied once, before anything of it is looked at, and parsed from there by the
//! specification's own offsets.

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// Version 1.0 as `RmiInterfaceVersion`.
pub const VERSION_1_0: u64 = 0x1_0000;

/// Function identifiers.
///
/// Source: RMM specification (Arm DEN0137) 1.0, B4.1.
#[expect(missing_docs, reason = "each constant is the command of that name")]
pub mod fid {
    pub const VERSION: u64 = 0xc400_0150;
    pub const GRANULE_DELEGATE: u64 = 0xc400_0151;
    pub const GRANULE_UNDELEGATE: u64 = 0xc400_0152;
    pub const DATA_CREATE: u64 = 0xc400_0153;
    pub const DATA_CREATE_UNKNOWN: u64 = 0xc400_0154;
    pub const DATA_DESTROY: u64 = 0xc400_0155;
    pub const REALM_ACTIVATE: u64 = 0xc400_0157;
    pub const REALM_CREATE: u64 = 0xc400_0158;
    pub const REALM_DESTROY: u64 = 0xc400_0159;
    pub const REC_CREATE: u64 = 0xc400_015a;
    pub const REC_DESTROY: u64 = 0xc400_015b;
    pub const REC_ENTER: u64 = 0xc400_015c;
    pub const RTT_CREATE: u64 = 0xc400_015d;
    pub const RTT_DESTROY: u64 = 0xc400_015e;
    pub const RTT_MAP_UNPROTECTED: u64 = 0xc400_015f;
    pub const RTT_READ_ENTRY: u64 = 0xc400_0161;
    pub const RTT_UNMAP_UNPROTECTED: u64 = 0xc400_0162;
    pub const PSCI_COMPLETE: u64 = 0xc400_0164;
    pub const FEATURES: u64 = 0xc400_0165;
    pub const RTT_FOLD: u64 = 0xc400_0166;
    pub const REC_AUX_COUNT: u64 = 0xc400_0167;
    pub const RTT_INIT_RIPAS: u64 = 0xc400_0168;
    pub const RTT_SET_RIPAS: u64 = 0xc400_0169;
}

/// Output values X1 to X4 of a command that succeeded.
pub type Outputs = [u64; 4];

/// No outputs.
pub const NONE: Outputs = [0; 4];

/// `RmiRealmParams`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RmiRealmParams`.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Debug)]
#[repr(C)]
pub struct RealmParams([u64; 512]);

/// `RmiRecParams`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RmiRecParams`.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Debug)]
#[repr(C)]
pub struct RecParams([u64; 512]);

/// `RmiRecEnter`, the first half of the run page, as far as it has a meaning.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RmiRecEnter`.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Debug)]
#[repr(C)]
pub struct RecEnter {
    flags: u64,
    hole_1: [u64; 63],
    /// `gprs`, from byte offset 0x200.
    pub gprs: [u64; 31],
    hole_2: u64,
    /// `gicv3_hcr` and `gicv3_lrs`, from byte offset 0x300.
    pub gicv3: [u64; 17],
}

/// `RmiRecExit`: the second half of the run page, built from zeros.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RmiRecExit`.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Debug)]
#[repr(C)]
pub struct RecExit([u64; 256]);

/// Offset of `RmiRecExit` in the run page.
pub const REC_EXIT_OFFSET: usize = 0x800;

macro_rules! abi_words {
    ($page:ident, $words:literal) => {
        impl $page {
            /// All zeros.
            pub const fn zeroed() -> Self {
                Self([0; $words])
            }

            /// The words, to copy from or to the Host.
            pub fn words_mut(&mut self) -> &mut [u64] {
                &mut self.0
            }

            /// The words, to copy from or to the Host.
            pub fn words(&self) -> &[u64] {
                &self.0
            }

            /// The 64 bits at byte offset `AT`.
            pub fn u64_at<const AT: usize>(&self) -> u64 {
                const { assert!(AT.is_multiple_of(8) && AT < $words * 8) };
                #[expect(clippy::indexing_slicing, reason = "AT is checked at compile time")]
                self.0[AT / 8]
            }

            /// Writes the 64 bits at byte offset `AT`.
            pub fn set_u64_at<const AT: usize>(&mut self, value: u64) {
                const { assert!(AT.is_multiple_of(8) && AT < $words * 8) };
                #[expect(clippy::indexing_slicing, reason = "AT is checked at compile time")]
                {
                    self.0[AT / 8] = value;
                }
            }

            /// `COUNT` words from byte offset `AT`.
            pub fn words_at<const AT: usize, const COUNT: usize>(&self) -> [u64; COUNT] {
                const { assert!(AT.is_multiple_of(8) && AT + COUNT * 8 <= $words * 8) };
                #[expect(
                    clippy::indexing_slicing,
                    reason = "AT and COUNT are checked at compile time"
                )]
                core::array::from_fn(|index| self.0[AT / 8 + index])
            }

            /// Writes `COUNT` words from byte offset `AT`.
            pub fn set_words_at<const AT: usize, const COUNT: usize>(
                &mut self,
                values: &[u64; COUNT],
            ) {
                const { assert!(AT.is_multiple_of(8) && AT + COUNT * 8 <= $words * 8) };
                #[expect(
                    clippy::indexing_slicing,
                    reason = "AT and COUNT are checked at compile time"
                )]
                self.0[AT / 8..AT / 8 + COUNT].copy_from_slice(values);
            }
        }
    };
}

abi_words!(RealmParams, 512);
abi_words!(RecParams, 512);
abi_words!(RecExit, 256);

/// The low byte of a slot: fields of eight bits stand in slots of 64, and the rest is to be ignored.
#[expect(clippy::cast_possible_truncation, reason = "the field is the low byte")]
const fn low_byte(slot: u64) -> u8 {
    slot as u8
}

impl RealmParams {
    /// `flags`: bit 0 LPA2, bit 1 SVE, bit 2 PMU.
    pub fn flags(&self) -> u64 {
        self.u64_at::<0x0>()
    }

    /// `s2sz`: IPA width in bits.
    pub fn s2sz(&self) -> u8 {
        low_byte(self.u64_at::<0x8>())
    }

    /// `sve_vl`: longest vector of SVE, in units of 128 bits, minus one.
    pub fn sve_vl(&self) -> u8 {
        low_byte(self.u64_at::<0x10>())
    }

    /// `num_bps`: breakpoints, minus one.
    pub fn num_bps(&self) -> u8 {
        low_byte(self.u64_at::<0x18>())
    }

    /// `num_wps`: watchpoints, minus one.
    pub fn num_wps(&self) -> u8 {
        low_byte(self.u64_at::<0x20>())
    }

    /// `pmu_num_ctrs`: event counters of the performance monitors.
    pub fn pmu_num_ctrs(&self) -> u8 {
        low_byte(self.u64_at::<0x28>())
    }

    /// `hash_algo`.
    pub fn hash_algo(&self) -> u8 {
        low_byte(self.u64_at::<0x30>())
    }

    /// `rpv`: Realm Personalization Value.
    pub fn rpv(&self) -> [u8; 64] {
        zerocopy::transmute!(self.words_at::<0x400, 8>())
    }

    /// `vmid`.
    #[expect(clippy::cast_possible_truncation, reason = "the field is the low half word")]
    pub fn vmid(&self) -> u16 {
        self.u64_at::<0x800>() as u16
    }

    /// `rtt_base`.
    pub fn rtt_base(&self) -> u64 {
        self.u64_at::<0x808>()
    }

    /// `rtt_level_start`.
    pub fn rtt_level_start(&self) -> i64 {
        self.u64_at::<0x810>().cast_signed()
    }

    /// `rtt_num_start`.
    pub fn rtt_num_start(&self) -> u64 {
        self.u64_at::<0x818>() & 0xffff_ffff
    }

    /// The page that enters the RIM: only the measured fields, at their places.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, B4.3.9.4.
    pub fn measured(&self) -> [u8; 4096] {
        let mut page = Self::zeroed();
        page.set_u64_at::<0x0>(self.flags());
        page.set_u64_at::<0x8>(self.u64_at::<0x8>() & 0xff);
        page.set_u64_at::<0x10>(self.u64_at::<0x10>() & 0xff);
        page.set_u64_at::<0x18>(self.u64_at::<0x18>() & 0xff);
        page.set_u64_at::<0x20>(self.u64_at::<0x20>() & 0xff);
        page.set_u64_at::<0x28>(self.u64_at::<0x28>() & 0xff);
        page.set_u64_at::<0x30>(self.u64_at::<0x30>() & 0xff);
        zerocopy::transmute!(page.0)
    }
}

impl RecParams {
    /// `flags`: bit 0 runnable.
    pub fn flags(&self) -> u64 {
        self.u64_at::<0x0>()
    }

    /// `mpidr`, as `RmiRecMpidr`.
    pub fn mpidr(&self) -> u64 {
        self.u64_at::<0x100>()
    }

    /// `pc`.
    pub fn pc(&self) -> u64 {
        self.u64_at::<0x200>()
    }

    /// `gprs[0..8]`.
    pub fn gprs(&self) -> [u64; 8] {
        self.words_at::<0x300, 8>()
    }

    /// `num_aux`.
    pub fn num_aux(&self) -> u64 {
        self.u64_at::<0x800>()
    }

    /// `aux[0..16]`, of which the first `num_aux` are valid.
    pub fn aux(&self) -> [u64; 16] {
        self.words_at::<0x808, 16>()
    }

    /// The page that enters the RIM: only the measured fields, at their places.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, B4.3.12.4.
    pub fn measured(&self) -> [u8; 4096] {
        let mut page = Self::zeroed();
        page.set_u64_at::<0x0>(self.flags());
        page.set_u64_at::<0x200>(self.pc());
        page.set_words_at::<0x300, 8>(&self.gprs());
        zerocopy::transmute!(page.0)
    }
}

/// Flags of `RmiRecEnter`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RmiRecEnterFlags`.
#[derive(Clone, Copy, Debug)]
pub struct EnterFlags(u64);

impl EnterFlags {
    /// The Host emulated the access that caused the last exit.
    pub const fn emul_mmio(self) -> bool {
        self.0 & 1 != 0
    }

    /// The Realm is to take an external abort for the last exit.
    pub const fn inject_sea(self) -> bool {
        self.0 & 2 != 0
    }

    /// WFI causes an exit.
    pub const fn trap_wfi(self) -> bool {
        self.0 & 4 != 0
    }

    /// WFE causes an exit.
    pub const fn trap_wfe(self) -> bool {
        self.0 & 8 != 0
    }

    /// The Host rejects the RIPAS change.
    pub const fn ripas_reject(self) -> bool {
        self.0 & 16 != 0
    }
}

impl RecExit {
    /// `gicv3_lrs[0..16]`.
    pub fn gicv3_lrs_mut(&mut self) -> &mut [u64] {
        const LRS: usize = 0x308 / 8;
        self.0.get_mut(LRS..LRS + 16).unwrap_or(&mut [])
    }
}

impl RecEnter {
    /// Nothing asked for, all registers zero.
    pub fn zeroed() -> Self {
        Self::new_zeroed()
    }

    /// The words, to copy from the Host.
    pub fn words_mut(&mut self) -> &mut [u64; 113] {
        zerocopy::transmute_mut!(self)
    }

    /// `flags`.
    pub fn flags(&self) -> EnterFlags {
        EnterFlags(self.flags)
    }

    /// `gicv3_hcr`.
    pub fn gicv3_hcr(&self) -> u64 {
        let [hcr, ..] = self.gicv3;
        hcr
    }

    /// `gicv3_lrs[0..16]`.
    pub fn gicv3_lrs(&self) -> &[u64] {
        let [_, lrs @ ..] = &self.gicv3;
        lrs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_fields_ignore_what_stands_above_them() {
        let mut params = RealmParams::zeroed();
        params.set_u64_at::<0x8>(0xffff_ffff_ffff_ff28);
        params.set_u64_at::<0x818>(0xffff_ffff_0000_0004);
        params.set_u64_at::<0x800>(0xffff_0007);
        assert_eq!((params.s2sz(), params.rtt_num_start(), params.vmid()), (40, 4, 7));
    }

    #[test]
    fn only_measured_fields_are_in_the_measured_pages() {
        let realm = RealmParams([u64::MAX; 512]);
        let measured = realm.measured();
        assert_eq!(measured[..9], [0xff; 9]);
        assert_eq!(measured[9..16], [0; 7]);
        assert!(measured[0x38..].iter().all(|&byte| byte == 0));
        let rec = RecParams([u64::MAX; 512]);
        let set: Vec<usize> = (0..4096).filter(|&at| rec.measured()[at] != 0).collect();
        assert_eq!(set.len(), 8 + 8 + 64);
    }
}
