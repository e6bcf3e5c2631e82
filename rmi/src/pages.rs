//! The pages of parameters that the Host passes, by the specification's own offsets. A field that
//! only one version of the interface has says so.

use machine::addr::{PAGE_BYTES, PAGE_WORDS};
use machine::{GranuleAddr, HostMemory};

use crate::ops::{Cause, HostPage};
use crate::words::AbiWords;

/// `RmiRealmParams`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RmiRealmParams`.
#[derive(Debug)]
pub(crate) struct RealmParams(pub(crate) AbiWords<PAGE_WORDS>);

/// `RmiRecParams`.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RmiRecParams`.
#[derive(Debug)]
pub(crate) struct RecParams(pub(crate) AbiWords<PAGE_WORDS>);

/// The names of the checks on a pointer to a page of the Host's, the same in each version: aligned,
/// delegable, the Host's.
pub(crate) const fn host_labels(page: HostPage) -> (&'static str, &'static str, &'static str) {
    match page {
        HostPage::Params => ("params_align", "params_bound", "params_pas"),
        HostPage::Source => ("src_align", "src_bound", "src_pas"),
        HostPage::Run => ("run_align", "run_bound", "run_pas"),
        HostPage::Config => ("cfg_align", "cfg_bound", "cfg_pas"),
        HostPage::List => ("list_align", "list_bound", "list_pas"),
    }
}

/// Copies a page of parameters, in place.
///
/// # Errors
///
/// `HostFault`; what was copied is not to be used.
pub(crate) fn read(
    machine: &impl HostMemory,
    page: GranuleAddr,
    params: &mut AbiWords<PAGE_WORDS>,
) -> Result<(), Cause> {
    machine.read_host(page, 0, &mut params.0).map_err(|_| Cause::HostFault(HostPage::Params))
}

/// The low byte of a slot: fields of eight bits stand in slots of 64, and the rest is to be
/// ignored.
#[expect(clippy::cast_possible_truncation, reason = "the field is the low byte")]
const fn low_byte(slot: u64) -> u8 {
    slot as u8
}

impl RealmParams {
    /// `flags`, in 2.0 `flags0`: bit 0 LPA2, bit 1 SVE, bit 2 PMU; in 2.0 also bit 3 DA, bits 6:5
    /// `lfa_policy`, bits 8:7 `mec_policy`.
    pub(crate) fn flags(&self) -> u64 {
        self.0.u64_at::<0x0>()
    }

    /// `s2sz`: IPA width in bits.
    pub(crate) fn s2sz(&self) -> u8 {
        low_byte(self.0.u64_at::<0x8>())
    }

    /// `sve_vl`: longest vector of SVE, in units of 128 bits, minus one.
    pub(crate) fn sve_vl(&self) -> u8 {
        low_byte(self.0.u64_at::<0x10>())
    }

    /// `num_bps`: breakpoints, minus one.
    pub(crate) fn num_bps(&self) -> u8 {
        low_byte(self.0.u64_at::<0x18>())
    }

    /// `num_wps`: watchpoints, minus one.
    pub(crate) fn num_wps(&self) -> u8 {
        low_byte(self.0.u64_at::<0x20>())
    }

    /// `pmu_num_ctrs`: event counters of the performance monitors.
    pub(crate) fn pmu_num_ctrs(&self) -> u8 {
        low_byte(self.0.u64_at::<0x28>())
    }

    /// `hash_algo`.
    pub(crate) fn hash_algo(&self) -> u8 {
        low_byte(self.0.u64_at::<0x30>())
    }

    /// `rpv`: Realm Personalization Value.
    pub(crate) fn rpv(&self) -> [u8; 64] {
        zerocopy::transmute!(self.0.words_at::<0x400, 8>())
    }

    /// `num_aux_planes`, of 2.0.
    pub(crate) fn num_aux_planes(&self) -> u64 {
        self.0.u64_at::<0x38>()
    }

    /// `ats_plane`, of 2.0.
    pub(crate) fn ats_plane(&self) -> u64 {
        self.0.u64_at::<0x440>()
    }

    /// `flags1`, of 2.0: bit 0 tree per plane, bit 1 indirect access permissions, bit 2 ATS.
    pub(crate) fn flags1(&self) -> u64 {
        self.0.u64_at::<0x820>()
    }

    /// `vmid`, of 1.0.
    #[expect(clippy::cast_possible_truncation, reason = "the field is the low half word")]
    pub(crate) fn vmid(&self) -> u16 {
        self.0.u64_at::<0x800>() as u16
    }

    /// `rtt_base`.
    pub(crate) fn rtt_base(&self) -> u64 {
        self.0.u64_at::<0x808>()
    }

    /// `rtt_level_start`.
    pub(crate) fn rtt_level_start(&self) -> i64 {
        self.0.u64_at::<0x810>().cast_signed()
    }

    /// `rtt_num_start`.
    pub(crate) fn rtt_num_start(&self) -> u64 {
        self.0.u64_at::<0x818>() & 0xffff_ffff
    }
}

impl RecParams {
    /// `flags`: bit 0 runnable.
    pub(crate) fn flags(&self) -> u64 {
        self.0.u64_at::<0x0>()
    }

    /// `mpidr`, as `RmiRecMpidr`.
    pub(crate) fn mpidr(&self) -> u64 {
        self.0.u64_at::<0x100>()
    }

    /// `pc`.
    pub(crate) fn pc(&self) -> u64 {
        self.0.u64_at::<0x200>()
    }

    /// `gprs[0..8]`.
    pub(crate) fn gprs(&self) -> [u64; 8] {
        self.0.words_at::<0x300, 8>()
    }

    /// `num_aux`, of 1.0.
    pub(crate) fn num_aux(&self) -> u64 {
        self.0.u64_at::<0x800>()
    }

    /// `aux[0..16]`, of 1.0, of which the first `num_aux` are valid.
    pub(crate) fn aux(&self) -> [u64; 16] {
        self.0.words_at::<0x808, 16>()
    }

    /// The page that enters the RIM: only the measured fields, at their places.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, B4.3.12.4; 2.0 has the same.
    pub(crate) fn measured(&self) -> [u8; PAGE_BYTES] {
        let mut page = AbiWords::<PAGE_WORDS>::zeroed();
        page.set_u64_at::<0x0>(self.flags());
        page.set_u64_at::<0x200>(self.pc());
        page.set_words_at::<0x300, 8>(&self.gprs());
        zerocopy::transmute!(page.0)
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

    #[test]
    fn only_measured_fields_of_a_rec_are_in_the_measured_page() {
        let rec = RecParams(AbiWords([u64::MAX; PAGE_WORDS]));
        let set: Vec<usize> = (0..PAGE_BYTES).filter(|&at| rec.measured()[at] != 0).collect();
        assert_eq!(set.len(), 8 + 8 + 64);
    }
}
