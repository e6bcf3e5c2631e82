//! The interrupt controller in hardware registers: the Host writes them before REC_ENTER and reads
//! them afterwards.

use alloc::format;

use super::super::abi::{Command, REC, oaddr};
use super::super::pages::{RecEnter, exit_reason, idle_exit};
use super::super::rec::Rec;
use super::super::registry::Registry;
use super::super::world::{PAGE, World};
use crate::abi::rsi;
use crate::outcome::{Outcome, fail, holds, same};
use crate::port::Vgic;
use crate::program::{Action, Observed, SystemRegister};
use crate::rec::smc;

/// ICH_HCR_EL2.
const EN: u64 = 1;
const UIE: u64 = 1 << 1;
const NPIE: u64 = 1 << 3;
const TC: u64 = 1 << 10;
const TALL0: u64 = 1 << 11;
const TALL1: u64 = 1 << 12;
const TDIR: u64 = 1 << 14;
/// A list register.
const PENDING: u64 = 1 << 62;
const ACTIVE: u64 = 1 << 63;
const HW: u64 = 1 << 61;
const GROUP_1: u64 = 1 << 60;

pub(super) fn add(registry: &mut Registry) {
    add_checks(registry);
    add_exits(registry);
    add_early_exit(registry);
    add_traps(registry);
}

/// Writes the interface: ICH_HCR_EL2 and the first list registers.
fn set(w: &mut World<'_>, hcr: u64, lrs: &[u64]) -> Vgic {
    let mut vgic = w.port.vgic();
    vgic.hcr = hcr;
    vgic.lrs = [0; 16];
    vgic.lrs[..lrs.len()].copy_from_slice(lrs);
    w.port.set_vgic(&vgic);
    vgic
}

/// Leaves nothing behind for others.
fn clear(w: &mut World<'_>) {
    set(w, 0, &[]);
}

/// The exit of a REC that could not go on: its Host has taken the page away into which its answer
/// goes.
fn add_early_exit(registry: &mut Registry) {
    registry.add("rec_enter/gic/en_is_clear_after_an_exit_before_the_realm_ran", |w| {
        let rec = w.running()?;
        w.run(&rec, &[smc(&[rsi::HOST_CALL, 0])])?;
        w.ok(Command::DataUnmap, &[rec.realm.rd, 0, PAGE, oaddr::SINGLE, 0])?;
        set(w, EN | UIE, &[PENDING | GROUP_1 | 27]);
        let exit = w.enter(&rec)?;
        same("exit", exit.exit_reason, exit_reason::SYNC)?;
        let after = w.port.vgic();
        clear(w);
        same("ICH_HCR_EL2", after.hcr, UIE)?;
        same("ICH_LR0_EL2", after.lrs[0], PENDING | GROUP_1 | 27)
    });
}

fn add_checks(registry: &mut Registry) {
    for (name, lr) in [
        ("pending", PENDING | HW | GROUP_1 | 27),
        ("active", ACTIVE | HW | GROUP_1 | 27),
        ("both", PENDING | ACTIVE | HW | 27),
        ("with_a_physical_number", PENDING | HW | 42 << 32 | 27),
    ] {
        registry.add(format!("rec_enter/rec_gicv3/hw_{name}"), move |w| {
            let rec = w.running()?;
            let count = w.port.vgic().list_registers();
            for number in 0..count {
                let mut lrs = alloc::vec![0; count];
                lrs[number] = lr;
                set(w, EN, &lrs);
                w.enter_raw(&rec, &RecEnter::default())?.is(REC)?;
            }
            clear(w);
            w.enter(&rec)?;
            Ok(())
        });
    }
    registry
        .add("rec_enter/rec_gicv3/hw_invalid", |w| {
            let rec = w.running()?;
            set(w, EN, &[HW | 27]);
            let reply = w.enter_raw(&rec, &RecEnter::default())?;
            clear(w);
            reply.ok()?;
            Ok(())
        })
        .reading("an inactive list register is not looked at (OQ-11)");
    registry
        .add("rec_enter/rec_gicv3/same_number_twice", |w| {
            let rec = w.running()?;
            set(w, EN, &[PENDING | GROUP_1 | 27, PENDING | GROUP_1 | 27]);
            let reply = w.enter_raw(&rec, &RecEnter::default())?;
            clear(w);
            reply.one_of(&[0, REC])?;
            Ok(())
        })
        .reading("two list registers with one number are refused by one other monitor");
    for (name, bits) in [
        ("uie", UIE),
        ("npie", NPIE),
        ("tc", TC),
        ("tall0", TALL0),
        ("tall1", TALL1),
        ("tdir", TDIR),
        ("all_of_kvm", EN | TDIR | UIE),
    ] {
        registry.add(format!("rec_enter/gic/hcr_{name}"), move |w| {
            let rec = w.running()?;
            w.program(&rec, &[]);
            set(w, bits, &[]);
            w.enter_raw(&rec, &RecEnter::default())?.ok()?;
            let hcr = w.port.vgic().hcr;
            clear(w);
            same("what the Host wrote, but for En", hcr, bits & !EN)
        });
    }
}

/// A REC that has acknowledged one of two interrupts.
#[track_caller]
fn acknowledged(w: &mut World<'_>) -> Outcome<(Rec, Vgic)> {
    let rec = w.running()?;
    let actions = [Action::Acknowledge, Action::EndOfInterrupt, Action::Acknowledge];
    w.program(&rec, &actions);
    set(w, EN, &[PENDING | GROUP_1 | 27, 0, PENDING | GROUP_1 | 40]);
    same("exit", w.enter(&rec)?, idle_exit())?;
    let after = w.port.vgic();
    Ok((rec, after))
}

