//! What the CPU has, judged from its identification registers.

use machine::{CpuFacts, El3Interface};

use crate::el3;

/// Features that decide which registers and instructions this crate may use. Read once per CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// GICv3 list registers, 1 to 16.
    pub list_registers: u8,
    /// Pairs of active priority registers: 1, 2 or 4.
    pub active_priorities: u8,
    /// TLBI by range (FEAT_TLBIRANGE).
    pub tlbi_range: bool,
    /// Error synchronisation: `VSESR_EL2` and `VDISR_EL2` (FEAT_RAS).
    pub ras: bool,
    /// Scalable vectors (FEAT_SVE).
    pub sve: bool,
    /// Streaming vectors (FEAT_SME), whether EL3 lets anybody use them or not.
    pub sme: bool,
    /// Performance monitors (FEAT_PMUv3).
    pub pmu: bool,
    /// Event counters of the performance monitors.
    pub counters: u8,
    /// Breakpoints, 1 to 16.
    pub breakpoints: u8,
    /// Watchpoints, 1 to 16.
    pub watchpoints: u8,
    /// Pointer authentication: keys exist.
    pub pauth: bool,
    /// EL3 does not keep the Host's pointer authentication keys (interface 0.1).
    pub keep_host_keys: bool,
    /// EL3 does not switch ICH_HCR_EL2, ICH_VMCR_EL2 and ICC_SRE_EL2 with the world (interface
    /// 2.0).
    pub shares_vgic: bool,
    /// Memory copy and set instructions (FEAT_MOPS).
    pub mops: bool,
    /// Random numbers (FEAT_RNG).
    pub rng: bool,
    /// Data independent timing (FEAT_DIT).
    pub dit: bool,
    /// SHA-256 instructions.
    pub sha256: bool,
    /// SHA-512 instructions.
    pub sha512: bool,
    /// Bytes that one DC ZVA zeroes; 0 if it is prohibited.
    pub zva_bytes: u16,
    /// Instruction caches may hold what was in memory before (CTR_EL0.DIC is 0).
    pub invalidate_code: bool,
    /// Instruction fetches see stores only after a clean to the point of unification (CTR_EL0.IDC
    /// is 0): bytes of the shortest line; else 0.
    pub clean_bytes: u16,
}

/// A four-bit field of an ID register.
const fn field(register: u64, shift: u32) -> u64 {
    (register >> shift) & 0xf
}

#[expect(clippy::cast_possible_truncation, reason = "the callers mask to a few bits")]
const fn small(value: u64) -> u8 {
    value as u8
}

/// Whether `ID_AA64ISAR2_EL1` has the memory copy and set instructions.
pub const fn has_mops(id_aa64isar2: u64) -> bool {
    field(id_aa64isar2, 16) >= 1
}

/// Whether `ID_AA64DFR0_EL1` has performance monitors of the architecture: 0 is none, 15 is others.
pub const fn has_pmu(id_aa64dfr0: u64) -> bool {
    !matches!(field(id_aa64dfr0, 8), 0 | 0xf)
}

impl Features {
    /// Judges the registers of a CPU: `dczid` is `DCZID_EL0`, `ctr` is `CTR_EL0`, `interface` the
    /// version of the RMM-EL3 interface.
    ///
    /// Source: Arm ARM (DDI0487), the ID registers; ICH_VTR_EL2.
    pub const fn new(facts: &CpuFacts, dczid: u64, ctr: u64, interface: u64) -> Self {
        let preemption_bits = ((facts.ich_vtr >> 26) & 7) + 1;
        let isar1 = facts.id_aa64isar1;
        let pauth = field(isar1, 4) // APA
            | field(isar1, 8) // API
            | field(isar1, 24) // GPA
            | field(isar1, 28) // GPI
            | field(facts.id_aa64isar2, 8) // GPA3
            | field(facts.id_aa64isar2, 12); // APA3
        Self {
            list_registers: small(field(facts.ich_vtr, 0)) + 1,
            active_priorities: match preemption_bits {
                7 => 4,
                6 => 2,
                _ => 1,
            },
            tlbi_range: field(facts.id_aa64isar0, 56) >= 2,
            ras: field(facts.id_aa64pfr0, 28) >= 1,
            sve: field(facts.id_aa64pfr0, 32) >= 1,
            sme: field(facts.id_aa64pfr1, 24) >= 1,
            pmu: has_pmu(facts.id_aa64dfr0),
            counters: small((facts.pmcr >> 11) & 0x1f),
            breakpoints: small(field(facts.id_aa64dfr0, 12)) + 1,
            watchpoints: small(field(facts.id_aa64dfr0, 20)) + 1,
            pauth: pauth != 0,
            keep_host_keys: pauth != 0 && interface == 1,
            shares_vgic: matches!(el3::interface(interface), Some(El3Interface::V2)),
            mops: has_mops(facts.id_aa64isar2),
            rng: field(facts.id_aa64isar0, 60) >= 1,
            dit: field(facts.id_aa64pfr0, 48) >= 1,
            sha256: field(facts.id_aa64isar0, 12) >= 1,
            sha512: field(facts.id_aa64isar0, 12) >= 2,
            zva_bytes: if dczid & 1 << 4 != 0 { 0 } else { 4 << (dczid & 0xf) },
            invalidate_code: ctr & 1 << 29 == 0,
            clean_bytes: if ctr & 1 << 28 == 0 { 4 << field(ctr, 16) } else { 0 },
        }
    }
}

