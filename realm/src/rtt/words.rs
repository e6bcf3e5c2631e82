//! A [`Tree`] as the granules of RDs and RECs hold it.

use granule::{GranuleAddr, RealmNumber};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Format, Level, Tree};
use crate::ipa::IpaSpace;

/// The words of a tree; zeroed, it is none yet.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct TreeWords {
    ipa_width_bits: u64,
    root: u64,
    start: i64,
    roots: u64,
    lpa2: u64,
    vmid: u64,
    number: u64,
}

impl From<&Tree> for TreeWords {
    fn from(tree: &Tree) -> Self {
        Self {
            ipa_width_bits: u64::from(tree.space.width_bits()),
            root: tree.root.as_u64(),
            start: tree.start.as_i64(),
            roots: tree.roots,
            lpa2: u64::from(tree.format == Format::Address52),
            vmid: u64::from(tree.vmid),
            number: tree.number.0,
        }
    }
}

impl TreeWords {
    /// The tree. Each command asks, so this is part of its code.
    #[inline(always)]
    pub fn tree(&self) -> Tree {
        let parts = u8::try_from(self.ipa_width_bits)
            .ok()
            .and_then(IpaSpace::new)
            .zip(GranuleAddr::new(self.root))
            .zip(Level::new(self.start))
            .zip(u16::try_from(self.vmid).ok());
        let Some((((space, root), start), vmid)) = parts else { unreachable!("tree") };
        let format = if self.lpa2 == 0 { Format::Address48 } else { Format::Address52 };
        let number = RealmNumber(self.number);
        Tree { space, root, start, roots: self.roots, format, vmid, number }
    }
}
