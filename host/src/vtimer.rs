//! The guest's two timers, as the host sees them at an exit.
//!
//! The Realm programs the timers itself and the monitor shows their state at each exit. The host
//! turns "enabled, not masked, condition met" into the level of a private interrupt, and knows
//! from the compare value when to wake up. The Realm's counter has no offset, so compare values
//! are ticks of the physical counter.

use crate::rmi::run::TimerState;

const ENABLE: u64 = 1 << 0;
const MASKED: u64 = 1 << 1;
const CONDITION: u64 = 1 << 2;

impl TimerState {
    fn can_fire(self) -> bool {
        self.ctl & (ENABLE | MASKED) == ENABLE
    }

    /// Level of the timer's interrupt at the time `now`.
    #[must_use]
    pub fn asserted(self, now: u64) -> bool {
        self.can_fire() && (self.ctl & CONDITION != 0 || now >= self.cval)
    }

    /// When the level will rise, if it is low and can rise.
    #[must_use]
    pub fn deadline(self, now: u64) -> Option<u64> {
        (self.can_fire() && !self.asserted(now)).then_some(self.cval)
    }
}

/// The timers of one REC at its last exit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timers {
    /// Virtual timer.
    pub virt: TimerState,
    /// Physical timer.
    pub phys: TimerState,
}

impl Timers {
    /// When the next level rises.
    #[must_use]
    pub fn deadline(self, now: u64) -> Option<u64> {
        [self.virt.deadline(now), self.phys.deadline(now)].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timer(ctl: u64, cval: u64) -> TimerState {
        TimerState { ctl, cval }
    }

    #[test]
    fn the_level_follows_enable_mask_and_time() {
        assert!(!timer(0, 10).asserted(20));
        assert!(timer(1, 10).asserted(10));
        assert!(!timer(1, 10).asserted(9));
        assert!(timer(5, 10).asserted(9));
        assert!(!timer(7, 10).asserted(20));
    }

    #[test]
    fn the_earliest_timer_that_can_still_rise_is_the_deadline() {
        let both = Timers { virt: timer(1, 30), phys: timer(1, 20) };
        assert_eq!(both.deadline(10), Some(20));
        assert_eq!(both.deadline(25), Some(30));
        assert_eq!(both.deadline(30), None);
        assert_eq!(Timers { virt: timer(3, 30), phys: timer(0, 20) }.deadline(0), None);
    }
}
