//! The fake machine with the monitor, and the specification: both do the same, and must agree.

use std::collections::{BTreeMap, HashMap, VecDeque};

use cairn_spec::v1_0::{Act, Call, Model, Platform, Seen, Witness, fid};

use super::operation::Operation;
use crate::abi::{Command, HostPage};
use crate::fake_port::FakePort;
use crate::machine::FakeMachine;
use crate::machine::config::{self, Profile};
use crate::port::{Place, Port};
use crate::program::{Access, Action, Observed, Wait};

/// How often each command succeeded (the empty name), or failed by a condition.
pub type Tally = BTreeMap<(Command, &'static str), u64>;

/// A machine and the specification of what it should do.
pub struct Pair<'m> {
    machine: &'m FakeMachine,
    /// The specification.
    pub model: Model,
    /// What the commands so far have led to.
    pub tally: Tally,
    /// What will go wrong with Host memory in the next command.
    mishap: Option<Operation>,
}

/// What the specification cannot know of a machine.
///
/// # Panics
///
/// If the monitor does not answer RMI_FEATURES.
pub fn platform_of(machine: &FakeMachine) -> Platform {
    let mut port = FakePort::new(machine);
    let features = port.call([fid::FEATURES, 0, 0, 0, 0, 0, 0, 0]).expect("RMI_FEATURES");
    let plain = matches!(machine.profile, Profile::Plain | Profile::Narrow);
    let banks = machine.profile.banks();
    let (base, bytes) = banks[0];
    Platform {
        not_host: (1..=config::RESERVED_GRANULES).map(|back| base + bytes - back * 4096).collect(),
        banks,
        feature_register_0: features[1],
        s2sz_min: 32,
        vmid16: !plain,
        small_tables: !plain,
        hpmn0: !plain,
        priority_bits: 5,
        intid_bits: if plain { 16 } else { 24 },
        extended_intids: false,
    }
}

/// What Realms saw, by the address of the REC, and all exits in their order.
struct Observations {
    seen: HashMap<u64, VecDeque<Seen>>,
    exits: VecDeque<HostPage>,
}

impl Witness for Observations {
    fn seen(&mut self, rec: u64) -> Option<Seen> {
        self.seen.get_mut(&rec)?.pop_front()
    }

    fn exit(&mut self, _run: u64) -> Box<[u64; 256]> {
        let mut exit = Box::new([0; 256]);
        if let Some(page) = self.exits.pop_front() {
            exit.copy_from_slice(&page[256..]);
        }
        exit
    }
}

fn action_of(act: &Act) -> Action {
    let access = |how: cairn_spec::v1_0::Access| Access {
        size: how.size,
        sign: how.sign,
        wide: how.wide,
        register: how.register,
        syndrome: how.syndrome,
    };
    match *act {
        Act::Smc(arguments) => Action::Smc(arguments),
        Act::Load(ipa, how) => Action::Load(ipa, access(how)),
        Act::Store(ipa, how, value) => Action::Store(ipa, access(how), value),
        Act::Fetch(ipa) => Action::Fetch(ipa),
        Act::Wait(wait, operand) => {
            let kinds = [Wait::Wfi, Wait::Wfe, Wait::Wfit, Wait::Wfet];
            Action::Wait(kinds[usize::try_from(wait).unwrap_or(0) % 4], operand)
        }
        Act::Hvc => Action::Hvc,
        Act::Interrupt(false) => Action::Irq,
        Act::Interrupt(true) => Action::Fiq,
        Act::Gprs => Action::Gprs,
        Act::Meanwhile(call) => Action::Meanwhile(call),
    }
}

/// A VMID as the machine has it.
fn number(vmid: u64) -> u16 {
    u16::try_from(vmid).unwrap_or(0)
}

