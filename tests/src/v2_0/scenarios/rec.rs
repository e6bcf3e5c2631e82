//! Creation, entry and destruction of RECs.

use alloc::format;
use alloc::vec::Vec;

use super::super::abi::{Command, GLOBAL, INCOMPLETE, INPUT, REALM, REC, Wants};
use super::super::pages::{RecEnter, RecParams, enter_flags, exit_reason, idle_exit, mpidr};
use super::super::registry::Registry;
use super::super::world::PAGE;
use super::good::{cpu_on_request, good};
use crate::abi::rsi;
use crate::need::Need;
use crate::outcome::{holds, same};
use crate::port::Mishap;
use crate::program::{Action, Observed};
use crate::rec::smc;

pub(super) fn add(registry: &mut Registry) {
    add_create(registry);
    add_mpidrs(registry);
    add_destroy(registry);
    add_enter(registry);
    add_orders(registry);
}

fn add_create(registry: &mut Registry) {
    registry
        .add("rec_create/success/asks_first", |w| {
            let call = good(w, Command::RecCreate)?;
            let reply = w.call(call.command, &call.arguments)?;
            reply.wants(Wants::Donation)?;
            holds("a handle in X1, a request in X2", reply.x[2] != 0)?;
            w.finish(reply.handle())?.ok()?;
            Ok(())
        })
        .reading("REC_CREATE asks for at least one granule, as tf-a-tests insist (OQ-9)");
    registry
        .add("rec_destroy/success/gives_back_first", |w| {
            let call = good(w, Command::RecDestroy)?;
            let reply = w.call(call.command, &call.arguments)?.wants(Wants::Reclaim)?;
            // The REC is there until the end.
            let rec = call.arguments[0];
            let codes = [super::super::abi::BLOCKED, INPUT];
            w.complete(Command::RangeUndelegate, &[rec, rec + PAGE])?.one_of(&codes)?;
            w.finish(reply.handle())?.ok()?;
            w.is_delegated(rec)
        })
        .reading("REC_DESTROY gives back at least one granule, as tf-a-tests insist (OQ-9)");
    registry.add("rec_create/success/gprs_and_pc", |w| {
        let realm = w.realm()?;
        let gprs = core::array::from_fn(|number| 0x1111 * (number as u64 + 1));
        let params = RecParams { flags: 1, mpidr: 0, pc: realm.entry(3), gprs };
        let rec = w.rec_with(&realm, &params)?;
        w.activate(&realm)?;
        let observed = w.observe(&rec, &[Action::State, Action::Gprs])?;
        let [Observed::State(pc, pstate), Observed::Gprs(seen)] = observed.as_slice() else {
            return crate::outcome::fail(format!("observed {observed:x?}"));
        };
        same("PC, PSTATE", (*pc, *pstate), (realm.entry(3), 0x3c5))?;
        same("X0 to X7", &seen[..8], &gprs)?;
        holds("the others are zero", seen[8..].iter().all(|value| *value == 0))
    });
    registry.add("rec_create/success/fields_of_1_0_are_ignored", |w| {
        let realm = w.realm()?;
        let rec = w.delegated()?;
        let mut page = w.rec_params(&realm, 0).to_page();
        for word in page.iter_mut().skip(0x800 / 8) {
            *word = u64::MAX;
        }
        let page = w.page(&page);
        w.ok(Command::RecCreate, &[realm.rd, rec, page])?;
        Ok(())
    });
    registry.add("rec_create/realm_state", |w| {
        let call = good(w, Command::RecCreate)?;
        w.call(Command::RealmActivate, &[call.arguments[0]])?.ok()?;
        w.fails(call.command, &call.arguments, REALM)
    });
    registry.add("rec_create/early/bad_mpidr_without_a_handle", |w| {
        let realm = w.realm()?;
        w.rec(&realm, 0)?;
        let rec = w.delegated()?;
        let page = w.page(&w.rec_params(&realm, 0).to_page());
        let reply = w.call(Command::RecCreate, &[realm.rd, rec, page])?;
        holds("no memory is asked for in vain", reply.status() != INCOMPLETE)?;
        reply.is(INPUT)?;
        Ok(())
    });
    registry
        .add("rec_create/params_pas/late_fault", |w| {
            let call = good(w, Command::RecCreate)?;
            w.arm(Mishap::HostFault(5))?;
            w.fails(call.command, &call.arguments, INPUT)?;
            call.succeeds(w)?;
            Ok(())
        })
        .needs(Need::HostFault);
    registry.add("rec_create/num_recs", |w| {
        let order = w.features(1)? >> 6 & 15;
        let most = (1 << order) - 1;
        let realm = w.realm()?;
        if most > 600 {
            // More than the machines of the suite have memory for.
            return Ok(());
        }
        w.port.hurry(true);
        for index in 0..most {
            w.rec_off(&realm, index)?;
        }
        w.port.hurry(false);
        let rec = w.delegated()?;
        let page = w.page(&w.rec_params(&realm, most).to_page());
        w.fails(Command::RecCreate, &[realm.rd, rec, page], REALM)
    });
}