/// The first thing that the monitor cannot do without and this CPU lacks.
///
/// Source: RMM specification (Arm DEN0137) 1.0, A5.5.11 (FWB) and A6.2 (timers: FEAT_ECV); the rest
/// is how this monitor is built.
pub const fn missing(facts: &CpuFacts) -> Option<&'static str> {
    let granule_stage2 = field(facts.id_aa64mmfr0, 40);
    if field(facts.id_aa64pfr0, 52) == 0 {
        Some("FEAT_RME")
    } else if field(facts.id_aa64mmfr1, 8) == 0 {
        Some("FEAT_VHE")
    } else if field(facts.id_aa64mmfr0, 28) == 0xf || granule_stage2 == 1 {
        Some("4 KiB granule")
    } else if field(facts.id_aa64mmfr2, 40) == 0 {
        Some("FEAT_S2FWB")
    } else if field(facts.id_aa64mmfr0, 60) == 0 {
        Some("FEAT_ECV")
    } else if field(facts.id_aa64pfr0, 24) == 0 {
        Some("GICv3 system registers")
    } else if field(facts.id_aa64isar0, 20) < 2 {
        Some("FEAT_LSE")
    } else if field(facts.id_aa64isar1, 36) == 0 {
        Some("FEAT_SB")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// QEMU 10.0.2, `-cpu max`.
    fn qemu() -> CpuFacts {
        CpuFacts {
            id_aa64pfr0: 0x1311_0011_2111_2222,
            id_aa64isar0: 0x1221_1111_1021_2120,
            id_aa64isar1: 0x0111_2111_1021_1502,
            id_aa64mmfr0: 0x2100_0323_1020_1126,
            id_aa64mmfr1: 0x0110_1120_1031_2122,
            id_aa64mmfr2: 0x1221_0111_1201_1011,
            ich_vtr: 0x90b8_0003,
            ..CpuFacts::default()
        }
    }

    /// CTR_EL0 of a CPU that needs no maintenance for code, with lines of 64 bytes.
    const CTR: u64 = 0xb444_c004;

    #[test]
    fn a_cpu_that_needs_it_gets_maintenance_for_code() {
        let features = |ctr| Features::new(&qemu(), 4, ctr, 4);
        assert_eq!((features(CTR).clean_bytes, features(CTR).invalidate_code), (0, false));
        assert_eq!(features(CTR & !(1 << 28)).clean_bytes, 64);
        assert!(features(CTR & !(1 << 29)).invalidate_code);
    }

    #[test]
    fn qemu_has_all_that_is_needed() {
        assert_eq!(missing(&qemu()), None);
        let features = Features::new(&qemu(), 4, CTR, 4);
        assert_eq!((features.list_registers, features.active_priorities), (4, 1));
        assert!(features.tlbi_range && features.ras && features.sve && features.pauth);
        assert!(features.rng && features.dit);
        assert!(features.sha256 && features.sha512 && !features.keep_host_keys);
        assert_eq!(features.zva_bytes, 64);
    }

    #[test]
    fn each_missing_feature_has_its_name() {
        let no_fwb = CpuFacts { id_aa64mmfr2: 0, ..qemu() };
        assert_eq!(missing(&no_fwb), Some("FEAT_S2FWB"));
        let no_ecv = CpuFacts { id_aa64mmfr0: qemu().id_aa64mmfr0 & (u64::MAX >> 4), ..qemu() };
        assert_eq!(missing(&no_ecv), Some("FEAT_ECV"));
        let no_gic = CpuFacts { id_aa64pfr0: qemu().id_aa64pfr0 & !(0xf << 24), ..qemu() };
        assert_eq!(missing(&no_gic), Some("GICv3 system registers"));
    }

    #[test]
    fn interface_2_0_leaves_the_virtual_interrupts_to_us() {
        for (version, shares) in [(1, false), (4, false), (8, false), (0x2_0000, true)] {
            assert_eq!(Features::new(&qemu(), 4, CTR, version).shares_vgic, shares, "{version:#x}");
        }
    }

    #[test]
    fn interface_0_1_leaves_the_hosts_keys_to_us_and_prohibited_zva_is_seen() {
        assert!(Features::new(&qemu(), 4, CTR, 1).keep_host_keys);
        assert_eq!(Features::new(&qemu(), 0x14, CTR, 4).zva_bytes, 0);
    }
}
