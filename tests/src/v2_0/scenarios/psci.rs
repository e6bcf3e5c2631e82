//! PSCI: what exits to the Host, what RMM answers itself, and the Host's completion.

use alloc::boxed::Box;
use alloc::format;

use super::super::abi::{Command, INPUT, REC, SUCCESS};
use super::super::pages::{RecEnter, exit_reason, mpidr};
use super::super::rec::Rec;
use super::super::registry::Registry;
use super::super::world::World;
use super::good::cpu_on_request;
use crate::abi::{psci, realm_mpidr, rsi};
use crate::outcome::{Outcome, fail, holds, same};
use crate::program::{Action, Observed};
use crate::rec::smc;

const COMPLETE: Command = Command::PsciComplete;

pub(super) fn add(registry: &mut Registry) {
    add_complete(registry);
    add_consequences(registry);
    add_cpu_on(registry);
    add_affinity(registry);
    add_exits(registry);
}

/// The caller's CPU_ON returns this, and zeros after it.
#[track_caller]
fn returns(w: &mut World<'_>, calling: &Rec, value: u64) -> Outcome {
    let results = w.answered(calling, &RecEnter::default())?;
    same("X0 to X3", &results[..4], &[value, 0, 0, 0])
}

fn add_complete(registry: &mut Registry) {
    registry.add("psci_complete/success/on", |w| {
        let (calling, target) = cpu_on_request(w)?;
        w.call(COMPLETE, &[calling.pa, psci::SUCCESS])?.ok()?;
        returns(w, &calling, psci::SUCCESS)?;
        let observed = w.observe(&target, &[Action::State, Action::Gprs])?;
        let mut gprs = Box::new([0; 31]);
        gprs[0] = 0x77;
        let state = Observed::State(target.realm.entry(1), 0x3c5);
        same("the target", observed, [state, Observed::Gprs(gprs)].into())
    });
    registry.add("psci_complete/success/denied", |w| {
        let (calling, target) = cpu_on_request(w)?;
        w.call(COMPLETE, &[calling.pa, psci::DENIED])?.ok()?;
        returns(w, &calling, psci::DENIED)?;
        w.enter_raw(&target, &RecEnter::default())?.is(REC)?;
        Ok(())
    });
    for (name, status) in [
        ("1", 1),
        ("already_on", psci::ALREADY_ON),
        ("not_supported", psci::NOT_SUPPORTED),
        ("invalid_parameters", psci::INVALID_PARAMETERS),
        ("invalid_address", psci::INVALID_ADDRESS),
        ("huge", 1 << 63),
    ] {
        registry.add(format!("psci_complete/status/{name}"), move |w| {
            let (calling, _) = cpu_on_request(w)?;
            w.call(COMPLETE, &[calling.pa, status])?.is(INPUT)?;
            // The request is still there.
            w.enter_raw(&calling, &RecEnter::default())?.is(REC)?;
            w.call(COMPLETE, &[calling.pa, 0])?.ok()?;
            returns(w, &calling, psci::SUCCESS)
        });
    }
    registry.add("psci_complete/pending/none", |w| {
        let rec = w.running()?;
        w.call(COMPLETE, &[rec.pa, 0])?.is(INPUT)?;
        Ok(())
    });
    registry.add("psci_complete/pending/twice", |w| {
        let (calling, _) = cpu_on_request(w)?;
        w.call(COMPLETE, &[calling.pa, 0])?.ok()?;
        w.call(COMPLETE, &[calling.pa, 0])?.is(INPUT)?;
        Ok(())
    });
    registry.add("psci_complete/pending/other_exit", |w| {
        let rec = w.running()?;
        w.run(&rec, &[smc(&[rsi::PSCI_CPU_OFF])])?;
        w.call(COMPLETE, &[rec.pa, 0])?.is(INPUT)?;
        Ok(())
    });
    registry.add("psci_complete/calling_running", |w| {
        let rec = w.running()?;
        w.while_running(&rec, COMPLETE, &[rec.pa, 0])?.is(INPUT)?;
        Ok(())
    });
    registry.add("psci_complete/arguments/third_is_ignored", |w| {
        let (calling, _) = cpu_on_request(w)?;
        let call = [COMPLETE.fid(), calling.pa, 0, u64::MAX, 4, 5, 6, 7];
        w.send(COMPLETE, call)?.ok()?;
        Ok(())
    });
    registry.add("psci_complete/calling_state/of_the_target", |w| {
        let (calling, target) = cpu_on_request(w)?;
        w.call(COMPLETE, &[target.pa, 0])?.is(INPUT)?;
        w.call(COMPLETE, &[calling.pa, 0])?.ok()?;
        Ok(())
    });
}

