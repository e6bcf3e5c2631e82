//! CPUs that send random commands about the same few granules, until so many have been sent.
//!
//! What a CPU sends is random, but each part of the run has its theme, so that the CPUs meet. The
//! same themes in each version of the interface, with its own commands (`v1_0`, `v2_0`):
//!
//! | Part | Commands |
//! | --- | --- |
//! | 0 | giving granules to the monitor against taking them back |
//! | 1 | memory and RIPAS of a Realm against taking the same memory away, with the Realms running |
//! | 2 | tables made, folded and destroyed, Host memory shown and hidden, against REC_ENTER in the same Realm |
//! | 3 | Realms and RECs made and destroyed, and in 2.0 operations driven by any CPU, against everything about what they make |
//! | 4 | all of these |

mod v1_0;
mod v2_0;

use super::Dice;
use super::lately::Lately;
use super::program::{self, REGION};
use super::small::{self, Small};
use super::tally::{Counted, Tally};
use crate::failure::Failure;
use crate::granules::PAGE_SIZE;
use crate::host::Host;
use crate::rmi::abi::{VERSION_1_0, rec_enter, rec_exit, rec_params, ripas};
use crate::rmi::command;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use spin::Mutex;

/// Granules that all CPUs fight over.
const GRANULES: usize = 40;
const PAGE_BYTES: usize = 4096;
/// Realms that run, and the RECs of each: one of them is the mender.
const REALMS: u64 = 2;
const RECS: u64 = 3;
/// Parts of a run.
const PARTS: u64 = 5;
/// Longest turn of a REC, in microseconds.
const TURN_MICROS: u64 = 200;
/// Commands after which the host says how far it is: the tool takes a long silence for a machine
/// that hangs.
const PROGRESS: u64 = 2_000;

/// What the host reads in an exit.
const EXIT_PSCI: u64 = 3;
const EXIT_RIPAS_CHANGE: u64 = 4;

/// A command by its number, and its arguments.
type Numbered = (u64, [u64; 5]);

/// What a run sends in one version of the interface.
trait Script: Send + Sync {
    /// All commands, for the table.
    fn commands(&self) -> Vec<Counted>;

    /// Whether a command may end with this code.
    fn may_return(&self, fid: u64, code: u64) -> bool;

    /// Whether that code says that it had an effect.
    fn is_done(&self, code: u64) -> bool {
        code == 0
    }

    /// Commands without any success of which a run shows nothing.
    fn has_to_succeed(&self) -> Vec<u64>;

    /// One random command of a part of the run.
    fn choose(
        &self,
        arena: &Arena,
        dice: &mut Dice,
        part: u64,
        cpu: usize,
    ) -> Result<Numbered, Failure>;

    /// Remembers what a command that had an effect is good for.
    fn note(&self, arena: &Arena, command: Numbered, code: u64);

    /// Everything that the CPUs may have left is destroyed: by trying.
    fn sweep(&self, arena: &Arena);
}

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
    /// A run page for each CPU.
    runs: Vec<u64>,
    script: Box<dyn Script>,
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
    /// Builds two Realms that run `worker`, one that is never activated, and what else is fought
    /// over by `cpus` CPUs with `commands` commands.
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
        let script: Box<dyn Script> = if host.dialect().version() == VERSION_1_0 {
            Box::new(v1_0::V1_0::new(host, idle_rd)?)
        } else {
            Box::new(v2_0::V2_0)
        };
        let pages =
            |count: usize| (0..count).map(|_| host.take_page()).collect::<Result<Vec<_>, _>>();
        // One behind the other: there are commands on ranges.
        let first = host.take_zeroed_pages(GRANULES)?;
        let granules = (first..).step_by(PAGE_BYTES).take(GRANULES).collect();
        let all_realm_params = pages(3)?;
        for params in &all_realm_params {
            small::write_realm_params(host, *params, 0, 0);
        }
        let all_rec_params = pages(3)?;
        for (number, params) in all_rec_params.iter().enumerate() {
            let write = |offset: u64, value: u64| host.machine().write_u64(params + offset, value);
            write(rec_params::FLAGS, 1);
            write(rec_params::MPIDR, number as u64 / 2);
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
            tally: Tally::new(script.commands()),
            script,
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
            let sent = self.script.choose(self, &mut dice, part, cpu).and_then(|command| {
                if command.0 == command::REC_ENTER.number() {
                    self.enter(&mut dice, cpu, command)
                } else {
                    self.send(cpu, command)
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
    /// A command ended with a code that it does not have, a Realm saw what is not its own,
    /// something could not be taken back, or a part of the run was about nothing.
    pub fn finish(self, cpus: usize) -> Result<(), Failure> {
        let host = &self.host;
        self.tally.report(host, cpus);
        if let Some(failure) = self.failure.lock().take() {
            return Err(failure);
        }
        self.is_about_something()?;
        self.script.sweep(&self);
        for granule in self.granules {
            // Only what is delegated; what the sweep has missed is found by the write, which
            // faults.
            let _ = host.dialect().undelegate(host, granule, granule + PAGE_SIZE);
            host.take_back(granule)?;
        }
        for realm in self.realms {
            realm.destroy(host)?;
        }
        Ok(())
    }

    /// A run in which a command never succeeds shows nothing.
    fn is_about_something(&self) -> Result<(), Failure> {
        let has_to_succeed = self.script.has_to_succeed();
        match has_to_succeed.into_iter().find_map(|fid| self.tally.never_done(fid)) {
            None => Ok(()),
            Some(name) => Err(failure!("{name} never succeeded")),
        }
    }

    /// Issues a command: what it replied if it had an effect.
    fn issue(&self, cpu: usize, command: Numbered) -> Result<Option<[u64; 5]>, Failure> {
        let (fid, _) = command;
        let judge = |code| self.script.may_return(fid, code).then(|| self.script.is_done(code));
        let reply = self.tally.call(&self.host, cpu, command, judge)?;
        let [code, ..] = reply;
        Ok(self.script.is_done(code).then_some(reply))
    }

    fn send(&self, cpu: usize, command: Numbered) -> Result<(), Failure> {
        let Some([code, x1, ..]) = self.issue(cpu, command)? else { return Ok(()) };
        if let (fid, [_, rec, ..]) = command
            && fid == command::RTT_SET_RIPAS.number()
            && let Some(runner) = self.runners.iter().find(|runner| runner.rec == rec)
        {
            runner.wanted.store(x1, Ordering::Relaxed);
        }
        self.script.note(self, command, code);
        Ok(())
    }

    /// Lets a REC run until it waits, faults, asks, or its turn ends.
    fn enter(&self, dice: &mut Dice, cpu: usize, command: Numbered) -> Result<(), Failure> {
        let machine = self.host.machine();
        let (_, [rec, run, ..]) = command;
        let flags = if dice.roll(8) == 0 { 0 } else { rec_enter::FLAG_TRAP_WFI };
        machine.write_u64(run + rec_enter::FLAGS, flags);
        machine.arm_timer(Some(machine.counter() + machine.counter_hz() * TURN_MICROS / 1_000_000));
        let entered = self.issue(cpu, command)?;
        machine.take_interrupts();
        if entered.is_none() {
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

    /// Any granule, often one that was delegated lately: few commands want any other.
    fn granule(&self, dice: &mut Dice) -> Option<u64> {
        let any = *dice.pick(&self.granules)?;
        Some(self.delegated.or(dice, any))
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
