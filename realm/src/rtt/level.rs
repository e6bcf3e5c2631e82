//! Levels of a translation table, with the 4 KiB granule.

use core::cmp::Ordering;

/// A level of lookup, from -1 (FEAT_LPA2) to 3 (pages). A level nearer to the pages is greater.
///
/// Kept as the number of address bits below an entry, which is what a walk computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    shift: u8,
}

impl PartialOrd for Level {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Level {
    fn cmp(&self, other: &Self) -> Ordering {
        other.shift.cmp(&self.shift)
    }
}

/// Address bits that one level resolves.
const BITS: u8 = 9;
/// Address bits below an entry of level 3.
const PAGE_SHIFT: u8 = 12;
/// Address bits below an entry of level -1.
const TOP_SHIFT: u8 = PAGE_SHIFT + 4 * BITS;

impl Level {
    /// The level of 4 KiB pages.
    pub const PAGE: Self = Self { shift: PAGE_SHIFT };

    /// The first level whose entries may map memory directly: 1 GiB blocks.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, A5.5.3: no 512 GiB blocks, even with FEAT_LPA2.
    pub const FIRST_LEAF: Self = Self { shift: PAGE_SHIFT + 2 * BITS };

    /// The next level after [`Level::FIRST_LEAF`]: 2 MiB blocks.
    pub const SECOND_LEAF: Self = Self { shift: PAGE_SHIFT + BITS };

    /// Checks a level that came from outside.
    pub const fn new(level: i64) -> Option<Self> {
        let below_top = level.wrapping_add(1).cast_unsigned();
        if below_top > 4 {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most 4")]
        Some(Self { shift: TOP_SHIFT - BITS * below_top as u8 })
    }

    /// The level as the ABI's signed number.
    pub const fn as_i64(self) -> i64 {
        self.as_u8().cast_signed() as i64
    }

    /// The level as eight bits: -1 is 0xff.
    pub const fn as_u8(self) -> u8 {
        // 48 -> -1, 39 -> 0, 30 -> 1, 21 -> 2, 12 -> 3.
        3_u8.wrapping_sub(self.shift.saturating_sub(PAGE_SHIFT) / BITS)
    }

    /// Number of address bits below an entry of this level.
    #[inline]
    pub const fn shift(self) -> u32 {
        // The mask changes nothing, and tells the compiler that no shift by it overflows.
        (self.shift & 63) as u32
    }

    /// Bytes that an entry of this level describes.
    #[inline]
    pub const fn entry_size(self) -> u64 {
        1 << self.shift()
    }

    /// Whether `address` is aligned to an entry of this level.
    #[inline]
    pub const fn is_aligned(self, address: u64) -> bool {
        address & (self.entry_size() - 1) == 0
    }

    /// `address` rounded down to an entry of this level.
    #[inline]
    pub const fn align_down(self, address: u64) -> u64 {
        address & !(self.entry_size() - 1)
    }

    /// The next level towards pages; `None` below pages.
    #[inline]
    pub const fn child(self) -> Option<Self> {
        if self.shift > PAGE_SHIFT { Some(Self { shift: self.shift - BITS }) } else { None }
    }

    /// The next level towards the root; `None` above level -1.
    #[inline]
    pub const fn parent(self) -> Option<Self> {
        if self.shift < TOP_SHIFT { Some(Self { shift: self.shift + BITS }) } else { None }
    }

    /// Whether an entry of this level may map memory (block or page).
    #[inline]
    pub const fn may_be_leaf(self) -> bool {
        self.shift <= Self::FIRST_LEAF.shift
    }

    /// Whether this is the level of pages.
    #[inline]
    pub const fn is_page(self) -> bool {
        self.shift == PAGE_SHIFT
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
