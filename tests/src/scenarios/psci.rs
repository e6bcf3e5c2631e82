//! PSCI inside a Realm, and RMI_PSCI_COMPLETE.

use alloc::boxed::Box;
use alloc::format;

use super::arguments::Zoo;
use super::good::cpu_on_request;
use super::rec::off_as_after_reset;
use super::registry::Registry;
use crate::abi::{
    Command, INPUT, NOT_SUPPORTED, REALM_OFF, REC, RecEnter, RecExit, exit_reason, psci,
    realm_mpidr, rsi,
};
use crate::outcome::{Outcome, fail, holds, same};
use crate::program::{Action, El1, Observed};
use crate::rec::{Rec, idle_exit, smc};
use crate::world::World;

const COMPLETE: Command = Command::PsciComplete;
const CPU_ON: u64 = rsi::PSCI_CPU_ON;
const AFFINITY_INFO: u64 = rsi::PSCI_AFFINITY_INFO;
/// Bit 30 of a function identifier: the 64-bit form.
const SMC64: u64 = 0x4000_0000;

/// Another CPU's command returned this code and zeros.
#[track_caller]
fn replied(observed: &[Observed], code: u64) -> Outcome {
    let [Observed::Reply([x0, x1, x2, x3, x4, ..])] = observed else {
        return fail(format!("no reply but {observed:x?}"));
    };
    same("reply", [*x0, *x1, *x2, *x3, *x4], [code, 0, 0, 0, 0])
}

pub(super) fn add(registry: &mut Registry) {
    add_simple(registry);
    add_cpu_on(registry);
    add_affinity(registry);
    add_complete(registry);
    add_complete_refused(registry);
}

/// X0 of a call that returns at once; X1 to X3 must be zero.
fn code(w: &mut World<'_>, rec: &Rec, arguments: &[u64]) -> Outcome<u64> {
    let results = w.smc(rec, arguments)?;
    same("X1 to X3", results[1..4].to_vec(), [0; 3].to_vec())?;
    Ok(results[0])
}

fn psci_exit(gprs: &[u64]) -> RecExit {
    let mut exit = RecExit { exit_reason: exit_reason::PSCI, ..RecExit::default() };
    exit.gprs[..gprs.len()].copy_from_slice(gprs);
    exit
}