fn add_mpidrs(registry: &mut Registry) {
    registry.add("rec_create/success/any_order", |w| {
        let realm = w.realm()?;
        for index in [5, 0, 31, 16, 2] {
            w.rec(&realm, index)?;
        }
        w.activate(&realm)
    });
    for index in [1, 15, 16, 0x100, 0xfff] {
        registry.add(format!("rec_create/success/first_is_{index:#x}"), move |w| {
            let realm = w.realm()?;
            w.rec(&realm, index)?;
            w.call(Command::RealmActivate, &[realm.rd])?.ok()?;
            Ok(())
        });
    }
    registry.add("rec_create/mpidr/used", |w| {
        let realm = w.realm()?;
        w.rec(&realm, 3)?;
        let rec = w.delegated()?;
        let page = w.page(&w.rec_params(&realm, 3).to_page());
        w.fails(Command::RecCreate, &[realm.rd, rec, page], INPUT)?;
        w.rec(&realm, 4)?;
        Ok(())
    });
    registry.add("rec_create/mpidr/free_after_destroy", |w| {
        let realm = w.realm()?;
        let rec = w.rec(&realm, 3)?;
        w.destroy_rec(rec.pa)?;
        w.rec(&realm, 3)?;
        Ok(())
    });
    registry.add("rec_create/mpidr/of_another_realm", |w| {
        let (one, two) = (w.realm()?, w.realm()?);
        w.rec(&one, 3)?;
        w.rec(&two, 3)?;
        Ok(())
    });
    for (name, bits) in [("bit_4", 1 << 4), ("bit_7", 1 << 7), ("bit_32", 1 << 32)] {
        registry
            .add(format!("rec_create/mpidr/reserved_{name}"), move |w| {
                let realm = w.realm()?;
                let rec = w.delegated()?;
                let params = RecParams { mpidr: bits | 1, ..w.rec_params(&realm, 0) };
                let page = w.page(&params.to_page());
                let reply = w.complete(Command::RecCreate, &[realm.rd, rec, page])?;
                reply.one_of(&[0, INPUT])?;
                Ok(())
            })
            .reading("bits that the text calls SBZ may be refused");
    }
    registry.add("rec_create/success/affinity_is_seen_inside", |w| {
        let realm = w.realm()?;
        let rec = w.rec(&realm, 0x12)?;
        w.activate(&realm)?;
        let seen = w.observe(&rec, &[Action::El1(crate::program::El1::VmPidr)])?;
        same("MPIDR_EL1", seen, [Observed::Value(1 << 31 | mpidr(0x12))].into())
    });
}

