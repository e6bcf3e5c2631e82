//! One console for several talkers: the guest's bytes as they come, the host's lines in column 0.

use core::fmt::{self, Write};

/// Where the bytes go.
pub trait Sink {
    /// Writes one byte, waiting for room.
    fn write_byte(&mut self, byte: u8);
}

/// A console that remembers whether it is at the start of a line.
pub struct Console<S> {
    sink: S,
    in_line: bool,
}

impl<S: Sink> Console<S> {
    /// A console that is at the start of a line.
    pub const fn new(sink: S) -> Self {
        Self { sink, in_line: false }
    }

    /// The sink, for what a console has besides output.
    pub fn sink(&mut self) -> &mut S {
        &mut self.sink
    }

    /// Writes bytes of a guest.
    pub fn write_raw(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.sink.write_byte(*byte);
            self.in_line = *byte != b'\n';
        }
    }

    /// Writes a whole line, ending an unfinished one first.
    pub fn write_line(&mut self, line: fmt::Arguments<'_>) {
        if self.in_line {
            self.write_raw(b"\r\n");
        }
        // A sink cannot fail.
        let _ = self.write_fmt(line);
        self.write_raw(b"\r\n");
    }
}

impl<S: Sink> Write for Console<S> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write_raw(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    impl Sink for Vec<u8> {
        fn write_byte(&mut self, byte: u8) {
            self.push(byte);
        }
    }

    #[test]
    fn own_lines_start_in_column_0() {
        let mut console = Console::new(Vec::new());
        console.write_raw(b"login: ");
        console.write_line(format_args!("[host] {}", 1));
        console.write_raw(b"x\r\n");
        console.write_line(format_args!("[host] 2"));
        assert_eq!(console.sink, b"login: \r\n[host] 1\r\nx\r\n[host] 2\r\n");
    }
}
