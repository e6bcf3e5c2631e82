//! The fake machine: everything below the monitor, simulated, and watching what the monitor does
//! with it.
//!
//! | Module | Owns |
//! | --- | --- |
//! | [`config`] | which machines there are |
//! | `dram` | granules: contents and physical address space |
//! | `memory`, `host`, `root`, `attest` | access for the monitor: slots, Host memory, EL3 |
//! | `walk`, `tlb` | stage 2 as hardware does it, and what is cached of it |
//! | `vcpu`, [`vgic`] | a Realm's CPU, which runs a scripted program; interrupts in the hardware |
//! | `journal` | what one command changed |
//! | `check` | what must be true after each command |
//!
//! A rule that the monitor breaks is a *violation*: it is recorded, and fails the test at its end.

pub mod attest;
pub mod config;
pub mod dram;
pub mod vgic;

mod check;
mod direct;
mod execute;
mod extensions;
mod host;
mod journal;
mod memory;
mod root;
mod tlb;
mod vcpu;
mod walk;

use core::cell::RefCell;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use ::attest::RealmKey;
use ::machine::dram::{Bank, Banks, granule_count};
use granule::GranuleTable;
use granule::sync::AtomicU16;
use machine::{Event, Hasher, Log};
use realm::{Rmm, Shared};

use cairn_el3::edition::Edition;
use config::{MAIN_BASE, Profile, RESERVED_GRANULES};
use dram::{Dram, Pas};
use host::HostPlan;
use journal::Journal;
use root::El3;
use tlb::Tlb;

use crate::abi::{Command, HostPage};
use crate::program::{Action, Observed};

/// Run pages that are kept.
const EXITS_MAX: usize = 64;

/// Costs of what the monitor did, to compare implementations with.
#[derive(Debug, Default)]
pub struct Counters {
    /// Invalidations of translations.
    pub invalidations: AtomicU64,
    /// Barriers that publish stores.
    pub publishes: AtomicU64,
    /// Mappings of a slot.
    pub maps: AtomicU64,
    /// Granules wiped.
    pub wipes: AtomicU64,
    /// Calls to EL3.
    pub el3_calls: AtomicU64,
}

/// Locks a mutex, whatever happened to its last user.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Memory for granule tables, handed from one machine to the next.
static WORDS: Mutex<Vec<&'static [AtomicU16]>> = Mutex::new(Vec::new());

/// A machine, with a monitor booted on it.
pub struct FakeMachine {
    /// What kind of machine it is.
    pub profile: Profile,
    /// Costs so far.
    pub counters: Counters,
    pub(crate) dram: Dram,
    pub(crate) words: &'static [AtomicU16],
    pub(crate) shared: Shared<'static>,
    pub(crate) el3: Mutex<El3>,
    pub(crate) firmware: root::Firmware,
    pub(crate) vgics: Mutex<HashMap<usize, vgic::HardwareGic>>,
    pub(crate) host: Mutex<HostPlan>,
    pub(crate) tlb: Mutex<Tlb>,
    pub(crate) journal: Mutex<Journal>,
    pub(crate) programs: Mutex<HashMap<(u16, u64), vcpu::Program>>,
    violations: Mutex<Vec<String>>,
    events: Mutex<Vec<String>>,
    /// Run pages after each REC_ENTER, also of those inside others.
    exits: Mutex<Vec<HostPage>>,
    /// Rules about single commands are checked: only while one CPU works at a time.
    single: AtomicBool,
    dead: AtomicBool,
    /// Where several CPUs work, a CPU looks here before it does something: a scheduler of threads
    /// may pass the turn on.
    turn: AtomicU16,
    attestation: attest::Attestation,
}

impl FakeMachine {
    /// Builds a machine and boots the monitor's shared state on it.
    pub fn new(profile: Profile) -> Self {
        Self::with_key(profile, Edition::V0, attest::realm_key())
    }

    /// The same over an EL3 that speaks this version of the interface.
    pub fn over(profile: Profile, edition: Edition) -> Self {
        Self::with_key(profile, edition, attest::realm_key())
    }