fn add_destroy(registry: &mut Registry) {
    registry.add("rec_destroy/running", |w| {
        let rec = w.running()?;
        w.while_running(&rec, Command::RecDestroy, &[rec.pa])?.is(REC)?;
        Ok(())
    });
    registry.add("rec_destroy/order/address_before_running", |w| {
        let rec = w.running()?;
        w.while_running(&rec, Command::RecDestroy, &[rec.pa + 1])?.is(INPUT)?;
        Ok(())
    });
    registry.add("rec_destroy/success/twice", |w| {
        let call = good(w, Command::RecDestroy)?;
        call.succeeds(w)?;
        w.fails(call.command, &call.arguments, INPUT)
    });
}

fn add_enter(registry: &mut Registry) {
    registry.add("rec_enter/success", |w| {
        let rec = w.running()?;
        same("exit", w.run(&rec, &[])?, idle_exit())
    });
    registry.add("rec_enter/rec_state", |w| {
        let rec = w.running()?;
        let run = w.granule();
        w.while_running(&rec, Command::RecEnter, &[rec.pa, run])?.is(REC)?;
        Ok(())
    });
    registry.add("rec_enter/rec_runnable", |w| {
        let (_, second) = w.two()?;
        w.enter_raw(&second, &RecEnter::default())?.is(REC)?;
        Ok(())
    });
    registry.add("rec_enter/rec_psci", |w| {
        let (calling, _) = cpu_on_request(w)?;
        w.enter_raw(&calling, &RecEnter::default())?.is(REC)?;
        Ok(())
    });
    registry.add("rec_enter/rec_mmio", |w| {
        let rec = w.running()?;
        w.enter_raw(&rec, &RecEnter::flags(enter_flags::EMUL_MMIO))?.is(REC)?;
        Ok(())
    });
    for (name, flags) in [("s2ap", 1 << 5), ("dev_mem", 1 << 6), ("force_p0", 1 << 7)] {
        registry
            .add(format!("rec_enter/success/flag_{name}"), move |w| {
                let rec = w.running()?;
                w.program(&rec, &[]);
                same("exit", w.enter_with(&rec, &RecEnter::flags(flags))?, idle_exit())
            })
            .reading("flags of features that are not there are ignored (9.8)");
    }
    registry
        .add("rec_enter/inject_sea/without_an_abort", |w| {
            let rec = w.running()?;
            let reply = w.enter_raw(&rec, &RecEnter::flags(enter_flags::INJECT_SEA))?;
            reply.one_of(&[0, REC])?;
            Ok(())
        })
        .reading("without an abort nothing is injected; another monitor refuses (9.8)");
    registry.add("rec_enter/success/fields_of_1_0_are_ignored", |w| {
        let rec = w.running()?;
        w.program(&rec, &[]);
        let mut page = [0; 512];
        for word in page.iter_mut().take(0x800 / 8).skip(0x300 / 8) {
            *word = u64::MAX;
        }
        w.port.write_page(rec.run, &page);
        w.call(Command::RecEnter, &[rec.pa, rec.run])?.ok()?;
        same("exit", w.exit_of(&rec)?, idle_exit())
    });
    registry
        .add("rec_enter/run_pas/late_write_fault", |w| {
            let rec = w.running()?;
            w.program(&rec, &[]);
            w.port.write_page(rec.run, &[0; 512]);
            // After the first half of the page has been read.
            w.arm(Mishap::HostFault(256))?;
            w.call(Command::RecEnter, &[rec.pa, rec.run])?.one_of(&[INPUT, 0])?;
            w.enter(&rec)?;
            Ok(())
        })
        .needs(Need::HostFault);
    registry.add("rec_enter/success/exit_page_is_zeroed", |w| {
        let rec = w.running()?;
        let secret = alloc::boxed::Box::new([0x5ec3_e75e_c3e7_5ec3; 31]);
        let call = [rsi::HOST_CALL, 0];
        let exit = w.run(&rec, &[Action::SetGprs(secret), smc(&call)])?;
        same("host call", exit.exit_reason, exit_reason::HOST_CALL)?;
        let exit = w.run(&rec, &[Action::Irq])?;
        same("exit", exit, idle_exit())
    });
    registry.add("rec_enter/realm_state/new", |w| {
        let realm = w.realm()?;
        let rec = w.rec(&realm, 0)?;
        w.enter_raw(&rec, &RecEnter::default())?.is(REALM)?;
        Ok(())
    });
    registry.add("rec_enter/realm_state/system_off", |w| {
        let rec = w.running()?;
        w.run(&rec, &[smc(&[rsi::PSCI_SYSTEM_OFF])])?;
        w.enter_raw(&rec, &RecEnter::default())?.is(REALM)?;
        Ok(())
    });
    registry.add("rec_enter/realm_state/zombie", |w| {
        let rec = w.running()?;
        w.ok(Command::RealmTerminate, &[rec.realm.rd])?;
        w.enter_raw(&rec, &RecEnter::default())?.is(REALM)?;
        Ok(())
    });
}

