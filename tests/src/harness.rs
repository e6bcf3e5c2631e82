//! Runs scenarios on the fake machine.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use cairn_el3::edition::Edition;
use cairn_el3::firme::Runs;

use crate::fake_port::FakePort;
use crate::machine::FakeMachine;
use crate::machine::config::Profile;
use crate::outcome::{Failure, Outcome};
use crate::scenarios::{Cpu, Ended, Scenario};

/// A scenario that takes longer waits for a lock that nobody gives back.
const TIMEOUT: Duration = Duration::from_secs(300);

impl From<Cpu> for Profile {
    fn from(cpu: Cpu) -> Self {
        match cpu {
            Cpu::Max => Self::Max,
            Cpu::Plain => Self::Plain,
            Cpu::Large => Self::Large,
            Cpu::Narrow => Self::Narrow,
        }
    }
}

/// Runs a scenario on a new fake machine: its own expectations, then what the machine has to say,
/// and at last that everything can be given back.
pub fn run(scenario: &Arc<Scenario>) -> Outcome {
    run_on(scenario.cpu.into(), scenario)
}

/// The same on a machine of another kind.
pub fn run_on(profile: Profile, scenario: &Arc<Scenario>) -> Outcome {
    run_in(move || FakeMachine::new(profile), scenario)
}

/// The same over an EL3 that speaks this version of the interface, and takes runs of granules so.
pub fn run_over(edition: Edition, runs: Runs, scenario: &Arc<Scenario>) -> Outcome {
    let profile = scenario.cpu.into();
    let machine = move || {
        let machine = FakeMachine::over(profile, edition);
        machine.take_runs(runs);
        machine
    };
    run_in(machine, scenario)
}

fn run_in(
    machine: impl FnOnce() -> FakeMachine + Send + 'static,
    scenario: &Arc<Scenario>,
) -> Outcome {
    let (done, result) = channel();
    let running = Arc::clone(scenario);
    let thread = thread::Builder::new().name(scenario.name.clone());
    let spawned = thread.spawn(move || {
        // The other end is gone only after a timeout.
        let _ = done.send(run_here(&machine(), &running));
    });
    let Ok(thread) = spawned else { return Err(Failure::Wrong("no thread".into())) };
    match result.recv_timeout(TIMEOUT) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => {
            Err(Failure::Wrong("hung: a lock is waited for that is never free".into()))
        }
        Err(RecvTimeoutError::Disconnected) => {
            let panic = thread.join().err();
            let text = panic.as_ref().and_then(|panic| panic.downcast_ref::<String>());
            Err(Failure::Wrong(format!("the scenario itself panicked: {text:?}")))
        }
    }
}

fn run_here(machine: &FakeMachine, scenario: &Scenario) -> Outcome {
    let mut port = FakePort::new(machine);
    let Ended { outcome, closing } = scenario.carry_out(&mut port);
    let mut problems = Vec::new();
    if let Err(Failure::Wrong(why)) = &outcome {
        problems.push(why.clone());
    }
    if problems.is_empty()
        && let Err(failure) = closing
    {
        problems.push(format!("giving everything back: {failure}"));
    }
    machine.quiesce();
    problems.extend(machine.take_violations());
    if problems.is_empty() {
        let [undelegated, rest @ ..] = machine.census();
        if rest.iter().any(|&count| count != 0) {
            problems.push(format!("granules not given back: {undelegated} {rest:?}"));
        }
    }
    if problems.is_empty() {
        // All of memory is the Host's again: nothing can be lost.
        let (lost, _) = machine.leaked();
        if lost != 0 {
            problems.push(format!("the leak ledger still names {lost} granules"));
        }
    }
    if problems.is_empty() {
        return outcome;
    }
    let events = machine.take_events();
    let last = events.iter().rev().take(3).rev().cloned().collect::<Vec<_>>();
    let problems = problems.join("\n  ");
    Err(Failure::Wrong(format!("{problems}\n  last events: {}", last.join("\n    "))))
}