fn add_simple(registry: &mut Registry) {
    registry.add("psci_version/success", |w| {
        let rec = w.running()?;
        same("version", code(w, &rec, &[rsi::PSCI_VERSION, 1, 2, 3])?, 0x1_0001)?;
        let smccc = code(w, &rec, &[rsi::SMCCC_VERSION])?;
        holds("SMCCC 1.2 or a later 1.x", (0x1_0002..0x2_0000).contains(&smccc))
    });
    registry.add("psci_version/success/smccc", |w| {
        let rec = w.running()?;
        same("SMCCC", code(w, &rec, &[rsi::SMCCC_VERSION])?, 0x1_0002)
    });
    registry.add("psci_features/success", |w| {
        let rec = w.running()?;
        for fid in [
            rsi::SMCCC_VERSION,
            rsi::PSCI_VERSION,
            rsi::PSCI_CPU_SUSPEND,
            rsi::PSCI_CPU_OFF,
            CPU_ON,
            AFFINITY_INFO,
            rsi::PSCI_SYSTEM_OFF,
            rsi::PSCI_SYSTEM_RESET,
            rsi::PSCI_FEATURES,
        ] {
            same("supported", code(w, &rec, &[rsi::PSCI_FEATURES, fid])?, psci::SUCCESS)?;
        }
        for fid in
            [0x8400_000b, 0x8400_0005, 0x8400_0006, 0xc400_0012, 0, rsi::VERSION, 0xffff_ffff]
        {
            let queried = code(w, &rec, &[rsi::PSCI_FEATURES, fid])?;
            same("not supported", queried, NOT_SUPPORTED)?;
        }
        Ok(())
    });
    registry.add("psci_features/success/32_bit_forms", |w| {
        let rec = w.running()?;
        for fid in [rsi::PSCI_CPU_SUSPEND & !SMC64, CPU_ON & !SMC64, AFFINITY_INFO & !SMC64] {
            same("supported", code(w, &rec, &[rsi::PSCI_FEATURES, fid])?, psci::SUCCESS)?;
        }
        Ok(())
    });
    for (name, fid) in [("64", rsi::PSCI_CPU_SUSPEND), ("32", rsi::PSCI_CPU_SUSPEND & !SMC64)] {
        registry.add(format!("psci_cpu_suspend/success/{name}"), move |w| {
            let rec = w.running()?;
            let exit = w.run(&rec, &[smc(&[fid, 1, 0x2000, 3])])?;
            same("exit", exit, psci_exit(&[fid]))?;
            // No completion is needed.
            let observed =
                w.finish(&rec, &RecEnter { gprs: [0xbad; 31], ..RecEnter::default() })?;
            match observed.as_slice() {
                [Observed::Smc(results)] => same("X0", results[0], psci::SUCCESS),
                other => fail(format!("observed {other:x?}")),
            }
        });
    }
    for (name, fid) in [("off", rsi::PSCI_SYSTEM_OFF), ("reset", rsi::PSCI_SYSTEM_RESET)] {
        registry.add(format!("psci_system_{name}/success"), move |w| {
            let realm = w.realm()?;
            let first = w.rec(&realm, 0)?;
            let second = w.rec(&realm, 1)?;
            w.activate(&realm)?;
            same("exit", w.run(&first, &[smc(&[fid])])?, psci_exit(&[fid]))?;
            w.enter_raw(&first, &RecEnter::default())?.is(REALM_OFF)?;
            w.enter_raw(&second, &RecEnter::default())?.is(REALM_OFF)?;
            Ok(())
        });
    }
    registry.add("psci_cpu_off/success", |w| {
        let (calling, target) = cpu_on_request(w)?;
        w.call(COMPLETE, [calling.pa, target.pa, 0])?.ok()?;
        same(
            "exit",
            w.run(&target, &[smc(&[rsi::PSCI_CPU_OFF])])?,
            psci_exit(&[rsi::PSCI_CPU_OFF]),
        )?;
        w.enter_raw(&target, &RecEnter::default())?.is(REC)?;
        w.finish(&calling, &RecEnter::default())?;
        // It can be switched on again.
        w.run(&calling, &[smc(&[CPU_ON, realm_mpidr(1), calling.realm.entry(2), 0])])?;
        w.call(COMPLETE, [calling.pa, target.pa, 0])?.ok()?;
        same("exit", w.enter(&target)?, idle_exit())
    });
}

fn add_cpu_on(registry: &mut Registry) {
    for (name, fid) in [("64", CPU_ON), ("32", CPU_ON & !SMC64)] {
        registry.add(format!("psci_cpu_on/exit/{name}"), move |w| {
            let realm = w.realm()?;
            let rec = w.rec(&realm, 0)?;
            w.rec_off(&realm, 1)?;
            w.activate(&realm)?;
            // Entry point and context are not the Host's business.
            let exit = w.run(&rec, &[smc(&[fid, 1, 0x4000, 0x5ec3])])?;
            same("exit", exit, psci_exit(&[fid, 1]))
        });
    }
    registry.add("psci_cpu_on/entry_point_bound", |w| {
        let (rec, _) = two(w)?;
        for entry in [rec.realm.unprotected(), rec.realm.end(), u64::MAX] {
            let result = code(w, &rec, &[CPU_ON, 1, entry, 0])?;
            same("X0", result, psci::INVALID_ADDRESS)?;
        }
        Ok(())
    });
    registry.add("psci_cpu_on/entry_point_bound/of_no_target", |w| {
        let (rec, _) = two(w)?;
        let result = code(w, &rec, &[CPU_ON, 5, rec.realm.unprotected(), 0])?;
        same("X0", result, psci::INVALID_ADDRESS)
    });
    registry.add("psci_cpu_on/target_exists", |w| {
        let (rec, _) = two(w)?;
        for target in [2, 0x100, 1 << 32] {
            let result = code(w, &rec, &[CPU_ON, target, 0x4000, 0])?;
            same("X0", result, psci::INVALID_PARAMETERS)?;
        }
        Ok(())
    });
    registry.add("psci_cpu_on/target_exists/mpidr_bits_7_4", |w| {
        let (rec, _) = two(w)?;
        let result = code(w, &rec, &[CPU_ON, 0x11, 0x4000, 0])?;
        same("X0", result, psci::INVALID_PARAMETERS)
    });
    registry.add("psci_cpu_on/self_is_on", |w| {
        let (rec, _) = two(w)?;
        same("X0", code(w, &rec, &[CPU_ON, 0, 0x4000, 0])?, psci::ALREADY_ON)
    });
    registry.add("psci_cpu_on/target_exists/32_bit_arguments", |w| {
        let (rec, _) = two(w)?;
        let garbage = 0xdead_beef_0000_0000;
        let exit =
            w.run(&rec, &[smc(&[CPU_ON & !SMC64, garbage | 1, garbage | 0x4000, garbage | 7])])?;
        same("exit", exit, psci_exit(&[CPU_ON & !SMC64, 1]))
    });
}