/// Two conditions at once, and the code that has to come.
fn add_orders(registry: &mut Registry) {
    registry.add("rec_create/order/rd_before_realm_state", |w| {
        let call = good(w, Command::RecCreate)?;
        w.call(Command::RealmActivate, &[call.arguments[0]])?.ok()?;
        let mut arguments = call.arguments.clone();
        arguments[0] += 1;
        w.fails(call.command, &arguments, INPUT)
    });
    for (name, index) in [("run_align", 1), ("rec_align", 0)] {
        registry.add(format!("rec_enter/order/{name}_before_realm_state"), move |w| {
            let realm = w.realm()?;
            let rec = w.rec(&realm, 0)?;
            let mut arguments = [rec.pa, rec.run];
            arguments[index] += 1;
            w.fails(Command::RecEnter, &arguments, INPUT)
        });
        registry.add(format!("rec_enter/order/{name}_before_rec_state"), move |w| {
            let rec = w.running()?;
            let mut arguments = [rec.pa, rec.run];
            arguments[index] += 1;
            w.while_running(&rec, Command::RecEnter, &arguments)?.is(INPUT)?;
            Ok(())
        });
        registry.add(format!("rec_enter/order/{name}_before_rec_runnable"), move |w| {
            let (_, second) = w.two()?;
            let mut arguments = [second.pa, second.run];
            arguments[index] += 1;
            w.fails(Command::RecEnter, &arguments, INPUT)
        });
    }
    for (name, index) in [("rd", 0), ("rec", 1)] {
        registry.add(format!("set_ripas/order/{name}_before_rec_state"), move |w| {
            let rec = w.running()?;
            let mut arguments = [rec.realm.rd, rec.pa, 0, PAGE];
            arguments[index] += 1;
            w.while_running(&rec, Command::SetRipas, &arguments)?.is(INPUT)?;
            Ok(())
        });
    }
    for command in [Command::DataMapInit, Command::DataMap, Command::InitRipas, Command::DataUnmap]
    {
        registry.add(format!("{}/order/rd_before_walk", command.label()), move |w| {
            let call = good(w, command)?;
            let mut arguments = call.arguments.clone();
            arguments[0] += 1;
            let ipa = if command == Command::DataMapInit { 2 } else { 1 };
            arguments[ipa] += 1 << 31;
            if ipa == 1 {
                arguments[2] += 1 << 31;
            }
            w.fails(command, &arguments, INPUT)
        });
    }
    registry.add("data_map_init/order/ipa_bound_before_walk", |w| {
        let call = good(w, Command::DataMapInit)?;
        let mut arguments = call.arguments.clone();
        arguments[2] = 1 << 39;
        w.fails(call.command, &arguments, INPUT)
    });
    registry.add("abi/order/state_before_arguments", |w| {
        w.ok(Command::Deactivate, &[])?;
        w.ok(Command::Version, &[0x2_0000])?;
        let arguments: Vec<u64> = [1, 1, 1].into();
        w.call(Command::RecCreate, &arguments)?.is(GLOBAL)?;
        Ok(())
    });
}
