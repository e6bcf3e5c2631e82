//! Memory as 2.0 describes it in one word.
//!
//! Source: RMM specification (Arm DEN0137) 2.0-bet3, `RmiAddrRangeDesc`, `RmiOpMemDonateReq`.

use crate::granules::PAGE_SIZE;
use crate::ipa::entry_size;

/// Blocks of memory side by side, all of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddrRange {
    /// Physical address of the first.
    pub base: u64,
    /// The level whose entries describe as much as one block does: 3 for pages.
    pub level: u64,
    /// How many there are.
    pub count: u64,
    /// Whether they are the Normal world's; else they are delegated.
    pub undelegated: bool,
}

const COUNT_SHIFT: u32 = 2;
/// Most blocks of one descriptor.
pub const COUNT_MAX: u64 = 0x3ff;
const ADDRESS: u64 = 0xf_ffff_ffff_f000;
const STATE_SHIFT: u32 = 62;
const UNDELEGATED: u64 = 1;

impl AddrRange {
    /// Delegated memory of `size` bytes, described by the largest blocks that fit its address and
    /// size.
    ///
    /// It must be whole pages, and no more than a descriptor can say.
    #[must_use]
    pub const fn delegated(base: u64, size: u64) -> Self {
        let block = entry_size(2);
        let level = if base.is_multiple_of(block) && size.is_multiple_of(block) { 2 } else { 3 };
        Self { base, level, count: size / entry_size(level), undelegated: false }
    }

    /// The descriptor.
    #[must_use]
    pub const fn encode(self) -> u64 {
        let state = if self.undelegated { UNDELEGATED << STATE_SHIFT } else { 0 };
        state | self.base & ADDRESS | (self.count & COUNT_MAX) << COUNT_SHIFT | (3 - self.level) & 3
    }

    /// Reads a descriptor that the monitor wrote.
    #[must_use]
    pub const fn decode(descriptor: u64) -> Self {
        Self {
            base: descriptor & ADDRESS,
            level: 3 - (descriptor & 3),
            count: descriptor >> COUNT_SHIFT & COUNT_MAX,
            undelegated: descriptor >> STATE_SHIFT == UNDELEGATED,
        }
    }

    /// Its size in bytes.
    #[must_use]
    pub const fn size(self) -> u64 {
        self.count * entry_size(self.level)
    }

    /// The addresses of its pages.
    pub fn pages(self) -> impl Iterator<Item = u64> {
        (0..self.size() / PAGE_SIZE).map(move |n| self.base + n * PAGE_SIZE)
    }
}

/// Memory that an operation asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DonateRequest {
    /// The level whose entries describe as much as one block does: 3 for pages.
    pub level: u64,
    /// How many blocks.
    pub count: u64,
    /// Whether they must be side by side, at a multiple of their common size.
    pub contiguous: bool,
    /// In which state they must be: 0 DELEGATED, 1 UNDELEGATED, 2 what their region demands.
    pub state: u64,
}

impl DonateRequest {
    /// Reads what an operation that waits for memory says in X2.
    #[must_use]
    pub const fn decode(x2: u64) -> Self {
        Self {
            level: 3 - (x2 & 3),
            count: x2 >> COUNT_SHIFT & 0x3fff,
            contiguous: x2 >> 16 & 1 == 1,
            state: x2 >> 17 & 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_those_of_the_text() {
        let pages = |base, count| AddrRange { base, level: 3, count, undelegated: false };
        for (range, descriptor) in [
            (pages(0x8000_0000, 1), 0x8000_0004),
            (AddrRange { level: 2, ..pages(0x8020_0000, 1) }, 0x8020_0005),
            (pages(0x8000_0000, 511), 0x8000_07fc),
            (AddrRange { undelegated: true, ..pages(0x8000_0000, 1) }, 0x4000_0000_8000_0004),
        ] {
            assert_eq!((range.encode(), AddrRange::decode(descriptor)), (descriptor, range));
        }
        let size: usize = pages(0x8000_0000, 3).pages().count();
        assert_eq!((size, AddrRange::delegated(0x8020_0000, 0x20_0000).level), (3, 2));
        assert_eq!(AddrRange::delegated(0x8020_1000, 0x1000), pages(0x8020_1000, 1));
    }

    #[test]
    fn requests_are_read_as_the_text_packs_them() {
        let request = |count| DonateRequest { level: 3, count, contiguous: false, state: 0 };
        assert_eq!(DonateRequest::decode(0x40), request(16));
        assert_eq!(DonateRequest::decode(0x24), request(9));
        let whole = DonateRequest { contiguous: true, state: 1, ..request(16) };
        assert_eq!(DonateRequest::decode(0x3_0040), whole);
    }
}
