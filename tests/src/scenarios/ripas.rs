//! RMI_RTT_INIT_RIPAS and RMI_RTT_SET_RIPAS: how far they get, and what they leave.

use super::data::{fill_block, folded_block};
use super::good::{IPA, realm_with_tables, request, ripas_request};
use super::registry::Registry;
use crate::abi::{Command, INPUT, RecEnter, entry_state, ripas, rtt_error};
use crate::outcome::{Outcome, same};
use crate::program::{Access, Action, Observed};
use crate::rec::Rec;
use crate::world::{World, secret_page};

use entry_state::{ASSIGNED, UNASSIGNED};

const INIT: Command = Command::RttInitRipas;
const SET: Command = Command::RttSetRipas;
const BLOCK: u64 = 0x20_0000;

pub(super) fn add(registry: &mut Registry) {
    add_init(registry);
    add_init_stops(registry);
    add_set(registry);
    add_set_progress(registry);
    add_set_blocks(registry);
    add_protocol(registry);
}

fn add_init(registry: &mut Registry) {
    registry.add("rtt_init_ripas/success", |w| {
        let realm = realm_with_tables(w)?;
        w.call(INIT, [realm.rd, IPA + 0x1000, IPA + 0x3000])?.ok()?.out(1, IPA + 0x3000)?;
        for (page, value) in
            [(0, ripas::EMPTY), (1, ripas::RAM), (2, ripas::RAM), (3, ripas::EMPTY)]
        {
            w.expect_entry(&realm, (IPA + page * 0x1000, 3), (3, UNASSIGNED, 0, value))?;
        }
        // Again: still a success.
        w.call(INIT, [realm.rd, IPA + 0x1000, IPA + 0x3000])?.ok()?.out(1, IPA + 0x3000)?;
        Ok(())
    });
    registry.add("rtt_init_ripas/success/destroyed_becomes_ram", |w| {
        let realm = realm_with_tables(w)?;
        w.data(&realm, IPA, &secret_page(0))?;
        w.call(Command::DataDestroy, [realm.rd, IPA])?.ok()?;
        w.call(INIT, [realm.rd, IPA, IPA + 0x1000])?.ok()?.out(1, IPA + 0x1000)?;
        w.expect_entry(&realm, (IPA, 3), (3, UNASSIGNED, 0, ripas::RAM))
    });
    registry.add("rtt_init_ripas/success/whole_blocks", |w| {
        let realm = w.realm()?;
        w.tables(&realm, 0, 2)?;
        let reply = w.call(INIT, [realm.rd, 2 * BLOCK, 5 * BLOCK])?.ok()?;
        reply.out(1, 5 * BLOCK)?;
        w.expect_entry(&realm, (4 * BLOCK, 3), (2, UNASSIGNED, 0, ripas::RAM))?;
        w.expect_entry(&realm, (5 * BLOCK, 3), (2, UNASSIGNED, 0, ripas::EMPTY))
    });
    registry.add("rtt_init_ripas/success/level_0_entry", |w| {
        let realm = w.realm_of(42, 0, 1)?;
        let reply = w.call(INIT, [realm.rd, 0, 2 << 39])?.ok()?;
        reply.out(1, 2 << 39)?;
        w.expect_entry(&realm, (1 << 39, 3), (0, UNASSIGNED, 0, ripas::RAM))
    });
    registry.add("rtt_init_ripas/success/up_to_the_unprotected_half", |w| {
        let realm = w.realm()?;
        let last = realm.unprotected() - 0x1000;
        w.tables(&realm, last, 3)?;
        w.call(INIT, [realm.rd, last, realm.unprotected()])?.ok()?.out(1, realm.unprotected())?;
        Ok(())
    });
}

