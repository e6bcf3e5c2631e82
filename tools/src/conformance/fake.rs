//! The scenarios on the simulated machine, several at a time.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use cairn_el3::edition::Edition;
use cairn_el3::firme::Runs;
use cairn_tests::harness;
use cairn_tests::outcome::Failure;

use super::Bar;
use super::outcome::{Outcome, Results};
use crate::cli::SuiteInterface;
use crate::signals;

/// Runs everything that waits.
pub(super) fn run(results: &Results, rmi: SuiteInterface, jobs: usize, bar: &Bar) {
    // A panic inside the monitor is a violation that the scenario reports.
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let queue = Mutex::new(VecDeque::from(results.queue()));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while signals::check().is_ok() {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(scenario) = next else { return };
                    let started = Instant::now();
                    let outcome = match rmi {
                        SuiteInterface::V1_0 => harness::run(&scenario),
                        SuiteInterface::V2_0 => {
                            harness::run_over(Edition::V2_ALL, Runs::Whole, &scenario)
                        }
                    };
                    let outcome = match outcome {
                        Ok(()) => Outcome::Passed,
                        Err(Failure::Wrong(why)) => Outcome::Failed(why),
                        Err(missing @ Failure::Missing(_)) => {
                            results.judge(Outcome::Missing(missing.to_string()))
                        }
                    };
                    let done = results.ended(&scenario.name, outcome.clone(), started.elapsed());
                    bar.ended(&scenario.name, &outcome, done);
                }
            });
        }
    });
    // The tool's own panics are shown again.
    std::panic::set_hook(usual);
}
