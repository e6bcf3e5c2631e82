//! The Realm's EL1 timers, whose interrupts only the Host can deliver.
//!
//! A timer that the Host knows to be asserted is kept from the physical GIC, or the Realm could never run to serve it.
//! A change of a timer's output that the Host does not know of ends the run.

use granule::machine::Vcpu;

const ENABLE: u64 = 1 << 0;
const IMASK: u64 = 1 << 1;
const ISTATUS: u64 = 1 << 2;

/// Whether a timer with this control register asserts its output.
const fn is_asserted(control: u64) -> bool {
    control & (ENABLE | IMASK | ISTATUS) == ENABLE | ISTATUS
}

/// The timers during one run.
#[derive(Debug)]
pub struct Timers {
    /// Physical and virtual output as the Host was last told.
    reported: (bool, bool),
    /// Which outputs are masked now, once it is known.
    masked: Option<(bool, bool)>,
}

impl Timers {
    /// The timers of a REC whose Host was last told these values of CNTP_CTL and CNTV_CTL.
    pub fn new(reported: [u64; 2]) -> Self {
        let [physical, virtual_] = reported;
        Self { reported: (is_asserted(physical), is_asserted(virtual_)), masked: None }
    }

    /// Looks at the timers before the Realm runs: masks what is asserted, and returns whether the Host has to be told.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, A6.2.
    pub fn changed(&mut self, machine: &impl Vcpu) -> bool {
        let (physical, virtual_) = machine.timer_controls();
        let asserted = (is_asserted(physical), is_asserted(virtual_));
        if self.masked != Some(asserted) {
            machine.mask_timers(asserted.0, asserted.1);
            self.masked = Some(asserted);
        }
        asserted != self.reported
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_needs_an_enabled_unmasked_timer_that_has_fired() {
        for control in 0..8 {
            assert_eq!(is_asserted(control), control == 5, "{control}");
        }
    }
}
