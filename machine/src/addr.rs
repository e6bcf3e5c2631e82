//! Sizes and addresses of granules, and the size of a page.
//!
//! | | Is | Bytes |
//! | --- | --- | --- |
//! | granule | what is delegated, tracked and mapped, and a table of stage 2 | [`GRANULE_SIZE`] |
//! | page | what interfaces and the monitor lay out: ABI pages, RD, REC | [`PAGE_SIZE`] |

/// Number of address bits below a granule: 12, 14 or 16.
///
/// Levels of tables, walks, passes over a table, folding, ranges of granules and the entries that
/// they are split into are written for each of them, and tested with all three. A Host is offered
/// [`GranuleShift::OFFERED`] alone, for what larger granules need besides would cost those of 4 KiB
/// instructions or memory, or is the hardware's:
///
/// * A slot maps a granule by one descriptor of the monitor's own stage 1, and the traits of
///   [`Memory`](crate::Memory) have a granule as one [`Page`](crate::Page). A table of 64 KiB is 16
///   pages: as many descriptors and invalidations for each table of a walk.
/// * The word of a granule counts live entries in 10 bits, beside 5 of state and the lock. The 2048
///   entries of a table of 16 KiB need 12 bits, and the 8192 of one of 64 KiB need 14, for which 16
///   bits have no room beside the lock and 3 of state: the granule table would be twice as large,
///   for granules of 4 KiB too.
/// * With 64 KiB granules, bits 51:48 of an output address stand at bits 15:12 of a descriptor
///   (FEAT_LPA), a third format of descriptors. Addresses of 48 bits are written as with 4 KiB.
/// * VTCR_EL2 (TG0, SL0) and the operands of range invalidations (TG) are those of 4 KiB.
/// * What is a page for ever, an RD for one, would lie in a larger granule, the rest of which has
///   to be accounted for.
///
/// Source: Arm ARM (DDI0487), "Translation granules", VMSAv8-64; RMM specification (Arm DEN0137)
/// 2.0-bet3, `RmiFeatureRegister1`, GRAN_4K, GRAN_16K, GRAN_64K.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GranuleShift(u32);

impl GranuleShift {
    /// Granules of 4 KiB.
    pub const KIB_4: Self = Self(12);
    /// Granules of 16 KiB.
    pub const KIB_16: Self = Self(14);
    /// Granules of 64 KiB.
    pub const KIB_64: Self = Self(16);

    /// The granules that Hosts are offered. RMM 1.0 knows no others.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, A2.2 "Granules".
    pub const OFFERED: Self = Self::KIB_4;

    /// Checks a number of bits.
    pub const fn new(bits: u32) -> Option<Self> {
        match bits {
            12 | 14 | 16 => Some(Self(bits)),
            _ => None,
        }
    }

    /// The granules that a const parameter names.
    ///
    /// # Panics
    ///
    /// If there are none of this size: used in constants, that does not compile.
    pub const fn of(bits: u32) -> Self {
        match Self::new(bits) {
            Some(shift) => shift,
            None => panic!("granules are of 4, 16 or 64 KiB"),
        }
    }

    /// The number of address bits.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Bytes of a granule.
    pub const fn size(self) -> u64 {
        1 << self.0
    }

    /// Number of address bits that one level of tables resolves: an entry has 8 bytes.
    pub const fn level_bits(self) -> u32 {
        self.0 - 3
    }

    /// 64-bit words of a granule: the entries of a table.
    pub const fn words(self) -> usize {
        1 << self.level_bits()
    }
}

/// Size of a granule in bytes.
pub const GRANULE_SIZE: u64 = GranuleShift::OFFERED.size();

/// Number of 64-bit words in a granule.
pub const GRANULE_WORDS: usize = GranuleShift::OFFERED.words();

/// Size of a page in bytes, whatever the granules: the pages of the interfaces to Host, Realm and
/// EL3, the contents of RD and REC, and the pages of the monitor's own address space.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RmiRealmParams`, `RsiRealmConfig` and other
/// structures of 4 KiB; in 2.0-bet3 they stay so.
pub const PAGE_SIZE: u64 = 4096;