    fn with_key(profile: Profile, edition: Edition, attestation: Option<RealmKey>) -> Self {
        let banks = profile.banks();
        let dram = Dram::new(&banks);
        let main_granules = banks.first().map_or(0, |bank| bank.1 / 4096);
        for number in 0..RESERVED_GRANULES {
            let pas = if number % 2 == 0 { Pas::Secure } else { Pas::Root };
            let pa = MAIN_BASE + (main_granules - 1 - number) * 4096;
            if let Some(granule) = dram.at(pa) {
                granule.set_pas(pas);
            }
        }
        let table_banks: Banks =
            banks.iter().map(|&(base, size_bytes)| Bank { base, size_bytes }).collect();
        let needed = usize::try_from(granule_count(&table_banks)).unwrap_or(0);
        let words = Self::take_words(needed);
        let monitor = Bank { base: config::MONITOR, size_bytes: config::MONITOR_BYTES };
        let reserved: Banks = core::iter::once(monitor).collect();
        let Some(granules) = GranuleTable::new(table_banks, words) else {
            unreachable!("granule table of {needed} words")
        };
        let firmware = root::Firmware::new(edition);
        let el3 = firmware.interface();
        Self {
            profile,
            counters: Counters::default(),
            dram,
            words,
            shared: Shared { attestation, el3, reserved, ..Shared::new(granules, profile.facts()) },
            el3: Mutex::default(),
            firmware,
            vgics: Mutex::default(),
            host: Mutex::default(),
            tlb: Mutex::default(),
            journal: Mutex::default(),
            programs: Mutex::default(),
            violations: Mutex::default(),
            events: Mutex::default(),
            exits: Mutex::default(),
            single: AtomicBool::new(true),
            dead: AtomicBool::new(false),
            turn: AtomicU16::new(0),
            attestation: attest::Attestation::default(),
        }
    }

    fn take_words(needed: usize) -> &'static [AtomicU16] {
        let mut pool = lock(&WORDS);
        if let Some(index) = pool.iter().position(|words| words.len() == needed) {
            let words = pool.swap_remove(index);
            for word in words {
                word.store(0, Ordering::Relaxed);
            }
            return words;
        }
        Box::leak((0..needed).map(|_| AtomicU16::new(0)).collect())
    }

    /// A CPU of the machine.
    pub fn cpu(&self, number: usize) -> FakeCpu<'_> {
        FakeCpu { machine: self, number, local: RefCell::default() }
    }

    /// Lets several CPUs work at once: rules about single commands are not checked until
    /// [`FakeMachine::quiesce`].
    pub fn unleash(&self) {
        self.single.store(false, Ordering::SeqCst);
    }

    /// All CPUs have stopped: checks the whole machine.
    pub fn quiesce(&self) {
        self.single.store(true, Ordering::SeqCst);
        // After a panic locks may be held, and nothing can be said.
        if !self.dead.load(Ordering::Relaxed) {
            self.recount();
        }
    }

    /// Another CPU may go first now.
    pub(crate) fn pause(&self) {
        if !self.is_single() {
            self.turn.load(Ordering::Relaxed);
        }
    }

    pub(crate) fn is_single(&self) -> bool {
        self.single.load(Ordering::Relaxed)
    }

    /// Records that the monitor broke a rule.
    pub(crate) fn violation(&self, text: impl Into<String>) {
        let text = text.into();
        let mut violations = lock(&self.violations);
        if violations.len() < 50 && !violations.contains(&text) {
            violations.push(text);
        }
    }

    /// The rules that were broken since the last call.
    pub fn take_violations(&self) -> Vec<String> {
        core::mem::take(&mut *lock(&self.violations))
    }

    /// What the monitor logged since the last call.
    pub fn take_events(&self) -> Vec<String> {
        core::mem::take(&mut *lock(&self.events))
    }

    /// The run pages of the entries that have succeeded since the last call, in the order of their
    /// exits.
    pub fn take_exits(&self) -> Vec<HostPage> {
        core::mem::take(&mut *lock(&self.exits))
    }

    /// Gives the REC with this VMID and index a program, and forgets what the last one observed.
    pub fn set_program(&self, vmid: u16, index: u64, actions: &[Action]) {
        lock(&self.programs).insert((vmid, index), vcpu::Program::new(actions));
    }

    /// Adds an action to the end of a REC's program, if the REC is on no CPU.
    pub fn add_to_program(&self, vmid: u64, index: u64, action: Action) {
        let vmid = u16::try_from(vmid).unwrap_or(0);
        lock(&self.programs).entry((vmid, index)).or_default().push(action);
    }

    /// What the program of a REC has observed since the last call.
    pub fn take_observed(&self, vmid: u16, index: u64) -> Vec<Observed> {
        lock(&self.programs)
            .get_mut(&(vmid, index))
            .map_or_else(Vec::new, |program| core::mem::take(&mut program.observed))
    }

    /// How many granules the monitor holds in each state.
    pub fn census(&self) -> [u64; 8] {
        self.shared.granules.census()
    }

    /// Granules in the leak ledger, and those that did not fit.
    pub fn leaked(&self) -> (usize, u64) {
        self.shared.ledger.len()
    }
}

