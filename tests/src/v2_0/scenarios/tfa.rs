//! What tf-a-tests do, call by call.

use alloc::format;
use alloc::vec::Vec;

use super::super::abi::{
    Command, Desc, INCOMPLETE, INPUT, RTT, SUCCESS, Wants, entry, given, oaddr, rtt, unprot_flags,
};
use super::super::pages::{RecParams, flags0};
use super::super::registry::Registry;
use super::super::world::{PAGE, Realm, World, entry_size};
use crate::outcome::{Outcome, fail, same};

pub(super) fn add(registry: &mut Registry) {
    add_tfa(registry);
    add_tfa_memory(registry);
}

/// The SRO loop of tf-a-tests: a list at page offset 80, one entry fewer than asked, one descriptor
/// a page, and X1 and X2 of OP_CONTINUE the wrong way round.
#[track_caller]
fn tfa_loop(w: &mut World<'_>, command: Command, arguments: &[u64]) -> Outcome {
    let mut reply = w.call(command, arguments)?;
    same("it starts as an operation", reply.status(), INCOMPLETE)?;
    let mut handle = reply.handle();
    for _ in 0..1000 {
        reply = match reply.needed() {
            Some(Wants::Donation) => {
                let request = w.operation(handle)?.request;
                let count = if request.count > 1 { request.count - 1 } else { 1 };
                let descs = w.blocks(request, count.min(400))?;
                let reply = w.donate(handle, 80, &descs)?;
                same("granules taken", reply.x[1], descs.len() as u64)?;
                reply
            }
            Some(Wants::Reclaim) => w.reclaim(handle, 0, 512)?,
            Some(Wants::Nothing) => {
                let reply = w.call(Command::OpContinue, &[0, handle])?;
                if reply.status() == INCOMPLETE {
                    handle = reply.x[1];
                }
                reply
            }
            None => return reply.ok().map(|_| ()),
        };
    }
    fail("no end")
}

/// A Realm as tf-a-tests create it.
#[track_caller]
fn tfa_realm(w: &mut World<'_>) -> Outcome<Realm> {
    let fr0 = w.features(0)?;
    let mut params = w.realm_params(40, 0, 1)?;
    params.num_bps = fr0 >> 14 & 63;
    params.num_wps = fr0 >> 20 & 63;
    params.flags0 = 1 << flags0::MEC_SHIFT;
    w.realm_with(&params)
}

fn add_tfa(registry: &mut Registry) {
    registry
        .add("hosts/tfa/rec_create_and_destroy", |w| {
            let realm = tfa_realm(w)?;
            let (rec, page) = (w.delegated()?, w.page(&w.rec_params(&realm, 0).to_page()));
            tfa_loop(w, Command::RecCreate, &[realm.rd, rec, page])?;
            tfa_loop(w, Command::RecDestroy, &[rec])
        })
        .reading("tf-a-tests insist on an operation, and mix up X1 and X2 (OQ-6, OQ-9)");
    registry
        .add("hosts/tfa/eight_recs", |w| {
            let realm = tfa_realm(w)?;
            let mut recs = Vec::new();
            for index in 0..8 {
                let flags = u64::from(index == 0);
                let params = RecParams { flags, ..w.rec_params(&realm, index) };
                let (rec, page) = (w.delegated()?, w.page(&params.to_page()));
                tfa_loop(w, Command::RecCreate, &[realm.rd, rec, page])?;
                recs.push(rec);
            }
            for rec in recs {
                tfa_loop(w, Command::RecDestroy, &[rec])?;
            }
            Ok(())
        })
        .reading("tf-a-tests insist on an operation, and mix up X1 and X2 (OQ-6, OQ-9)");
    registry.add_before("hosts/tfa/garbage_in_the_configuration", |w| {
        w.negotiate()?;
        let mut page = [0xdead_beef_dead_beef; 512];
        (page[0], page[1]) = (0, 0);
        let page = w.page(&page);
        w.call(Command::ConfigSet, &[page])?.ok()?;
        w.call(Command::Activate, &[])?.ok()?;
        Ok(())
    });
    registry.add("hosts/tfa/configuration_reads_back", |w| {
        let page = w.page(&[u64::MAX; 512]);
        w.call(Command::ConfigGet, &[page])?.ok()?;
        same("page", &w.port.read_page(page)[..2], &[0, 0])
    });
    registry.add("hosts/tfa/one_page_per_range_call", |w| {
        let base = w.port.allocate(16, PAGE);
        for command in [Command::RangeDelegate, Command::RangeUndelegate] {
            for number in [3, 0, 15, 7, 8] {
                let pa = base + number * PAGE;
                w.call(command, &[pa, pa + PAGE])?.ok()?;
            }
        }
        w.call(Command::RangeUndelegate, &[base + 1, base + 1 + PAGE])?.is_error()?;
        Ok(())
    });
    for (name, lpa2) in [("lpa2", true), ("plain", false)] {
        registry.add(format!("hosts/tfa/realm_create_{name}"), move |w| {
            let fr0 = w.features(0)?;
            if !lpa2 {
                tfa_realm(w)?;
                return Ok(());
            }
            let mut params = w.realm_params(40, 0, 1)?;
            params.flags0 = flags0::LPA2 | 1 << flags0::MEC_SHIFT;
            (params.s2sz, params.rtt_level_start) = (52, -1);
            let (rd, page) = (w.delegated()?, w.params(&params.to_page()));
            let works = fr0 >> 8 & 1 == 1;
            let code = if works { SUCCESS } else { INPUT };
            w.fails(Command::RealmCreate, &[rd, page], code)
        });
    }
    registry.add("hosts/tfa/teardown", |w| {
        let realm = tfa_realm(w)?;
        let rec = w.running_in(&realm)?;
        w.enter(&rec)?;
        // RECs and tables first, the end of the Realm after them.
        w.destroy_rec(rec.pa)?;
        w.empty(&realm)?;
        w.destroy_tables(&realm)?;
        w.call(Command::RealmTerminate, &[realm.rd])?.ok()?;
        w.ok(Command::RealmDestroy, &[realm.rd])?;
        Ok(())
    });
}

