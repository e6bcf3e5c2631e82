//! Which registers are zero while a Realm is loaded.

use super::{Facilities, Facility};

/// What a Realm must not find at its value for the Host, where nothing traps it, or which acts
/// although it traps: zero while a Realm is loaded. The number of a variant is its bit in
/// [`hidden`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[expect(missing_docs, reason = "each variant is the register of that name")]
pub enum Hidden {
    BrbcrEl1,
    BrbfcrEl1,
    BrbtsEl1,
    BrbinfinjEl1,
    BrbsrcinjEl1,
    BrbtgtinjEl1,
    TrfcrEl1,
    Tpidr2El0,
    SmpriEl1,
    AccdataEl1,
    PirEl1,
    Pire0El1,
    PorEl1,
    PorEl0,
    S2porEl1,
    Mair2El1,
    Amair2El1,
    RcwmaskEl1,
    RcwsmaskEl1,
    GcscrEl1,
    GcsprEl1,
    Gcscre0El1,
    GcsprEl0,
    PfarEl1,
    BrbcrEl2,
}

/// Number of variants of [`Hidden`].
pub const HIDDEN: usize = Hidden::BrbcrEl2 as usize + 1;

impl Hidden {
    /// Its bit in a set.
    pub const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// The bit of [`hidden`] that says that branch records are wiped before a Realm runs and after: it
/// can read them.
pub const WIPE_BRANCHES: u32 = Hidden::BrbfcrEl1.bit();

/// The registers that are zero while a Realm is loaded, as a set of [`Hidden::bit`]: none, where
/// EL3 has opened FGT and nothing that acts all the same.
///
/// Source: Arm ARM (DDI0487): BRBCR_EL1 and TRFCR_EL1 act at EL1 whoever may write them, and so do
/// GCSCR_EL1.EXLOCKEN (pseudocode `GetCurrentEXLOCKEN`, which asks for no other control: exception
/// returns from EL1 to EL1 would be illegal) and the RCW masks (the RCW instructions have no
/// control of their own, and their flags tell what is in the masks). The others are reached by EL1
/// or EL0, once EL3 has opened them, without the field of HFGRTR_EL2, HFGRTR2_EL2 or HDFGRTR_EL2 of
/// their name.
pub fn hidden(open: Facilities) -> u32 {
    const ACTING: [(Facility, Hidden); 6] = [
        (Facility::Brbe, Hidden::BrbcrEl2),
        (Facility::Brbe, Hidden::BrbcrEl1),
        (Facility::Trf, Hidden::TrfcrEl1),
        (Facility::The, Hidden::RcwmaskEl1),
        (Facility::The, Hidden::RcwsmaskEl1),
        (Facility::Gcs, Hidden::GcscrEl1),
    ];
    const BY_FGT: [(Facility, Hidden); 18] = [
        (Facility::Brbe, Hidden::BrbfcrEl1),
        (Facility::Brbe, Hidden::BrbtsEl1),
        (Facility::Brbe, Hidden::BrbinfinjEl1),
        (Facility::Brbe, Hidden::BrbsrcinjEl1),
        (Facility::Brbe, Hidden::BrbtgtinjEl1),
        (Facility::Tpidr2, Hidden::Tpidr2El0),
        (Facility::Sme, Hidden::SmpriEl1),
        (Facility::AccData, Hidden::AccdataEl1),
        (Facility::S1Pie, Hidden::PirEl1),
        (Facility::S1Pie, Hidden::Pire0El1),
        (Facility::S1Poe, Hidden::PorEl1),
        (Facility::S1Poe, Hidden::PorEl0),
        (Facility::S2Poe, Hidden::S2porEl1),
        (Facility::Aie, Hidden::Mair2El1),
        (Facility::Aie, Hidden::Amair2El1),
        (Facility::Gcs, Hidden::GcsprEl1),
        (Facility::Gcs, Hidden::Gcscre0El1),
        (Facility::Gcs, Hidden::GcsprEl0),
    ];
    const BY_FGT2: [(Facility, Hidden); 1] = [(Facility::Pfar, Hidden::PfarEl1)];

    let set = |pairs: &[(Facility, Hidden)]| {
        let opened = pairs.iter().filter(|(facility, _)| open.has(*facility));
        opened.fold(0, |set, (_, register)| set | register.bit())
    };
    let mut all = set(&ACTING);
    if !open.has(Facility::Fgt) {
        all |= set(&BY_FGT);
    }
    if !open.has(Facility::Fgt2) {
        all |= set(&BY_FGT2);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::Openings;
    use super::super::facility::tests::{all, only};
    use super::*;

    #[test]
    fn what_traps_is_not_hidden_but_for_what_acts_all_the_same() {
        use Facility::{Brbe, Fgt, Fgt2, Gcs, Hcx, Mpam, Pfar, S1Pie, The, Tpidr2, Trf};
        let rows: [(&[Facility], &[Hidden]); 11] = [
            (&[], &[]),
            (&[Fgt, Fgt2, Hcx, Mpam], &[]),
            (&[Fgt, Tpidr2, S1Pie], &[]),
            (&[Tpidr2], &[Hidden::Tpidr2El0]),
            (&[Hcx, S1Pie], &[Hidden::PirEl1, Hidden::Pire0El1]),
            // Branch records: the control acts in the Realm although it traps there.
            (&[Fgt, Brbe], &[Hidden::BrbcrEl1, Hidden::BrbcrEl2]),
            (&[Fgt, Trf], &[Hidden::TrfcrEl1]),
            (&[Fgt, Pfar], &[Hidden::PfarEl1]),
            (&[Fgt, Fgt2, Pfar], &[]),
            // So do the masks of RCW instructions, and the lock of ELR_EL1 and SPSR_EL1.
            (&[Fgt, Fgt2, The], &[Hidden::RcwmaskEl1, Hidden::RcwsmaskEl1]),
            (&[Fgt, Fgt2, Gcs], &[Hidden::GcscrEl1]),
        ];
        for (open, expected) in rows {
            let expected = expected.iter().fold(0, |set, register| set | register.bit());
            assert_eq!(hidden(only(open)), expected, "{open:?}");
        }
    }

    #[test]
    fn with_everything_open_but_fgt_all_of_them_are_hidden_and_branches_wiped() {
        let open = all().tried(|facility| !matches!(facility, Facility::Fgt | Facility::Fgt2));
        assert_eq!(hidden(open), (1 << HIDDEN) - 1);
        assert_ne!(hidden(open) & WIPE_BRANCHES, 0);
        assert_eq!(hidden(all()) & WIPE_BRANCHES, 0, "trapped");
        assert_eq!(hidden(Openings::assumed(all()).open), 0, "nothing closed is touched");
    }
}
