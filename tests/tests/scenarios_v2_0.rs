//! Every scenario of RMI 2.0 on the fake machine, as a test of its own.

use std::sync::Arc;

use cairn_tests::need::Backend;
use cairn_tests::{harness, v2_0};
use libtest_mimic::{Arguments, Trial};

fn main() {
    // A panic inside the monitor is a violation, reported by the scenario with its events.
    let arguments = Arguments::from_args();
    if arguments.filter.is_none() {
        std::panic::set_hook(Box::new(|_| {}));
    }
    let scenarios = v2_0::all().scenarios.into_iter().map(Arc::new);
    let here = scenarios.filter(|scenario| scenario.missing_on(Backend::Fake).is_none());
    let trials = here
        .map(|scenario| {
            Trial::test(scenario.name.clone(), move || {
                harness::run(&scenario).map_err(|failure| failure.to_string().into())
            })
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit();
}
