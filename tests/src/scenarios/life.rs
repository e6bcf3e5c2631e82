//! A full life of a Realm, with the result of every step.

use super::registry::{Cpu, Registry};
use crate::abi::{Command, INPUT, REALM, RecEnter, entry_state, ripas, rtt_error};
use crate::outcome::Outcome;
use crate::rec::Rec;
use crate::world::{Realm, World, secret_page};

pub(super) fn add(registry: &mut Registry) {
    registry.add("life/smoke", life);
    registry.add_on(Cpu::Plain, "life/smoke_on_a_small_cpu", life);
    registry.add("life/twice", |w| {
        life(w)?;
        life(w)
    });
    registry.add("life/several_realms", |w| {
        for _ in 0..8 {
            w.running()?;
        }
        Ok(())
    });
}

fn life(w: &mut World<'_>) -> Outcome {
    w.call(Command::Version, [0x1_0000])?.ok()?.out(1, 0x1_0000)?.out(2, 0x1_0000)?;
    w.call(Command::Features, [0])?.ok()?;
    w.call(Command::Features, [1])?.ok()?.out(1, 0)?;
    let realm = w.realm()?;
    w.call(Command::GranuleDelegate, [realm.rd])?.is(INPUT)?;
    w.expect_entry(&realm, (0, 3), (0, 0, 0, ripas::EMPTY))?;
    w.expect_entry(&realm, (1 << 39, 3), (0, 0, 0, ripas::EMPTY))?;
    let (data, unknown) = build(w, &realm)?;
    let rec = activate(w, &realm)?;
    tear_down(w, &realm, &rec, data, unknown)
}

/// Steps 5 to 11: tables, RIPAS, memory.
fn build(w: &mut World<'_>, realm: &Realm) -> Outcome<(u64, u64)> {
    let rd = realm.rd;
    let src = w.page(&secret_page(1));
    let data = w.delegated()?;
    w.call(Command::DataCreate, [rd, data, 0, src, 1])?.is(rtt_error(0))?;
    for level in [1, 2, 3] {
        w.table(realm, 0, level)?;
    }
    let spare = w.delegated()?;
    w.call(Command::RttCreate, [rd, spare, 0, 2])?.is(rtt_error(1))?;
    w.call(Command::RttInitRipas, [rd, 0, 0x1000])?.ok()?.out(1, 0x1000)?;
    w.call(Command::RttInitRipas, [rd, 0, 0x800])?.is(INPUT)?;
    w.call(Command::RttInitRipas, [rd, 0x20_0000, 0x20_1000])?.is(rtt_error(2))?;
    w.call(Command::DataCreate, [rd, data, 0, src, 1])?.ok()?;
    w.expect_entry(realm, (0, 3), (3, entry_state::ASSIGNED, data, ripas::RAM))?;
    w.call(Command::DataCreate, [rd, spare, 0, src, 1])?.is(rtt_error(3))?;
    let unknown = w.data_unknown(realm, 0x3000)?;
    w.expect_entry(realm, (0x3000, 3), (3, entry_state::ASSIGNED, unknown, ripas::EMPTY))?;
    w.call(Command::RttFold, [rd, 0, 3])?.is(rtt_error(3))?;
    w.call(Command::RttDestroy, [rd, 0, 3])?.is_top(rtt_error(3), 2, 0)?;
    Ok((data, unknown))
}

/// Steps 12 to 14: REC and activation.
fn activate(w: &mut World<'_>, realm: &Realm) -> Outcome<Rec> {
    let rd = realm.rd;
    let params = w.rec_params(realm, 1)?;
    let page = w.params(&params.to_page());
    let granule = w.delegated()?;
    w.call(Command::RecCreate, [rd, granule, page])?.is(INPUT)?;
    let rec = w.rec(realm, 0)?;
    w.enter_raw(&rec, &RecEnter::default())?.is(REALM)?;
    w.activate(realm)?;
    w.enter(&rec)?;
    let src = w.page(&[0; 512]);
    w.call(Command::DataCreate, [rd, granule, 0x1000, src, 0])?.is(REALM)?;
    w.call(Command::RttInitRipas, [rd, 0x1000, 0x2000])?.is(REALM)?;
    let page = w.params(&params.to_page());
    w.call(Command::RecCreate, [rd, granule, page])?.is(REALM)?;
    w.call(Command::RealmActivate, [rd])?.is(REALM)?;
    Ok(rec)
}

/// Steps 15 to 19.
fn tear_down(w: &mut World<'_>, realm: &Realm, rec: &Rec, data: u64, unknown: u64) -> Outcome {
    w.move_out(realm)?;
    let rd = realm.rd;
    let destroy = Command::DataDestroy;
    let end = 0x20_0000;
    w.call(destroy, [rd, 0])?.ok()?.out(1, data)?.out(2, 0x3000)?;
    w.expect_entry(realm, (0, 3), (3, entry_state::UNASSIGNED, 0, ripas::DESTROYED))?;
    w.call(destroy, [rd, 0x1000])?.is_top(rtt_error(3), 2, 0x3000)?;
    w.call(destroy, [rd, 0x3000])?.ok()?.out(1, unknown)?.out(2, end)?;
    w.expect_entry(realm, (0x3000, 3), (3, entry_state::UNASSIGNED, 0, ripas::EMPTY))?;
    w.call(destroy, [rd, 0x3000])?.is_top(rtt_error(3), 2, end)?;
    w.call(Command::RealmDestroy, [rd])?.is(REALM)?;
    w.call(Command::RttDestroy, [rd, 0, 3])?.ok()?;
    w.expect_entry(realm, (0, 3), (2, entry_state::UNASSIGNED, 0, ripas::DESTROYED))?;
    w.call(Command::RttDestroy, [rd, 0, 2])?.ok()?;
    w.call(Command::RttDestroy, [rd, 0, 1])?.ok()?;
    w.call(Command::RealmDestroy, [rd])?.is(REALM)?;
    w.call(Command::RecDestroy, [rec.pa])?.ok()?;
    w.call(Command::RealmDestroy, [rd])?.ok()?;
    w.call(Command::RealmDestroy, [rd])?.is(INPUT)?;
    Ok(())
}
