//! EL3: keeps the granule protection table, and can be told to refuse.

use core::sync::atomic::Ordering;
use std::collections::HashMap;

use granule::GranuleAddr;
use machine::{El3Error, GRANULE_SIZE, RootWorld, Vcpu};

use super::dram::{Granule, Pas};
use super::{FakeCpu, FakeMachine, lock};

/// E_RMM_BAD_ADDR.
const BAD_ADDR: i64 = -2;
/// E_RMM_BAD_PAS.
const BAD_PAS: i64 = -3;

/// What EL3 is told to do.
#[derive(Debug, Default)]
pub(crate) struct El3 {
    calls: u64,
    refuse_call: Option<(u64, i64)>,
    refuse_undelegation: HashMap<u64, i64>,
}

impl FakeMachine {
    /// EL3 answers `code` to its `nth` call from now (0 is the next), and does nothing.
    pub fn refuse_el3_call(&self, nth: u64, code: i64) {
        let mut el3 = lock(&self.el3);
        el3.refuse_call = Some((el3.calls + nth, code));
    }

    /// EL3 answers `code` whenever it is asked to take back the granule at `pa`; `None`: no more.
    pub fn refuse_undelegation(&self, pa: u64, code: Option<i64>) {
        let mut el3 = lock(&self.el3);
        match code {
            Some(code) => el3.refuse_undelegation.insert(pa, code),
            None => el3.refuse_undelegation.remove(&pa),
        };
    }

    /// One call to EL3: the granule, or its refusal.
    fn el3_call(&self, pa: u64, undelegation: bool) -> Result<&Granule, El3Error> {
        self.pause();
        self.counters.el3_calls.fetch_add(1, Ordering::Relaxed);
        let mut el3 = lock(&self.el3);
        let number = el3.calls;
        el3.calls += 1;
        if let Some((nth, code)) = el3.refuse_call
            && nth == number
        {
            return Err(El3Error(code));
        }
        if undelegation && let Some(code) = el3.refuse_undelegation.get(&pa) {
            return Err(El3Error(*code));
        }
        self.dram.at(pa).ok_or(El3Error(BAD_ADDR))
    }
}

impl FakeCpu<'_> {
    fn set_pas_of(&self, pa: u64, to: machine::Pas) -> Result<(), El3Error> {
        let leaves = to == machine::Pas::NonSecure;
        let granule = self.machine.el3_call(pa, leaves)?;
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
        let mut done = 0;
        while done < count {
            match self.set_pas_of(first.as_u64() + done * GRANULE_SIZE, to) {
                Ok(()) => done += 1,
                Err(refusal) if done == 0 => return Err(refusal),
                Err(_) => break,
            }
            if self.interrupt_pending() {
                break;
            }
        }
        Ok(done)
    }
}