fn seen_of(observed: Observed) -> Seen {
    match observed {
        Observed::Smc(results) => Seen::Smc(results),
        Observed::Value(value) => Seen::Value(value),
        Observed::Done => Seen::Done,
        Observed::Gprs(values) => Seen::Gprs(*values),
        Observed::Exception { esr, far, vector, at_instruction, .. } => {
            Seen::Exception(esr, far, vector, at_instruction)
        }
        Observed::Reply([x0, x1, x2, x3, x4, ..]) => Seen::Reply([x0, x1, x2, x3, x4]),
        Observed::ProtectionFault => Seen::ProtectionFault,
        Observed::Lost(pc) => Seen::Lost(pc),
        other => Seen::Other(format!("{other:?}")),
    }
}

/// A CPU_ON to where the Realm's vectors are: the simulated Realm would take that for an exception.
fn sends_to_vectors(act: &Act) -> bool {
    const CPU_ON: u64 = 0x8400_0003;
    const SMC64: u64 = 1 << 30;
    matches!(act, Act::Smc([call, _, entry, ..])
        if call & 0xffff_ffff & !SMC64 & !(1 << 16) == CPU_ON && entry & 0xffff_ffff < 0x1000)
}

impl<'m> Pair<'m> {
    /// A machine that has just booted, and its specification.
    pub fn new(machine: &'m FakeMachine) -> Self {
        let model = Model::new(platform_of(machine));
        Self { machine, model, tally: Tally::new(), mishap: None }
    }

    /// The kind of machine.
    pub fn profile(&self) -> Profile {
        self.machine.profile
    }

    /// An address with a property, see [`Place`].
    pub fn place(&self, place: Place) -> u64 {
        FakePort::new(self.machine).place(place).unwrap_or(config::DEVICE)
    }

    /// Both do the same thing.
    ///
    /// # Errors
    ///
    /// They disagree, the monitor broke a rule of the machine, or it does not answer.
    pub fn perform(&mut self, operation: &Operation) -> Result<(), String> {
        if let Some((pa, page)) = operation.page() {
            // A page that is not the Host's: its write faults.
            if self.model.is_host_page(pa) {
                self.write_page(pa, &page);
            }
            return Ok(());
        }
        match operation {
            Operation::Call(cpu, call) => self.call(*cpu, call)?,
            Operation::Act(rec, act) => self.add_act(*rec, act),
            Operation::Fault(_) | Operation::Change(..) => self.mishap = Some(operation.clone()),
            Operation::Refuse => {
                self.machine.refuse_el3_call(0, -3);
                self.model.refuse_el3();
            }
            // Its counts are of another EL3.
            Operation::RefuseNth(..) => return Err(format!("not for RMI 1.0: {operation}")),
            Operation::Page(..) | Operation::Secret(..) => {}
        }
        match self.machine.take_violations().as_slice() {
            [] => Ok(()),
            violations => Err(format!("{operation}: {violations:#?}")),
        }
    }

    fn write_page(&mut self, pa: u64, page: &HostPage) {
        FakePort::new(self.machine).write_page(pa, page);
        self.model.host_writes(pa, page);
    }

    fn add_act(&mut self, rec: u64, act: &Act) {
        let Some((vmid, index)) = self.identity(rec) else { return };
        if sends_to_vectors(act) {
            return;
        }
        self.model.program(rec, act.clone());
        self.machine.add_to_program(vmid, index, action_of(act));
    }

    /// VMID and index of a REC.
    fn identity(&self, rec: u64) -> Option<(u64, u64)> {
        let rec = self.model.recs().get(&rec)?;
        Some((self.model.realms().get(&rec.owner)?.vmid, rec.index))
    }

    /// The specification learns the contents of Host pages that a command may read.
    fn show_pages(&mut self, call: &Call) {
        let meanwhile = self.model.recs().values().flat_map(|rec| &rec.program);
        let calls = meanwhile.filter_map(|act| match act {
            Act::Meanwhile(call) => Some(call),
            _ => None,
        });
        let arguments = calls.chain([call]).flat_map(|call| call[1..].iter().copied());
        let unknown: Vec<u64> = arguments
            .filter(|&pa| self.model.is_host_page(pa) && !self.model.knows_page(pa))
            .collect();
        for pa in unknown {
            let page = FakePort::new(self.machine).read_page(pa);
            self.model.host_writes(pa, &page);
        }
    }

