//! Which CPU of its Realm a REC is: as a number and as an MPIDR.

/// Index of a REC in its Realm: Aff3:Aff2:Aff1:Aff0, with Aff0 four bits wide.
///
/// Source: RMM specification (Arm DEN0137) 1.0, B3.38 `RecIndex`; Aff0 is limited to 16 by the
/// GICv3 target lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecIndex(u32);

impl RecIndex {
    /// Most RECs that the notation can name.
    const BITS: u32 = 28;

    /// Reads an MPIDR_EL1 as a PSCI caller writes it; `None` if no REC can have it.
    pub fn from_mpidr(mpidr: u64) -> Option<Self> {
        let upper = (mpidr >> 8) & 0xffff | ((mpidr >> 32) & 0xff) << 16;
        if mpidr & 0xf0 != 0 { None } else { Self::from_affinities(mpidr & 0xf, upper) }
    }

    /// The REC with Aff0 `aff0`, 0 to 15, and Aff3:Aff2:Aff1 `upper`, of 24 bits.
    pub fn from_affinities(aff0: u64, upper: u64) -> Option<Self> {
        u32::try_from(aff0 | upper << 4).ok().map(Self)
    }

    /// The index that a REC remembers.
    pub(super) fn from_stored(index: u64) -> Self {
        match u32::try_from(index) {
            Ok(index) if index >> Self::BITS == 0 => Self(index),
            _ => unreachable!("REC index {index}"),
        }
    }

    /// The index as a number.
    pub const fn as_u64(self) -> u64 {
        self.0 as u64
    }

    /// The index as a number.
    pub const fn as_u32(self) -> u32 {
        self.0
    }

    /// VMPIDR_EL2 of the REC: what the Realm reads from MPIDR_EL1.
    pub const fn vmpidr(self) -> u64 {
        let index = self.0 as u64;
        let res1 = 1 << 31;
        res1 | index & 0xf | (index >> 4 & 0xffff) << 8 | (index >> 20 & 0xff) << 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notations_agree() {
        for (index, (aff0, upper), mpidr) in [
            (0, (0, 0), 0x8000_0000),
            (15, (15, 0), 0x8000_000f),
            (16, (0, 1), 0x8000_0100),
            (4096, (0, 0x100), 0x8001_0000),
            (1_048_576, (0, 0x1_0000), 0x1_8000_0000),
        ] {
            let rec = RecIndex::from_affinities(aff0, upper).unwrap();
            assert_eq!(rec.as_u64(), index);
            assert_eq!(rec.vmpidr(), mpidr);
            assert_eq!(RecIndex::from_mpidr(mpidr), Some(rec));
        }
    }

    #[test]
    fn reserved_bits_name_no_rec() {
        assert_eq!(RecIndex::from_mpidr(0x10), None);
    }
}
