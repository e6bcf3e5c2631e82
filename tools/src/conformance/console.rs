//! What a machine says on its console about the scenarios that it runs.
//!
//! Whatever a broken monitor writes there, it ends as the failure of the scenario that was running.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Deserialize;

use super::Bar;
use super::outcome::{Outcome, Results};
use crate::console::log::Decoder;
use crate::console::progress::Novelty;
use crate::console::tap::{Said, Tap, Text};
use crate::qemu::{Flow, Listener};

/// How a line of the host begins.
const HOST: &str = "@cairn ";
/// What EL3 says first when a machine starts.
const BOOT: &str = "Booting Trusted Firmware";
/// Lines that are kept to explain a failure.
const TAIL: usize = 12;

#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    ScenarioStart {
        name: String,
    },
    Scenario {
        name: String,
        result: String,
        #[serde(default)]
        why: String,
    },
    End {
        result: String,
        why: Option<String>,
    },
    #[serde(other)]
    Other,
}

/// How long a machine may go without a sign of progress.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// On its way to the first scenario.
    pub boot: Duration,
    /// In a scenario.
    pub scenario: Duration,
}

/// Listens to one machine.
pub(super) struct Console<'a> {
    results: &'a Results,
    bar: &'a Bar,
    limits: Limits,
    tap: Tap,
    novelty: Novelty,
    log: BufWriter<File>,
    tail: VecDeque<String>,
    running: Option<(String, Instant)>,
    /// When the machine has shown last that it gets anywhere.
    last_progress: Instant,
    boots: u32,
    /// Names of the scenarios that were begun.
    pub begun: Vec<String>,
    /// The machine is of no more use, and why.
    pub broken: Option<String>,
    /// The host has said its last word; why it gave up, if it did.
    pub ended: Option<Option<String>>,
}

impl<'a> Console<'a> {
    /// A console of a machine that has just been started.
    pub(super) fn new(
        results: &'a Results,
        bar: &'a Bar,
        decoder: Option<Arc<Decoder>>,
        log: File,
        limits: Limits,
    ) -> Self {
        Self {
            results,
            bar,
            limits,
            tap: Tap::new(decoder, Text::Ours),
            novelty: Novelty::default(),
            log: BufWriter::new(log),
            tail: VecDeque::new(),
            running: None,
            last_progress: Instant::now(),
            boots: 0,
            begun: Vec::new(),
            broken: None,
            ended: None,
        }
    }

    fn byte(&mut self, byte: u8) -> std::io::Result<()> {
        self.tap.hear(byte).into_iter().try_for_each(|said| match said {
            Said::Byte(_) => Ok(()),
            Said::Line(line) => self.line(&line),
            Said::Message(message) => self.keep(&message.plain()),
        })
    }

    fn keep(&mut self, line: &str) -> std::io::Result<()> {
        if self.novelty.is_new(line) {
            self.last_progress = Instant::now();
        }
        // A crash report is kept whole.
        if self.tail.len() >= TAIL && self.tap.fatal().is_none() {
            self.tail.pop_front();
        }
        self.tail.push_back(line.to_owned());
        writeln!(self.log, "{line}")
    }

    fn line(&mut self, line: &str) -> std::io::Result<()> {
        self.boots += u32::from(line.contains(BOOT));
        if self.boots > 1 {
            self.broken = Some("the machine rebooted".to_owned());
        }
        // Another monitor may have left its own line unfinished.
        let Some((before, json)) = line.split_once(HOST) else { return self.keep(line) };
        if !before.is_empty() {
            self.keep(before)?;
        }
        writeln!(self.log, "{HOST}{json}")?;
        match serde_json::from_str(json) {
            Ok(event) => self.event(event),
            Err(_) => {
                self.end(Outcome::Failed(format!("garbage on the console: {}", printable(line))));
            }
        }
        Ok(())
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::ScenarioStart { name } => {
                self.last_progress = Instant::now();
                self.tail.clear();
                self.begun.push(name.clone());
                self.running = Some((name, Instant::now()));
            }
            Event::Scenario { name, result, why } => {
                if self.running.as_ref().is_some_and(|(running, _)| *running == name) {
                    self.end(match result.as_str() {
                        "pass" => Outcome::Passed,
                        "missing" => Outcome::Missing(why),
                        _ => Outcome::Failed(why),
                    });
                }
            }
            Event::End { result, why } => {
                self.ended = Some(if result == "ok" { None } else { why.or(Some(result)) });
            }
            Event::Other => {}
        }
    }

    fn end(&mut self, outcome: Outcome) {
        let Some((name, since)) = self.running.take() else { return };
        let outcome = self.results.judge(outcome);
        let done = self.results.ended(&name, outcome.clone(), since.elapsed());
        self.bar.ended(&name, &outcome, done);
    }

    /// The machine is gone, for this reason: whatever was running has failed.
    pub(super) fn finish(&mut self, why: &str) -> std::io::Result<()> {
        if let Some(line) = self.tap.rest() {
            self.line(&line)?;
        }
        let said: Vec<String> = self.tail.iter().map(|line| printable(line)).collect();
        let why = match (&self.broken, &self.ended) {
            (Some(broken), _) => broken.clone(),
            (None, Some(Some(last))) => last.clone(),
            (None, _) => why.to_owned(),
        };
        let said = if said.is_empty() {
            String::new()
        } else {
            format!("\n    the console said: {}", said.join("\n    "))
        };
        self.end(Outcome::Failed(format!("{why}{said}")));
        self.log.flush()
    }

    /// Why the machine began no scenario, and what it said last.
    pub(super) fn false_start(&self, gone: &str) -> String {
        let why = self.broken.as_deref().unwrap_or(gone);
        let said: Vec<String> = self.tail.iter().map(|line| printable(line)).collect();
        if said.is_empty() {
            return format!("{why}\n    the console said nothing");
        }
        format!("{why}\n    the console said: {}", said.join("\n    "))
    }
}

