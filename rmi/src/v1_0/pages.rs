//! The pages of parameters that the Host passes, by the specification's own offsets.

use crate::words::AbiWords;

/// `RmiRealmParams`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RmiRealmParams`.
#[derive(Debug)]
pub(super) struct RealmParams(pub(super) AbiWords<512>);

/// `RmiRecParams`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RmiRecParams`.
#[derive(Debug)]
pub(super) struct RecParams(pub(super) AbiWords<512>);

/// The low byte of a slot: fields of eight bits stand in slots of 64, and the rest is to be ignored.
#[expect(clippy::cast_possible_truncation, reason = "the field is the low byte")]
const fn low_byte(slot: u64) -> u8 {
    slot as u8
}

impl RealmParams {
    /// `flags`: bit 0 LPA2, bit 1 SVE, bit 2 PMU.
    pub(super) fn flags(&self) -> u64 {
        self.0.u64_at::<0x0>()
    }

    /// `s2sz`: IPA width in bits.
    pub(super) fn s2sz(&self) -> u8 {
        low_byte(self.0.u64_at::<0x8>())
    }

    /// `sve_vl`: longest vector of SVE, in units of 128 bits, minus one.
    pub(super) fn sve_vl(&self) -> u8 {
        low_byte(self.0.u64_at::<0x10>())
    }

    /// `num_bps`: breakpoints, minus one.
    pub(super) fn num_bps(&self) -> u8 {
        low_byte(self.0.u64_at::<0x18>())
    }

    /// `num_wps`: watchpoints, minus one.
    pub(super) fn num_wps(&self) -> u8 {
        low_byte(self.0.u64_at::<0x20>())
    }

    /// `pmu_num_ctrs`: event counters of the performance monitors.
    pub(super) fn pmu_num_ctrs(&self) -> u8 {
        low_byte(self.0.u64_at::<0x28>())
    }

    /// `hash_algo`.
    pub(super) fn hash_algo(&self) -> u8 {
        low_byte(self.0.u64_at::<0x30>())
    }

    /// `rpv`: Realm Personalization Value.
    pub(super) fn rpv(&self) -> [u8; 64] {
        zerocopy::transmute!(self.0.words_at::<0x400, 8>())
    }

    /// `vmid`.
    #[expect(clippy::cast_possible_truncation, reason = "the field is the low half word")]
    pub(super) fn vmid(&self) -> u16 {
        self.0.u64_at::<0x800>() as u16
    }

    /// `rtt_base`.
    pub(super) fn rtt_base(&self) -> u64 {
        self.0.u64_at::<0x808>()
    }

    /// `rtt_level_start`.
    pub(super) fn rtt_level_start(&self) -> i64 {
        self.0.u64_at::<0x810>().cast_signed()
    }

    /// `rtt_num_start`.
    pub(super) fn rtt_num_start(&self) -> u64 {
        self.0.u64_at::<0x818>() & 0xffff_ffff
    }
}

impl RecParams {
    /// `flags`: bit 0 runnable.
    pub(super) fn flags(&self) -> u64 {
        self.0.u64_at::<0x0>()
    }

    /// `mpidr`, as `RmiRecMpidr`.
    pub(super) fn mpidr(&self) -> u64 {
        self.0.u64_at::<0x100>()
    }

    /// `pc`.
    pub(super) fn pc(&self) -> u64 {
        self.0.u64_at::<0x200>()
    }

    /// `gprs[0..8]`.
    pub(super) fn gprs(&self) -> [u64; 8] {
        self.0.words_at::<0x300, 8>()
    }

    /// `num_aux`.
    pub(super) fn num_aux(&self) -> u64 {
        self.0.u64_at::<0x800>()
    }

    /// `aux[0..16]`, of which the first `num_aux` are valid.
    pub(super) fn aux(&self) -> [u64; 16] {
        self.0.words_at::<0x808, 16>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_fields_ignore_what_stands_above_them() {
        let mut params = RealmParams(AbiWords::zeroed());
        params.0.set_u64_at::<0x8>(0xffff_ffff_ffff_ff28);
        params.0.set_u64_at::<0x818>(0xffff_ffff_0000_0004);
        params.0.set_u64_at::<0x800>(0xffff_0007);
        assert_eq!((params.s2sz(), params.rtt_num_start(), params.vmid()), (40, 4, 7));
    }
}
