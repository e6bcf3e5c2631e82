//! Levels of a translation table, for each size of granules.
//!
//! | Granule | Levels | Entries of a table | An entry describes, from level 3 up |
//! | --- | --- | --- | --- |
//! | 4 KiB | 3 to -1 | 512 | 4 KiB, 2 MiB, 1 GiB, 512 GiB, 256 TiB |
//! | 16 KiB | 3 to 0 | 2048 | 16 KiB, 32 MiB, 64 GiB, 128 TiB |
//! | 64 KiB | 3 to 1 | 8192 | 64 KiB, 512 MiB, 4 TiB |
//!
//! Source: Arm ARM (DDI0487), VMSAv8-64, "Translation granules", "Stage 2 address translation".

use core::cmp::Ordering;

use machine::GranuleShift;

/// A level of lookup with granules of [`GranuleShift`] `SHIFT`, down to 3 (pages). A level nearer
/// to the pages is greater.
///
/// Kept as the number of address bits below an entry, which is what a walk computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelOf<const SHIFT: u32> {
    shift: u8,
}

/// A level of lookup with the granules that are offered.
pub type Level = LevelOf<{ GranuleShift::OFFERED.bits() }>;

impl<const SHIFT: u32> PartialOrd for LevelOf<SHIFT> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<const SHIFT: u32> Ord for LevelOf<SHIFT> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.shift.cmp(&self.shift)
    }
}

/// Most bits of an input address.
const INPUT_BITS_MAX: u32 = 52;

impl<const SHIFT: u32> LevelOf<SHIFT> {
    /// The granules.
    pub const GRANULE: GranuleShift = GranuleShift::of(SHIFT);

    /// Entries of a table, but see [`LevelOf::entries`].
    pub const ENTRIES: usize = Self::GRANULE.words();

    /// Address bits that one level resolves.
    #[expect(clippy::cast_possible_truncation, reason = "9, 11 or 13")]
    const BITS: u8 = Self::GRANULE.level_bits() as u8;

    /// Address bits below an entry of level 3.
    #[expect(clippy::cast_possible_truncation, reason = "12, 14 or 16")]
    const PAGE_SHIFT: u8 = SHIFT as u8;

    /// How many levels there are above level 3: as long as one has address bits to resolve.
    const ABOVE_PAGES: u8 = {
        let mut count = 0;
        while ((Self::PAGE_SHIFT + (count + 1) * Self::BITS) as u32) < INPUT_BITS_MAX {
            count += 1;
        }
        count
    };

    /// Address bits below an entry of the uppermost level.
    const TOP_SHIFT: u8 = Self::PAGE_SHIFT + Self::ABOVE_PAGES * Self::BITS;

    /// The level of single granules.
    pub const PAGE: Self = Self { shift: Self::PAGE_SHIFT };

    /// The last level whose entries may be blocks, which is level 2: 2, 32 or 512 MiB.
    pub const LAST_BLOCK: Self = Self { shift: Self::PAGE_SHIFT + Self::BITS };

    /// The first level whose entries may map memory directly: blocks of 1 GiB with granules of 4
    /// KiB, else those of [`LevelOf::LAST_BLOCK`].
    ///
    /// Larger ones exist in the architecture: 512 GiB and 64 GiB with FEAT_LPA2, 4 TiB with
    /// FEAT_LPA.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, A5.5.3: no 512 GiB blocks, even with FEAT_LPA2.
    pub const FIRST_LEAF: Self = match Self::GRANULE {
        GranuleShift::KIB_4 => Self { shift: Self::PAGE_SHIFT + 2 * Self::BITS },
        _ => Self::LAST_BLOCK,
    };

