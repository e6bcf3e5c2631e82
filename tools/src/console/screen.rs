//! Shows text and log messages on one screen so that neither spoils the other.
//!
//! Text goes out byte by byte (a prompt must appear without a line end). A message waits until the
//! cursor is at the left edge; if a prompt keeps it from there, the prompt is wiped, the message
//! written, the prompt written again.

use std::io::Write;
use std::time::{Duration, Instant};

/// How long a message waits for a line to end.
const PATIENCE: Duration = Duration::from_millis(150);

/// Messages that may wait at most; more would be a line that never ends.
const MOST_WAITING: usize = 256;

/// A screen on `W`.
#[derive(Debug)]
pub(crate) struct Screen<W> {
    out: W,
    /// What stands on the current line since the left edge.
    line: Vec<u8>,
    waiting: Vec<String>,
    waiting_since: Option<Instant>,
    /// Whether the current line can be wiped and written again.
    can_rewrite: bool,
}

impl<W: Write> Screen<W> {
    /// `can_rewrite`: `out` is a terminal.
    pub(crate) fn new(out: W, can_rewrite: bool) -> Self {
        Self { out, line: Vec::new(), waiting: Vec::new(), waiting_since: None, can_rewrite }
    }

    /// Shows one byte of text.
    pub(crate) fn text(&mut self, byte: u8) -> std::io::Result<()> {
        self.out.write_all(&[byte])?;
        if byte == b'\n' {
            self.line.clear();
            return self.show_waiting();
        }
        self.line.push(byte);
        Ok(())
    }

    /// Shows a message on lines of its own, as soon as that can be done.
    pub(crate) fn message(&mut self, message: String) -> std::io::Result<()> {
        self.waiting.push(message);
        self.waiting_since.get_or_insert_with(Instant::now);
        if self.line.is_empty() || self.waiting.len() > MOST_WAITING {
            return self.make_room();
        }
        Ok(())
    }

    /// To be called when nothing has come for a moment.
    pub(crate) fn idle(&mut self) -> std::io::Result<()> {
        if self.can_rewrite && self.waiting_since.is_some_and(|since| since.elapsed() > PATIENCE) {
            self.make_room()?;
        }
        self.out.flush()
    }

    /// Shows everything that waits and leaves the cursor at the left edge.
    pub(crate) fn finish(&mut self) -> std::io::Result<()> {
        if !self.line.is_empty() {
            self.text(b'\n')?;
        }
        self.show_waiting()?;
        self.out.flush()
    }

    fn make_room(&mut self) -> std::io::Result<()> {
        if self.line.is_empty() {
            return self.show_waiting();
        }
        self.out.write_all(if self.can_rewrite { b"\r\x1b[K" } else { b"\n" })?;
        self.show_waiting()?;
        if self.can_rewrite {
            self.out.write_all(&self.line)?;
        } else {
            self.line.clear();
        }
        self.out.flush()
    }

    fn show_waiting(&mut self) -> std::io::Result<()> {
        self.waiting_since = None;
        for message in std::mem::take(&mut self.waiting) {
            writeln!(self.out, "{message}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(can_rewrite: bool) -> Screen<Vec<u8>> {
        Screen::new(Vec::new(), can_rewrite)
    }

    fn write(screen: &mut Screen<Vec<u8>>, text: &str) {
        text.bytes().for_each(|byte| screen.text(byte).unwrap());
    }

    fn shown(screen: &Screen<Vec<u8>>) -> String {
        String::from_utf8(screen.out.clone()).unwrap()
    }

    #[test]
    fn a_message_waits_for_the_end_of_the_line() {
        let mut screen = screen(true);
        write(&mut screen, "one t");
        screen.message("M".into()).unwrap();
        write(&mut screen, "wo\nthree");
        assert_eq!(shown(&screen), "one two\nM\nthree");
    }

    #[test]
    fn at_the_left_edge_it_appears_at_once() {
        let mut screen = screen(true);
        screen.message("M".into()).unwrap();
        assert_eq!(shown(&screen), "M\n");
    }

    #[test]
    fn a_prompt_is_wiped_and_written_again() {
        let mut screen = screen(true);
        write(&mut screen, "~ # ls");
        screen.message("M".into()).unwrap();
        std::thread::sleep(PATIENCE * 2);
        screen.idle().unwrap();
        assert_eq!(shown(&screen), "~ # ls\r\x1b[KM\n~ # ls");
    }

    #[test]
    fn in_a_file_it_waits_until_the_end() {
        let mut screen = screen(false);
        write(&mut screen, "~ # ");
        screen.message("M".into()).unwrap();
        std::thread::sleep(PATIENCE * 2);
        screen.idle().unwrap();
        assert_eq!(shown(&screen), "~ # ");
        screen.finish().unwrap();
        assert_eq!(shown(&screen), "~ # \nM\n");
    }

    #[test]
    fn a_flood_of_messages_is_shown_all_the_same() {
        let mut screen = screen(false);
        write(&mut screen, "x");
        (0..=MOST_WAITING).for_each(|_| screen.message("M".into()).unwrap());
        assert!(shown(&screen).starts_with("x\nM\n"));
    }
}
