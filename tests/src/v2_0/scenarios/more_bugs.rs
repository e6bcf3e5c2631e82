//! Rows of the bug catalogue about Realms that run, operations, hosts and interrupts.

use alloc::format;

use super::super::abi::{
    BLOCKED, BUSY, Command, Desc, GLOBAL, INCOMPLETE, INPUT, REALM, REC, SUCCESS, V1_0, V2_0,
    Wants, ripas,
};
use super::super::pages::{RecEnter, enter_flags};
use super::super::registry::Registry;
use super::super::world::PAGE;
use super::good::{IPA, cpu_on_request, good, realm_with_tables, ripas_request};
use super::sro::donating;
use crate::abi::{psci, rsi};
use crate::need::Need;
use crate::outcome::{fail, holds, same};
use crate::port::Mishap;
use crate::program::{Access, Action};
use crate::rec::smc;

pub(super) fn add(registry: &mut Registry) {
    add_running(registry);
    add_operations(registry);
    add_hosts(registry);
    add_interrupts(registry);
}

fn add_running(registry: &mut Registry) {
    registry.add("bug/b04_entry_that_fails_is_no_running", |w| {
        let (calling, target) = cpu_on_request(w)?;
        w.enter_raw(&target, &RecEnter::default())?.is(REC)?;
        w.call(Command::PsciComplete, &[calling.pa, 0])?.ok()?;
        let results = w.answered(&calling, &RecEnter::default())?;
        same("X0", results[0], psci::SUCCESS)
    });
    registry
        .add("bug/b05_vectors_across_op_continue", |w| {
            w.arm(Mishap::Streaming)?;
            let (_, handle) = donating(w)?;
            w.finish(handle)?.ok()?;
            Ok(())
        })
        .needs(Need::Streaming);
    registry.add("bug/b11_syndrome_is_filtered", |w| {
        let realm = realm_with_tables(w)?;
        w.init_ripas(&realm, IPA, IPA + PAGE)?;
        let rec = w.running_in(&realm)?;
        let access = Access { register: 21, sign: true, ..Access::sized(1) };
        let exit = w.run(&rec, &[Action::Load(IPA, access)])?;
        same("nothing of a protected abort", exit.esr >> 11 & 0x3fff, 0)?;
        let exit = w.run(&rec, &[Action::Load(rec.realm.unprotected(), access)])?;
        same("register, extension", exit.esr & (0x1f << 16 | 1 << 21 | 1 << 14), 0)?;
        let exit = w.run(&rec, &[Action::Write((3, 0, 12, 11, 5), 7)])?;
        same("Rt", exit.esr >> 5 & 0x1f, 0)
    });
    registry.add("bug/b12_physical_timer_after_an_exit", |w| {
        // The machine compares the Host's registers with what they were.
        let rec = w.running()?;
        let exit = w.run(&rec, &[Action::Timer(false, 1, true), Action::Irq])?;
        same("it is in its own field", (exit.cntp_ctl & 1, exit.cntv_ctl & 1), (1, 0))?;
        w.enter(&rec)?;
        Ok(())
    });
    registry.add("bug/b13_endless_interrupts_of_a_timer", |w| {
        let rec = w.running()?;
        w.run(&rec, &[Action::Timer(false, 1, true), Action::State, Action::State])?;
        let mut seen = w.observed(&rec).len();
        for _ in 0..4 {
            w.enter(&rec)?;
            seen += w.observed(&rec).len();
        }
        same("the Realm gets on", seen, 3)
    });
    registry.add("bug/b21_terminate_against_an_entry", |w| {
        let rec = w.running()?;
        let reply = w.while_running(&rec, Command::RealmTerminate, &[rec.realm.rd])?;
        reply.one_of(&[REALM, BUSY])?;
        w.ok(Command::RealmTerminate, &[rec.realm.rd])?;
        w.enter_raw(&rec, &RecEnter::default())?.is(REALM)?;
        Ok(())
    });
    registry
        .add("bug/b29_denied_for_a_target_that_is_on", |w| {
            let realm = w.realm()?;
            let (calling, _) = (w.rec(&realm, 0)?, w.rec(&realm, 1)?);
            w.activate(&realm)?;
            w.run(&calling, &[smc(&[rsi::PSCI_CPU_ON, 1, realm.entry(1), 0])])?;
            w.call(Command::PsciComplete, &[calling.pa, psci::DENIED])?.is(INPUT)?;
            // tf-a-tests enter the caller right after it.
            w.enter_raw(&calling, &RecEnter::default())?.ok()?;
            Ok(())
        })
        .reading("DENIED for a target that is on ends the request (OQ-20)");
    registry
        .add("bug/b48_target_that_is_gone", |w| {
            let (calling, target) = cpu_on_request(w)?;
            w.destroy_rec(target.pa)?;
            w.call(Command::PsciComplete, &[calling.pa, 0])?.ok()?;
            w.enter_raw(&calling, &RecEnter::default())?.ok()?;
            Ok(())
        })
        .reading("a caller whose target is gone is not stuck for ever (11.1)");
    registry.add("bug/b04_emulation_after_a_protected_abort", |w| {
        let rec = w.running()?;
        w.unmap(Command::DataUnmap, &rec.realm, (0, PAGE))?;
        w.run(&rec, &[Action::Load(0, Access::WORD)])?;
        w.enter_raw(&rec, &RecEnter::flags(enter_flags::EMUL_MMIO))?.is(REC)?;
        Ok(())
    });
}

