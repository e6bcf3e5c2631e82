//! What a machine says that runs a job without a guest: the host's lines, the monitor's messages.

use std::fs::File;
use std::io::{LineWriter, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::check::Accounting;
use crate::console::demux::{Demux, Item};
use crate::console::lines::Lines;
use crate::console::log::{Decoder, Message};
use crate::fault::Verdict;
use crate::ledger::Ledger;
use crate::qemu::{Flow, Listener};

/// How long a machine may take to end after the host's last word, or a monitor to say why it gave up.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// What is said when a monitor or EL3 gives up.
const FATAL: [&str; 3] = ["fatal:", "PANIC in EL3", "Unhandled Exception in EL3"];
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
pub struct Tries {
    /// Its name.
    pub name: String,
    /// How often it succeeded.
    pub done: u64,
    /// How often it was refused with a code that it may have.
    pub refused: u64,
}

/// What a CPU came to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Share {
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
pub struct Refusals {
    /// Granules that it moved.
    pub moved: u64,
    /// Requests that it refused because it was told to.
    pub refused: u64,
}

/// Listens to one machine.
pub struct Listen<'p> {
    demux: Demux,
    lines: Lines,
    decoder: Option<Decoder>,
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
    fatal: Option<String>,
    since: Option<Instant>,
}

impl<'p> Listen<'p> {
    /// A listener that writes everything to `log` and passes the host's own lines to `progress`.
    pub fn new(decoder: Option<Decoder>, log: File, progress: Box<dyn FnMut(&str) + 'p>) -> Self {
        Self {
            demux: Demux::default(),
            lines: Lines::default(),
            decoder,
            log: LineWriter::new(log),
            progress,
            tries: Vec::new(),
            shares: Vec::new(),
            el3: Refusals::default(),
            leaks: Vec::new(),
            accounting: None,
            ledger: Ledger::default(),
            end: None,
            fatal: None,
            since: None,
        }
    }

    fn byte(&mut self, byte: u8) -> anyhow::Result<()> {
        // Another monitor's bytes mean nothing to us.
        let item =
            if self.decoder.is_some() { self.demux.push(byte) } else { Some(Item::Text(byte)) };
        match (item, &self.decoder) {
            (Some(Item::Text(byte)), _) => match self.lines.push(byte) {
                Some(line) => self.line(line.trim()),
                None => Ok(()),
            },
            (Some(Item::Frame(frame)), Some(decoder)) => {
                decoder.decode(&frame).into_iter().try_for_each(|message| self.message(&message))
            }
            (Some(Item::Damaged), Some(_)) => self.message(&Message::damaged()),
            (None | Some(Item::Frame(_) | Item::Damaged), _) => Ok(()),
        }
    }

    fn message(&mut self, message: &Message) -> anyhow::Result<()> {
        let text = message.plain();
        self.ledger.line(&text);
        self.look_for_the_end(&text);
        writeln!(self.log, "{text}").context("cannot write the log file")
    }

    fn line(&mut self, line: &str) -> anyhow::Result<()> {
        writeln!(self.log, "{line}").context("cannot write the log file")?;
        self.look_for_the_end(line);
        if let Some(own) = line.strip_prefix("[host] ") {
            (self.progress)(own);
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

    fn look_for_the_end(&mut self, line: &str) {
        if self.fatal.is_none() && FATAL.iter().any(|mark| line.contains(mark)) {
            self.fatal = Some(line.to_owned());
            self.since.get_or_insert_with(Instant::now);
        }
    }

    /// The accounting and the ledger, if the run went well but for leaks.
    pub fn finish(mut self, how: &str) -> anyhow::Result<(Accounting, Ledger)> {
        self.log.flush().context("cannot write the log file")?;
        if let Some(fatal) = self.fatal {
            return Err(Verdict(format!("the monitor gave up: {fatal}")).into());
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
        bytes.iter().try_for_each(|&byte| self.byte(byte))?;
        Ok(Flow::Continue)
    }

    fn typed(&mut self, _: &[u8]) -> (Vec<u8>, Flow) {
        (Vec::new(), Flow::Continue)
    }

    fn answer(&mut self) -> Vec<u8> {
        Vec::new()
    }

    fn idle(&mut self) -> anyhow::Result<Flow> {
        let is_over = self.since.is_some_and(|since| since.elapsed() > LAST_WORDS);
        Ok(if is_over { Flow::Stop } else { Flow::Continue })
    }
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
        let fatal = format!("{cut}[rmm] ERROR fatal: at 0x1000\n");
        let error = listen("fatal", &fatal).finish("").map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("at 0x1000"), "{error}");
        let bad = "@cairn {\"event\":\"end\",\"result\":\"error\",\"why\":\"because\"}\n";
        let error = listen("bad", bad).finish("").map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("because"), "{error}");
    }
}
