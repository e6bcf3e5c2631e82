//! The scenarios on QEMU: machines that run a list of them, started again with the rest when one
//! goes wrong.

use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::bail;
use cairn_el3::edition::Edition;
use cairn_tests::scenarios::{Cpu, Scenario};

use super::Bar;
use super::console::{Console, Limits};
use super::outcome::{Outcome, Results};
use crate::cli::{ConformanceOptions, El3Edition, ImageOptions, Platform, SuiteInterface};
use crate::console::log::Decoder;
use crate::fault::IoContext;
use crate::job;
use crate::ledger::Ledger;
use crate::output::Run;
use crate::paths;
use crate::patience;
use crate::qemu::{Ended, Load};
use crate::signals;
use crate::stage::{self, Shape, Stage};

/// Scenarios that a machine is started for at a time.
const BATCH: usize = 120;
/// CPUs of each machine.
const CPUS: u32 = 2;
/// Longest silence of a scenario that is known to be long: it does one thing for many minutes.
const LONG_LIMIT: Duration = Duration::from_secs(1800);
/// Machines in a row that may go without beginning a scenario before the next decides.
const FALSE_STARTS: u32 = 1;

/// A kind of machine, and the numbers of the scenarios to run on it.
struct Batch {
    cpu: Cpu,
    numbers: Vec<usize>,
}

/// What all machines of a run share.
struct Bench<'a> {
    all: &'a [Arc<Scenario>],
    results: &'a Results,
    bar: &'a Bar,
    stage: Stage,
    decoder: Option<Arc<Decoder>>,
    run: Run,
    machines: AtomicUsize,
    /// A machine has begun a scenario.
    boots: AtomicBool,
    /// Why the monitor does not boot, once that is settled.
    dead: Mutex<Option<String>>,
    ledgers: Mutex<Vec<Ledger>>,
}

