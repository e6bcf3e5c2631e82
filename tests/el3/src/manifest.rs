//! The boot manifest, version 0.3 with interface 0.4 and version 0.5 with 2.0, as TF-A writes them
//! on FVP; but banks and console are the board's.
//!
//! Source: RMM-EL3 communication interface, "Boot manifest".

use crate::board::Board;
use crate::edition::Edition;

/// Words that are used.
pub const WORDS: usize = 32;

/// Words before the arrays: 64 bytes in 0.3, 168 in 0.5.
const HEAD_V0_3: usize = 8;
const HEAD_V0_5: usize = 21;
/// Where the list of root complexes begins, in words: count, version, pointer, checksum.
const ROOT_COMPLEXES: usize = 17;

/// Baud rate of the console: QEMU's takes any.
const BAUD: u64 = 115_200;

/// The first words of the shared page at `page`.
#[must_use]
pub fn words(board: &Board, page: u64, edition: Edition) -> [u64; WORDS] {
    let (version, head) = if edition.is_v2 { (5, HEAD_V0_5) } else { (3, HEAD_V0_3) };
    let [first, second] = &board.dram;
    let banks = [first.start, first.end - first.start, second.start, second.end - second.start];
    let name = u64::from_le_bytes(*b"pl011\0\0\0");
    let console = [board.console, 1, name, 1, BAUD, 0];
    let list = |count: u64, at: usize, array: &[u64]| {
        let at = page + at as u64 * 8;
        let sum = array.iter().fold(count.wrapping_add(at), |sum, word| sum.wrapping_add(*word));
        [count, at, sum.wrapping_neg()]
    };
    let mut words = [0; WORDS];
    let mut put = |at: usize, values: &[u64]| {
        for (word, value) in words.iter_mut().skip(at).zip(values) {
            *word = *value;
        }
    };
    put(0, &[version]);
    put(2, &list(2, head, &banks));
    put(5, &list(1, head + banks.len(), &console));
    put(head, &banks);
    put(head + banks.len(), &console);
    if edition.is_v2 {
        // As TF-A writes it: of nothing, but with a pointer, and with a version that is not in the
        // sum.
        let [count, pointer, checksum] = list(0, head + banks.len() + console.len(), &[]);
        put(ROOT_COMPLEXES, &[count, 1, pointer, checksum]);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::{ALL, FVP, SBSA};

    fn sum(parts: &[&[u64]]) -> u64 {
        parts.iter().flat_map(|part| part.iter()).fold(0_u64, |sum, w| sum.wrapping_add(*w))
    }

    #[test]
    fn the_lists_of_0_3_add_up_to_zero() {
        for board in ALL {
            let words = words(board, 0x1000, Edition::V0);
            assert_eq!(sum(&[&words[2..5], &words[8..12]]), 0);
            assert_eq!(sum(&[&words[5..8], &words[12..18]]), 0);
            assert_eq!((words[0], words[3]), (3, 0x1000 + 64));
        }
        let banks = |board| {
            let words = words(board, 0x1000, Edition::V0);
            (words[8], words[10])
        };
        assert_eq!(banks(&FVP), (0x8000_0000, 0x8_8000_0000));
        assert_eq!(banks(&SBSA), (1 << 40, (1 << 40) + 0x1a0_0000));
    }

    #[test]
    fn the_lists_of_0_5_add_up_to_zero() {
        let words = words(&FVP, 0x1000, Edition::V2);
        assert_eq!(sum(&[&words[2..5], &words[21..25]]), 0);
        assert_eq!(sum(&[&words[5..8], &words[25..31]]), 0);
        assert_eq!((words[0], words[3], words[6]), (5, 0x1000 + 168, 0x1000 + 200));
        assert_eq!(words[8..17], [0; 9]);
        assert_eq!(words[17..21], [0, 1, 0x1000 + 248, 0_u64.wrapping_sub(0x1000 + 248)]);
    }
}
