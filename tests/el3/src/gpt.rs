//! Granule protection tables: which physical address space each 4 KiB of FVP's map belongs to.
//!
//! Source: Arm ARM (DDI0487), "Granule Protection Tables"; the map is that of TF-A on FVP.

use platform_fvp as fvp;

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

/// Physical addresses that the tables describe: 36 bits.
pub const PROTECTED_BITS: u32 = 36;
/// Bytes that an entry of the level 0 table describes.
pub const LEVEL_0_SIZE: u64 = 1 << 30;
/// Entries of the level 0 table.
pub const LEVEL_0_ENTRIES: u64 = 1 << (PROTECTED_BITS - 30);
/// Bytes of a level 1 table: four bits for each 4 KiB.
pub const LEVEL_1_BYTES: u64 = 128 << 10;
/// GiBs with a level 1 table: those of FVP's memory.
pub const TABLES: [u64; 4] = [2, 3, 34, 35];
/// Where the level 1 tables are, in secure RAM that nobody else uses.
pub const LEVEL_1_BASE: u64 = 0x0e20_0000;
/// Where the level 0 table is.
pub const LEVEL_0_BASE: u64 = 0x0e10_0000;

/// `GPCCR_EL3`: 36 bits, write-back inner shareable, 4 KiB, granule protection checks on.
pub const GPCCR: u64 = 0b001 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 16;

/// Entry `gib` of the level 0 table.
#[must_use]
pub fn level_0_entry(gib: u64) -> u64 {
    if let Some(table) = TABLES.iter().position(|with_table| *with_table == gib) {
        return (LEVEL_1_BASE + table as u64 * LEVEL_1_BYTES) | 0b0011;
    }
    let whole = match gib {
        // Devices, flash, secure RAM: what keeps the Normal world from the latter does not matter here.
        0 => Gpi::Any,
        // Where QEMU puts the device tree.
        1 => Gpi::NonSecure,
        _ => Gpi::None,
    };
    (whole as u64) << 4 | 0b0001
}

/// What the granule at `pa` is at first.
#[must_use]
pub fn initial(pa: u64) -> Gpi {
    if fvp::DRAM.iter().any(|bank| bank.contains(&pa)) {
        Gpi::NonSecure
    } else if fvp::MONITOR.contains(&pa) {
        Gpi::Realm
    } else if fvp::SHARED_BUFFER.contains(&pa) {
        // Realm on the board; but this EL3, with its MMU off, reaches Root memory only.
        Gpi::Any
    } else if fvp::EL3.contains(&pa) || fvp::GRANULE_PROTECTION.contains(&pa) {
        Gpi::Root
    } else if (0xfc00_0000..fvp::MONITOR.start).contains(&pa) {
        Gpi::Secure
    } else {
        Gpi::None
    }
}

/// A word of a level 1 table at first, for the 16 granules from `pa` on.
#[must_use]
pub fn initial_word(pa: u64) -> u64 {
    (0..16).fold(0, |word, n| word | (initial(pa + n * 0x1000) as u64) << (4 * n))
}

/// Address of the word that describes the granule at `pa`, and the position of its lowest bit; `None` if no level 1
/// table does.
#[must_use]
pub fn place(pa: u64) -> Option<(u64, u32)> {
    let table = TABLES.iter().position(|gib| *gib == pa / LEVEL_0_SIZE)?;
    let granule = pa % LEVEL_0_SIZE / 0x1000;
    let word = LEVEL_1_BASE + table as u64 * LEVEL_1_BYTES + granule / 16 * 8;
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

    #[test]
    fn the_map_is_that_of_the_board() {
        assert_eq!(initial(0x8000_0000), Gpi::NonSecure);
        assert_eq!(initial(0xfbff_f000), Gpi::NonSecure);
        assert_eq!(initial(0xfc00_0000), Gpi::Secure);
        assert_eq!(initial(0xfdc0_0000), Gpi::Realm);
        assert_eq!(initial(0xffbe_f000), Gpi::Realm);
        assert_eq!(initial(0xffc0_0000), Gpi::Root);
        assert_eq!(initial(0x8_7fff_f000), Gpi::None);
        assert_eq!(initial(0x8_8000_0000), Gpi::NonSecure);
        assert_eq!(initial(0x8_ffff_f000), Gpi::NonSecure);
    }

    #[test]
    fn a_granule_has_four_bits_of_its_own() {
        assert_eq!(place(0x8000_0000), Some((LEVEL_1_BASE, 0)));
        assert_eq!(place(0x8001_1000), Some((LEVEL_1_BASE + 8, 4)));
        assert_eq!(place(0x8_8000_f000), Some((LEVEL_1_BASE + 2 * LEVEL_1_BYTES, 60)));
        assert_eq!(place(0x4000_0000), None);
        let word = with(initial_word(0x8000_0000), 4, Gpi::Realm);
        assert!(
            is(word, 4, Gpi::Realm) && is(word, 0, Gpi::NonSecure) && is(word, 8, Gpi::NonSecure)
        );
    }

    #[test]
    fn tables_are_where_level_0_says() {
        assert_eq!(level_0_entry(2), LEVEL_1_BASE | 3);
        assert_eq!(level_0_entry(0), 0xf1);
        assert_eq!(level_0_entry(4), 0x01);
        assert!(TABLES.iter().all(|gib| *gib < LEVEL_0_ENTRIES));
    }
}
