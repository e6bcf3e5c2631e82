//! RMI_REC_CREATE, RMI_REC_DESTROY, and the checks of RMI_REC_ENTER.

use alloc::boxed::Box;
use alloc::format;

use super::arguments::{Kind, Zoo};
use super::good::{cpu_on_request, good};
use super::registry::Registry;
use crate::abi::{
    Command, INPUT, REALM, REC, RecEnter, RecParams, enter_flags, exit_reason, realm_mpidr,
    rec_mpidr, rsi,
};
use crate::need::Need;
use crate::outcome::{Outcome, fail, holds, missing, same};
use crate::program::{Action, El1, Observed};
use crate::rec::{Rec, smc};
use crate::world::World;

pub(super) fn add(registry: &mut Registry) {
    add_create(registry);
    add_index(registry);
    add_aux(registry);
    add_destroy(registry);
    add_while_running(registry);
    add_enter(registry);
}

/// REC_CREATE with changed parameters returns `code`, and with the original ones succeeds.
fn refused(w: &mut World<'_>, code: u64, change: impl Fn(&mut RecParams)) -> Outcome {
    let realm = w.realm()?;
    let rec = w.delegated()?;
    let good = w.rec_params(&realm, 0)?;
    let mut bad = good.clone();
    change(&mut bad);
    let page = w.params(&bad.to_page());
    w.call(Command::RecCreate, [realm.rd, rec, page])?.is(code)?;
    let page = w.params(&good.to_page());
    w.call(Command::RecCreate, [realm.rd, rec, page])?.ok()?;
    Ok(())
}

fn add_create(registry: &mut Registry) {
    registry.add("rec_create/success", |w| {
        let realm = w.realm()?;
        let params = RecParams {
            pc: realm.entry(3),
            gprs: [1, 2, 3, 4, 5, 6, 7, 0xffff_0000_1234_5678],
            ..w.rec_params(&realm, 0)?
        };
        let rec = w.rec_with(&realm, 0, &params)?;
        w.activate(&realm)?;
        let actions =
            [Action::State, Action::Gprs, Action::El1(El1::VmPidr), Action::El1(El1::Sctlr)];
        let observed = w.observe(&rec, &actions)?;
        let mut gprs = Box::new([0; 31]);
        gprs[..8].copy_from_slice(&params.gprs);
        let expected = [
            Observed::State(realm.entry(3), 0x3c5),
            Observed::Gprs(gprs),
            Observed::Value(1 << 31),
        ];
        same("registers at the start", &observed[..3], expected.as_slice())?;
        off_as_after_reset(&observed[3])
    });
    registry.add("rec_create/success/sctlr", |w| {
        let realm = w.realm()?;
        let rec = w.rec(&realm, 0)?;
        w.activate(&realm)?;
        let observed = w.observe(&rec, &[Action::El1(El1::Sctlr)])?;
        same("SCTLR_EL1", observed, [Observed::Value(0xc5_0878)].into())
    });
    registry.add("rec_create/success/sbz_bits_ignored", |w| {
        let realm = w.realm()?;
        let params = RecParams { flags: u64::MAX, ..w.rec_params(&realm, 0)? };
        let rec = w.rec_with(&realm, 0, &params)?;
        w.activate(&realm)?;
        same("exit", w.enter(&rec)?.exit_reason, exit_reason::IRQ)
    });
    registry.add("rec_create/num_recs", |w| {
        let (realm, next) = full_realm(w)?;
        let rec = w.delegated()?;
        let params = w.rec_params(&realm, next)?;
        let page = w.params(&params.to_page());
        w.call(Command::RecCreate, [realm.rd, rec, page])?.is(REALM)?;
        Ok(())
    });
    for (first, bound) in [("rd_bound", true), ("rd_state", false)] {
        registry.add(format!("rec_create/order/{first}_before_num_recs"), move |w| {
            let (realm, next) = full_realm(w)?;
            let rec = w.delegated()?;
            let params = w.rec_params(&realm, next)?;
            let page = w.params(&params.to_page());
            let device = w.place(crate::port::Place::Device).unwrap_or(1 << 52);
            let rd = if bound { device } else { w.delegated()? };
            w.call(Command::RecCreate, [rd, rec, page])?.is(INPUT)?;
            w.call(Command::RecCreate, [realm.rd, rec, page])?.is(REALM)?;
            Ok(())
        });
    }
}

/// SCTLR_EL1 has MMU and caches off: what a CPU guarantees after a reset. Most other fields are
/// UNKNOWN then.
///
/// Source: Arm ARM (DDI0487), SCTLR_EL1, fields M, C and I.
pub(super) fn off_as_after_reset(sctlr: &Observed) -> Outcome {
    match sctlr {
        Observed::Value(value) => same("M, C, I", value & (1 | 1 << 2 | 1 << 12), 0),
        other => fail(format!("observed {other:x?}")),
    }
}

