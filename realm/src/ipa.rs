//! Intermediate physical addresses: a Realm's address space and its two halves.

use machine::PAGE_SIZE;

/// The IPA space of one Realm: `2^width_bits` bytes, lower half protected, upper half unprotected.
///
/// Source: RMM specification (Arm DEN0137) 1.0, A5.2.1 "Realm IPA space".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpaSpace {
    width_bits: u8,
}

impl IpaSpace {
    /// Changes no width, and tells the compiler that no shift by one overflows.
    const SHIFT_MASK: u8 = 63;

    /// A space of `width_bits`, between 1 and 52.
    pub const fn new(width_bits: u8) -> Option<Self> {
        if width_bits == 0 || width_bits > 52 { None } else { Some(Self { width_bits }) }
    }

    /// Width in bits.
    pub const fn width_bits(self) -> u8 {
        self.width_bits
    }

    /// First byte past the space.
    pub const fn end(self) -> u64 {
        1 << (self.width_bits & Self::SHIFT_MASK)
    }

    /// First byte of the unprotected half.
    pub const fn unprotected_base(self) -> u64 {
        1 << (self.width_bits.wrapping_sub(1) & Self::SHIFT_MASK)
    }

    /// Whether `ipa` is in the space at all.
    pub const fn contains(self, ipa: u64) -> bool {
        ipa < self.end()
    }

    /// Whether `ipa` is in the protected half.
    pub const fn is_protected(self, ipa: u64) -> bool {
        ipa < self.unprotected_base()
    }

    /// Whether `ipa` is in the unprotected half.
    pub const fn is_unprotected(self, ipa: u64) -> bool {
        !self.is_protected(ipa) && self.contains(ipa)
    }

    /// Whether `[base, top)` is not empty, aligned to pages and protected throughout: a range that
    /// a Realm names.
    pub const fn is_protected_range(self, base: u64, top: u64) -> bool {
        base.is_multiple_of(PAGE_SIZE)
            && top.is_multiple_of(PAGE_SIZE)
            && base < top
            && top <= self.unprotected_base()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_end_at_52_bits() {
        assert_eq!(IpaSpace::new(0), None);
        assert_eq!(IpaSpace::new(53), None);
        assert_eq!(IpaSpace::new(52).map(IpaSpace::end), Some(1 << 52));
    }

    #[test]
    fn the_halves_meet_in_the_middle() {
        let space = IpaSpace::new(33).unwrap();
        assert!(space.is_protected(0xffff_ffff));
        assert!(space.is_unprotected(0x1_0000_0000));
        assert!(space.is_unprotected(0x1_ffff_ffff));
        assert!(!space.contains(0x2_0000_0000));
        assert!(!space.is_unprotected(u64::MAX));
    }

    #[test]
    fn a_range_may_end_at_the_middle_and_not_beyond() {
        let space = IpaSpace::new(33).unwrap();
        assert!(space.is_protected_range(0, 0x1_0000_0000));
        assert!(!space.is_protected_range(0, 0x1_0000_1000));
        assert!(!space.is_protected_range(0x1000, 0x1000));
        assert!(!space.is_protected_range(0x1000, 0x1800));
        assert!(!space.is_protected_range(u64::MAX - 0xfff, 0));
    }
}
