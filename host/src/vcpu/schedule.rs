//! Which virtual CPU runs on which CPU of the machine.
//!
//! Every CPU of the machine takes whatever virtual CPU can run, of any Realm, in turn; so a REC
//! moves between CPUs. If there are more virtual CPUs than CPUs, a turn ends after [`SLICE_MS`]. A
//! CPU that finds nothing sleeps; whoever makes a virtual CPU able to run kicks the CPU that has
//! it, or those that sleep.

use super::run::{Between, Context, Readiness};
use super::{NOWHERE, Vcpu};
use crate::host::Host;
use crate::realm::Realm;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use spin::Mutex;

/// Time without an entry of a virtual CPU that is on after which the host says what everybody waits
/// for, in seconds. (Even one that does nothing is entered ten times a second, when its `WFI`
/// ends.)
const SILENCE_SECONDS: u64 = 30;

/// Length of a turn if there are others that wait, in milliseconds.
const SLICE_MS: u64 = 10;

/// Realms that share the CPUs of the machine.
pub struct Group {
    realms: Mutex<Vec<Arc<Realm>>>,
    has_slices: bool,
    /// When the host looks next whether a virtual CPU is left out.
    look_at: AtomicU64,
}

impl Group {
    /// Realms for a machine with so many CPUs.
    #[must_use]
    pub fn new(realms: Vec<Realm>, cpus: usize) -> Self {
        let virtual_cpus: usize = realms.iter().map(|realm| realm.vcpus.len()).sum();
        let realms = realms.into_iter().map(Arc::new).collect();
        Self {
            realms: Mutex::new(realms),
            has_slices: virtual_cpus > cpus,
            look_at: AtomicU64::new(0),
        }
    }

    /// Runs on CPU `cpu` until no Realm is left.
    pub fn run(&self, host: &Host, cpu: usize) {
        self.run_while(host, cpu, || !self.realms.lock().is_empty());
    }

    /// Runs on CPU `cpu` until a Realm stops; gives it back when no other CPU uses it any more.
    /// `None` if there is none left.
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
        loop {
            // Announced before the search: who makes something runnable after it has been looked at
            // sees this CPU.
            host.idle.fetch_or(bit, Ordering::SeqCst);
            machine.take_interrupts();
            if !wanted() {
                break;
            }
            match self.take(host, cpu, &mut cursor) {
                Ok((realm, index)) => {
                    host.idle.fetch_and(!bit, Ordering::SeqCst);
                    self.turn(host, &realm, index);
                }
                Err(wake) => {
                    let look_at = self.look_at.load(Ordering::Relaxed);
                    let soonest = wake.map_or(look_at, |time| time.min(look_at));
                    machine.arm_timer(Some(soonest));
                    machine.wait_for_interrupt();
                }
            }
            self.look(host);
        }
        host.idle.fetch_and(!bit, Ordering::SeqCst);
        machine.arm_timer(None);
    }

    /// Takes the next virtual CPU that can run; if there is none, says when to look again at the
    /// latest.
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
                        // Another CPU has to wait for those that were passed over: it may have
                        // skipped them while this one looked.
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

    /// Every now and then: says what each virtual CPU waits for, if one that is on has not been
    /// entered for long.
    fn look(&self, host: &Host) {
        let machine = host.machine();
        let (now, silence) = (machine.counter(), machine.counter_hz() * SILENCE_SECONDS);
        let look_at = self.look_at.load(Ordering::Relaxed);
        if now < look_at {
            return;
        }
        let looked = &self.look_at;
        let is_late = looked
            .compare_exchange(look_at, now + silence, Ordering::Relaxed, Ordering::Relaxed)
            .is_err();
        // At 0 nobody has looked yet, and nobody has had time to run.
        if is_late || look_at == 0 {
            return;
        }
        let realms = self.realms.lock();
        let left_out = |vcpu: &Vcpu| {
            vcpu.between.lock().is_on() && vcpu.entered.load(Ordering::Relaxed) + silence < now
        };
        if !realms.iter().any(|realm| !realm.is_stopping() && realm.vcpus.iter().any(left_out)) {
            return;
        }
        host.log(format_args!("a virtual CPU has not been entered for {SILENCE_SECONDS} s:"));
        for (number, realm) in realms.iter().enumerate() {
            for vcpu in &realm.vcpus {
                let (running, between) = (vcpu.cpu.load(Ordering::SeqCst), *vcpu.between.lock());
                let since = now.saturating_sub(vcpu.entered.load(Ordering::Relaxed));
                host.log(format_args!(
                    "  Realm {number}, CPU {}: on {running:x}, started {} times, entered {} s ago, {between:x?}",
                    vcpu.index,
                    vcpu.starts(),
                    since / machine.counter_hz()
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