/// Without what a terminal might take for a command.
fn printable(text: &str) -> String {
    let plain = |c: char| if c.is_control() || c == '\u{fffd}' { '?' } else { c };
    text.chars().map(plain).take(400).collect()
}

impl Listener for Console<'_> {
    fn received(&mut self, bytes: &[u8]) -> anyhow::Result<Flow> {
        bytes.iter().try_for_each(|&byte| self.byte(byte)).context("cannot write the log file")?;
        self.idle()
    }

    fn typed(&mut self, _: &[u8]) -> (Vec<u8>, Flow) {
        (Vec::new(), Flow::Continue)
    }

    fn answer(&mut self) -> Vec<u8> {
        Vec::new()
    }

    fn idle(&mut self) -> anyhow::Result<Flow> {
        let silence = self.last_progress.elapsed();
        if self.running.is_some() && silence > self.limits.scenario {
            let seconds = self.limits.scenario.as_secs();
            self.broken = Some(format!("the machine hung: no result within {seconds} s"));
        }
        if self.begun.is_empty() && silence > self.limits.boot {
            let seconds = self.limits.boot.as_secs();
            self.broken = Some(format!("the machine did not boot: nothing new for {seconds} s"));
        }
        if let Some(words) = self.tap.fatal().filter(|_| self.tap.is_over()) {
            self.broken = Some(format!("the machine gave up: {}", printable(words)));
        }
        let over = self.broken.is_some() || self.ended.is_some();
        Ok(if over { Flow::Stop } else { Flow::Continue })
    }

    /// What each scenario may take is judged here.
    fn takes_progress(&mut self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Backend;
    use cairn_tests::scenarios::Registry;
    use std::sync::Arc;

    /// What becomes of the scenario `a` on a machine that writes this.
    fn outcome(written: &[u8], gone: &str) -> Outcome {
        let mut registry = Registry::default();
        registry.add("a", |_| Ok(()));
        let results = Results::new(registry.scenarios.into_iter().map(Arc::new), |_| None, false);
        let bar = Bar::start(1, Backend::Qemu);
        let log = File::options().write(true).open("/dev/null").unwrap();
        let mut console = Console::new(&results, &bar, None, log, LIMITS);
        console.received(written).unwrap();
        console.finish(gone).unwrap();
        results.finish().first().unwrap().outcome.clone()
    }

    const LIMITS: Limits =
        Limits { boot: Duration::from_secs(60), scenario: Duration::from_secs(60) };

    const START: &str = "@cairn {\"event\":\"scenario_start\",\"name\":\"a\"}\n";

    fn failure(after_start: &[u8]) -> String {
        match outcome(&[START.as_bytes(), after_start].concat(), "the machine stopped") {
            Outcome::Failed(why) => why,
            other @ (Outcome::Waiting
            | Outcome::Passed
            | Outcome::Skipped(_)
            | Outcome::Missing(_)) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_result_counts_even_behind_an_unfinished_line_of_the_monitor() {
        let line =
            "loading... @cairn {\"event\":\"scenario\",\"name\":\"a\",\"result\":\"pass\"}\n";
        assert_eq!(outcome(format!("{START}{line}").as_bytes(), ""), Outcome::Passed);
    }

    #[test]
    fn a_scenario_that_finds_nothing_to_do_has_not_passed() {
        let line = "@cairn {\"event\":\"scenario\",\"name\":\"a\",\"result\":\"missing\",\"why\":\"needs SVE\"}\n";
        let outcome = outcome(format!("{START}{line}").as_bytes(), "");
        assert_eq!(outcome, Outcome::Missing("needs SVE".into()));
    }

    #[test]
    fn whatever_ends_the_machine_is_the_failure_of_what_was_running() {
        assert!(failure(b"last words").starts_with("the machine stopped\n"));
        assert!(failure(b"@cairn {\"event\":\"scen\xff\x00\n").starts_with("garbage"));
        assert!(
            failure(b"@cairn {\"event\":\"end\",\"result\":\"error\",\"why\":\"w\"}")
                .starts_with('w')
        );
        let boot = "NOTICE:  Booting Trusted Firmware\n";
        assert!(failure(format!("{boot}{boot}").as_bytes()).starts_with("the machine rebooted"));
        assert!(failure(&[0xff; 100_000]).starts_with("the machine stopped"));
    }

    #[test]
    fn a_scenario_that_never_started_waits() {
        assert_eq!(outcome(b"nothing of note\n", "gone"), Outcome::Waiting);
    }
}
