//! `cargo xtask conformance`: the scenarios against a monitor, and which conditions of the
//! specification they prove.
//!
//! | Module | Owns |
//! | --- | --- |
//! | `outcome` | what became of each scenario, and of each condition |
//! | `fake` | running on the simulated machine |
//! | `machine` | running on QEMU: a machine for a list of scenarios, started again when it goes wrong |
//! | `console` | what the machine says about the scenario that it runs |
//! | `table` | the summary for people |
//! | `files` | JUnit and JSON |
//! | `text` | what names are about, in the text of 1.0 or in the notes on 2.0 |

mod console;
mod fake;
mod files;
mod machine;
mod outcome;
mod table;
mod text;

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use cairn_tests::need::Backend as Kind;
use cairn_tests::scenarios::{self, Cpu, Scenario};
use cairn_tests::v2_0::{self, betas};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::{Backend, ConformanceOptions, Platform, SuiteInterface};
use crate::fault::{self, Verdict};
use crate::{paths, signals};
use outcome::{Outcome, Results};

/// Why a scenario does not run without `--long`.
const LONG: &str = "takes minutes: only with --long";

/// The `conformance` subcommand.
pub(crate) fn command(options: &ConformanceOptions) -> anyhow::Result<()> {
    // The payload numbers them in this order.
    let both = [scenarios::all().scenarios, v2_0::all().scenarios];
    let all: Vec<Arc<Scenario>> = both.into_iter().flatten().map(Arc::new).collect();
    let filter = options.filter.as_deref().unwrap_or_default();
    let is_v2 = options.rmi == SuiteInterface::V2_0;
    if !is_v2 && options.beta != betas::LATEST {
        bail!("--beta is about betas of RMI 2.0: it needs --rmi 2.0");
    }
    let wanted = |scenario: &Scenario| {
        scenario.name.starts_with(text::V2) == is_v2 && scenario.name.contains(filter)
    };
    let chosen: Vec<usize> = (0..).zip(&all).filter(|(_, s)| wanted(s)).map(|(n, _)| n).collect();
    if chosen.is_empty() {
        bail!("no scenario has that in its name; `cargo xtask conformance --list` shows all names");
    }
    let picked = chosen.iter().filter_map(|&number| all.get(number));
    if options.list {
        table::list(picked);
        return Ok(());
    }
    let kind = match options.backend {
        Backend::Fake if options.image.is_some() => {
            bail!("the simulated machine runs our own crates; an image needs --backend qemu")
        }
        Backend::Fake if options.platform != Platform::Qemu || options.model.is_given() => {
            bail!("the simulated machine is no board; --platform needs --backend qemu")
        }
        Backend::Fake => Kind::Fake,
        Backend::Qemu => Kind::Qemu,
    };
    paths::check_outputs(options.junit.as_deref(), options.json.as_deref())?;
    let started = Instant::now();
    let skip = |scenario: &Scenario| {
        scenario.missing_on(kind).or((scenario.cpu == Cpu::Large && !options.long).then_some(LONG))
    };
    // What the CPU of these machines has is known, and our own monitor offers all of it.
    let complete = options.image.is_none() && options.platform != Platform::Fvp;
    if let Some(reason) = none_runs(picked.clone(), skip) {
        bail!("none of these scenarios runs here: {reason}");
    }
    let results = Results::new(picked.cloned(), skip, complete);
    results.excuse(|scenario| {
        let change = betas::differs(&scenario.name, options.beta)?;
        Some(format!("beta {} is otherwise: {}", options.beta, change.before))
    });
    if options.model.print && options.backend == Backend::Qemu {
        return machine::print(options, &all, &results);
    }
    let bar = Bar::start(results.waiting(), options.backend);
    let ledgers = match options.backend {
        Backend::Fake => {
            fake::run(&results, options.rmi, jobs(options), &bar);
            signals::check()?;
            None
        }
        Backend::Qemu => Some(machine::run(options, &all, &results, jobs(options), &bar)?),
    };
    bar.done();
    let results = results.finish();
    let subject = subject(options);
    table::print(&results, kind, !filter.is_empty(), &subject, started.elapsed());
    if let Some(ledgers) = ledgers {
        table::print_ledgers(&ledgers);
    }
    let junit = options.junit.iter().map(|file| files::junit(&results, &subject, file));
    let json = options.json.iter().map(|file| files::json(&results, kind, &subject, file));
    fault::all(junit.chain(json).chain([verdict(&results, kind, !filter.is_empty())]))
}

/// Why no scenario runs, if none does.
fn none_runs<'a>(
    mut scenarios: impl Iterator<Item = &'a Arc<Scenario>>,
    skip: impl Fn(&Scenario) -> Option<&'static str>,
) -> Option<&'static str> {
    let first = skip(scenarios.next()?)?;
    scenarios.all(|scenario| skip(scenario).is_some()).then_some(first)
}

