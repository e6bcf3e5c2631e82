//! Bugs that other monitors and hosts had, each as a scenario of its own, by the rows of the
//! catalogue in the notes.
//!
//! Rows about devices and planes (B-25, B-32, B-34), about how a monitor is built (B-3, B-26), and
//! the one that a schedule of two CPUs has to show (B-2) are not here.

use alloc::format;
use alloc::vec::Vec;

use super::super::abi::{
    Command, Desc, INCOMPLETE, INPUT, SUCCESS, entry, given, list_flags, oaddr, ripas, rtt,
    tracking,
};
use super::super::memory::UNPROT;
use super::super::pages::{RecParams, exit_reason, flags0};
use super::super::registry::Registry;
use super::super::world::{BLOCK, PAGE};
use super::good::{IPA, NS, good, realm_with_tables};
use super::sro::donating;
use crate::abi::rsi;
use crate::need::Need;
use crate::outcome::{holds, same};
use crate::port::{Mishap, Place};
use crate::program::{Access, Action, Observed};
use crate::scenarios::Cpu;

pub(super) fn add(registry: &mut Registry) {
    add_memory(registry);
    add_mapping(registry);
    add_realms(registry);
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
    registry.add("bug/b20_every_page_of_an_unmapped_range_is_gone", |w| {
        const PAGES: u64 = 4;
        let realm = realm_with_tables(w)?;
        let top = IPA + PAGES * PAGE;
        w.init_ripas(&realm, IPA, top)?;
        let base = w.delegated_run(PAGES, PAGE)?;
        w.map(&realm, IPA, base, PAGES)?;
        let rec = w.running_in(&realm)?;
        let loads = [0, 1, 2, 3].map(|page| Action::Load(IPA + page * PAGE, Access::WORD));
        // The translations are in the TLB.
        w.observe(&rec, &loads)?;
        w.unmap(Command::DataUnmap, &realm, (IPA, top))?;
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
    registry.add_on(Cpu::Plain, "bug/b30_pmu_without_pmu", |w| {
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
