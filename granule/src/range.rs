//! Ranges of granules, how much of one a command may do, and how far it got.

use machine::addr::GRANULE_WORDS;
use machine::{GranuleAddrOf, GranuleShift, Vcpu};

/// Half-open, granule-aligned, non-empty range `[base, top)` of physical addresses. Granules are
/// those of [`GranuleShift`] `SHIFT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GranuleRangeOf<const SHIFT: u32> {
    base: GranuleAddrOf<SHIFT>,
    count: u64,
}

/// A range of granules of the size that is offered.
pub type GranuleRange = GranuleRangeOf<{ GranuleShift::OFFERED.bits() }>;

/// Why two addresses make no range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeError {
    /// One of them is not aligned to granules.
    Unaligned,
    /// The range is empty, or ends below its start.
    Empty,
    /// It does not lie in the physical address space.
    OutOfBounds,
}

impl<const SHIFT: u32> GranuleRangeOf<SHIFT> {
    const SIZE: u64 = GranuleAddrOf::<SHIFT>::SIZE;

    /// Checks two byte addresses from the Host.
    ///
    /// # Errors
    ///
    /// The first that holds of `Unaligned`, `Empty` and `OutOfBounds`.
    #[inline(always)] // perf: part of each command on ranges (`range_delegate_1`).
    pub const fn new(base: u64, top: u64) -> Result<Self, RangeError> {
        if !base.is_multiple_of(Self::SIZE) || !top.is_multiple_of(Self::SIZE) {
            return Err(RangeError::Unaligned);
        }
        if top <= base {
            return Err(RangeError::Empty);
        }
        let count = (top - base) / Self::SIZE;
        match (GranuleAddrOf::new(base), GranuleAddrOf::<SHIFT>::new(top - Self::SIZE)) {
            (Some(base), Some(_)) => Ok(Self { base, count }),
            _ => Err(RangeError::OutOfBounds),
        }
    }

    /// A range of one granule.
    pub const fn one(granule: GranuleAddrOf<SHIFT>) -> Self {
        Self { base: granule, count: 1 }
    }

    /// The first granule.
    pub const fn base(self) -> GranuleAddrOf<SHIFT> {
        self.base
    }

    /// First byte address past the range.
    pub const fn top(self) -> u64 {
        self.base.as_u64() + self.count * Self::SIZE
    }

    /// How many granules it has: at least one.
    pub const fn count(self) -> u64 {
        self.count
    }

    /// What is left of the range behind its first `done` granules, at most `max` of it; `None` if
    /// that is nothing.
    pub fn part(self, done: u64, max: u64) -> Option<Self> {
        let count = self.count.checked_sub(done)?.min(max);
        let base = self.base.add(done)?;
        if count == 0 { None } else { Some(Self { base, count }) }
    }
}

/// How much of a range one command does at most.
///
/// It does at least one unit, whatever is pending, and then looks for an interrupt now and then: a
/// Host that is interrupted gets back with what has been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Granules, or entries of a table.
    pub units: u64,
}

impl Budget {
    /// One unit: what commands do that know no ranges.
    pub const ONE: Self = Self { units: 1 };

    /// What one table describes.
    pub const TABLE: Self = Self { units: GRANULE_WORDS as u64 };

    /// Whether a command that has done so many units may begin another one.
    #[inline(always)]
    pub fn goes_on(self, done: u64, machine: &impl Vcpu) -> bool {
        done < self.units && !machine.interrupt_pending()
    }
}

/// How far a command got on a range: past its base, at most to its top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// First byte address that it did not reach.
    pub reached: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_aligned_and_not_empty_and_ends_with_the_address_space() {
        const END: u64 = 1 << 52;
        assert_eq!(GranuleRange::new(0x1000, 0x3000).map(GranuleRange::count), Ok(2));
        assert_eq!(GranuleRange::new(0x1800, 0x3000), Err(RangeError::Unaligned));
        assert_eq!(GranuleRange::new(0x1000, 0x2fff), Err(RangeError::Unaligned));
        assert_eq!(GranuleRange::new(0x1000, 0x1000), Err(RangeError::Empty));
        assert_eq!(GranuleRange::new(0x2000, 0x1000), Err(RangeError::Empty));
        assert_eq!(GranuleRange::new(END - 0x1000, END).map(GranuleRange::top), Ok(END));
        assert_eq!(GranuleRange::new(END - 0x1000, END + 0x1000), Err(RangeError::OutOfBounds));
        assert_eq!(GranuleRange::new(0, !0xfff), Err(RangeError::OutOfBounds));
    }

    /// All ranges between some addresses, next to a list of the granules that each must be.
    fn a_range_is_its_granules<const SHIFT: u32>() {
        let size = 1_u64 << SHIFT;
        let ends: Vec<u64> = (0..20).map(|number| 0x8000_0000 + number * size / 4).collect();
        for &base in &ends {
            for &top in &ends {
                let granules: Vec<u64> = (0..5)
                    .map(|number| 0x8000_0000 + number * size)
                    .filter(|granule| (base..top).contains(granule))
                    .collect();
                let aligned = base % size == 0 && top % size == 0;
                match GranuleRangeOf::<SHIFT>::new(base, top) {
                    Err(RangeError::Unaligned) => assert!(!aligned),
                    Err(RangeError::Empty) => assert!(aligned && top <= base),
                    Err(RangeError::OutOfBounds) => unreachable!("{base:#x} to {top:#x}"),
                    Ok(range) => {
                        assert!(aligned && top > base);
                        assert_eq!((range.base().as_u64(), range.top()), (base, top));
                        for done in 0..6 {
                            for max in 0..6 {
                                let part = granules.iter().skip(done).take(max);
                                let found = range.part(done as u64, max as u64).map(granules_of);
                                assert_eq!(
                                    found.unwrap_or_default(),
                                    part.copied().collect::<Vec<_>>()
                                );
                            }
                        }
                    }
                }
            }
        }
        let end = 1 << 52;
        assert_eq!(GranuleRangeOf::<SHIFT>::new(end - size, end).map(|it| it.top()), Ok(end));
        let past = GranuleRangeOf::<SHIFT>::new(end - size, end + size);
        assert_eq!(past, Err(RangeError::OutOfBounds));
    }

    fn granules_of<const SHIFT: u32>(range: GranuleRangeOf<SHIFT>) -> Vec<u64> {
        (0..range.count()).map(|number| range.base().add(number).unwrap().as_u64()).collect()
    }

    #[test]
    fn a_range_is_its_granules_whatever_their_size() {
        a_range_is_its_granules::<12>();
        a_range_is_its_granules::<14>();
        a_range_is_its_granules::<16>();
    }

    #[test]
    fn a_part_lies_inside() {
        let range = GranuleRange::new(0x1000, 0x5000).unwrap();
        assert_eq!(range.part(0, 9), Some(range));
        assert_eq!(range.part(1, 2), GranuleRange::new(0x2000, 0x4000).ok());
        assert_eq!(range.part(3, 2), GranuleRange::new(0x4000, 0x5000).ok());
        assert_eq!(range.part(4, 2), None);
        assert_eq!(range.part(5, 2), None);
        assert_eq!(range.part(0, 0), None);
    }
}