/// A Realm with as many RECs as it can have, and the index that one more would have.
fn full_realm(w: &mut World<'_>) -> Outcome<(crate::world::Realm, u64)> {
    let [features, ..] = w.call(Command::Features, [0])?.ok()?.outputs;
    let most = (1 << (features >> 38 & 15)) - 1;
    let realm = w.realm()?;
    for index in 0..most {
        w.rec(&realm, index)?;
    }
    Ok((realm, most))
}

fn add_index(registry: &mut Registry) {
    registry.add("rec_create/mpidr_index", |w| refused(w, INPUT, |p| p.mpidr = 1));
    for mpidr in [0xf, 0x100, 0x1_0000, 0x100_0000] {
        let name = format!("rec_create/mpidr_index/{mpidr:#x}");
        registry.add(name, move |w| refused(w, INPUT, |p| p.mpidr = mpidr));
    }
    registry.add("rec_create/mpidr_index/reserved_bits", |w| {
        refused(w, INPUT, |p| p.mpidr = 1 << 4)?;
        refused(w, INPUT, |p| p.mpidr = 1 << 32)
    });
    registry.add("rec_create/mpidr_index/no_gaps_and_never_again", |w| {
        let realm = w.realm()?;
        let first = w.rec(&realm, 0)?;
        let second = w.rec(&realm, 1)?;
        w.call(Command::RecDestroy, [first.pa])?.ok()?;
        w.call(Command::RecDestroy, [second.pa])?.ok()?;
        // Destroyed indices do not come back.
        for index in [0, 1, 3] {
            let params = w.rec_params(&realm, index)?;
            let page = w.params(&params.to_page());
            w.call(Command::RecCreate, [realm.rd, first.pa, page])?.is(INPUT)?;
        }
        w.rec(&realm, 2)?;
        Ok(())
    });
    registry.add("rec_create/success/index_16_is_aff1", |w| {
        let realm = w.realm()?;
        let mut last = None;
        for index in 0..18 {
            last = Some(w.rec(&realm, index)?);
        }
        w.activate(&realm)?;
        let Some(rec) = last else { return fail("no REC") };
        same("RmiRecMpidr of 17", rec_mpidr(17), 0x101)?;
        let observed = w.observe(&rec, &[Action::El1(El1::VmPidr)])?;
        same("MPIDR", observed, [Observed::Value(1 << 31 | realm_mpidr(17))].into())
    });
}

/// Ends a scenario about auxiliary granules where a REC needs none.
fn has_aux(w: &mut World<'_>) -> Outcome {
    let realm = w.realm()?;
    match w.call(Command::RecAuxCount, [realm.rd])?.ok()?.outputs {
        [0, ..] => missing(Need::AuxiliaryGranule),
        _ => Ok(()),
    }
}

/// The auxiliary granules of a REC with these parameters.
fn auxiliary(params: &RecParams) -> impl Iterator<Item = u64> {
    params.aux.into_iter().take(usize::try_from(params.num_aux).unwrap_or(0))
}

/// The places in `aux` that a REC of an ordinary Realm uses; ends the scenario where a REC needs
/// none.
fn places(w: &mut World<'_>) -> Outcome<core::ops::Range<usize>> {
    has_aux(w)?;
    let realm = w.realm()?;
    let params = w.rec_params(&realm, 0)?;
    Ok(0..auxiliary(&params).count())
}

