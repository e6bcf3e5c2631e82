//! PSCI_COMPLETE with two arguments.
//!
//! Source: section 11.1 of our notes on RMI 2.0.

use super::verdict::{Conditions, Names, Outcome};
use super::words::{BLOCKED, INPUT};
use super::{Model, State, Verdict, choices};

const SUCCESS: u64 = 0;
const DENIED: u64 = (-3_i64).cast_unsigned();

const CALLING: Names = ["calling_align", "calling_bound", "calling_state"];

impl Model {
    /// What the caller sees in its X0 is not visible to the Host, so only the end of its request is
    /// followed.
    pub(crate) fn psci_complete(&self, calling: u64, status: u64) -> Verdict {
        let mut c = Conditions::new();
        let has_calling = self.check_granule(&mut c, CALLING, calling, State::Rec);
        c.fails("status", status != SUCCESS && status != DENIED, INPUT);
        if !has_calling {
            return c.failure(&[]);
        }
        let caller = &self.recs[&calling];
        let Some(target) = caller.cpu_on.filter(|_| !caller.is_running) else {
            c.fails("pending", true, INPUT);
            return c.failure(&[]);
        };
        let mut recs = self.recs.iter();
        let found = recs.find(|(_, rec)| rec.owner == caller.owner && rec.mpidr == target);
        let Some((&target, other)) = found else {
            // The caller is told that there is no such REC.
            c.fails("target", !choices::GONE_TARGET_SUCCEEDS, INPUT);
            return c.or_succeeds(&[], [0; 4], move |model| model.end_cpu_on(calling));
        };
        // It is being destroyed: still there, or not any more.
        let going = self.state(target) == State::Intermediate;
        c.may_fail("target_state", going, BLOCKED);
        let on = other.is_runnable || other.is_running;
        if status == DENIED && on && !c.any() {
            if going {
                // Also the answer for a REC that is gone.
                return Verdict::succeeds([0; 4], move |model| model.end_cpu_on(calling))
                    .or(Outcome::of("status", INPUT))
                    .or(Outcome::of("target_state", BLOCKED));
            }
            // OQ-20: the request is over although the call fails.
            return Verdict(vec![Outcome::of("status", INPUT).effect(move |model, _, _| {
                if choices::PSCI_DENIED_CONSUMES {
                    model.end_cpu_on(calling);
                }
                Ok(())
            })]);
        }
        c.or_succeeds(&[], [0; 4], move |model| {
            model.end_cpu_on(calling);
            // A target that is on stays as it is; the caller sees ALREADY_ON.
            if let (SUCCESS, false, Some(target)) = (status, going, model.recs.get_mut(&target)) {
                target.is_runnable = true;
            }
        })
    }

    fn end_cpu_on(&mut self, calling: u64) {
        if let Some(caller) = self.recs.get_mut(&calling) {
            caller.cpu_on = None;
        }
    }
}
