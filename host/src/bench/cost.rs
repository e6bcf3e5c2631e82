//! What calls of the host cost: instructions, and who executes them.

use super::Timed;
use core::ops::AddAssign;

/// What calls have cost together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// Instructions of EL3 and of the monitor.
    pub instructions: u64,
    /// Calls of the host.
    pub smcs: u64,
    /// EL3's part, if EL3 tells.
    pub el3: Option<El3>,
}

/// What EL3 has spent for a CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct El3 {
    /// Instructions, those of the changes between the worlds among them.
    pub instructions: u64,
    /// Services that the monitor has asked for.
    pub services: u64,
}

impl Cost {
    /// One call of the host, before EL3 is asked for its part.
    pub(super) const fn one(instructions: u64) -> Self {
        Self { instructions, smcs: 1, el3: None }
    }

    /// The monitor's part, if EL3 tells its own.
    pub(super) fn own(self) -> Option<u64> {
        self.el3.map(|el3| self.instructions.saturating_sub(el3.instructions))
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        // Nothing yet: EL3's part is known if it is known of all that follows.
        let both = |sum: El3, more: El3| El3 {
            instructions: sum.instructions + more.instructions,
            services: sum.services + more.services,
        };
        self.el3 = match (self.el3, other.el3) {
            _ if self.smcs == 0 => other.el3,
            (Some(sum), Some(more)) => Some(both(sum, more)),
            (None, _) | (_, None) => None,
        };
        self.instructions += other.instructions;
        self.smcs += other.smcs;
    }
}

impl core::iter::Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), |mut sum, cost| {
            sum += cost;
            sum
        })
    }
}

/// The EL3 of the tests, which tells what it has spent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meter {
    /// What a question costs: the answer is without the question itself, which the next one has.
    question: u64,
}

/// The question: see `cairn_el3::call`.
const SPENT: u64 = 0xc200_0006;

impl Meter {
    /// Asks EL3 whether it tells. None that is built for anything but tests does.
    pub(super) fn find(timed: &dyn Timed) -> Option<Self> {
        let first = spent(timed)?;
        let second = spent(timed)?;
        Some(Self { question: second.instructions - first.instructions })
    }

    /// Does something, and gives EL3's part of it.
    pub(super) fn of<T>(self, timed: &dyn Timed, act: impl FnOnce() -> T) -> (T, Option<El3>) {
        let before = spent(timed);
        let result = act();
        let part = before.zip(spent(timed)).map(|(before, after)| El3 {
            instructions: after.instructions - before.instructions - self.question,
            services: after.services - before.services,
        });
        (result, part)
    }
}

/// What EL3 has spent for this CPU until now.
fn spent(timed: &dyn Timed) -> Option<El3> {
    let ([x0, instructions, services, ..], _) = timed.timed_smc([SPENT, 0, 0, 0, 0, 0, 0]);
    (x0 == 0).then_some(El3 { instructions, services })
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicU64, Ordering};

    /// EL3 takes 10 for a question, and 300 and two services for anything else.
    struct Fake {
        ticks: AtomicU64,
        services: AtomicU64,
        tells: bool,
    }

    impl Timed for Fake {
        fn timed_smc(&self, [x0, ..]: [u64; 7]) -> ([u64; 5], u64) {
            if x0 == SPENT && self.tells {
                let ticks = self.ticks.fetch_add(10, Ordering::Relaxed);
                return ([0, ticks, self.services.load(Ordering::Relaxed), 0, 0], 40);
            }
            self.ticks.fetch_add(300, Ordering::Relaxed);
            self.services.fetch_add(2, Ordering::Relaxed);
            ([if x0 == SPENT { u64::MAX } else { 0 }, 0, 0, 0, 0], 1000)
        }

        fn timed_copy(&self, _: u64, _: u64) -> u64 {
            unreachable!("nothing of the costs of calls")
        }

        fn end(&self) -> ! {
            unreachable!("nothing ends here")
        }
    }

    fn fake(tells: bool) -> Fake {
        Fake { ticks: AtomicU64::new(7), services: AtomicU64::new(0), tells }
    }

    #[test]
    fn the_question_is_no_part_of_the_answer() {
        let fake = fake(true);
        let meter = Meter::find(&fake).unwrap();
        let (((_, ticks), el3), nothing) = {
            let measured = meter.of(&fake, || fake.timed_smc([1; 7]));
            (measured, meter.of(&fake, || ()).1)
        };
        let cost = Cost { el3, ..Cost::one(ticks) };
        assert_eq!(el3, Some(El3 { instructions: 300, services: 2 }));
        assert_eq!((cost.own(), nothing), (Some(700), Some(El3::default())));
    }

    #[test]
    fn an_el3_that_does_not_tell_is_not_asked() {
        assert!(Meter::find(&fake(false)).is_none());
    }

    #[test]
    fn a_sum_knows_el3s_part_if_each_of_its_parts_does() {
        let el3 = Some(El3 { instructions: 4, services: 1 });
        let known = Cost { el3, ..Cost::one(10) };
        let sum: Cost = [known, known].into_iter().sum();
        assert_eq!((sum.instructions, sum.smcs, sum.own()), (20, 2, Some(12)));
        let sum: Cost = [known, Cost::one(10)].into_iter().sum();
        assert_eq!((sum.instructions, sum.own()), (20, None));
        let sum: Cost = [Cost::one(10), known].into_iter().sum();
        assert_eq!(sum.own(), None);
    }
}
