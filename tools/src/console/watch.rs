//! Everything between the machine's UART and those who watch it: a person, a log file, the judge of
//! a check.

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::log::{Decoder, Message};
use super::machine_lines::{self, Filter};
use super::progress::Novelty;
use super::screen::Screen;
use super::silence::Silence;
use super::tap::{Said, Tap, Text};
use crate::check::Report;
use crate::cli::LogLevel;
use crate::kernel_image::SILENT;
use crate::qemu::{Flow, Listener};
use crate::terminal::Keys;

/// How long QEMU may take to end after the host's last word in an unattended run.
const POWER_OFF: Duration = Duration::from_secs(60);

/// How text is shown.
pub(crate) enum Mode {
    /// As it comes; a person types.
    Keys(Keys),
    /// In whole lines; nobody types.
    Whole,
}

/// Everything between the UART and the people or programs that watch it.
pub(crate) struct Watch {
    tap: Tap,
    level: LogLevel,
    screen: Screen<Box<dyn Write>>,
    filter: Filter,
    silence: Silence,
    log: BufWriter<File>,
    report: Report,
    challenge: String,
    answers: Vec<u8>,
    mode: Mode,
    novelty: Novelty,
    progress: bool,
    ended_at: Option<Instant>,
    is_terminal: bool,
}

impl Watch {
    /// Without a `decoder`, all bytes are text. Messages below `level` are not shown, but do go to
    /// the file `log`.
    pub(crate) fn new(decoder: Option<Decoder>, level: LogLevel, mode: Mode, log: File) -> Self {
        // The guest's own escape sequences reach a person's terminal untouched.
        let out: Box<dyn Write> = match mode {
            Mode::Keys(_) => Box::new(std::io::stdout()),
            Mode::Whole => Box::new(anstream::stdout()),
        };
        let is_terminal = std::io::stdout().is_terminal();
        let can_rewrite = matches!(mode, Mode::Keys(_)) && is_terminal;
        Self {
            tap: Tap::new(decoder.map(Arc::new), Text::Guests),
            level,
            screen: Screen::new(out, can_rewrite),
            filter: Filter::default(),
            silence: Silence::default(),
            log: BufWriter::new(log),
            report: Report::default(),
            challenge: String::new(),
            answers: Vec::new(),
            mode,
            novelty: Novelty::default(),
            progress: false,
            ended_at: None,
            is_terminal,
        }
    }

    /// What to type when the guest asks for a challenge. Without one, the question is left to
    /// whoever types.
    pub(crate) fn answer_with(&mut self, challenge: String) {
        self.challenge = challenge;
    }

    /// How many Realms must report.
    pub(crate) fn expect_realms(&mut self, count: u32) {
        self.report.expect_realms(count);
    }

    /// What was understood so far.
    pub(crate) fn report(self) -> Report {
        self.report
    }

    /// In which words the monitor gave up, if it did.
    pub(crate) fn fatal(&self) -> Option<&str> {
        self.tap.fatal()
    }

    fn byte(&mut self, byte: u8) -> std::io::Result<()> {
        self.tap.hear(byte).into_iter().try_for_each(|said| match said {
            Said::Byte(byte) => self.text(byte),
            Said::Line(line) => self.line(&line),
            Said::Message(message) => self.message(&message),
        })
    }

    fn text(&mut self, byte: u8) -> std::io::Result<()> {
        match (&self.mode, self.is_terminal) {
            (Mode::Keys(_), true) => {
                let shown = self.filter.push(byte);
                self.show(&shown)
            }
            (Mode::Keys(_), false) => self.screen.text(byte),
            (Mode::Whole, _) => Ok(()),
        }
    }

    fn show(&mut self, text: &[u8]) -> std::io::Result<()> {
        text.iter().try_for_each(|&byte| self.screen.text(byte))
    }

    fn line(&mut self, line: &str) -> std::io::Result<()> {
        self.progress |= self.novelty.is_new(line);
        self.report.line(line);
        self.silence.line(line);
        if let Some(keys) = self.report.takes_question().filter(|_| !self.challenge.is_empty()) {
            self.answers.extend(keys);
            self.answers.extend(self.challenge.bytes().chain([b'\n']));
        }
        if self.report.has_ended() {
            self.ended_at.get_or_insert_with(Instant::now);
        }
        writeln!(self.log, "{line}")?;
        let is_hidden = Report::is_bulk(line) || (self.is_terminal && machine_lines::is_one(line));
        if matches!(self.mode, Mode::Whole) && !is_hidden {
            self.screen.message(line.to_owned())?;
        }
        Ok(())
    }

