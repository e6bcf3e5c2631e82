//! Granules, Realms, RECs.

use cairn_spec::v1_0::{Pending, RealmState, State, fid};

use super::super::choices::Choices;
use super::super::operation::Operation;
use super::Scene;
use crate::abi::{RealmParams, RecParams, rec_mpidr};

/// IPA width, start level, tables, FEAT_LPA2.
type Geometry = (u64, i64, u64, u64);

/// Shapes that the specification allows, the common one first.
const GEOMETRIES: [Geometry; 10] = [
    (40, 0, 1, 0),
    (39, 1, 1, 0),
    (41, 1, 4, 0),
    (32, 2, 4, 0),
    (34, 2, 16, 0),
    (48, 0, 1, 1),
    (52, -1, 1, 1),
    (50, 0, 4, 1),
    (32, 1, 1, 1),
    (48, 0, 1, 0),
];

/// Words of a page that are not zero.
fn sparse(page: &[u64; 512]) -> Vec<(usize, u64)> {
    page.iter().copied().enumerate().filter(|(_, word)| *word != 0).collect()
}

impl<C: Choices> Scene<'_, C> {
    pub(super) fn delegate(&mut self) -> Option<Vec<Operation>> {
        let granule = self.granule(State::Undelegated)?;
        let secret = Operation::Secret(granule, granule);
        let delegate = self.send(fid::GRANULE_DELEGATE, &[granule]);
        Some(if self.choices.once_in(4) { vec![secret, delegate] } else { vec![delegate] })
    }

    pub(super) fn undelegate(&mut self) -> Option<Vec<Operation>> {
        let granule = self.granule(State::Delegated)?;
        self.only(fid::GRANULE_UNDELEGATE, &[granule])
    }

    /// Contiguous delegated granules, aligned to their size; and what is missing of them.
    fn start_tables(&mut self, count: u64) -> Option<(u64, Vec<u64>)> {
        let pool = &self.generator.layout.pool;
        let usable = |first: &u64| {
            let run = (0..count).map(|number| first + number * 4096);
            let free = |pa| matches!(self.model.state(pa), State::Delegated | State::Undelegated);
            first.is_multiple_of(count * 4096)
                && run.clone().all(|pa| pool.contains(&pa) && free(pa))
        };
        let bases: Vec<u64> = pool.iter().copied().filter(usable).collect();
        let base = self.choices.pick(&bases)?;
        let run = (0..count).map(|number| base + number * 4096);
        let missing = run.filter(|&pa| self.model.state(pa) == State::Undelegated).collect();
        Some((base, missing))
    }

    pub(super) fn realm_create(&mut self) -> Option<Vec<Operation>> {
        if self.model.realms().len() > 2 {
            return None;
        }
        let usual = self.choices.once_in(2);
        let other = self.choices.pick(&GEOMETRIES)?;
        let (s2sz, rtt_level_start, rtt_num_start, lpa2) =
            if usual { GEOMETRIES[0] } else { other };
        let (rtt_base, missing) = self.start_tables(rtt_num_start)?;
        let in_tables = |rd| rd >= rtt_base && rd < rtt_base + rtt_num_start * 4096;
        let rd = self.granule(State::Delegated).filter(|&rd| !in_tables(rd))?;
        let taken: Vec<u64> = self.model.realms().values().map(|realm| realm.vmid).collect();
        let mut vmid = self.choices.below(6);
        while taken.contains(&vmid) {
            vmid += 1;
        }
        let params = RealmParams {
            flags: lpa2 | if self.choices.once_in(5) { self.choices.below(4) << 1 } else { 0 },
            s2sz,
            sve_vl: self.choices.below(2),
            num_bps: 1,
            num_wps: 1,
            pmu_num_ctrs: self.choices.below(2),
            hash_algo: self.choices.below(4) / 3,
            rpv: core::array::from_fn(|word| word as u64 * 7 + vmid),
            vmid,
            rtt_base,
            rtt_level_start,
            rtt_num_start,
        };
        let mut page = params.to_page();
        self.spoil_params(&mut page);
        let at = self.params_page();
        let mut operations: Vec<Operation> =
            missing.iter().map(|&pa| super::command(0, fid::GRANULE_DELEGATE, &[pa])).collect();
        operations.push(Operation::Page(at, sparse(&page)));
        operations.push(self.send(fid::REALM_CREATE, &[rd, at]));
        let nth = self.choices.below(520);
        let (word, value) = self.choices.pick(&[(1, 255), (6, 7), (0x101, 1), (0x103, 3)])?;
        let mishap = if self.choices.once_in(2) {
            Operation::Fault(nth)
        } else {
            Operation::Change(nth, at + word * 8, value)
        };
        self.mishap(&mut operations, mishap);
        Some(operations)
    }

    /// One field in six pages is wrong, or at its limit.
    fn spoil_params(&mut self, page: &mut [u64; 512]) {
        if !self.choices.once_in(6) {
            return;
        }
        let fields = [0, 1, 2, 3, 4, 5, 6, 0x100, 0x101, 0x102, 0x103];
        let Some(at) = self.choices.pick(&fields) else { return };
        page[at] = match self.choices.below(6) {
            0 => 0,
            1 => page[at].wrapping_add(1),
            2 => page[at].wrapping_sub(1),
            3 => self.choices.below(64),
            4 => page[at] ^ 1 << self.choices.below(63),
            _ => self.choices.word(),
        };
    }

    pub(super) fn realm_activate(&mut self) -> Option<Vec<Operation>> {
        let rd = self.rd()?;
        // Mostly one that has something to run.
        let realm = &self.model.realms()[&rd];
        if realm.num_recs < 2 && !self.choices.once_in(8) {
            return None;
        }
        if realm.state != RealmState::New && !self.choices.once_in(8) {
            return None;
        }
        self.only(fid::REALM_ACTIVATE, &[rd])
    }

    pub(super) fn realm_destroy(&mut self) -> Option<Vec<Operation>> {
        let mut idle = self.model.realms().iter().filter(|(_, realm)| realm.num_recs == 0);
        let rd = idle.find(|(_, realm)| !realm.tables.is_live()).map(|(rd, _)| *rd);
        let rd = rd.or_else(|| self.rd())?;
        if !self.choices.once_in(8) {
            return None;
        }
        self.only(fid::REALM_DESTROY, &[rd])
    }

    pub(super) fn rec_create(&mut self) -> Option<Vec<Operation>> {
        let (rd, realm) = self.realm()?;
        let (index, new) = (realm.rec_index, realm.state == RealmState::New);
        let num_aux = realm.aux_count;
        if realm.num_recs > 3 || (!new && !self.choices.once_in(4)) {
            return None;
        }
        let rec = self.granule(State::Delegated)?;
        let mut aux = [0; 16];
        let mut taken = vec![rec];
        for slot in aux.iter_mut().take(usize::try_from(num_aux).ok()?) {
            *slot = self.granule(State::Delegated)?;
            if taken.contains(slot) && !self.choices.once_in(20) {
                return None;
            }
            taken.push(*slot);
        }
        let gprs = core::array::from_fn(|number| number as u64 * 0x1111 + index);
        let flags = u64::from(!self.choices.once_in(3));
        let mpidr = rec_mpidr(if self.choices.once_in(16) { index ^ 1 } else { index });
        let pc = 0x1000;
        let params = RecParams { flags, mpidr, pc, gprs, num_aux, aux };
        let mut page = params.to_page();
        if self.choices.once_in(12) {
            let fields = [0x20, 0x100, 0x101];
            let at = self.choices.pick(&fields)?;
            page[at] = self.argument();
        }
        let at = self.params_page();
        let mut operations =
            vec![Operation::Page(at, sparse(&page)), self.send(fid::REC_CREATE, &[rd, rec, at])];
        let nth = self.choices.below(520);
        let (word, value) = self.choices.pick(&[(0x100, 17), (0x20, 0xff00), (0x101, 1)])?;
        let mishap = if self.choices.once_in(2) {
            Operation::Fault(nth)
        } else {
            Operation::Change(nth, at + word * 8, value)
        };
        self.mishap(&mut operations, mishap);
        Some(operations)
    }

    pub(super) fn rec_destroy(&mut self) -> Option<Vec<Operation>> {
        let rec = self.rec()?;
        self.only(fid::REC_DESTROY, &[rec])
    }

    pub(super) fn psci_complete(&mut self) -> Option<Vec<Operation>> {
        let waiting: Vec<(u64, u64, u64)> = self
            .model
            .recs()
            .iter()
            .filter_map(|(&pa, rec)| match rec.pending {
                Pending::Psci(call) => Some((pa, rec.owner, call.target())),
                _ => None,
            })
            .collect();
        let (calling, owner, target) = self.choices.pick(&waiting)?;
        let others: Vec<u64> = self
            .model
            .recs()
            .iter()
            .filter(|(_, rec)| rec.owner == owner && rec.index == target)
            .map(|(pa, _)| *pa)
            .collect();
        let target = self.choices.pick(&others).or_else(|| self.rec())?;
        let statuses = [0, 0, 0, 0, (-3_i64).cast_unsigned(), (-1_i64).cast_unsigned()];
        let status = self.choices.pick(&statuses)?;
        self.only(fid::PSCI_COMPLETE, &[calling, target, status])
    }

    pub(super) fn query(&mut self) -> Option<Vec<Operation>> {
        let (fid, argument) = match self.choices.below(3) {
            0 => (fid::VERSION, self.choices.pick(&[0x1_0000, 0, 0x1_0001, 1 << 31 | 0x1_0000])?),
            1 => (fid::FEATURES, self.choices.below(3)),
            _ => (fid::REC_AUX_COUNT, self.rd()?),
        };
        self.only(fid, &[argument])
    }
}
