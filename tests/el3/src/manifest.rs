//! The boot manifest, version 0.3, as TF-A writes it on FVP; but the console is the one that QEMU has.
//!
//! Source: RMM-EL3 communication interface, "Boot manifest".

use platform_fvp as fvp;
use platform_qemu as qemu;

/// Version 0.3.
const VERSION: u64 = 3;
/// Byte offsets of the arrays.
const BANKS: u64 = 64;
const CONSOLES: u64 = 128;
/// Words that are used.
pub const WORDS: usize = 24;

/// The first words of the shared page at `page`.
#[must_use]
pub fn words(page: u64) -> [u64; WORDS] {
    let [first, second] = fvp::DRAM;
    let banks = [first.start, first.end - first.start, second.start, second.end - second.start];
    let name = u64::from_le_bytes(*b"pl011\0\0\0");
    let console = [qemu::CONSOLE, 1, name, 1, fvp::CONSOLE_BAUD, 0];
    let list = |count: u64, at: u64, array: &[u64]| {
        let sum = array.iter().fold(count.wrapping_add(at), |sum, word| sum.wrapping_add(*word));
        [count, at, sum.wrapping_neg()]
    };
    let [d0, d1, d2] = list(2, page + BANKS, &banks);
    let [c0, c1, c2] = list(1, page + CONSOLES, &console);
    let [b0, b1, b2, b3] = banks;
    let [k0, k1, k2, k3, k4, k5] = console;
    [VERSION, 0, d0, d1, d2, c0, c1, c2, b0, b1, b2, b3, 0, 0, 0, 0, k0, k1, k2, k3, k4, k5, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_add_up_to_zero() {
        let words = words(0x1000);
        let sum = |parts: &[&[u64]]| {
            parts.iter().flat_map(|part| part.iter()).fold(0_u64, |sum, w| sum.wrapping_add(*w))
        };
        assert_eq!(sum(&[&words[2..5], &words[8..12]]), 0);
        assert_eq!(sum(&[&words[5..8], &words[16..22]]), 0);
        assert_eq!(words[3], 0x1000 + 64);
        assert_eq!((words[8], words[10]), (0x8000_0000, 0x8_8000_0000));
    }
}
