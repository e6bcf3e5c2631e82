//! What a machine says that runs a job without a guest: the host's lines, the monitor's messages.

use std::fs::File;
use std::io::{LineWriter, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::check::Accounting;
use crate::console::log::{Decoder, Message};
use crate::console::progress::Novelty;
use crate::console::tap::{Said, Tap, Text};
use crate::fault::Verdict;
use crate::ledger::Ledger;
use crate::qemu::{Flow, Listener};

/// How long a machine may take to end after the host's last word.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How a line of the host begins.
const HOST: &str = "@cairn ";

/// A machine-readable line of the host.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    Accounting(Accounting),
    StressCommand(Tries),
    StressCpu(Share),
    El3(Refusals),
    Leak {
        granule: u64,
    },
    End {
        result: String,
        why: Option<String>,
    },
    #[serde(other)]
    Other,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Tries {
    /// Its name.
    pub name: String,
    /// How often it succeeded.
    pub done: u64,
    /// How often it was refused with a code that it may have.
    pub refused: u64,
}

/// What a CPU came to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Share {
    /// Its number.
    pub cpu: u64,
    /// Commands that it sent.
    pub commands: u64,
    /// Most commands that others finished during one of its own.
    pub overtaken: u64,
    /// Longest time for one.
    pub micros: u64,
}

/// What an EL3 that refuses on demand has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Refusals {
    /// Granules that it moved.
    pub moved: u64,
    /// Requests that it refused because it was told to.
    pub refused: u64,
}

/// Listens to one machine.
pub(super) struct Listen<'p> {
    tap: Tap,
    novelty: Novelty,
    /// How far the host has said last that it is.
    position: Option<(u32, u32)>,
    has_progressed: bool,
    log: LineWriter<File>,
    progress: Box<dyn FnMut(&str) + 'p>,
    /// What became of each command.
    pub tries: Vec<Tries>,
    /// What each CPU came to.
    pub shares: Vec<Share>,
    /// What EL3 did, if it says so.
    pub el3: Refusals,
    /// Granules that the host has not got back.
    pub leaks: Vec<u64>,
    accounting: Option<Accounting>,
    ledger: Ledger,
    end: Option<Result<(), String>>,
    /// What was said from the crash report on.
    report: Vec<String>,
    since: Option<Instant>,
}

impl<'p> Listen<'p> {
    /// A listener that writes everything to `log` and passes the host's own lines to `progress`.
    pub(super) fn new(
        decoder: Option<Decoder>,
        log: File,
        progress: Box<dyn FnMut(&str) + 'p>,
    ) -> Self {
        Self {
            tap: Tap::new(decoder.map(Arc::new), Text::Ours),
            novelty: Novelty::default(),
            position: None,
            has_progressed: false,
            log: LineWriter::new(log),
            progress,
            tries: Vec::new(),
            shares: Vec::new(),
            el3: Refusals::default(),
            leaks: Vec::new(),
            accounting: None,
            ledger: Ledger::default(),
            end: None,
            report: Vec::new(),
            since: None,
        }
    }

    fn said(&mut self, said: Said) -> anyhow::Result<()> {
        match said {
            Said::Byte(_) => Ok(()),
            Said::Line(line) => self.line(line.trim()),
            Said::Message(message) => self.message(&message),
        }
    }

    fn message(&mut self, message: &Message) -> anyhow::Result<()> {
        let text = message.plain();
        self.ledger.line(&text);
        self.keep(&text)
    }

    fn keep(&mut self, line: &str) -> anyhow::Result<()> {
        self.has_progressed |= self.novelty.is_new(line);
        if self.tap.fatal().is_some() {
            self.report.push(line.to_owned());
        }
        writeln!(self.log, "{line}").context("cannot write the log file")
    }

    fn line(&mut self, line: &str) -> anyhow::Result<()> {
        self.keep(line)?;
        if let Some(own) = line.strip_prefix("[host] ") {
            (self.progress)(own);
            let position = parts(own);
            if position.is_some() && position != self.position {
                self.position = position;
                self.has_progressed = true;
            }
        }
        let Some(json) = line.strip_prefix(HOST) else { return Ok(()) };
        let event = serde_json::from_str(json)
            .with_context(|| format!("a line of the host cannot be read: {json}"))?;
        match event {
            Event::Accounting(accounting) => self.accounting = Some(accounting),
            Event::StressCommand(tries) => self.tries.push(tries),
            Event::StressCpu(share) => self.shares.push(share),
            Event::El3(refusals) => self.el3 = refusals,
            Event::Leak { granule } => self.leaks.push(granule),
            Event::End { result, why } => {
                let is_ok = result == "ok";
                self.end = Some(if is_ok { Ok(()) } else { Err(why.unwrap_or_default()) });
                self.since.get_or_insert_with(Instant::now);
            }
            Event::Other => {}
        }
        Ok(())
    }

