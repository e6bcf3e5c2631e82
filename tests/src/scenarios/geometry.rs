//! Every legal start level, width and number of start tables, with and without LPA2.

use alloc::format;
use alloc::vec::Vec;

use super::good::DESC;
use super::registry::{Cpu, Registry};
use crate::abi::{Command, RealmParams, entry_state, ripas, rtt_error};
use crate::outcome::{Outcome, same};
use crate::program::{Access, Action, Observed};
use crate::world::{World, entry_size};

/// Number of start tables for a width, if the start level can serve it.
///
/// A table, not the formula of the monitor. Source: Arm ARM (DDI0487), "Concatenated translation
/// tables".
fn tables(start: i64, width: u64, lpa2: bool) -> Option<u64> {
    match (start, width) {
        (-1, 49..=52) if lpa2 => Some(1),
        (0, 40..=48) | (1, 32..=39) => Some(1),
        (0, 49..=52) if lpa2 => Some(1 << (width - 48)),
        (1, 40..=43) => Some(1 << (width - 39)),
        (2, 32..=34) => Some(1 << (width - 30)),
        _ => None,
    }
}

pub(super) fn add(registry: &mut Registry) {
    for lpa2 in [false, true] {
        for start in -1..=2 {
            for width in 32..=52 {
                let Some(roots) = tables(start, width, lpa2) else { continue };
                let format = if lpa2 { "lpa2" } else { "plain" };
                let name = format!("realm_create/success/{format}_{width}_bits_level_{start}");
                let cpu = if lpa2 { Cpu::Max } else { Cpu::Plain };
                registry.add_on(cpu, name, move |w| lives(w, (width, start, roots), lpa2));
            }
        }
    }
}

/// A Realm of this geometry has memory at its corners, and a REC that sees it.
fn lives(w: &mut World<'_>, (width, start, roots): (u64, i64, u64), lpa2: bool) -> Outcome {
    let mut params = w.realm_params(width, start, roots)?;
    params.flags = if lpa2 { RealmParams::LPA2 } else { 0 };
    let realm = w.realm_with(&params)?;
    let half = realm.unprotected();
    let corners = [0x1000, half - 0x1000];
    for ipa in corners {
        w.expect_entry(&realm, (ipa, 3), (start, 0, 0, ripas::EMPTY))?;
    }
    for ipa in corners {
        w.tables(&realm, ipa, 3)?;
        w.call(Command::RttInitRipas, [realm.rd, ipa, ipa + 0x1000])?.ok()?.out(1, ipa + 0x1000)?;
        let data = w.data_unknown(&realm, ipa)?;
        let expected = (3, entry_state::ASSIGNED, data, ripas::RAM);
        w.expect_entry(&realm, (ipa, 3), expected)?;
    }
    let shared = [half, realm.end() - 0x1000];
    let host = w.granule();
    for ipa in shared {
        w.expect_entry(&realm, (ipa, 3), (start, 0, 0, 0))?;
    }
    for ipa in shared {
        w.tables(&realm, ipa, 3)?;
        let desc = host | DESC & 0xfff;
        w.call(Command::RttMapUnprotected, [realm.rd, ipa, 3, desc])?.ok()?;
    }
    w.call(Command::RttReadEntry, [realm.rd, realm.end(), 3])?.is(1)?;
    w.call(Command::DataDestroy, [realm.rd, half])?.is(1)?;
    let rec = w.rec(&realm, 0)?;
    w.activate(&realm)?;
    let mut actions = Vec::new();
    for ipa in corners.into_iter().chain(shared) {
        actions.push(Action::Store(ipa, Access::WORD, ipa ^ 0x1111));
    }
    for ipa in corners.into_iter().chain(shared) {
        actions.push(Action::Load(ipa, Access::WORD));
    }
    let observed = w.observe(&rec, &actions)?;
    let [.., a, b, c, d] = observed.as_slice() else {
        return crate::outcome::fail("too few observations");
    };
    same("first page", a, &Observed::Value(corners[0] ^ 0x1111))?;
    same("last page", b, &Observed::Value(corners[1] ^ 0x1111))?;
    // Both shared addresses are the same granule.
    same(
        "shared",
        (c, d),
        (&Observed::Value(shared[1] ^ 0x1111), &Observed::Value(shared[1] ^ 0x1111)),
    )?;
    missing_levels(w, &realm)
}

/// The walk ends at the start level where nothing is: the error says so, also for level -1.
fn missing_levels(w: &mut World<'_>, realm: &crate::world::Realm) -> Outcome {
    let size = entry_size(realm.start);
    let empty = realm.unprotected() / 2;
    if realm.unprotected() <= 2 * size {
        return Ok(());
    }
    let table_span = if realm.start < 0 { 16 * size } else { 512 * size };
    let data = w.delegated()?;
    let reply = w.call(Command::DataCreateUnknown, [realm.rd, data, empty])?;
    reply.is(rtt_error(realm.start))?;
    let reply = w.call(Command::DataDestroy, [realm.rd, empty])?.is(rtt_error(realm.start))?;
    // The next live entry of the same table: the table of the last protected page, or of the first
    // shared one.
    let last = (realm.unprotected() - 0x1000) & !(size - 1);
    let end = (empty & !(table_span - 1)) + table_span;
    reply.out(2, last.min(end))?;
    Ok(())
}