fn add_exits(registry: &mut Registry) {
    registry.add("rec_exit/gic/en_is_cleared", |w| {
        let rec = w.running()?;
        w.program(&rec, &[]);
        set(w, EN | TDIR, &[]);
        w.enter(&rec)?;
        let hcr = w.port.vgic().hcr;
        clear(w);
        same("ICH_HCR_EL2", hcr, TDIR)
    });
    registry.add("rec_exit/gic/list_registers", |w| {
        let (rec, after) = acknowledged(w)?;
        clear(w);
        let expected = [GROUP_1 | 27, 0, ACTIVE | GROUP_1 | 40];
        same("list registers", &after.lrs[..3], &expected)?;
        let observed = w.observed(&rec);
        let expected = [Observed::Value(27), Observed::Done, Observed::Value(40)];
        same("acknowledged", observed, expected.into())
    });
    registry.add("rec_exit/gic/page_has_nothing_of_it", |w| {
        // The exit page is compared whole: the places that it had in 1.0 are zero.
        acknowledged(w)?;
        clear(w);
        Ok(())
    });
    registry.add("rec_exit/gic/untouched_list_registers", |w| {
        let rec = w.running()?;
        w.program(&rec, &[]);
        let lrs = [PENDING | GROUP_1 | 33, ACTIVE | GROUP_1 | 34 | 0x80 << 48];
        set(w, EN, &lrs);
        w.enter(&rec)?;
        let after = w.port.vgic();
        clear(w);
        same("list registers", &after.lrs[..2], &lrs)
    });
    registry.add("rec_exit/gic/vmcr_is_the_realms", |w| {
        let rec = w.running()?;
        w.program(&rec, &[]);
        let mut vgic = set(w, EN, &[]);
        // VPMR: 0xf0, and both groups enabled.
        vgic.vmcr = 0xf0 << 24 | 3;
        w.port.set_vgic(&vgic);
        let before = w.port.vgic().vmcr;
        w.enter(&rec)?;
        let after = w.port.vgic().vmcr;
        clear(w);
        same("ICH_VMCR_EL2", after, before)
    });
    registry.add("rec_enter/gic/refused_entry_changes_nothing", |w| {
        let rec = w.running()?;
        let vgic = set(w, EN | TDIR, &[PENDING | HW | 27]);
        w.enter_raw(&rec, &RecEnter::default())?.is(REC)?;
        let after = w.port.vgic();
        clear(w);
        same("ICH_HCR_EL2, ICH_LR0_EL2", (after.hcr, after.lrs[0]), (vgic.hcr, vgic.lrs[0]))
    });
    registry.add("rec_exit/gic/maintenance_interrupt", |w| {
        let rec = w.running()?;
        w.program(&rec, &[]);
        // Underflow at once: a physical interrupt like any other.
        set(w, EN | UIE, &[]);
        let exit = w.enter(&rec)?;
        clear(w);
        same("reason", exit.exit_reason, exit_reason::IRQ)
    });
}

/// Registers of the interface that ICH_HCR_EL2.TC traps, and one that TDIR traps: encoding, name,
/// trap, whether they read.
static TRAPPED: &[(SystemRegister, &str, u64, bool)] = &[
    ((3, 0, 12, 12, 4), "ctlr", TC, true),
    ((3, 0, 4, 6, 0), "pmr", TC, true),
    ((3, 0, 12, 12, 7), "igrpen1", TALL1, true),
    ((3, 0, 12, 11, 1), "dir", TDIR, false),
    ((3, 0, 12, 11, 1), "dir_by_tc", TC, false),
    ((3, 0, 12, 11, 3), "rpr", TC, true),
];

fn add_traps(registry: &mut Registry) {
    for &(register, name, trap, reads) in TRAPPED {
        if name != "rpr" {
            add_trapped_write(registry, register, name, trap);
        }
        if !reads {
            continue;
        }
        registry.add(format!("rec_exit/gic/trapped_read_{name}"), move |w| {
            let rec = w.running()?;
            w.program(&rec, &[Action::Read(register)]);
            set(w, EN | trap, &[]);
            let exit = w.enter(&rec)?;
            same("reason, class", (exit.exit_reason, exit.esr >> 26), (0, 0x18))?;
            same("Rt, direction", (exit.esr >> 5 & 0x1f, exit.esr & 1), (0, 1))?;
            holds("no registers", exit.gprs == [0; 31])?;
            let observed = w.resume(&rec, &RecEnter::value(0x1234))?;
            clear(w);
            match observed.as_slice() {
                [Observed::Value(value)] => same("what the Host answered", *value, 0x1234),
                other => fail(format!("observed {other:x?}")),
            }
        });
    }
}

fn add_trapped_write(
    registry: &mut Registry,
    register: SystemRegister,
    name: &'static str,
    trap: u64,
) {
    registry.add(format!("rec_exit/gic/trapped_write_{name}"), move |w| {
        let rec = w.running()?;
        w.program(&rec, &[Action::Write(register, 0xf0)]);
        set(w, EN | trap, &[]);
        let exit = w.enter(&rec)?;
        let hcr = w.port.vgic().hcr;
        same("reason, class", (exit.exit_reason, exit.esr >> 26), (0, 0x18))?;
        same("Rt, direction", (exit.esr >> 5 & 0x1f, exit.esr & 1), (0, 0))?;
        same("value", exit.gprs[0], 0xf0)?;
        same("the trap stays", hcr & trap, trap)?;
        let observed = w.resume(&rec, &RecEnter::default())?;
        clear(w);
        same("it is over", observed, [Observed::Done].into())
    });
}
