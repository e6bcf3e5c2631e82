//! CPUs that send random commands about the same few granules, until so many have been sent.
//!
//! What a CPU sends is random, but each part of the run has its theme, so that the CPUs meet:
//!
//! | Part | Commands |
//! | --- | --- |
//! | 0 | GRANULE_DELEGATE against GRANULE_UNDELEGATE of four granules |
//! | 1 | DATA_CREATE, DATA_CREATE_UNKNOWN and RTT_INIT_RIPAS against DATA_DESTROY of the same addresses, with the Realms running |
//! | 2 | RTT_CREATE, RTT_FOLD, RTT_DESTROY and MAP, UNMAP against REC_ENTER in the same Realm |
//! | 3 | REALM_CREATE, REALM_DESTROY, REC_CREATE, REC_DESTROY against everything about what they make |
//! | 4 | all of these |

use super::Dice;
use super::lately::Lately;
use super::program::{self, REGION, STRIDE};
use super::small::{self, BLOCK, Small, UNPROTECTED};
use super::tally::Tally;
use crate::failure::Failure;
use crate::granules::PAGE_SIZE;
use crate::host::Host;
use crate::rmi::abi::{realm_params, rec_enter, rec_exit, rec_params, ripas};
use alloc::sync::Arc;
use alloc::vec::Vec;
use cairn_tests::abi::Command;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use spin::Mutex;

/// Granules that all CPUs fight over.
const GRANULES: usize = 40;
/// Realms that run, and the RECs of each: one of them is the mender.
const REALMS: u64 = 2;
const RECS: u64 = 3;
/// Parts of a run.
const PARTS: u64 = 5;
/// Longest turn of a REC, in microseconds.
const TURN_MICROS: u64 = 200;
/// Commands after which the host says how far it is: the tool takes a long silence for a machine that hangs.
const PROGRESS: u64 = 2_000;

/// What the host reads in an exit.
const EXIT_PSCI: u64 = 3;
const EXIT_RIPAS_CHANGE: u64 = 4;

/// A REC that can be entered, and where its request for RAM stands.
struct Runner {
    rd: u64,
    rec: u64,
    wanted: AtomicU64,
}

/// What all CPUs fight over.
pub struct Arena {
    host: Arc<Host>,
    realms: Vec<Small>,
    runners: Vec<Runner>,
    /// Descriptor of the Realm that is never activated.
    idle: u64,
    granules: Vec<u64>,
    realm_params: Vec<u64>,
    rec_params: Vec<u64>,
    /// Auxiliary granules of a REC.
    aux_count: u64,
    /// A run page for each CPU.
    runs: Vec<u64>,
    seed: u64,
    commands: u64,
    issued: AtomicU64,
    stop: AtomicBool,
    failure: Mutex<Option<Failure>>,
    entries: AtomicU64,
    delegated: Lately,
    new_realms: Lately,
    new_recs: Lately,
    tally: Tally,
}

impl Arena {
    /// Builds two Realms that run `worker`, one that is never activated, and what else is fought over by `cpus` CPUs with
    /// `commands` commands.
    ///
    /// # Errors
    ///
    /// A command that has to succeed does not.
    pub fn new(
        host: &Arc<Host>,
        worker: &[u8],
        cpus: usize,
        commands: u64,
        seed: u64,
    ) -> Result<Self, Failure> {
        let mut realms = Vec::new();
        let mut runners = Vec::new();
        for vmid in 1..=REALMS {
            let realm = running_realm(host, worker, vmid)?;
            runners.extend(realm.recs.iter().map(|rec| Runner {
                rd: realm.rd,
                rec: rec.pa,
                wanted: AtomicU64::new(REGION.start),
            }));
            realms.push(realm);
        }
        let idle = realm_with_region(host, worker, REALMS + 1)?;
        let idle_rd = idle.rd;
        realms.push(idle);
        let aux_count = host.v1_0().rec_aux_count(realms.first().ok_or("no Realm")?.rd)?;
        let pages =
            |count: usize| (0..count).map(|_| host.take_page()).collect::<Result<Vec<_>, _>>();
        let granules = pages(GRANULES)?;
        let all_realm_params = pages(3)?;
        for params in &all_realm_params {
            small::write_realm_params(host, *params, 0, 0);
        }
        let all_rec_params = pages(3)?;
        for (number, params) in all_rec_params.iter().enumerate() {
            let write = |offset: u64, value: u64| host.machine().write_u64(params + offset, value);
            write(rec_params::FLAGS, 1);
            write(rec_params::MPIDR, number as u64 / 2);
            write(rec_params::NUM_AUX, aux_count);
        }
        let runs = pages(cpus)?;
        Ok(Self {
            host: host.clone(),
            realms,
            runners,
            idle: idle_rd,
            granules,
            realm_params: all_realm_params,
            rec_params: all_rec_params,
            aux_count: aux_count.min(16),
            runs,
            seed,
            commands,
            issued: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            failure: Mutex::new(None),
            entries: AtomicU64::new(0),
            delegated: Lately::default(),
            new_realms: Lately::default(),
            new_recs: Lately::default(),
            tally: Tally::default(),
        })
    }

