//! Interrupts, timers, and the virtual interrupt controller.

use alloc::format;

use super::super::registry::{Cpu, Registry};
use crate::abi::{REC, RecEnter, RecExit, exit_reason};
use crate::need::Need;
use crate::outcome::{Outcome, holds, missing, same};
use crate::program::{Action, Observed};
use crate::rec::idle_exit;
use crate::world::World;

/// ICH_HCR_EL2 bits that are the Host's.
const HOST_HCR: u64 = 0x40fe;

/// A pending group 1 interrupt with this number.
const fn pending(intid: u64) -> u64 {
    1 << 62 | 1 << 60 | intid
}

pub(super) fn add(registry: &mut Registry) {
    registry.add("rec_exit/irq", |w| {
        let rec = w.running()?;
        same("exit", w.run(&rec, &[Action::Irq])?, idle_exit())
    });
    registry
        .add("rec_exit/fiq", |w| {
            let rec = w.running()?;
            let expected = RecExit { exit_reason: exit_reason::FIQ, ..RecExit::default() };
            same("exit", w.run(&rec, &[Action::Fiq])?, expected)
        })
        .needs(Need::Fiq);
    registry.add("rec_exit/irq/shows_no_registers", |w| {
        let rec = w.running()?;
        let secret = alloc::boxed::Box::new([0x5ec3_e75e_c3e7_5ec3; 31]);
        same("exit", w.run(&rec, &[Action::SetGprs(secret), Action::Irq])?, idle_exit())
    });
    add_timers(registry);
    add_hcr(registry);
    add_lrs(registry);
}

fn add_timers(registry: &mut Registry) {
    for virtual_ in [false, true] {
        let name = if virtual_ { "virtual" } else { "physical" };
        registry.add(format!("rec_exit/timer/{name}"), move |w| timer(w, virtual_));
        registry.add(format!("rec_exit/timer/{name}_masked_by_the_realm"), move |w| {
            let rec = w.running()?;
            // Enabled, condition met, but IMASK: no interrupt; the Host sees the registers.
            let exit = w.run(&rec, &[Action::Timer(virtual_, 3, true)])?;
            same("reason", exit.exit_reason, exit_reason::IRQ)?;
            same("control", control(&exit, virtual_), 7)?;
            same("again", control(&w.enter(&rec)?, virtual_), 7)
        });
    }
}

fn control(exit: &RecExit, virtual_: bool) -> u64 {
    if virtual_ { exit.cntv_ctl } else { exit.cntp_ctl }
}

/// A timer fires: IRQ exit; then it is masked and the Realm runs; when it is disarmed, another IRQ
/// exit says so.
fn timer(w: &mut World<'_>, virtual_: bool) -> Outcome {
    let rec = w.running()?;
    let marker = Action::State;
    let actions = [
        Action::Timer(virtual_, 1, true),
        marker.clone(),
        Action::Timer(virtual_, 0, true),
        crate::rec::smc(&[crate::abi::rsi::VERSION, 0x1_0000]),
        marker,
    ];
    let exit = w.run(&rec, &actions)?;
    let mut expected = idle_exit();
    *(if virtual_ { &mut expected.cntv_ctl } else { &mut expected.cntp_ctl }) = 5;
    same("exit when it fires", exit, expected)?;
    // The interrupt may come before or after the arming is noted; the marker has not run.
    let mut observed = w.observed(&rec);
    holds("only the arming has run", observed.iter().all(|seen| *seen == Observed::Done))?;
    // Masked now: the Realm runs on, disarms it, and at the next look the Host is told.
    let exit = w.enter(&rec)?;
    same("exit when it is disarmed", exit, idle_exit())?;
    observed.extend(w.observed(&rec));
    same("the Realm had run up to its call", observed.len(), 3)?;
    w.enter(&rec)?;
    same("and goes on after", w.observed(&rec).len(), 2)
}

