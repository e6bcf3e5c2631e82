//! Every scenario of RMI 2.0 on the fake machine, as a test of its own.
#![allow(clippy::unwrap_used, reason = "a test program")]

use std::sync::Arc;

use cairn_el3::edition::Edition;
use cairn_el3::firme::Runs;
use cairn_tests::need::Backend;
use cairn_tests::{harness, scenarios, v2_0};
use libtest_mimic::{Arguments, Trial};

fn main() {
    // A panic inside the monitor is a violation, reported by the scenario with its events.
    let arguments = Arguments::from_args();
    if arguments.filter.is_none() {
        std::panic::set_hook(Box::new(|_| {}));
    }
    let registry = v2_0::all();
    let names: Vec<String> =
        registry.scenarios.iter().map(|scenario| scenario.name.clone()).collect();
    let mut trials = vec![Trial::test("conditions/every_condition_has_a_scenario", move || {
        let mut sorted = names.clone();
        sorted.sort();
        sorted.dedup();
        if sorted.len() != names.len() {
            return Err("two scenarios have the same name".into());
        }
        Ok(())
    })];
    for scenario in registry.scenarios {
        let scenario = Arc::new(scenario);
        if scenario.missing_on(Backend::Fake).is_some() {
            continue;
        }
        // Minutes without optimisation: `--include-ignored`.
        let slow = scenario.cpu == scenarios::Cpu::Large;
        let trial = Trial::test(scenario.name.clone(), move || {
            harness::run_over(Edition::V2_ALL, Runs::Whole, &scenario)
                .map_err(|failure| failure.to_string().into())
        });
        trials.push(trial.with_ignored_flag(slow));
    }
    libtest_mimic::run(&arguments, trials).exit();
}
