//! RTT_MAP_UNPROTECTED, RTT_UNMAP_UNPROTECTED.

use super::Entry;
use crate::v1_0::granule::{RD, State};
use crate::v1_0::realm::Realm;
use crate::v1_0::verdict::{Conditions, INPUT, Order, Verdict, rtt};
use crate::v1_0::{Model, conditions, entry_size, level_of};

const ORDER: Order = &[
    (&["rd_bound", "rd_state"], &["rtt_walk", "rtte_state"]),
    (&["level_bound", "ipa_bound"], &["rtt_walk", "rtte_state"]),
];

/// MemAttr[2:0] and S2AP.
const ATTRIBUTES: u64 = 7 << 2 | 3 << 6;

/// The output address in what the Host passes, and whether the rest is its to choose.
fn parse(desc: u64, lpa2: bool) -> (u64, bool) {
    // Bits 49:12 are the address, without FEAT_LPA2 only those below 48 that it can name.
    let low = desc & ((1 << 50) - (1 << 12));
    let high = if lpa2 { (desc >> 8 & 3) << 50 } else { 0 };
    let known = low | ATTRIBUTES | if lpa2 { 3 << 8 } else { 0 };
    let reserved = desc >> 2 & 7 == 0b100;
    (low | high, desc & !known == 0 && !reserved)
}

impl Model {
    fn check_mapping(
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
        let unprotected = realm.contains(ipa) && !realm.is_protected(ipa);
        c.fails("ipa_bound", !unprotected, INPUT);
        if !(realm.start().max(1)..=3).contains(&level) {
            c.fails("level_bound", true, INPUT);
            return None;
        }
        c.fails("ipa_align", !ipa.is_multiple_of(entry_size(level)), INPUT);
        unprotected.then_some((realm, level))
    }

    pub(crate) fn rtt_map_unprotected(&self, rd: u64, ipa: u64, level: u64, desc: u64) -> Verdict {
        let mut c = conditions();
        let Some((realm, level)) = self.check_mapping(&mut c, rd, ipa, level) else {
            c.fails("attr_valid", !parse(desc, true).1, INPUT);
            return c.failure(ORDER);
        };
        let (pa, valid) = parse(desc, realm.lpa2);
        c.fails("attr_valid", !valid, INPUT);
        c.fails("addr_align", !pa.is_multiple_of(entry_size(level)), INPUT);
        c.fails("addr_bound", !realm.lpa2 && pa >= 1 << 48, INPUT);
        let walk = realm.tables.walk(ipa, level);
        c.fails("rtt_walk", walk.level < level, rtt(walk.level));
        let free = *walk.entry() == Entry::UnassignedNs;
        c.fails("rtte_state", walk.level == level && !free, rtt(walk.level));
        c.or_succeeds(ORDER, [0; 4], move |model| {
            if let Some(realm) = model.realms.get_mut(&rd) {
                *realm.tables.entry_mut(ipa, level) = Entry::AssignedNs(pa, desc & ATTRIBUTES);
            }
        })
    }

    pub(crate) fn rtt_unmap_unprotected(&self, rd: u64, ipa: u64, level: u64) -> Verdict {
        let mut c = conditions();
        let Some((realm, level)) = self.check_mapping(&mut c, rd, ipa, level) else {
            return c.failure(ORDER);
        };
        let walk = realm.tables.walk(ipa, level);
        let top = [walk.top(ipa), 0, 0, 0];
        c.fails_with("rtt_walk", walk.level < level, rtt(walk.level), top);
        let mapped = matches!(walk.entry(), Entry::AssignedNs(..));
        c.fails_with("rtte_state", walk.level == level && !mapped, rtt(walk.level), top);
        c.or_succeeds(ORDER, [walk.top_after(), 0, 0, 0], move |model| {
            if let Some(realm) = model.realms.get_mut(&rd) {
                *realm.tables.entry_mut(ipa, level) = Entry::UnassignedNs;
            }
        })
    }
}
