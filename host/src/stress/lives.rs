//! Realms that are made, run and destroyed; in the right order, and in the wrong one.

use super::program::{self, REGION, STRIDE};
use super::small::{Extras, Small, UNPROTECTED};
use crate::failure::Failure;
use crate::granules::PAGE_SIZE;
use crate::host::Host;
use crate::rmi::abi::{VERSION_1_0, rec_enter, rec_exit};
use crate::rmi::run::RunPage;
use crate::rmi::{Command, RmiError, Status, command};
use crate::watch::Entered;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

/// Entries of each life: the worker writes its secrets, and reads them back.
const ENTRIES: usize = 3;

/// Longest turn of a REC, in milliseconds.
const TURN_MILLIS: u64 = 5;

/// What a worker asks for when it sees what is not its own.
const EXIT_PSCI: u64 = 3;

/// Realms of one host, one after the other.
pub struct Lives<'h> {
    host: &'h Host,
    worker: &'h [u8],
}

/// How much of a Realm is there: the steps in which it is built.
const STEPS: u64 = 8;

impl<'h> Lives<'h> {
    /// Realms that run `worker`.
    #[must_use]
    pub const fn new(host: &'h Host, worker: &'h [u8]) -> Self {
        Self { host, worker }
    }

    /// Takes one more step with a Realm that is there already.
    fn step(&self, realm: &mut Small, number: u64, secret: u64) -> Result<(), Failure> {
        let host = self.host;
        let extras = Extras::all(host).role();
        match number {
            1 => realm.tables_to(host, program::CODE),
            2 => realm.page(host, program::CODE, self.worker),
            3 => realm.tables_to(host, REGION.start),
            4 => {
                for page in [0, STRIDE] {
                    let base = REGION.start + page;
                    host.rmi().rtt_init_ripas(realm.rd, base, base + PAGE_SIZE)?;
                    realm.unknown_page(host, base)?;
                }
                Ok(())
            }
            5 => {
                let arguments = program::arguments(secret, program::WORKER | extras);
                realm.rec(host, program::CODE, &arguments)
            }
            6 => {
                let arguments = program::arguments(secret, program::MENDER | extras);
                realm.rec(host, program::CODE, &arguments)
            }
            7 => Ok(host.rmi().realm_activate(realm.rd)?),
            _ => {
                for index in [0, 1].into_iter().cycle().take(2 * ENTRIES) {
                    self.enter(realm, index)?;
                }
                Ok(())
            }
        }
    }

    fn enter(&self, realm: &Small, index: usize) -> Result<(), Failure> {
        let rec = realm.recs.get(index).ok_or("the Realm has no such REC")?;
        let machine = self.host.machine();
        machine.write_u64(rec.run.pa() + rec_enter::FLAGS, rec_enter::FLAG_TRAP_WFI);
        machine.arm_timer(Some(machine.counter() + machine.counter_hz() * TURN_MILLIS / 1000));
        match &self.host.watch {
            Some(watch) => {
                let entered = Entered { number: None, rd: realm.rd, cpu: index };
                watch.rec_enter(self.host, entered, rec.pa, rec.run)?;
            }
            None => self.host.rmi().rec_enter(rec.pa, rec.run.pa())?,
        }
        machine.arm_timer(None);
        machine.take_interrupts();
        check_exit(self.host, rec.run)
    }

    /// Makes a Realm with this VMID, runs it, destroys it.
    ///
    /// # Errors
    ///
    /// Something is refused, or the Realm sees what is not its own.
    pub fn whole(&self, vmid: u64, secret: u64) -> Result<(), Failure> {
        self.partial(vmid, secret, STEPS)
    }

    /// The same, but the Host gives up after so many steps.
    fn partial(&self, vmid: u64, secret: u64, steps: u64) -> Result<(), Failure> {
        let mut realm = Small::create_with(self.host, vmid, Extras::all(self.host))?;
        let mut built = Ok(());
        for number in 1..=steps {
            built = self.step(&mut realm, number, secret);
            if built.is_err() {
                break;
            }
        }
        let destroyed = realm.destroy(self.host);
        built.and(destroyed)
    }

