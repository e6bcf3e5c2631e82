//! What a machine says on its console about the scenarios that it runs.
//!
//! Whatever a broken monitor writes there, it ends as the failure of the scenario that was running.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Deserialize;

use super::Bar;
use super::outcome::{Outcome, Results};
use crate::cli::LogLevel;
use crate::console::demux::{Demux, Item};
use crate::console::lines::Lines;
use crate::console::log::{Decoder, Message};
use crate::qemu::{Flow, Listener};

/// How a line of the host begins.
const HOST: &str = "@cairn ";
/// What EL3 says first when a machine starts.
const BOOT: &str = "Booting Trusted Firmware";
/// How the monitor's last message begins, and what EL3 says when it gives up.
const FATAL: &str = "fatal:";
const EL3_ENDS: [&str; 3] = ["PANIC in EL3", "Unhandled Exception in EL3", "BACKTRACE: START"];
/// Lines that are kept to explain a failure.
const TAIL: usize = 12;
/// How long a monitor or EL3 that has given up may go on to say why.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Longest time from the start of a machine to its first scenario.
const BOOT_TIME: Duration = Duration::from_secs(90);

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

/// Listens to one machine.
pub struct Console<'a> {
    results: &'a Results,
    bar: &'a Bar,
    limit: Duration,
    demux: Demux,
    decoder: Option<&'a Decoder>,
    lines: Lines,
    log: BufWriter<File>,
    tail: VecDeque<String>,
    running: Option<(String, Instant)>,
    started: Instant,
    boots: u32,
    /// The monitor or EL3 has given up, in its own words, and when.
    fatal: Option<(String, Instant)>,
    /// Names of the scenarios that were begun.
    pub begun: Vec<String>,
    /// The machine is of no more use, and why.
    pub broken: Option<String>,
    /// The host has said its last word; why it gave up, if it did.
    pub ended: Option<Option<String>>,
}

impl<'a> Console<'a> {
    /// A console whose scenarios may take `limit` each.
    pub fn new(
        results: &'a Results,
        bar: &'a Bar,
        decoder: Option<&'a Decoder>,
        log: File,
        limit: Duration,
    ) -> Self {
        Self {
            results,
            bar,
            limit,
            demux: Demux::default(),
            decoder,
            lines: Lines::default(),
            log: BufWriter::new(log),
            tail: VecDeque::new(),
            running: None,
            started: Instant::now(),
            boots: 0,
            fatal: None,
            begun: Vec::new(),
            broken: None,
            ended: None,
        }
    }

    fn byte(&mut self, byte: u8) -> std::io::Result<()> {
        let Some(decoder) = self.decoder else { return self.text(byte) };
        match self.demux.push(byte) {
            Some(Item::Text(byte)) => self.text(byte),
            Some(Item::Frame(frame)) => {
                for message in decoder.decode(&frame) {
                    if message.level == Some(LogLevel::Error) && message.text.starts_with(FATAL) {
                        self.give_up(&message.text);
                    }
                    self.message(&message)?;
                }
                Ok(())
            }
            Some(Item::Damaged) => self.message(&Message::damaged()),
            None => Ok(()),
        }
    }

    fn message(&mut self, message: &Message) -> std::io::Result<()> {
        self.keep(&message.plain())
    }

    fn give_up(&mut self, text: &str) {
        self.fatal.get_or_insert_with(|| (printable(text), Instant::now()));
    }

    fn text(&mut self, byte: u8) -> std::io::Result<()> {
        match self.lines.push(byte) {
            Some(line) => self.line(&line),
            None => Ok(()),
        }
    }

    fn keep(&mut self, line: &str) -> std::io::Result<()> {
        if self.tail.len() == TAIL {
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
        if EL3_ENDS.iter().any(|text| line.contains(text)) {
            self.give_up(line);
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
    pub fn finish(&mut self, why: &str) -> std::io::Result<()> {
        if !self.lines.is_empty()
            && let Some(line) = self.lines.take()
        {
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
    pub fn false_start(&self, gone: &str) -> String {
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
        if let Some((_, since)) = &self.running
            && since.elapsed() > self.limit
        {
            let seconds = self.limit.as_secs();
            self.broken = Some(format!("the machine hung: no result within {seconds} s"));
        }
        if self.begun.is_empty() && self.started.elapsed() > BOOT_TIME {
            let seconds = BOOT_TIME.as_secs();
            self.broken = Some(format!("the machine did not boot within {seconds} s"));
        }
        if let Some((text, since)) = &self.fatal
            && since.elapsed() > LAST_WORDS
        {
            self.broken = Some(format!("the machine gave up: {text}"));
        }
        let over = self.broken.is_some() || self.ended.is_some();
        Ok(if over { Flow::Stop } else { Flow::Continue })
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
        let mut console = Console::new(&results, &bar, None, log, Duration::from_secs(60));
        console.received(written).unwrap();
        console.finish(gone).unwrap();
        results.finish().first().unwrap().outcome.clone()
    }

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