impl Drop for FakeMachine {
    fn drop(&mut self) {
        // After a panic of the monitor a thread may still spin on a lock in there.
        if !self.dead.load(Ordering::Relaxed) {
            lock(&WORDS).push(self.words);
        }
    }
}

/// What a CPU has for itself.
#[derive(Default)]
pub(crate) struct Local {
    pub(crate) slots: [Option<memory::SlotUse>; 8],
    /// Tables stored to since the last barrier.
    pub(crate) unpublished: BTreeSet<u64>,
    pub(crate) vcpu: Option<vcpu::Loaded>,
    gic_put_away: vgic::PutAway,
    gic_use: vgic::Use,
    /// VTCR_EL2, which keeps the value of the last Realm.
    pub(crate) vtcr: u64,
}

/// One CPU: what the monitor's code takes for the machine.
pub struct FakeCpu<'m> {
    /// The machine it is part of.
    pub machine: &'m FakeMachine,
    number: usize,
    pub(crate) local: RefCell<Local>,
}

impl FakeCpu<'_> {
    /// Carries out one call of the Host: X0 to X7 in and out. `None` if the monitor panicked, now
    /// or before.
    ///
    /// X5 to X7 are the Host's own with interface 0.x of EL3, which hands it no more.
    pub fn handle(&self, call: &[u64; 8]) -> Option<[u64; 8]> {
        let machine = self.machine;
        if machine.dead.load(Ordering::Relaxed) {
            return None;
        }
        let single = machine.is_single();
        lock(&machine.host).begin_command(self.number);
        if single {
            machine.begin_command();
        }
        let reply = self.enter_monitor(call)?;
        if single {
            let [x0, x1, x2, x3, x4, ..] = reply;
            machine.end_command(call, &[x0, x1, x2, x3, x4]);
        }
        Some(reply)
    }

    /// The same, while another CPU is inside a command: only this CPU is checked afterwards.
    pub(crate) fn handle_nested(&self, call: &[u64; 8]) -> Option<[u64; 8]> {
        lock(&self.machine.host).begin_command(self.number);
        self.enter_monitor(call)
    }

    fn enter_monitor(&self, call: &[u64; 8]) -> Option<[u64; 8]> {
        let machine = self.machine;
        let gic = self.host_gic();
        let rmm = Rmm::new(self, &machine.shared);
        let mut reply = *call;
        let handled = catch_unwind(AssertUnwindSafe(|| rmm::handle(&rmm, &mut reply)));
        if handled.is_err() {
            machine.dead.store(true, Ordering::Relaxed);
            machine.violation(format!("the monitor panicked in {call:x?}"));
            return None;
        }
        let reply = machine.firmware.reply(call, &reply);
        self.check_gic(&gic);
        self.check_cpu();
        let entered = Command::called(call[0]) == Some(Command::RecEnter);
        if machine.is_single() && entered && reply[0] == 0 {
            let mut exits = lock(&machine.exits);
            // Most tests read the page themselves.
            if exits.len() < EXITS_MAX {
                exits.push(machine.host_page(call[2]));
            }
        }
        Some(reply)
    }

    /// What a CPU must have left behind when a command is over: nothing.
    fn check_cpu(&self) {
        let mut local = self.local.borrow_mut();
        for (number, slot) in local.slots.iter_mut().enumerate() {
            if let Some(used) = slot.take() {
                let pa = used.pa;
                self.machine.violation(format!("slot {number} left mapped to {pa:#x}"));
            }
        }
        if local.vcpu.take().is_some() {
            self.machine.violation("the Host's registers were not brought back");
        }
        for pa in core::mem::take(&mut local.unpublished) {
            let state = self.machine.state_of(pa);
            if state == Some(granule::GranuleState::Rtt) {
                self.machine.violation(format!("table {pa:#x} stored to without a barrier"));
            }
        }
    }

    /// The CPU's number.
    pub fn number(&self) -> usize {
        self.number
    }
}

impl Hasher for FakeCpu<'_> {
    fn sha256(&self, message: &[u8]) -> [u8; 32] {
        use sha2::Digest as _;
        sha2::Sha256::digest(message).into()
    }

    fn sha384(&self, message: &[u8]) -> [u8; 48] {
        use sha2::Digest as _;
        sha2::Sha384::digest(message).into()
    }

    fn sha512(&self, message: &[u8]) -> [u8; 64] {
        use sha2::Digest as _;
        sha2::Sha512::digest(message).into()
    }
}

impl Log for FakeCpu<'_> {
    fn log(&self, event: Event<'_>) {
        if self.machine.is_single() {
            let mut events = lock(&self.machine.events);
            if events.len() < 10_000 {
                events.push(format!("{event:x?}"));
            }
        }
    }
}
