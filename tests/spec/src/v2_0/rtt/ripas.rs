//! RTT_INIT_RIPAS, RTT_SET_RIPAS.
//!
//! Source: sections 10.2, 10.12 and 10.13 of our notes on RMI 2.0.

use super::super::platform::GRANULE;
use super::super::verdict::{Conditions, Order, RD, RECS, ensure};
use super::super::words::{INPUT, REALM, REC, rtt};
use super::super::{
    Entry, Model, RealmState, Ripas, RipasRequest, State, Verdict, choices, entry_size,
};
use super::{ORDER, Step};
use crate::state::measurement;

/// Section 10.13.
const SET_ORDER: Order = &[
    (&["rd_align", "rd_bound", "rd_state"], &["entry_align", "entry_size", "entry_state"]),
    (&["rec_bound", "rec_gran_state"], &["rec_state", "rec_owner"]),
    (&["base_bound"], &["entry_align"]),
];

/// `entry` with another RIPAS.
fn with_ripas(entry: &Entry, ripas: Ripas) -> Entry {
    match entry {
        Entry::Unassigned(_) => Entry::Unassigned(ripas),
        Entry::Assigned(_, pa) => Entry::Assigned(ripas, *pa),
        other => other.clone(),
    }
}

impl Model {
    /// Section 10.12; not measured (OQ-19).
    pub(crate) fn rtt_init_ripas(&self, rd: u64, base: u64, top: u64) -> Verdict {
        let mut c = Conditions::of_range(base);
        c.fails("size_valid", top <= base, INPUT);
        c.fails("top_align", !top.is_multiple_of(GRANULE), INPUT);
        // Without a check of its own such a base fails at the walk, with RTT.
        c.may_fail("base_align", !base.is_multiple_of(GRANULE), INPUT);
        if !self.check_granule(&mut c, RD, rd, State::Rd) {
            return c.failure(ORDER);
        }
        let realm = &self.realms[&rd];
        let bound =
            [base, top.wrapping_sub(GRANULE)].into_iter().all(|ipa| realm.is_protected(ipa));
        c.fails("ipa_bound", !bound, INPUT);
        c.fails("realm_state", realm.state != RealmState::New, REALM);
        if !bound || top <= base {
            return c.failure(ORDER);
        }
        self.check_first(&mut c, base, &mut |model, at| model.init_step(rd, top, at));
        c.or_checked(ORDER, move |model, answer, _| {
            ensure(answer[2..4] == [0; 2], "X2 and X3 are 0")?;
            model.step_to([base, top, answer[1]], &mut |model, at| model.init_step(rd, top, at))
        })
    }

    fn init_step(&mut self, rd: u64, top: u64, at: u64) -> Step {
        let walk = self.realms[&rd].tables.walk(at, 3);
        let (level, size) = (walk.level, entry_size(walk.level));
        let stops = |condition| Step::Stops(condition, vec![rtt(level)]);
        if !at.is_multiple_of(size) {
            return stops("entry_align");
        }
        if size > top - at {
            return stops("entry_size");
        }
        match walk.entry().ripas() {
            Some(Ripas::Empty | Ripas::Ram) => {}
            // DESTROYED stops, other than in 1.0.
            Some(Ripas::Destroyed) | None => return stops("entry_state"),
        }
        self.replace(rd, at, level, |entry| with_ripas(entry, Ripas::Ram));
        if let (true, Some(realm)) = (choices::OLD_RIM, self.realms.get_mut(&rd)) {
            realm.rim = measurement::ripas(realm.algorithm, &realm.rim, at, at + size);
        }
        Step::To(at + size)
    }

    /// Section 10.13. No condition on the Realm's state.
    pub(crate) fn rtt_set_ripas(&self, rd: u64, rec: u64, base: u64, top: u64) -> Verdict {
        let mut c = Conditions::of_range(base);
        c.fails("size_valid", top <= base, INPUT);
        c.fails("top_align", !top.is_multiple_of(GRANULE), INPUT);
        let has_rd = self.check_granule(&mut c, RD, rd, State::Rd);
        if !self.check_granule(&mut c, RECS, rec, State::Rec) {
            return c.failure(SET_ORDER);
        }
        let this = &self.recs[&rec];
        c.fails("rec_state", this.is_running, REC);
        c.fails("rec_owner", this.owner != rd, REC);
        let (addr, end) = this.ripas.map_or((0, 0), |request| (request.addr, request.top));
        // X1 is 0 here (0.4, Annex E).
        c.fails_with("base_bound", base != addr, INPUT, [0; 4]);
        c.fails("top_bound", top > end, INPUT);
        let (Some(request), true) = (this.ripas, has_rd && top > base) else {
            return c.failure(SET_ORDER);
        };
        if !self.realms[&rd].is_protected(base) {
            return c.failure(SET_ORDER);
        }
        self.check_first(&mut c, base, &mut |model, at| model.set_step(rd, &request, top, at));
        c.or_checked(SET_ORDER, move |model, answer, _| {
            ensure(answer[2..4] == [0; 2], "X2 and X3 are 0")?;
            let out_top = answer[1];
            let step = &mut |model: &mut Self, at| model.set_step(rd, &request, top, at);
            model.step_to([base, top, out_top], step)?;
            if let Some(request) = model.recs.get_mut(&rec).and_then(|rec| rec.ripas.as_mut()) {
                request.addr = out_top;
            }
            Ok(())
        })
    }

    fn set_step(&mut self, rd: u64, request: &RipasRequest, top: u64, at: u64) -> Step {
        let walk = self.realms[&rd].tables.walk(at, 3);
        let (level, size) = (walk.level, entry_size(walk.level));
        let stops = |condition| Step::Stops(condition, vec![rtt(level)]);
        let Some(now) = walk.entry().ripas() else { return stops("entry_state") };
        if !at.is_multiple_of(size) {
            return stops("entry_align");
        }
        if size > top - at {
            // An entry that has the value already counts as progress; whether also if it is too
            // large is open.
            return if now == request.value {
                Step::Either("entry_size", rtt(level), top)
            } else {
                stops("entry_size")
            };
        }
        let to = at + size;
        let step = match (now, request.value, request.changes_destroyed) {
            (Ripas::Destroyed, Ripas::Ram, Some(false)) => return stops("entry_state"),
            // The Host does not know what the Realm has allowed.
            (Ripas::Destroyed, Ripas::Ram, None) => Step::Either("entry_state", rtt(level), to),
            _ => Step::To(to),
        };
        self.replace(rd, at, level, |entry| with_ripas(entry, request.value));
        step
    }
}
