//! Whether a CPU that boots later is like the first.
//!
//! What a Realm is told of the CPU comes from the first one, and so does what RMM offers the Host.
//! A REC runs on whatever CPU the Host enters it: one that lacks a feature would give it undefined
//! instructions, one with other cache lines would leave parts of its memory unclean, and one with
//! more would give it registers that nobody switches. So any difference is fatal for the CPU, also
//! in fields that are hidden from Realms or unknown today.
//!
//! Not compared, since CPUs of one machine may differ there and nothing of ours depends on it:
//! MIDR_EL1 and REVIDR_EL1, of which a Realm sees the CPU's own and errata are kept by machine;
//! MPIDR_EL1; and the bits that the constants below leave out.

use machine::CpuFacts;

/// The first register in which two CPUs differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its name.
    pub register: &'static str,
    /// What of it counts, on the first CPU.
    pub first: u64,
    /// The same on the other.
    pub this: u64,
}

/// PMCR_EL0.N: the rest is the Host's, or names the implementation.
const PMCR: u64 = 0x1f << 11;
/// ICC_CTLR_EL1 without what the Host sets: CBPR, EOImode, PMHE.
const ICC_CTLR: u64 = !0b100_0011;
/// CTR_EL0 without ERG, CWG and TminLine: sizes that software keeps data apart by, and steps by for
/// tags alone, which Realms do not have.
const CTR: u64 = !(0xff << 20 | 0x3f << 32);

