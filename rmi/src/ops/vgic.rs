//! The Host's part of a REC's virtual interrupts: which are valid, and how they get into the REC.

use machine::vcpu::{GicRegisters, HostVgic};
use realm::Features;
use realm::rec::controls::GIC_HCR_OWN;

/// Where the Host's part of a REC's virtual interrupts is while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VgicSource {
    /// In the page through which the Host runs the REC: it is copied to the hardware and back.
    RunPage,
    /// In the hardware, where the Host has put it, and where it stays.
    Hardware,
}

/// ICH_HCR_EL2 bits that the Host sets in the run page: UIE, LRENPIE, NPIE, VGrp0EIE, VGrp0DIE,
/// VGrp1EIE, VGrp1DIE, TDIR.
const HOST_HCR: u64 = 0x40fe;
/// ICH_HCR_EL2 bits that the Host sets in the hardware: En, UIE to VGrp1DIE, TC, TALL0, TALL1,
/// TSEI, TDIR. A trap that the Host sets is one that the Realm takes, and the access is the Host's
/// to handle.
const HARDWARE_HCR: u64 = 0x7cff;
/// ICH_HCR_EL2 bits that are the monitor's there: vSGIEOIcount, DVIM. Nobody injects interrupts
/// directly.
const HARDWARE_OWN: u64 = 0x8100;
/// ICH_HCR_EL2.EOIcount.
const EOI_COUNT: u64 = 0x1f << 27;

const LR_HW: u64 = 1 << 61;
const LR_EOI: u64 = 1 << 41;

/// Checks the Host's control bits and the implemented list registers.
///
/// In the hardware a field of a list register that the CPU does not implement cannot be set, and
/// the Host has control bits that are not for the Realm: there only what would reach a physical
/// interrupt is refused, and what the architecture forbids.
///
/// Source: RMM specification (Arm DEN0137) 1.0 and 2.0, A6.1; GIC architecture (Arm IHI0069),
/// ICH_LR_EL2: an interrupt stands in at most one list register.
#[inline(always)]
pub fn is_valid(source: VgicSource, host: &HostVgic, features: &Features) -> bool {
    if source == VgicSource::RunPage && host.hcr & !HOST_HCR != 0 {
        return false;
    }
    let lrs = host.lrs.get(..features.list_registers()).unwrap_or(&host.lrs);
    if is_inactive(lrs.iter().fold(0, |bits, lr| bits | lr)) {
        return true;
    }
    lrs.iter().enumerate().all(|(number, &lr)| {
        let earlier = lrs.get(..number).unwrap_or(&[]);
        is_inactive(lr)
            || match source {
                VgicSource::RunPage => is_valid_lr(lr, features),
                VgicSource::Hardware => lr & LR_HW == 0,
            } && !has_intid(earlier, intid(lr))
    })
}

/// State 0: nothing in the list register counts.
const fn is_inactive(lr: u64) -> bool {
    lr >> 62 == 0
}

const fn intid(lr: u64) -> u64 {
    lr & 0xffff_ffff
}

fn has_intid(lrs: &[u64], wanted: u64) -> bool {
    lrs.iter().any(|&lr| !is_inactive(lr) && intid(lr) == wanted)
}

fn is_valid_lr(lr: u64, features: &Features) -> bool {
    let priority = (lr >> 48) & 0xff;
    let unimplemented = (1 << (8 - features.priority_bits)) - 1;
    let physical = (lr >> 32) & 0x1fff;
    lr & LR_HW == 0
        && priority & unimplemented == 0
        && physical << 32 & !LR_EOI == 0
        && is_valid_intid(intid(lr), features)
}

fn is_valid_intid(intid: u64, features: &Features) -> bool {
    match intid {
        0..=1019 => true,
        1056..=1119 | 4096..=5119 => features.extended_intids,
        8192.. => intid >> features.intid_bits == 0,
        _ => false,
    }
}

