//! The user's terminal: keys go to the guest one by one while a guard lives, and back to normal
//! afterwards.

use rustix::stdio::stdin;
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

/// Unbuffered, unechoed input. Dropping it restores the terminal, which covers panics and signals
/// too: signals only set a flag (see [`crate::signals`]).
#[derive(Debug)]
pub(crate) struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Switches standard input to raw mode; `None` if it is not a terminal.
    pub(crate) fn enter() -> Option<Self> {
        let before = tcgetattr(stdin()).ok()?;
        let mut raw = before.clone();
        // Output processing stays on, so that "\n" still starts at the left edge.
        raw.input_modes -= InputModes::BRKINT
            | InputModes::ICRNL
            | InputModes::INLCR
            | InputModes::IGNCR
            | InputModes::ISTRIP
            | InputModes::IXON;
        raw.local_modes -= LocalModes::ECHO
            | LocalModes::ECHONL
            | LocalModes::ICANON
            | LocalModes::IEXTEN
            | LocalModes::ISIG;
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}

/// What the keys mean, for the help of `run`.
pub(crate) const KEYS: &str = "\
Keys while the machine runs, without --check:
  Ctrl-A x               end the machine
  Ctrl-A Ctrl-A          one Ctrl-A for the machine
  Ctrl-A Ctrl-A DIGIT    with --realms: type to the Realm of this number
  every other key        goes to the Realm, Ctrl-C too";

/// Ctrl-A: what follows is for us.
const ESCAPE: u8 = 0x01;

/// Finds our own commands among the keys.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    escaped: bool,
}

/// What the keys mean.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Typed {
    /// Bytes for the guest.
    pub bytes: Vec<u8>,
    /// Ctrl-A x was typed.
    pub quit: bool,
}

impl Keys {
    /// Takes typed bytes: `Ctrl-A x` quits, `Ctrl-A Ctrl-A` is one Ctrl-A, anything else goes to
    /// the guest.
    pub(crate) fn typed(&mut self, bytes: &[u8]) -> Typed {
        let mut typed = Typed::default();
        for &byte in bytes {
            if std::mem::take(&mut self.escaped) {
                match byte {
                    b'x' | b'X' => typed.quit = true,
                    ESCAPE => typed.bytes.push(ESCAPE),
                    _ => typed.bytes.extend([ESCAPE, byte]),
                }
            } else if byte == ESCAPE {
                self.escaped = true;
            } else {
                typed.bytes.push(byte);
            }
        }
        typed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_reach_the_guest_unless_escaped() {
        let mut keys = Keys::default();
        assert_eq!(keys.typed(b"ls\r\x03"), Typed { bytes: b"ls\r\x03".to_vec(), quit: false });
        assert_eq!(keys.typed(b"\x01\x01"), Typed { bytes: vec![1], quit: false });
        assert_eq!(keys.typed(b"\x01c"), Typed { bytes: b"\x01c".to_vec(), quit: false });
    }

    #[test]
    fn the_escape_may_come_in_two_parts() {
        let mut keys = Keys::default();
        assert_eq!(keys.typed(b"a\x01"), Typed { bytes: b"a".to_vec(), quit: false });
        assert!(keys.typed(b"x").quit);
    }
}
