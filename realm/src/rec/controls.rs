//! The values under which a REC runs: controls at EL2, and the state of a CPU after reset.

use machine::vcpu::VcpuRegisters;

use crate::features::Features;
use crate::rtt::{Format, Tree};

/// PSTATE after reset: EL1h, DAIF masked.
///
/// Source: RMM specification (Arm DEN0137) 1.0, A2.3.1.
pub const PSTATE_RESET: u64 = 0x3c5;
/// PSTATE.BTYPE.
pub const PSTATE_BTYPE: u64 = 0b11 << 10;
/// PSTATE.SS: a software step has not been taken yet.
pub const PSTATE_SS: u64 = 1 << 21;
/// SCTLR_EL1 after reset: MMU and caches off, RES1 bits set.
const SCTLR_RESET: u64 = 0xc5_0878;
/// SCTLR_EL1.EE: endianness, which CPU_ON hands on from the caller.
pub const SCTLR_EE: u64 = 1 << 25;
/// MDSCR_EL1.TDCC: debug communication channel traps.
const MDSCR_RESET: u64 = 0x1000;

/// PMCR_EL0 after reset: LC and DP. P and C, which a Host of the reference monitor finds set, only
/// act when written.
const PMCR_RESET: u64 = 0x60;

/// HCR_EL2.TWI: WFI traps.
pub const HCR_TWI: u64 = 1 << 13;
/// HCR_EL2.TWE: WFE traps.
pub const HCR_TWE: u64 = 1 << 14;

/// HCR_EL2 while a Realm runs.
///
/// Source: Arm ARM (DDI0487), HCR_EL2. TID5, FB, TIDCP, TACR, TLOR and TERR are more than the
/// reference monitor sets: a REC that moves to another CPU must not use stale local entries,
/// IMPLEMENTATION DEFINED registers and GMID_EL1 are UNDEFINED (RMM specification A2.1.2.4), and
/// auxiliary control, LORegion and error records belong to the machine.
///
/// ATA, EnSCXT, NV, TME, FIEN and GPF are 0: tags, SCXTNUM, nested virtualization, transactions and
/// fault injection trap or are UNDEFINED.
const HCR: u64 = 1 << 58 // TID5
    | 1 << 46 // FWB
    | 1 << 41 // API
    | 1 << 40 // APK
    | 1 << 37 // TEA
    | 1 << 36 // TERR
    | 1 << 35 // TLOR
    | 1 << 34 // E2H
    | 1 << 31 // RW
    | 1 << 21 // TACR
    | 1 << 20 // TIDCP
    | 1 << 19 // TSC
    | 1 << 18 // TID3
    | 0b01 << 10 // BSU: inner shareable
    | 1 << 9 // FB
    | 1 << 5 // AMO
    | 1 << 4 // IMO
    | 1 << 3 // FMO
    | 1 << 2 // PTW
    | 1 << 1 // SWIO
    | 1; // VM

/// ICH_HCR_EL2 bits that the monitor owns: En, vSGIEOICount, DVIM.
pub const GIC_HCR_OWN: u64 = 0x8101;

/// VTCR_EL2 for a tree.
///
/// Source: Arm ARM (DDI0487), VTCR_EL2; RMM specification (Arm DEN0137) 1.0, A5.5.11: no hardware
/// update of access flag or dirty state.
pub fn vtcr(tree: &Tree, features: &Features) -> u64 {
    let t0sz = 64 - u64::from(tree.space.width_bits());
    let (sl0, sl2) = match tree.start.as_i64() {
        -1 => (0, 1),
        0 => (2, 0),
        1 => (1, 0),
        2 => (0, 0),
        _ => (3, 0),
    };
    // Without FEAT_LPA2 formats, 52-bit addresses cannot be expressed: at most 48 bits (5).
    let lpa2 = tree.format == Format::Address52;
    let ps = if lpa2 { features.pa_range } else { features.pa_range.min(5) };
    t0sz | sl0 << 6
        | 0b01 << 8 // IRGN0: write-back, write-allocate
        | 0b01 << 10 // ORGN0
        | 0b11 << 12 // SH0: inner shareable
        | u64::from(ps) << 16
        | u64::from(features.vmid16) << 19
        | 1 << 30 // NSA
        | 1 << 31 // RES1
        | u64::from(lpa2) << 32
        | sl2 << 33
}