fn add_consequences(registry: &mut Registry) {
    registry.add("psci_complete/target_on/success", |w| {
        let (calling, _) = cpu_on_request_of(w, true)?;
        w.call(COMPLETE, &[calling.pa, 0])?.ok()?;
        returns(w, &calling, psci::ALREADY_ON)
    });
    registry
        .add("psci_complete/target_on/denied_consumes", |w| {
            let (calling, _) = cpu_on_request_of(w, true)?;
            w.call(COMPLETE, &[calling.pa, psci::DENIED])?.is(INPUT)?;
            returns(w, &calling, psci::ALREADY_ON)
        })
        .reading("DENIED for a target that is on ends the request (OQ-20)");
    registry.add("psci_complete/target_on/running", |w| {
        let (calling, target) = cpu_on_request_of(w, true)?;
        w.while_running(&target, COMPLETE, &[calling.pa, 0])?.is(SUCCESS)?;
        returns(w, &calling, psci::ALREADY_ON)
    });
    registry
        .add("psci_complete/target_destroyed/success", |w| {
            let (calling, target) = cpu_on_request(w)?;
            w.destroy_rec(target.pa)?;
            w.call(COMPLETE, &[calling.pa, 0])?.ok()?;
            returns(w, &calling, psci::INVALID_PARAMETERS)
        })
        .reading("a target that is gone is INVALID_PARAMETERS for the caller (choice of 11.1)");
    registry
        .add("psci_complete/target_destroyed/denied", |w| {
            let (calling, target) = cpu_on_request(w)?;
            w.destroy_rec(target.pa)?;
            w.call(COMPLETE, &[calling.pa, psci::DENIED])?;
            w.enter_raw(&calling, &RecEnter::default())?.one_of(&[SUCCESS, REC])?;
            Ok(())
        })
        .reading("a target that is gone is INVALID_PARAMETERS for the caller (choice of 11.1)");
    registry.add("psci_complete/success/failed_entry_is_no_running", |w| {
        let (calling, target) = cpu_on_request(w)?;
        w.enter_raw(&target, &RecEnter::default())?.is(REC)?;
        w.call(COMPLETE, &[calling.pa, 0])?.ok()?;
        returns(w, &calling, psci::SUCCESS)
    });
}

/// A REC that has called CPU_ON for another one that is on or off.
#[track_caller]
fn cpu_on_request_of(w: &mut World<'_>, on: bool) -> Outcome<(Rec, Rec)> {
    let realm = w.realm()?;
    let calling = w.rec(&realm, 0)?;
    let target = if on { w.rec(&realm, 1)? } else { w.rec_off(&realm, 1)? };
    w.activate(&realm)?;
    w.run(&calling, &[smc(&[rsi::PSCI_CPU_ON, 1, realm.entry(1), 0])])?;
    Ok((calling, target))
}

fn add_cpu_on(registry: &mut Registry) {
    for index in [1, 15, 16, 31] {
        registry.add(format!("psci_cpu_on/exit/{index}"), move |w| {
            let realm = w.realm()?;
            let (calling, target) = (w.rec(&realm, 0)?, w.rec_off(&realm, index)?);
            w.activate(&realm)?;
            let target_mpidr = realm_mpidr(index);
            let call = [rsi::PSCI_CPU_ON, target_mpidr, realm.entry(2), 0x1234];
            let exit = w.run(&calling, &[smc(&call)])?;
            same("reason", exit.exit_reason, exit_reason::PSCI)?;
            same("gprs", &exit.gprs[..4], &[rsi::PSCI_CPU_ON, target_mpidr, 0, 0])?;
            w.call(COMPLETE, &[calling.pa, 0])?.ok()?;
            returns(w, &calling, psci::SUCCESS)?;
            w.enter(&target)?;
            Ok(())
        });
    }
    for (name, target, entry, expected) in [
        ("entry_point_bound", 1, 1 << 39, psci::INVALID_ADDRESS),
        ("entry_point_bound/huge", 1, u64::MAX, psci::INVALID_ADDRESS),
        ("self", 0, 0x1000, psci::ALREADY_ON),
        ("target_exists", 9, 0x1000, psci::INVALID_PARAMETERS),
        ("target_exists/aff3", 1 << 32, 0x1000, psci::INVALID_PARAMETERS),
    ] {
        registry.add(format!("psci_cpu_on/{name}"), move |w| {
            let (calling, _) = w.two()?;
            let results = w.smc(&calling, &[rsi::PSCI_CPU_ON, target, entry, 0])?;
            same("X0", results[0], expected)
        });
    }
    registry.add("psci_cpu_on/target_exists/destroyed", |w| {
        let (calling, target) = w.two()?;
        w.destroy_rec(target.pa)?;
        let results = w.smc(&calling, &[rsi::PSCI_CPU_ON, 1, 0x1000, 0])?;
        same("X0", results[0], psci::INVALID_PARAMETERS)
    });
    registry.add("psci_cpu_on/target_exists/of_another_realm", |w| {
        let (calling, _) = w.two()?;
        let other = w.realm()?;
        let params = super::super::pages::RecParams { mpidr: mpidr(7), ..w.rec_params(&other, 0) };
        w.rec_with(&other, &params)?;
        let results = w.smc(&calling, &[rsi::PSCI_CPU_ON, 7, 0x1000, 0])?;
        same("X0", results[0], psci::INVALID_PARAMETERS)
    });
    registry.add("psci_cpu_on/target_exists/rec_granule_used_again_elsewhere", |w| {
        let (calling, target) = w.two()?;
        let other = w.realm()?;
        w.destroy_rec(target.pa)?;
        let page = w.page(&w.rec_params(&other, 1).to_page());
        let rec = w.take(target.pa)?;
        w.ok(Command::RecCreate, &[other.rd, rec, page])?;
        let results = w.smc(&calling, &[rsi::PSCI_CPU_ON, 1, 0x1000, 0])?;
        same("X0", results[0], psci::INVALID_PARAMETERS)
    });
}