    /// CPU `cpu` takes part until all commands have been sent.
    pub fn work(&self, cpu: usize) {
        let mut dice = Dice::new(self.seed, cpu);
        loop {
            let number = self.issued.fetch_add(1, Ordering::Relaxed);
            if number >= self.commands || self.stop.load(Ordering::Relaxed) {
                break;
            }
            let part = number * PARTS / self.commands.max(1);
            let sent = self.choose(&mut dice, part, cpu).and_then(|(command, arguments)| {
                if command == Command::RecEnter {
                    self.enter(&mut dice, cpu, arguments)
                } else {
                    self.send(cpu, command, arguments)
                }
            });
            if let Err(failure) = sent {
                self.failure.lock().get_or_insert(failure);
                self.stop.store(true, Ordering::Relaxed);
                break;
            }
            if (number + 1).is_multiple_of(PROGRESS.min(self.commands)) {
                self.host.log(format_args!("{} of {} commands", number + 1, self.commands));
            }
        }
    }

    /// After all CPUs have done their part: destroys everything, and says what was seen.
    ///
    /// # Errors
    ///
    /// A command ended with a code that it does not have, a Realm saw what is not its own, something could not be taken
    /// back, or a part of the run was about nothing.
    pub fn finish(self, cpus: usize) -> Result<(), Failure> {
        let host = &self.host;
        self.tally.report(host, cpus);
        if let Some(failure) = self.failure.lock().take() {
            return Err(failure);
        }
        self.is_about_something()?;
        self.sweep();
        for granule in self.granules {
            // Only what is delegated; what the sweep has missed is found by the write, which faults.
            let _ = host.v1_0().granule_undelegate(granule);
            host.take_back(granule)?;
        }
        for realm in self.realms {
            realm.destroy(host)?;
        }
        Ok(())
    }

    /// A run in which a command never succeeds shows nothing.
    fn is_about_something(&self) -> Result<(), Failure> {
        let idle = [
            Command::GranuleDelegate,
            Command::GranuleUndelegate,
            Command::DataCreate,
            Command::DataCreateUnknown,
            Command::DataDestroy,
            Command::RttCreate,
            Command::RttFold,
            Command::RttDestroy,
            Command::RttInitRipas,
            Command::RttMapUnprotected,
            Command::RttUnmapUnprotected,
            Command::RealmCreate,
            Command::RealmDestroy,
            Command::RecCreate,
            Command::RecDestroy,
            Command::RecEnter,
        ]
        .into_iter()
        .find(|command| self.tally.done(*command) == 0);
        match idle {
            None => Ok(()),
            Some(command) => Err(failure!("{} never succeeded", command.label())),
        }
    }

