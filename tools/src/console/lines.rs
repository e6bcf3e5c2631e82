//! Whole lines out of a stream of text bytes.

/// A line longer than this is cut: a guest can write without end.
const LONGEST_LINE: usize = 64 << 10;

/// Collects bytes until a line is whole.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
}

impl Lines {
    /// Takes one byte; returns the line that it ends, without line end and escape sequences. A line
    /// of text that looks like one of the monitor's messages is marked.
    pub(crate) fn push(&mut self, byte: u8) -> Option<String> {
        self.bytes.push(byte);
        if byte != b'\n' && self.bytes.len() < LONGEST_LINE {
            return None;
        }
        self.take()
    }

    /// The unfinished line, if there is one.
    pub(crate) fn take(&mut self) -> Option<String> {
        let bytes = std::mem::take(&mut self.bytes);
        let text = String::from_utf8_lossy(&bytes);
        let line = anstream::adapter::strip_str(text.trim_end_matches(['\r', '\n'])).to_string();
        Some(if line.trim_start().starts_with("[rmm]") { format!("text: {line}") } else { line })
    }

    /// Whether a line has been begun.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> Vec<String> {
        let mut lines = Lines::default();
        text.iter().filter_map(|&byte| lines.push(byte)).collect()
    }

    #[test]
    fn lines_lose_their_ends_and_escapes() {
        assert_eq!(
            lines(b"one\r\ntwo\n\n\x1b[1mthree\x1b[0m\r\nrest"),
            ["one", "two", "", "three"]
        );
    }

    #[test]
    fn text_cannot_pass_for_a_message_of_the_monitor() {
        assert_eq!(
            lines(b"[rmm] ERROR a\n \x1b[1m[rmm] b\n[realm 1] [rmm] c\n"),
            ["text: [rmm] ERROR a", "text:  [rmm] b", "[realm 1] [rmm] c"]
        );
    }

    #[test]
    fn broken_utf_8_is_survived() {
        assert_eq!(lines(b"a\xff\xc3b\n").len(), 1);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        assert_eq!(lines(&vec![b'x'; LONGEST_LINE * 2 + 10]).len(), 2);
    }
}
