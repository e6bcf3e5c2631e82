//! What a Host does next: mostly what could succeed in the state that the specification is in,
//! sometimes nearly that, sometimes anything.

use cairn_spec::extension;
use cairn_spec::v2_0::words::{AddressRange, Addresses, BLOCKED, BUSY, INPUT};
use cairn_spec::v2_0::{Call, Model, Phase, Realm, RealmState, Rec, State, Work, fid};

use super::give_back::end_of_realm;
use super::layout::Layout;
use crate::differential::choices::{Choices, Random};
use crate::differential::operation::Operation;

const GRANULE: u64 = 4096;
const BLOCK: u64 = 0x20_0000;

/// What the Host does, by kind; how often of all.
const WEIGHTS: [(u64, Kind); 14] = [
    (10, Kind::Range),
    (8, Kind::Realm),
    (8, Kind::RecCreate),
    (14, Kind::Operation),
    (6, Kind::RecDestroy),
    (16, Kind::Table),
    (12, Kind::Map),
    (9, Kind::Unmap),
    (5, Kind::Init),
    (7, Kind::Unprotected),
    (6, Kind::Ripas),
    (9, Kind::Enter),
    (4, Kind::Ask),
    (1, Kind::Anything),
];

/// A group of commands.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Granules change hands.
    Range,
    /// A Realm is made, activated, ended.
    Realm,
    /// REC_CREATE.
    RecCreate,
    /// The calls of an operation that is not finished.
    Operation,
    /// REC_DESTROY.
    RecDestroy,
    /// Tables, made and taken away.
    Table,
    /// DATA_MAP.
    Map,
    /// DATA_UNMAP.
    Unmap,
    /// DATA_MAP_INIT and INIT_RIPAS.
    Init,
    /// Memory of the Host's own.
    Unprotected,
    /// SET_RIPAS.
    Ripas,
    /// REC_ENTER.
    Enter,
    /// What changes nothing.
    Ask,
    /// Any number, any arguments.
    Anything,
}

/// Decides what is done next.
pub struct Generator<'g, C> {
    /// Where the Host has its memory.
    pub layout: &'g Layout,
    /// The state.
    pub model: &'g Model,
    /// Where decisions come from.
    pub choices: &'g mut C,
}

