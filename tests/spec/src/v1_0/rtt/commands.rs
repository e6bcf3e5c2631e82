//! RTT_CREATE, RTT_DESTROY, RTT_FOLD, RTT_READ_ENTRY.

use super::{Entry, Ripas, Table};
use crate::v1_0::granule::{Names, RD, State};
use crate::v1_0::realm::Realm;
use crate::v1_0::verdict::{Conditions, INPUT, Order, Verdict, rtt};
use crate::v1_0::{Model, conditions, entry_size, level_of};

const RTT: Names = ["rtt_align", "rtt_bound", "rtt_state"];

const ORDER: Order = &[
    (&["rd_bound", "rd_state"], &["rtt_walk", "rtte_state", "rtt_live", "rtt_homo"]),
    (&["level_bound", "ipa_bound"], &["rtt_walk", "rtte_state"]),
];

/// An address at its place in a descriptor.
fn in_descriptor(pa: u64, lpa2: bool) -> u64 {
    if lpa2 { pa & !(0xf << 48) | pa & 3 << 48 | (pa >> 50 & 3) << 8 } else { pa }
}

impl Model {
    /// Checks `level` and `ipa` of a command on a table; the Realm and the level if they are good.
    fn check_table(
        &self,
        c: &mut Conditions,
        rd: u64,
        ipa: u64,
        level: u64,
    ) -> Option<(&Realm, i64)> {
        if !self.check_granule(c, RD, rd, State::Rd) {
            return None;
        }
        let realm = &self.realms[&rd];
        let level = level_of(level);
        c.fails("ipa_bound", !realm.contains(ipa), INPUT);
        if !(realm.start() + 1..=3).contains(&level) {
            c.fails("level_bound", true, INPUT);
            return None;
        }
        c.fails("ipa_align", !ipa.is_multiple_of(entry_size(level - 1)), INPUT);
        realm.contains(ipa).then_some((realm, level))
    }

    pub(crate) fn rtt_create(&self, rd: u64, table: u64, ipa: u64, level: u64) -> Verdict {
        let mut c = conditions();
        self.check_granule(&mut c, RTT, table, State::Delegated);
        let Some((realm, level)) = self.check_table(&mut c, rd, ipa, level) else {
            return c.failure(ORDER);
        };
        c.fails("rtt_bound2", !realm.lpa2 && table >= 1 << 48, INPUT);
        let walk = realm.tables.walk(ipa, level - 1);
        c.fails("rtt_walk", walk.level < level - 1, rtt(walk.level));
        let is_table = walk.level == level - 1 && matches!(walk.entry(), Entry::Table(_));
        c.fails("rtte_state", is_table, rtt(walk.level));
        c.or_succeeds(ORDER, [0; 4], move |model| {
            model.set_state(table, State::Rtt);
            if let Some(realm) = model.realms.get_mut(&rd) {
                let entry = realm.tables.entry_mut(ipa, level - 1);
                *entry = Entry::Table(Box::new(Table::below(entry, table, ipa, level)));
            }
        })
    }

    pub(crate) fn rtt_destroy(&self, rd: u64, ipa: u64, level: u64) -> Verdict {
        let mut c = conditions();
        let Some((realm, level)) = self.check_table(&mut c, rd, ipa, level) else {
            return c.failure(ORDER);
        };
        let walk = realm.tables.walk(ipa, level - 1);
        let top = [0, walk.top(ipa), 0, 0];
        c.fails_with("rtt_walk", walk.level < level - 1, rtt(walk.level), top);
        let Entry::Table(child) = walk.entry() else {
            c.fails_with("rtte_state", walk.level == level - 1, rtt(walk.level), top);
            return c.failure(ORDER);
        };
        c.fails_with("rtt_live", child.is_live(), rtt(level), [0, ipa, 0, 0]);
        let (table, protected) = (child.pa, realm.is_protected(ipa));
        c.or_succeeds(ORDER, [table, walk.top_after(), 0, 0], move |model| {
            model.free(table);
            if let Some(realm) = model.realms.get_mut(&rd) {
                // The text says UNASSIGNED, DESTROYED for both halves; Arm has confirmed that as a
                // mistake.
                *realm.tables.entry_mut(ipa, level - 1) = if protected {
                    Entry::Unassigned(Ripas::Destroyed)
                } else {
                    Entry::UnassignedNs
                };
            }
        })
    }

    pub(crate) fn rtt_fold(&self, rd: u64, ipa: u64, level: u64) -> Verdict {
        let mut c = conditions();
        let Some((realm, level)) = self.check_table(&mut c, rd, ipa, level) else {
            return c.failure(ORDER);
        };
        let walk = realm.tables.walk(ipa, level - 1);
        c.fails("rtt_walk", walk.level < level - 1, rtt(walk.level));
        let Entry::Table(child) = walk.entry() else {
            c.fails("rtte_state", walk.level == level - 1, rtt(walk.level));
            return c.failure(ORDER);
        };
        let folded = child.folded();
        c.fails("rtt_homo", folded.is_none(), rtt(level));
        let table = child.pa;
        c.or_succeeds(ORDER, [table, 0, 0, 0], move |model| {
            model.free(table);
            if let (Some(realm), Some(folded)) = (model.realms.get_mut(&rd), folded) {
                *realm.tables.entry_mut(ipa, level - 1) = folded;
            }
        })
    }

    pub(crate) fn rtt_read_entry(&self, rd: u64, ipa: u64, level: u64) -> Verdict {
        let mut c = conditions();
        if !self.check_granule(&mut c, RD, rd, State::Rd) {
            return c.failure(ORDER);
        }
        let realm = &self.realms[&rd];
        let level = level_of(level);
        c.fails("ipa_bound", !realm.contains(ipa), INPUT);
        if !(realm.start()..=3).contains(&level) {
            c.fails("level_bound", true, INPUT);
            return c.failure(ORDER);
        }
        c.fails("ipa_align", !ipa.is_multiple_of(entry_size(level)), INPUT);
        if c.any() {
            return c.failure(ORDER);
        }
        let walk = realm.tables.walk(ipa, level);
        let address = |pa| in_descriptor(pa, realm.lpa2);
        let (state, desc, ripas) = match walk.entry() {
            Entry::Unassigned(ripas) => (0, 0, ripas.code()),
            Entry::Assigned(ripas, pa) => (1, address(*pa), ripas.code()),
            Entry::Table(table) => (2, address(table.pa), 0),
            Entry::UnassignedNs => (0, 0, 0),
            Entry::AssignedNs(pa, attributes) => (1, address(*pa) | attributes, 0),
        };
        Verdict::succeeds([walk.level.cast_unsigned(), state, desc, ripas], |_| {})
    }
}
