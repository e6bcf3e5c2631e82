//! Granules: their states, the checks on granule arguments, delegation.
//!
//! Source: RMM specification (Arm DEN0137) 1.0, A2.2, RMI_GRANULE_DELEGATE, RMI_GRANULE_UNDELEGATE.

use crate::v1_0::verdict::{Conditions, INPUT, Verdict};
use crate::v1_0::{Model, conditions};

pub use crate::state::granule::State;

/// Names of the checks on an argument: alignment, bound, and state or physical address space.
pub(crate) type Names = [&'static str; 3];

pub(crate) const RD: Names = ["rd_align", "rd_bound", "rd_state"];
pub(crate) const REC: Names = ["rec_align", "rec_bound", "rec_gran_state"];
pub(crate) const PARAMS: Names = ["params_align", "params_bound", "params_pas"];

impl Model {
    /// State of the granule at `pa`.
    pub fn state(&self, pa: u64) -> State {
        self.granules.get(&pa).copied().unwrap_or(State::Undelegated)
    }

    pub(crate) fn set_state(&mut self, pa: u64, state: State) {
        if state == State::Undelegated {
            self.granules.remove(&pa);
        } else {
            self.granules.insert(pa, state);
        }
    }

    /// An object ends: its granule is DELEGATED, and nothing is left of its contents.
    pub(crate) fn free(&mut self, pa: u64) {
        self.set_state(pa, State::Delegated);
        self.memory.forget(pa);
    }

    /// The checks on a granule argument; whether it passes.
    pub(crate) fn check_granule(
        &self,
        c: &mut Conditions,
        [align, bound, state]: Names,
        pa: u64,
        wanted: State,
    ) -> bool {
        let aligned = pa.is_multiple_of(4096);
        let delegable = self.platform.is_delegable(pa);
        let in_state = self.state(pa) == wanted;
        c.fails(align, !aligned, INPUT);
        c.fails(bound, !delegable, INPUT);
        c.fails(state, !in_state, INPUT);
        aligned && delegable && in_state
    }

    /// The checks on a pointer to a page of the Host's of which the command reads the first `words`
    /// and perhaps more. The page.
    pub(crate) fn read_host(
        &self,
        c: &mut Conditions,
        [align, bound, pas]: Names,
        pa: u64,
        words: u64,
    ) -> Option<Box<[u64; 512]>> {
        let aligned = pa.is_multiple_of(4096);
        let delegable = self.platform.is_delegable(pa);
        c.fails(align, !aligned, INPUT);
        c.fails(bound, !delegable, INPUT);
        if !aligned || !delegable {
            return None;
        }
        let faults = !self.is_host_page(pa) || self.host_fault.is_some_and(|nth| nth < words);
        c.fails(pas, faults, INPUT);
        c.may_fail(pas, !faults && self.host_fault.is_some(), INPUT);
        if faults { None } else { self.memory.page(pa) }
    }

    pub(crate) fn granule_delegate(&mut self, addr: u64) -> Verdict {
        const NAMES: Names = ["gran_align", "gran_bound", "gran_state"];
        let mut c = conditions();
        if self.check_granule(&mut c, NAMES, addr, State::Undelegated) {
            let refused = core::mem::take(&mut self.el3_refuses);
            c.fails("gran_gpt", refused || !self.platform.is_host(addr), INPUT);
        }
        c.or_succeeds(&[], [0; 4], move |model| model.free(addr))
    }

    pub(crate) fn granule_undelegate(&mut self, addr: u64) -> Verdict {
        const NAMES: Names = ["gran_align", "gran_bound", "gran_state"];
        let mut c = conditions();
        if self.check_granule(&mut c, NAMES, addr, State::Delegated) {
            // Not the specification's: what a monitor must answer when EL3 does not take the
            // granule back.
            let refused = core::mem::take(&mut self.el3_refuses);
            c.fails("refused", refused, INPUT);
        }
        c.or_succeeds(&[], [0; 4], move |model| {
            model.set_state(addr, State::Undelegated);
            model.memory.forget(addr);
        })
    }
}
