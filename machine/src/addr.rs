//! Addresses of granules.

/// Size of a granule in bytes. RMM 1.0 knows no other.
///
/// Source: RMM specification (Arm DEN0137) 1.0, A2.2 "Granules".
pub const GRANULE_SIZE: u64 = 4096;

/// Number of 64-bit words in a granule.
pub const GRANULE_WORDS: usize = 512;

/// Largest physical address width of the architecture (FEAT_LPA2), in bits.
const PA_BITS_MAX: u32 = 52;

/// Physical address of a granule: 4 KiB aligned and below 2^52.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GranuleAddr(u64);

impl GranuleAddr {
    /// Checks a physical address; `None` if it is not 4 KiB aligned or not below 2^52.
    pub const fn new(pa: u64) -> Option<Self> {
        if pa & (GRANULE_SIZE - 1) != 0 || pa >> PA_BITS_MAX != 0 {
            return None;
        }
        Some(Self(pa))
    }

    /// The granule that holds the byte at `pa`, whatever the low bits; bits above 51 are dropped.
    pub const fn containing(pa: u64) -> Self {
        Self(pa & ((1 << PA_BITS_MAX) - GRANULE_SIZE))
    }

    /// The address in bytes.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The granule `count` granules above this one; `None` past the physical address space.
    pub const fn add(self, count: u64) -> Option<Self> {
        match count.checked_mul(GRANULE_SIZE) {
            Some(bytes) => match self.0.checked_add(bytes) {
                Some(pa) => Self::new(pa),
                None => None,
            },
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_aligned_addresses_inside_the_physical_address_space_are_granules() {
        assert_eq!(GranuleAddr::new(0x1000).map(GranuleAddr::as_u64), Some(0x1000));
        assert_eq!(GranuleAddr::new(0x1001), None);
        assert_eq!(GranuleAddr::new(1 << 52), None);
        assert_eq!(GranuleAddr::new(!0xfff), None);
    }

    #[test]
    fn adding_never_wraps() {
        let last = GranuleAddr::new((1 << 52) - GRANULE_SIZE).unwrap();
        assert_eq!(last.add(1), None);
        assert_eq!(last.add(u64::MAX), None);
        assert_eq!(last.add(u64::MAX / GRANULE_SIZE), None);
        assert_eq!(last.add(0), Some(last));
    }

    #[test]
    fn containing_drops_the_low_bits() {
        assert_eq!(GranuleAddr::containing(0x1fff).as_u64(), 0x1000);
    }
}
