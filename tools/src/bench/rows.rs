//! What the host reports while it measures.

use anyhow::bail;
use serde::Deserialize;

use super::figures::Figure;
use crate::console::demux::{Demux, Item};
use crate::console::lines::Lines;
use crate::qemu::{Flow, Listener};

/// A line of the host.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event {
    Bench(Figure),
    End {
        result: String,
        why: Option<String>,
    },
    #[serde(other)]
    Other,
}

/// Collects the host's rows from the UART.
#[derive(Debug, Default)]
pub struct Rows {
    demux: Demux,
    lines: Lines,
    rows: Vec<Figure>,
    end: Option<Result<(), String>>,
    last: String,
}

impl Rows {
    fn line(&mut self, line: String) {
        if let Some(event) =
            line.strip_prefix("@cairn ").and_then(|json| serde_json::from_str(json).ok())
        {
            match event {
                Event::Bench(row) => self.rows.push(row),
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
    pub fn finish(self) -> anyhow::Result<Vec<Figure>> {
        match self.end {
            Some(Ok(())) => Ok(self.rows),
            Some(Err(why)) => bail!("the host cannot measure this monitor: {why}"),
            None => bail!("the machine stopped after {}", self.last_words()),
        }
    }

    /// The last line, for a person who wonders.
    pub fn last_words(&self) -> String {
        match self.last.trim() {
            "" => "saying nothing".to_owned(),
            line => format!("the line `{line}`"),
        }
    }
}

impl Listener for Rows {
    fn received(&mut self, bytes: &[u8]) -> anyhow::Result<Flow> {
        for &byte in bytes {
            if let Some(Item::Text(byte)) = self.demux.push(byte)
                && let Some(line) = self.lines.push(byte)
            {
                self.line(line);
            }
        }
        Ok(Flow::Continue)
    }

    fn typed(&mut self, _bytes: &[u8]) -> (Vec<u8>, Flow) {
        (Vec::new(), Flow::Continue)
    }

    fn answer(&mut self) -> Vec<u8> {
        Vec::new()
    }

    fn idle(&mut self) -> anyhow::Result<Flow> {
        Ok(Flow::Continue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Rows {
        let mut rows = Rows::default();
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
    }
}