/// Registers by name, each with the bits of it that count.
fn masked(facts: &CpuFacts) -> [(&'static str, u64); 21] {
    // A field that is added has to be added here.
    let CpuFacts {
        id_aa64pfr0,
        id_aa64pfr1,
        id_aa64pfr2,
        id_aa64zfr0,
        id_aa64dfr0,
        id_aa64dfr1,
        id_aa64isar0,
        id_aa64isar1,
        id_aa64isar2,
        id_aa64isar3,
        id_aa64mmfr0,
        id_aa64mmfr1,
        id_aa64mmfr2,
        id_aa64mmfr3,
        id_aa64mmfr4,
        ich_vtr,
        icc_ctlr,
        pmcr,
        vector_bytes,
        ctr,
        dczid,
    } = *facts;
    [
        ("ID_AA64PFR0_EL1", id_aa64pfr0),
        ("ID_AA64PFR1_EL1", id_aa64pfr1),
        ("ID_AA64PFR2_EL1", id_aa64pfr2),
        ("ID_AA64ZFR0_EL1", id_aa64zfr0),
        ("ID_AA64DFR0_EL1", id_aa64dfr0),
        ("ID_AA64DFR1_EL1", id_aa64dfr1),
        ("ID_AA64ISAR0_EL1", id_aa64isar0),
        ("ID_AA64ISAR1_EL1", id_aa64isar1),
        ("ID_AA64ISAR2_EL1", id_aa64isar2),
        ("ID_AA64ISAR3_EL1", id_aa64isar3),
        ("ID_AA64MMFR0_EL1", id_aa64mmfr0),
        ("ID_AA64MMFR1_EL1", id_aa64mmfr1),
        ("ID_AA64MMFR2_EL1", id_aa64mmfr2),
        ("ID_AA64MMFR3_EL1", id_aa64mmfr3),
        ("ID_AA64MMFR4_EL1", id_aa64mmfr4),
        ("ICH_VTR_EL2", ich_vtr),
        ("ICC_CTLR_EL1", icc_ctlr & ICC_CTLR),
        ("PMCR_EL0", pmcr & PMCR),
        ("longest vector in bytes", vector_bytes),
        ("CTR_EL0", ctr & CTR),
        ("DCZID_EL0", dczid),
    ]
}

/// The first register in which `this` CPU differs from the `first`.
pub fn difference(first: &CpuFacts, this: &CpuFacts) -> Option<Difference> {
    masked(first).into_iter().zip(masked(this)).find_map(|((register, first), (_, this))| {
        (first != this).then_some(Difference { register, first, this })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A CPU with a value of its own in each register.
    fn cpu() -> CpuFacts {
        CpuFacts {
            id_aa64pfr0: 0x1201_1111_2122_0011,
            id_aa64dfr0: 0x1000_0000_1030_560a,
            ich_vtr: 0x90b8_0003,
            icc_ctlr: 0x8_8402,
            pmcr: 0x4101_3061,
            vector_bytes: 256,
            ctr: 0xb444_c004,
            dczid: 4,
            ..CpuFacts::default()
        }
    }

    #[test]
    fn a_cpu_is_like_itself() {
        assert_eq!(difference(&cpu(), &cpu()), None);
    }

    #[test]
    fn a_difference_in_any_register_is_named() {
        type Change = fn(&mut CpuFacts);
        let changes: [(&str, Change); 21] = [
            ("ID_AA64PFR0_EL1", |f| f.id_aa64pfr0 ^= 1 << 32),
            ("ID_AA64PFR1_EL1", |f| f.id_aa64pfr1 ^= 1),
            ("ID_AA64PFR2_EL1", |f| f.id_aa64pfr2 ^= 1),
            ("ID_AA64ZFR0_EL1", |f| f.id_aa64zfr0 ^= 1),
            ("ID_AA64DFR0_EL1", |f| f.id_aa64dfr0 ^= 1 << 12),
            ("ID_AA64DFR1_EL1", |f| f.id_aa64dfr1 ^= 1),
            ("ID_AA64ISAR0_EL1", |f| f.id_aa64isar0 ^= 1 << 56),
            ("ID_AA64ISAR1_EL1", |f| f.id_aa64isar1 ^= 1),
            ("ID_AA64ISAR2_EL1", |f| f.id_aa64isar2 ^= 1 << 16),
            ("ID_AA64ISAR3_EL1", |f| f.id_aa64isar3 ^= 1),
            ("ID_AA64MMFR0_EL1", |f| f.id_aa64mmfr0 ^= 1),
            ("ID_AA64MMFR1_EL1", |f| f.id_aa64mmfr1 ^= 1),
            ("ID_AA64MMFR2_EL1", |f| f.id_aa64mmfr2 ^= 1 << 40),
            ("ID_AA64MMFR3_EL1", |f| f.id_aa64mmfr3 ^= 1),
            ("ID_AA64MMFR4_EL1", |f| f.id_aa64mmfr4 ^= 1 << 63),
            ("ICH_VTR_EL2", |f| f.ich_vtr ^= 1),
            ("ICC_CTLR_EL1", |f| f.icc_ctlr ^= 1 << 19),
            ("PMCR_EL0", |f| f.pmcr ^= 1 << 11),
            ("longest vector in bytes", |f| f.vector_bytes = 64),
            ("CTR_EL0", |f| f.ctr ^= 1 << 16),
            ("DCZID_EL0", |f| f.dczid ^= 1),
        ];
        for (name, change) in changes {
            let mut this = cpu();
            change(&mut this);
            let found = difference(&cpu(), &this).map(|found| found.register);
            assert_eq!(found, Some(name));
        }
    }

    #[test]
    fn both_values_are_told() {
        let this = CpuFacts { vector_bytes: 64, ..cpu() };
        let Some(Difference { first, this, .. }) = difference(&cpu(), &this) else { panic!() };
        assert_eq!((first, this), (256, 64));
    }

    #[test]
    fn what_the_host_sets_and_what_only_pads_may_differ() {
        let this = CpuFacts {
            icc_ctlr: cpu().icc_ctlr ^ 0b100_0011,
            pmcr: cpu().pmcr ^ 0xffff_07ff,
            ctr: cpu().ctr ^ 0xff << 20,
            ..cpu()
        };
        assert_eq!(difference(&cpu(), &this), None);
    }
}