fn add_aux(registry: &mut Registry) {
    registry.add("rec_create/num_aux", |w| {
        refused(w, INPUT, |p| p.num_aux += 1)?;
        refused(w, INPUT, |p| p.num_aux = p.num_aux.wrapping_sub(1))?;
        refused(w, INPUT, |p| p.num_aux = 17)?;
        refused(w, INPUT, |p| p.num_aux = u64::MAX)?;
        refused(w, INPUT, |p| p.num_aux |= 1 << 32)
    });
    registry.add("rec_create/aux_align", |w| {
        for place in places(w)? {
            refused(w, INPUT, |p| p.aux[place] += 1)?;
            refused(w, INPUT, |p| p.aux[place] += 0x800)?;
        }
        Ok(())
    });
    registry.add("rec_create/aux_alias", |w| {
        let realm = w.realm()?;
        let rec = w.delegated()?;
        has_aux(w)?;
        let mut params = w.rec_params(&realm, 0)?;
        let good = params.aux;
        let granules = &good[..usize::try_from(params.num_aux).unwrap_or(0)];
        for place in 0..granules.len() {
            // An auxiliary granule that is the REC, the RD, or one of the others.
            let others = granules.iter().enumerate().filter(|(other, _)| *other != place);
            for taken in others.map(|(_, pa)| *pa).chain([rec, realm.rd]) {
                params.aux = good;
                params.aux[place] = taken;
                let page = w.params(&params.to_page());
                w.call(Command::RecCreate, [realm.rd, rec, page])?.is(INPUT)?;
            }
        }
        params.aux = good;
        let page = w.params(&params.to_page());
        w.call(Command::RecCreate, [realm.rd, rec, page])?.ok()?;
        Ok(())
    });
    registry.add("rec_create/aux_state", |w| {
        has_aux(w)?;
        let zoo = Zoo::new(w)?;
        let kinds = [Kind::Undelegated, Kind::Rd, Kind::Rec, Kind::RecAux, Kind::Data, Kind::Table];
        for kind in kinds.into_iter().chain([Kind::StartTable]) {
            let granule = zoo.granule(kind);
            for place in places(w)? {
                refused(w, INPUT, |p| p.aux[place] = granule)?;
            }
        }
        for address in super::arguments::not_delegable(w) {
            for place in places(w)? {
                refused(w, INPUT, |p| p.aux[place] = address)?;
            }
        }
        Ok(())
    });
    registry.add("rec_create/failure_gives_aux_back", |w| {
        let realm = w.realm()?;
        let params = RecParams { mpidr: 5, ..w.rec_params(&realm, 0)? };
        let rec = w.delegated()?;
        let page = w.params(&params.to_page());
        w.call(Command::RecCreate, [realm.rd, rec, page])?.is(INPUT)?;
        for aux in auxiliary(&params) {
            w.call(Command::GranuleUndelegate, [aux])?.ok()?;
        }
        w.call(Command::GranuleUndelegate, [rec])?.ok()?;
        Ok(())
    });
}

fn add_destroy(registry: &mut Registry) {
    registry.add("rec_destroy/success", |w| {
        let realm = w.realm()?;
        let params = w.rec_params(&realm, 0)?;
        let rec = w.rec_with(&realm, 0, &params)?;
        for aux in auxiliary(&params) {
            w.call(Command::GranuleUndelegate, [aux])?.is(INPUT)?;
        }
        w.call(Command::RecDestroy, [rec.pa])?.ok()?;
        w.call(Command::RecDestroy, [rec.pa])?.is(INPUT)?;
        w.call(Command::GranuleUndelegate, [rec.pa])?.ok()?;
        for aux in auxiliary(&params) {
            w.call(Command::GranuleUndelegate, [aux])?.ok()?;
        }
        Ok(())
    });
    registry.add("rec_destroy/success/with_requests_pending", |w| {
        let (calling, target) = cpu_on_request(w)?;
        w.call(Command::RecDestroy, [calling.pa])?.ok()?;
        w.call(Command::RecDestroy, [target.pa])?.ok()?;
        let waiting = good(w, Command::RttSetRipas)?;
        w.call(Command::RecDestroy, [waiting.arguments[1]])?.ok()?;
        // The Realm lives on without RECs.
        w.call(Command::RttSetRipas, [waiting.arguments[0], waiting.arguments[1], 0, 0x1000])?
            .is(INPUT)?;
        Ok(())
    });
}

/// Sends a command from another CPU while the REC runs; what it returned.
fn while_running(
    w: &mut World<'_>,
    rec: &Rec,
    command: Command,
    arguments: &[u64],
) -> Outcome<[u64; 5]> {
    let mut call = [0; 8];
    call[0] = command.fid();
    call[1..=arguments.len()].copy_from_slice(arguments);
    let observed = w.observe(rec, &[Action::Meanwhile(call)])?;
    match observed.as_slice() {
        [Observed::Reply([x0, x1, x2, x3, x4, ..])] => Ok([*x0, *x1, *x2, *x3, *x4]),
        other => fail(format!("no reply but {other:x?}")),
    }
}

