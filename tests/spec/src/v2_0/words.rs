//! Words that go through registers: results, memory requests, address ranges, flags.
//!
//! Source: sections 2.2, 6.3, 7.1 and 7.2 of our notes on RMI 2.0; vectors from its Annex C.

/// RMI_SUCCESS.
pub const SUCCESS: u64 = 0;
/// RMI_ERROR_INPUT.
pub const INPUT: u64 = 1;
/// RMI_ERROR_REALM.
pub const REALM: u64 = 2;
/// RMI_ERROR_REC.
pub const REC: u64 = 3;
/// RMI_ERROR_NOT_SUPPORTED: a known command of a feature that is not there.
pub const NOTSUP: u64 = 5;
/// RMI_BUSY.
pub const BUSY: u64 = 10;
/// RMI_ERROR_GLOBAL.
pub const GLOBAL: u64 = 11;
/// RMI_ERROR_TRACKING.
pub const TRACKING: u64 = 12;
/// RMI_INCOMPLETE, without memory need.
pub const INCOMPLETE: u64 = 13;
/// RMI_BLOCKED.
pub const BLOCKED: u64 = 14;
/// RMI_ERROR_GPT.
pub const GPT: u64 = 15;
/// SMCCC: no such function.
pub const UNKNOWN: u64 = u64::MAX;

/// RMI_INCOMPLETE that asks for memory.
pub const DONATE: u64 = INCOMPLETE | 1 << 8;
/// RMI_INCOMPLETE that gives memory back.
pub const RECLAIM: u64 = INCOMPLETE | 2 << 8;
/// In RMI_INCOMPLETE: the operation can be cancelled.
pub const CAN_CANCEL: u64 = 1 << 10;

/// RMI_ERROR_RTT at a level, which is a signed byte.
pub const fn rtt(level: i64) -> u64 {
    4 | (level.cast_unsigned() & super::choices::RTT_LEVEL_MASK) << 8
}

/// What an operation asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DonateRequest {
    /// 0 granule, 1 to 3 a block at level 2 to 0.
    pub size_code: u64,
    /// How many of them.
    pub count: u64,
    /// All adjacent.
    pub is_contiguous: bool,
    /// 0 DELEGATED, 1 UNDELEGATED, 2 as the region demands.
    pub state: u64,
}

impl DonateRequest {
    /// Granules that are DELEGATED, and need not be adjacent.
    pub const fn granules(count: u64) -> Self {
        Self { size_code: 0, count, is_contiguous: false, state: 0 }
    }

    /// X2 of the answer.
    pub const fn encode(self) -> u64 {
        self.size_code & 3
            | (self.count & 0x3fff) << 2
            | (self.is_contiguous as u64) << 16
            | (self.state & 3) << 17
    }

    /// The request in X2; `None` if a bit is set that has no meaning.
    pub const fn decode(word: u64) -> Option<Self> {
        if word >> 19 != 0 {
            return None;
        }
        let is_contiguous = word >> 16 & 1 == 1;
        let (size_code, count, state) = (word & 3, word >> 2 & 0x3fff, word >> 17 & 3);
        Some(Self { size_code, count, is_contiguous, state })
    }
}

/// A range of addresses: blocks of one size, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    /// First address.
    pub base: u64,
    /// 0 page, 1 to 3 a block at level 2 to 0.
    pub size_code: u64,
    /// How many of them.
    pub count: u64,
    /// 0 DELEGATED, 1 UNDELEGATED, 2 conditional.
    pub state: u64,
}

impl AddressRange {
    /// The descriptor for granules of `1 << shift` bytes.
    pub const fn encode(self, shift: u32) -> u64 {
        self.size_code & 3 | self.count << 2 | (self.base >> shift) << shift | self.state << 62
    }

