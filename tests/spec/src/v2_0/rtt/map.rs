//! RTT_DATA_MAP, RTT_UNPROT_MAP.
//!
//! Source: sections 10.3, 10.4 and 10.7 of our notes on RMI 2.0.

use super::super::verdict::{Conditions, ensure};
use super::super::words::{INPUT, REALM, TRACKING, rtt};
use super::super::{
    Entry, HostView, Model, RealmState, State, Verdict, choices, entry_size, granules_of,
};
use super::source::{Given, Source};
use super::{Half, ORDER, Step};

/// Attributes in the flags of UNPROT_MAP, at their places in a descriptor (7.2): MemAttr, and S2AP
/// with write in bit 0.
fn attributes(flags: u64) -> (u64, bool) {
    let (mem_attr, s2ap) = (flags >> 16 & 7, flags >> 19 & 0xf);
    (mem_attr << 2 | (s2ap & 3) << 6, mem_attr != 0b100 && s2ap <= 3)
}

/// What a mapping command wants.
#[derive(Clone)]
struct Wish {
    half: Half,
    rd: u64,
    base: u64,
    top: u64,
    attributes: u64,
    source: Source,
}

impl Model {
    /// DATA_MAP and UNPROT_MAP: rd, base, top, flags, oaddr.
    pub(crate) fn map(&self, half: Half, arguments: [u64; 5], host: &dyn HostView) -> Verdict {
        let [rd, base, top, flags, oaddr] = arguments;
        let mut c = Conditions::of_range(base);
        let walks = self.check_mapping(&mut c, half, rd, base, top).is_some();
        let realm = self.realms.get(&rd);
        if let Some(realm) = realm {
            let lives = matches!(realm.state, RealmState::New | RealmState::Active);
            c.fails("realm_state", !lives, REALM);
        }
        let lpa2 = realm.is_none_or(|realm| realm.lpa2);
        let source = self.check_source(&mut c, half, [flags, oaddr], lpa2, host);
        // OQ-14: else as far as both reach.
        let differs = source.bytes() != top.wrapping_sub(base);
        c.fails("oaddr_length", differs && !choices::LIST_MAY_DIFFER, INPUT);
        let (attributes, valid) = attributes(flags);
        c.fails("attr_valid", half == Half::Unprotected && !valid, INPUT);
        if !walks {
            return c.failure(ORDER);
        }
        let wish = Wish { half, rd, base, top, attributes, source };
        // With bad arguments the walk may still be what decides.
        self.check_first(&mut c, base, &mut |model, at| model.map_step(&wish, at));
        c.or_checked(ORDER, move |model, answer, _| {
            ensure(answer[2..4] == [0; 2], "X2 and X3 are 0")?;
            model.step_to([base, top, answer[1]], &mut |model, at| model.map_step(&wish, at))
        })
    }

    /// Section 10.4, table of the first entry.
    fn map_step(&mut self, wish: &Wish, at: u64) -> Step {
        let realm = &self.realms[&wish.rd];
        let walk = realm.tables.walk(at, 3);
        let (level, size) = (walk.level, entry_size(walk.level));
        let stops = |condition| Step::Stops(condition, vec![rtt(level)]);
        if !at.is_multiple_of(size) {
            return stops("entry_align");
        }
        if size > wish.top - at {
            return stops("entry_size");
        }
        // No blocks at level 0 and -1.
        if level < 1 {
            return stops("entry_state");
        }
        let given = wish.source.at(at - wish.base);
        let next = match walk.entry() {
            Entry::Unassigned(_) | Entry::UnassignedNs => None,
            // The same memory is progress.
            Entry::Assigned(_, pa) => Some((*pa, true)),
            Entry::AssignedNs(pa, attributes) => Some((*pa, *attributes == wish.attributes)),
            Entry::Table(_) => return stops("entry_state"),
        };
        let Some(Given { pa, own, merged }) = given else {
            // The list has come to its end (OQ-14); no list at all is another condition.
            return Step::Stops("oaddr_end", vec![INPUT]);
        };
        if let Some((mapped, alike)) = next {
            let same = mapped == pa && alike && merged >= size;
            return if same { Step::To(at + size) } else { stops("entry_state") };
        }
        // The Host has to make a table: memory is not aligned, or ends, or has a gap.
        if !pa.is_multiple_of(size) || merged < size {
            return stops("entry_pa");
        }
        if wish.half == Half::Protected && level < choices::LARGEST_DATA_BLOCK {
            return stops("entry_pa");
        }
        let step = match wish.half {
            Half::Protected => self.map_data(wish, at, level, pa),
            Half::Unprotected => {
                self.replace(wish.rd, at, level, |_| Entry::AssignedNs(pa, wish.attributes));
                Step::To(at + size)
            }
        };
        // Whether several descriptors together make a block is not said.
        match step {
            Step::To(to) if own < size => Step::Either("entry_pa", rtt(level), to),
            Step::Stops(condition, mut codes) if own < size => {
                codes.push(rtt(level));
                Step::Stops(condition, codes)
            }
            step => step,
        }
    }

    /// All granules of an entry, or none (10.4).
    fn map_data(&mut self, wish: &Wish, at: u64, level: i64, pa: u64) -> Step {
        let size = entry_size(level);
        let mut codes: Vec<u64> =
            granules_of(pa, pa + size).flat_map(|granule| self.refusals(granule)).collect();
        if !codes.is_empty() {
            // Nothing says which granule of a block is looked at first.
            codes.sort_unstable();
            codes.dedup();
            return Step::Stops("data_state", codes);
        }
        for granule in granules_of(pa, pa + size) {
            self.set_state(granule, State::Data);
        }
        self.replace(wish.rd, at, level, |entry| match entry {
            Entry::Unassigned(ripas) => Entry::Assigned(*ripas, pa),
            other => other.clone(),
        });
        Step::To(at + size)
    }

    /// Codes for a granule that cannot become a Realm's memory; none if it can.
    fn refusals(&self, granule: u64) -> Vec<u64> {
        if !self.platform.is_delegable(granule) {
            // 10.3 says TRACKING for a region, 10.4 INPUT for a granule.
            return vec![TRACKING, INPUT];
        }
        match self.state(granule) {
            State::Delegated => Vec::new(),
            State::Intermediate => choices::OWNED_IN_MAP.to_vec(),
            State::Internal if self.is_donated(granule) => {
                [choices::OWNED_IN_MAP, choices::OWNED_DONATION].concat()
            }
            _ => vec![INPUT],
        }
    }

    /// Another entry at an address and a level.
    pub(super) fn replace(
        &mut self,
        rd: u64,
        ipa: u64,
        level: i64,
        new: impl FnOnce(&Entry) -> Entry,
    ) {
        if let Some(realm) = self.realms.get_mut(&rd) {
            let entry = realm.tables.entry_mut(ipa, level);
            *entry = new(entry);
        }
    }
}