    /// The life with this number.
    ///
    /// # Errors
    ///
    /// As [`Self::whole`].
    pub fn one(&self, number: u64) -> Result<(), Failure> {
        let vmid = if number.is_multiple_of(2) { 7 } else { 1 + number * 131 % 0xffff };
        self.whole(vmid, 0x5ec2_e7ff_0000_0000 | number << 1 | 1)
    }

    /// So many lives, one after the other. Every other one has the VMID of the one before; the
    /// others use all 16 bits.
    ///
    /// # Errors
    ///
    /// As [`Self::whole`].
    pub fn cycles(&self, count: u64) -> Result<(), Failure> {
        for number in 0..count {
            self.one(number)?;
            if (number + 1).is_multiple_of(count.div_ceil(100)) {
                self.host.log(format_args!("{} of {count} lives", number + 1));
            }
        }
        Ok(())
    }

    /// A Host that gives up at each step of building a Realm, and tries to take things back in the
    /// wrong order first.
    ///
    /// # Errors
    ///
    /// As [`Self::whole`], or the wrong order was not refused.
    pub fn given_up(&self) -> Result<(), Failure> {
        for steps in 0..=STEPS {
            let mut realm = Small::create_with(self.host, 9, Extras::all(self.host))?;
            for number in 1..=steps {
                self.step(&mut realm, number, 0x5ec2_e7fe_0000_0001)?;
            }
            self.wrong_order(&realm, steps)?;
            realm.destroy(self.host)?;
        }
        Ok(())
    }

    fn wrong_order(&self, realm: &Small, steps: u64) -> Result<(), Failure> {
        let host = self.host;
        refused("an RD in use", taken_back(host, realm.rd), &in_use(realm.rd))?;
        if steps >= 1 {
            // In 2.0 it is not terminated either.
            let live = destroyed(host, command::REALM_DESTROY, realm.rd);
            refused("a Realm with tables", live, &[Status::Realm(0)])?;
            let live = host.rmi().rtt_destroy(realm.rd, 0, 1).map(|_| ());
            refused("a table with tables", live, &[Status::Rtt(1)])?;
        }
        if steps >= 2 {
            let live = host.rmi().rtt_destroy(realm.rd, 0, 3).map(|_| ());
            refused("a table with pages", live, &[Status::Rtt(3)])?;
        }
        if let Some(rec) = realm.recs.first() {
            refused("a REC in use", taken_back(host, rec.pa), &in_use(rec.pa))?;
        }
        Ok(())
    }

    /// A second Realm with the VMID of one that lives is refused, and nothing is lost by that.
    /// Where the monitor chooses VMIDs both live side by side.
    ///
    /// # Errors
    ///
    /// It is not refused, or refused for a VMID that is not the Host's to choose.
    pub fn same_vmid(&self) -> Result<(), Failure> {
        let first = Small::create(self.host, 0xffff)?;
        let second = Small::create(self.host, 0xffff);
        let is_refused = second.is_err();
        let chosen_by_host = self.host.dialect().version() == VERSION_1_0;
        if let Ok(realm) = second {
            realm.destroy(self.host)?;
        }
        first.destroy(self.host)?;
        match (is_refused, chosen_by_host) {
            (false, true) => Err("two Realms have one VMID".into()),
            (true, false) => Err("a VMID that means nothing is refused".into()),
            (true, true) | (false, false) => Ok(()),
        }
    }
}

fn check_exit(host: &Host, run: RunPage) -> Result<(), Failure> {
    let machine = host.machine();
    if machine.read_u64(run.pa() + rec_exit::EXIT_REASON) & 0xff == EXIT_PSCI {
        return Err("a Realm saw a register or a page that was not its own".into());
    }
    Ok(())
}

/// Tries to take a granule back from the monitor.
fn taken_back(host: &Host, pa: u64) -> Result<(), RmiError> {
    host.dialect().undelegate(host, pa, pa + PAGE_SIZE).refusal.map_or(Ok(()), Err)
}

/// Tries to destroy an object, with no more than one call.
fn destroyed(host: &Host, command: Command, object: u64) -> Result<(), RmiError> {
    host.rmi().call(command, [object, 0, 0, 0, 0]).map(drop)
}

