//! What a REC's exit tells the Host, and what the Host's answers do.

use alloc::format;

use super::super::abi::{Command, REC, entry, ripas};
use super::super::pages::{RecEnter, RecExit, enter_flags, exit_reason, idle_exit};
use super::super::rec::Rec;
use super::super::registry::Registry;
use super::super::world::{PAGE, World};
use super::good::{IPA, realm_with_tables};
use crate::abi::rsi;
use crate::need::Need;
use crate::outcome::{Outcome, fail, holds, same};
use crate::program::{Access, Action, El1, Observed, Wait};
use crate::rec::{VECTORS, smc};

/// Class of a data abort from below.
const DATA: u64 = 0x24;
/// Class of an instruction abort from below.
const INSTRUCTION: u64 = 0x20;
/// Class of a trapped system register.
const REGISTER: u64 = 0x18;

pub(super) fn add(registry: &mut Registry) {
    add_aborts(registry);
    add_mmio(registry);
    add_traps(registry);
    add_others(registry);
    add_timers(registry);
}

/// The exit is synchronous, with this class in the syndrome.
#[track_caller]
fn sync(exit: &RecExit, class: u64) -> Outcome {
    same("reason", exit.exit_reason, exit_reason::SYNC)?;
    same("class", exit.esr >> 26, class)
}

/// A running Realm with tables at [`IPA`].
#[track_caller]
fn with_tables(w: &mut World<'_>) -> Outcome<Rec> {
    let realm = realm_with_tables(w)?;
    w.running_in(&realm)
}

fn add_aborts(registry: &mut Registry) {
    for (name, action, class) in [
        ("load", Action::Load(IPA + 8, Access::WORD), DATA),
        ("store", Action::Store(IPA + 8, Access::WORD, 0x5ec3), DATA),
        ("fetch", Action::Fetch(IPA), INSTRUCTION),
    ] {
        let action_ram = action.clone();
        registry.add(format!("rec_exit/protected/ram_{name}"), move |w| {
            let realm = realm_with_tables(w)?;
            w.init_ripas(&realm, IPA, IPA + PAGE)?;
            let rec = w.running_in(&realm)?;
            let exit = w.run(&rec, core::slice::from_ref(&action_ram))?;
            sync(&exit, class)?;
            same("HPFAR", exit.hpfar, IPA >> 8)?;
            same("ISV and what it covers", exit.esr & (0x1fff << 11 | 1 << 24), 0)?;
            same("FAR", exit.far, 0)?;
            holds("no registers", exit.gprs == [0; 31])?;
            w.data_unknown(&rec.realm, IPA)?;
            w.enter(&rec)?;
            holds("it goes on", !w.observed(&rec).is_empty())
        });
        registry.add(format!("rec_exit/protected/empty_{name}"), move |w| {
            let rec = with_tables(w)?;
            let actions = [Action::SetEl1(El1::Vbar, VECTORS), action.clone()];
            match w.observe(&rec, &actions)?.as_slice() {
                [Observed::Exception { esr, .. }] => same("class", esr >> 26, class + 1),
                other => fail(format!("observed {other:x?}")),
            }
        });
    }
    registry.add("rec_exit/protected/destroyed", |w| {
        let realm = realm_with_tables(w)?;
        w.init_ripas(&realm, IPA, IPA + PAGE)?;
        let rec = w.running_in(&realm)?;
        w.data_unknown(&rec.realm, IPA)?;
        w.unmap(Command::DataUnmap, &rec.realm, (IPA, IPA + PAGE))?;
        w.expect(&rec.realm, IPA, (3, entry::VOID, ripas::DESTROYED))?;
        let exit = w.run(&rec, &[Action::Load(IPA, Access::WORD)])?;
        sync(&exit, DATA)?;
        w.enter_raw(&rec, &RecEnter::flags(enter_flags::EMUL_MMIO))?.is(REC)?;
        Ok(())
    });
    registry.add("rec_exit/unprotected/level", |w| {
        // The walk ends at level 0: the syndrome says so, and the page is one that the Host can
        // fill.
        let rec = with_tables(w)?;
        let ipa = rec.realm.unprotected() + 0x7000;
        let exit = w.run(&rec, &[Action::Load(ipa, Access::WORD)])?;
        sync(&exit, DATA)?;
        same("HPFAR", exit.hpfar, ipa >> 8)?;
        w.tables(&rec.realm, ipa, 3)?;
        let pa = w.share(&rec.realm, ipa)?;
        w.port.write_page(pa, &[0x77; 512]);
        let exit = w.enter(&rec)?;
        same("exit", exit, idle_exit())?;
        same("read", w.observed(&rec), [Observed::Value(0x77)].into())
    });
}