/// Runs everything that waits; the leak ledger of each machine in the end.
pub(super) fn run(
    options: &ConformanceOptions,
    all: &[Arc<Scenario>],
    results: &Results,
    jobs: usize,
    bar: &Bar,
) -> anyhow::Result<Vec<Ledger>> {
    let run = Run::begin("conformance")?;
    let stage = stage(options, run.folder())?;
    let decoder = stage.decoder()?;
    let bench = Bench {
        all,
        results,
        bar,
        stage,
        decoder: decoder.map(Arc::new),
        run,
        machines: AtomicUsize::new(0),
        boots: AtomicBool::new(false),
        dead: Mutex::default(),
        ledgers: Mutex::default(),
    };
    let queue = Mutex::new(batches(all, results));
    std::thread::scope(|scope| {
        let work = || {
            loop {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some(batch) = next else { return anyhow::Ok(()) };
                bench.batch(batch)?;
            }
        };
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        let ended = workers.into_iter().map(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        ended.collect::<Vec<_>>().into_iter().collect::<anyhow::Result<()>>()
    })?;
    Ok(bench.ledgers.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Builds everything and prints the model's command line for one machine that runs all that waits.
pub(super) fn print(
    options: &ConformanceOptions,
    all: &[Arc<Scenario>],
    results: &Results,
) -> anyhow::Result<()> {
    let output = paths::output()?;
    let stage = stage(options, &output)?;
    let numbers: Vec<usize> =
        batches(all, results).into_iter().flat_map(|batch| batch.numbers).collect();
    let file = output.join("conformance-job.txt");
    paths::write_whole(&file, job::conformance(&ranges(&numbers)).as_bytes())?;
    let load = Load { file, address: stage.layout().job() };
    stage.board(Shape::default(), vec![load], output.join("qemu.log")).map(drop)
}

/// What the EL3 of the tests is to speak; `None` if TF-A is EL3. No TF-A of Debian passes the
/// commands of 2.0 on.
pub(super) fn edition(options: &ConformanceOptions) -> Option<Edition> {
    let told = options.el3.map(El3Edition::edition);
    match options.rmi {
        SuiteInterface::V2_0 if options.tfa.is_none() => Some(told.unwrap_or(Edition::V2_ALL)),
        // That board has no other EL3.
        SuiteInterface::V1_0 if options.platform == Platform::Sbsa => {
            Some(told.unwrap_or(Edition::V0))
        }
        SuiteInterface::V1_0 | SuiteInterface::V2_0 => told,
    }
}

fn stage(options: &ConformanceOptions, output: &Path) -> anyhow::Result<Stage> {
    let image = ImageOptions {
        platform: options.platform,
        image: options.image.clone(),
        tfa: options.tfa.clone(),
        offline: options.offline,
        ..ImageOptions::default()
    };
    stage::check(&image, &options.model)?;
    match edition(options) {
        Some(edition) => Stage::stand_in(edition, &image, options.qemu.as_ref(), output),
        None => Stage::prepare(&image, options.qemu.as_ref(), &options.model, output),
    }
}

/// The scenarios that wait, by machine; the long ones each on a machine of their own.
fn batches(all: &[Arc<Scenario>], results: &Results) -> VecDeque<Batch> {
    let waiting: Vec<String> =
        results.queue().into_iter().map(|scenario| scenario.name.clone()).collect();
    let mut batches = VecDeque::new();
    for (cpu, size) in [(Cpu::Large, 1), (Cpu::Max, BATCH), (Cpu::Plain, BATCH)] {
        let fits = |s: &Scenario| s.cpu == cpu && waiting.contains(&s.name);
        let numbers: Vec<usize> = (0..).zip(all).filter(|(_, s)| fits(s)).map(|(n, _)| n).collect();
        batches.extend(numbers.chunks(size).map(|part| Batch { cpu, numbers: part.to_vec() }));
    }
    batches
}

impl Bench<'_> {
    /// Runs a batch, on as many machines as it takes.
    fn batch(&self, mut batch: Batch) -> anyhow::Result<()> {
        let mut false_starts = 0;
        let name = |number: &usize| self.all.get(*number).map(|scenario| &scenario.name);
        while !batch.numbers.is_empty() {
            signals::check()?;
            let dead = self.dead.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(why) = dead {
                self.fail(batch.numbers.iter().filter_map(name), &why);
                break;
            }
            let (begun, why) = self.machine(&batch)?;
            if begun.is_empty() {
                false_starts += 1;
                if false_starts > FALSE_STARTS {
                    self.fail(batch.numbers.iter().filter_map(name), &why);
                    // If it has never begun one, starting more machines would only take more time.
                    if !self.boots.load(Ordering::Relaxed) {
                        *self.dead.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
                    }
                    break;
                }
                continue;
            }
            let asked: Vec<&String> = batch.numbers.iter().filter_map(name).collect();
            if let Some(other) = not_asked(&begun, &asked) {
                bail!(
                    "the host ran `{other}`, which it was not asked to: it is older or newer than this tool; build it again"
                );
            }
            false_starts = 0;
            self.boots.store(true, Ordering::Relaxed);
            batch.numbers.retain(|number| name(number).is_some_and(|name| !begun.contains(name)));
        }
        Ok(())
    }

    /// These scenarios have failed without having begun.
    fn fail<'n>(&self, names: impl Iterator<Item = &'n String>, why: &str) {
        let mut count = 0_usize;
        for name in names {
            self.results.ended(name, Outcome::Failed(why.to_owned()), Duration::ZERO);
            count += 1;
        }
        self.bar.failed(count, why);
    }

    /// Starts one machine; the names of the scenarios that it began, and why it ended before the
    /// first if it did.
    fn machine(&self, batch: &Batch) -> anyhow::Result<(Vec<String>, String)> {
        let number = self.machines.fetch_add(1, Ordering::Relaxed);
        let file = |name: &str| self.run.folder().join(format!("{name}-{number}"));
        let text = job::conformance(&ranges(&batch.numbers));
        let job = file("job");
        paths::write_whole(&job, text.as_bytes())?;
        let log = file("console").with_extension("log");
        let shape = Shape {
            cpus: CPUS,
            cpu_properties: if batch.cpu == Cpu::Plain { ",lpa2=off" } else { "" },
            extra: Vec::new(),
        };
        let loads = vec![Load { file: job.clone(), address: self.stage.layout().job() }];
        let messages = file("qemu").with_extension("log");
        let Some(board) = self.stage.board(shape, loads, messages)? else { bail!("no machine") };
        let usual = patience::machine(CPUS);
        let scenario = if batch.cpu == Cpu::Large { LONG_LIMIT } else { usual };
        let limits =
            Limits { boot: self.stage.patience(usual), scenario: self.stage.patience(scenario) };
        let output = File::create(&log).at("write", &log)?;
        let mut console =
            Console::new(self.results, self.bar, self.decoder.clone(), output, limits);
        let mut running = board.start()?;
        let ended = running.drive(&mut console, false, None)?;
        let why = match ended {
            Ended::ByItself(status) if status.success() => "the machine switched itself off".into(),
            Ended::ByItself(status) => {
                format!("the machine stopped ({status}): {}", running.messages())
            }
            Ended::Stopped | Ended::NoProgress => "the machine stopped".to_owned(),
        };
        console.finish(&why).at("write", &log)?;
        drop(std::fs::remove_file(&job));
        let text = std::fs::read(&log).at("read", &log)?;
        // A monitor whose log cannot be read, or that says nothing, has shown no ledger.
        if self.decoder.is_some() && !console.begun.is_empty() {
            let ledger = Ledger::read(&String::from_utf8_lossy(&text));
            self.ledgers.lock().unwrap_or_else(PoisonError::into_inner).push(ledger);
        }
        let why = format!(
            "the monitor does not boot to its first scenario: {}\n    (the log is {})",
            console.false_start(&why),
            log.display()
        );
        Ok((console.begun, why))
    }
}

/// A scenario that was begun though nobody asked for it. Scenarios go by number: another list of
/// them means other numbers.
fn not_asked<'b>(begun: &'b [String], asked: &[&String]) -> Option<&'b String> {
    begun.iter().find(|name| !asked.contains(name))
}

/// Numbers as the host reads them: `0-5,7,9-12`.
fn ranges(numbers: &[usize]) -> String {
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            Some(_) | None => parts.push((number, number)),
        }
    }
    let text = parts.iter().map(|(first, last)| format!("{first}-{last}"));
    text.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_ranges() {
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0-2,5-5,7-8");
        assert_eq!(ranges(&[]), "");
    }

    #[test]
    fn a_host_with_another_list_is_noticed() {
        let [one, two] = ["one", "two"].map(str::to_owned);
        assert_eq!(not_asked(std::slice::from_ref(&one), &[&one, &two]), None);
        assert_eq!(not_asked(&[one.clone(), two.clone()], &[&one]), Some(&two));
    }
}