/// Gives the REC the Host's part, which must be valid.
#[inline(always)]
pub fn give(gic: &mut GicRegisters, source: VgicSource, host: &HostVgic, features: &Features) {
    match source {
        VgicSource::RunPage => {
            gic.in_hardware = 0;
            gic.hcr = host.hcr & HOST_HCR | gic.hcr & EOI_COUNT | GIC_HCR_OWN;
            for (register, lr) in gic.lrs.iter_mut().zip(host.lrs).take(features.list_registers()) {
                *register = lr;
            }
        }
        VgicSource::Hardware => {
            gic.in_hardware = 1;
            gic.hcr = host.hcr & (HARDWARE_HCR | EOI_COUNT) | HARDWARE_OWN;
        }
    }
}

/// What the Host sees of ICH_HCR_EL2 at an exit.
pub const fn exit_hcr(hcr: u64) -> u64 {
    hcr & (HOST_HCR | EOI_COUNT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use machine::CpuFacts;

    fn features() -> Features {
        // Four list registers, five priority bits, 24-bit INTIDs.
        Features::new(&CpuFacts { ich_vtr: 0x90b8_0003, ..CpuFacts::default() })
    }

    /// Whether these list registers, and no others, are valid.
    fn is_valid_with(first: &[u64]) -> bool {
        let mut lrs = [0; 16];
        lrs[..first.len()].copy_from_slice(first);
        is_valid(VgicSource::RunPage, &HostVgic { hcr: 0, lrs }, &features())
    }

    const PENDING: u64 = 1 << 62 | 1 << 60;

    #[test]
    fn only_the_hosts_control_bits_are_accepted() {
        for bit in 0..64 {
            let host = HostVgic { hcr: 1 << bit, lrs: [0; 16] };
            assert_eq!(
                is_valid(VgicSource::RunPage, &host, &features()),
                (HOST_HCR >> bit) & 1 == 1,
                "bit {bit}"
            );
        }
    }

    #[test]
    fn list_registers_are_checked_field_by_field() {
        for (lr, valid) in [
            (PENDING | 27, true),
            (PENDING | 0xf8 << 48 | 1019, true),
            (PENDING | LR_EOI | 27, true),
            (PENDING | LR_HW | 27, false),
            (PENDING | 0x04 << 48 | 27, false),
            (PENDING | 1 << 40 | 27, false),
            (PENDING | 1020, false),
            (PENDING | 1056, false),
            (PENDING | 8192, true),
            (PENDING | 0xff_ffff, true),
            (PENDING | 0x100_0000, false),
            (LR_HW | 1020, true), // inactive: not looked at
        ] {
            assert_eq!(is_valid_with(&[lr]), valid, "{lr:#x}");
        }
    }

    #[test]
    fn an_interrupt_may_stand_in_one_list_register_only() {
        assert!(!is_valid_with(&[PENDING | 27, 0, 2 << 62 | 27]));
        assert!(is_valid_with(&[PENDING | 27, 0, 27]));
    }

    /// The last row: an inactive list register may say what it likes (OQ-11).
    #[test]
    fn in_the_hardware_only_physical_interrupts_and_doubles_are_refused() {
        for (lrs, valid) in [
            ([PENDING | 27, 0], true),
            ([PENDING | 0x04 << 48 | 1020, 0], true),
            ([PENDING | 27, PENDING | 28], true),
            ([PENDING | 27, 1 << 63 | 27], false),
            ([PENDING | LR_HW | 27, 0], false),
            ([LR_HW | 27, PENDING | 27], true),
        ] {
            let mut host = HostVgic { hcr: u64::MAX, lrs: [0; 16] };
            host.lrs[..2].copy_from_slice(&lrs);
            assert_eq!(is_valid(VgicSource::Hardware, &host, &features()), valid, "{lrs:x?}");
        }
    }

    #[test]
    fn what_the_host_sets_in_the_hardware_counts_but_for_what_is_the_monitors() {
        let mut gic = GicRegisters::default();
        let host = HostVgic { hcr: u64::MAX, lrs: [0; 16] };
        give(&mut gic, VgicSource::Hardware, &host, &features());
        assert_eq!((gic.hcr, gic.in_hardware), (0xf800_fdff, 1));
        give(&mut gic, VgicSource::Hardware, &HostVgic::default(), &features());
        assert_eq!(gic.hcr, 0x8100);
    }

    #[test]
    fn list_registers_that_do_not_exist_are_ignored() {
        assert!(is_valid_with(&[0, 0, 0, 0, PENDING | LR_HW]));
    }
}