/// An active Realm with a REC that runs and one that is off.
fn two(w: &mut World<'_>) -> Outcome<(Rec, Rec)> {
    let realm = w.realm()?;
    let on = w.rec(&realm, 0)?;
    let off = w.rec_off(&realm, 1)?;
    w.activate(&realm)?;
    Ok((on, off))
}

fn add_affinity(registry: &mut Registry) {
    for (name, fid) in [("64", AFFINITY_INFO), ("32", AFFINITY_INFO & !SMC64)] {
        registry.add(format!("psci_affinity_info/exit/{name}"), move |w| {
            let (rec, target) = two(w)?;
            same("exit", w.run(&rec, &[smc(&[fid, 1, 0])])?, psci_exit(&[fid, 1]))?;
            w.call(COMPLETE, [rec.pa, target.pa, 0])?.ok()?;
            let observed = w.finish(&rec, &RecEnter::default())?;
            completed(&observed, 1)
        });
    }
    registry.add("psci_affinity_info/level", |w| {
        let (rec, _) = two(w)?;
        for level in [1, 2, 3, u64::MAX] {
            let result = code(w, &rec, &[AFFINITY_INFO, 1, level])?;
            same("X0", result, psci::INVALID_PARAMETERS)?;
        }
        Ok(())
    });
    registry.add("psci_affinity_info/target_exists", |w| {
        let (rec, _) = two(w)?;
        same("X0", code(w, &rec, &[AFFINITY_INFO, 2, 0])?, psci::INVALID_PARAMETERS)
    });
    registry.add("psci_affinity_info/self_is_on", |w| {
        let (rec, _) = two(w)?;
        same("X0", code(w, &rec, &[AFFINITY_INFO, 0, 0])?, 0)
    });
}

/// The call returned X0, and zeros in X1 to X3.
fn completed(observed: &[Observed], x0: u64) -> Outcome {
    match observed.first() {
        Some(Observed::Smc(results)) => {
            same("X0 to X3", results[..4].to_vec(), [x0, 0, 0, 0].to_vec())
        }
        other => fail(format!("observed {other:x?}")),
    }
}

