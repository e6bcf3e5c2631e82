//! Ranges of granules, how much of one a command may do, and how far it got.

use machine::{GRANULE_SIZE, GranuleAddr, Vcpu};

/// Half-open, granule-aligned, non-empty range `[base, top)` of physical addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GranuleRange {
    base: GranuleAddr,
    count: u64,
}

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

impl GranuleRange {
    /// Checks two byte addresses from the Host.
    ///
    /// # Errors
    ///
    /// The first that holds of `Unaligned`, `Empty` and `OutOfBounds`.
    pub const fn new(base: u64, top: u64) -> Result<Self, RangeError> {
        if !base.is_multiple_of(GRANULE_SIZE) || !top.is_multiple_of(GRANULE_SIZE) {
            return Err(RangeError::Unaligned);
        }
        if top <= base {
            return Err(RangeError::Empty);
        }
        let count = (top - base) / GRANULE_SIZE;
        match (GranuleAddr::new(base), GranuleAddr::new(top - GRANULE_SIZE)) {
            (Some(base), Some(_)) => Ok(Self { base, count }),
            _ => Err(RangeError::OutOfBounds),
        }
    }

    /// A range of one granule.
    pub const fn one(granule: GranuleAddr) -> Self {
        Self { base: granule, count: 1 }
    }

    /// The first granule.
    pub const fn base(self) -> GranuleAddr {
        self.base
    }

    /// First byte address past the range.
    pub const fn top(self) -> u64 {
        self.base.as_u64() + self.count * GRANULE_SIZE
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
    pub const TABLE: Self = Self { units: 512 };

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
