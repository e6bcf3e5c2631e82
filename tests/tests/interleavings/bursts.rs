//! The scheduler: a CPU goes on for a while, then another one does.
//!
//! A race needs one CPU to be stopped at the right place and another to do all of its command
//! there. Where each step is a toss of a coin that hardly ever happens, so the mean length of a
//! burst is drawn for each schedule.

use shuttle::scheduler::{DataSource, RandomDataSource, Schedule, Scheduler, Task, TaskId};

/// Mean lengths of bursts in steps: a command has about a hundred.
const MEANS: [u64; 4] = [2, 8, 32, 128];

/// See the module.
#[derive(Debug)]
pub(crate) struct Bursts {
    left: usize,
    source: RandomDataSource,
    dice: u64,
    mean: u64,
}

impl Bursts {
    /// For this many schedules; the same ones for the same `seed`.
    pub(crate) fn new(schedules: usize, seed: u64) -> Self {
        Self { left: schedules, source: RandomDataSource::initialize(seed), dice: 1, mean: 1 }
    }

    fn roll(&mut self, below: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice >> 16) % below
    }
}

impl Scheduler for Bursts {
    fn new_execution(&mut self) -> Option<Schedule> {
        self.left = self.left.checked_sub(1)?;
        let seed = self.source.reinitialize();
        self.dice = seed | 1;
        let turn = usize::try_from(self.roll(MEANS.len() as u64)).unwrap();
        self.mean = MEANS[turn];
        Some(Schedule::new(seed))
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        let stays = current.filter(|id| runnable.iter().any(|task| task.id() == *id));
        let others: Vec<TaskId> =
            runnable.iter().map(|task| task.id()).filter(|id| Some(*id) != stays).collect();
        // Whoever waits for a lock lets the others go on.
        let goes_on = !is_yielding && self.roll(self.mean) != 0;
        match stays {
            Some(id) if others.is_empty() || goes_on => Some(id),
            _ => {
                let turn = usize::try_from(self.roll(others.len() as u64)).unwrap();
                Some(others[turn])
            }
        }
    }

    fn next_u64(&mut self) -> u64 {
        self.source.next_u64()
    }
}