    fn send(&self, cpu: usize, command: Command, arguments: [u64; 5]) -> Result<(), Failure> {
        let [code, x1, ..] = self.tally.call(&self.host, cpu, command, arguments)?;
        if code != 0 {
            return Ok(());
        }
        match (command, arguments) {
            (Command::GranuleDelegate, [granule, ..]) => self.delegated.note(granule),
            (Command::RealmCreate, [rd, ..]) => self.new_realms.note(rd),
            (Command::RecCreate, [_, rec, ..]) => self.new_recs.note(rec),
            (Command::RttSetRipas, [_, rec, ..]) => {
                if let Some(runner) = self.runners.iter().find(|runner| runner.rec == rec) {
                    runner.wanted.store(x1, Ordering::Relaxed);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Lets a REC run until it waits, faults, asks, or its turn ends.
    fn enter(&self, dice: &mut Dice, cpu: usize, arguments: [u64; 5]) -> Result<(), Failure> {
        let machine = self.host.machine();
        let [rec, run, ..] = arguments;
        let flags = if dice.roll(8) == 0 { 0 } else { rec_enter::FLAG_TRAP_WFI };
        machine.write_u64(run + rec_enter::FLAGS, flags);
        machine.arm_timer(Some(machine.counter() + machine.counter_hz() * TURN_MICROS / 1_000_000));
        let [code, ..] = self.tally.call(&self.host, cpu, Command::RecEnter, arguments)?;
        machine.take_interrupts();
        if code != 0 {
            return Ok(());
        }
        self.entries.fetch_add(1, Ordering::Relaxed);
        match machine.read_u64(run + rec_exit::EXIT_REASON) & 0xff {
            EXIT_PSCI => Err("a Realm saw a register or a page that was not its own".into()),
            EXIT_RIPAS_CHANGE => {
                let base = machine.read_u64(run + rec_exit::RIPAS_BASE);
                if let Some(runner) = self.runners.iter().find(|runner| runner.rec == rec) {
                    runner.wanted.store(base, Ordering::Relaxed);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// One random command of a part of the run.
    fn choose(
        &self,
        dice: &mut Dice,
        part: u64,
        cpu: usize,
    ) -> Result<(Command, [u64; 5]), Failure> {
        let missing = "the arena is empty";
        let few = self.granules.get(..4).ok_or(missing)?;
        let list = if part == 0 { few } else { &self.granules[..] };
        let granule = *dice.pick(list).ok_or(missing)?;
        let other = self.granule(dice).ok_or(missing)?;
        let runner = dice.pick(&self.runners).ok_or(missing)?;
        let new_rd = self.new_realms.or(dice, granule);
        let new_rec = self.new_recs.or(dice, granule);
        // Now and then a Realm that another CPU may just have made.
        let rd = match dice.roll(8) {
            0 | 1 if part >= 3 => new_rd,
            2 | 3 => self.idle,
            _ => runner.rd,
        };
        let page = REGION.start + dice.roll(16) * STRIDE;
        let shared = UNPROTECTED + dice.roll(4) * PAGE_SIZE;
        let block = REGION.start + dice.roll(3) * BLOCK;
        let run = *self.runs.get(cpu).ok_or(missing)?;
        let kind = match part {
            0 => dice.roll(2),
            // With a table now and then.
            1 => 2 + dice.roll(8) + 9 * u64::from(dice.roll(16) == 0),
            2 => 6 + dice.roll(10),
            // What the parts before have left in tables is needed.
            3 if dice.roll(4) == 0 => *dice.pick(&[5, 12, 13]).ok_or(missing)?,
            3 => 16 + dice.roll(12),
            _ => dice.roll(28),
        };
        Ok(match if part == 1 && kind > 9 { 11 } else { kind } {
            0 => (Command::GranuleDelegate, [granule, 0, 0, 0, 0]),
            1 => (Command::GranuleUndelegate, [granule, 0, 0, 0, 0]),
            2 | 16 | 17 => (Command::GranuleDelegate, [granule, 0, 0, 0, 0]),
            3 | 4 if rd == self.idle && dice.roll(2) == 0 => {
                (Command::DataCreate, [rd, granule, page, run, 1])
            }
            3 | 4 => (Command::DataCreateUnknown, [rd, granule, page, 0, 0]),
            5 => (Command::DataDestroy, [rd, page, 0, 0, 0]),
            6..=8 => (Command::RecEnter, [runner.rec, run, 0, 0, 0]),
            9 if rd == self.idle => (Command::RttInitRipas, [rd, page, REGION.end, 0, 0]),
            9 => {
                let wanted = runner.wanted.load(Ordering::Relaxed);
                (Command::RttSetRipas, [runner.rd, runner.rec, wanted, REGION.end, 0])
            }
            10 => (Command::GranuleDelegate, [granule, 0, 0, 0, 0]),
            11 => (Command::RttCreate, [rd, granule, block, 3, 0]),
            12 => (Command::RttFold, [rd, block, 3, 0, 0]),
            13 => match dice.roll(2) {
                0 => (Command::RttDestroy, [rd, block, 3, 0, 0]),
                _ => (Command::DataDestroy, [rd, page, 0, 0, 0]),
            },
            14 => match dice.roll(4) {
                0 => (Command::RttDestroy, [rd, UNPROTECTED, 1 + dice.roll(3), 0, 0]),
                _ => (Command::RttCreate, [rd, granule, UNPROTECTED, 1 + dice.roll(3), 0]),
            },
            15 => match dice.roll(2) {
                // Readable and writable, write-back.
                0 => (Command::RttMapUnprotected, [rd, shared, 3, other | 0xd8, 0]),
                _ => (Command::RttUnmapUnprotected, [rd, shared, 3, 0, 0]),
            },
            18 | 19 => self.realm_create(dice, other).ok_or(missing)?,
            20 => (Command::RealmDestroy, [granule, 0, 0, 0, 0]),
            21 => match dice.roll(8) {
                0 => (Command::RealmActivate, [new_rd, 0, 0, 0, 0]),
                1..=3 => (Command::RealmDestroy, [new_rd, 0, 0, 0, 0]),
                _ => self.rec_create(dice, new_rd, other).ok_or(missing)?,
            },
            22 | 23 => self.rec_create(dice, new_rd, other).ok_or(missing)?,
            24 => (Command::RecDestroy, [new_rec, 0, 0, 0, 0]),
            25 => match dice.roll(3) {
                0 => (Command::RttCreate, [rd, other, 0, 1, 0]),
                1 => (Command::RttDestroy, [rd, 0, 1, 0, 0]),
                _ => (Command::RecEnter, [new_rec, run, 0, 0, 0]),
            },
            26 => (Command::GranuleUndelegate, [granule, 0, 0, 0, 0]),
            _ => match dice.roll(4) {
                0 => (Command::RttReadEntry, [rd, page, 3, 0, 0]),
                1 => (Command::RecAuxCount, [rd, 0, 0, 0, 0]),
                2 => {
                    let target = dice.pick(&self.runners).ok_or(missing)?.rec;
                    (Command::PsciComplete, [runner.rec, target, 0, 0, 0])
                }
                _ => (Command::DataCreate, [rd, granule, page, run, 1]),
            },
        })
    }

    /// Any granule, often one that was delegated lately: few commands want any other.
    fn granule(&self, dice: &mut Dice) -> Option<u64> {
        let any = *dice.pick(&self.granules)?;
        Some(self.delegated.or(dice, any))
    }

    /// RMI_REALM_CREATE with a random table and one of a few VMIDs, in a page of parameters that other CPUs may be writing.
    fn realm_create(&self, dice: &mut Dice, rd: u64) -> Option<(Command, [u64; 5])> {
        let params = *dice.pick(&self.realm_params)?;
        let write = |offset: u64, value| self.host.machine().write_u64(params + offset, value);
        write(realm_params::VMID, 0x100 + dice.roll(4));
        write(realm_params::RTT_BASE, self.granule(dice)?);
        Some((Command::RealmCreate, [rd, params, 0, 0, 0]))
    }

    /// RMI_REC_CREATE with random auxiliary granules, in a page of parameters that other CPUs may be writing.
    fn rec_create(&self, dice: &mut Dice, rd: u64, rec: u64) -> Option<(Command, [u64; 5])> {
        let params = *dice.pick(&self.rec_params)?;
        for n in 0..self.aux_count {
            let aux = self.granule(dice)?;
            self.host.machine().write_u64(params + rec_params::AUX + 8 * n, aux);
        }
        Some((Command::RecCreate, [rd, rec, params, 0, 0]))
    }

    /// Everything that the CPUs may have left is destroyed: by trying.
    fn sweep(&self) {
        let machine = self.host.machine();
        let call = |command: Command, a: u64, b: u64, c: u64| {
            machine.smc([command.fid(), a, b, c, 0, 0, 0]);
        };
        for granule in &self.granules {
            call(Command::RecDestroy, *granule, 0, 0);
        }
        let own = self.realms.iter().map(|realm| realm.rd);
        for rd in own.chain(self.granules.iter().copied()) {
            for page in 0..16 {
                call(Command::DataDestroy, rd, REGION.start + page * STRIDE, 0);
            }
            for page in 0..4 {
                call(Command::RttUnmapUnprotected, rd, UNPROTECTED + page * PAGE_SIZE, 3);
            }
            for block in 0..3 {
                call(Command::RttDestroy, rd, REGION.start + block * BLOCK, 3);
            }
            for level in [3, 2, 1] {
                call(Command::RttDestroy, rd, UNPROTECTED, level);
            }
        }
        for granule in &self.granules {
            call(Command::RttDestroy, *granule, 0, 1);
            call(Command::RealmDestroy, *granule, 0, 0);
        }
    }
}

/// A Realm with its code, and RAM in the region when somebody gives it pages.
fn realm_with_region(host: &Host, worker: &[u8], vmid: u64) -> Result<Small, Failure> {
    let mut realm = Small::create(host, vmid)?;
    realm.tables_to(host, program::CODE)?;
    realm.page(host, program::CODE, worker)?;
    let mut base = REGION.start;
    while base < REGION.end {
        base = host.rmi().rtt_init_ripas(realm.rd, base, REGION.end)?;
    }
    Ok(realm)
}

/// A Realm whose RECs run, without memory but its code.
fn running_realm(host: &Host, worker: &[u8], vmid: u64) -> Result<Small, Failure> {
    let mut realm = realm_with_region(host, worker, vmid)?;
    for index in 0..RECS {
        let role = if index == 0 { program::MENDER } else { program::WORKER };
        let arguments = program::arguments(secret(vmid), role);
        realm.rec(host, program::CODE, &arguments)?;
    }
    host.rmi().realm_activate(realm.rd)?;
    Ok(realm)
}

/// What the Realm with this VMID keeps from everybody.
const fn secret(vmid: u64) -> u64 {
    0x5ec2_e700_0000_0000 | vmid << 16 | ripas::RAM
}
