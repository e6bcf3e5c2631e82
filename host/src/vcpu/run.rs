//! One turn of one virtual CPU on one CPU of the machine.
//!
//! Interrupts of the machine stay masked all the time. One that comes while the REC runs makes it
//! exit; the loop then acknowledges whatever is pending and enters the REC again. So there
//! are no interrupt handlers, and nothing happens behind the loop's back.

use super::Vcpu;
use super::exits::{self, Next};
use crate::dialect::ReadyRec;
use crate::failure::Failure;
use crate::host::Host;
use crate::ipa;
use crate::realm::Realm;
use crate::report::ExitKind;
use crate::rmi::abi::{VERSION_1_0, rec_enter};
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

/// What a virtual CPU does between two turns.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Between {
    /// Whether the guest has switched it on.
    on: bool,
    /// How often the guest had started it when it was last switched on.
    starts: u32,
    /// Its timers at the last exit.
    timers: Timers,
    next: Next,
}

impl Between {
    /// Whether the guest has switched it on.
    pub(super) const fn is_on(&self) -> bool {
        self.on
    }

    /// Whether only the end of its turn keeps it from running.
    pub(super) fn can_go_on(&self) -> bool {
        self.on && matches!(self.next, Next::Enter { .. })
    }
}

/// Whether a virtual CPU can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    /// Now.
    Ready,
    /// Not before an event, or before this time.
    Waiting(Option<u64>),
}

impl Context<'_> {
    /// Whether there is something to run.
    pub(super) fn readiness(&self, between: &mut Between) -> Readiness {
        self.pass_on_input();
        if self.realm.is_stopping() {
            return Readiness::Waiting(None);
        }
        if !between.on {
            let starts = self.vcpu.starts();
            if starts == between.starts {
                return Readiness::Waiting(None);
            }
            *between = Between { on: true, starts, ..Between::default() };
        }
        let Next::Sleep { until } = between.next else { return Readiness::Ready };
        let now = self.host.machine().counter();
        let is_deliverable = {
            let mut vgic = self.realm.vgic.lock();
            self.set_timer_levels(&mut vgic, between.timers);
            vgic.deliverable(self.vcpu.index)
        };
        if is_deliverable || until.is_some_and(|time| now >= time) {
            between.next = Next::ENTER;
            return Readiness::Ready;
        }
        Readiness::Waiting([between.timers.deadline(now), until].into_iter().flatten().min())
    }

    /// Enters the REC again and again until the guest waits or switches this CPU off, the Realm
    /// stops, or the time `end` has come.
    pub(super) fn turn(&self, between: &mut Between, end: Option<u64>) -> Result<(), Failure> {
        let machine = self.host.machine();
        loop {
            machine.take_interrupts();
            if self.readiness(between) != Readiness::Ready {
                return Ok(());
            }
            let (flags, gpr0) = match between.next {
                Next::Enter { flags, gpr0 } => (flags, gpr0),
                Next::Sleep { .. } => return Ok(()),
                Next::Off => {
                    between.on = false;
                    return Ok(());
                }
            };
            if end.is_some_and(|time| machine.counter() >= time) {
                return Ok(());
            }
            let Some(exit) = self.enter(between.timers, end, flags, gpr0)? else {
                between.on = false;
                return Ok(());
            };
            between.timers = Timers { virt: exit.cntv, phys: exit.cntp };
            between.next = exits::handle(self, &exit)?;
        }
    }

    /// One `RMI_REC_ENTER`. `None` means that this REC cannot run now, which is no error.
    fn enter(
        &self,
        timers: Timers,
        end: Option<u64>,
        flags: u64,
        gpr0: u64,
    ) -> Result<Option<crate::rmi::run::RecExit>, Failure> {
        let (Some(rec), Some(run)) = (self.vcpu.rec, self.vcpu.run) else {
            return Err("a virtual CPU has no REC".into());
        };
        let machine = self.host.machine();
        let mut interrupts = {
            let mut vgic = self.realm.vgic.lock();
            self.set_timer_levels(&mut vgic, timers);
            vgic.load(self.vcpu.index)
        };
        let enter =
            RecEnter { flags: flags | rec_enter::FLAG_TRAP_WFI, gpr0, ..RecEnter::default() };
        let wake = [timers.deadline(machine.counter()), end].into_iter().flatten().min();
        machine.arm_timer(wake);
        self.vcpu.entered.store(machine.counter(), Ordering::Relaxed);
        let ready = ReadyRec { rec, run, entered: self.realm.entered(self.vcpu.index) };
        let entered = self.host.dialect().enter(self.host, &ready, &enter, &mut interrupts);
        let exit = match entered {
            Ok(exit) => exit,
            Err(error) => {
                // Nothing was delivered: the interrupts go back to where they were.
                let vmcr = u64::MAX;
                self.realm.vgic.lock().fold(self.vcpu.index, &interrupts.lrs, vmcr);
                return self.not_entered(error).map(|()| None);
            }
        };
        if let Some(kind) = ExitKind::of(exit.reason) {
            self.host.counters.exit(kind);
        }
        let mut vgic = self.realm.vgic.lock();
        vgic.unload(self.vcpu.index, &interrupts);
        let timers = Timers { virt: exit.cntv, phys: exit.cntp };
        self.set_timer_levels(&mut vgic, timers);
        Ok(Some(exit))
    }

    /// Tells the harmless reasons for which a REC is not entered from the others.
    fn not_entered(&self, error: RmiError) -> Result<(), Failure> {
        // Another CPU of the guest has switched it off; that CPU's loop stops the Realm. Version
        // 2.0 tells no reason, but a Realm that was built and not terminated can have no other.
        let tells_reason = self.host.dialect().version() == VERSION_1_0;
        if let Status::Realm(reason) = error.status
            && (reason == 1 || !tells_reason)
        {
            return Ok(());
        }
        // Started twice: the monitor knows that the REC is off again.
        if error.status == Status::Rec && self.vcpu.starts() > 1 {
            self.host.log(format_args!("CPU {} of the guest: {error}", self.vcpu.index));
            return Ok(());
        }
        Err(error.into())
    }

    fn set_timer_levels(&self, vgic: &mut crate::vgic::Vgic, timers: Timers) {
        let now = self.host.machine().counter();
        let index = self.vcpu.index;
        vgic.set_private(index, ipa::VIRTUAL_TIMER_INTID, timers.virt.asserted(now));
        vgic.set_private(index, ipa::PHYSICAL_TIMER_INTID, timers.phys.asserted(now));
    }

    /// Passes on what was typed, if it is for this Realm.
    fn pass_on_input(&self) {
        if !self.realm.interactive {
            return;
        }
        let set = {
            // Held while the bytes are taken: those that another CPU takes must not overtake them.
            let mut uart = self.realm.uart.lock();
            let Some(first) = self.realm.console_read(self.host) else { return };
            uart.receive(first);
            while let Some(byte) = self.realm.console_read(self.host) {
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
