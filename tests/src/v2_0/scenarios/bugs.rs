//! Bugs that other monitors and hosts had, each as a scenario of its own, by the rows of the catalogue in the notes.
//!
//! Rows about devices and planes (B-25, B-32, B-34), about how a monitor is built (B-3, B-26), and the one that a schedule
//! of two CPUs has to show (B-2) are not here.

use alloc::format;
use alloc::vec::Vec;

use super::super::abi::{
    BLOCKED, BUSY, Command, Desc, GLOBAL, INCOMPLETE, INPUT, REALM, REC, SUCCESS, V1_0, V2_0,
    Wants, entry, given, list_flags, oaddr, ripas, rtt, tracking,
};
use super::super::memory::UNPROT;
use super::super::pages::{RecEnter, RecParams, enter_flags, exit_reason, flags0};
use super::super::registry::Registry;
use super::super::world::{BLOCK, PAGE};
use super::good::{IPA, NS, cpu_on_request, good, realm_with_tables, ripas_request};
use super::sro::donating;
use crate::abi::{psci, rsi};
use crate::need::Need;
use crate::outcome::{fail, holds, same};
use crate::port::{Mishap, Place};
use crate::program::{Access, Action, Observed};
use crate::rec::smc;

pub(super) fn add(registry: &mut Registry) {
    add_memory(registry);
    add_mapping(registry);
    add_running(registry);
    add_realms(registry);
    add_operations(registry);
    add_hosts(registry);
    add_interrupts(registry);
}

fn add_memory(registry: &mut Registry) {
    registry.add("bug/b01_data_is_rd_or_leaf_table", |w| {
        let call = good(w, Command::DataMapInit)?;
        call.with(w, 1, call.arguments[0], &[INPUT])?;
        let call = good(w, Command::DataMapInit)?;
        let table = w.tables.last().map_or(0, |table| table.pa);
        call.with(w, 1, table, &[INPUT])
    });
    registry.add("bug/b06_count_and_offset_overflow", |w| {
        let (_, handle) = donating(w)?;
        let list = w.list(0xff8, &[0]);
        for count in [u64::MAX, 1 << 61, u64::MAX / 8 + 1] {
            w.call(Command::OpMemDonate, &[handle, list, count])?.one_of(&[INPUT, 0x10d, 0x50d])?;
        }
        let realm = realm_with_tables(w)?;
        let arguments = [realm.rd, IPA, IPA + PAGE, list_flags(0x3fff), !7];
        w.fails(Command::DataMap, &arguments, INPUT)
    });
    registry.add("bug/b08_only_the_base_is_checked", |w| {
        let call = good(w, Command::UnprotMap)?;
        call.with(w, 2, (1 << 40) + PAGE, &[INPUT])?;
        let call = good(w, Command::UnprotUnmap)?;
        call.with(w, 2, (1 << 40) + PAGE, &[INPUT])
    });
    registry.add("bug/b16_configuration_page_is_not_looked_at", |w| {
        w.ok(Command::Deactivate, &[])?;
        let mut places = [0, 1].to_vec();
        places.extend(
            [Place::Device, Place::BeyondPa].into_iter().filter_map(|place| w.port.place(place)),
        );
        for pa in places {
            w.call(Command::ConfigSet, &[pa])?.is(INPUT)?;
            w.call(Command::ConfigGet, &[pa])?.is(INPUT)?;
        }
        Ok(())
    });
    registry
        .add("bug/b31_el3_refuses_to_take_a_granule_back", |w| {
            let pa = w.delegated()?;
            w.arm(Mishap::El3Keeps(pa, -5))?;
            w.complete(Command::RangeUndelegate, &[pa, pa + PAGE])?.is_error()?;
            w.arm(Mishap::El3Keeps(pa, 0))?;
            w.ok(Command::RangeUndelegate, &[pa, pa + PAGE])?;
            Ok(())
        })
        .needs(Need::El3Refusal);
    registry.add("bug/b36_undo_of_a_partial_delegation", |w| {
        let base = w.port.allocate(8, PAGE);
        w.ok(Command::RangeDelegate, &[base + 6 * PAGE, base + 7 * PAGE])?;
        w.through(Command::RangeDelegate, &[base, base + 4 * PAGE])?;
        w.through(Command::RangeUndelegate, &[base, base + 4 * PAGE])?;
        w.is_delegated(base + 6 * PAGE)
    });
    registry.add("bug/b40_tracking_answers_for_the_base_only", |w| {
        let base = w.granule();
        let reply = w.call(Command::TrackingGet, &[base, 1 << 40])?.ok()?;
        let top = reply.x[3];
        holds("not everything is memory", top < 1 << 40)?;
        // What is beyond is something else.
        let next = w.call(Command::TrackingGet, &[top, 1 << 40])?.ok()?;
        let fine = (tracking::CONVENTIONAL, tracking::FINE);
        holds("another pair", (next.x[1], next.x[2]) != fine || next.x[3] > top)
    });
    registry.add("bug/b47_top_of_the_address_space", |w| {
        let bits = w.features(0)? >> 33 & 0xff;
        let end = 1 << if bits == 0 { w.features(0)? & 0xff } else { bits };
        w.call(Command::TrackingGet, &[end - (1 << 30), end])?.ok()?;
        Ok(())
    });
    registry.add("bug/b50_unmapped_is_delegated", |w| {
        let realm = realm_with_tables(w)?;
        let base = w.delegated_run(64, PAGE)?;
        w.map(&realm, IPA, base, 64)?;
        let rec = w.running_in(&realm)?;
        let arguments = [realm.rd, IPA, IPA + 64 * PAGE, oaddr::NONE, 0];
        let reply = w.while_running(&rec, Command::DataUnmap, &arguments)?.ok()?;
        // Everything below `out_top` is the Host's to take.
        let done = reply.x[1] - IPA;
        w.through(Command::RangeUndelegate, &[base, base + done])
    });
}

