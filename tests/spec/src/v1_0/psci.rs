//! RMI_PSCI_COMPLETE.
//!
//! Source: RMM specification (Arm DEN0137) 1.0, B3.27, RMI_PSCI_COMPLETE.

use crate::v1_0::granule::{Names, State};
use crate::v1_0::rec::{Pending, PsciCall};
use crate::v1_0::verdict::{INPUT, Verdict};
use crate::v1_0::{Model, conditions};

const SUCCESS: u64 = 0;
const DENIED: u64 = (-3_i64).cast_unsigned();
const ALREADY_ON: u64 = (-4_i64).cast_unsigned();
const ON: u64 = 0;
const OFF: u64 = 1;

impl Model {
    pub(crate) fn psci_complete(&self, calling: u64, target: u64, status: u64) -> Verdict {
        const CALLING: Names = ["calling_align", "calling_bound", "calling_state"];
        const TARGET: Names = ["target_align", "target_bound", "target_state"];
        let mut c = conditions();
        c.fails("alias", calling == target, INPUT);
        let has_calling = self.check_granule(&mut c, CALLING, calling, State::Rec);
        let has_target = self.check_granule(&mut c, TARGET, target, State::Rec);
        if !has_calling || !has_target {
            return c.failure(&[]);
        }
        let (caller, other) = (&self.recs[&calling], &self.recs[&target]);
        c.fails("owner", caller.owner != other.owner, INPUT);
        let call = match caller.pending {
            Pending::Psci(call) if !caller.is_running => call,
            _ => {
                c.fails("pending", true, INPUT);
                return c.failure(&[]);
            }
        };
        c.fails("target", other.index != call.target(), INPUT);
        let on = other.is_runnable || other.is_running;
        let permitted = match (call, status) {
            (_, SUCCESS) => true,
            (PsciCall::CpuOn(..), DENIED) => !on,
            _ => false,
        };
        c.fails("status", !permitted, INPUT);
        let result = match call {
            PsciCall::AffinityInfo(_) if on => ON,
            PsciCall::AffinityInfo(_) => OFF,
            PsciCall::CpuOn(..) if status == DENIED => DENIED,
            PsciCall::CpuOn(..) if on => ALREADY_ON,
            PsciCall::CpuOn(..) => SUCCESS,
        };
        c.or_succeeds(&[], [0; 4], move |model| {
            if let Some(caller) = model.recs.get_mut(&calling) {
                caller.pending = Pending::Nothing;
                caller.gprs[..4].copy_from_slice(&[Some(result), Some(0), Some(0), Some(0)]);
            }
            if let (PsciCall::CpuOn(_, entry, context), SUCCESS, Some(target)) =
                (call, result, model.recs.get_mut(&target))
            {
                target.gprs = [Some(0); 31];
                target.gprs[0] = Some(context);
                target.is_runnable = true;
                target.pc = entry;
            }
        })
    }
}
