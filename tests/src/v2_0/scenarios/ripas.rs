//! RTT_INIT_RIPAS and RTT_SET_RIPAS.

use alloc::format;

use super::super::abi::{Command, INPUT, REALM, REC, entry, ripas, rtt};
use super::super::pages::RecEnter;
use super::super::rec::Rec;
use super::super::registry::Registry;
use super::super::world::{BLOCK, PAGE, World};
use super::good::{IPA, good, realm_with_tables, request, ripas_request};
use super::map::prepare;
use crate::abi::rsi;
use crate::outcome::{Outcome, holds, same};

const INIT: Command = Command::InitRipas;
const SET: Command = Command::SetRipas;
/// A Realm's wish that memory that was destroyed becomes memory again.
pub(super) const CHANGE_DESTROYED: u64 = 1;

pub(super) fn add(registry: &mut Registry) {
    add_init(registry);
    add_set_arguments(registry);
    add_set_states(registry);
    add_set(registry);
}

fn add_init(registry: &mut Registry) {
    for (condition, base, top, code) in [
        ("size_valid/empty", IPA, IPA, INPUT),
        ("size_valid/backwards", IPA + PAGE, IPA, INPUT),
        ("top_align", IPA, IPA + 0x800, INPUT),
        ("base_bound", 1 << 39, (1 << 39) + PAGE, INPUT),
        ("top_bound", IPA, (1 << 39) + PAGE, INPUT),
        ("base_align", (1 << 31) + PAGE, 1 << 32, rtt(1)),
        ("no_progress", IPA + BLOCK, IPA + BLOCK + PAGE, rtt(2)),
        ("no_progress/level_1", 1 << 31, (1 << 31) + PAGE, rtt(1)),
    ] {
        registry.add(format!("init_ripas/{condition}"), move |w| {
            let call = good(w, INIT)?;
            let mut arguments = call.arguments.clone();
            (arguments[1], arguments[2]) = (base, top);
            w.fails(INIT, &arguments, code)?;
            call.succeeds(w)?;
            Ok(())
        });
    }
    registry.add("init_ripas/realm_state", |w| {
        let call = good(w, INIT)?;
        w.call(Command::RealmActivate, &[call.arguments[0]])?.ok()?;
        w.fails(INIT, &call.arguments, REALM)
    });
    for (name, before, mapped) in [
        ("void_empty", ripas::EMPTY, false),
        ("void_ram", ripas::RAM, false),
        ("data_empty", ripas::EMPTY, true),
        ("data_ram", ripas::RAM, true),
    ] {
        registry.add(format!("init_ripas/success/{name}"), move |w| {
            let realm = realm_with_tables(w)?;
            prepare(w, &realm, before)?;
            if mapped {
                w.data_unknown(&realm, IPA)?;
            }
            w.init_ripas(&realm, IPA, IPA + PAGE)?;
            let state = if mapped { entry::MAPPED } else { entry::VOID };
            w.expect(&realm, IPA, (3, state, ripas::RAM))
        });
    }
    for (name, mapped) in [("void", false), ("data", true)] {
        registry.add(format!("init_ripas/no_progress/{name}_destroyed"), move |w| {
            let realm = realm_with_tables(w)?;
            prepare(w, &realm, ripas::DESTROYED)?;
            if mapped {
                w.data_unknown(&realm, IPA)?;
            }
            w.fails(INIT, &[realm.rd, IPA, IPA + PAGE], rtt(3))?;
            let state = if mapped { entry::MAPPED } else { entry::VOID };
            w.expect(&realm, IPA, (3, state, ripas::DESTROYED))
        });
    }
    registry.add("init_ripas/success/stops_at_destroyed", |w| {
        let realm = realm_with_tables(w)?;
        let at = IPA + 3 * PAGE;
        w.init_ripas(&realm, at, at + PAGE)?;
        w.data_unknown(&realm, at)?;
        w.unmap(Command::DataUnmap, &realm, (at, at + PAGE))?;
        let mut done = IPA;
        while done < at {
            done = w.ok(INIT, &[realm.rd, done, IPA + BLOCK])?.x[1];
        }
        same("stops there", done, at)?;
        w.fails(INIT, &[realm.rd, at, IPA + BLOCK], rtt(3))
    });
    registry.add("init_ripas/success/whole_level_0_entry", |w| {
        let params = w.realm_params(48, 0, 1)?;
        let realm = w.realm_with(&params)?;
        w.init_ripas(&realm, 0, 1 << 39)?;
        w.expect(&realm, 0, (0, entry::VOID, ripas::RAM))
    });
    registry.add("init_ripas/success/over_tables", |w| {
        let realm = realm_with_tables(w)?;
        w.tables(&realm, IPA + BLOCK, 3)?;
        w.init_ripas(&realm, IPA, IPA + 2 * BLOCK)?;
        w.expect(&realm, IPA + BLOCK, (3, entry::VOID, ripas::RAM))
    });
}

