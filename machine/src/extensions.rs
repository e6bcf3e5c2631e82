//! What a Realm's CPU has besides the base architecture: SVE, performance monitors, breakpoints and
//! watchpoints.
//!
//! A Realm gets them when it is created ([`Extensions`]). Their registers are switched only for a
//! REC that has them, and debug and vector registers only once it uses them.

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use crate::addr::GranuleAddr;

/// Most event counters that FEAT_PMUv3 has, besides the cycle counter.
pub const COUNTERS_MAX: usize = 31;
/// Most breakpoints, and most watchpoints, that are reached without FEAT_Debugv8p9.
pub const BREAKPOINTS_MAX: usize = 16;
/// Most granules that the vector registers of a REC take.
pub const VECTOR_GRANULES_MAX: usize = 2;

/// Bytes of a vector, for each unit of its length.
const QUADWORD: usize = 16;

/// What the CPUs of a Realm have, in the way in which it stands in RD and REC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Extensions {
    /// Longest vector, in units of 128 bits; 0 without SVE.
    quadwords: u8,
    /// Event counters plus one; 0 without performance monitors.
    counters_plus_one: u8,
    /// Breakpoints minus one.
    pub breakpoints_minus_one: u8,
    /// Watchpoints minus one.
    pub watchpoints_minus_one: u8,
    reserved: [u8; 4],
}

impl Extensions {
    /// No more than breakpoints and watchpoints, each minus one.
    pub const fn new(breakpoints_minus_one: u8, watchpoints_minus_one: u8) -> Self {
        Self {
            quadwords: 0,
            counters_plus_one: 0,
            breakpoints_minus_one,
            watchpoints_minus_one,
            reserved: [0; 4],
        }
    }

    /// The same with SVE; `sve_vl` is the longest vector as `ZCR_EL2.LEN` has it, 0 to 15.
    #[must_use]
    pub const fn with_sve(self, sve_vl: u8) -> Self {
        Self { quadwords: sve_vl + 1, ..self }
    }

    /// The same with performance monitors of that many event counters, 0 to 31.
    #[must_use]
    pub const fn with_pmu(self, counters: u8) -> Self {
        Self { counters_plus_one: counters + 1, ..self }
    }

    /// With SVE, the longest vector as `ZCR_EL2.LEN` has it.
    #[inline(always)]
    pub const fn sve_vl(&self) -> Option<u8> {
        self.quadwords.checked_sub(1)
    }

    /// With performance monitors, the number of event counters.
    #[inline(always)]
    pub const fn counters(&self) -> Option<u8> {
        self.counters_plus_one.checked_sub(1)
    }

    /// Granules that Z0 to Z31 take: 16 of them fill half a granule, or all of it.
    pub const fn vector_granules(&self) -> usize {
        (self.quadwords as usize * QUADWORD * 32).div_ceil(4096)
    }
}

/// Registers of SVE besides Z0 to Z31, which lie in granules of their own, and what FP and Advanced
/// SIMD has too.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SveRegisters {
    /// P0 to P15, one after the other: each an eighth of the longest vector.
    pub predicates: [u64; 64],
    /// FFR.
    pub ffr: [u64; 4],
    /// ZCR_EL1.
    pub zcr_el1: u64,
    /// 1 once the vector granules hold something.
    pub used: u64,
    /// Where Z0 to Z31 are; zero if there is no such granule.
    granules: [u64; VECTOR_GRANULES_MAX],
}

impl SveRegisters {
    /// Says where Z0 to Z31 are.
    pub fn set_granules(&mut self, granules: impl Iterator<Item = GranuleAddr>) {
        for (word, granule) in self.granules.iter_mut().zip(granules) {
            *word = granule.as_u64();
        }
    }

    /// The registers after reset, with the same granules.
    #[must_use]
    pub fn emptied(&self) -> Self {
        Self { granules: self.granules, ..Self::new_zeroed() }
    }

