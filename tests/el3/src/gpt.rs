//! Granule protection tables: which physical address space each 4 KiB of the board's map belongs
//! to.
//!
//! Source: Arm ARM (DDI0487), "Granule Protection Tables", `GPCCR_EL3`; the map of FVP is that of
//! TF-A there.

use crate::board::Board;

/// A granule's protection information, with its encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Gpi {
    /// Nobody may access it.
    None = 0b0000,
    /// Secure.
    Secure = 0b1000,
    /// Non-secure.
    NonSecure = 0b1001,
    /// EL3's own.
    Root = 0b1010,
    /// Realm.
    Realm = 0b1011,
    /// Everybody may access it.
    Any = 0b1111,
}

/// Bytes that an entry of the level 0 table describes.
pub const LEVEL_0_SIZE: u64 = 1 << 30;
/// Bytes of a level 1 table: four bits for each 4 KiB.
pub const LEVEL_1_BYTES: u64 = 128 << 10;

/// Entries of the level 0 table.
#[must_use]
pub const fn level_0_entries(board: &Board) -> u64 {
    1 << (board.protected_bits - 30)
}

/// `GPCCR_EL3`: write-back inner shareable, 4 KiB, granule protection checks on.
///
/// # Panics
///
/// A board has another number of bits than those listed here.
#[must_use]
pub const fn gpccr(board: &Board) -> u64 {
    let size = match board.protected_bits {
        36 => 0b001,
        42 => 0b011,
        _ => panic!("no such size is listed"),
    };
    size | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 16
}

/// Entry `gib` of the level 0 table.
#[must_use]
pub fn level_0_entry(board: &Board, gib: u64) -> u64 {
    if let Some(table) = board.tables.iter().position(|with_table| *with_table == gib) {
        return (board.level_1() + table as u64 * LEVEL_1_BYTES) | 0b0011;
    }
    let whole = board.whole.iter().find(|(whole, _)| *whole == gib);
    (whole.map_or(Gpi::None, |(_, gpi)| *gpi) as u64) << 4 | 0b0001
}

/// What the granule at `pa` is at first.
#[must_use]
pub fn initial(board: &Board, pa: u64) -> Gpi {
    if board.dram.iter().any(|bank| bank.contains(&pa)) {
        Gpi::NonSecure
    } else if board.monitor.contains(&pa) {
        Gpi::Realm
    } else if board.shared_buffer.contains(&pa) {
        // Realm on a real board; but this EL3, with its MMU off, reaches Root memory only.
        Gpi::Any
    } else {
        let other = board.others.iter().find(|(range, _)| range.contains(&pa));
        other.map_or(Gpi::None, |(_, gpi)| *gpi)
    }
}

/// A word of a level 1 table at first, for the 16 granules from `pa` on.
#[must_use]
pub fn initial_word(board: &Board, pa: u64) -> u64 {
    (0..16).fold(0, |word, n| word | (initial(board, pa + n * 0x1000) as u64) << (4 * n))
}

/// Address of the word that describes the granule at `pa`, and the position of its lowest bit;
/// `None` if no level 1 table does.
#[must_use]
pub fn place(board: &Board, pa: u64) -> Option<(u64, u32)> {
    let table = board.tables.iter().position(|gib| *gib == pa / LEVEL_0_SIZE)?;
    let granule = pa % LEVEL_0_SIZE / 0x1000;
    let word = board.level_1() + table as u64 * LEVEL_1_BYTES + granule / 16 * 8;
    Some((word, u32::try_from(granule % 16).ok()? * 4))
}

/// The word with the granule at bit `shift` changed.
#[must_use]
pub fn with(word: u64, shift: u32, gpi: Gpi) -> u64 {
    word & !(0xf << shift) | (gpi as u64) << shift
}

/// Whether the granule at bit `shift` of the word is `gpi`.
#[must_use]
pub fn is(word: u64, shift: u32, gpi: Gpi) -> bool {
    word >> shift & 0xf == gpi as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::{FVP, SBSA};

    #[test]
    fn the_map_is_that_of_the_board() {
        assert_eq!(initial(&FVP, 0x8000_0000), Gpi::NonSecure);
        assert_eq!(initial(&FVP, 0xfbff_f000), Gpi::NonSecure);
        assert_eq!(initial(&FVP, 0xfc00_0000), Gpi::Secure);
        assert_eq!(initial(&FVP, 0xfdc0_0000), Gpi::Realm);
        assert_eq!(initial(&FVP, 0xffbe_f000), Gpi::Realm);
        assert_eq!(initial(&FVP, 0xffc0_0000), Gpi::Root);
        assert_eq!(initial(&FVP, 0x8_7fff_f000), Gpi::None);
        assert_eq!(initial(&FVP, 0x8_8000_0000), Gpi::NonSecure);
        assert_eq!(initial(&FVP, 0x8_ffff_f000), Gpi::NonSecure);
    }

    #[test]
    fn a_granule_has_four_bits_of_its_own() {
        assert_eq!(place(&FVP, 0x8000_0000), Some((FVP.level_1(), 0)));
        assert_eq!(place(&FVP, 0x8001_1000), Some((FVP.level_1() + 8, 4)));
        assert_eq!(place(&FVP, 0x8_8000_f000), Some((FVP.level_1() + 2 * LEVEL_1_BYTES, 60)));
        assert_eq!(place(&FVP, 0x4000_0000), None);
        let word = with(initial_word(&FVP, 0x8000_0000), 4, Gpi::Realm);
        assert!(
            is(word, 4, Gpi::Realm) && is(word, 0, Gpi::NonSecure) && is(word, 8, Gpi::NonSecure)
        );
    }

    #[test]
    fn tables_are_where_level_0_says() {
        assert_eq!(level_0_entry(&FVP, 2), FVP.level_1() | 3);
        assert_eq!(level_0_entry(&FVP, 0), 0xf1);
        assert_eq!(level_0_entry(&FVP, 4), 0x01);
        for board in crate::board::ALL {
            assert!(board.tables.iter().all(|gib| *gib < level_0_entries(board)));
            assert!(board.whole.iter().all(|(gib, _)| !board.tables.contains(gib)));
        }
    }

    #[test]
    fn the_server_board_has_its_memory_at_one_tebibyte() {
        assert_eq!(initial(&SBSA, 1 << 40), Gpi::NonSecure);
        assert_eq!(initial(&SBSA, (1 << 40) + 0x10_0000), Gpi::Realm);
        assert_eq!(initial(&SBSA, (1 << 40) + 0x18f_f000), Gpi::Any);
        assert_eq!(initial(&SBSA, (1 << 40) + 0x190_0000), Gpi::Root);
        assert_eq!(initial(&SBSA, (1 << 40) + 0x1a0_0000), Gpi::NonSecure);
        assert_eq!(place(&SBSA, 1 << 40), Some((SBSA.level_1(), 0)));
        assert_eq!((level_0_entries(&SBSA), gpccr(&SBSA) & 7), (4096, 3));
        assert_eq!((level_0_entries(&FVP), gpccr(&FVP)), (64, 0x1_3501));
    }
}