fn add_set_arguments(registry: &mut Registry) {
    for (condition, index, value, code) in [
        ("size_valid", 3, IPA, INPUT),
        ("top_align", 3, IPA + 0x800, INPUT),
        ("base_bound/above", 2, IPA + PAGE, INPUT),
        ("base_bound/below", 2, IPA - PAGE, INPUT),
        ("top_bound", 3, IPA + 3 * PAGE, INPUT),
        ("top_bound/huge", 3, 1 << 39, INPUT),
    ] {
        registry.add(format!("set_ripas/{condition}"), move |w| {
            let call = good(w, SET)?;
            call.with(w, index, value, &[code])
        });
    }
    registry.add("set_ripas/rec_state", |w| {
        let rec = w.running()?;
        let arguments = [rec.realm.rd, rec.pa, 0, PAGE];
        w.while_running(&rec, SET, &arguments)?.is(REC)?;
        Ok(())
    });
    registry.add("set_ripas/rec_owner", |w| {
        let call = good(w, SET)?;
        let other = realm_with_tables(w)?;
        call.with(w, 0, other.rd, &[REC])
    });
    registry.add("set_ripas/base_bound/no_request", |w| {
        let rec = w.running()?;
        w.complete(SET, &[rec.realm.rd, rec.pa, 0, PAGE])?.is(INPUT)?;
        Ok(())
    });
    registry.add("set_ripas/base_align", |w| {
        let (base, top) = (IPA + BLOCK + PAGE, IPA + 3 * BLOCK);
        let rec = ripas_request(w, (base, top), ripas::RAM, 0)?;
        w.fails(SET, &[rec.realm.rd, rec.pa, base, top], rtt(2))
    });
    registry.add("set_ripas/no_progress/entry_too_large", |w| {
        let (base, top) = (IPA + BLOCK, IPA + BLOCK + PAGE);
        let rec = ripas_request(w, (base, top), ripas::RAM, 0)?;
        w.fails(SET, &[rec.realm.rd, rec.pa, base, top], rtt(2))?;
        w.table(&rec.realm, base, 3)?;
        w.ok(SET, &[rec.realm.rd, rec.pa, base, top])?;
        Ok(())
    });
}

/// HIPAS, RIPAS before, wish of the Realm, its flags, RIPAS after; `None`: the change stops there.
static STATES: &[(bool, u64, u64, u64, Option<u64>)] = &[
    (false, ripas::EMPTY, ripas::RAM, 0, Some(ripas::RAM)),
    (false, ripas::RAM, ripas::RAM, 0, Some(ripas::RAM)),
    (false, ripas::DESTROYED, ripas::RAM, CHANGE_DESTROYED, Some(ripas::RAM)),
    (false, ripas::DESTROYED, ripas::RAM, 0, None),
    (false, ripas::EMPTY, ripas::EMPTY, 0, Some(ripas::EMPTY)),
    (false, ripas::RAM, ripas::EMPTY, 0, Some(ripas::EMPTY)),
    (false, ripas::DESTROYED, ripas::EMPTY, 0, Some(ripas::EMPTY)),
    (true, ripas::EMPTY, ripas::RAM, 0, Some(ripas::RAM)),
    (true, ripas::RAM, ripas::RAM, 0, Some(ripas::RAM)),
    (true, ripas::DESTROYED, ripas::RAM, CHANGE_DESTROYED, Some(ripas::RAM)),
    (true, ripas::DESTROYED, ripas::RAM, 0, None),
    (true, ripas::EMPTY, ripas::EMPTY, 0, Some(ripas::EMPTY)),
    (true, ripas::RAM, ripas::EMPTY, 0, Some(ripas::EMPTY)),
    (true, ripas::DESTROYED, ripas::EMPTY, 0, Some(ripas::EMPTY)),
];

const fn ripas_name(value: u64) -> &'static str {
    match value {
        ripas::EMPTY => "empty",
        ripas::RAM => "ram",
        _ => "destroyed",
    }
}

/// A REC of a Realm in which the page at [`IPA`] is in this state.
#[track_caller]
fn stage(w: &mut World<'_>, mapped: bool, before: u64) -> Outcome<Rec> {
    let realm = realm_with_tables(w)?;
    prepare(w, &realm, before)?;
    if mapped {
        w.data_unknown(&realm, IPA)?;
    }
    w.running_in(&realm)
}

