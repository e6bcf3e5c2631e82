//! RTT_INIT_RIPAS, RTT_SET_RIPAS.

use super::{Entry, Ripas, Walk};
use crate::state::measurement;
use crate::v1_0::granule::{RD, REC, State};
use crate::v1_0::realm::RealmState;
use crate::v1_0::verdict::{INPUT, Order, REALM, REC as ERROR_REC, Verdict, rtt};
use crate::v1_0::{Model, conditions, entry_size};

const INIT_ORDER: Order = &[
    (&["rd_bound", "rd_state"], &["realm_state", "base_align", "rtte_state", "no_progress"]),
    (&["top_gran_align"], &["no_progress"]),
];

/// The last two rows are not stated; the conformance suite of the architecture depends on them.
const SET_ORDER: Order = &[
    (&["rd_bound", "rd_state"], &["base_align", "no_progress"]),
    (&["rec_bound", "rec_gran_state"], &["rec_state", "rec_owner"]),
    (&["base_bound"], &["base_align"]),
    (&["top_gran_align"], &["no_progress"]),
    (&["rec_owner"], &["base_bound", "top_bound"]),
    (&["rec_state"], &["base_bound", "top_bound"]),
];

/// How many entries from the walk's on lie inside `[.., top)` and satisfy a rule.
fn count(walk: &Walk<'_>, top: u64, rule: impl Fn(&Entry) -> bool) -> u64 {
    let size = entry_size(walk.level);
    let mut number = 0;
    for entry in walk.rest() {
        if walk.first() + (number + 1) * size > top || !rule(entry) {
            break;
        }
        number += 1;
    }
    number
}

impl Model {
    pub(crate) fn rtt_init_ripas(&self, rd: u64, base: u64, top: u64) -> Verdict {
        let mut c = conditions();
        c.fails("size_valid", top <= base, INPUT);
        c.fails("top_gran_align", !top.is_multiple_of(4096), INPUT);
        if !self.check_granule(&mut c, RD, rd, State::Rd) {
            return c.failure(INIT_ORDER);
        }
        let realm = &self.realms[&rd];
        let bound = !realm.is_protected(top.wrapping_sub(4096) & !0xfff) || top == 0;
        c.fails("top_bound", bound, INPUT);
        c.fails("realm_state", realm.state != RealmState::New, REALM);
        if !realm.is_protected(base) {
            return c.failure(INIT_ORDER);
        }
        let walk = realm.tables.walk(base, 3);
        let (level, size) = (walk.level, entry_size(walk.level));
        c.fails("base_align", !base.is_multiple_of(size), rtt(level));
        let unassigned = |entry: &Entry| matches!(entry, Entry::Unassigned(_));
        c.fails("rtte_state", !unassigned(walk.entry()), rtt(level));
        // An ASSIGNED entry later in the range stops the walk, against the formal text: it would
        // become valid memory without the Realm's consent.
        let number = count(&walk, top, unassigned);
        c.fails("no_progress", number == 0, rtt(level));
        let reached = base + number * size;
        c.or_succeeds(INIT_ORDER, [reached, 0, 0, 0], move |model| {
            let Some(realm) = model.realms.get_mut(&rd) else { return };
            for ipa in (base..reached).step_by(size as usize) {
                realm.tables.entry_mut(ipa, level).set_ripas(Ripas::Ram);
                realm.rim = measurement::ripas(realm.algorithm, &realm.rim, ipa, ipa + size);
            }
        })
    }

    pub(crate) fn rtt_set_ripas(&self, rd: u64, rec: u64, base: u64, top: u64) -> Verdict {
        let mut c = conditions();
        c.fails("size_valid", top <= base, INPUT);
        c.fails("top_gran_align", !top.is_multiple_of(4096), INPUT);
        let has_rd = self.check_granule(&mut c, RD, rd, State::Rd);
        let has_rec = self.check_granule(&mut c, REC, rec, State::Rec);
        if !has_rec {
            return c.failure(SET_ORDER);
        }
        let (rec_pa, rec) = (rec, &self.recs[&rec]);
        c.fails("rec_state", rec.is_running, ERROR_REC);
        c.fails("rec_owner", rec.owner != rd, ERROR_REC);
        c.fails("base_bound", base != rec.ripas.addr, INPUT);
        c.fails("top_bound", top > rec.ripas.top, INPUT);
        if !has_rd || !self.realms[&rd].is_protected(base) {
            return c.failure(SET_ORDER);
        }
        let walk = self.realms[&rd].tables.walk(base, 3);
        let (level, size) = (walk.level, entry_size(walk.level));
        let wanted = rec.ripas.value;
        let as_wanted = walk.entry().ripas() == Some(wanted);
        let aligned = base.is_multiple_of(size);
        let destroyed = rec.ripas.change_destroyed;
        let may_change =
            |entry: &Entry| entry.ripas().is_some_and(|now| destroyed || now != Ripas::Destroyed);
        let number = count(&walk, top, may_change);
        c.fails("base_align", !aligned && !as_wanted, rtt(level));
        c.fails("no_progress", number == 0 && !as_wanted, rtt(level));
        // A first entry that has the wanted RIPAS never fails, although it may reach past `top`, or
        // begin before `base`.
        let reached = walk.first() + number * size;
        let stepped = top.min(walk.first() + size);
        let reached = if as_wanted { reached.max(stepped) } else { reached };
        let first = walk.first();
        c.or_succeeds(SET_ORDER, [reached, 0, 0, 0], move |model| {
            if let Some(realm) = model.realms.get_mut(&rd) {
                for number in 0..number {
                    realm.tables.entry_mut(first + number * size, level).set_ripas(wanted);
                }
            }
            if let Some(rec) = model.recs.get_mut(&rec_pa) {
                rec.ripas.addr = reached;
            }
        })
    }
}
