//! Pages of a Realm's memory.
//!
//! Source: RMM specification (Arm DEN0137) 1.0, RMI_DATA_CREATE, RMI_DATA_CREATE_UNKNOWN,
//! RMI_DATA_DESTROY.

use crate::extension;
use crate::state::measurement;
use crate::v1_0::granule::{Names, RD, State};
use crate::v1_0::realm::RealmState;
use crate::v1_0::rtt::{Entry, Ripas};
use crate::v1_0::verdict::{Conditions, INPUT, Order, REALM, Verdict, rtt};
use crate::v1_0::{Model, conditions};

const DATA: Names = ["data_align", "data_bound", "data_state"];

const ORDER: Order = &[
    (&["rd_bound", "rd_state"], &["realm_state", "rtt_walk", "rtte_state"]),
    (&["ipa_bound"], &["rtt_walk", "rtte_state"]),
];

impl Model {
    /// What all ways to create a page of a granule in this state check; whether the Realm is there.
    fn check_new_page(
        &self,
        c: &mut Conditions,
        rd: u64,
        (data, state): (u64, State),
        ipa: u64,
    ) -> bool {
        self.check_granule(c, DATA, data, state);
        if !self.check_granule(c, RD, rd, State::Rd) {
            return false;
        }
        let realm = &self.realms[&rd];
        c.fails("data_bound2", !realm.lpa2 && data >= 1 << 48, INPUT);
        c.fails("ipa_align", !ipa.is_multiple_of(4096), INPUT);
        if !realm.is_protected(ipa) {
            c.fails("ipa_bound", true, INPUT);
            return true;
        }
        let walk = realm.tables.walk(ipa, 3);
        c.fails("rtt_walk", walk.level < 3, rtt(walk.level));
        let unassigned = matches!(walk.entry(), Entry::Unassigned(_));
        c.fails("rtte_state", walk.level == 3 && !unassigned, rtt(walk.level));
        true
    }

    pub(crate) fn data_create(
        &mut self,
        rd: u64,
        data: u64,
        ipa: u64,
        src: u64,
        flags: u64,
    ) -> Verdict {
        let (in_place, flags) = extension::split(flags, data, src);
        let mut c = conditions();
        let page = self.read_host(&mut c, ["src_align", "src_bound", "src_pas"], src, 512);
        // The other bits should be zero.
        c.may_fail("flags", flags > 1, INPUT);
        let state = if in_place { State::Undelegated } else { State::Delegated };
        if self.check_new_page(&mut c, rd, (data, state), ipa) {
            c.fails("realm_state", self.realms[&rd].state != RealmState::New, REALM);
        }
        if in_place && !c.any() {
            // Last of all: a failure has nothing to take back.
            c.fails("gran_gpt", core::mem::take(&mut self.el3_refuses), INPUT);
        }
        let Some(page) = page else { return c.failure(ORDER) };
        c.or_succeeds(ORDER, [0; 4], move |model| {
            model.set_state(data, State::Data);
            model.memory.set_page(data, &page);
            if let Some(realm) = model.realms.get_mut(&rd) {
                *realm.tables.entry_mut(ipa, 3) = Entry::Assigned(Ripas::Ram, data);
                realm.rim = measurement::data(realm.algorithm, &realm.rim, ipa, flags, &page);
            }
        })
    }

    pub(crate) fn data_create_unknown(&self, rd: u64, data: u64, ipa: u64) -> Verdict {
        let mut c = conditions();
        self.check_new_page(&mut c, rd, (data, State::Delegated), ipa);
        c.or_succeeds(ORDER, [0; 4], move |model| {
            model.set_state(data, State::Data);
            model.memory.forget(data);
            if let Some(realm) = model.realms.get_mut(&rd) {
                let entry = realm.tables.entry_mut(ipa, 3);
                if let Entry::Unassigned(ripas) = *entry {
                    *entry = Entry::Assigned(ripas, data);
                }
            }
        })
    }

    pub(crate) fn data_destroy(&self, rd: u64, ipa: u64) -> Verdict {
        let mut c = conditions();
        if !self.check_granule(&mut c, RD, rd, State::Rd) {
            return c.failure(ORDER);
        }
        let realm = &self.realms[&rd];
        c.fails("ipa_align", !ipa.is_multiple_of(4096), INPUT);
        if !realm.is_protected(ipa) {
            c.fails("ipa_bound", true, INPUT);
            return c.failure(ORDER);
        }
        let walk = realm.tables.walk(ipa, 3);
        let top = [0, walk.top(ipa), 0, 0];
        c.fails_with("rtt_walk", walk.level < 3, rtt(walk.level), top);
        let Entry::Assigned(ripas, data) = *walk.entry() else {
            c.fails_with("rtte_state", true, rtt(walk.level), top);
            return c.failure(ORDER);
        };
        c.or_succeeds(ORDER, [data, walk.top_after(), 0, 0], move |model| {
            let left = if ripas == Ripas::Ram { Ripas::Destroyed } else { ripas };
            if let Some(realm) = model.realms.get_mut(&rd) {
                *realm.tables.entry_mut(ipa, 3) = Entry::Unassigned(left);
            }
            model.free(data);
        })
    }
}