fn add_while_running(registry: &mut Registry) {
    registry.add("rec_destroy/rec_state", |w| {
        let rec = w.running()?;
        let [code, ..] = while_running(w, &rec, Command::RecDestroy, &[rec.pa])?;
        same("code", code, REC)?;
        w.call(Command::RecDestroy, [rec.pa])?.ok()?;
        Ok(())
    });
    registry.add("rec_enter/rec_state", |w| {
        let rec = w.running()?;
        let run = w.page(&[0; 512]);
        let [code, ..] = while_running(w, &rec, Command::RecEnter, &[rec.pa, run])?;
        same("code", code, REC)?;
        same("nothing written", w.port.read_page(run), [0; 512])
    });
    for (first, index, offset) in [("run_align", 1, 8), ("rec_align", 0, 1)] {
        registry.add(format!("rec_enter/order/{first}_before_rec_state"), move |w| {
            let rec = w.running()?;
            let mut arguments = [rec.pa, rec.run];
            arguments[index] += offset;
            let [code, ..] = while_running(w, &rec, Command::RecEnter, &arguments)?;
            same("code", code, INPUT)
        });
    }
    for (first, index) in
        [("run_bound", 1), ("run_pas", 1), ("rec_bound", 0), ("rec_gran_state", 0)]
    {
        registry.add(format!("rec_enter/order/{first}_before_rec_state"), move |w| {
            let rec = w.running()?;
            let mut arguments = [rec.pa, rec.run];
            let device = w.place(crate::port::Place::Device).unwrap_or(1 << 52);
            arguments[index] = if first.ends_with("bound") { device } else { w.delegated()? };
            let [code, ..] = while_running(w, &rec, Command::RecEnter, &arguments)?;
            same("code", code, INPUT)
        });
    }
    registry.add("rtt_set_ripas/rec_state", |w| {
        let rec = w.running()?;
        let arguments = [rec.realm.rd, rec.pa, 0, 0x1000];
        let [code, ..] = while_running(w, &rec, Command::RttSetRipas, &arguments)?;
        same("code", code, REC)
    });
    for (first, index, bound) in [("rec_bound", 1, true), ("rec_gran_state", 1, false)] {
        registry.add(format!("rtt_set_ripas/order/{first}_before_rec_state"), move |w| {
            let rec = w.running()?;
            let mut arguments = [rec.realm.rd, rec.pa, 0, 0x1000];
            let device = w.place(crate::port::Place::Device).unwrap_or(1 << 52);
            arguments[index] = if bound { device } else { w.delegated()? };
            let [code, ..] = while_running(w, &rec, Command::RttSetRipas, &arguments)?;
            same("code", code, INPUT)
        });
    }
    for (first, bound) in [("rec_bound", true), ("rec_gran_state", false)] {
        registry.add(format!("rec_destroy/order/{first}_before_rec_state"), move |w| {
            let rec = w.running()?;
            let device = w.place(crate::port::Place::Device).unwrap_or(1 << 52);
            let wrong = if bound { device } else { w.delegated()? };
            let [code, ..] = while_running(w, &rec, Command::RecDestroy, &[wrong])?;
            same("code", code, INPUT)
        });
    }
    registry.add("psci_complete/pending/caller_running", |w| {
        let rec = w.running()?;
        let zoo = Zoo::new(w)?;
        let arguments = [rec.pa, zoo.rec.pa, 0];
        let [code, ..] = while_running(w, &rec, Command::PsciComplete, &arguments)?;
        same("code", code, INPUT)
    });
    registry.add("realm_destroy/realm_live/rec_running", |w| {
        let rec = w.running()?;
        let [code, ..] = while_running(w, &rec, Command::RealmDestroy, &[rec.realm.rd])?;
        same("code", code, REALM)
    });
}

fn add_enter(registry: &mut Registry) {
    registry.add("rec_enter/success", |w| {
        let rec = w.running()?;
        for _ in 0..3 {
            same("exit", w.enter(&rec)?, crate::rec::idle_exit())?;
        }
        Ok(())
    });
    registry.add("rec_enter/success/reserved_flags_ignored", |w| {
        let rec = w.running()?;
        let exit = w.enter_with(&rec, &RecEnter::flags(u64::MAX << 5))?;
        same("exit", exit, crate::rec::idle_exit())
    });
    registry
        .add("rec_enter/run_pas/exit_cannot_be_written", |w| {
            let rec = w.running()?;
            // 50 words are read; the first of the exit page faults.
            w.arm(crate::port::Mishap::HostFault(50))?;
            w.enter_raw(&rec, &RecEnter::default())?.is(INPUT)?;
            w.enter(&rec)?;
            Ok(())
        })
        .needs(Need::HostFault);
    registry.add("rec_enter/failure_writes_no_exit", |w| {
        let rec = w.running()?;
        let enter = RecEnter::flags(enter_flags::EMUL_MMIO);
        w.enter_raw(&rec, &enter)?.is(REC)?;
        let page = w.port.read_page(rec.run);
        holds("exit half untouched", page[256..].iter().all(|&word| word == 0xa5a5_a5a5_a5a5_a5a5))
    });
    registry.add("rec_enter/rec_runnable/after_cpu_off", |w| {
        let rec = w.running()?;
        let exit = w.run(&rec, &[smc(&[rsi::PSCI_CPU_OFF])])?;
        same("exit", (exit.exit_reason, exit.gprs[0]), (exit_reason::PSCI, rsi::PSCI_CPU_OFF))?;
        w.enter_raw(&rec, &RecEnter::default())?.is(REC)?;
        Ok(())
    });
    registry.add("rec_enter/hints/sve", |w| {
        let rec = w.running()?;
        let call = [Command::RecEnter.fid() | 1 << 16, rec.pa, rec.run, 0, 0, 0, 0, 0];
        let reply = w.port.call(call);
        same("X0", reply.map(|[code, ..]| code), Some(0))
    });
}
