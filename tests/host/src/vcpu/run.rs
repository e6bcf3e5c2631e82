//! The run loop of one virtual CPU on one CPU of the machine.
//!
//! Interrupts of the machine stay masked all the time. One that comes while the REC runs ends the
//! REC's turn; the loop then acknowledges whatever is pending and enters the REC again. So there
//! are no interrupt handlers, and nothing happens behind the loop's back.

use super::Vcpu;
use super::exits::{self, Next};
use crate::failure::Failure;
use crate::host::Host;
use crate::ipa;
use crate::realm::Realm;
use crate::report::ExitKind;
use crate::rmi::abi::rec_enter;
use crate::rmi::run::RecEnter;
use crate::rmi::{RmiError, Status};
use crate::vtimer::Timers;
use core::sync::atomic::Ordering;

/// What the parts of the loop work on.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub host: &'a Host,
    pub realm: &'a Realm,
    pub vcpu: &'a Vcpu,
}

/// Runs virtual CPU `index` on this CPU until the Realm stops.
pub fn run(host: &Host, realm: &Realm, index: usize) {
    if let Some(vcpu) = realm.vcpus.get(index) {
        let context = Context { host, realm, vcpu };
        if let Err(failure) = context.run() {
            realm.fail(host, failure);
        }
    }
    host.machine().arm_timer(None);
    realm.finished.fetch_add(1, Ordering::Release);
    // CPU 0 waits for this.
    host.machine().kick(0);
}

impl Context<'_> {
    fn run(&self) -> Result<(), Failure> {
        let mut seen = 0;
        while let Some(starts) = self.wait_for_start(seen) {
            seen = starts;
            self.run_until_off()?;
        }
        Ok(())
    }

    /// Sleeps until the guest has started this CPU more than `seen` times; `None` if the Realm
    /// stops first.
    fn wait_for_start(&self, seen: u32) -> Option<u32> {
        loop {
            self.serve_machine();
            if self.realm.is_stopping() {
                return None;
            }
            let starts = self.vcpu.starts();
            if starts != seen {
                return Some(starts);
            }
            self.host.machine().wait_for_interrupt();
        }
    }

    /// Enters the REC again and again until the guest switches this CPU off or the Realm stops.
    fn run_until_off(&self) -> Result<(), Failure> {
        let mut timers = Timers::default();
        let mut next = Next::ENTER;
        while !self.realm.is_stopping() {
            self.serve_machine();
            let (flags, gpr0) = match next {
                Next::Enter { flags, gpr0 } => (flags, gpr0),
                Next::Sleep { until } => {
                    self.sleep(timers, until);
                    next = Next::ENTER;
                    continue;
                }
                Next::Off => return Ok(()),
            };
            let Some(exit) = self.enter(timers, flags, gpr0)? else { return Ok(()) };
            timers = Timers { virt: exit.cntv, phys: exit.cntp };
            next = exits::handle(self, &exit)?;
        }
        Ok(())
    }

    /// One `RMI_REC_ENTER`. `None` means that this REC cannot run now, which is no error.
    fn enter(
        &self,
        timers: Timers,
        flags: u64,
        gpr0: u64,
    ) -> Result<Option<crate::rmi::run::RecExit>, Failure> {
        let (Some(rec), Some(run)) = (self.vcpu.rec, self.vcpu.run) else {
            return Err("a virtual CPU has no REC".into());
        };
        let machine = self.host.machine();
        let loaded = {
            let mut vgic = self.realm.vgic.lock();
            self.set_timer_levels(&mut vgic, timers);
            vgic.load(self.vcpu.index)
        };
        let enter = RecEnter {
            flags: flags | rec_enter::FLAG_TRAP_WFI,
            gpr0,
            gicv3_hcr: loaded.hcr,
            gicv3_lrs: loaded.lrs,
        };
        run.write_enter(machine, &enter);
        machine.arm_timer(timers.deadline(machine.counter()));
        if let Err(error) = self.host.rmi().rec_enter(rec, run.pa()) {
            // Nothing was delivered: the interrupts go back to where they were.
            let vmcr = u64::MAX;
            self.realm.vgic.lock().fold(self.vcpu.index, &loaded.lrs, vmcr);
            return self.not_entered(error).map(|()| None);
        }
        let exit = run.read_exit(machine);
        if let Some(kind) = ExitKind::of(exit.reason) {
            self.host.counters.exit(kind);
        }
        let mut vgic = self.realm.vgic.lock();
        vgic.fold(self.vcpu.index, &exit.gicv3_lrs, exit.gicv3_vmcr);
        let timers = Timers { virt: exit.cntv, phys: exit.cntp };
        self.set_timer_levels(&mut vgic, timers);
        Ok(Some(exit))
    }

    /// Tells the harmless reasons for which a REC is not entered from the others.
    fn not_entered(&self, error: RmiError) -> Result<(), Failure> {
        match error.status {
            // Another CPU of the guest has switched it off; that CPU's loop stops the Realm.
            Status::Realm(1) => Ok(()),
            // Started twice: the monitor knows that the REC is off again.
            Status::Rec if self.vcpu.starts() > 1 => Ok(()),
            Status::Rec
            | Status::Input
            | Status::Realm(_)
            | Status::Rtt(_)
            | Status::NotSupported
            | Status::Unknown(_) => Err(error.into()),
        }
    }

    fn set_timer_levels(&self, vgic: &mut crate::vgic::Vgic, timers: Timers) {
        let now = self.host.machine().counter();
        let index = self.vcpu.index;
        vgic.set_private(index, ipa::VIRTUAL_TIMER_INTID, timers.virt.asserted(now));
        vgic.set_private(index, ipa::PHYSICAL_TIMER_INTID, timers.phys.asserted(now));
    }

    /// The guest waits for an interrupt: so does this CPU, until one of the guest's is there, a
    /// timer of the guest expires, or the time `until` comes.
    fn sleep(&self, timers: Timers, until: Option<u64>) {
        let machine = self.host.machine();
        loop {
            self.serve_machine();
            let now = machine.counter();
            let deliverable = {
                let mut vgic = self.realm.vgic.lock();
                self.set_timer_levels(&mut vgic, timers);
                vgic.deliverable(self.vcpu.index)
            };
            if deliverable || self.realm.is_stopping() || until.is_some_and(|time| now >= time) {
                return;
            }
            let wake = [timers.deadline(now), until].into_iter().flatten().min();
            machine.arm_timer(wake);
            machine.wait_for_interrupt();
        }
    }

    /// Acknowledges the machine's interrupts and passes on what was typed.
    fn serve_machine(&self) {
        let machine = self.host.machine();
        machine.take_interrupts();
        if !self.realm.interactive {
            return;
        }
        let set = {
            // Held while the bytes are taken: those that another CPU takes must not overtake them.
            let mut uart = self.realm.uart.lock();
            let Some(first) = machine.console_read() else { return };
            uart.receive(first);
            while let Some(byte) = machine.console_read() {
                uart.receive(byte);
            }
            self.realm.vgic.lock().set_spi(ipa::UART_INTID, uart.interrupt())
        };
        self.kick_others(set);
    }

    /// Makes other virtual CPUs look at their interrupts again.
    pub(super) fn kick_others(&self, set: crate::vgic::CpuSet) {
        self.realm.kick(self.host, set & !(1 << self.vcpu.index));
    }
}
