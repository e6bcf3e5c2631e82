//! The Realm's EL1 timers, whose interrupts only the Host can deliver.
//!
//! A timer that the Host knows to be asserted is kept from the physical GIC, or the Realm could
//! never run to serve it. A change of a timer's output that the Host does not know of ends the run.

use machine::Vcpu;

const ENABLE: u64 = 1 << 0;
const IMASK: u64 = 1 << 1;
const ISTATUS: u64 = 1 << 2;

/// Whether a timer with this control register asserts its output.
const fn is_asserted(control: u64) -> bool {
    control & (ENABLE | IMASK | ISTATUS) == ENABLE | ISTATUS
}

/// Which of the two timers assert their outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outputs(u8);

impl Outputs {
    const PHYSICAL: u8 = 1;
    const VIRTUAL: u8 = 2;
    /// Different from whatever is read.
    const UNKNOWN: Self = Self(u8::MAX);

    #[inline(always)]
    fn of(physical: u64, virtual_: u64) -> Self {
        Self(u8::from(is_asserted(physical)) | u8::from(is_asserted(virtual_)) << 1)
    }
}

/// The timers during one run.
#[derive(Debug)]
pub struct Timers {
    /// The outputs as the Host was last told.
    reported: Outputs,
    /// Which outputs are masked now, once it is known.
    masked: Outputs,
}

impl Timers {
    /// The timers of a REC that has just been loaded, whose Host was last told these values of
    /// CNTP_CTL and CNTV_CTL.
    pub fn new(reported: [u64; 2]) -> Self {
        let [physical, virtual_] = reported;
        Self { reported: Outputs::of(physical, virtual_), masked: Outputs::UNKNOWN }
    }

    /// Looks at the timers before the Realm runs: masks what is asserted, and returns whether the
    /// Host has to be told.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, A6.2.
    #[inline(always)]
    pub fn changed(&mut self, machine: &impl Vcpu) -> bool {
        let (physical, virtual_) = machine.timer_controls();
        let asserted = Outputs::of(physical, virtual_);
        if self.masked != asserted {
            let Outputs(bits) = asserted;
            machine.mask_timers(bits & Outputs::PHYSICAL != 0, bits & Outputs::VIRTUAL != 0);
            self.masked = asserted;
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
