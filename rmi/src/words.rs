//! Private copies of what the Host passes in memory, and of what it gets there: words by byte
//! offset.
//!
//! A copy is made once, before anything of it is looked at. Offsets are the specification's own
//! numbers; one that is misaligned or outside fails the build.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// So many 64-bit words of Host memory.
#[derive(Clone, FromBytes, IntoBytes, KnownLayout, Immutable, Debug)]
#[repr(C)]
pub(crate) struct AbiWords<const WORDS: usize>(pub(crate) [u64; WORDS]);

impl<const WORDS: usize> AbiWords<WORDS> {
    /// All zeros.
    pub(crate) const fn zeroed() -> Self {
        Self([0; WORDS])
    }

    /// The 64 bits at byte offset `AT`.
    pub(crate) fn u64_at<const AT: usize>(&self) -> u64 {
        const { assert!(AT.is_multiple_of(8) && AT < WORDS * 8) };
        #[expect(clippy::indexing_slicing, reason = "AT is checked at compile time")]
        self.0[AT / 8]
    }

    /// Writes the 64 bits at byte offset `AT`.
    pub(crate) fn set_u64_at<const AT: usize>(&mut self, value: u64) {
        const { assert!(AT.is_multiple_of(8) && AT < WORDS * 8) };
        #[expect(clippy::indexing_slicing, reason = "AT is checked at compile time")]
        {
            self.0[AT / 8] = value;
        }
    }

    /// `COUNT` words from byte offset `AT`.
    pub(crate) fn words_at<const AT: usize, const COUNT: usize>(&self) -> [u64; COUNT] {
        const { assert!(AT.is_multiple_of(8) && AT + COUNT * 8 <= WORDS * 8) };
        #[expect(clippy::indexing_slicing, reason = "AT and COUNT are checked at compile time")]
        core::array::from_fn(|index| self.0[AT / 8 + index])
    }

    /// Writes `COUNT` words from byte offset `AT`.
    pub(crate) fn set_words_at<const AT: usize, const COUNT: usize>(
        &mut self,
        values: &[u64; COUNT],
    ) {
        const { assert!(AT.is_multiple_of(8) && AT + COUNT * 8 <= WORDS * 8) };
        self.0[AT / 8..AT / 8 + COUNT].copy_from_slice(values);
    }
}