fn add_complete(registry: &mut Registry) {
    registry.add("psci_complete/success/cpu_on", |w| {
        let realm = w.realm()?;
        let calling = w.rec(&realm, 0)?;
        let target = w.rec_off(&realm, 1)?;
        w.activate(&realm)?;
        let big_endian = 0xc5_0878 | 1 << 25;
        let call = smc(&[CPU_ON, realm_mpidr(1), realm.entry(1), 0x77]);
        w.run(&calling, &[Action::SetEl1(El1::Sctlr, big_endian), call])?;
        w.enter_raw(&calling, &RecEnter::default())?.is(REC)?;
        w.enter_raw(&target, &RecEnter::default())?.is(REC)?;
        w.call(COMPLETE, [calling.pa, target.pa, 0])?.ok()?;
        completed(&w.finish(&calling, &RecEnter { gprs: [0xbad; 31], ..RecEnter::default() })?, 0)?;
        let actions =
            [Action::State, Action::Gprs, Action::El1(El1::Sctlr), Action::El1(El1::VmPidr)];
        let observed = w.observe(&target, &actions)?;
        let [state, seen_gprs, Observed::Value(sctlr), vmpidr] = observed.as_slice() else {
            return fail(format!("observed {observed:x?}"));
        };
        let mut gprs = Box::new([0; 31]);
        gprs[0] = 0x77;
        same("the target", state, &Observed::State(realm.entry(1), 0x3c5))?;
        same("the target", seen_gprs, &Observed::Gprs(gprs))?;
        same("the target", vmpidr, &Observed::Value(1 << 31 | 1))?;
        same("the caller's endianness", sctlr >> 25 & 1, 1)?;
        off_as_after_reset(&observed[2])
    });
    registry.add("psci_complete/success/cpu_on_sctlr", |w| {
        // The caller's endianness, and nothing else of it.
        let (calling, target) = two(w)?;
        let big_endian = 0xc5_0878 | 1 << 25;
        let call = smc(&[CPU_ON, 1, calling.realm.entry(1), 0]);
        w.run(&calling, &[Action::SetEl1(El1::Sctlr, big_endian | 1 << 19), call])?;
        w.call(COMPLETE, [calling.pa, target.pa, 0])?.ok()?;
        let observed = w.observe(&target, &[Action::El1(El1::Sctlr)])?;
        same("SCTLR_EL1", observed, [Observed::Value(big_endian)].into())
    });
    registry.add("psci_complete/success/cpu_on_resets_what_the_target_had", |w| {
        let (calling, target) = switched_on_again(w)?;
        let observed = w.observe(&target, &[Action::State, Action::Gprs])?;
        let mut gprs = Box::new([0; 31]);
        gprs[0] = 0x88;
        let expected = [Observed::State(calling.realm.entry(2), 0x3c5), Observed::Gprs(gprs)];
        same("the target", observed, expected.into())
    });
    registry.add("psci_complete/success/cpu_on_resets_el1_registers", |w| {
        let (_, target) = switched_on_again(w)?;
        let observed = w.observe(&target, &[Action::El1(El1::Vbar), Action::El1(El1::Tpidr)])?;
        same("the target", observed, [Observed::Value(0), Observed::Value(0)].into())
    });
    registry.add("psci_complete/success/cpu_on_already_on", |w| {
        let realm = w.realm()?;
        let calling = w.rec(&realm, 0)?;
        let target = w.rec(&realm, 1)?;
        w.activate(&realm)?;
        w.run(&calling, &[smc(&[CPU_ON, 1, realm.entry(1), 0x77])])?;
        w.call(COMPLETE, [calling.pa, target.pa, 0])?.ok()?;
        completed(&w.finish(&calling, &RecEnter::default())?, psci::ALREADY_ON)?;
        same(
            "untouched",
            w.observe(&target, &[Action::State])?,
            [Observed::State(realm.entry(0), 0x3c5)].into(),
        )
    });
    registry.add("psci_complete/success/denied", |w| {
        let (calling, target) = cpu_on_request(w)?;
        w.call(COMPLETE, [calling.pa, target.pa, psci::DENIED])?.ok()?;
        completed(&w.finish(&calling, &RecEnter::default())?, psci::DENIED)?;
        w.enter_raw(&target, &RecEnter::default())?.is(REC)?;
        Ok(())
    });
    registry.add("psci_complete/success/two_callers", |w| {
        let realm = w.realm()?;
        let first = w.rec(&realm, 0)?;
        let target = w.rec_off(&realm, 1)?;
        let second = w.rec(&realm, 2)?;
        w.activate(&realm)?;
        w.run(&first, &[smc(&[CPU_ON, 1, realm.entry(1), 1])])?;
        w.run(&second, &[smc(&[CPU_ON, 1, realm.entry(2), 2])])?;
        w.call(COMPLETE, [second.pa, target.pa, 0])?.ok()?;
        w.call(COMPLETE, [first.pa, target.pa, 0])?.ok()?;
        completed(&w.finish(&second, &RecEnter::default())?, psci::SUCCESS)?;
        completed(&w.finish(&first, &RecEnter::default())?, psci::ALREADY_ON)?;
        same(
            "entry",
            w.observe(&target, &[Action::State])?,
            [Observed::State(realm.entry(2), 0x3c5)].into(),
        )
    });
    for (name, on, expected) in [("on", true, 0), ("off", false, 1)] {
        registry.add(format!("psci_complete/success/affinity_info_{name}"), move |w| {
            let realm = w.realm()?;
            let calling = w.rec(&realm, 0)?;
            let target = if on { w.rec(&realm, 1)? } else { w.rec_off(&realm, 1)? };
            w.activate(&realm)?;
            w.run(&calling, &[smc(&[AFFINITY_INFO, 1, 0])])?;
            w.call(COMPLETE, [calling.pa, target.pa, 0])?.ok()?;
            completed(&w.finish(&calling, &RecEnter::default())?, expected)
        });
    }
    for (name, fid, expected) in
        [("cpu_on", CPU_ON, psci::ALREADY_ON), ("affinity_info", AFFINITY_INFO, 0)]
    {
        registry.add(format!("psci_complete/success/{name}_target_running"), move |w| {
            let realm = w.realm()?;
            let calling = w.rec(&realm, 0)?;
            let target = w.rec(&realm, 1)?;
            w.activate(&realm)?;
            let entry = if fid == CPU_ON { 0x4000 } else { 0 };
            w.run(&calling, &[smc(&[fid, 1, entry, 0])])?;
            let call = [COMPLETE.fid(), calling.pa, target.pa, 0, 0, 0, 0, 0];
            let observed = w.observe(&target, &[Action::Meanwhile(call)])?;
            replied(&observed, 0)?;
            completed(&w.finish(&calling, &RecEnter::default())?, expected)
        });
    }
}