/// VTTBR_EL2 for a tree. With FEAT_LPA2, address bits 51:48 stand at 5:2.
///
/// Source: Arm ARM (DDI0487), VTTBR_EL2.
pub fn vttbr(tree: &Tree) -> u64 {
    let root = tree.root.as_u64();
    let base = match tree.format {
        Format::Address48 => root,
        Format::Address52 => root & 0xffff_ffff_ffff | root >> 48 << 2,
    };
    u64::from(tree.vmid) << 48 | base
}

/// HCR_EL2 for an entry, with what the Host wants trapped.
pub const fn hcr(trap_wfi: bool, trap_wfe: bool) -> u64 {
    let mut hcr = HCR;
    if trap_wfi {
        hcr |= HCR_TWI;
    }
    if trap_wfe {
        hcr |= HCR_TWE;
    }
    hcr
}

/// Sets what a CPU has after reset; X0 to X30 and the PC are the caller's. `registers` must be
/// zeroed.
pub fn reset(registers: &mut VcpuRegisters) {
    registers.pstate = PSTATE_RESET;
    registers.el1.sctlr_el1 = SCTLR_RESET;
    registers.el1.mdscr_el1 = MDSCR_RESET;
    registers.gic.hcr = GIC_HCR_OWN;
    registers.pmu.pmcr_el0 = PMCR_RESET;
    registers.debug.os_lock = 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipa::IpaSpace;
    use crate::rtt::Level;
    use granule::GranuleAddr;
    use granule::RealmNumber;

    fn tree(width: u8, start: i64, format: Format, root: u64) -> Tree {
        Tree {
            space: IpaSpace::new(width).unwrap(),
            root: GranuleAddr::new(root).unwrap(),
            start: Level::new(start).unwrap(),
            roots: 1,
            format,
            vmid: 0x1234,
            number: RealmNumber(1),
        }
    }

    fn features() -> Features {
        Features { pa_range: 6, vmid16: true, ..Features::new(&machine::CpuFacts::default()) }
    }

    /// Bug catalogue T7: VTCR and VTTBR computed wrongly.
    #[test]
    fn t7_translation_controls_of_a_realm() {
        let small = tree(33, 2, Format::Address48, 0x8000_8000);
        assert_eq!(vtcr(&small, &features()), 0xc000_3500 | 1 << 19 | 5 << 16 | 31);
        assert_eq!(vttbr(&small), 0x1234_0000_8000_8000);
        let large = tree(52, -1, Format::Address52, 0xf_0000_8000_1000);
        let expected = 0xc000_3500 | 1 << 19 | 6 << 16 | 12 | 1 << 32 | 1 << 33;
        assert_eq!(vtcr(&large, &features()), expected);
        assert_eq!(vttbr(&large), 0x1234_0000_8000_103c);
    }

    /// Bug catalogue T4: HCR_EL2.FB not set.
    #[test]
    fn t4_broadcast_is_forced_and_the_base_value_is_complete() {
        assert_eq!(hcr(false, false) & 0x4324_800c_043f, 0x4324_800c_043f);
        assert_ne!(hcr(false, false) & 1 << 58, 0, "TID5");
        // ATA, EnSCXT, GPF, FIEN, NV2, AT, NV1, NV, TME.
        assert_eq!(hcr(false, false) & 0x0121_bc80_0000_0000, 0);
        assert_ne!(hcr(false, false) & 1 << 9, 0);
        assert_eq!(hcr(false, false) & 1 << 27, 0, "TGE");
        assert_eq!(hcr(true, true) & !hcr(false, false), HCR_TWI | HCR_TWE);
    }
}