fn add_mmio(registry: &mut Registry) {
    for size in 0..4 {
        let bits = 8 << size;
        registry.add(format!("rec_enter/emul_mmio/read_{bits}"), move |w| {
            let rec = with_tables(w)?;
            let ipa = rec.realm.unprotected() + 0x7000;
            let access = Access { register: 21, ..Access::sized(size) };
            let exit = w.run(&rec, &[Action::Load(ipa + 8, access), Action::State])?;
            sync(&exit, DATA)?;
            same("ISV, size", (exit.esr >> 24 & 1, exit.esr >> 22 & 3), (1, size))?;
            same("WnR, register", (exit.esr >> 6 & 1, exit.esr >> 16 & 0x1f), (0, 0))?;
            let mut enter = RecEnter::value(0xfedc_ba98_7654_3210);
            enter.flags = enter_flags::EMUL_MMIO;
            let observed = w.resume(&rec, &enter)?;
            let value = 0xfedc_ba98_7654_3210 & u64::MAX >> (64 - bits);
            match observed.as_slice() {
                [Observed::Value(seen), Observed::State(pc, _)] => {
                    same("value", *seen, value)?;
                    same("PC", *pc, rec.realm.entry(0) + 4)
                }
                other => fail(format!("observed {other:x?}")),
            }
        });
        registry.add(format!("rec_enter/emul_mmio/write_{bits}"), move |w| {
            let rec = with_tables(w)?;
            let ipa = rec.realm.unprotected() + 0x7000;
            let access = Access::sized(size);
            let exit = w.run(&rec, &[Action::Store(ipa, access, 0xfedc_ba98_7654_3210)])?;
            sync(&exit, DATA)?;
            same("WnR", exit.esr >> 6 & 1, 1)?;
            let mask = u64::MAX >> (64 - bits);
            same("data", exit.gprs[0] & mask, 0xfedc_ba98_7654_3210 & mask)?;
            holds("and nothing else", exit.gprs[1..].iter().all(|value| *value == 0))?;
            w.resume(&rec, &RecEnter::flags(enter_flags::EMUL_MMIO))?;
            Ok(())
        });
    }
    registry.add("rec_enter/inject_sea/instead_of_emulation", |w| {
        let rec = with_tables(w)?;
        let ipa = rec.realm.unprotected() + 0x7000;
        let actions = [Action::SetEl1(El1::Vbar, VECTORS), Action::Load(ipa, Access::WORD)];
        w.run(&rec, &actions)?;
        let flags = enter_flags::INJECT_SEA | enter_flags::EMUL_MMIO;
        match w.resume(&rec, &RecEnter::flags(flags))?.as_slice() {
            [Observed::Exception { esr, .. }] => {
                same("class, status", (esr >> 26, esr & 0x3f), (0x25, 0x10))
            }
            other => fail(format!("observed {other:x?}")),
        }
    });
    registry.add("rec_enter/rec_mmio/once", |w| {
        let rec = with_tables(w)?;
        let ipa = rec.realm.unprotected() + 0x7000;
        w.run(&rec, &[Action::Load(ipa, Access::WORD)])?;
        w.resume(&rec, &RecEnter::flags(enter_flags::EMUL_MMIO))?;
        w.enter_raw(&rec, &RecEnter::flags(enter_flags::EMUL_MMIO))?.is(REC)?;
        Ok(())
    });
}

fn add_traps(registry: &mut Registry) {
    for (name, flag, wait, number) in
        [("wfi", enter_flags::TRAP_WFI, Wait::Wfi, 0), ("wfe", enter_flags::TRAP_WFE, Wait::Wfe, 1)]
    {
        let scenario = registry.add(format!("rec_enter/trap/{name}"), move |w| {
            let rec = w.running()?;
            w.program(&rec, &[Action::Wait(wait, 0)]);
            let exit = w.enter_with(&rec, &RecEnter::flags(flag))?;
            sync(&exit, 1)?;
            same("TI", exit.esr & 3, number)?;
            same("and nothing else", exit.esr & 0xffff_fffc & !(1 << 25), 1 << 26)?;
            w.resume(&rec, &RecEnter::default())?;
            Ok(())
        });
        if wait == Wait::Wfe {
            scenario.needs(Need::WfeTraps);
        }
    }
    registry
        .add("rec_enter/trap/wfit", |w| {
            let rec = w.running()?;
            w.program(&rec, &[Action::Wait(Wait::Wfit, 0x1234_5678)]);
            let exit = w.enter_with(&rec, &RecEnter::flags(enter_flags::TRAP_WFI))?;
            if exit.exit_reason != exit_reason::SYNC {
                // A Realm may have no such instruction.
                return Ok(());
            }
            sync(&exit, 1)?;
            same("TI", exit.esr & 3, 2)?;
            same("timeout", exit.gprs[0], 0x1234_5678)
        })
        .needs(Need::WfitSyndrome)
        .reading("WFIT shows its timeout in X0 (OQ-16)");
    for (name, register) in
        [("sgi0r", (3, 0, 12, 11, 7)), ("sgi1r", (3, 0, 12, 11, 5)), ("asgi1r", (3, 0, 12, 11, 6))]
    {
        registry.add(format!("rec_exit/system_register/{name}"), move |w| {
            let rec = w.running()?;
            let actions = [Action::Write(register, 0x5005_0001), Action::State];
            let exit = w.run(&rec, &actions)?;
            sync(&exit, REGISTER)?;
            same("Rt", exit.esr >> 5 & 0x1f, 0)?;
            same("a write", exit.esr & 1, 0)?;
            same("value", exit.gprs[0], 0x5005_0001)?;
            holds("and nothing else", exit.gprs[1..].iter().all(|value| *value == 0))?;
            match w.resume(&rec, &RecEnter::default())?.as_slice() {
                [Observed::Done, Observed::State(pc, _)] => same("PC", *pc, rec.realm.entry(0) + 4),
                other => fail(format!("observed {other:x?}")),
            }
        });
    }
}

