//! Translation tables, memory, RIPAS.

use cairn_spec::extension;
use cairn_spec::v1_0::{Entry, Realm, RealmState, State, entry_size, fid};

use super::super::choices::Choices;
use super::super::operation::Operation;
use super::Scene;

/// Levels of the tables that lead to an address, below the start level.
fn table_levels(realm: &Realm, ipa: u64) -> Vec<i64> {
    (realm.start() + 1..=3).filter(|&level| realm.entry(ipa, level).0 == level).collect()
}

fn aligned(ipa: u64, level: i64) -> u64 {
    ipa & !(entry_size(level) - 1)
}

impl<C: Choices> Scene<'_, C> {
    /// A Realm, apart from the scene.
    fn a_realm(&mut self) -> Option<(u64, Realm)> {
        self.realm().map(|(rd, realm)| (rd, realm.clone()))
    }

    pub(super) fn rtt_create(&mut self) -> Option<Vec<Operation>> {
        let rd = self.rd()?;
        let realm = &self.model.realms()[&rd];
        let rtt = self.granule(State::Delegated)?;
        let protected = !self.choices.once_in(3);
        let ipa = self.ipa_where(realm, protected, |ipa| realm.entry(ipa, 3).0 < 3)?;
        let level = realm.entry(ipa, 3).0 + 1;
        self.only(fid::RTT_CREATE, &[rd, rtt, aligned(ipa, level - 1), level.cast_unsigned()])
    }

    /// A table, mostly a deep one: address and level.
    fn table(&mut self, realm: &Realm) -> Option<(u64, i64)> {
        let protected = !self.choices.once_in(3);
        let ipa = self.ipa_where(realm, protected, |ipa| !table_levels(realm, ipa).is_empty())?;
        let levels = table_levels(realm, ipa);
        let deepest = levels.last().copied();
        let level = if self.choices.once_in(3) { self.choices.pick(&levels) } else { deepest }?;
        Some((aligned(ipa, level - 1), level))
    }

    pub(super) fn rtt_destroy(&mut self) -> Option<Vec<Operation>> {
        let rd = self.rd()?;
        let realm = &self.model.realms()[&rd];
        let (ipa, level) = self.table(realm)?;
        let arguments = [rd, ipa, level.cast_unsigned()];
        self.only(fid::RTT_DESTROY, &arguments)
    }

    pub(super) fn rtt_fold(&mut self) -> Option<Vec<Operation>> {
        let rd = self.rd()?;
        let realm = &self.model.realms()[&rd];
        let (ipa, level) = self.table(realm)?;
        let arguments = [rd, ipa, level.cast_unsigned()];
        self.only(fid::RTT_FOLD, &arguments)
    }

    pub(super) fn read_entry(&mut self) -> Option<Vec<Operation>> {
        let rd = self.rd()?;
        let realm = &self.model.realms()[&rd];
        let protected = !self.choices.once_in(3);
        let ipa = self.ipa(realm, protected);
        let levels = u64::try_from(4 - realm.start()).ok()?;
        let level = 3 - i64::try_from(self.choices.below(levels)).ok()?;
        self.only(fid::RTT_READ_ENTRY, &[rd, aligned(ipa, level), level.cast_unsigned()])
    }

    pub(super) fn init_ripas(&mut self) -> Option<Vec<Operation>> {
        let rd = self.rd()?;
        let realm = &self.model.realms()[&rd];
        if realm.state != RealmState::New && !self.choices.once_in(10) {
            return None;
        }
        let ipa = self.ipa_where(realm, true, |ipa| realm.entry(ipa, 3).0 > 1)?;
        let size = entry_size(realm.entry(ipa, 3).0);
        let base = ipa & !(size - 1);
        let end = [size, size * 2, size * 5, size / 2, 0x20_0000, 0x1000];
        let top = base + self.choices.pick(&end)?;
        self.only(fid::RTT_INIT_RIPAS, &[rd, base, top])
    }

    pub(super) fn set_ripas(&mut self) -> Option<Vec<Operation>> {
        let mut waiting = Vec::new();
        for (&pa, rec) in self.model.recs() {
            if rec.ripas.addr < rec.ripas.top {
                waiting.push((pa, rec.owner, rec.ripas));
            }
        }
        let (rec, rd, change) = self.choices.pick(&waiting)?;
        let base = change.addr;
        // A range that is smaller than the entry there needs a table first.
        let (level, _) = self.model.realms()[&rd].entry(base, 3);
        if level < 3 && self.choices.once_in(2) {
            let rtt = self.granule(State::Delegated)?;
            let child = (level + 1).cast_unsigned();
            return self.only(fid::RTT_CREATE, &[rd, rtt, aligned(base, level), child]);
        }
        let tops = [change.top, change.top, change.top, base + 0x1000, base + 0x20_0000];
        let top = self.choices.pick(&tops)?;
        self.only(fid::RTT_SET_RIPAS, &[rd, rec, base, top])
    }

    /// A page address without memory, mostly where there is a table for it.
    fn free_page(&mut self, realm: &Realm) -> Option<u64> {
        self.ipa_where(realm, true, |ipa| matches!(realm.entry(ipa, 3), (3, Entry::Unassigned(_))))
    }

    pub(super) fn data_create(&mut self) -> Option<Vec<Operation>> {
        let (rd, realm) = self.a_realm()?;
        if realm.state != RealmState::New && !self.choices.once_in(10) {
            return None;
        }
        if self.choices.once_in(4) {
            return self.populate_in_place(rd, &realm);
        }
        let data = self.granule(State::Delegated)?;
        let ipa = self.free_page(&realm)?;
        let (src, seed) = (self.params_page(), self.choices.below(1000));
        let flags = self.choices.below(2);
        let mut operations = vec![
            Operation::Secret(src, seed),
            self.send(fid::DATA_CREATE, &[rd, data, ipa, src, flags]),
        ];
        let nth = self.choices.below(512);
        // What is measured of a page that changes is the monitor's secret.
        let mishap = if flags == 1 || self.choices.once_in(2) {
            Operation::Fault(nth)
        } else {
            let at = src + self.choices.below(512) * 8;
            Operation::Change(nth, at, self.choices.word())
        };
        self.mishap(&mut operations, mishap);
        Some(operations)
    }

    /// A page of the Host's becomes the Realm's, with what is in it.
    fn populate_in_place(&mut self, rd: u64, realm: &Realm) -> Option<Vec<Operation>> {
        let page = self.granule(State::Undelegated)?;
        let (ipa, seed) = (self.free_page(realm)?, self.choices.below(1000));
        let flags = extension::IN_PLACE | self.choices.below(2);
        let mut operations = vec![Operation::Secret(page, seed)];
        if self.choices.once_in(6) {
            operations.push(Operation::Refuse);
        }
        let mishap = Operation::Fault(self.choices.below(512));
        operations.push(self.send(fid::DATA_CREATE, &[rd, page, ipa, page, flags]));
        self.mishap(&mut operations, mishap);
        Some(operations)
    }

    pub(super) fn data_create_unknown(&mut self) -> Option<Vec<Operation>> {
        let rd = self.rd()?;
        let realm = &self.model.realms()[&rd];
        let data = self.granule(State::Delegated)?;
        let ipa = self.free_page(realm)?;
        self.only(fid::DATA_CREATE_UNKNOWN, &[rd, data, ipa])
    }

    pub(super) fn data_destroy(&mut self) -> Option<Vec<Operation>> {
        let rd = self.rd()?;
        let realm = &self.model.realms()[&rd];
        let page = |ipa| matches!(realm.entry(ipa, 3), (_, Entry::Assigned(..)));
        let ipa = match self.ipa_where(realm, true, page) {
            Some(ipa) => ipa,
            None => self.ipa(realm, true),
        };
        self.only(fid::DATA_DESTROY, &[rd, ipa])
    }

    pub(super) fn map(&mut self) -> Option<Vec<Operation>> {
        let rd = self.rd()?;
        let realm = &self.model.realms()[&rd];
        let free = |ipa| matches!(realm.entry(ipa, 3), (1.., Entry::UnassignedNs));
        let ipa = self.ipa_where(realm, false, free)?;
        let level = realm.entry(ipa, 3).0;
        let layout = &self.generator.layout;
        let pages = [layout.shared, layout.shared, layout.pool[3], layout.strange[0]];
        let pa = aligned(self.choices.pick(&pages)?, level);
        // MemAttr and S2AP; 0b100 is reserved.
        let attributes = self.choices.pick(&[6, 6, 5, 7, 1, 4])? << 2 | self.choices.below(4) << 6;
        let desc = (pa & ((1 << 48) - 1)) | attributes;
        self.only(fid::RTT_MAP_UNPROTECTED, &[rd, aligned(ipa, level), level.cast_unsigned(), desc])
    }

    pub(super) fn unmap(&mut self) -> Option<Vec<Operation>> {
        let rd = self.rd()?;
        let realm = &self.model.realms()[&rd];
        let mapped = |ipa| matches!(realm.entry(ipa, 3), (_, Entry::AssignedNs(..)));
        let ipa = match self.ipa_where(realm, false, mapped) {
            Some(ipa) => ipa,
            None => self.ipa(realm, false),
        };
        let level = realm.entry(ipa, 3).0.max(1);
        self.only(fid::RTT_UNMAP_UNPROTECTED, &[rd, aligned(ipa, level), level.cast_unsigned()])
    }
}