/// A REC that has used its registers, has switched itself off, and is on again by the first.
fn switched_on_again(w: &mut World<'_>) -> Outcome<(Rec, Rec)> {
    let (calling, target) = cpu_on_request(w)?;
    w.call(COMPLETE, [calling.pa, target.pa, 0])?.ok()?;
    let actions = [
        Action::SetGprs(Box::new([0x5ec3; 31])),
        Action::SetEl1(El1::Vbar, 0x8000),
        Action::SetEl1(El1::Tpidr, 9),
        smc(&[rsi::PSCI_CPU_OFF]),
    ];
    w.run(&target, &actions)?;
    w.finish(&calling, &RecEnter::default())?;
    w.run(&calling, &[smc(&[CPU_ON, realm_mpidr(1), calling.realm.entry(2), 0x88])])?;
    w.call(COMPLETE, [calling.pa, target.pa, 0])?.ok()?;
    Ok((calling, target))
}

fn add_complete_refused(registry: &mut Registry) {
    registry.add("psci_complete/alias", |w| {
        let (calling, target) = cpu_on_request(w)?;
        w.call(COMPLETE, [calling.pa, calling.pa, 0])?.is(INPUT)?;
        w.call(COMPLETE, [target.pa, target.pa, 0])?.is(INPUT)?;
        w.call(COMPLETE, [calling.pa, target.pa, 0])?.ok()?;
        Ok(())
    });
    registry.add("psci_complete/pending", |w| {
        let (calling, target) = cpu_on_request(w)?;
        w.call(COMPLETE, [target.pa, calling.pa, 0])?.is(INPUT)?;
        w.call(COMPLETE, [calling.pa, target.pa, 0])?.ok()?;
        // Only once.
        w.call(COMPLETE, [calling.pa, target.pa, 0])?.is(INPUT)?;
        Ok(())
    });
    registry.add("psci_complete/pending/after_other_exits", |w| {
        let (calling, target) = two(w)?;
        w.run(&calling, &[smc(&[rsi::PSCI_CPU_SUSPEND])])?;
        w.call(COMPLETE, [calling.pa, target.pa, 0])?.is(INPUT)?;
        Ok(())
    });
    registry.add("psci_complete/owner", |w| {
        let (calling, target) = cpu_on_request(w)?;
        let (_, stranger) = cpu_on_request(w)?;
        w.call(COMPLETE, [calling.pa, stranger.pa, 0])?.is(INPUT)?;
        w.call(COMPLETE, [calling.pa, target.pa, 0])?.ok()?;
        Ok(())
    });
    registry.add("psci_complete/target", |w| {
        let realm = w.realm()?;
        let calling = w.rec(&realm, 0)?;
        let target = w.rec_off(&realm, 1)?;
        let other = w.rec_off(&realm, 2)?;
        w.activate(&realm)?;
        w.run(&calling, &[smc(&[CPU_ON, 1, 0x4000, 0])])?;
        w.call(COMPLETE, [calling.pa, other.pa, 0])?.is(INPUT)?;
        w.call(COMPLETE, [calling.pa, target.pa, 0])?.ok()?;
        Ok(())
    });
    registry.add("psci_complete/target/upper_affinities", |w| {
        let realm = w.realm()?;
        let calling = w.rec(&realm, 0)?;
        let mut target = calling;
        for index in 1..=17 {
            target = w.rec_off(&realm, index)?;
        }
        w.activate(&realm)?;
        let exit = w.run(&calling, &[smc(&[CPU_ON, realm_mpidr(17), 0x4000, 0])])?;
        same("the target", exit.gprs[..2].to_vec(), [CPU_ON, 0x101].to_vec())?;
        w.call(COMPLETE, [calling.pa, target.pa, 0])?.ok()?;
        Ok(())
    });
    registry.add("psci_complete/status", |w| {
        let (calling, target) = cpu_on_request(w)?;
        for status in [
            1,
            psci::NOT_SUPPORTED,
            psci::INVALID_PARAMETERS,
            psci::ALREADY_ON,
            psci::INVALID_ADDRESS,
            0xffff_fffd,
        ] {
            w.call(COMPLETE, [calling.pa, target.pa, status])?.is(INPUT)?;
        }
        w.call(COMPLETE, [calling.pa, target.pa, 0])?.ok()?;
        Ok(())
    });
    registry.add("psci_complete/status/denied_affinity_info", |w| {
        let (calling, target) = two(w)?;
        w.run(&calling, &[smc(&[AFFINITY_INFO, 1, 0])])?;
        w.call(COMPLETE, [calling.pa, target.pa, psci::DENIED])?.is(INPUT)?;
        w.call(COMPLETE, [calling.pa, target.pa, 0])?.ok()?;
        Ok(())
    });
    registry.add("psci_complete/status/denied_target_on", |w| {
        let realm = w.realm()?;
        let calling = w.rec(&realm, 0)?;
        let target = w.rec(&realm, 1)?;
        w.activate(&realm)?;
        w.run(&calling, &[smc(&[CPU_ON, 1, 0x4000, 0])])?;
        w.call(COMPLETE, [calling.pa, target.pa, psci::DENIED])?.is(INPUT)?;
        // Without effect: the caller still waits.
        w.enter_raw(&calling, &RecEnter::default())?.is(REC)?;
        w.call(COMPLETE, [calling.pa, target.pa, 0])?.ok()?;
        completed(&w.finish(&calling, &RecEnter::default())?, psci::ALREADY_ON)
    });
    registry.add("psci_complete/status/denied_target_running", |w| {
        let realm = w.realm()?;
        let calling = w.rec(&realm, 0)?;
        let target = w.rec(&realm, 1)?;
        w.activate(&realm)?;
        w.run(&calling, &[smc(&[CPU_ON, 1, 0x4000, 0])])?;
        let call = [COMPLETE.fid(), calling.pa, target.pa, psci::DENIED, 0, 0, 0, 0];
        let observed = w.observe(&target, &[Action::Meanwhile(call)])?;
        replied(&observed, INPUT)
    });
    registry.add("psci_complete/target_state/destroyed", |w| {
        let (calling, target) = cpu_on_request(w)?;
        let zoo = Zoo::new(w)?;
        w.call(Command::RecDestroy, [target.pa])?.ok()?;
        w.call(COMPLETE, [calling.pa, target.pa, 0])?.is(INPUT)?;
        w.call(COMPLETE, [calling.pa, zoo.rec.pa, 0])?.is(INPUT)?;
        w.enter_raw(&calling, &RecEnter::default())?.is(REC)?;
        Ok(())
    });
    registry.add("psci_cpu_on/target_exists/destroyed", |w| {
        let (calling, target) = two(w)?;
        w.call(Command::RecDestroy, [target.pa])?.ok()?;
        let exit = w.run(&calling, &[smc(&[CPU_ON, 1, 0x4000, 0])])?;
        holds("no request that nobody can complete", exit.exit_reason != exit_reason::PSCI)
    });
}
