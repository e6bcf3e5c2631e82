//! Which virtual CPU runs on which CPU of the machine.
//!
//! Every CPU of the machine takes whatever virtual CPU can run, of any Realm, in turn; so a REC moves between CPUs.
//! If there are more virtual CPUs than CPUs, a turn ends after [`SLICE_MS`]. A CPU that finds nothing sleeps; whoever
//! makes a virtual CPU able to run kicks the CPU that has it, or those that sleep.

use super::run::{Between, Context, Readiness};
use super::{NOWHERE, Vcpu};
use crate::host::Host;
use crate::realm::Realm;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use spin::Mutex;

/// Time without a turn after which the host says what everybody waits for, in seconds.
const SILENCE_SECONDS: u64 = 30;

/// Length of a turn if there are others that wait, in milliseconds.
const SLICE_MS: u64 = 10;

/// Realms that share the CPUs of the machine.
pub struct Group {
    realms: Mutex<Vec<Arc<Realm>>>,
    has_slices: bool,
}

impl Group {
    /// Realms for a machine with so many CPUs.
    #[must_use]
    pub fn new(realms: Vec<Realm>, cpus: usize) -> Self {
        let virtual_cpus: usize = realms.iter().map(|realm| realm.vcpus.len()).sum();
        let realms = realms.into_iter().map(Arc::new).collect();
        Self { realms: Mutex::new(realms), has_slices: virtual_cpus > cpus }
    }

    /// Runs on CPU `cpu` until no Realm is left.
    pub fn run(&self, host: &Host, cpu: usize) {
        self.run_while(host, cpu, || !self.realms.lock().is_empty());
    }

    /// Runs on CPU `cpu` until a Realm stops; gives it back when no other CPU uses it any more. `None` if there is
    /// none left.
    pub fn run_until_one_stops(&self, host: &Host, cpu: usize) -> Option<Realm> {
        let stopped = |realms: &Vec<Arc<Realm>>| realms.iter().position(|r| r.is_stopping());
        self.run_while(host, cpu, || {
            let realms = self.realms.lock();
            !realms.is_empty() && stopped(&realms).is_none()
        });
        let mut realm = {
            let mut realms = self.realms.lock();
            let index = stopped(&realms)?;
            realms.remove(index)
        };
        // If it was the last one, the others have nothing to wait for.
        host.wake_idle();
        loop {
            match Arc::try_unwrap(realm) {
                Ok(realm) => return Some(realm),
                // A CPU has not left it yet.
                Err(shared) => realm = shared,
            }
            host.machine().take_interrupts();
            core::hint::spin_loop();
        }
    }

    fn run_while(&self, host: &Host, cpu: usize, wanted: impl Fn() -> bool) {
        let machine = host.machine();
        let bit = 1_u32 << cpu;
        let mut cursor = cpu;
        let silence = machine.counter_hz() * SILENCE_SECONDS;
        let mut report_at = machine.counter() + silence;
        loop {
            // Announced before the search: who makes something runnable after it has been looked at sees this CPU.
            host.idle.fetch_or(bit, Ordering::SeqCst);
            machine.take_interrupts();
            if !wanted() {
                break;
            }
            match self.take(host, cpu, &mut cursor) {
                Ok((realm, index)) => {
                    host.idle.fetch_and(!bit, Ordering::SeqCst);
                    self.turn(host, &realm, index);
                    report_at = machine.counter() + silence;
                }
                Err(wake) => {
                    if machine.counter() >= report_at {
                        self.describe(host, cpu);
                        report_at = u64::MAX;
                    }
                    let soonest = [wake, Some(report_at)].into_iter().flatten().min();
                    machine.arm_timer(soonest);
                    machine.wait_for_interrupt();
                }
            }
        }
        host.idle.fetch_and(!bit, Ordering::SeqCst);
        machine.arm_timer(None);
    }

    /// Takes the next virtual CPU that can run; if there is none, says when to look again at the latest.
    fn take(
        &self,
        host: &Host,
        cpu: usize,
        cursor: &mut usize,
    ) -> Result<(Arc<Realm>, usize), Option<u64>> {
        let realms = self.realms.lock();
        let all = || realms.iter().flat_map(|realm| realm.vcpus.iter().map(move |v| (realm, v)));
        let count = all().count().max(1);
        let start = *cursor % count;
        let mut wake: Option<u64> = None;
        for (place, (realm, vcpu)) in all().enumerate().cycle().skip(start).take(count) {
            if vcpu.taken.swap(true, Ordering::SeqCst) {
                continue;
            }
            vcpu.cpu.store(cpu, Ordering::SeqCst);
            let context = Context { host, realm, vcpu };
            match context.readiness(&mut vcpu.between.lock()) {
                Readiness::Ready => {
                    *cursor = place + 1;
                    if wake.is_some() {
                        // Another CPU has to wait for those that were passed over: it may have skipped them
                        // while this one looked.
                        host.wake_idle();
                    }
                    return Ok((realm.clone(), vcpu.index));
                }
                Readiness::Waiting(until) => {
                    wake = [wake, until].into_iter().flatten().min();
                    release(vcpu);
                }
            }
        }
        Err(wake)
    }

    /// Says what each virtual CPU waits for.
    fn describe(&self, host: &Host, cpu: usize) {
        host.log(format_args!("CPU {cpu} had nothing to run for {SILENCE_SECONDS} s:"));
        for (number, realm) in self.realms.lock().iter().enumerate() {
            for vcpu in &realm.vcpus {
                let (running, between) = (vcpu.cpu.load(Ordering::SeqCst), *vcpu.between.lock());
                host.log(format_args!(
                    "  Realm {number}, CPU {}: on {running:x}, started {} times, {between:x?}",
                    vcpu.index,
                    vcpu.starts()
                ));
            }
        }
    }

    fn turn(&self, host: &Host, realm: &Arc<Realm>, index: usize) {
        let Some(vcpu) = realm.vcpus.get(index) else { return };
        let context = Context { host, realm, vcpu };
        let machine = host.machine();
        let slice = machine.counter_hz() / 1000 * SLICE_MS;
        let end = self.has_slices.then(|| machine.counter() + slice);
        let mut between: Between = *vcpu.between.lock();
        if let Err(failure) = context.turn(&mut between, end) {
            realm.fail(host, failure);
        }
        *vcpu.between.lock() = between;
        release(vcpu);
        if between.can_go_on() || realm.is_stopping() {
            // Another CPU could go on with it, or waits for the Realm to be left.
            host.wake_idle();
        }
    }
}

/// Lets other CPUs take it.
fn release(vcpu: &Vcpu) {
    vcpu.cpu.store(NOWHERE, Ordering::SeqCst);
    vcpu.taken.store(false, Ordering::SeqCst);
}