fn add_set_states(registry: &mut Registry) {
    for &(mapped, before, wanted, flags, after) in STATES {
        let hipas = if mapped { "data" } else { "void" };
        let name = format!(
            "set_ripas/{}/{hipas}_{}_to_{}_flags_{flags}",
            if after.is_some() { "success" } else { "no_progress" },
            ripas_name(before),
            ripas_name(wanted)
        );
        registry.add(name, move |w| {
            let rec = stage(w, mapped, before)?;
            request(w, &rec, (IPA, IPA + PAGE), wanted, flags)?;
            let reply = w.complete(SET, &[rec.realm.rd, rec.pa, IPA, IPA + PAGE])?;
            let state = if mapped { entry::MAPPED } else { entry::VOID };
            match after {
                Some(after) => {
                    reply.ok()?.out(1, IPA + PAGE)?;
                    w.expect(&rec.realm, IPA, (3, state, after))?;
                    let results = w.answered(&rec, &RecEnter::default())?;
                    same("X0, X1", (results[0], results[1]), (rsi::SUCCESS, IPA + PAGE))
                }
                None => {
                    reply.is(rtt(3))?;
                    w.expect(&rec.realm, IPA, (3, state, before))?;
                    let results = w.answered(&rec, &RecEnter::default())?;
                    same("X0, X1", (results[0], results[1]), (rsi::SUCCESS, IPA))
                }
            }
        });
    }
}

fn add_set(registry: &mut Registry) {
    registry.add("set_ripas/success/in_pieces", |w| {
        let top = IPA + 8 * PAGE;
        let rec = ripas_request(w, (IPA, top), ripas::RAM, 0)?;
        for number in 0..8 {
            let base = IPA + number * PAGE;
            w.ok(SET, &[rec.realm.rd, rec.pa, base, base + PAGE])?.out(1, base + PAGE)?;
        }
        let results = w.answered(&rec, &RecEnter::default())?;
        same("X0, X1", (results[0], results[1]), (rsi::SUCCESS, top))
    });
    registry.add("set_ripas/success/partly_then_entered", |w| {
        let top = IPA + 8 * PAGE;
        let rec = ripas_request(w, (IPA, top), ripas::RAM, 0)?;
        w.ok(SET, &[rec.realm.rd, rec.pa, IPA, IPA + 3 * PAGE])?;
        let results = w.answered(&rec, &RecEnter::default())?;
        holds("what was done", results[1] > IPA && results[1] <= IPA + 3 * PAGE)?;
        // The request is over.
        w.fails(SET, &[rec.realm.rd, rec.pa, results[1], top], INPUT)
    });
    registry.add("set_ripas/base_bound/again", |w| {
        let call = good(w, SET)?;
        call.succeeds(w)?;
        w.fails(SET, &call.arguments, INPUT)
    });
    registry.add("set_ripas/success/stops_at_destroyed", |w| {
        let realm = realm_with_tables(w)?;
        let at = IPA + 3 * PAGE;
        w.init_ripas(&realm, at, at + PAGE)?;
        w.data_unknown(&realm, at)?;
        w.unmap(Command::DataUnmap, &realm, (at, at + PAGE))?;
        let rec = w.running_in(&realm)?;
        let top = IPA + 8 * PAGE;
        request(w, &rec, (IPA, top), ripas::RAM, 0)?;
        let mut done = IPA;
        while done < at {
            done = w.ok(SET, &[realm.rd, rec.pa, done, top])?.x[1];
        }
        same("stops there", done, at)?;
        w.fails(SET, &[realm.rd, rec.pa, at, top], rtt(3))?;
        w.expect(&realm, at + PAGE, (3, entry::VOID, ripas::EMPTY))
    });
    registry.add("set_ripas/success/empty_is_seen_at_once", |w| {
        use crate::program::{Access, Action, El1, Observed};
        let realm = realm_with_tables(w)?;
        w.init_ripas(&realm, IPA, IPA + PAGE)?;
        w.data_unknown(&realm, IPA)?;
        let rec = w.running_in(&realm)?;
        // The translation is in the TLB.
        w.observe(&rec, &[Action::Load(IPA, Access::WORD)])?;
        request(w, &rec, (IPA, IPA + PAGE), ripas::EMPTY, 0)?;
        w.ok(SET, &[realm.rd, rec.pa, IPA, IPA + PAGE])?;
        w.answered(&rec, &RecEnter::default())?;
        let actions =
            [Action::SetEl1(El1::Vbar, crate::rec::VECTORS), Action::Load(IPA, Access::WORD)];
        let seen = w.observe(&rec, &actions)?;
        holds("an abort", matches!(seen.as_slice(), [Observed::Exception { .. }]))
    });
    registry.add("set_ripas/success/seen_by_ipa_state_get", |w| {
        let rec = ripas_request(w, (IPA, IPA + PAGE), ripas::RAM, 0)?;
        w.ok(SET, &[rec.realm.rd, rec.pa, IPA, IPA + PAGE])?;
        w.answered(&rec, &RecEnter::default())?;
        let results = w.smc(&rec, &[rsi::IPA_STATE_GET, IPA, IPA + PAGE])?;
        same("X0 to X2", &results[..3], &[rsi::SUCCESS, IPA + PAGE, ripas::RAM])
    });
}
