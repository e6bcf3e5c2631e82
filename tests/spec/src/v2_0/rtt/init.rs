//! RTT_DATA_MAP_INIT.
//!
//! Source: sections 8.7 and 10.5 of our notes on RMI 2.0.

use super::super::granule::Refusal;
use super::super::verdict::{Conditions, Names, Order, Outcome, RD};
use super::super::words::{INPUT, REALM, rtt};
use super::super::{Entry, HostView, Model, RealmState, Ripas, State, Verdict, choices};
use crate::extension;
use crate::state::measurement;

const DATA: Names = ["data_align", "data_bound", "data_state"];
const SRC: Names = ["src_align", "src_bound", "src_pas"];

const ORDER: Order = &[
    (&["rd_align", "rd_bound", "rd_state"], &["realm_state", "rtt_walk", "rtte_state"]),
    (&["ipa_bound"], &["rtt_walk", "rtte_state"]),
];

impl Model {
    /// rd, data, ipa, src, flags. That data is rd or a table is a matter of its state (B-1).
    pub(crate) fn data_map_init(&self, arguments: [u64; 5], host: &dyn HostView) -> Verdict {
        let [rd, data, ipa, src, flags] = arguments;
        let (in_place, flags) = extension::split(flags, data, src);
        let mut c = Conditions::new();
        let page = self.read_host(&mut c, SRC, src, host);
        let state = if in_place { State::Undelegated } else { State::Delegated };
        self.check_granule_or(&mut c, DATA, data, state, choices::OWNED_IN_MAP);
        // The other bits should be zero; TF-RMM refuses them.
        c.may_fail("flags", flags > 1, INPUT);
        c.fails("ipa_align", !ipa.is_multiple_of(4096), INPUT);
        if !self.check_granule(&mut c, RD, rd, State::Rd) {
            return c.failure(ORDER);
        }
        let realm = &self.realms[&rd];
        c.fails("data_bound2", !realm.lpa2 && data >= 1 << 48, INPUT);
        c.fails("realm_state", realm.state != RealmState::New, REALM);
        if !realm.is_protected(ipa) {
            c.fails("ipa_bound", true, INPUT);
            return c.failure(ORDER);
        }
        let walk = realm.tables.walk(ipa, 3);
        c.fails("rtt_walk", walk.level < 3, rtt(walk.level));
        // DATA with the same address too.
        let void = matches!(walk.entry(), Entry::Unassigned(_));
        c.fails("rtte_state", walk.level == 3 && !void, rtt(3));
        let Some(page) = page else { return c.failure(ORDER) };
        // Last of all EL3 is asked: a failure has nothing to take back.
        let refusal = if in_place && !c.any() { self.refusal } else { Refusal::Never };
        let refused = |code| {
            Outcome::of("el3_refused", code).effect(|model, _, _| {
                model.refusal = Refusal::Never;
                Ok(())
            })
        };
        if let Refusal::Next(code) = refusal {
            return Verdict(vec![refused(code)]);
        }
        let verdict = c.or_succeeds(ORDER, [0; 4], move |model| {
            model.set_state(data, State::Data);
            model.replace(rd, ipa, 3, |_| Entry::Assigned(Ripas::Ram, data));
            if let Some(realm) = model.realms.get_mut(&rd) {
                realm.rim = measurement::data(realm.algorithm, &realm.rim, ipa, flags, &page);
            }
        });
        match refusal {
            Refusal::Perhaps(code) | Refusal::Once(code) => verdict.or(refused(code)),
            Refusal::Next(_) | Refusal::Never => verdict,
        }
    }
}
