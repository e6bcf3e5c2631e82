//! Levels of a translation table, with the 4 KiB granule.

/// A level of lookup, from -1 (FEAT_LPA2) to 3 (pages).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(i8);

impl Level {
    /// The level of 4 KiB pages.
    pub const PAGE: Self = Self(3);

    /// The first level whose entries may map memory directly: 1 GiB blocks.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, A5.5.3: no 512 GiB blocks, even with FEAT_LPA2.
    pub const FIRST_LEAF: Self = Self(1);

    /// Checks a level that came from outside.
    pub const fn new(level: i64) -> Option<Self> {
        match level {
            -1 => Some(Self(-1)),
            0 => Some(Self(0)),
            1 => Some(Self(1)),
            2 => Some(Self(2)),
            3 => Some(Self(3)),
            _ => None,
        }
    }

    /// The level as the ABI's signed number.
    pub const fn as_i64(self) -> i64 {
        self.0 as i64
    }

    /// The level as eight bits: -1 is 0xff.
    pub const fn as_u8(self) -> u8 {
        self.0.cast_unsigned()
    }

    /// Number of address bits below an entry of this level.
    pub const fn shift(self) -> u32 {
        // -1 -> 48, 0 -> 39, 1 -> 30, 2 -> 21, 3 -> 12.
        (12 + 9 * (3 - self.0)).cast_unsigned() as u32
    }

    /// Bytes that an entry of this level describes.
    pub const fn entry_size(self) -> u64 {
        1 << self.shift()
    }

    /// Whether `address` is aligned to an entry of this level.
    pub const fn is_aligned(self, address: u64) -> bool {
        address.is_multiple_of(self.entry_size())
    }

    /// `address` rounded down to an entry of this level.
    pub const fn align_down(self, address: u64) -> u64 {
        address & !(self.entry_size() - 1)
    }

    /// The next level towards pages; `None` below pages.
    pub const fn child(self) -> Option<Self> {
        Self::new(self.as_i64() + 1)
    }

    /// The next level towards the root; `None` above level -1.
    pub const fn parent(self) -> Option<Self> {
        Self::new(self.as_i64() - 1)
    }

    /// Whether an entry of this level may map memory (block or page).
    pub const fn may_be_leaf(self) -> bool {
        self.0 >= 1
    }

    /// Whether this is the level of pages.
    pub const fn is_page(self) -> bool {
        self.0 == 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_4_kib_granule() {
        let sizes: Vec<u64> =
            (-1..=3).map(|level| Level::new(level).unwrap().entry_size()).collect();
        assert_eq!(sizes, [1 << 48, 1 << 39, 1 << 30, 1 << 21, 1 << 12]);
    }

    /// Bug catalogue V6: a level used before it was validated.
    #[test]
    fn v6_levels_outside_the_architecture_do_not_exist() {
        for level in [-2, 4, 64, i64::MIN, i64::MAX] {
            assert_eq!(Level::new(level), None);
        }
        assert_eq!(Level::PAGE.child(), None);
        assert_eq!(Level::new(-1).unwrap().parent(), None);
        assert_eq!(Level::new(-1).unwrap().as_u8(), 0xff);
    }
}
