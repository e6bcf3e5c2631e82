//! What the host reports while it measures.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::Arc;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::console::log::Decoder;
use crate::console::progress::Novelty;
use crate::console::tap::{Said, Tap, Text};
use crate::fault::Verdict;
use crate::qemu::{Flow, Listener};

/// A line of the host.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event<R> {
    Bench(R),
    End {
        result: String,
        why: Option<String>,
    },
    #[serde(other)]
    Other,
}

/// Collects the host's rows from the UART.
#[derive(Debug)]
pub(super) struct Rows<R> {
    tap: Tap,
    novelty: Novelty,
    log: BufWriter<File>,
    has_progressed: bool,
    rows: Vec<R>,
    end: Option<Result<(), String>>,
    last: String,
    /// What was said from the crash report on.
    report: Vec<String>,
}

impl<R: DeserializeOwned> Rows<R> {
    /// A listener that writes everything to `log`.
    pub(super) fn new(decoder: Option<Decoder>, log: File) -> Self {
        Self {
            tap: Tap::new(decoder.map(Arc::new), Text::Ours),
            novelty: Novelty::default(),
            log: BufWriter::new(log),
            has_progressed: false,
            rows: Vec::new(),
            end: None,
            last: String::new(),
            report: Vec::new(),
        }
    }

    fn keep(&mut self, line: &str) -> anyhow::Result<()> {
        self.has_progressed |= self.novelty.is_new(line);
        if self.tap.fatal().is_some() {
            self.report.push(line.to_owned());
        }
        writeln!(self.log, "{line}").context("cannot write the log file")
    }

    fn line(&mut self, line: String) {
        if let Some(event) =
            line.strip_prefix("@cairn ").and_then(|json| serde_json::from_str(json).ok())
        {
            match event {
                Event::Bench(row) => {
                    self.has_progressed = true;
                    self.rows.push(row);
                }
                Event::End { result, .. } if result == "ok" => self.end = Some(Ok(())),
                Event::End { why, .. } => self.end = Some(Err(why.unwrap_or_default())),
                Event::Other => {}
            }
        }
        if !line.trim().is_empty() {
            self.last = line;
        }
    }

    /// All rows, if the host came to a good end.
    pub(super) fn finish(mut self) -> anyhow::Result<Vec<R>> {
        self.log.flush().context("cannot write the log file")?;
        if self.tap.fatal().is_some() {
            let report = self.report.join("\n  ");
            return Err(Verdict(format!("the monitor or EL3 gave up:\n  {report}")).into());
        }
        match self.end {
            Some(Ok(())) => Ok(self.rows),
            Some(Err(why)) => bail!("the host cannot measure this monitor: {why}"),
            None => bail!("the machine stopped after {}", self.last_words()),
        }
    }

    /// The last line, for a person who wonders.
    pub(super) fn last_words(&self) -> String {
        match self.last.trim() {
            "" => "saying nothing".to_owned(),
            line => format!("the line `{line}`"),
        }
    }
}

impl<R: DeserializeOwned> Listener for Rows<R> {
    fn received(&mut self, bytes: &[u8]) -> anyhow::Result<Flow> {
        for &byte in bytes {
            for said in self.tap.hear(byte) {
                match said {
                    Said::Byte(_) => {}
                    Said::Line(line) => {
                        self.keep(&line)?;
                        self.line(line);
                    }
                    Said::Message(message) => self.keep(&message.plain())?,
                }
            }
        }
        self.idle()
    }

    fn typed(&mut self, _bytes: &[u8]) -> (Vec<u8>, Flow) {
        (Vec::new(), Flow::Continue)
    }

    fn answer(&mut self) -> Vec<u8> {
        Vec::new()
    }

    fn idle(&mut self) -> anyhow::Result<Flow> {
        Ok(if self.tap.is_over() { Flow::Stop } else { Flow::Continue })
    }

    fn takes_progress(&mut self) -> bool {
        std::mem::take(&mut self.has_progressed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::Figure;

    fn rows(text: &str) -> Rows<Figure> {
        let log = File::options().write(true).open("/dev/null").unwrap();
        let mut rows = Rows::new(None, log);
        rows.received(text.as_bytes()).unwrap();
        rows
    }

    #[test]
    fn rows_count_only_after_a_good_end() {
        let row = "@cairn {\"event\":\"bench\",\"name\":\"rmi_version\",\"instructions\":7}\n";
        let good = format!("{row}noise\n@cairn {{\"event\":\"end\",\"result\":\"ok\"}}\n");
        assert_eq!(rows(&good).finish().unwrap(), [Figure::new("rmi_version", 7)]);
        let error = rows(row).finish().unwrap_err().to_string();
        assert!(error.contains("stopped after"), "{error}");
        let bad =
            format!("{row}@cairn {{\"event\":\"end\",\"result\":\"error\",\"why\":\"no\"}}\n");
        assert!(rows(&bad).finish().unwrap_err().to_string().ends_with(": no"));
        let panic = format!("{row}PANIC in EL3.\nx30 = 0x1000\n");
        let error = rows(&panic).finish().unwrap_err().to_string();
        assert!(error.contains("gave up") && error.contains("x30 = 0x1000"), "{error}");
    }
}
