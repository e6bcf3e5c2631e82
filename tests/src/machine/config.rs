//! The machines that can be built: which CPU, how much DRAM, and what in it is not the Host's.

use std::ops::Range;

use machine::CpuFacts;

/// A kind of machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// QEMU's `-cpu max`: FEAT_LPA2, 52-bit addresses, 16-bit VMIDs; some DRAM above 2^48.
    Max,
    /// A small CPU: 48-bit addresses without FEAT_LPA2, 8-bit VMIDs, no extended interrupt ranges.
    Plain,
    /// As `Plain`, with 40-bit addresses.
    Narrow,
    /// As `Max`, with 2 GiB of DRAM in one piece.
    Large,
    /// As `Max`, with the two banks of Arm FVP Base RevC.
    Fvp,
    /// As `Max`, without SVE, and with performance monitors that have no event counter.
    NoCounters,
    /// As `Max`, with little DRAM: every command looks at all of it, so sequences of many commands
    /// take it.
    Small,
}

const MIB: u64 = 1 << 20;

/// First bank, where granules come from.
/// Where the simulated monitor would be, next to the simulated memory and no part of it.
pub(crate) const MONITOR: u64 = 0x7fe0_0000;
/// Bytes of it.
pub(crate) const MONITOR_BYTES: u64 = 0x10_0000;
pub(crate) const MAIN_BASE: u64 = 0x8000_0000;
/// The last granules of the first bank are not the Host's.
pub(crate) const RESERVED_GRANULES: u64 = 4;
/// A second bank, so that the granule table has a hole.
const SECOND_BASE: u64 = 0x8_8000_0000;
/// DRAM that descriptors without FEAT_LPA2 cannot name.
pub(crate) const HIGH_BASE: u64 = 1 << 48;
/// The console: no DRAM, so not delegable.
pub(crate) const DEVICE: u64 = 0x0900_0000;

impl Profile {
    /// Banks of DRAM: (base, bytes).
    pub(crate) fn banks(self) -> Vec<(u64, u64)> {
        let main = match self {
            Self::Max | Self::Plain | Self::NoCounters => 20 * MIB,
            Self::Narrow => {
                return vec![(MAIN_BASE, 20 * MIB), (SECOND_BASE, MIB / 4)];
            }
            Self::Small => MIB,
            Self::Large => 2048 * MIB,
            Self::Fvp => {
                let bank = |bank: Range<u64>| (bank.start, bank.end - bank.start);
                return platform_fvp::DRAM.into_iter().map(bank).collect();
            }
        };
        vec![(MAIN_BASE, main), (SECOND_BASE, MIB / 4), (HIGH_BASE, MIB / 4)]
    }

    /// Identification registers.
    pub(crate) fn facts(self) -> CpuFacts {
        match self {
            Self::Max | Self::Large | Self::Fvp | Self::Small => CpuFacts {
                id_aa64pfr0: 0x1201_1111_2122_0011,
                id_aa64pfr1: 0x0000_0000_0010_0121,
                id_aa64dfr0: 0x1000_0000_1030_560a,
                id_aa64isar0: 0x1221_1110_1021_2120,
                id_aa64isar1: 0x0111_1010_1121_1152,
                id_aa64isar2: 0x0000_0000_0011_0002,
                id_aa64mmfr0: 0x2100_0323_1020_1126,
                id_aa64mmfr1: 0x0110_1120_1031_2122,
                id_aa64mmfr2: 0x1221_0111_1201_1011,
                ich_vtr: 0x90b8_0003,
                pmcr: 0x4101_3000,
                vector_bytes: 256,
                ..CpuFacts::default()
            },
            Self::NoCounters => {
                let max = Self::Max.facts();
                CpuFacts {
                    // SVE, and FEAT_HPMN0.
                    id_aa64pfr0: max.id_aa64pfr0 & !(0xf << 32),
                    id_aa64dfr0: max.id_aa64dfr0 & !(0xf << 60),
                    pmcr: max.pmcr & !(0x1f << 11),
                    vector_bytes: 0,
                    ..max
                }
            }
            Self::Plain | Self::Narrow => CpuFacts {
                id_aa64pfr0: 0x0000_0000_1100_0011,
                id_aa64dfr0: 0x0000_0000_0030_5006,
                id_aa64mmfr0: if self == Self::Narrow { 0x1122 } else { 0x1125 },
                id_aa64mmfr1: 0x0000_0000_1021_2102,
                id_aa64mmfr2: 0x0000_0000_0000_1011,
                ich_vtr: 0x9000_0003,
                ..CpuFacts::default()
            },
        }
    }
}
