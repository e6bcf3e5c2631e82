//! What a Host does next: mostly what could succeed in the state that the specification is in,
//! sometimes nearly that, sometimes anything.

mod end;
mod memory;
mod realm;
mod run;

use cairn_spec::v1_0::{Call, Model, Pending, Realm, Rec, State, entry_size, fid};

use super::choices::Choices;
use super::operation::Operation;

pub use end::{block, give_back, read_back, take_apart};

/// The Host's memory: what it uses for what.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Granules that become objects, contiguous.
    pub pool: Vec<u64>,
    /// Pages of parameters and of data, one for each depth of commands inside commands.
    pub params: [u64; DEPTHS],
    /// Run pages, likewise.
    pub runs: [u64; DEPTHS],
    /// A page that a Realm may see.
    pub shared: u64,
    /// Granules that are used to take Realms apart.
    pub spare: [u64; 4],
    /// Addresses that are none of this: no memory, not the Host's, beyond everything.
    pub strange: Vec<u64>,
}

/// Commands that can be inside each other, on as many CPUs.
pub const DEPTHS: usize = 4;

const POOL: u64 = 60;

impl Layout {
    /// In memory that begins at `base` and has 128 granules.
    pub fn new(base: u64, strange: Vec<u64>) -> Self {
        let page = |number: u64| base + number * 4096;
        let pages = |first: u64| core::array::from_fn(|depth| page(first + depth as u64));
        Self {
            pool: (0..POOL).map(page).collect(),
            params: pages(64),
            runs: pages(72),
            shared: page(80),
            spare: core::array::from_fn(|number| page(84 + number as u64)),
            strange,
        }
    }
}

/// Makes operations.
#[derive(Clone, Debug)]
pub struct Generator {
    /// Where the Host has its memory.
    pub layout: Layout,
    /// CPUs that commands come from, 1 to 4.
    pub cpus: usize,
    /// How often Host memory faults or changes: once in this many commands that read it.
    pub mishaps: u64,
}

/// How often each group of commands is tried, of all together.
const WEIGHTS: [(u64, Group); 24] = [
    (12, Group::Delegate),
    (2, Group::Undelegate),
    (6, Group::RealmCreate),
    (3, Group::RealmActivate),
    (2, Group::RealmDestroy),
    (8, Group::RecCreate),
    (1, Group::RecDestroy),
    (13, Group::RttCreate),
    (5, Group::RttDestroy),
    (6, Group::RttFold),
    (5, Group::InitRipas),
    (2, Group::SetRipas),
    (4, Group::DataCreate),
    (8, Group::DataCreateUnknown),
    (6, Group::DataDestroy),
    (5, Group::Map),
    (4, Group::Unmap),
    (4, Group::ReadEntry),
    (24, Group::Enter),
    (1, Group::PsciComplete),
    (1, Group::Query),
    (6, Group::Anything),
    (1, Group::Refuse),
    (1, Group::TakeApart),
];

/// A command, or something that a Host does with several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the command of that name")]
pub enum Group {
    Delegate,
    Undelegate,
    RealmCreate,
    RealmActivate,
    RealmDestroy,
    RecCreate,
    RecDestroy,
    RttCreate,
    RttDestroy,
    RttFold,
    InitRipas,
    SetRipas,
    DataCreate,
    DataCreateUnknown,
    DataDestroy,
    Map,
    Unmap,
    ReadEntry,
    Enter,
    PsciComplete,
    /// VERSION, FEATURES, REC_AUX_COUNT.
    Query,
    /// Any function identifier with any arguments.
    Anything,
    /// EL3 refuses its next call.
    Refuse,
    /// All that it takes to end a Realm.
    TakeApart,
}

/// A command with X1 and on.
pub(super) fn command(cpu: usize, fid: u64, arguments: &[u64]) -> Operation {
    let mut call: Call = [0; 8];
    call[0] = fid;
    call[1..=arguments.len()].copy_from_slice(arguments);
    Operation::Call(cpu, call)
}

/// Where and for what operations are made.
pub(super) struct Scene<'g, C: Choices> {
    pub(super) generator: &'g Generator,
    pub(super) model: &'g Model,
    pub(super) choices: &'g mut C,
    /// How many commands this one is inside of.
    pub(super) depth: usize,
}

