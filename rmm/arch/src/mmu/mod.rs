//! The monitor's own translation tables and the values of its translation registers.
//!
//! Owns: descriptors, the table builder, the register values. Pure: the assembly of [`crate::boot`]
//! writes the registers. Does not own: slots, which change while the monitor runs (module `slot`).

pub mod descriptor;
pub mod tables;

use crate::layout::{HIGH_BITS, LOW_BITS};

/// `SCTLR_EL2` with the MMU off, then with the MMU on.
///
/// Source: Arm ARM (DDI0487), SCTLR_EL2 with HCR_EL2.E2H set: LSMAOE, nTLSMD, UCI, EIS, TSCXT, WXN,
/// nTWE, nTWI, UCT, DZE, I, EOS, SED, SA0, SA, C.
pub const SCTLR: u64 = 0x345d_d91c;
/// `SCTLR_EL2.M`.
pub const SCTLR_MMU: u64 = 1;

/// `SCTLR_EL2` at entry: no MMU, no data caches, instruction cache on, RES1 bits set.
pub const SCTLR_BOOT: u64 = SCTLR & !(1 << 2) & !(1 << 19);

/// `TCR_EL2`: 4 KiB granules and inner-shareable write-back walks in both halves.
///
/// Source: Arm ARM (DDI0487), TCR_EL2 with HCR_EL2.E2H set.
pub const fn tcr(pa_range: u64) -> u64 {
    // 52-bit addresses would need the LPA2 formats: at most 48 bits (5).
    let ips = if pa_range < 5 { pa_range } else { 5 };
    let walks = 0b11_01_01; // SH inner shareable, ORGN and IRGN write-back
    (64 - LOW_BITS)
        | walks << 8
        | (64 - HIGH_BITS) << 16
        | walks << 24
        | 0b10 << 30 // TG1: 4 KiB
        | ips << 32
}

/// Width of physical addresses that the monitor's tables can express, from
/// ID_AA64MMFR0_EL1.PARange.
pub const fn pa_bits(pa_range: u64) -> u32 {
    match pa_range {
        0 => 32,
        1 => 36,
        2 => 40,
        3 => 42,
        4 => 44,
        _ => 48,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn translation_control_of_qemu() {
        assert_eq!(tcr(6), 0x5_b527_3510);
        assert_eq!(tcr(2) >> 32, 2);
    }
}
