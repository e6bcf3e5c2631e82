//! EL3: keeps the granule protection table, and can be told to refuse.

use core::sync::atomic::Ordering;
use std::collections::HashMap;
use std::sync::Mutex;

use cairn_el3::edition::Edition;
use cairn_el3::firme::{self, Firme, Runs, Status};
use granule::GranuleAddr;
use machine::{El3Error, El3Interface, GRANULE_SIZE, RootWorld, Vcpu};
use rmm_arch::el3;
use rmm_arch::el3::firme::GranuleService;

use super::dram::{Granule, Pas};
use super::{FakeCpu, FakeMachine, lock};

/// E_RMM_BAD_ADDR.
const BAD_ADDR: i64 = -2;
/// E_RMM_BAD_PAS.
const BAD_PAS: i64 = -3;

/// What EL3 is, and what the monitor knows of it.
#[derive(Debug)]
pub(crate) struct Firmware {
    edition: Edition,
    service: GranuleService,
    firme: Mutex<Firme>,
}

/// What EL3 is told to do.
#[derive(Debug, Default)]
pub(crate) struct El3 {
    calls: u64,
    refuse_call: Option<(u64, i64)>,
    refuse_delegation: HashMap<u64, i64>,
    refuse_undelegation: HashMap<u64, i64>,
}

impl FakeMachine {
    /// EL3 answers `code` to its `nth` call from now (0 is the next), and does nothing.
    pub fn refuse_el3_call(&self, nth: u64, code: i64) {
        let mut el3 = lock(&self.el3);
        el3.refuse_call = Some((el3.calls + nth, code));
    }

    /// EL3 answers `code` whenever it is asked for the granule at `pa`.
    pub fn refuse_delegation(&self, pa: u64, code: i64) {
        lock(&self.el3).refuse_delegation.insert(pa, code);
    }

    /// EL3 refuses no call by its number any more.
    pub fn calm_el3(&self) {
        lock(&self.el3).refuse_call = None;
    }

    /// EL3 answers `code` whenever it is asked to take back the granule at `pa`; `None`: no more.
    pub fn refuse_undelegation(&self, pa: u64, code: Option<i64>) {
        let mut el3 = lock(&self.el3);
        match code {
            Some(code) => el3.refuse_undelegation.insert(pa, code),
            None => el3.refuse_undelegation.remove(&pa),
        };
    }

    /// EL3 takes runs so from now on; only an EL3 with FIRME takes any.
    pub fn take_runs(&self, runs: Runs) {
        lock(&self.firmware.firme).take_runs(runs);
    }

    /// One granule that EL3 is asked for: it, or its refusal.
    fn asked(&self, pa: u64, undelegation: bool) -> Result<&Granule, El3Error> {
        let mut el3 = lock(&self.el3);
        let number = el3.calls;
        el3.calls += 1;
        if let Some((nth, code)) = el3.refuse_call
            && nth == number
        {
            return Err(El3Error(code));
        }
        let refused = if undelegation { &el3.refuse_undelegation } else { &el3.refuse_delegation };
        if let Some(code) = refused.get(&pa) {
            return Err(El3Error(*code));
        }
        self.dram.at(pa).ok_or(El3Error(BAD_ADDR))
    }

    /// A refusal by order that could not be told is told next time.
    fn refuse_again(&self, code: i64) {
        let mut el3 = lock(&self.el3);
        el3.refuse_call = Some((el3.calls, code));
    }
}

impl Firmware {
    /// An EL3 that speaks this; the monitor has booted and found what it has.
    pub(crate) fn new(edition: Edition) -> Self {
        let service = GranuleService::absent();
        if edition.is_v2 {
            service.discover(|[x0, x1, x2, _]| match x0 {
                firme::SERVICE_VERSION if edition.has_firme => [firme::service_version(x1), 0, 0],
                firme::SERVICE_FEATURES if edition.has_firme => {
                    let [x0, x1] = firme::service_features(edition, x1, x2);
                    [x0, x1, 0]
                }
                _ => [u64::MAX, 0, 0],
            });
        }
        Self { edition, service, firme: Mutex::new(Firme::new()) }
    }