fn add_others(registry: &mut Registry) {
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
    registry.add("rec_exit/host_call", |w| {
        let rec = w.running()?;
        // `RsiHostCall` at address 0: imm at 0, gprs from 8 on.
        let mut actions = alloc::vec![Action::Store(0, Access::WORD, 0x2a)];
        actions.extend((0..31).map(|n| Action::Store(8 + 8 * n, Access::WORD, 0x100 + n)));
        actions.push(smc(&[rsi::HOST_CALL, 0]));
        let exit = w.run(&rec, &actions)?;
        let expected = RecExit {
            exit_reason: exit_reason::HOST_CALL,
            imm: 0x2a,
            gprs: core::array::from_fn(|number| 0x100 + number as u64),
            ..RecExit::default()
        };
        same("exit", exit, expected)?;
        let enter = RecEnter { gprs: [0x77; 31], ..RecEnter::default() };
        w.observed(&rec);
        let results = w.answered(&rec, &enter)?;
        same("X0", results[0], rsi::SUCCESS)?;
        let observed = w.observe(&rec, &[Action::Load(8, Access::WORD)])?;
        same("the answer", observed, [Observed::Value(0x77)].into())
    });
    registry.add("rec_exit/ripas_change", |w| {
        let rec = with_tables(w)?;
        let call = [rsi::IPA_STATE_SET, IPA, IPA + 3 * PAGE, ripas::RAM, 0];
        let exit = w.run(&rec, &[smc(&call)])?;
        let expected = RecExit {
            exit_reason: exit_reason::RIPAS_CHANGE,
            ripas_base: IPA,
            ripas_top: IPA + 3 * PAGE,
            ripas_value: ripas::RAM,
            ..RecExit::default()
        };
        same("exit", exit, expected)?;
        let results = w.answered(&rec, &RecEnter::default())?;
        // Nothing was done: the Realm learns where it came to.
        same("X0, X1", (results[0], results[1]), (rsi::SUCCESS, IPA))
    });
    registry.add("rec_exit/ripas_change/rejected", |w| {
        let rec = with_tables(w)?;
        let call = [rsi::IPA_STATE_SET, IPA, IPA + PAGE, ripas::RAM, 0];
        w.run(&rec, &[smc(&call)])?;
        let results = w.answered(&rec, &RecEnter::flags(enter_flags::RIPAS_REJECT))?;
        same("X0 to X2", (results[0], results[1], results[2]), (rsi::SUCCESS, IPA, 1))
    });
}

fn add_timers(registry: &mut Registry) {
    for virtual_ in [false, true] {
        let name = if virtual_ { "virtual" } else { "physical" };
        registry.add(format!("rec_exit/timer/{name}"), move |w| {
            let rec = w.running()?;
            let exit = w.run(&rec, &[Action::Timer(virtual_, 1, true), Action::Irq])?;
            same("reason", exit.exit_reason, exit_reason::IRQ)?;
            let (this, other) = if virtual_ {
                (exit.cntv_ctl, exit.cntp_ctl)
            } else {
                (exit.cntp_ctl, exit.cntv_ctl)
            };
            same("enabled, not masked, met", this, 5)?;
            same("the other", other & 1, 0)
        });
        registry.add(format!("rec_exit/timer/{name}_masked_by_the_realm"), move |w| {
            let rec = w.running()?;
            let exit = w.run(&rec, &[Action::Timer(virtual_, 3, true)])?;
            let this = if virtual_ { exit.cntv_ctl } else { exit.cntp_ctl };
            same("control", this, 7)
        });
    }
    registry.add("rec_exit/timer/compare_values", |w| {
        let rec = w.running()?;
        let actions =
            [Action::SetEl1(El1::CntpCval, 0x1111), Action::SetEl1(El1::CntvCval, 0x2222)];
        let exit = w.run(&rec, &actions)?;
        same("CNTP_CVAL, CNTV_CVAL", (exit.cntp_cval, exit.cntv_cval), (0x1111, 0x2222))
    });
    registry.add("rec_exit/timer/no_exit_for_ever", |w| {
        let rec = w.running()?;
        w.run(&rec, &[Action::Timer(true, 1, true), Action::State, Action::State])?;
        let mut seen = w.observed(&rec).len();
        for _ in 0..4 {
            w.enter(&rec)?;
            seen += w.observed(&rec).len();
        }
        same("the Realm gets on", seen, 3)
    });
}