fn add_affinity(registry: &mut Registry) {
    const INFO: u64 = rsi::PSCI_AFFINITY_INFO;
    for (name, target, level, expected) in [
        ("self", 0, 0, 0),
        ("off", 1, 0, 1),
        ("unknown", 9, 0, 1),
        ("unknown/aff3", 1 << 32, 0, 1),
        ("level/1", 0, 1, psci::INVALID_PARAMETERS),
        ("level/huge", 0, u64::MAX, psci::INVALID_PARAMETERS),
    ] {
        registry.add(format!("psci_affinity_info/{name}"), move |w| {
            let (calling, _) = w.two()?;
            let results = w.smc(&calling, &[INFO, target, level])?;
            same("X0", results[0], expected)
        });
    }
    registry.add("psci_affinity_info/runnable", |w| {
        let realm = w.realm()?;
        let calling = w.rec(&realm, 0)?;
        w.rec(&realm, 1)?;
        w.activate(&realm)?;
        same("X0", w.smc(&calling, &[INFO, 1, 0])?[0], 0)
    });
    registry.add("psci_affinity_info/destroyed", |w| {
        let (calling, target) = w.two()?;
        w.destroy_rec(target.pa)?;
        same("X0", w.smc(&calling, &[INFO, 1, 0])?[0], 1)
    });
    registry.add("psci_affinity_info/off/on_and_off_again", |w| {
        let (calling, target) = cpu_on_request(w)?;
        w.call(COMPLETE, &[calling.pa, 0])?.ok()?;
        returns(w, &calling, psci::SUCCESS)?;
        same("on", w.smc(&calling, &[INFO, 1, 0])?[0], 0)?;
        w.run(&target, &[smc(&[rsi::PSCI_CPU_OFF])])?;
        same("off", w.smc(&calling, &[INFO, 1, 0])?[0], 1)
    });
}

fn add_exits(registry: &mut Registry) {
    for (name, call) in [
        ("cpu_suspend", [rsi::PSCI_CPU_SUSPEND, 1, 0x1000, 7]),
        ("cpu_off", [rsi::PSCI_CPU_OFF, 0, 0, 0]),
        ("system_off", [rsi::PSCI_SYSTEM_OFF, 0, 0, 0]),
        ("system_reset", [rsi::PSCI_SYSTEM_RESET, 0, 0, 0]),
    ] {
        registry.add(format!("psci_exit/{name}"), move |w| {
            let rec = w.running()?;
            let exit = w.run(&rec, &[smc(&call)])?;
            same("reason", exit.exit_reason, exit_reason::PSCI)?;
            same("gprs[0]", exit.gprs[0], call[0])?;
            holds("and nothing else", exit.gprs[1..].iter().all(|value| *value == 0))
        });
    }
    registry.add("psci_exit/cpu_suspend/goes_on", |w| {
        let rec = w.running()?;
        w.run(&rec, &[smc(&[rsi::PSCI_CPU_SUSPEND, 0, 0, 0])])?;
        let results = w.answered(&rec, &RecEnter::default())?;
        same("X0", results[0], psci::SUCCESS)
    });
    registry.add("psci_exit/cpu_off/not_runnable", |w| {
        let rec = w.running()?;
        w.run(&rec, &[smc(&[rsi::PSCI_CPU_OFF])])?;
        w.enter_raw(&rec, &RecEnter::default())?.is(REC)?;
        Ok(())
    });
    registry.add("psci_version/success", |w| {
        let rec = w.running()?;
        match w.observe(&rec, &[smc(&[rsi::PSCI_VERSION])])?.as_slice() {
            [Observed::Smc(results)] => same("X0", results[0], 0x1_0001),
            other => fail(format!("observed {other:x?}")),
        }
    });
}