/// Why a granule that is in use is not given back: 2.0 says which of a range.
const fn in_use(pa: u64) -> [Status; 2] {
    [Status::Input, Status::InputAt(pa)]
}

fn refused(what: &str, result: Result<(), RmiError>, expected: &[Status]) -> Result<(), Failure> {
    match result {
        Err(error) if expected.contains(&error.status) => Ok(()),
        Err(error) => Err(failure!("taking away {what}: {error}")),
        Ok(()) => Err(failure!("{what} could be taken away")),
    }
}

/// A Realm that spins on one CPU while another wants it gone.
pub struct Spinning {
    host: Arc<Host>,
    realm: Small,
    /// The page where it says that it runs.
    signal: u64,
    left: AtomicBool,
}

impl Spinning {
    /// Builds it from a program that writes X1 to where X0 points, and then spins.
    ///
    /// # Errors
    ///
    /// Something is refused.
    pub fn new(host: &Arc<Host>, spinner: &[u8]) -> Result<Self, Failure> {
        let mut realm = Small::create(host, 11)?;
        realm.tables_to(host, program::CODE)?;
        realm.page(host, program::CODE, spinner)?;
        realm.tables_to(host, UNPROTECTED)?;
        let signal = host.take_page()?;
        host.dialect().share(host, realm.rd, UNPROTECTED, signal)?;
        realm.rec(host, program::CODE, &[UNPROTECTED, 1])?;
        host.rmi().realm_activate(realm.rd)?;
        Ok(Self { host: host.clone(), realm, signal, left: AtomicBool::new(false) })
    }

    /// Another CPU runs it until it is interrupted.
    pub fn run(&self) {
        if let Some(rec) = self.realm.recs.first()
            && let Err(error) = self.host.rmi().rec_enter(rec.pa, rec.run.pa())
        {
            self.host.log(format_args!("the spinning Realm: {error}"));
        }
        self.host.machine().take_interrupts();
        self.left.store(true, Ordering::Release);
    }

    /// Tries to destroy it while it runs on CPU `cpu`, then interrupts it and destroys it. The
    /// caller is the only one left with it once `run` has returned.
    ///
    /// # Errors
    ///
    /// It could be destroyed while it ran, or not afterwards.
    pub fn disturb(&self, cpu: usize) -> Result<(), Failure> {
        let machine = self.host.machine();
        let limit = machine.counter() + 20 * machine.counter_hz();
        while machine.read_u64(self.signal) != 1 {
            if machine.counter() > limit || self.left.load(Ordering::Acquire) {
                return Err("the Realm that is to spin does not run".into());
            }
        }
        self.host.log(format_args!("a Realm spins"));
        let host = &*self.host;
        let rec = self.realm.recs.first().ok_or("the Realm has no REC")?;
        refused("a running REC", destroyed(host, command::REC_DESTROY, rec.pa), &[Status::Rec])?;
        let twice = host.rmi().rec_enter(rec.pa, rec.run.pa());
        refused("a running REC's second entry", twice, &[Status::Rec])?;
        let running = destroyed(host, command::REALM_DESTROY, self.realm.rd);
        refused("a running Realm", running, &[Status::Realm(0)])?;
        refused("a running REC's granule", taken_back(host, rec.pa), &in_use(rec.pa))?;
        self.host.log(format_args!("nothing of it can be taken away"));
        let limit = machine.counter() + 20 * machine.counter_hz();
        while !self.left.load(Ordering::Acquire) {
            if machine.counter() > limit {
                return Err("the spinning Realm is not interrupted".into());
            }
            machine.kick(cpu);
            // Not so often that the other CPU does nothing but take interrupts.
            let soon = machine.counter() + machine.counter_hz() / 100;
            while machine.counter() < soon && !self.left.load(Ordering::Acquire) {
                core::hint::spin_loop();
            }
        }
        Ok(())
    }

    /// Takes it apart.
    ///
    /// # Errors
    ///
    /// Something is refused.
    pub fn destroy(self) -> Result<(), Failure> {
        let host = &self.host;
        host.dialect().unshare(host, self.realm.rd, UNPROTECTED, UNPROTECTED + PAGE_SIZE)?;
        self.realm.destroy(host)?;
        host.put_page(self.signal);
        Ok(())
    }
}
