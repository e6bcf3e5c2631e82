//! Lines on the console that are written for programs: the host's `@cairn {...}` and what EL3 says
//! when it switches the machine off. They go to those who judge and to log files, and are kept from
//! a person's terminal.

use std::time::{Duration, Instant};

/// How such lines begin. Their talkers write each at the left edge.
///
/// Source: `host/src/report.rs`; TF-A, `plat/qemu/qemu/qemu_pm.c`, `qemu_system_off`, which
/// calls it an error.
const BEGINNINGS: [&[u8]; 2] = [b"@cairn {", b"ERROR:   QEMU System Power off"];

/// How long the beginning of a line is held back that may become one of these. Their talkers write
/// without a pause, but the machine may have to wait for a CPU of a busy computer; a person's
/// prompt that looks like it appears this much later.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether a whole line is one of these.
pub(crate) fn is_one(line: &str) -> bool {
    BEGINNINGS.iter().any(|beginning| line.as_bytes().starts_with(beginning))
}

/// Keeps these lines out of a stream of bytes.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    line: Line,
    /// What has come of a line that may become one of these.
    held: Vec<u8>,
    held_since: Option<Instant>,
}

/// What the current line is.
#[derive(Debug, Default)]
enum Line {
    /// Not known yet.
    #[default]
    Begun,
    /// For people.
    Shown,
    /// For programs.
    Hidden,
}

impl Filter {
    /// Takes one byte; returns those that can be shown now.
    pub(crate) fn push(&mut self, byte: u8) -> Vec<u8> {
        let mut shown = Vec::new();
        match self.line {
            Line::Shown => shown.push(byte),
            Line::Hidden => {}
            Line::Begun => {
                self.held.push(byte);
                self.held_since = Some(Instant::now());
                if BEGINNINGS.contains(&self.held.as_slice()) {
                    self.held.clear();
                    self.line = Line::Hidden;
                } else if !BEGINNINGS.iter().any(|beginning| beginning.starts_with(&self.held)) {
                    shown = std::mem::take(&mut self.held);
                    self.line = Line::Shown;
                }
            }
        }
        if byte == b'\n' {
            self.line = Line::Begun;
        }
        shown
    }

    /// To be called when nothing has come for a moment; returns what has been held back for too
    /// long.
    pub(crate) fn idle(&mut self) -> Vec<u8> {
        let waited = self.held_since.is_some_and(|since| since.elapsed() > PATIENCE);
        if waited { self.finish() } else { Vec::new() }
    }

    /// Everything that is still held back.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        if !self.held.is_empty() {
            self.line = Line::Shown;
        }
        self.held_since = None;
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(filter: &mut Filter, text: &str) -> String {
        let bytes = text.bytes().flat_map(|byte| filter.push(byte)).collect();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn lines_for_programs_are_left_out_and_all_others_stay_as_they_are() {
        let machine =
            "@cairn {\"event\":\"start\"}\r\nERROR:   QEMU System Power off: with GPIO.\r\n";
        for text in ["", "\n\n", "one\r\n", "~ # echo @cairn {\n", "@cairn\n", "ERROR: x\nE\n@\n"] {
            let mixed = format!("{machine}{text}{machine}");
            assert_eq!(shown(&mut Filter::default(), &mixed), text);
        }
        assert!(machine.lines().all(is_one) && !is_one("~ # echo @cairn {"));
    }

    #[test]
    fn what_may_become_such_a_line_is_held_back_until_it_cannot() {
        let mut filter = Filter::default();
        assert_eq!(shown(&mut filter, "@cairn "), "");
        assert_eq!(shown(&mut filter, "is"), "@cairn is");
        assert_eq!(shown(&mut filter, " here\n@ca"), " here\n");
        assert_eq!(filter.idle(), b"", "not for long enough");
        filter.held_since = Instant::now().checked_sub(PATIENCE * 2);
        assert_eq!(filter.idle(), b"@ca");
        // It has become a line for people.
        assert_eq!(shown(&mut filter, "irn {\n@"), "irn {\n");
        assert_eq!((filter.finish(), filter.finish()), (b"@".to_vec(), Vec::new()));
    }
}