fn add_operations(registry: &mut Registry) {
    registry.add("bug/b07_rec_granule_is_used_twice", |w| {
        let (call, handle) = donating(w)?;
        let rec = call.arguments[1];
        let other = good(w, Command::DataMapInit)?;
        let mut arguments = other.arguments.clone();
        arguments[1] = rec;
        w.complete(other.command, &arguments)?.one_of(&[BLOCKED, INPUT, BUSY])?;
        w.complete(Command::RangeUndelegate, &[rec, rec + PAGE])?.one_of(&[BLOCKED, INPUT])?;
        let list = w.list(0, &[Desc::pages(rec, 1).encode()]);
        let reply = w.call(Command::OpMemDonate, &[handle, list, 1])?;
        holds("not taken", reply.status() == INPUT || reply.x[1] == 0)
    });
    registry.add("bug/b35_abandoned_operation", |w| {
        let (_, handle) = donating(w)?;
        let pa = w.granule();
        let list = w.list(0, &[Desc::pages(pa, 1).encode()]);
        // The Host gives up after a donation that fails.
        w.call(Command::OpMemDonate, &[handle, list, 1])?;
        let rec = w.running()?;
        w.enter(&rec)?;
        w.call(Command::Deactivate, &[])?.one_of(&[BUSY, GLOBAL])?;
        Ok(())
    });
    registry.add("bug/b42_donations_can_be_cancelled", |w| {
        let (_, handle) = donating(w)?;
        holds("Linux warns and abandons it", w.operation(handle)?.can_cancel)?;
        let reply = w.call(Command::OpCancel, &[handle])?;
        same("status", reply.status(), INCOMPLETE)
    });
    registry
        .add("bug/b43_handle_and_flags_mixed_up", |w| {
            let (_, handle) = donating(w)?;
            same("first handle", handle, 0)?;
            w.donate_all(handle)?.wants(Wants::Nothing)?;
            let mut reply = w.call(Command::OpContinue, &[0, handle])?;
            if reply.status() == INCOMPLETE {
                reply = w.finish(handle)?;
            }
            reply.ok()?;
            Ok(())
        })
        .reading("tf-a-tests mix up X1 and X2; handle 0 is the first (OQ-6)");
    registry.add("bug/b45_wrong_parameters_are_seen_at_once", |w| {
        let realm = w.realm()?;
        w.rec(&realm, 0)?;
        let rec = w.delegated()?;
        let page = w.page(&w.rec_params(&realm, 0).to_page());
        w.call(Command::RecCreate, &[realm.rd, rec, page])?.is(INPUT)?;
        Ok(())
    });
    registry.add("bug/b46_slots_after_failures", |w| {
        let call = good(w, Command::RecCreate)?;
        w.port.hurry(true);
        for number in 0..1000 {
            let mut arguments = call.arguments.clone();
            arguments[number % 3] = 1;
            w.call(call.command, &arguments)?.is(INPUT)?;
        }
        w.port.hurry(false);
        call.succeeds(w)?;
        Ok(())
    });
}