/// What was tested, in words.
fn subject(options: &ConformanceOptions) -> String {
    let what = monitor(options);
    match options.rmi {
        SuiteInterface::V1_0 => what,
        SuiteInterface::V2_0 => format!("{what}, as RMI 2.0-bet{}", options.beta),
    }
}

/// The monitor, and where it runs.
fn monitor(options: &ConformanceOptions) -> String {
    match (options.backend, &options.image) {
        (Backend::Fake, _) => "Cairn's crates on the simulated machine".to_owned(),
        (Backend::Qemu, image) => {
            let board = match options.platform {
                Platform::Qemu => "QEMU",
                Platform::Fvp => "Arm FVP Base RevC",
                Platform::Sbsa => "QEMU sbsa-ref",
            };
            let monitor = image
                .as_ref()
                .map_or_else(|| "Cairn".to_owned(), |file| file.display().to_string());
            let el3 = match machine::edition(options) {
                Some(_) => "the EL3 of the tests",
                None => "TF-A",
            };
            format!("{monitor} under {el3} on {board}")
        }
    }
}

fn jobs(options: &ConformanceOptions) -> usize {
    if options.platform == Platform::Fvp {
        // Its log files have fixed names.
        return 1;
    }
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    options.jobs.map_or(cpus.min(4), usize::from)
}

fn verdict(results: &[outcome::Row], kind: Kind, filtered: bool) -> anyhow::Result<()> {
    let failed = results.iter().filter(|row| matches!(row.outcome, Outcome::Failed(_))).count();
    let passed = results.iter().filter(|row| row.outcome == Outcome::Passed).count();
    if passed + failed == 0 {
        return Err(Verdict("every scenario found nothing to do".to_owned()).into());
    }
    let uncovered = if filtered { 0 } else { outcome::uncovered(results, kind).len() };
    if failed == 0 && uncovered == 0 {
        return Ok(());
    }
    let sentence =
        format!("{failed} scenarios failed, {uncovered} conditions are without a passing test");
    Err(Verdict(sentence).into())
}

/// Live progress: a bar on a terminal, a line now and then elsewhere.
pub(crate) struct Bar {
    bar: ProgressBar,
    terminal: bool,
    total: usize,
}

impl Bar {
    fn start(total: usize, backend: Backend) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if terminal {
            ProgressBar::new(u64::try_from(total).unwrap_or(u64::MAX))
        } else {
            ProgressBar::hidden()
        };
        let template = "{spinner} {pos}/{len} {wide_bar} {elapsed} {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        if !terminal {
            let name = if backend == Backend::Fake { "the simulated machine" } else { "QEMU" };
            eprintln!("  {total} scenarios on {name} ...");
        }
        Self { bar, terminal, total }
    }

    /// A scenario has ended.
    pub(crate) fn ended(&self, name: &str, outcome: &Outcome, done: usize) {
        if let Outcome::Failed(why) = outcome {
            let text = format!("FAILED {name}: {}", why.lines().next().unwrap_or_default());
            if self.terminal { self.bar.println(text) } else { eprintln!("  {text}") }
        }
        self.bar.set_position(u64::try_from(done).unwrap_or(0));
        self.bar.set_message(name.to_owned());
        if !self.terminal && done.is_multiple_of(200) {
            eprintln!("  {done}/{}", self.total);
        }
    }

    /// So many scenarios have failed at once.
    pub(crate) fn failed(&self, count: usize, why: &str) {
        let text = format!("FAILED {count} scenarios: {}", why.lines().next().unwrap_or_default());
        if self.terminal { self.bar.println(text) } else { eprintln!("  {text}") }
    }

    fn done(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_tests::scenarios::Registry;

    #[test]
    fn a_run_in_which_nothing_runs_is_no_success() {
        let mut registry = Registry::default();
        registry.add("a/b", |_| Ok(()));
        registry.add("a/c", |_| Ok(()));
        let all: Vec<_> = registry.scenarios.into_iter().map(Arc::new).collect();
        let skip = |name| move |scenario: &Scenario| (scenario.name == name).then_some("so");
        assert_eq!(none_runs(all.iter(), skip("a/b")), None);
        assert_eq!(none_runs(all.iter(), skip("a/c")), None);
        assert_eq!(none_runs(all.iter().skip(1), skip("a/c")), Some("so"));

        let outcome = |outcome| {
            let results = Results::new(all.iter().take(1).cloned(), |_| None, false);
            results.ended("a/b", outcome, Duration::ZERO);
            verdict(&results.finish(), Kind::Fake, true).is_ok()
        };
        assert!(outcome(Outcome::Passed));
        assert!(!outcome(Outcome::Failed("so".to_owned())));
        assert!(!outcome(Outcome::Missing("so".to_owned())));
    }
}
