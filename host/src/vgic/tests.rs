//! Tests of the interrupt controller as a guest and the run loop use it.

use super::*;
use crate::ipa::GICR_STRIDE;

const PENDING: u64 = 1 << 62;
const ACTIVE: u64 = 2 << 62;
const EOI: u64 = 1 << 41;
const VMCR_OPEN: u64 = 0xff << 24 | 1 << 1;
const FRAME: u64 = 0x1_0000;

/// A controller with group 1, all private and all shared interrupts enabled, SPIs to CPU 0.
fn vgic(cpus: usize) -> Vgic {
    let mut vgic = Vgic::new(cpus, 4);
    vgic.write_distributor(0, 4, 2);
    vgic.write_distributor(0x104, 4, 0xffff_ffff);
    for cpu in 0..cpus as u64 {
        vgic.write_redistributor(cpu * GICR_STRIDE + FRAME + 0x100, 4, 0xffff_ffff);
    }
    vgic
}

fn state(lr: u64) -> u64 {
    lr & (3 << 62)
}

#[test]
fn a_level_interrupt_lives_from_line_to_end() {
    let mut vgic = vgic(1);
    assert_eq!(vgic.set_spi(33, true), 1);
    assert!(vgic.deliverable(0));
    let mut lrs = vgic.load(0).lrs;
    assert_eq!(lrs[0], PENDING | 1 << 60 | EOI | 33);
    assert!(!vgic.deliverable(0), "it is in a list register");
    lrs[0] = lrs[0] & !PENDING | ACTIVE;
    vgic.fold(0, &lrs, VMCR_OPEN);
    let again = vgic.load(0).lrs;
    assert_eq!(state(again[0]), ACTIVE, "a level is not pending while it is being handled");
    vgic.fold(0, &[0; 16], VMCR_OPEN);
    assert_eq!(state(vgic.load(0).lrs[0]), PENDING, "the line is still high");
    vgic.fold(0, &[0; 16], VMCR_OPEN);
    vgic.set_spi(33, false);
    assert_eq!(vgic.load(0).lrs, [0; 16]);
}

#[test]
fn a_level_that_falls_before_it_is_taken_is_withdrawn() {
    let mut vgic = vgic(1);
    vgic.set_private(0, 27, true);
    let lrs = vgic.load(0).lrs;
    vgic.fold(0, &lrs, VMCR_OPEN);
    vgic.set_private(0, 27, false);
    assert_eq!(vgic.load(0).lrs, [0; 16]);
}

#[test]
fn a_software_interrupt_is_delivered_once_even_if_it_comes_twice_before() {
    let mut vgic = vgic(2);
    assert_eq!(vgic.generate_sgi(0, 3 << 24 | 0b10), 0b10);
    assert_eq!(vgic.generate_sgi(0, 1 << 40 | 3 << 24), 0b10);
    let lrs = vgic.load(1).lrs;
    assert_eq!((state(lrs[0]), lrs[0] & 0xffff, lrs[0] & EOI), (PENDING, 3, 0));
    vgic.fold(1, &[0; 16], VMCR_OPEN);
    assert_eq!(vgic.load(1).lrs, [0; 16]);
}

#[test]
fn an_edge_during_handling_makes_it_pending_and_active() {
    let mut vgic = vgic(1);
    vgic.generate_sgi(0, 5 << 24 | 1);
    let mut lrs = vgic.load(0).lrs;
    lrs[0] = lrs[0] & !PENDING | ACTIVE;
    vgic.fold(0, &lrs, VMCR_OPEN);
    vgic.generate_sgi(0, 5 << 24 | 1);
    assert_eq!(state(vgic.load(0).lrs[0]), PENDING | ACTIVE);
}

#[test]
fn an_untaken_edge_survives_the_fold() {
    let mut vgic = vgic(1);
    vgic.generate_sgi(0, 1);
    let lrs = vgic.load(0).lrs;
    vgic.fold(0, &lrs, VMCR_OPEN);
    assert_eq!(vgic.load(0).lrs, lrs);
}

#[test]
fn more_interrupts_than_list_registers_go_in_by_priority() {
    let mut vgic = vgic(1);
    for intid in 0..6_u64 {
        vgic.write_redistributor(FRAME + 0x400 + intid, 1, 0x80 - 8 * intid);
        vgic.generate_sgi(0, intid << 24 | 1);
    }
    let loaded = vgic.load(0);
    let ids: Vec<_> = loaded.lrs.iter().take(5).map(|lr| lr & 0xffff).collect();
    assert_eq!(ids, [5, 4, 3, 2, 0]);
    assert_eq!(loaded.hcr, 1 << 3, "ask when none is pending");
    vgic.fold(0, &[0; 16], VMCR_OPEN);
    let rest = vgic.load(0);
    assert_eq!((rest.lrs[0] & 0xffff, rest.lrs[1] & 0xffff, rest.hcr), (1, 0, 0));
}

#[test]
fn disabled_and_masked_interrupts_are_not_deliverable() {
    let mut vgic = vgic(1);
    vgic.write_distributor(0x184, 4, 1 << 1);
    vgic.set_spi(33, true);
    assert!(!vgic.deliverable(0));
    assert_eq!(vgic.load(0).lrs, [0; 16]);
    vgic.write_distributor(0x104, 4, 1 << 1);
    assert!(vgic.deliverable(0));
    vgic.load(0);
    vgic.fold(0, &[0; 16], 1 << 1);
    assert!(!vgic.deliverable(0), "the guest's priority mask is closed");
}

#[test]
fn a_route_moves_a_shared_interrupt() {
    let mut vgic = vgic(2);
    vgic.write_distributor(0x6000 + 8 * 34, 8, 1);
    assert_eq!(vgic.read_distributor(0x6000 + 8 * 34, 8), 1);
    assert_eq!(vgic.set_spi(34, true), 0b10);
    assert_eq!(vgic.load(0).lrs, [0; 16]);
    assert_eq!(vgic.load(1).lrs[0] & 0xffff, 34);
}

#[test]
fn registers_read_back_and_tell_what_a_guest_asks() {
    let mut vgic = vgic(2);
    assert_eq!(vgic.read_distributor(0, 4), 0b101_0010);
    assert_eq!(vgic.read_distributor(4, 4) & 0x1f, 1);
    assert_eq!(vgic.read_distributor(0xffe8, 4), 0x30);
    assert_eq!(vgic.read_redistributor(8, 8), 0);
    assert_eq!(vgic.read_redistributor(GICR_STRIDE + 8, 8), 1 << 32 | 1 << 8 | 1 << 4);
    vgic.write_distributor(0x424, 4, 0xa7a6_a5a4);
    assert_eq!(vgic.read_distributor(0x424, 4), 0xa0a0_a0a0);
    assert_eq!(vgic.read_distributor(0x425, 1), 0xa0);
    vgic.write_distributor(0xc08, 4, 0b10 << 2);
    assert_eq!(vgic.read_distributor(0xc08, 4), 0b10 << 2);
    assert_eq!(vgic.read_redistributor(FRAME + 0xc00, 4), 0xaaaa_aaaa);
    assert_eq!(vgic.read_distributor(0x100, 4), 0, "private ones are in the redistributor");
}