    /// What the monitor makes of the version.
    pub(crate) fn interface(&self) -> El3Interface {
        let Some(interface) = el3::interface(self.edition.version()) else {
            unreachable!("the monitor speaks all of them")
        };
        interface
    }

    /// What reaches the Host of the monitor's answer to a call.
    pub(crate) fn reply(&self, call: &[u64; 8], answer: &[u64; 8]) -> [u64; 8] {
        let results = self.edition.results();
        core::array::from_fn(|number| if number < results { answer[number] } else { call[number] })
    }
}

impl FakeCpu<'_> {
    /// A call to EL3, which counts; another CPU may go first.
    fn calls_el3(&self) {
        self.machine.pause();
        self.machine.counters.el3_calls.fetch_add(1, Ordering::Relaxed);
    }

    fn set_pas_of(&self, pa: u64, to: machine::Pas) -> Result<(), El3Error> {
        let leaves = to == machine::Pas::NonSecure;
        let granule = self.machine.asked(pa, leaves)?;
        let (from, to) =
            if leaves { (Pas::Realm, Pas::NonSecure) } else { (Pas::NonSecure, Pas::Realm) };
        if granule.pas() != from {
            return Err(El3Error(BAD_PAS));
        }
        if leaves {
            self.check_left(pa, granule);
        }
        self.machine.note(pa);
        granule.set_pas(to);
        Ok(())
    }

    /// A call of FIRME by the monitor.
    fn firme_call(&self, [x0, x1, x2, x3]: [u64; 4]) -> [u64; 3] {
        self.calls_el3();
        let Firmware { edition, firme, .. } = &self.machine.firmware;
        let mut refusal = None;
        let mut change = |pa: u64, target: u64| {
            let realm = target == firme::REALM;
            let to = if realm { machine::Pas::Realm } else { machine::Pas::NonSecure };
            self.set_pas_of(pa, to).map_err(|El3Error(code)| {
                refusal = Some(code);
                Status::ordered(code)
            })
        };
        let answer = match x0 {
            firme::GPI_SET => lock(firme).set(*edition, [x1, x2, x3], &mut change),
            firme::GPI_OP_CONTINUE => lock(firme).go_on_with(*edition, x1, &mut change),
            _ => unreachable!("{x0:#x} changes no granules"),
        };
        if let Some(code) = refusal
            && answer.status == Status::Success
        {
            self.machine.refuse_again(code);
        }
        answer.registers()
    }

    /// What must be true of a granule that goes back to the Host.
    fn check_left(&self, pa: u64, granule: &Granule) {
        if granule.is_mapped() {
            self.machine.violation(format!("{pa:#x} given back while a CPU has it mapped"));
        }
        if !granule.is_zero() {
            self.machine.violation(format!("{pa:#x} given back to the Host without a wipe"));
        }
        if let Some(user) = lock(&self.machine.tlb).user_of(pa) {
            self.machine.violation(format!("{pa:#x} given back to the Host while {user}"));
        }
    }
}

impl RootWorld for FakeCpu<'_> {
    fn set_pas(&self, first: GranuleAddr, count: u64, to: machine::Pas) -> Result<u64, El3Error> {
        let service = &self.machine.firmware.service;
        if service.is_there() {
            let call = |registers| self.firme_call(registers);
            return service.set_pas(call, || self.interrupt_pending(), first, count, to);
        }
        let mut done = 0;
        while done < count {
            self.calls_el3();
            match self.set_pas_of(first.as_u64() + done * GRANULE_SIZE, to) {
                Ok(()) => done += 1,
                Err(refusal) if done == 0 => return Err(refusal),
                Err(_) => break,
            }
            if done < count && self.interrupt_pending() {
                break;
            }
        }
        Ok(done)
    }
}