    /// The accounting and the ledger, if the run went well but for leaks.
    pub(super) fn finish(mut self, how: &str) -> anyhow::Result<(Accounting, Ledger)> {
        self.log.flush().context("cannot write the log file")?;
        if self.tap.fatal().is_some() {
            let report = self.report.join("\n  ");
            return Err(Verdict(format!("the monitor or EL3 gave up:\n  {report}")).into());
        }
        match self.end {
            Some(Ok(())) => {}
            Some(Err(why)) => return Err(Verdict(format!("the host failed: {why}")).into()),
            None => bail!("the machine hung or died ({how})"),
        }
        let accounting = self.accounting.context("the host did not account for its granules")?;
        Ok((accounting, self.ledger))
    }
}

impl Listener for Listen<'_> {
    fn received(&mut self, bytes: &[u8]) -> anyhow::Result<Flow> {
        for &byte in bytes {
            for said in self.tap.hear(byte) {
                self.said(said)?;
            }
        }
        Ok(if self.tap.is_over() { Flow::Stop } else { Flow::Continue })
    }

    fn typed(&mut self, _: &[u8]) -> (Vec<u8>, Flow) {
        (Vec::new(), Flow::Continue)
    }

    fn answer(&mut self) -> Vec<u8> {
        Vec::new()
    }

    fn idle(&mut self) -> anyhow::Result<Flow> {
        let is_over = self.since.is_some_and(|since| since.elapsed() > LAST_WORDS);
        Ok(if is_over || self.tap.is_over() { Flow::Stop } else { Flow::Continue })
    }

    fn takes_progress(&mut self) -> bool {
        std::mem::take(&mut self.has_progressed)
    }
}

/// The two numbers of what the host says of how far it is: `20000 of 1000000 commands`.
pub(super) fn parts(line: &str) -> Option<(u32, u32)> {
    let (done, rest) = line.split_once(" of ")?;
    let (all, _) = rest.split_once(' ')?;
    let parts = (done.parse().ok()?, all.parse().ok()?);
    (parts.1 != 0).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(name: &str, text: &str) -> Listen<'static> {
        let file = std::env::temp_dir().join(format!("cairn-stress-{name}-{}", std::process::id()));
        let log = File::create(&file).unwrap();
        std::fs::remove_file(file).unwrap();
        let mut listen = Listen::new(None, log, Box::new(|_| {}));
        listen.received(text.as_bytes()).unwrap();
        listen
    }

    const GOOD: &str = "[host] 1 of 2\n\
        @cairn {\"event\":\"stress_command\",\"name\":\"rtt_fold\",\"done\":1,\"refused\":2}\n\
        @cairn {\"event\":\"stress_cpu\",\"cpu\":0,\"commands\":3,\"overtaken\":4,\"micros\":5}\n\
        @cairn {\"event\":\"accounting\",\"delegated\":7,\"returned\":7,\"leaked\":0}\n\
        @cairn {\"event\":\"end\",\"result\":\"ok\"}\n";

    #[test]
    fn a_good_run_is_understood() {
        let listen = listen("good", GOOD);
        assert_eq!((listen.tries[0].refused, listen.shares[0].overtaken), (2, 4));
        let (accounting, ledger) = listen.finish("").unwrap();
        assert_eq!((accounting.delegated, ledger.granules()), (7, 0));
    }

    #[test]
    fn a_machine_that_stops_early_or_gives_up_has_failed() {
        let (cut, _) = GOOD.split_once("@cairn {\"event\":\"end\"").unwrap();
        assert!(listen("cut", cut).finish("silence").is_err());
        let fatal = format!("{cut}PANIC in EL3.\nx30 = 0x1000\n");
        let error = listen("fatal", &fatal).finish("").map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("x30 = 0x1000"), "{error}");
        let bad = "@cairn {\"event\":\"end\",\"result\":\"error\",\"why\":\"because\"}\n";
        let error = listen("bad", bad).finish("").map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("because"), "{error}");
    }

    #[test]
    fn what_the_host_has_done_is_progress_and_repetition_is_not() {
        let mut listen = listen("progress", "");
        let mut says = |text: &str| {
            listen.received(text.as_bytes()).unwrap();
            listen.takes_progress()
        };
        assert!((1..100).all(|n| says(&format!("[host] {n} of 100 lives\n"))));
        assert!(!says("[host] 99 of 100 lives\n"));
        assert!((0..100).filter(|n| says(&format!("[host] waits for {n}\n"))).count() < 10);
    }

    #[test]
    fn the_host_says_how_far_it_is() {
        assert_eq!(parts("20000 of 1000000 commands"), Some((20_000, 1_000_000)));
        assert_eq!(parts("3 of 0 lives"), None);
        assert_eq!(parts("the Realm is gone after 3 of its lives"), None);
    }
}
