//! Facts about the CPUs, read once at boot: raw register values, judged elsewhere.

/// Identification registers of the boot CPU. A CPU that boots later and differs is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the register of that name")]
pub struct CpuFacts {
    pub id_aa64pfr0: u64,
    pub id_aa64pfr1: u64,
    pub id_aa64pfr2: u64,
    pub id_aa64zfr0: u64,
    pub id_aa64dfr0: u64,
    pub id_aa64dfr1: u64,
    pub id_aa64isar0: u64,
    pub id_aa64isar1: u64,
    pub id_aa64isar2: u64,
    pub id_aa64isar3: u64,
    pub id_aa64mmfr0: u64,
    pub id_aa64mmfr1: u64,
    pub id_aa64mmfr2: u64,
    pub id_aa64mmfr3: u64,
    pub id_aa64mmfr4: u64,
    pub ich_vtr: u64,
    /// ICC_CTLR_EL1, for its ExtRange bit.
    pub icc_ctlr: u64,
    /// PMCR_EL0, for its number of counters; 0 without performance monitors.
    pub pmcr: u64,
    /// Bytes of the longest vector of SVE; 0 without SVE.
    pub vector_bytes: u64,
    /// CTR_EL0: cache lines, and what code maintenance needs.
    pub ctr: u64,
    /// DCZID_EL0: what DC ZVA zeroes.
    pub dczid: u64,
}