fn add_init_stops(registry: &mut Registry) {
    registry.add("rtt_init_ripas/success/stops_at_end_of_table", |w| {
        let realm = realm_with_tables(w)?;
        let reply = w.call(INIT, [realm.rd, IPA + 0x1000, IPA + 2 * BLOCK])?.ok()?;
        reply.out(1, IPA + BLOCK)?;
        Ok(())
    });
    registry.add("rtt_init_ripas/success/stops_before_partial_block", |w| {
        let realm = w.realm()?;
        w.tables(&realm, 0, 2)?;
        w.call(INIT, [realm.rd, 0, 2 * BLOCK + 0x1000])?.ok()?.out(1, 2 * BLOCK)?;
        w.call(INIT, [realm.rd, 2 * BLOCK, 2 * BLOCK + 0x1000])?.is(rtt_error(2))?;
        Ok(())
    });
    registry.add("rtt_init_ripas/success/stops_at_table", |w| {
        let realm = w.realm()?;
        w.tables(&realm, 3 * BLOCK, 3)?;
        w.call(INIT, [realm.rd, BLOCK, 6 * BLOCK])?.ok()?.out(1, 3 * BLOCK)?;
        w.call(INIT, [realm.rd, 3 * BLOCK, 6 * BLOCK])?.ok()?.out(1, 4 * BLOCK)?;
        w.call(INIT, [realm.rd, 4 * BLOCK, 6 * BLOCK])?.ok()?.out(1, 6 * BLOCK)?;
        Ok(())
    });
    registry.add("rtt_init_ripas/success/stops_at_assigned", |w| {
        let realm = realm_with_tables(w)?;
        let data = w.data_unknown(&realm, IPA + 0x2000)?;
        w.call(INIT, [realm.rd, IPA, IPA + 0x4000])?.ok()?.out(1, IPA + 0x2000)?;
        w.expect_entry(&realm, (IPA + 0x2000, 3), (3, ASSIGNED, data, ripas::EMPTY))?;
        w.call(INIT, [realm.rd, IPA + 0x2000, IPA + 0x4000])?.is(rtt_error(3))?;
        Ok(())
    });
    registry.add("rtt_init_ripas/base_align/not_even_a_page", |w| {
        let realm = realm_with_tables(w)?;
        w.call(INIT, [realm.rd, IPA + 0x800, IPA + 0x2000])?.is(rtt_error(3))?;
        Ok(())
    });
    registry.add("rtt_init_ripas/size_valid/all", |w| {
        let realm = realm_with_tables(w)?;
        for (base, top) in
            [(IPA, IPA), (IPA + 0x1000, IPA), (0, 0), (u64::MAX, 0), (u64::MAX, u64::MAX)]
        {
            w.call(INIT, [realm.rd, base, top])?.is(INPUT)?;
        }
        Ok(())
    });
    registry.add("rtt_init_ripas/top_bound/all", |w| {
        let realm = realm_with_tables(w)?;
        let half = realm.unprotected();
        for top in
            [half + 0x1000, realm.end(), realm.end() + 0x1000, 1 << 63, u64::MAX - 0xfff, u64::MAX]
        {
            w.call(INIT, [realm.rd, IPA, top])?.is(INPUT)?;
        }
        Ok(())
    });
}

/// A pending change of 8 pages at [`IPA`] whose tables reach level 3.
fn eight_pages(w: &mut World<'_>, wanted: u64, flags: u64) -> Outcome<Rec> {
    let realm = w.realm()?;
    let rec = w.running_in(&realm)?;
    w.tables(&realm, IPA, 3)?;
    request(w, &rec, (IPA, IPA + 0x8000), wanted, flags)?;
    Ok(rec)
}

