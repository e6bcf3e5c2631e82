//! Wraps log frames so that they share a console with plain text.
//!
//! A frame opens with `0xC0` and closes with `0xC1`; between them each byte `0x80..=0xBF` carries
//! six bits of the contents, most significant first, the last ones padded with zeros. All those
//! bytes are above ASCII, so text of another talker can stand anywhere, also inside a frame, and
//! neither is lost.

/// Opens a frame.
pub const OPEN: u8 = 0xc0;
/// Closes a frame.
pub const CLOSE: u8 = 0xc1;
/// Marks a byte that carries six bits.
const DATA: u8 = 0x80;

/// Packs bytes into groups of six bits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Packer {
    /// Bits not yet sent, in the low end.
    bits: u16,
    /// How many: 0, 2 or 4 between bytes.
    count: u8,
}

impl Packer {
    /// A packer at the start of a frame.
    pub const fn new() -> Self {
        Self { bits: 0, count: 0 }
    }

    /// Adds one byte of contents; hands on what is complete.
    pub fn push(&mut self, byte: u8, mut send: impl FnMut(u8)) {
        self.bits = self.bits << 8 | u16::from(byte);
        self.count += 8;
        while self.count >= 6 {
            self.count -= 6;
            send(DATA | sextet(self.bits >> self.count));
        }
    }

    /// Hands on the rest, padded, and starts over.
    pub fn finish(&mut self, mut send: impl FnMut(u8)) {
        if self.count > 0 {
            send(DATA | sextet(self.bits << (6 - self.count)));
        }
        *self = Self::new();
    }
}

fn sextet(bits: u16) -> u8 {
    let [low, _] = (bits & 0x3f).to_le_bytes();
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(contents: &[u8]) -> Vec<u8> {
        let mut packer = Packer::new();
        let mut out = Vec::new();
        for &byte in contents {
            packer.push(byte, |byte| out.push(byte));
        }
        packer.finish(|byte| out.push(byte));
        out
    }

    fn unpack(packed: &[u8]) -> Vec<u8> {
        let (mut bits, mut count, mut out) = (0u32, 0, Vec::new());
        for &byte in packed {
            bits = bits << 6 | u32::from(byte & 0x3f);
            count += 6;
            if count >= 8 {
                count -= 8;
                out.push((bits >> count & 0xff) as u8);
            }
        }
        out
    }

    #[test]
    fn contents_survive_whatever_their_length() {
        let contents: Vec<u8> = (0..=255).rev().collect();
        for length in 0..contents.len() {
            let packed = pack(&contents[..length]);
            assert_eq!(unpack(&packed), &contents[..length]);
            assert!(packed.iter().all(|&byte| byte & 0xc0 == DATA));
        }
    }

    #[test]
    fn known_groups() {
        assert_eq!(pack(&[0xff]), [0xbf, 0xb0]);
        assert_eq!(pack(&[0x12, 0x34, 0x56]), [0x84, 0xa3, 0x91, 0x96]);
    }
}
