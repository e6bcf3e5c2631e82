//! What the machine is, and what follows for feature registers and tracking.
//!
//! Source: sections 2.4, 5.3 and 5.4 of our notes on RMI 2.0, and its profile in Annex F: granules
//! of 4 KiB, a static table.

use crate::extension;

/// Bytes of a granule.
pub const GRANULE: u64 = 4096;
/// Bytes of a tracking region, code 0 with granules of 4 KiB (section 4.2).
pub const REGION: u64 = 1 << 30;

/// The machine under the monitor.
#[derive(Clone, Debug)]
pub struct Platform {
    /// Memory that the Host can delegate: base, bytes.
    pub banks: Vec<(u64, u64)>,
    /// Memory of the RMM and EL3: base, bytes.
    pub reserved: Vec<(u64, u64)>,
    /// Granules of `banks` that EL3 never gives away.
    pub not_host: Vec<u64>,
    /// Width of physical addresses.
    pub pa_bits: u64,
    /// 52-bit descriptors at stage 1 and 2.
    pub lpa2: bool,
    /// Largest vector length code, if there is SVE.
    pub sve_vl: Option<u64>,
    /// Breakpoints minus one.
    pub num_bps: u64,
    /// Watchpoints minus one.
    pub num_wps: u64,
    /// Event counters, if there is a PMU.
    pub pmu_num_ctrs: Option<u64>,
    /// At most `2^n - 1` RECs of a Realm.
    pub max_recs_order: u64,
    /// Code of the size of a level 0 entry of the GPT: 0 means 1 GiB.
    pub l0gptsz: u64,
    /// FEAT_VMID16.
    pub vmid16: bool,
    /// FEAT_TTST: tables may start at level 3.
    pub small_tables: bool,
    /// FEAT_HPMN0: a PMU without counters.
    pub hpmn0: bool,
    /// Smallest IPA width that the monitor supports.
    pub s2sz_min: u64,
    /// Versions of the interface that the monitor supports, ascending.
    pub versions: Vec<u64>,
    /// Operations that can be unfinished at the same time, at least.
    pub operations: u64,
}

/// Category and state of a tracking region (section 5.3).
pub type Tracking = (u64, u64);
/// Conventional memory with a state for each granule.
pub const FINE: Tracking = (0, 2);
/// Memory that is not for the Host.
pub const RESERVED: Tracking = (0, 0);
/// No memory.
pub const HOLE: Tracking = (3, 1);

fn holds(ranges: &[(u64, u64)], pa: u64) -> bool {
    ranges.iter().any(|&(base, bytes)| pa >= base && pa - base < bytes)
}

impl Platform {
    /// A machine with what its feature registers 0 and 1 say; `None` if they say anything that this
    /// profile does not have. Memory and what no register says are left to the caller.
    pub fn from_registers(fr0: u64, fr1: u64) -> Option<Self> {
        let field = |register: u64, low: u64, bits: u64| register >> low & ((1 << bits) - 1);
        let platform = Self {
            banks: Vec::new(),
            reserved: Vec::new(),
            not_host: Vec::new(),
            pa_bits: field(fr0, 33, 8),
            lpa2: field(fr0, 8, 1) == 1,
            sve_vl: (field(fr0, 9, 1) == 1).then(|| field(fr0, 10, 4)),
            num_bps: field(fr0, 14, 6),
            num_wps: field(fr0, 20, 6),
            pmu_num_ctrs: (field(fr0, 26, 1) == 1).then(|| field(fr0, 27, 5)),
            max_recs_order: field(fr1, 6, 4),
            l0gptsz: field(fr1, 10, 4),
            vmid16: false,
            small_tables: false,
            hpmn0: false,
            s2sz_min: 32,
            versions: vec![0x1_0000, 0x2_0000],
            operations: 2,
        };
        let same = [0, 1].map(|index| platform.feature_register(index)) == [fr0, fr1];
        same.then_some(platform)
    }

    /// Largest IPA width: that of physical addresses, at most 48 without LPA2.
    pub fn s2sz(&self) -> u64 {
        if self.lpa2 { self.pa_bits } else { self.pa_bits.min(48) }
    }

    /// RMI_FEATURES (section 2.4).
    pub fn feature_register(&self, index: u64) -> u64 {
        match index {
            0 => {
                let sve = self.sve_vl.map_or(0, |vl| 1 << 9 | vl << 10);
                let pmu = self.pmu_num_ctrs.map_or(0, |counters| 1 << 26 | counters << 27);
                // L0GPT_BLOCK_DELEGATE, bit 32, is 0.
                self.s2sz()
                    | u64::from(self.lpa2) << 8
                    | sve
                    | self.num_bps << 14
                    | self.num_wps << 20
                    | pmu
                    | self.pa_bits << 33
            }
            1 => {
                let pps = match self.pa_bits {
                    0..=32 => 0,
                    33..=36 => 1,
                    37..=40 => 2,
                    41..=42 => 3,
                    43..=44 => 4,
                    45..=48 => 5,
                    _ => 6,
                };
                // 4 KiB granules alone; all three hashes.
                1 | 0b111 << 3 | self.max_recs_order << 6 | self.l0gptsz << 10 | pps << 14
            }
            extension::FEATURES_INDEX => extension::FEATURES,
            // FR2 devices, FR3 planes, FR4 MEC, and what does not exist.
            _ => 0,
        }
    }

