//! The virtual interrupt state of an entry and an exit.
//!
//! Source: RMM specification (Arm DEN0137) 1.0, A6.1; Arm GIC architecture (IHI0069),
//! `ICH_LR<n>_EL2`.

use super::exit::{Exit, Want};
use crate::v1_0::platform::Platform;

/// UIE, LRENPIE, NPIE, VGrp0EIE, VGrp0DIE, VGrp1EIE, VGrp1DIE, TDIR.
const HOST_BITS: u64 = 0b1111_1110 | 1 << 14;

/// Whether `gicv3_hcr` and the implemented `gicv3_lrs` are valid.
pub(super) fn is_valid(enter: &[u64; 512], platform: &Platform) -> bool {
    let lrs = &enter[0x308 / 8..][..platform.list_registers()];
    let used: Vec<u64> = lrs.iter().copied().filter(|lr| lr >> 62 != 0).collect();
    let alone = |number: usize| used[..number].iter().all(|lr| intid(*lr) != intid(used[number]));
    enter[0x300 / 8] & !HOST_BITS == 0
        && used.iter().all(|lr| is_valid_lr(*lr, platform))
        && (0..used.len()).all(alone)
}

fn intid(lr: u64) -> u64 {
    lr & 0xffff_ffff
}

fn is_valid_lr(lr: u64, platform: &Platform) -> bool {
    let hardware = lr >> 61 & 1 == 1;
    let priority = lr >> 48 & 0xff;
    let low_priority = priority.is_multiple_of(1 << (8 - platform.priority_bits));
    // Of the physical INTID only the bit that asks for a maintenance interrupt.
    let physical = lr >> 32 & 0x1fff & !(1 << 9) == 0;
    let known = match intid(lr) {
        0..=1019 => true,
        1056..=1119 | 4096..=5119 => platform.extended_intids,
        8192.. => intid(lr) < 1 << platform.intid_bits,
        _ => false,
    };
    !hardware && low_priority && physical && known
}

/// What the Host sees of it at the exit. The acts of our Realms leave it alone.
pub(super) fn report(exit: &mut Exit, hcr: u64, lrs: &[u64; 16], implemented: usize, ran: bool) {
    exit.set(0x300, Want::Is(hcr));
    for (number, lr) in lrs.iter().take(implemented).enumerate() {
        exit.set(0x308 + number * 8, Want::Is(*lr));
    }
    // Which maintenance interrupts there are is the interrupt controller's business.
    let quiet = hcr & 0b1111_1110 == 0 && ran;
    exit.set(0x388, if quiet { Want::Is(0) } else { Want::Any });
}