fn add_hcr(registry: &mut Registry) {
    registry.add("rec_enter/rec_gicv3/hcr_each_bit", |w| {
        let rec = w.running()?;
        for bit in 0..64 {
            let enter = RecEnter { gicv3_hcr: 1 << bit, ..RecEnter::default() };
            let reply = w.enter_raw(&rec, &enter)?;
            reply.is(if HOST_HCR >> bit & 1 == 1 { 0 } else { REC })?;
        }
        Ok(())
    });
    registry.add("rec_exit/gicv3/hcr_and_misr", |w| {
        let rec = w.running()?;
        // UIE and NPIE without interrupts: U and NP.
        let enter = RecEnter { gicv3_hcr: 1 << 1 | 1 << 3, ..RecEnter::default() };
        let exit = w.enter_with(&rec, &enter)?;
        let expected =
            RecExit { gicv3_hcr: 1 << 1 | 1 << 3, gicv3_misr: 1 << 1 | 1 << 3, ..idle_exit() };
        same("exit", exit, expected)?;
        same("not kept", w.enter(&rec)?, idle_exit())
    });
    registry.add("rec_exit/gicv3/list_registers", |w| {
        let rec = w.running()?;
        let mut enter = RecEnter::default();
        enter.gicv3_lrs[..3].copy_from_slice(&[pending(27), 0, pending(40)]);
        let actions = [Action::Acknowledge, Action::EndOfInterrupt, Action::Acknowledge];
        w.port.program(rec.realm.rd, 0, &actions);
        let exit = w.enter_with(&rec, &enter)?;
        let mut expected = idle_exit();
        expected.gicv3_lrs[..3].copy_from_slice(&[1 << 60 | 27, 0, 2 << 62 | 1 << 60 | 40]);
        same("exit", exit, expected)?;
        let observed = w.observed(&rec);
        same(
            "acknowledged",
            observed,
            [Observed::Value(27), Observed::Done, Observed::Value(40)].into(),
        )
    });
}

fn add_lrs(registry: &mut Registry) {
    for (name, lr, valid) in [
        ("hw_pending", pending(27) | 1 << 61, false),
        ("hw_active", 2 << 62 | 1 << 61 | 27, false),
        ("hw_both", 3 << 62 | 1 << 61 | 27, false),
        ("hw_inactive", 1 << 61 | 27, true),
        ("inactive_garbage", 0x3fff_ffff_ffff_ffff, true),
        ("eoi_maintenance", pending(27) | 1 << 41, true),
        ("physical_number", pending(27) | 1 << 40, false),
        ("physical_number_low", pending(27) | 1 << 32, false),
        ("priority_implemented", pending(27) | 0xf8 << 48, true),
        ("priority_unimplemented", pending(27) | 0x04 << 48, false),
        ("last_spi", pending(1019), true),
        ("special_1020", pending(1020), false),
        ("special_1023", pending(1023), false),
        ("reserved_1024", pending(1024), false),
        ("extended_without_support", pending(1056), false),
        ("extended_spi_without_support", pending(4096), false),
        ("first_lpi", pending(8192), true),
        ("reserved_8191", pending(8191), false),
        ("group_0", 1 << 62 | 27, true),
    ] {
        registry.add(format!("rec_enter/rec_gicv3/lr_{name}"), move |w| {
            let rec = w.running()?;
            let mut enter = RecEnter::default();
            enter.gicv3_lrs[1] = lr;
            w.enter_raw(&rec, &enter)?.is(if valid { 0 } else { REC })?;
            w.enter(&rec)?;
            Ok(())
        });
    }
    registry.add("rec_enter/rec_gicv3/lr_number_too_wide", |w| {
        let rec = w.running()?;
        let mut enter = RecEnter::default();
        for (intid, code) in [(0xff_ffff, 0), (0x100_0000, REC), (0xffff_ffff, REC)] {
            enter.gicv3_lrs[0] = pending(intid);
            w.enter_raw(&rec, &enter)?.is(code)?;
        }
        Ok(())
    });
    registry
        .add_on(Cpu::Plain, "rec_enter/rec_gicv3/lr_number_of_16_bits", |w| {
            let rec = w.running()?;
            let mut enter = RecEnter::default();
            for (intid, code) in [(0xffff, 0), (0x1_0000, REC)] {
                enter.gicv3_lrs[0] = pending(intid);
                w.enter_raw(&rec, &enter)?.is(code)?;
            }
            Ok(())
        })
        .needs(Need::SmallInterruptNumbers);
    registry.add("rec_enter/rec_gicv3/lr_duplicates", |w| {
        let rec = w.running()?;
        let mut enter = RecEnter::default();
        (enter.gicv3_lrs[0], enter.gicv3_lrs[3]) = (pending(27), 2 << 62 | 27);
        w.enter_raw(&rec, &enter)?.is(REC)?;
        // An inactive one does not count.
        enter.gicv3_lrs[3] = 27;
        w.enter_raw(&rec, &enter)?.ok()?;
        Ok(())
    });
    registry.add("rec_enter/rec_gicv3/lr_beyond_the_implemented_ignored", |w| {
        let rec = w.running()?;
        let [features, ..] = w.call(crate::abi::Command::Features, [0])?.ok()?.outputs;
        let implemented = usize::try_from(features >> 34 & 15).unwrap_or(0) + 1;
        let mut enter = RecEnter::default();
        if implemented == enter.gicv3_lrs.len() {
            return missing(Need::SpareListRegister);
        }
        for lr in &mut enter.gicv3_lrs[implemented..] {
            *lr = pending(1023) | 1 << 61;
        }
        // And they do not come back.
        same("exit", w.enter_with(&rec, &enter)?, idle_exit())
    });
}