fn add_hosts(registry: &mut Registry) {
    registry.add("bug/b41_gpt_info_in_one_answer", |w| {
        let size = match w.features(1)? >> 10 & 15 {
            0 => 1 << 30,
            4 => 1 << 34,
            6 => 1 << 36,
            _ => 1 << 39,
        };
        let base = w.granule() & !(size - 1);
        w.call(Command::GptInfo, &[base, base + size])?.ok()?.out(1, base + size)?.out(2, 1)?;
        Ok(())
    });
    registry.add_before("bug/b44_version_returns_the_highest_twice", |w| {
        let both = w.call(Command::Version, &[V1_0])?.status() == SUCCESS;
        w.negotiate()?;
        let reply = w.call(Command::Version, &[0x1_0001])?.is(INPUT)?;
        let lower = if both { V1_0 } else { V2_0 };
        same("lower, higher", (reply.x[1], reply.x[2]), (lower, V2_0))?;
        w.negotiate()
    });
    registry.add_before("bug/b52_garbage_in_the_configuration", |w| {
        w.negotiate()?;
        let mut page = [u64::MAX; 512];
        (page[0], page[1]) = (0, 0);
        let page = w.page(&page);
        w.call(Command::ConfigSet, &[page])?.ok()?;
        w.ok(Command::Activate, &[])?;
        Ok(())
    });
}

/// Commands that look whether an interrupt is pending.
fn add_interrupts(registry: &mut Registry) {
    for (row, command) in [
        ("b15", Command::DataMap),
        ("b15", Command::DataUnmap),
        ("b15", Command::UnprotMap),
        ("b15", Command::UnprotUnmap),
        ("b49", Command::RangeDelegate),
        ("b49", Command::RangeUndelegate),
        ("b49", Command::InitRipas),
    ] {
        let name = format!("bug/{row}_pending_interrupt_{}", command.label());
        registry
            .add(name, move |w| {
                let call = good(w, command)?;
                w.arm(Mishap::Pending(true))?;
                // The Host's books see to it that a success gets on.
                w.call(command, &call.arguments)?.ok()?;
                w.arm(Mishap::Pending(false))
            })
            .needs(Need::PendingInterrupt);
    }
    registry
        .add("bug/b49_pending_interrupt_set_ripas", |w| {
            let top = IPA + 64 * PAGE;
            let rec = ripas_request(w, (IPA, top), ripas::RAM, 0)?;
            w.arm(Mishap::Pending(true))?;
            w.through(Command::SetRipas, &[rec.realm.rd, rec.pa, IPA, top])?;
            w.arm(Mishap::Pending(false))
        })
        .needs(Need::PendingInterrupt);
    registry
        .add("bug/b49_pending_interrupt_many_granules", |w| {
            let base = w.port.allocate(600, PAGE);
            w.arm(Mishap::Pending(true))?;
            let mut calls = 0;
            let mut at = base;
            while at < base + 600 * PAGE {
                let reply = w.call(Command::RangeDelegate, &[at, base + 600 * PAGE])?;
                at = match reply.status() {
                    SUCCESS => reply.x[1],
                    _ => return fail("a command that had only to stop early failed"),
                };
                calls += 1;
            }
            w.arm(Mishap::Pending(false))?;
            holds("it stops early", calls > 1)
        })
        .needs(Need::PendingInterrupt);
}