/// Levels of a mapping: 3, 2, 1.
fn add_tfa_memory(registry: &mut Registry) {
    for level in [3, 2, 1] {
        registry.add(format!("hosts/tfa/unprot_map_level_{level}"), move |w| {
            let realm = tfa_realm(w)?;
            let size = entry_size(level);
            let base = realm.unprotected() + (1 << 30);
            let desc = Desc::block(0x8000_0000, level);
            // The state as it was coded before the third beta.
            let word = desc.encode() | 1 << 63;
            let arguments = [realm.rd, base, base + size, unprot_flags(oaddr::SINGLE, 6, 3), word];
            let mut reply = w.call(Command::UnprotMap, &arguments)?;
            if reply.status() == RTT {
                w.tables(&realm, base, level)?;
                reply = w.call(Command::UnprotMap, &arguments)?;
            }
            reply.ok()?.out(1, base + size)?;
            let [walked, state, ..] = w.read_entry(&realm, base, level)?;
            same("level, state", (walked.cast_signed(), state), (level, entry::MAPPED))?;
            let arguments = [realm.rd, base, base + size, oaddr::SINGLE, 0];
            let reply = w.call(Command::UnprotUnmap, &arguments)?.ok()?;
            reply.out(1, base + size)?;
            Ok(())
        });
    }
    registry.add("hosts/tfa/data_map_and_unmap", |w| {
        let realm = tfa_realm(w)?;
        let (base, pa) = (0x8800_0000, w.delegated()?);
        let word = Desc::pages(pa, 1).state(given::DELEGATED).encode();
        let arguments = [realm.rd, base, base + PAGE, oaddr::SINGLE, word];
        let reply = w.call(Command::DataMap, &arguments)?;
        reply.is(rtt(0))?;
        // All levels at once, then one more try.
        w.tables(&realm, base, 3)?;
        w.call(Command::DataMap, &arguments)?.ok()?;
        let arguments = [realm.rd, base, base + PAGE, oaddr::SINGLE, 0];
        let reply = w.call(Command::DataUnmap, &arguments)?;
        same("X0", reply.x[0], 0)?;
        reply.out(2, word)?;
        Ok(())
    });
    registry.add("hosts/tfa/data_map_init_is_immediate", |w| {
        let realm = tfa_realm(w)?;
        w.tables(&realm, 0, 3)?;
        let (data, src) = (w.delegated()?, w.page(&[1; 512]));
        w.call(Command::DataMapInit, &[realm.rd, data, 0, src, 0])?.ok()?;
        Ok(())
    });
    registry.add("hosts/tfa/ripas_is_immediate", |w| {
        let realm = tfa_realm(w)?;
        w.tables(&realm, 0, 3)?;
        w.call(Command::InitRipas, &[realm.rd, 0, PAGE])?.ok()?.out(1, PAGE)?;
        Ok(())
    });
    registry.add("hosts/tfa/folds_of_level_1", |w| {
        let realm = tfa_realm(w)?;
        w.tables(&realm, 0, 1)?;
        w.call(Command::RttFold, &[realm.rd, 0, 1])?.ok()?;
        Ok(())
    });
}