    /// What a descriptor says. Bits 61:52 are ignored.
    pub const fn decode(word: u64, shift: u32) -> Self {
        Self {
            base: word & ((1 << 52) - (1 << shift)),
            size_code: word & 3,
            count: word >> 2 & ((1 << (shift - 2)) - 1),
            state: word >> 62,
        }
    }

    /// Bytes of one block, with granules of 4 KiB.
    pub const fn block_bytes(self) -> u64 {
        crate::state::rtt::entry_size(3 - self.size_code.cast_signed())
    }

    /// Bytes of all.
    pub const fn bytes(self) -> u64 {
        // At most 2^10 blocks of 2^39 bytes.
        self.count * self.block_bytes()
    }

    /// The address is a multiple of the size of a block.
    pub const fn is_aligned(self) -> bool {
        self.base.is_multiple_of(self.block_bytes())
    }
}

/// How a command gives or gets addresses, in the flags of mapping commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// Not at all.
    None,
    /// One descriptor in a register.
    Single,
    /// A list of so many in Host memory.
    List(u64),
}

impl Addresses {
    /// Bits 15:0 of the flags; `None` for the reserved type.
    pub const fn decode(flags: u64) -> Option<Self> {
        match flags & 3 {
            0 => Some(Self::None),
            1 => Some(Self::Single),
            2 => Some(Self::List(flags >> 2 & 0x3fff)),
            _ => None,
        }
    }

    /// The flags.
    pub const fn encode(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Single => 1,
            Self::List(count) => 2 | count << 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn range(base: u64, size_code: u64, count: u64, state: u64) -> AddressRange {
        AddressRange { base, size_code, count, state }
    }

    #[test]
    fn results() {
        let incomplete = [INCOMPLETE, DONATE, RECLAIM];
        assert_eq!(incomplete, [0x00d, 0x10d, 0x20d]);
        assert_eq!(incomplete.map(|word| word | CAN_CANCEL), [0x40d, 0x50d, 0x60d]);
        assert_eq!([2, 3, 0, -1].map(rtt), [0x204, 0x304, 0x004, 0xff04]);
    }

    #[test]
    fn address_ranges() {
        let vectors = [
            (12, range(0x8000_0000, 0, 1, 0), 0x8000_0004),
            (12, range(0x8020_0000, 1, 1, 0), 0x8020_0005),
            (12, range(0x8000_0000, 0, 511, 0), 0x8000_07fc),
            (12, range(0x8000_0000, 0, 1, 1), 0x4000_0000_8000_0004),
            (14, range(0x8000_4000, 0, 1, 0), 0x8000_4004),
            (16, range(0x8001_0000, 0, 2, 0), 0x8001_0008),
        ];
        for (shift, range, word) in vectors {
            assert_eq!(range.encode(shift), word, "{range:x?}");
            assert_eq!(AddressRange::decode(word, shift), range, "{word:x}");
            assert_eq!(AddressRange::decode(word | 0x3ff << 52, shift), range, "{word:x}");
        }
    }

    #[test]
    fn requests() {
        let contiguous = DonateRequest { size_code: 0, count: 16, is_contiguous: true, state: 1 };
        let vectors = [
            (DonateRequest::granules(16), 0x40),
            (DonateRequest::granules(9), 0x24),
            (contiguous, 0x3_0040),
        ];
        for (request, word) in vectors {
            assert_eq!(request.encode(), word);
            assert_eq!(DonateRequest::decode(word), Some(request));
        }
        assert_eq!(DonateRequest::decode(1 << 19), None);
    }

    #[test]
    fn flags() {
        let vectors = [(Addresses::Single, 1), (Addresses::List(3), 0xe), (Addresses::None, 0)];
        for (addresses, flags) in vectors {
            assert_eq!(addresses.encode(), flags);
            assert_eq!(Addresses::decode(flags), Some(addresses));
        }
        assert_eq!(Addresses::decode(3), None);
        assert_eq!(Addresses::decode(0x18_0001), Some(Addresses::Single));
    }
}
