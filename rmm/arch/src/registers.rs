//! System registers: access to those for which crate `aarch64-cpu` has no name, and the fixed
//! values of EL2.

/// `CPTR_EL2` when nobody may use the SIMD unit: TTA, TAM; FPEN, ZEN and SMEN trap at every level.
///
/// Source: Arm ARM (DDI0487), CPTR_EL2 with HCR_EL2.E2H set.
pub const CPTR_CLOSED: u64 = 1 << 28 | 1 << 30;
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
pub const HCR_BOOT: u64 = 1 << 34 | 1 << 31 | 1 << 37 | 1 << 19 | 0b111 << 3;

/// `HCR_EL2.VSE`: a virtual SError is pending.
pub const HCR_VSE: u64 = 1 << 8;

/// `VTCR_EL2` of a CPU that has not run a Realm: VMIDs are as long as those of Realms.
///
/// Source: Arm ARM (DDI0487), VTCR_EL2.VS: without it, TLB maintenance ignores the upper half of
/// `VTTBR_EL2.VMID`.
pub const fn vtcr_without_realm(id_aa64mmfr1: u64) -> u64 {
    const RES1: u64 = 1 << 31;
    const VS: u64 = 1 << 19;
    const VMID16: u64 = 2;
    if (id_aa64mmfr1 >> 4) & 0xf == VMID16 { RES1 | VS } else { RES1 }
}

/// `MDCR_EL2` besides HPMN: everything of debug, PMU, SPE and trace traps, and nothing counts at
/// EL2.
///
/// TDCC, HCCD, TTRF, HPMD, TPMS, TDRA, TDOSA, TDA, TPM, TPMCR. E2PB and E2TB 0: the buffers are
/// EL2's.
///
/// Source: Arm ARM (DDI0487), MDCR_EL2.
pub const MDCR: u64 =
    1 << 27 | 1 << 23 | 1 << 19 | 1 << 17 | 1 << 14 | 1 << 11 | 1 << 10 | MDCR_TDA | MDCR_TPM;
/// `MDCR_EL2.TDA`: breakpoints, watchpoints and MDSCR_EL1 trap.
pub const MDCR_TDA: u64 = 1 << 9;
/// `MDCR_EL2.TPM` and `TPMCR`: the performance monitors trap.
pub const MDCR_TPM: u64 = 1 << 6 | 1 << 5;
/// `MDCR_EL2.HPMN`: how many event counters EL1 has.
pub const MDCR_HPMN: u64 = 0x1f;

/// `CNTHCTL_EL2` of a Realm: its EL1 and EL0 reach the counter and the physical timer.
///
/// Source: Arm ARM (DDI0487), CNTHCTL_EL2 with HCR_EL2.E2H set: EL1PCTEN, EL1PTEN.
pub const CNTHCTL: u64 = 1 << 10 | 1 << 11;
/// `CNTHCTL_EL2.CNTVMASK`: the virtual timer's output does not reach the GIC.
pub const CNTHCTL_CNTVMASK: u64 = 1 << 18;
/// `CNTHCTL_EL2.CNTPMASK`: the physical timer's output does not reach the GIC.
pub const CNTHCTL_CNTPMASK: u64 = 1 << 19;

/// `ICC_SRE_EL2` of the monitor and of Realms: system registers without legacy bypass, for EL1 too.
pub const ICC_SRE: u64 = 0xf;

/// Reads a system register by its assembler name or encoding.
#[cfg(target_os = "none")]
macro_rules! mrs {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: reading a system register touches no memory; the caller has checked that this CPU
        // has it.
        unsafe {
            core::arch::asm!(concat!("mrs {}, ", $name), out(reg) value, options(nomem, nostack));
        }
        value
    }};
}

/// Writes a system register by its assembler name or encoding.
#[cfg(target_os = "none")]
macro_rules! msr {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY:
        // - The register exists: the caller has checked it.
        // - It belongs to EL1 of the Realm or Host, or to EL2 with a value of this crate: no
        //   mapping and no vector that the monitor's own code relies on changes.
        unsafe {
            core::arch::asm!(concat!("msr ", $name, ", {}"), in(reg) value, options(nomem, nostack));
        }
    }};
}

#[cfg(target_os = "none")]
pub(crate) use {mrs, msr};

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