fn add_mapping(registry: &mut Registry) {
    for (row, command, at) in [
        ("b09", Command::UnprotMap, NS),
        ("b10", Command::DataMap, IPA),
        ("b38", Command::DataMap, IPA),
    ] {
        registry.add(format!("bug/{row}_block_where_a_table_is_{}", command.label()), move |w| {
            let realm = w.realm()?;
            w.tables(&realm, at, 3)?;
            let shared = command == Command::UnprotMap;
            let base = if shared { 0x8020_0000 } else { w.delegated_run(512, BLOCK)? };
            let flags = if shared { UNPROT } else { oaddr::SINGLE };
            let word = Desc::block(base, 2).encode();
            let reply = w.ok(command, &[realm.rd, at, at + BLOCK, flags, word])?;
            holds("progress, and no RTT(2)", reply.x[1] >= at + PAGE)
        });
    }
    registry.add("bug/b14_state_of_shared_memory", |w| {
        for state in [given::DELEGATED, given::UNDELEGATED, given::CONDITIONAL] {
            let call = good(w, Command::UnprotMap)?;
            let mut arguments = call.arguments.clone();
            arguments[4] = Desc::decode(arguments[4]).state(state).encode();
            w.ok(Command::UnprotMap, &arguments)?;
        }
        Ok(())
    });
    registry.add("bug/b17_result_of_an_unmap", |w| {
        let realm = realm_with_tables(w)?;
        let base = w.delegated_run(512, BLOCK)?;
        for count in [1, 2, 511] {
            w.map(&realm, IPA, base, count)?;
            let found = w.unmap(Command::DataUnmap, &realm, (IPA, IPA + count * PAGE))?;
            same("pages", found.iter().map(|desc| desc.count).sum::<u64>(), count)?;
            same("first", found[0].base, base)?;
        }
        Ok(())
    });
    registry.add("bug/b18_b19_error_paths_again_and_again", |w| {
        for command in [
            Command::RttCreate,
            Command::RttDestroy,
            Command::RttFold,
            Command::DataMapInit,
            Command::DataMap,
            Command::DataUnmap,
            Command::UnprotMap,
            Command::UnprotUnmap,
            Command::InitRipas,
        ] {
            let call = good(w, command)?;
            for index in 0..call.arguments.len() {
                let mut arguments = call.arguments.clone();
                arguments[index] = 0x0bad_0001;
                for _ in 0..2 {
                    let reply = w.call(command, &arguments)?;
                    holds("no progress", reply.status() != INCOMPLETE)?;
                    if reply.status() == SUCCESS {
                        break;
                    }
                }
            }
        }
        Ok(())
    });
    registry.add("bug/b20_every_page_of_an_unmapped_block_is_gone", |w| {
        let realm = w.realm()?;
        w.tables(&realm, IPA, 2)?;
        w.init_ripas(&realm, IPA, IPA + BLOCK)?;
        w.data_block(&realm, IPA)?;
        let rec = w.running_in(&realm)?;
        let places = [0, 1, 100, 511];
        let loads = places.map(|page| Action::Load(IPA + page * PAGE, Access::WORD));
        w.observe(&rec, &loads)?;
        w.unmap(Command::DataUnmap, &realm, (IPA, IPA + BLOCK))?;
        for load in loads {
            let exit = w.run(&rec, &[load])?;
            same("reason, class", (exit.exit_reason, exit.esr >> 26), (exit_reason::SYNC, 0x24))?;
        }
        Ok(())
    });
    registry.add("bug/b22_init_ripas_keeps_the_rules_of_1_0", |w| {
        let realm = realm_with_tables(w)?;
        w.init_ripas(&realm, IPA, IPA + PAGE)?;
        w.data_unknown(&realm, IPA)?;
        w.unmap(Command::DataUnmap, &realm, (IPA, IPA + PAGE))?;
        w.fails(Command::InitRipas, &[realm.rd, IPA, IPA + PAGE], rtt(3))?;
        w.expect(&realm, IPA, (3, entry::VOID, ripas::DESTROYED))
    });
    registry.add("bug/b33_void_larger_than_the_range", |w| {
        let realm = w.realm()?;
        w.tables(&realm, IPA, 2)?;
        w.ok(Command::DataUnmap, &[realm.rd, IPA, IPA + PAGE, oaddr::SINGLE, 0])?;
        Ok(())
    });
    registry.add("bug/b39_out_top_of_a_failed_unmap", |w| {
        let realm = w.realm()?;
        w.tables(&realm, IPA, 2)?;
        w.data_block(&realm, IPA)?;
        let arguments = [realm.rd, IPA, IPA + PAGE, oaddr::SINGLE, 0];
        let reply = w.complete(Command::DataUnmap, &arguments)?.is(rtt(2))?;
        holds("harmless", reply.x[1] == 0 || reply.x[1] == IPA)
    });
    registry
        .add("bug/b53_change_of_destroyed_memory_that_is_not_allowed", |w| {
            // A Host may spin on this answer. It is what the text asks for.
            let realm = realm_with_tables(w)?;
            super::map::prepare(w, &realm, ripas::DESTROYED)?;
            let rec = w.running_in(&realm)?;
            super::good::request(w, &rec, (IPA, IPA + PAGE), ripas::RAM, 0)?;
            w.fails(Command::SetRipas, &[realm.rd, rec.pa, IPA, IPA + PAGE], rtt(3))
        })
        .reading("the text asks for RTT, on which KVM spins (0.4)");
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

fn add_realms(registry: &mut Registry) {
    registry.add("bug/b23_vmid_of_the_host_is_not_used", |w| {
        let mut params = Vec::new();
        for _ in 0..2 {
            let (rd, realm) = (w.delegated()?, w.realm_params(40, 0, 1)?);
            let mut page = realm.to_page();
            page[0x800 / 8] = 0x7777;
            params.push((rd, w.page(&page)));
        }
        for (rd, page) in params {
            w.ok(Command::RealmCreate, &[rd, page])?;
        }
        Ok(())
    });
    registry.add("bug/b24_x4_to_x7", |w| {
        let pa = w.granule();
        let call = [Command::RangeDelegate.fid(), pa, pa + PAGE, 0x33, 0x44, 0x55, 0x66, 0x77];
        let reply = w.send(Command::RangeDelegate, call)?.ok()?;
        same("X4 to X7", &reply.x[4..], &call[4..])
    });
    registry
        .add("bug/b27_parameters_are_not_measured", |w| {
            let mut seen = Vec::new();
            for (width, flags) in [(40, 0), (48, 1 << flags0::MEC_SHIFT)] {
                let mut params = w.realm_params(width, 0, 1)?;
                params.flags0 = flags;
                let realm = w.realm_with(&params)?;
                let rec =
                    w.rec_with(&realm, &RecParams { pc: 0x1000, ..w.rec_params(&realm, 0) })?;
                w.activate(&realm)?;
                seen.push(w.smc(&rec, &[rsi::MEASUREMENT_READ, 0])?);
            }
            same("RIM", &seen[0][1..9], &seen[1][1..9])
        })
        .needs(Need::NoProgramInMemory)
        .reading("parameters of a Realm are not measured (third beta; other monitors still do)");
    registry.add("bug/b28_sha_384_is_called_sha_512", |w| {
        let mut params = w.realm_params(40, 0, 1)?;
        params.hash_algo = 2;
        let realm = w.realm_with(&params)?;
        let rec = w.running_in(&realm)?;
        w.smc(&rec, &[rsi::REALM_CONFIG, 0])?;
        let seen = w.observe(&rec, &[Action::Load(8, Access::WORD)])?;
        same("hash_algo", seen, [Observed::Value(2)].into())
    });
    registry.add("bug/b30_pmu_without_pmu", |w| {
        if w.features(0)? >> 26 & 1 == 1 {
            return Ok(());
        }
        let mut params = w.realm_params(40, 0, 1)?;
        params.flags0 = flags0::PMU;
        let (rd, page) = (w.delegated()?, w.params(&params.to_page()));
        w.fails(Command::RealmCreate, &[rd, page], INPUT)
    });
    registry
        .add("bug/b37_no_breakpoints_asked_for", |w| {
            let mut params = w.realm_params(40, 0, 1)?;
            (params.num_bps, params.num_wps) = (0, 0);
            w.realm_with(&params)?;
            Ok(())
        })
        .reading("KVM asks for 0 breakpoints and gets the minimum (OQ-3)");
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