fn add_set(registry: &mut Registry) {
    registry.add("rtt_set_ripas/success/unassigned", |w| {
        let rec = eight_pages(w, ripas::RAM, 0)?;
        let (rd, pa) = (rec.realm.rd, rec.pa);
        w.call(SET, [rd, pa, IPA, IPA + 0x8000])?.ok()?.out(1, IPA + 0x8000)?;
        w.expect_entry(&rec.realm, (IPA + 0x7000, 3), (3, UNASSIGNED, 0, ripas::RAM))?;
        w.expect_entry(&rec.realm, (IPA + 0x8000, 3), (3, UNASSIGNED, 0, ripas::EMPTY))?;
        w.finish(&rec, &RecEnter::default())?;
        request(w, &rec, (IPA, IPA + 0x8000), ripas::EMPTY, 0)?;
        w.call(SET, [rd, pa, IPA, IPA + 0x8000])?.ok()?.out(1, IPA + 0x8000)?;
        w.expect_entry(&rec.realm, (IPA, 3), (3, UNASSIGNED, 0, ripas::EMPTY))
    });
    registry.add("rtt_set_ripas/success/assigned", |w| {
        let realm = w.realm()?;
        let rec = w.running_in(&realm)?;
        w.tables(&realm, IPA, 3)?;
        let data = w.data_unknown(&realm, IPA)?;
        request(w, &rec, (IPA, IPA + 0x1000), ripas::RAM, 0)?;
        w.call(SET, [realm.rd, rec.pa, IPA, IPA + 0x1000])?.ok()?;
        w.expect_entry(&realm, (IPA, 3), (3, ASSIGNED, data, ripas::RAM))?;
        w.finish(&rec, &RecEnter::default())?;
        let store = Action::Store(IPA, Access::WORD, 0xabc);
        same("store", w.observe(&rec, &[store])?, [Observed::Done].into())?;
        // EMPTY keeps the contents, and a stale translation must not.
        request(w, &rec, (IPA, IPA + 0x1000), ripas::EMPTY, 0)?;
        w.call(SET, [realm.rd, rec.pa, IPA, IPA + 0x1000])?.ok()?;
        w.expect_entry(&realm, (IPA, 3), (3, ASSIGNED, data, ripas::EMPTY))?;
        w.finish(&rec, &RecEnter::default())?;
        request(w, &rec, (IPA, IPA + 0x1000), ripas::RAM, 0)?;
        w.call(SET, [realm.rd, rec.pa, IPA, IPA + 0x1000])?.ok()?;
        w.finish(&rec, &RecEnter::default())?;
        let load = Action::Load(IPA, Access::WORD);
        same("load", w.observe(&rec, &[load])?, [Observed::Value(0xabc)].into())
    });
    for (name, wanted) in [("ram", ripas::RAM), ("empty", ripas::EMPTY)] {
        registry.add(alloc::format!("rtt_set_ripas/success/destroyed_to_{name}"), move |w| {
            destroyed(w, wanted)
        });
    }
}

/// DESTROYED changes only with the Realm's consent.
fn destroyed(w: &mut World<'_>, wanted: u64) -> Outcome {
    let rec = w.running()?;
    let realm = rec.realm;
    // The page at 0 becomes UNASSIGNED, DESTROYED, and then ASSIGNED, DESTROYED.
    w.call(Command::DataDestroy, [realm.rd, 0])?.ok()?;
    request(w, &rec, (0, 0x1000), wanted, 0)?;
    w.call(SET, [realm.rd, rec.pa, 0, 0x1000])?.is(rtt_error(3))?;
    w.finish(&rec, &RecEnter::default())?;
    let data = w.data_unknown(&realm, 0)?;
    request(w, &rec, (0, 0x1000), wanted, 0)?;
    w.call(SET, [realm.rd, rec.pa, 0, 0x1000])?.is(rtt_error(3))?;
    w.finish(&rec, &RecEnter::default())?;
    request(w, &rec, (0, 0x1000), wanted, 1)?;
    w.call(SET, [realm.rd, rec.pa, 0, 0x1000])?.ok()?.out(1, 0x1000)?;
    w.expect_entry(&realm, (0, 3), (3, ASSIGNED, data, wanted))?;
    Ok(())
}