    /// Host memory misbehaves in this command, if the specification can tell what should come of
    /// it.
    fn arm(&mut self, call: &Call) {
        let Some(mishap) = self.mishap.take() else { return };
        let called = Command::called(call[0]);
        let enters = called == Some(Command::RecEnter);
        let meanwhile = |act: &Act| matches!(act, Act::Meanwhile(_));
        let mut programs = self.model.recs().values().flat_map(|rec| &rec.program);
        // Which access of which command would it be?
        if enters && programs.any(meanwhile) {
            return;
        }
        match mishap {
            // In between it is the monitor's choice whether it still reads or already writes.
            Operation::Fault(nth) if !enters || !(97..256).contains(&nth) => {
                self.machine.fault_host_at(nth);
                self.model.fault_host(nth);
            }
            // Which of the two contents was measured is the monitor's secret.
            Operation::Change(..) if called == Some(Command::DataCreate) && call[5] & 1 == 1 => {}
            Operation::Change(nth, pa, value) if self.model.is_host_page(pa & !0xfff) => {
                self.machine.change_host_at(nth, pa & !7, value);
                self.model.change_host(pa & !7, value);
            }
            _ => {}
        }
    }

    /// Sends a command, and compares everything that comes of it.
    fn call(&mut self, cpu: usize, call: &Call) -> Result<(), String> {
        self.show_pages(call);
        self.arm(call);
        let Some([x0, x1, x2, x3, x4, ..]) = self.machine.cpu(cpu).handle(call) else {
            return Err(format!("no answer to {call:x?}: {:?}", self.machine.take_violations()));
        };
        let answer = [x0, x1, x2, x3, x4];
        let command = Command::called(call[0]);
        let mut recs: Vec<u64> = Vec::new();
        let mut seen = HashMap::new();
        if command == Some(Command::RecEnter) {
            recs.extend(self.model.recs().keys());
            for &rec in &recs {
                let Some((vmid, index)) = self.identity(rec) else { continue };
                let observed = self.machine.take_observed(number(vmid), index);
                seen.insert(rec, observed.into_iter().map(seen_of).collect());
            }
        }
        let known: Vec<u64> = self.model.recs().keys().copied().collect();
        let realms: Vec<u64> = self.model.realms().keys().copied().collect();
        let exits = self.machine.take_exits().into();
        let mut observations = Observations { seen, exits };
        let condition = self
            .model
            .follow(call, &answer, &mut observations)
            .map_err(|divergence| divergence.to_string())?;
        for (rec, rest) in observations.seen {
            if !rest.is_empty() {
                return Err(format!("{call:x?}: the Realm on {rec:#x} also saw {rest:x?}"));
            }
        }
        if let Some(command) = command {
            *self.tally.entry((command, condition)).or_default() += 1;
        }
        let new: Vec<u64> =
            self.model.realms().keys().filter(|rd| !realms.contains(rd)).copied().collect();
        for rd in new {
            let count =
                FakePort::new(self.machine).call([fid::REC_AUX_COUNT, rd, 0, 0, 0, 0, 0, 0]);
            self.model.learn_aux_count(rd, count.map_or(0, |[_, count, ..]| count));
        }
        // A new REC has nothing to do yet, whatever the last one with its numbers had.
        let new: Vec<u64> =
            self.model.recs().keys().filter(|rec| !known.contains(rec)).copied().collect();
        for rec in new {
            if let Some((vmid, index)) = self.identity(rec) {
                self.machine.set_program(number(vmid), index, &[]);
            }
        }
        Ok(())
    }

    /// All granules must be back, and the machine in order.
    ///
    /// # Errors
    ///
    /// They are not, or it is not.
    pub fn check_end(&self) -> Result<(), String> {
        self.machine.quiesce();
        match self.machine.take_violations().as_slice() {
            [] => {}
            violations => return Err(format!("at the end: {violations:#?}")),
        }
        match self.machine.census() {
            [_, 0, 0, 0, 0, 0, 0, 0] => Ok(()),
            census => Err(format!("not given back: {census:?}")),
        }
    }
}
