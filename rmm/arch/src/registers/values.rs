//! The fixed values of EL2's registers.

use aarch64_cpu::registers::{CPTR_EL2, HCR_EL2, ICC_SRE_EL2, MDCR_EL2, VTCR_EL2};

/// `CPTR_EL2` when nobody may use the SIMD unit: TTA, TAM; FPEN, ZEN and SMEN trap at every level.
///
/// Source: Arm ARM (DDI0487), CPTR_EL2 with HCR_EL2.E2H set; of its fields `aarch64-cpu` has only
/// TAM.
pub const CPTR_CLOSED: u64 = 1 << 28 | CPTR_EL2::TAM::SET.value;
/// `CPTR_EL2.FPEN`: floating point and Advanced SIMD do not trap.
pub const CPTR_FPEN: u64 = 0b11 << 20;
/// `CPTR_EL2.ZEN`: SVE does not trap.
pub const CPTR_ZEN: u64 = 0b11 << 16;
/// `CPTR_EL2.SMEN`: SME does not trap.
pub const CPTR_SMEN: u64 = 0b11 << 24;

/// `HCR_EL2` until the first Realm is loaded: E2H, RW, TSC, TEA and interrupts to EL2.
///
/// TGE stays 0 for ever, although EL2 is the host of nothing: so TLBI VMALLE1IS and AT S1E1R mean
/// the Realm's regime without a change of `HCR_EL2`, which can keep the last Realm's value between
/// two runs.
///
/// Source: Arm ARM (DDI0487), HCR_EL2; TLBI VMALLE1IS acts on EL2&0 if both E2H and TGE are 1.
pub const HCR_BOOT: u64 = HCR_EL2::E2H::SET.value
    | HCR_EL2::RW::SET.value
    | HCR_EL2::TSC::SET.value
    | HCR_EL2::TEA::SET.value
    | HCR_EL2::AMO::SET.value
    | HCR_EL2::IMO::SET.value
    | HCR_EL2::FMO::SET.value;

/// `VTCR_EL2` of a CPU that has not run a Realm: VMIDs are as long as those of Realms.
///
/// Source: Arm ARM (DDI0487), VTCR_EL2.VS: without it, TLB maintenance ignores the upper half of
/// `VTTBR_EL2.VMID`.
pub const fn vtcr_without_realm(id_aa64mmfr1: u64) -> u64 {
    const RES1: u64 = VTCR_EL2::RES1::SET.value;
    const VS: u64 = VTCR_EL2::VS::Bits16.value;
    const VMID16: u64 = 2;
    if (id_aa64mmfr1 >> 4) & 0xf == VMID16 { RES1 | VS } else { RES1 }
}

/// `MDCR_EL2` besides HPMN: everything of debug, PMU, SPE and trace traps, and nothing counts at
/// EL2.
///
/// E2PB and E2TB are 0: the buffers are EL2's. TDA traps breakpoints, watchpoints and MDSCR_EL1,
/// TPM and TPMCR the performance monitors.
///
/// Source: Arm ARM (DDI0487), MDCR_EL2.
pub const MDCR: u64 = MDCR_EL2::TDCC::SET.value
    | MDCR_EL2::HCCD::SET.value
    | MDCR_EL2::TTRF::SET.value
    | MDCR_EL2::HPMD::SET.value
    | MDCR_EL2::TPMS::SET.value
    | MDCR_EL2::TDRA::SET.value
    | MDCR_EL2::TDOSA::SET.value
    | MDCR_EL2::TDA::SET.value
    | MDCR_EL2::TPM::SET.value
    | MDCR_EL2::TPMCR::SET.value;

/// `CNTHCTL_EL2` of a Realm: its EL1 and EL0 reach the counter and the physical timer.
///
/// Source: Arm ARM (DDI0487), CNTHCTL_EL2 with HCR_EL2.E2H set: EL1PCTEN, EL1PTEN; the fields of
/// `aarch64-cpu` are those without E2H.
pub const CNTHCTL: u64 = 1 << 10 | 1 << 11;
/// `CNTHCTL_EL2.CNTVMASK`: the virtual timer's output does not reach the GIC.
pub const CNTHCTL_CNTVMASK: u64 = 1 << 18;
/// `CNTHCTL_EL2.CNTPMASK`: the physical timer's output does not reach the GIC.
pub const CNTHCTL_CNTPMASK: u64 = 1 << 19;

/// `ICC_SRE_EL2` of the monitor and of Realms: system registers without legacy bypass, for EL1 too.
pub const ICC_SRE: u64 = ICC_SRE_EL2::SRE::SET.value
    | ICC_SRE_EL2::DFB::SET.value
    | ICC_SRE_EL2::DIB::SET.value
    | ICC_SRE_EL2::ENABLE::SET.value;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_are_those_of_the_reference_with_the_traps_it_forgets() {
        assert_eq!(CPTR_CLOSED, 0x5000_0000);
        assert_eq!(CPTR_CLOSED | CPTR_FPEN | CPTR_ZEN, 0x5033_0000);
        // All but MTPME (28): a counter must not see what another thread of the core does.
        assert_eq!(MDCR & 0x1082_0260, 0x0082_0260);
        assert_eq!(HCR_BOOT & (1 << 27), 0, "TGE");
        assert_eq!(CNTHCTL, 0xc00);
    }

    #[test]
    fn a_cpu_without_a_realm_invalidates_all_of_a_vmid() {
        assert_eq!(vtcr_without_realm(0x20), 0x8008_0000);
        assert_eq!(vtcr_without_realm(0), 0x8000_0000, "8-bit VMIDs only");
    }
}
