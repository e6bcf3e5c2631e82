//! The monitor's log frames as lines of text, with the table that its ELF file carries.

use std::fmt;

use anstyle::{AnsiColor, Style};
use anyhow::Context;
use clap::ValueEnum;
use defmt_decoder::{DecodeError, Frame, Locations, Table};

use crate::cli::LogLevel;
use crate::symbols::Symbols;

/// What stands for a frame that could not be read.
pub(crate) const DAMAGED: &str = "(a log frame was damaged on the way)";

/// One message of the monitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// How important it is; `None` for `println`.
    pub level: Option<LogLevel>,
    /// When, if the monitor says.
    pub time: Option<String>,
    /// What.
    pub text: String,
    /// Module and line, if the ELF file has debug information.
    pub place: Option<String>,
}

/// The table of one monitor.
#[derive(Debug)]
pub(crate) struct Decoder {
    table: Table,
    locations: Option<Locations>,
    symbols: Symbols,
}

impl Decoder {
    /// Reads the table from an ELF file; `None` if it has none.
    pub(crate) fn new(elf: &[u8]) -> anyhow::Result<Option<Self>> {
        let table = Table::parse(elf).context(
            "the monitor's log table cannot be read; the versions of `defmt` and of this tool's `defmt-decoder` differ",
        )?;
        let Some(table) = table else { return Ok(None) };
        let locations = table.get_locations(elf).ok().filter(|found| !found.is_empty());
        Ok(Some(Self { table, locations, symbols: Symbols::read(elf)? }))
    }

    /// The messages in one frame of the wire (normally one).
    pub(crate) fn decode(&self, frame: &[u8]) -> Vec<Message> {
        let mut stream = self.table.new_stream_decoder();
        stream.received(frame);
        stream.received(&[0]); // ends the frame if its own end mark was not part of it
        let mut messages = Vec::new();
        loop {
            match stream.decode() {
                Ok(frame) => messages.push(self.message(&frame)),
                Err(DecodeError::UnexpectedEof) => return messages,
                Err(DecodeError::Malformed) => {
                    messages.push(Message::damaged());
                    return messages;
                }
            }
        }
    }

    fn message(&self, frame: &Frame<'_>) -> Message {
        let location = self.locations.as_ref().and_then(|all| all.get(&frame.index()));
        Message {
            level: frame.level().and_then(|level| LogLevel::from_str(level.as_str(), true).ok()),
            time: frame.display_timestamp().map(|time| time.to_string()),
            text: self.symbols.explain(&frame.display_message().to_string()),
            place: location.map(|at| format!("{}:{}", at.module, at.line)),
        }
    }
}

impl Message {
    /// Stands for a frame that could not be read.
    pub(crate) fn damaged() -> Self {
        Self { level: Some(LogLevel::Warn), time: None, text: DAMAGED.to_owned(), place: None }
    }

    /// As it is written to files: without colours.
    pub(crate) fn plain(&self) -> String {
        anstream::adapter::strip_str(&self.to_string()).to_string()
    }

    /// Whether it should be shown at `limit`.
    pub(crate) fn is_shown_at(&self, limit: LogLevel) -> bool {
        self.level.unwrap_or(LogLevel::Error) <= limit
    }

    fn style(&self) -> Style {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        match self.level {
            Some(LogLevel::Error) => colour(AnsiColor::Red).bold(),
            Some(LogLevel::Warn) => colour(AnsiColor::Yellow),
            Some(LogLevel::Info) => colour(AnsiColor::Green),
            Some(LogLevel::Debug) => colour(AnsiColor::Blue),
            Some(LogLevel::Trace | LogLevel::Off) | None => Style::new().dimmed(),
        }
    }
}

impl fmt::Display for Message {
    /// With colours; the writer takes them out where they are not wanted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let style = self.style();
        let dim = Style::new().dimmed();
        write!(f, "{style}[rmm]{style:#} ")?;
        if let Some(time) = &self.time {
            write!(f, "{dim}{time}{dim:#} ")?;
        }
        let name = self.level.map_or("     ", |level| match level {
            LogLevel::Error => "ERROR",
            LogLevel::Warn => "WARN ",
            LogLevel::Info => "INFO ",
            LogLevel::Debug => "DEBUG",
            LogLevel::Trace | LogLevel::Off => "TRACE",
        });
        // A message may have several lines; they stay recognisable as one.
        write!(
            f,
            "{style}{name}{style:#} {}",
            self.text.trim_end().replace('\n', "\n[rmm]       ")
        )?;
        match &self.place {
            Some(place) => write!(f, " {dim}({place}){dim:#}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(level: Option<LogLevel>) -> Message {
        Message { level, time: None, text: "hello\n".into(), place: Some("rmm::boot:7".into()) }
    }

    #[test]
    fn levels_filter() {
        assert!(message(Some(LogLevel::Warn)).is_shown_at(LogLevel::Info));
        assert!(!message(Some(LogLevel::Debug)).is_shown_at(LogLevel::Info));
        assert!(!message(Some(LogLevel::Error)).is_shown_at(LogLevel::Off));
        assert!(message(None).is_shown_at(LogLevel::Error));
    }

    #[test]
    fn a_message_is_one_readable_line() {
        let plain = message(Some(LogLevel::Info)).plain();
        assert_eq!(plain, "[rmm] INFO  hello (rmm::boot:7)");
    }

    #[test]
    fn what_is_not_elf_has_no_table() {
        assert!(Decoder::new(b"not an ELF file").is_err());
    }
}