    fn message(&mut self, message: &Message) -> std::io::Result<()> {
        let plain = message.plain();
        self.progress |= self.novelty.is_new(&plain);
        self.report.message(&plain);
        writeln!(self.log, "{plain}")?;
        if !message.is_shown_at(self.level) {
            return Ok(());
        }
        let is_for_a_file = matches!(self.mode, Mode::Keys(_)) && !self.is_terminal;
        self.screen.message(if is_for_a_file { plain } else { message.to_string() })
    }

    /// Shows and writes what is still held back.
    pub(crate) fn finish(&mut self) -> anyhow::Result<()> {
        if let Some(line) = self.tap.rest() {
            self.line(&line).context("cannot write the output")?;
        }
        let held = self.filter.finish();
        self.show(&held).and_then(|()| self.screen.finish()).context("cannot write the output")?;
        self.log.flush().context("cannot write the log file; is the disk full?")
    }
}

impl Listener for Watch {
    fn received(&mut self, bytes: &[u8]) -> anyhow::Result<Flow> {
        bytes.iter().try_for_each(|&byte| self.byte(byte)).context("cannot write the output")?;
        if self.tap.is_over() {
            return Ok(Flow::Stop);
        }
        if matches!(self.mode, Mode::Keys(_)) {
            std::io::stdout().flush().context("cannot write the output")?;
        }
        Ok(Flow::Continue)
    }

    fn typed(&mut self, bytes: &[u8]) -> (Vec<u8>, Flow) {
        match &mut self.mode {
            Mode::Keys(keys) => {
                let typed = keys.typed(bytes);
                (typed.bytes, if typed.quit { Flow::Stop } else { Flow::Continue })
            }
            Mode::Whole => (Vec::new(), Flow::Continue),
        }
    }

    fn answer(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.answers)
    }

    fn idle(&mut self) -> anyhow::Result<Flow> {
        // An unattended run says so in the end, if it comes to a bad one.
        if matches!(self.mode, Mode::Keys(_)) && self.silence.is_too_long() {
            self.screen.message(SILENT.to_owned()).context("cannot write the output")?;
        }
        let held = self.filter.idle();
        self.show(&held).and_then(|()| self.screen.idle()).context("cannot write the output")?;
        self.log.flush().context("cannot write the log file; is the disk full?")?;
        let waited = matches!(self.mode, Mode::Whole)
            && self.ended_at.is_some_and(|since| since.elapsed() > POWER_OFF);
        Ok(if waited || self.tap.is_over() { Flow::Stop } else { Flow::Continue })
    }

    fn takes_progress(&mut self) -> bool {
        std::mem::take(&mut self.progress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(name: &str) -> (Watch, std::path::PathBuf) {
        let file = std::env::temp_dir().join(format!("cairn-watch-{name}-{}", std::process::id()));
        let log = File::create(&file).unwrap();
        (Watch::new(None, LogLevel::Info, Mode::Whole, log), file)
    }

    #[test]
    fn lines_reach_the_judge_and_the_log_file() {
        let (mut watch, file) = watch("lines");
        let text = b"one\r\n@cairn {\"event\":\"end\",\"result\":\"ok\"}\r\nunfinished";
        assert_eq!(watch.received(text).unwrap(), Flow::Continue);
        watch.finish().unwrap();
        assert!(watch.report.has_ended());
        let log = std::fs::read_to_string(&file).unwrap();
        assert!(log.starts_with("one\n@cairn") && log.ends_with("unfinished\n"), "{log}");
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn a_challenge_is_typed_when_the_guest_asks_for_it() {
        let (mut watch, file) = watch("challenge");
        watch.answer_with("ab01".into());
        watch.received(b"cairn-guest: challenge").unwrap();
        assert!(watch.answer().is_empty());
        watch.received(b"?\r\n").unwrap();
        assert_eq!((watch.answer(), watch.answer()), (b"ab01\n".to_vec(), Vec::new()));
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn nobody_types_in_an_unattended_run() {
        let (mut watch, file) = watch("keys");
        assert_eq!(watch.typed(b"\x01x"), (Vec::new(), Flow::Continue));
        std::fs::remove_file(file).unwrap();
    }
    #[test]
    fn only_what_is_new_is_progress() {
        let (mut watch, file) = watch("progress");
        let mut says = |text: &str| {
            watch.received(text.as_bytes()).unwrap();
            watch.takes_progress()
        };
        assert!(says("cairn-guest: ok rsi\n") && !says("no end of line"));
        let stalls = (0..100).filter(|n| says(&format!("rcu: stall of {n} s\n"))).count();
        assert!(stalls < 10, "{stalls}");
        assert!(says("cairn-guest: ok memory\n"));
        std::fs::remove_file(file).unwrap();
    }
}
