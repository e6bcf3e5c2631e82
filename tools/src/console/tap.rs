//! What all who listen to a machine share: the UART's bytes as lines and messages, and whether the
//! monitor or EL3 gave up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::demux::{Demux, Item};
use super::lines::Lines;
use super::log::{Decoder, Message};
use crate::cli::LogLevel;

/// How the first line of the monitor's crash report begins.
const FATAL: &str = "fatal:";

/// What EL3 says when it gives up.
const EL3_ENDS: [&str; 3] = ["PANIC in EL3", "Unhandled Exception in EL3", "BACKTRACE: START"];

/// A crash report is over when nothing has been added to it for so long.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A crash report is over after so long in any case: other CPUs may go on and talk.
const LONGEST_REPORT: Duration = Duration::from_secs(20);

/// Something that the machine said.
#[derive(Debug)]
pub(crate) enum Said {
    /// A byte of text, before the line that it is a part of.
    Byte(u8),
    /// A whole line of text.
    Line(String),
    /// A message of the monitor.
    Message(Message),
}

/// Whose text may say that the machine has given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Text {
    /// Only programs of ours write it: EL3's own words count.
    Ours,
    /// A guest may have written it: only the monitor's messages count, if they can be told from
    /// text.
    Guests,
}

/// The monitor or EL3 has given up.
#[derive(Debug)]
struct Fatal {
    words: String,
    since: Instant,
    last: Instant,
}

/// One machine's UART.
#[derive(Debug)]
pub(crate) struct Tap {
    demux: Demux,
    decoder: Option<Arc<Decoder>>,
    lines: Lines,
    text: Text,
    fatal: Option<Fatal>,
}

impl Tap {
    /// Without a `decoder`, all bytes are text: another monitor's mean nothing to us.
    pub(crate) fn new(decoder: Option<Arc<Decoder>>, text: Text) -> Self {
        Self { demux: Demux::default(), decoder, lines: Lines::default(), text, fatal: None }
    }

    /// Takes the next byte of the UART apart.
    pub(crate) fn hear(&mut self, byte: u8) -> Vec<Said> {
        let Some(decoder) = &self.decoder else { return self.text(byte) };
        let messages = match self.demux.push(byte) {
            Some(Item::Text(byte)) => return self.text(byte),
            Some(Item::Frame(frame)) => decoder.decode(&frame),
            Some(Item::Damaged) => vec![Message::damaged()],
            None => return Vec::new(),
        };
        for message in &messages {
            if message.level == Some(LogLevel::Error) && message.text.starts_with(FATAL) {
                self.give_up(&message.text);
            } else if let Some(fatal) = &mut self.fatal {
                fatal.last = Instant::now();
            }
        }
        messages.into_iter().map(Said::Message).collect()
    }

    fn text(&mut self, byte: u8) -> Vec<Said> {
        let mut said = vec![Said::Byte(byte)];
        if let Some(line) = self.lines.push(byte) {
            let is_ours = self.text == Text::Ours;
            if is_ours && EL3_ENDS.iter().any(|words| line.contains(words)) {
                self.give_up(&line);
            }
            said.push(Said::Line(line));
        }
        said
    }

    fn give_up(&mut self, words: &str) {
        let now = Instant::now();
        self.fatal.get_or_insert_with(|| Fatal { words: words.to_owned(), since: now, last: now });
    }

    /// The last line, if it has no end.
    pub(crate) fn rest(&mut self) -> Option<String> {
        if self.lines.is_empty() { None } else { self.lines.take() }
    }

    /// In which words the monitor or EL3 gave up, if one did.
    pub(crate) fn fatal(&self) -> Option<&str> {
        self.fatal.as_ref().map(|fatal| fatal.words.as_str())
    }

    /// Whether one gave up and has said all that it had to say.
    pub(crate) fn is_over(&self) -> bool {
        self.fatal.as_ref().is_some_and(|fatal| {
            fatal.last.elapsed() > LAST_WORDS || fatal.since.elapsed() > LONGEST_REPORT
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(tap: &mut Tap, text: &str) -> Vec<String> {
        let said = text.bytes().flat_map(|byte| tap.hear(byte));
        said.filter_map(|said| if let Said::Line(line) = said { Some(line) } else { None })
            .collect()
    }

    #[test]
    fn el3_s_last_words_end_the_machine_after_a_moment() {
        let mut tap = Tap::new(None, Text::Ours);
        assert_eq!(hear(&mut tap, "one\r\nPANIC in EL3.\nx30 = 0"), ["one", "PANIC in EL3."]);
        assert_eq!((tap.fatal(), tap.is_over()), (Some("PANIC in EL3."), false));
        assert_eq!(tap.rest().as_deref(), Some("x30 = 0"));
        std::thread::sleep(LAST_WORDS * 2);
        assert!(tap.is_over());
    }

    #[test]
    fn a_guest_cannot_end_the_machine_by_words() {
        let mut tap = Tap::new(None, Text::Guests);
        hear(&mut tap, "PANIC in EL3\n[rmm] ERROR fatal: at 0x1000\nfatal: not really\n");
        assert_eq!(tap.fatal(), None);
    }
}
