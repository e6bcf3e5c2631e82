//! Every scenario on the fake machine, as a test of its own.
#![allow(clippy::unwrap_used, reason = "a test program")]

use std::sync::Arc;

use cairn_tests::machine::config::Profile;
use cairn_tests::need::{Backend, Need};
use cairn_tests::outcome::Failure;
use cairn_tests::{conditions, harness, scenarios};
use libtest_mimic::{Arguments, Trial};

fn main() {
    // A panic inside the monitor is a violation, reported by the scenario with its events.
    let arguments = Arguments::from_args();
    if arguments.filter.is_none() {
        std::panic::set_hook(Box::new(|_| {}));
    }
    let registry = scenarios::all();
    let names: Vec<String> =
        registry.scenarios.iter().map(|scenario| scenario.name.clone()).collect();
    let mut trials = vec![Trial::test("conditions/every_condition_has_a_scenario", move || {
        let mut sorted = names.clone();
        sorted.sort();
        sorted.dedup();
        if sorted.len() != names.len() {
            return Err("two scenarios have the same name".into());
        }
        match conditions::uncovered(&names).as_slice() {
            [] => Ok(()),
            missing => Err(format!("without a scenario: {missing:?}").into()),
        }
    })];
    trials.push(Trial::test("machines/a_scenario_says_what_the_cpu_lacks", || {
        lacks().map_err(Into::into)
    }));
    for scenario in registry.scenarios {
        let scenario = Arc::new(scenario);
        if scenario.missing_on(Backend::Fake).is_some() {
            continue;
        }
        // Minutes without optimisation: `--include-ignored`.
        let slow = scenario.cpu == scenarios::Cpu::Large;
        let trial = Trial::test(scenario.name.clone(), move || {
            // The simulated CPU has everything: here a scenario that finds nothing to do is a
            // defect too.
            harness::run(&scenario).map_err(|failure| failure.to_string().into())
        });
        trials.push(trial.with_ignored_flag(slow));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// Scenarios about what a CPU lacks do not pass there.
fn lacks() -> Result<(), String> {
    let (none, small) = (Profile::Plain, Profile::NoCounters);
    let expected = [
        ("rec_run/sve/each_length", none, Some(Need::Sve)),
        ("rec_run/sve/starts_empty_and_is_kept", small, Some(Need::Sve)),
        ("rec_run/sve/is_kept_while_the_monitor_hashes", none, Some(Need::Sve)),
        ("rec_run/sve/simd_is_a_part_of_it", none, Some(Need::Sve)),
        ("rec_run/sve/host_in_streaming_mode", none, Some(Need::Sve)),
        ("rec_run/simd/host_in_streaming_mode", small, Some(Need::Streaming)),
        ("rec_aux_count/success/sve", small, Some(Need::Sve)),
        ("rec_run/pmu/has_the_counters_it_was_given", none, Some(Need::Pmu)),
        ("rec_run/pmu/has_the_counters_it_was_given", small, None),
        ("rec_run/pmu/counts_and_is_kept", none, Some(Need::Pmu)),
        ("rec_run/pmu/counts_and_is_kept", small, Some(Need::EventCounter)),
        ("rec_exit/pmu_overflow", small, Some(Need::EventCounter)),
        ("realm_create/params_supp/sve_vl_above", small, None),
        ("realm_create/params_supp/pmu_num_ctrs_above", none, None),
        ("realm_create/params_supp/pmu_num_ctrs_above", small, None),
    ];
    let all: Vec<_> = scenarios::all().scenarios.into_iter().map(Arc::new).collect();
    for (name, profile, need) in expected {
        let Some(scenario) = all.iter().find(|scenario| scenario.name == name) else {
            return Err(format!("no scenario {name}"));
        };
        let outcome = harness::run_on(profile, scenario);
        if outcome != need.map_or(Ok(()), |need| Err(Failure::Missing(need))) {
            return Err(format!("{name} on {profile:?}: {outcome:?}"));
        }
    }
    Ok(())
}
