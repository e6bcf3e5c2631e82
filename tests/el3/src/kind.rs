//! Which registers each world has for itself, by the kind of EL3 that this is.

use crate::edition::Edition;
use crate::opening::Opening;

/// What kind of EL3 this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// What it opens.
    pub opening: Opening,
    /// What it speaks.
    pub edition: Edition,
}

/// What decides whether each world has a register for itself. Known when this is built: a switch
/// looks at many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Nothing: it always has.
    Always,
    /// It is PMCR_EL0.
    Pmcr,
    /// It is a trap register.
    Traps,
    /// It controls virtual interrupts.
    VirtualInterrupts,
}

impl Kept {
    /// Of the register of this name.
    #[must_use]
    pub const fn of(name: &str) -> Self {
        match name.as_bytes() {
            b"pmcr_el0" => Self::Pmcr,
            // HCRX_EL2, HFG*_EL2, HDFG*_EL2. QEMU has no HAFGRTR_EL2: it has no activity monitors.
            b"S3_4_C1_C2_2" | b"S3_4_C1_C1_4" | b"S3_4_C1_C1_5" | b"S3_4_C1_C1_6"
            | b"S3_4_C3_C1_4" | b"S3_4_C3_C1_5" => Self::Traps,
            // ICC_SRE_EL2, ICH_HCR_EL2, ICH_VMCR_EL2.
            b"S3_4_C12_C9_5" | b"S3_4_C12_C11_0" | b"S3_4_C12_C11_7" => Self::VirtualInterrupts,
            _ => Self::Always,
        }
    }

    /// Whether it is so by this kind of EL3.
    #[must_use]
    pub const fn by(self, Kind { opening, edition }: Kind) -> bool {
        match self {
            Self::Always => true,
            Self::Pmcr => opening.keeps_pmcr(),
            Self::Traps => opening.has_traps(),
            Self::VirtualInterrupts => edition.keeps_virtual_interrupts(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_2_0_leaves_the_controls_of_virtual_interrupts_alone() {
        let kind = |edition| Kind { opening: Opening::Newer, edition };
        for name in ["S3_4_C12_C9_5", "S3_4_C12_C11_0", "S3_4_C12_C11_7"] {
            assert!(Kept::of(name).by(kind(Edition::V0)), "{name}");
            assert!(!Kept::of(name).by(kind(Edition::V2)), "{name}");
        }
        assert!(Kept::of("hcr_el2").by(kind(Edition::V2)));
        assert!(!Kept::of("pmcr_el0").by(kind(Edition::V2)));
        let closed = Kind { opening: Opening::Closed, edition: Edition::V2 };
        assert!(!Kept::of("S3_4_C1_C2_2").by(closed));
    }
}