fn add_set_progress(registry: &mut Registry) {
    registry.add("rtt_set_ripas/success/in_parts", |w| {
        let rec = eight_pages(w, ripas::RAM, 0)?;
        let (rd, pa) = (rec.realm.rd, rec.pa);
        w.call(SET, [rd, pa, IPA, IPA + 0x3000])?.ok()?.out(1, IPA + 0x3000)?;
        w.call(SET, [rd, pa, IPA, IPA + 0x3000])?.is(INPUT)?;
        w.call(SET, [rd, pa, IPA + 0x3000, IPA + 0x8000])?.ok()?.out(1, IPA + 0x8000)?;
        // Nothing is left to do.
        w.call(SET, [rd, pa, IPA + 0x8000, IPA + 0x9000])?.is(INPUT)?;
        Ok(())
    });
    registry.add("rtt_set_ripas/success/stops_at_destroyed", |w| {
        let realm = w.realm()?;
        let rec = w.running_in(&realm)?;
        w.tables(&realm, IPA, 3)?;
        w.data_unknown(&realm, 0x3000)?;
        // Page 0 is RAM; 2 becomes DESTROYED through RAM.
        request(w, &rec, (0x3000, 0x4000), ripas::RAM, 0)?;
        w.call(SET, [realm.rd, rec.pa, 0x3000, 0x4000])?.ok()?;
        w.finish(&rec, &RecEnter::default())?;
        w.call(Command::DataDestroy, [realm.rd, 0x3000])?.ok()?;
        request(w, &rec, (0x1000, 0x5000), ripas::RAM, 0)?;
        w.call(SET, [realm.rd, rec.pa, 0x1000, 0x5000])?.ok()?.out(1, 0x3000)?;
        w.call(SET, [realm.rd, rec.pa, 0x3000, 0x5000])?.is(rtt_error(3))?;
        let observed = w.finish(&rec, &RecEnter::default())?;
        progress(&observed, 0x3000, 0)
    });
    registry.add("rtt_set_ripas/success/stops_at_end_of_table", |w| {
        let rec = ripas_request(w, (IPA + BLOCK - 0x1000, IPA + BLOCK + 0x1000), ripas::RAM, 0)?;
        w.tables(&rec.realm, IPA, 3)?;
        w.tables(&rec.realm, IPA + BLOCK, 3)?;
        let (rd, pa, base) = (rec.realm.rd, rec.pa, IPA + BLOCK - 0x1000);
        w.call(SET, [rd, pa, base, IPA + BLOCK + 0x1000])?.ok()?.out(1, IPA + BLOCK)?;
        w.call(SET, [rd, pa, IPA + BLOCK, IPA + BLOCK + 0x1000])?.ok()?;
        let observed = w.finish(&rec, &RecEnter::default())?;
        progress(&observed, IPA + BLOCK + 0x1000, 0)
    });
    registry.add("rtt_set_ripas/success/already_as_wanted", |w| {
        // The first entry has the RIPAS already: base_align and no_progress do not apply.
        let rec = ripas_request(w, (IPA + 0x1000, IPA + 0x3000), ripas::EMPTY, 0)?;
        let (rd, pa) = (rec.realm.rd, rec.pa);
        let reply = w.call(SET, [rd, pa, IPA + 0x1000, IPA + 0x3000])?.ok()?;
        reply.out(1, IPA + 0x3000)?;
        w.expect_entry(&rec.realm, (IPA, 3), (2, UNASSIGNED, 0, ripas::EMPTY))
    });
}

/// What RSI_IPA_STATE_SET returned.
fn progress(observed: &[Observed], base: u64, response: u64) -> Outcome {
    let [Observed::Smc(results)] = observed else {
        return crate::outcome::fail(alloc::format!("no result but {observed:x?}"));
    };
    same("X0 to X3", [results[0], results[1], results[2], results[3]], [0, base, response, 0])
}

fn add_set_blocks(registry: &mut Registry) {
    registry.add("rtt_set_ripas/success/whole_blocks", |w| {
        let rec = ripas_request(w, (BLOCK, 5 * BLOCK), ripas::RAM, 0)?;
        let before = w.port.invalidations();
        let reply = w.call(SET, [rec.realm.rd, rec.pa, BLOCK, 5 * BLOCK])?.ok()?;
        reply.out(1, 5 * BLOCK)?;
        w.expect_entry(&rec.realm, (4 * BLOCK, 3), (2, UNASSIGNED, 0, ripas::RAM))?;
        same("nothing to invalidate", w.port.invalidations(), before)
    });
    registry.add("rtt_set_ripas/success/assigned_block", |w| {
        let (realm, data) = folded_block(w)?;
        let rec = w.rec(&realm, 0)?;
        w.activate(&realm)?;
        let store = Action::Store(IPA + 0x5008, Access::WORD, 77);
        same("store", w.observe(&rec, &[store])?, [Observed::Done].into())?;
        request(w, &rec, (IPA, IPA + BLOCK), ripas::EMPTY, 0)?;
        w.call(SET, [realm.rd, rec.pa, IPA, IPA + BLOCK])?.ok()?.out(1, IPA + BLOCK)?;
        w.expect_entry(&realm, (IPA, 3), (2, ASSIGNED, data, ripas::EMPTY))?;
        w.finish(&rec, &RecEnter::default())?;
        request(w, &rec, (IPA, IPA + BLOCK), ripas::RAM, 0)?;
        w.call(SET, [realm.rd, rec.pa, IPA, IPA + BLOCK])?.ok()?;
        w.finish(&rec, &RecEnter::default())?;
        let load = Action::Load(IPA + 0x5008, Access::WORD);
        same("load", w.observe(&rec, &[load])?, [Observed::Value(77)].into())
    });
    registry.add("rtt_set_ripas/no_progress/part_of_a_block", |w| {
        let (realm, data) = folded_block(w)?;
        let rec = w.rec(&realm, 0)?;
        w.activate(&realm)?;
        request(w, &rec, (IPA, IPA + 0x1000), ripas::EMPTY, 0)?;
        w.call(SET, [realm.rd, rec.pa, IPA, IPA + 0x1000])?.is(rtt_error(2))?;
        w.table(&realm, IPA, 3)?;
        w.call(SET, [realm.rd, rec.pa, IPA, IPA + 0x1000])?.ok()?.out(1, IPA + 0x1000)?;
        w.expect_entry(&realm, (IPA, 3), (3, ASSIGNED, data, ripas::EMPTY))?;
        w.finish(&rec, &RecEnter::default())?;
        request(w, &rec, (IPA, IPA + 0x1000), ripas::RAM, 0)?;
        w.call(SET, [realm.rd, rec.pa, IPA, IPA + 0x1000])?.ok()?;
        w.call(Command::RttFold, [realm.rd, IPA, 3])?.ok()?;
        w.expect_entry(&realm, (IPA, 3), (2, ASSIGNED, data, ripas::RAM))
    });
    registry.add("rtt_set_ripas/success/mixed_assigned", |w| {
        let realm = realm_with_tables(w)?;
        fill_block(w, &realm, IPA, false)?;
        let rec = w.rec(&realm, 0)?;
        w.activate(&realm)?;
        request(w, &rec, (IPA, IPA + BLOCK), ripas::RAM, 0)?;
        w.call(SET, [realm.rd, rec.pa, IPA, IPA + BLOCK])?.ok()?.out(1, IPA + BLOCK)?;
        w.call(Command::RttFold, [realm.rd, IPA, 3])?.ok()?;
        Ok(())
    });
}