impl<C: Choices> Generator<'_, C> {
    /// The next operations: pages, then a call. Nothing if what was chosen makes no sense now.
    pub fn choose(&mut self) -> Vec<Operation> {
        if !self.model.is_active() && !self.choices.once_in(4) {
            return self.boot();
        }
        let all: u64 = WEIGHTS.iter().map(|(weight, _)| weight).sum();
        let mut at = self.choices.below(all);
        let chosen = WEIGHTS.iter().find(|(weight, _)| {
            let here = at < *weight;
            at = at.saturating_sub(*weight);
            here
        });
        self.of(chosen.map_or(Kind::Ask, |(_, kind)| *kind))
    }

    /// The same of a group.
    pub fn of(&mut self, kind: Kind) -> Vec<Operation> {
        let operations = match kind {
            Kind::Range => self.range(),
            Kind::Realm => self.realm(),
            Kind::RecCreate => self.rec_create(),
            Kind::Operation => self.operation(),
            Kind::RecDestroy => self.rec_destroy(),
            Kind::Table => self.table(),
            Kind::Map => self.map(),
            Kind::Unmap => self.unmap(),
            Kind::Init => self.init(),
            Kind::Unprotected => self.unprotected(),
            Kind::Ripas => self.ripas(),
            Kind::Enter => self.enter(),
            Kind::Ask => self.ask(),
            Kind::Anything => self.anything(),
        };
        let operations = self.broken(operations.unwrap_or_default());
        self.with_mishap(kind, operations)
    }

    /// Now and then EL3 refuses, or Host memory faults, if the Host meets such things at all.
    fn with_mishap(&mut self, kind: Kind, mut operations: Vec<Operation>) -> Vec<Operation> {
        if self.layout.mishaps == 0 || !self.choices.once_in(self.layout.mishaps) {
            return operations;
        }
        let mishap = if matches!(kind, Kind::Range) {
            // Denied, busy, in conflict with something else.
            let status = self.choices.pick(&[INPUT, BUSY, BLOCKED]).unwrap_or(INPUT);
            Operation::RefuseNth(self.choices.below(4), status)
        } else {
            let far = self.choices.once_in(2);
            Operation::Fault(self.choices.below(if far { 520 } else { 3 }))
        };
        let at = operations.len().saturating_sub(1);
        operations.insert(at, mishap);
        operations
    }

    /// A call whose unused registers hold anything.
    fn call(&mut self, fid: u64, arguments: &[u64]) -> Operation {
        let mut junk = Random(self.choices.below(256));
        let mut call: Call = core::array::from_fn(|_| junk.word());
        call[0] = fid;
        call[1..=arguments.len()].copy_from_slice(arguments);
        Operation::Call(0, call)
    }

    /// Now and then one argument is wrong.
    fn broken(&mut self, mut operations: Vec<Operation>) -> Vec<Operation> {
        if !self.choices.once_in(10) {
            return operations;
        }
        if let Some(Operation::Call(_, call)) = operations.last_mut() {
            let register = self.choices.pick(&[1, 2, 3, 4, 5, 6]).unwrap_or(1);
            call[register] = match self.choices.below(5) {
                0 => self.choices.pick(&self.layout.strange).unwrap_or(0),
                1 => self.choices.pick(&self.layout.pool).unwrap_or(0),
                2 => call[register] ^ 1 << self.choices.below(64),
                3 => call[register].wrapping_add(GRANULE),
                _ => self.choices.word(),
            };
        }
        operations
    }

    /// The only configuration that there is, with something else around its fields, which are
    /// bytes.
    fn configuration(&self) -> Operation {
        Operation::Page(self.layout.params, vec![(0, 7 << 8), (1, 7 << 56), (300, 7)])
    }

    fn boot(&mut self) -> Vec<Operation> {
        match self.choices.below(4) {
            0 => vec![self.call(fid::VERSION, &[0x2_0000])],
            1 => vec![self.configuration(), self.call(fid::CONFIG_SET, &[self.layout.params])],
            _ => vec![self.call(fid::ACTIVATE, &[])],
        }
    }

    /// A granule of the pool in a state.
    fn granule(&mut self, state: State) -> Option<u64> {
        let pool = self.layout.pool.iter().copied();
        let fitting: Vec<u64> = pool.filter(|&pa| self.model.state(pa) == state).collect();
        self.choices.pick(&fitting)
    }

    fn any_realm(&mut self) -> Option<(u64, &Realm)> {
        let realms: Vec<u64> = self.model.realms().keys().copied().collect();
        let rd = self.choices.pick(&realms)?;
        Some((rd, &self.model.realms()[&rd]))
    }

    fn any_rec(&mut self) -> Option<(u64, &Rec)> {
        let recs: Vec<u64> = self.model.recs().keys().copied().collect();
        let rec = self.choices.pick(&recs)?;
        Some((rec, &self.model.recs()[&rec]))
    }

    fn range(&mut self) -> Option<Vec<Operation>> {
        // A broken call may have delegated the Host's own pages.
        let lost = |&pa: &u64| self.model.state(pa) == State::Delegated;
        if let Some(pa) = self.layout.host_pages().into_iter().find(lost) {
            return Some(vec![self.call(fid::RANGE_UNDELEGATE, &[pa, pa + GRANULE])]);
        }
        let block = self.layout.block.filter(|_| self.choices.once_in(6));
        let (base, top) = match block {
            Some(block) => (block, block + BLOCK),
            None => {
                let base = self.choices.pick(&self.layout.pool)?;
                let end = self.layout.pool.last()? + GRANULE;
                (base, end.min(base + (self.choices.below(12) + 1) * GRANULE))
            }
        };
        let command =
            if self.choices.once_in(5) { fid::RANGE_UNDELEGATE } else { fid::RANGE_DELEGATE };
        Some(vec![self.call(command, &[base, top])])
    }

    fn realm(&mut self) -> Option<Vec<Operation>> {
        if self.model.realms().len() < 2 {
            let (rd, root) = (self.granule(State::Delegated)?, self.granule(State::Delegated)?);
            let hash = self.choices.below(3);
            // 39 bits from level 1, or 40 from level 0.
            let (width, level) = if self.choices.once_in(2) { (39, 1) } else { (40, 0) };
            let words = [
                (0x8, width),
                (0x30, hash),
                (0x808, root),
                (0x810, level),
                (0x818, 1),
                (0x800, self.choices.word()),
            ];
            let page = words.map(|(offset, word): (usize, u64)| (offset / 8, word)).to_vec();
            return Some(vec![
                Operation::Page(self.layout.params, page),
                self.call(fid::REALM_CREATE, &[rd, self.layout.params]),
            ]);
        }
        let (rd, _) = self.any_realm()?;
        if self.is_dead(rd) && self.model.recs().values().all(|rec| rec.owner != rd) {
            let calls = end_of_realm(&self.model.realms()[&rd], rd);
            return Some(calls.into_iter().map(|call| Operation::Call(0, call)).collect());
        }
        let command = match self.choices.below(40) {
            0 => fid::REALM_TERMINATE,
            1 | 2 => fid::REALM_DESTROY,
            3..=6 => fid::REALM_ACTIVATE,
            _ => return None,
        };
        Some(vec![self.call(command, &[rd])])
    }

    fn rec_create(&mut self) -> Option<Vec<Operation>> {
        let (rd, realm) = self.any_realm()?;
        if realm.state != RealmState::New && !self.choices.once_in(10) {
            return None;
        }
        let rec = self.granule(State::Delegated)?;
        let mpidr = self.choices.below(6) << if self.choices.once_in(3) { 8 } else { 0 };
        let flags = self.choices.below(2);
        let page = vec![(0, flags), (0x20, mpidr), (0x40, 0x1000), (0x60, self.choices.word())];
        Some(vec![
            Operation::Page(self.layout.params, page),
            self.call(fid::REC_CREATE, &[rd, rec, self.layout.params]),
        ])
    }

    /// Whether nothing can be done with a Realm any more but to end it.
    fn is_dead(&self, rd: u64) -> bool {
        let state = self.model.realms().get(&rd).map(|realm| realm.state);
        matches!(state, Some(RealmState::SystemOff | RealmState::Zombie))
    }

    fn rec_destroy(&mut self) -> Option<Vec<Operation>> {
        let (rec, this) = self.any_rec()?;
        let owner = this.owner;
        if !self.is_dead(owner) && !self.choices.once_in(8) {
            return None;
        }
        Some(vec![self.call(fid::REC_DESTROY, &[rec])])
    }

    /// The next call to an operation, mostly the one that it waits for.
    fn operation(&mut self) -> Option<Vec<Operation>> {
        let handles: Vec<u64> = self.model.operations().keys().copied().collect();
        let handle = self.choices.pick(&handles)?;
        let operation = &self.model.operations()[&handle];
        let (phase, is_create) = (operation.phase, matches!(operation.work, Work::RecCreate(..)));
        if self.choices.once_in(if is_create { 12 } else { 30 }) {
            return Some(vec![self.call(fid::OP_CANCEL, &[handle])]);
        }
        if self.choices.once_in(15) {
            return Some(vec![self.call(fid::OP_CONTINUE, &[handle, 0])]);
        }
        let list = self.layout.list + self.choices.below(3) * 8;
        Some(match phase {
            Phase::Run => vec![self.call(fid::OP_CONTINUE, &[handle, 0])],
            Phase::Donate(wanted) => {
                let count = self.choices.below(wanted + 1) + u64::from(self.choices.once_in(12));
                let mut words = Vec::new();
                for number in 0..count {
                    let state =
                        if self.choices.once_in(20) { State::Rtt } else { State::Delegated };
                    let pa = self.granule(state)?;
                    let at = list % GRANULE / 8 + number;
                    words.push((usize::try_from(at).unwrap_or(0), pages(pa, 1)));
                }
                vec![
                    Operation::Page(self.layout.list, words),
                    self.call(fid::OP_MEM_DONATE, &[handle, list, count]),
                ]
            }
            Phase::Reclaim => {
                let count = self.choices.below(4);
                vec![self.call(fid::OP_MEM_RECLAIM, &[handle, list, count])]
            }
        })
    }

    /// An address of a Realm where something happens: few, so that commands meet.
    fn ipa(&mut self, protected: bool, width: u64) -> u64 {
        let ipa = match self.choices.below(8) {
            0 => self.choices.below(4) * BLOCK,
            1 => self.choices.below(3) << 30,
            _ => self.choices.below(16) * GRANULE,
        };
        if protected { ipa } else { ipa + (1 << (width - 1)) }
    }

    fn table(&mut self) -> Option<Vec<Operation>> {
        let (rd, realm) = self.any_realm()?;
        let (width, start) = (realm.width, realm.start());
        let protected = !self.choices.once_in(4);
        let ipa = self.ipa(protected, width);
        let level = start + 1 + self.choices.below((3 - start).cast_unsigned()).cast_signed();
        // Mostly the next level that is missing.
        let missing = self.model.realms()[&rd].entry(ipa, 3).0 + 1;
        let create_at = if self.choices.once_in(6) { level } else { missing.min(3) };
        let align = |level: i64| ipa & !(cairn_spec::v2_0::entry_size(level - 1) - 1);
        Some(match self.choices.below(8) {
            0 => vec![self.call(fid::RTT_DESTROY, &[rd, align(level), level.cast_unsigned()])],
            1 => vec![self.call(fid::RTT_FOLD, &[rd, align(level), level.cast_unsigned()])],
            2 => {
                let at = ipa & !(cairn_spec::v2_0::entry_size(level) - 1);
                vec![self.call(fid::RTT_READ_ENTRY, &[rd, at, level.cast_unsigned()])]
            }
            _ => {
                let rtt = self.granule(State::Delegated)?;
                let level = create_at.cast_unsigned();
                vec![self.call(fid::RTT_CREATE, &[rd, rtt, align(create_at), level])]
            }
        })
    }

    fn map(&mut self) -> Option<Vec<Operation>> {
        let (rd, realm) = self.any_realm()?;
        let width = realm.width;
        let base = self.ipa(true, width);
        if let Some(block) = self.layout.block.filter(|_| self.choices.once_in(4)) {
            let base = base & !(BLOCK - 1);
            let desc = block | 1 | 1 << 2;
            return Some(vec![self.call(fid::DATA_MAP, &[rd, base, base + BLOCK, 1, desc])]);
        }
        let count = self.choices.below(4) + 1;
        let top = base + count * GRANULE;
        let first = self.granule(State::Delegated)?;
        if !self.choices.once_in(3) {
            return Some(vec![self.call(fid::DATA_MAP, &[rd, base, top, 1, pages(first, count)])]);
        }
        let second = self.granule(State::Delegated)?;
        let words = vec![(0, pages(first, 1)), (1, pages(second, count))];
        let flags = Addresses::List(2).encode();
        Some(vec![
            Operation::Page(self.layout.list, words),
            self.call(fid::DATA_MAP, &[rd, base, top, flags, self.layout.list]),
        ])
    }

    fn unmap(&mut self) -> Option<Vec<Operation>> {
        let (rd, realm) = self.any_realm()?;
        let width = realm.width;
        let protected = self.choices.once_in(2);
        let base = self.ipa(protected, width);
        let length =
            if self.choices.once_in(3) { BLOCK } else { (self.choices.below(6) + 1) * GRANULE };
        let command = if protected { fid::DATA_UNMAP } else { fid::UNPROT_UNMAP };
        let (flags, oaddr) = match self.choices.below(3) {
            0 => (0, 0),
            1 => (1, 0),
            _ => (Addresses::List(self.choices.below(3) + 1).encode(), self.layout.list),
        };
        Some(vec![self.call(command, &[rd, base, base + length, flags, oaddr])])
    }

    fn init(&mut self) -> Option<Vec<Operation>> {
        let (rd, realm) = self.any_realm()?;
        let width = realm.width;
        let ipa = self.ipa(true, width);
        if self.choices.once_in(2) {
            let top = ipa + (self.choices.below(8) + 1) * GRANULE;
            return Some(vec![self.call(fid::RTT_INIT_RIPAS, &[rd, ipa, top])]);
        }
        let flags = self.choices.below(2);
        if self.choices.once_in(4) {
            let page = self.granule(State::Undelegated)?;
            let flags = extension::IN_PLACE | flags;
            let seed = self.choices.below(8);
            return Some(vec![
                Operation::Secret(page, seed),
                self.call(fid::DATA_MAP_INIT, &[rd, page, ipa, page, flags]),
            ]);
        }
        let data = self.granule(State::Delegated)?;
        Some(vec![
            Operation::Secret(self.layout.params, self.choices.below(8)),
            self.call(fid::DATA_MAP_INIT, &[rd, data, ipa, self.layout.params, flags]),
        ])
    }

    fn unprotected(&mut self) -> Option<Vec<Operation>> {
        let (rd, realm) = self.any_realm()?;
        let width = realm.width;
        let code: [u64; 5] = [0, 0, 0, 1, 2];
        let size_code = self.choices.pick(&code)?;
        let size = cairn_spec::v2_0::entry_size(3 - size_code.cast_signed());
        let ipa = self.ipa(false, width) & !(size - 1);
        let pa = self.choices.pick(&self.layout.pool)? & !(size - 1);
        let range = AddressRange { base: pa, size_code, count: 1, state: self.choices.below(3) };
        let flags = 1 | self.choices.pick(&[0, 5, 6, 7])? << 16 | self.choices.below(4) << 19;
        let arguments = [rd, ipa, ipa + size, flags, range.encode(12)];
        Some(vec![self.call(fid::UNPROT_MAP, &arguments)])
    }

    fn ripas(&mut self) -> Option<Vec<Operation>> {
        let asking = |(_, rec): &(&u64, &Rec)| rec.ripas.is_some();
        let recs: Vec<u64> = self.model.recs().iter().filter(asking).map(|(rec, _)| *rec).collect();
        let rec = self.choices.pick(&recs)?;
        let owner = self.model.recs()[&rec].owner;
        let request = self.model.recs()[&rec].ripas?;
        let left = request.top.saturating_sub(request.addr) / GRANULE;
        let top = if self.choices.once_in(2) {
            request.top
        } else {
            request.addr + (self.choices.below(left.clamp(1, 16)) + 1) * GRANULE
        };
        Some(vec![self.call(fid::RTT_SET_RIPAS, &[owner, rec, request.addr, top])])
    }

    fn enter(&mut self) -> Option<Vec<Operation>> {
        let waiting = |(_, rec): &(&u64, &Rec)| rec.cpu_on.is_some();
        let callers: Vec<u64> =
            self.model.recs().iter().filter(waiting).map(|(rec, _)| *rec).collect();
        if let (Some(rec), false) = (self.choices.pick(&callers), self.choices.once_in(5)) {
            let denied = (-3_i64).cast_unsigned();
            let status = if self.choices.once_in(3) { denied } else { 0 };
            return Some(vec![self.call(fid::PSCI_COMPLETE, &[rec, status])]);
        }
        let (rec, _) = self.any_rec()?;
        let flags = if self.choices.once_in(6) { self.choices.below(32) } else { 0 };
        Some(vec![
            Operation::Page(self.layout.run, vec![(0, flags)]),
            self.call(fid::REC_ENTER, &[rec, self.layout.run]),
        ])
    }

    /// Commands that change nothing.
    fn ask(&mut self) -> Option<Vec<Operation>> {
        let base = self.choices.pick(&self.layout.pool)?;
        let gib = 1 << 30;
        if self.choices.once_in(8) {
            let call = self.call(fid::CONFIG_SET, &[self.layout.params]);
            return Some(vec![self.configuration(), call]);
        }
        Some(vec![match self.choices.below(8) {
            0 => self.call(fid::STATE_GET, &[]),
            1 => self.call(fid::CONFIG_GET, &[self.layout.run]),
            2 => self.call(fid::TRACKING_GET, &[base, base + GRANULE]),
            3 => self.call(fid::GPT_INFO, &[base & !(gib - 1), (base & !(gib - 1)) + gib]),
            4 => {
                let index = self.choices.below(6);
                self.call(fid::FEATURES, &[index])
            }
            5 => self.call(fid::GPT_L1_CREATE, &[base & !(gib - 1)]),
            6 => self.call(fid::VERSION, &[0x2_0000]),
            _ => self.call(fid::DEACTIVATE, &[]),
        }])
    }

    fn anything(&mut self) -> Option<Vec<Operation>> {
        // Not a command of 1.0: it could decide the version while nothing is delegated.
        let fid = 0xc400_0171 + self.choices.below(0x15f);
        Some(vec![self.call(fid, &[])])
    }
}

/// Pages from an address on.
fn pages(base: u64, count: u64) -> u64 {
    AddressRange { base, size_code: 0, count, state: 0 }.encode(12)
}