    /// Whether FR1 says that a measurement algorithm is supported: the order of its bits is not
    /// that of the codes.
    pub fn has_hash(&self, algorithm: u64) -> bool {
        let bit = match algorithm {
            0 => 3,
            2 => 4,
            1 => 5,
            _ => return false,
        };
        self.feature_register(1) >> bit & 1 == 1
    }

    /// Largest number of RECs of a Realm.
    pub fn recs_max(&self) -> u64 {
        (1 << self.max_recs_order) - 1
    }

    /// Realms that there can be: VMID 0 is kept.
    pub fn realms_max(&self) -> usize {
        if self.vmid16 { 0xffff } else { 0xff }
    }

    /// Bytes that an entry at level 0 of the GPT describes.
    pub fn l0gpt_bytes(&self) -> u64 {
        1 << (30 + self.l0gptsz)
    }

    /// Whether a granule can be delegated.
    pub fn is_delegable(&self, pa: u64) -> bool {
        holds(&self.banks, pa) && !holds(&self.reserved, pa)
    }

    /// Whether EL3 would give the granule away.
    pub fn is_host(&self, pa: u64) -> bool {
        !self.not_host.contains(&pa)
    }

    /// Category and state of what is at an address.
    pub fn tracking(&self, pa: u64) -> Tracking {
        if holds(&self.reserved, pa) {
            RESERVED
        } else if holds(&self.banks, pa) {
            FINE
        } else {
            HOLE
        }
    }

    /// Where [`Platform::tracking`] next changes above an address, if it does.
    pub fn tracking_end(&self, pa: u64) -> Option<u64> {
        let ranges = self.banks.iter().chain(&self.reserved);
        let edges = ranges.flat_map(|&(base, bytes)| [base, base + bytes]);
        edges.filter(|&edge| edge > pa && self.tracking(edge) != self.tracking(pa)).min()
    }

    /// Whether a range holds memory of any owner.
    pub fn has_memory(&self, base: u64, top: u64) -> bool {
        let mut ranges = self.banks.iter().chain(&self.reserved);
        ranges.any(|&(first, bytes)| first < top && first + bytes > base)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn small() -> Platform {
        Platform {
            banks: vec![(0x8000_0000, 0x80_0000), (0x8_8000_0000, 0x40_0000)],
            reserved: vec![(0x9000_0000, 0x10_0000)],
            not_host: vec![0x807f_f000],
            pa_bits: 48,
            lpa2: false,
            sve_vl: None,
            num_bps: 5,
            num_wps: 3,
            pmu_num_ctrs: None,
            max_recs_order: 9,
            l0gptsz: 0,
            vmid16: true,
            small_tables: true,
            hpmn0: false,
            s2sz_min: 32,
            versions: vec![0x1_0000, 0x2_0000],
            operations: 4,
        }
    }

    #[test]
    fn feature_registers_of_the_example() {
        let platform = small();
        assert_eq!(platform.feature_register(0), 0x60_0031_4030);
        // The example has no SHA-384.
        assert_eq!(platform.feature_register(1) & !(1 << 4), 0x1_4269);
        let [fr0, fr1] = [0, 1].map(|index| platform.feature_register(index));
        let read = Platform::from_registers(fr0, fr1).unwrap();
        assert_eq!([0, 1].map(|index| read.feature_register(index)), [fr0, fr1]);
        assert!(Platform::from_registers(fr0 | 1 << 32, fr1).is_none());
        assert!(Platform::from_registers(fr0, fr1 | 2).is_none());
        assert_eq!([2, 3, 4, 5, u64::MAX].map(|index| platform.feature_register(index)), [0; 5]);
        assert_eq!([0, 1, 2, 3].map(|code| platform.has_hash(code)), [true, true, true, false]);
    }

    #[test]
    fn tracking_changes_at_the_ends_of_memory() {
        let platform = small();
        assert_eq!((platform.tracking(0), platform.tracking_end(0)), (HOLE, Some(0x8000_0000)));
        let bank = 0x8000_1000;
        assert_eq!(
            (platform.tracking(bank), platform.tracking_end(bank)),
            (FINE, Some(0x8080_0000))
        );
        assert_eq!(platform.tracking(0x9000_0000), RESERVED);
        assert_eq!(platform.tracking_end(0x8_8040_0000), None);
    }
}