impl Generator {
    /// What comes next: a command, and what the Host and its Realms prepare for it.
    pub fn next(&self, model: &Model, choices: &mut impl Choices) -> Vec<Operation> {
        // A Realm that waits for the Host is often served at once, or it would be entered again
        // first.
        let waits = |waits: fn(&Rec) -> bool| model.recs().values().any(waits);
        if waits(|rec| matches!(rec.pending, Pending::Psci(_))) && choices.once_in(4) {
            return self.next_of(Group::PsciComplete, model, choices);
        }
        if waits(|rec| rec.ripas.addr < rec.ripas.top) && choices.once_in(3) {
            return self.next_of(Group::SetRipas, model, choices);
        }
        let group = draw(choices);
        self.next_of(group, model, choices)
    }

    /// The next of a group.
    pub fn next_of(
        &self,
        group: Group,
        model: &Model,
        choices: &mut impl Choices,
    ) -> Vec<Operation> {
        let mut scene = Scene { generator: self, model, choices, depth: 0 };
        let mut operations = scene.group(group);
        scene.spoil(&mut operations);
        operations
    }
}

/// A group, each as often as its weight says.
fn draw(choices: &mut impl Choices) -> Group {
    let total = WEIGHTS.iter().map(|(weight, _)| weight).sum();
    let mut number = choices.below(total);
    for (weight, group) in WEIGHTS {
        if number < weight {
            return group;
        }
        number -= weight;
    }
    Group::Anything
}

