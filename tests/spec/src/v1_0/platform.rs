//! What the specification leaves to the machine and the monitor, and a Host can find out.

/// The machine under the monitor.
#[derive(Clone, Debug)]
pub struct Platform {
    /// Runs of delegable memory: base, bytes.
    pub banks: Vec<(u64, u64)>,
    /// Delegable granules that are in the Secure or Root physical address space.
    pub not_host: Vec<u64>,
    /// `RmiFeatureRegister0`.
    pub feature_register_0: u64,
    /// Smallest IPA width that the monitor supports.
    pub s2sz_min: u64,
    /// FEAT_VMID16.
    pub vmid16: bool,
    /// FEAT_TTST: tables may start at level 3.
    pub small_tables: bool,
    /// FEAT_HPMN0: a PMU without counters.
    pub hpmn0: bool,
    /// Implemented bits of a virtual interrupt's priority.
    pub priority_bits: u64,
    /// Bits of a virtual interrupt's number.
    pub intid_bits: u64,
    /// Extended interrupt ranges.
    pub extended_intids: bool,
}

impl Platform {
    fn field(&self, low: u64, bits: u64) -> u64 {
        self.feature_register_0 >> low & ((1 << bits) - 1)
    }

    /// Largest IPA width.
    pub fn s2sz(&self) -> u64 {
        self.field(0, 8)
    }

    /// FEAT_LPA2 for stage 2.
    pub fn lpa2(&self) -> bool {
        self.field(8, 1) == 1
    }

    /// Largest vector length, if there is SVE.
    pub(crate) fn sve_vl(&self) -> Option<u64> {
        (self.field(9, 1) == 1).then(|| self.field(10, 4))
    }

    /// Breakpoints, minus one.
    pub fn num_bps(&self) -> u64 {
        self.field(14, 6)
    }

    /// Watchpoints, minus one.
    pub fn num_wps(&self) -> u64 {
        self.field(20, 6)
    }

    /// Event counters, if there is a PMU.
    pub(crate) fn pmu_num_ctrs(&self) -> Option<u64> {
        (self.field(26, 1) == 1).then(|| self.field(27, 5))
    }

    /// Whether a measurement algorithm is supported.
    pub(crate) fn has_hash(&self, algorithm: u64) -> bool {
        algorithm < 2 && self.field(32 + algorithm, 1) == 1
    }

    /// List registers.
    pub(crate) fn list_registers(&self) -> usize {
        self.field(34, 4) as usize + 1
    }

    /// Largest number of RECs of a Realm.
    pub(crate) fn recs_max(&self) -> u64 {
        (1 << self.field(38, 4)) - 1
    }

    /// Whether a granule can be delegated.
    pub fn is_delegable(&self, pa: u64) -> bool {
        self.banks.iter().any(|&(base, bytes)| pa >= base && pa - base < bytes)
    }

    /// Whether a granule is in the Non-secure physical address space unless it is delegated.
    pub fn is_host(&self, pa: u64) -> bool {
        !self.not_host.contains(&pa)
    }
}