    /// The granules of Z0 to Z31, and the second one if there is one.
    pub fn granules(&self) -> (GranuleAddr, Option<GranuleAddr>) {
        let [first, second] = self.granules;
        let second = (second != 0).then(|| GranuleAddr::containing(second));
        (GranuleAddr::containing(first), second)
    }
}

/// Performance monitors: all event counters that the CPU has. What lies above the Realm's own is
/// zero, unless the CPU lets the Realm write there.
///
/// The windows PMXEVCNTR and PMXEVTYPER show the counter that PMSELR_EL0 selects: there is nothing
/// to keep of them.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
#[expect(
    missing_docs,
    reason = "each field is the register of that name, or the set that two of them show"
)]
pub struct PmuRegisters {
    pub pmcr_el0: u64,
    pub pmccntr_el0: u64,
    pub pmccfiltr_el0: u64,
    pub pmselr_el0: u64,
    pub pmuserenr_el0: u64,
    pub pmcnten: u64,
    pub pminten: u64,
    pub pmovs: u64,
    pub pmevcntr_el0: [u64; COUNTERS_MAX],
    pub pmevtyper_el0: [u64; COUNTERS_MAX],
}

impl PmuRegisters {
    /// Whether the overflow interrupt of a Realm with that many event counters, 0 to 31, is
    /// asserted.
    ///
    /// Source: Arm ARM (DDI0487), D13.1.4 "Interrupts": PMCR_EL0.E, and a counter that is enabled,
    /// overflowed and may interrupt. Those above the Realm's own are enabled by `MDCR_EL2.HPME`
    /// instead, which is 0.
    pub const fn overflow(&self, counters: u8) -> bool {
        let own = 1 << 31 | ((1 << counters) - 1);
        self.pmcr_el0 & 1 != 0 && self.pmovs & self.pminten & self.pmcnten & own != 0
    }
}

/// Breakpoints, watchpoints, and the OS Lock that silences them. MDSCR_EL1 is among the EL1
/// registers.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct DebugRegisters {
    /// DBGBVRn_EL1, DBGBCRn_EL1.
    pub breakpoints: [[u64; 2]; BREAKPOINTS_MAX],
    /// DBGWVRn_EL1, DBGWCRn_EL1.
    pub watchpoints: [[u64; 2]; BREAKPOINTS_MAX],
    /// OSLSR_EL1.OSLK.
    pub os_lock: u64,
    /// DBGCLAIMCLR_EL1.
    pub claim: u64,
    /// OSECCR_EL1.
    pub oseccr: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_take_one_granule_up_to_1024_bits_and_two_above() {
        let none = Extensions::new(1, 1);
        assert_eq!((none.sve_vl(), none.counters(), none.vector_granules()), (None, None, 0));
        for (vl, granules) in [(0, 1), (7, 1), (8, 2), (15, 2)] {
            let some = none.with_sve(vl);
            assert_eq!((some.sve_vl(), some.vector_granules()), (Some(vl), granules));
        }
        assert_eq!(none.with_pmu(0).counters(), Some(0));
        assert_eq!(none.with_pmu(31).counters(), Some(31));
    }

    #[test]
    fn an_overflow_counts_if_all_agree() {
        let mut pmu = PmuRegisters::new_zeroed();
        (pmu.pmovs, pmu.pminten, pmu.pmcnten) = (1 << 31, 1 << 31, 1 << 31);
        assert!(!pmu.overflow(6));
        pmu.pmcr_el0 = 0x41;
        assert!(pmu.overflow(6) && pmu.overflow(0) && pmu.overflow(31));
        pmu.pminten = 1;
        assert!(!pmu.overflow(6));
    }

    #[test]
    fn a_counter_that_is_not_the_realms_signals_nothing() {
        let mut pmu = PmuRegisters::new_zeroed();
        (pmu.pmcr_el0, pmu.pmovs, pmu.pminten, pmu.pmcnten) = (1, 1 << 3, 1 << 3, 1 << 3);
        assert!(pmu.overflow(4));
        assert!(!pmu.overflow(3));
    }
}