impl<C: Choices> Scene<'_, C> {
    /// Something of a group; if there is no occasion, something of another.
    fn group(&mut self, group: Group) -> Vec<Operation> {
        let mut group = group;
        for _ in 0..4 {
            if let Some(operations) = self.informed(group) {
                return operations;
            }
            group = draw(self.choices);
        }
        vec![self.anything()]
    }

    fn informed(&mut self, group: Group) -> Option<Vec<Operation>> {
        match group {
            Group::Delegate => self.delegate(),
            Group::Undelegate => self.undelegate(),
            Group::RealmCreate => self.realm_create(),
            Group::RealmActivate => self.realm_activate(),
            Group::RealmDestroy => self.realm_destroy(),
            Group::RecCreate => self.rec_create(),
            Group::RecDestroy => self.rec_destroy(),
            Group::RttCreate => self.rtt_create(),
            Group::RttDestroy => self.rtt_destroy(),
            Group::RttFold => self.rtt_fold(),
            Group::InitRipas => self.init_ripas(),
            Group::SetRipas => self.set_ripas(),
            Group::DataCreate => self.data_create(),
            Group::DataCreateUnknown => self.data_create_unknown(),
            Group::DataDestroy => self.data_destroy(),
            Group::Map => self.map(),
            Group::Unmap => self.unmap(),
            Group::ReadEntry => self.read_entry(),
            Group::Enter => self.enter(),
            Group::PsciComplete => self.psci_complete(),
            Group::Query => self.query(),
            Group::Anything => Some(vec![self.anything()]),
            Group::Refuse => Some(vec![Operation::Refuse]),
            Group::TakeApart => {
                let rd = self.rd();
                let rarely = self.choices.once_in(5);
                rd.filter(|_| rarely)
                    .map(|rd| take_apart(self.model, rd, self.generator.layout.spare))
            }
        }
    }

    /// A CPU to send a command from. Commands inside others come from the CPU after theirs.
    pub(super) fn cpu(&mut self) -> usize {
        let number = self.choices.below(self.generator.cpus as u64);
        usize::try_from(number).unwrap_or(0)
    }

    pub(super) fn send(&mut self, fid: u64, arguments: &[u64]) -> Operation {
        let cpu = self.cpu();
        command(cpu, fid, arguments)
    }

    /// Just that command.
    pub(super) fn only(&mut self, fid: u64, arguments: &[u64]) -> Option<Vec<Operation>> {
        Some(vec![self.send(fid, arguments)])
    }

    /// One command in ten gets an argument that does not belong there, and one in ten a register
    /// that is nearly right.
    fn spoil(&mut self, operations: &mut [Operation]) {
        let far = self.choices.once_in(10);
        if !far && !self.choices.once_in(10) {
            return;
        }
        let register = 1 + usize::try_from(self.choices.below(5)).unwrap_or(0);
        let value = self.argument();
        let step = 1 << self.choices.below(64);
        let how = self.choices.below(5);
        let Some(Operation::Call(_, call)) = operations.last_mut() else { return };
        match how {
            _ if far => call[register] = value,
            0 => call[0] ^= step,
            1 => call[register] = call[register].wrapping_add(step),
            2 => call[register] = call[register].wrapping_sub(step),
            _ => call[register] ^= step,
        }
    }

    /// Any argument.
    fn argument(&mut self) -> u64 {
        let layout = &self.generator.layout;
        match self.choices.below(12) {
            0..=4 => self.choices.pick(&layout.pool).unwrap_or(0),
            5 => self.choices.pick(&layout.strange).unwrap_or(0),
            6 => self.rd().unwrap_or(0),
            7 => self.rec().unwrap_or(0),
            8 => self.choices.below(5).wrapping_sub(1),
            9 => self.choices.pick(&layout.pool).unwrap_or(0) + 1,
            10 => self.choices.below(1 << 16) << 12,
            _ => self.choices.word(),
        }
    }

    fn anything(&mut self) -> Operation {
        let known = self.choices.below(0x1a) + fid::VERSION;
        let number = if self.choices.once_in(20) { self.choices.word() } else { known };
        // The SVE hint makes no difference.
        let hint = if self.choices.once_in(8) { 1 << 16 } else { 0 };
        let arguments: [u64; 5] = core::array::from_fn(|_| self.argument());
        self.send(number | hint, &arguments)
    }

    /// A Realm.
    pub(super) fn rd(&mut self) -> Option<u64> {
        let rds: Vec<u64> = self.model.realms().keys().copied().collect();
        self.choices.pick(&rds)
    }

    pub(super) fn realm(&mut self) -> Option<(u64, &Realm)> {
        let rd = self.rd()?;
        Some((rd, &self.model.realms()[&rd]))
    }

    /// A REC.
    pub(super) fn rec(&mut self) -> Option<u64> {
        let recs: Vec<u64> = self.model.recs().keys().copied().collect();
        self.choices.pick(&recs)
    }

    /// A granule of the pool in a state.
    pub(super) fn granule(&mut self, state: State) -> Option<u64> {
        let pool = &self.generator.layout.pool;
        let start = usize::try_from(self.choices.below(POOL)).unwrap_or(0);
        let mut around = pool.iter().cycle().skip(start).take(pool.len());
        around.find(|&&pa| self.model.state(pa) == state).copied()
    }

    /// An address that others are likely to choose as well.
    pub(super) fn ipa(&mut self, realm: &Realm, protected: bool) -> u64 {
        let half = 1 << (realm.width - 1);
        let blocks = [0, 0, 0, 1, 0x200, half / entry_size(2) - 1];
        let block = self.choices.pick(&blocks).unwrap_or(0);
        let pages = [0, 0, 1, 2, 3, 511];
        let page = self.choices.pick(&pages).unwrap_or(0);
        let ipa = block * entry_size(2) + page * 4096;
        if protected { ipa } else { half + ipa }
    }

    /// Such an address of which something is true, if one is found.
    pub(super) fn ipa_where(
        &mut self,
        realm: &Realm,
        protected: bool,
        wanted: impl Fn(u64) -> bool,
    ) -> Option<u64> {
        for _ in 0..12 {
            let ipa = self.ipa(realm, protected);
            if wanted(ipa) {
                return Some(ipa);
            }
        }
        None
    }

    /// Host memory misbehaves during the command that comes last.
    pub(super) fn mishap(&mut self, operations: &mut Vec<Operation>, mishap: Operation) {
        let usual = self.generator.mishaps == 0 || self.depth > 0;
        if usual || !self.choices.once_in(self.generator.mishaps) {
            return;
        }
        let last = operations.len().saturating_sub(1);
        operations.insert(last, mishap);
    }

    pub(super) fn params_page(&self) -> u64 {
        self.generator.layout.params[self.depth]
    }

    pub(super) fn run_page(&self) -> u64 {
        self.generator.layout.runs[self.depth]
    }
}