/// The same, for lengths.
pub const PAGE_BYTES: usize = 4096;

/// Number of 64-bit words in a page.
pub const PAGE_WORDS: usize = PAGE_BYTES / size_of::<u64>();

/// Largest physical address width of the architecture (FEAT_LPA2), in bits.
const PA_BITS_MAX: u32 = 52;

/// Physical address of a granule with [`GranuleShift`] `SHIFT`: aligned, and below 2^52.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GranuleAddrOf<const SHIFT: u32>(u64);

/// Physical address of a granule of the size that is offered.
pub type GranuleAddr = GranuleAddrOf<{ GranuleShift::OFFERED.bits() }>;

impl<const SHIFT: u32> GranuleAddrOf<SHIFT> {
    /// Bytes of a granule.
    pub const SIZE: u64 = GranuleShift::of(SHIFT).size();

    /// Checks a physical address; `None` if it is not aligned to a granule or not below 2^52.
    pub const fn new(pa: u64) -> Option<Self> {
        if pa & (Self::SIZE - 1) != 0 || pa >> PA_BITS_MAX != 0 {
            return None;
        }
        Some(Self(pa))
    }

    /// The granule that holds the byte at `pa`, whatever the low bits; bits above 51 are dropped.
    pub const fn containing(pa: u64) -> Self {
        Self(pa & ((1 << PA_BITS_MAX) - Self::SIZE))
    }

    /// The address in bytes.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The granule `count` granules above this one; `None` past the physical address space.
    pub const fn add(self, count: u64) -> Option<Self> {
        match count.checked_mul(Self::SIZE) {
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
    fn granules_are_of_three_sizes() {
        let shifts: Vec<u32> = (0..64).filter(|&bits| GranuleShift::new(bits).is_some()).collect();
        assert_eq!(shifts, [12, 14, 16]);
        for bits in shifts {
            let shift = GranuleShift::of(bits);
            assert_eq!((shift.bits(), shift.level_bits()), (bits, bits - 3));
        }
        let all = [GranuleShift::KIB_4, GranuleShift::KIB_16, GranuleShift::KIB_64];
        assert_eq!(all.map(GranuleShift::size), [4 << 10, 16 << 10, 64 << 10]);
        assert_eq!(all.map(GranuleShift::words), [512, 2048, 8192]);
        assert_eq!((GRANULE_SIZE, GRANULE_WORDS), (PAGE_SIZE, PAGE_WORDS), "4 KiB are offered");
    }

    #[test]
    #[should_panic(expected = "granules are of 4, 16 or 64 KiB")]
    fn no_granule_is_of_another_size() {
        let _ = GranuleShift::of(13);
    }

    fn addresses_are_those_of_granules<const SHIFT: u32>() {
        type Addr<const SHIFT: u32> = GranuleAddrOf<SHIFT>;
        let size = 1 << SHIFT;
        for pa in [0, size / 2, size - 8, size, size + 8, 3 * size, (1 << 52) - size, 1 << 52] {
            let is_granule = pa % size == 0 && pa < 1 << 52;
            let found = Addr::<SHIFT>::new(pa);
            assert_eq!(found.map(Addr::as_u64), is_granule.then_some(pa), "{pa:#x}");
            let holding = Addr::<SHIFT>::containing(pa).as_u64();
            assert_eq!(holding, pa / size * size % (1 << 52), "{pa:#x}");
            if let Some(granule) = found {
                let next = (pa + 2 * size < 1 << 52).then_some(pa + 2 * size);
                assert_eq!(granule.add(2).map(Addr::as_u64), next, "{pa:#x}");
            }
        }
    }

    #[test]
    fn addresses_are_those_of_granules_of_each_size() {
        addresses_are_those_of_granules::<12>();
        addresses_are_those_of_granules::<14>();
        addresses_are_those_of_granules::<16>();
    }

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