fn add_protocol(registry: &mut Registry) {
    registry.add("rtt_set_ripas/base_bound/no_request", |w| {
        let rec = w.running()?;
        let (rd, pa) = (rec.realm.rd, rec.pa);
        for (base, top) in [(0, 0x1000), (0x1000, 0x2000), (1 << 63, (1 << 63) + 0x1000)] {
            w.call(SET, [rd, pa, base, top])?.is(INPUT)?;
        }
        Ok(())
    });
    registry.add("rtt_set_ripas/base_bound/request_over", |w| {
        let rec = eight_pages(w, ripas::RAM, 0)?;
        let (rd, pa) = (rec.realm.rd, rec.pa);
        w.call(SET, [rd, pa, IPA, IPA + 0x1000])?.ok()?;
        w.finish(&rec, &RecEnter::default())?;
        w.call(SET, [rd, pa, IPA + 0x1000, IPA + 0x8000])?.is(INPUT)?;
        w.call(SET, [rd, pa, IPA, IPA + 0x8000])?.is(INPUT)?;
        w.call(SET, [rd, pa, 0, 0x1000])?.is(INPUT)?;
        Ok(())
    });
    registry.add("rtt_set_ripas/rec_owner/no_request_there", |w| {
        let rec = eight_pages(w, ripas::RAM, 0)?;
        let other = w.running()?;
        w.call(SET, [rec.realm.rd, other.pa, IPA, IPA + 0x8000])?.is(crate::abi::REC)?;
        Ok(())
    });
    registry.add("rtt_set_ripas/success/while_another_rec_waits", |w| {
        let realm = w.realm()?;
        w.tables(&realm, IPA, 3)?;
        let first = w.rec(&realm, 0)?;
        let second = w.rec(&realm, 1)?;
        w.activate(&realm)?;
        request(w, &first, (IPA, IPA + 0x2000), ripas::RAM, 0)?;
        request(w, &second, (IPA + 0x1000, IPA + 0x3000), ripas::EMPTY, 0)?;
        w.call(SET, [realm.rd, first.pa, IPA, IPA + 0x2000])?.ok()?;
        w.call(SET, [realm.rd, second.pa, IPA + 0x1000, IPA + 0x3000])?.ok()?;
        w.expect_entry(&realm, (IPA, 3), (3, UNASSIGNED, 0, ripas::RAM))?;
        w.expect_entry(&realm, (IPA + 0x1000, 3), (3, UNASSIGNED, 0, ripas::EMPTY))
    });
}