    /// Checks a level that came from outside.
    pub const fn new(level: i64) -> Option<Self> {
        let below_top = level.wrapping_add(Self::ABOVE_PAGES as i64 - 3).cast_unsigned();
        if below_top > Self::ABOVE_PAGES as u64 {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most 4")]
        Some(Self { shift: Self::TOP_SHIFT - Self::BITS * below_top as u8 })
    }

    /// The level as the ABI's signed number.
    pub const fn as_i64(self) -> i64 {
        self.as_u8().cast_signed() as i64
    }

    /// The level as eight bits: -1 is 0xff.
    pub const fn as_u8(self) -> u8 {
        // With granules of 4 KiB: 48 -> -1, 39 -> 0, 30 -> 1, 21 -> 2, 12 -> 3.
        3_u8.wrapping_sub(self.shift.saturating_sub(Self::PAGE_SHIFT) / Self::BITS)
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

    /// Number of entries of a table of this level. At the uppermost level no address leads to those
    /// behind: 16 of 512 are left at level -1, 32 of 2048 at level 0, and 1024 of 8192 at level 1.
    #[inline]
    pub const fn entries(self) -> usize {
        if self.is_top() { 1 << (INPUT_BITS_MAX - Self::TOP_SHIFT as u32) } else { Self::ENTRIES }
    }

    /// Place of an address's entry in the table of this level that holds it.
    #[inline]
    pub fn index_of(self, address: u64) -> usize {
        usize::try_from(address >> self.shift()).unwrap_or(usize::MAX) % Self::ENTRIES
    }

    /// Which of the tables of this level holds an address's entry: entries are numbered across all
    /// of them.
    #[inline]
    pub const fn table_of(self, address: u64) -> u64 {
        (address >> self.shift()) / Self::ENTRIES as u64
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
        if self.shift > Self::PAGE_SHIFT {
            Some(Self { shift: self.shift - Self::BITS })
        } else {
            None
        }
    }

    /// The next level towards the root; `None` above the uppermost level.
    #[inline]
    pub const fn parent(self) -> Option<Self> {
        if self.shift < Self::TOP_SHIFT {
            Some(Self { shift: self.shift + Self::BITS })
        } else {
            None
        }
    }

    /// Whether an entry of this level may map memory (block or page).
    #[inline]
    pub const fn may_be_leaf(self) -> bool {
        self.shift <= Self::FIRST_LEAF.shift
    }

    /// Whether this is the level of pages.
    #[inline]
    pub const fn is_page(self) -> bool {
        self.shift == Self::PAGE_SHIFT
    }

    /// Whether there is no level above.
    #[inline]
    const fn is_top(self) -> bool {
        self.shift == Self::TOP_SHIFT
    }

    /// Whether a walk can begin here only with FEAT_LPA2: at level -1 with granules of 4 KiB, at
    /// level 0 with those of 16 KiB.
    ///
    /// Source: Arm ARM (DDI0487), VTCR_EL2, SL0 and SL2; `AArch64.S2InvalidSL`.
    #[inline]
    pub(super) const fn starts_with_lpa2_only(self) -> bool {
        self.is_top() && !matches!(Self::GRANULE, GranuleShift::KIB_64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the table above says of the levels of a granule.
    fn levels_are<const SHIFT: u32>(top: i64, sizes: &[u64], top_entries: usize) {
        let levels: Vec<_> = (-2..=4).filter_map(LevelOf::<SHIFT>::new).rev().collect();
        let numbers: Vec<i64> = levels.iter().map(|level| level.as_i64()).collect();
        assert_eq!(numbers, (top..=3).rev().collect::<Vec<_>>());
        assert_eq!(levels.iter().map(|level| level.entry_size()).collect::<Vec<_>>(), sizes);
        for pair in levels.windows(2) {
            let [level, above] = pair else { unreachable!() };
            assert!(above < level);
            assert_eq!((above.child(), level.parent()), (Some(*level), Some(*above)));
            assert_eq!(level.entries() as u64, above.entry_size() / level.entry_size());
        }
        let highest = levels.last().unwrap();
        assert_eq!((highest.parent(), highest.entries()), (None, top_entries));
        assert_eq!(LevelOf::<SHIFT>::PAGE.child(), None);
    }

    #[test]
    fn levels_are_those_of_each_granule() {
        levels_are::<12>(-1, &[1 << 12, 2 << 20, 1 << 30, 512 << 30, 256 << 40], 16);
        levels_are::<14>(0, &[16 << 10, 32 << 20, 64 << 30, 128 << 40], 32);
        levels_are::<16>(1, &[64 << 10, 512 << 20, 4 << 40], 1024);
    }

    #[test]
    fn blocks_are_those_that_need_no_larger_addresses() {
        let four = (-1..=3).filter_map(LevelOf::<12>::new).filter(|level| level.may_be_leaf());
        assert_eq!(
            four.map(|level| level.entry_size()).collect::<Vec<_>>(),
            [1 << 30, 2 << 20, 4096]
        );
        assert_eq!(LevelOf::<14>::FIRST_LEAF.entry_size(), 32 << 20);
        assert_eq!(LevelOf::<16>::FIRST_LEAF.entry_size(), 512 << 20);
    }

    /// Bug catalogue V6: a level used before it was validated.
    #[test]
    fn v6_levels_outside_the_architecture_do_not_exist() {
        for level in [-2, 4, 64, i64::MIN, i64::MAX] {
            assert_eq!(Level::new(level), None);
        }
        for level in [i64::MIN, -1, 4, 64, i64::MAX] {
            assert_eq!(LevelOf::<14>::new(level), None);
            assert_eq!(LevelOf::<16>::new(level), None);
        }
        assert_eq!(LevelOf::<16>::new(0), None);
        assert_eq!(Level::PAGE.child(), None);
        assert_eq!(Level::new(-1).unwrap().parent(), None);
        assert_eq!(Level::new(-1).unwrap().as_u8(), 0xff);
    }
}
