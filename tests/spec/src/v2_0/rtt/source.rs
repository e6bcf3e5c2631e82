//! Addresses that a mapping command is given.
//!
//! Source: chapter 7 and sections 10.3 and 10.4 of our notes on RMI 2.0.

use super::super::platform::GRANULE;
use super::super::verdict::{Conditions, Names};
use super::super::words::{AddressRange, Addresses, INPUT};
use super::super::{HostView, Model, list_words, word_of};
use super::Half;

/// Memory at an offset of the range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given {
    pub(crate) pa: u64,
    /// Bytes from `pa` on that one descriptor names.
    pub(crate) own: u64,
    /// The same, with the descriptors after it, as far as they are adjacent.
    pub(crate) merged: u64,
}

/// Ranges of physical addresses, one after the other, from the base of the range on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source {
    /// Physical address, bytes.
    ranges: Vec<(u64, u64)>,
}

impl Source {
    /// Bytes of all ranges.
    pub(crate) fn bytes(&self) -> u64 {
        self.ranges.iter().map(|(_, bytes)| bytes).sum()
    }

    /// What is given at an offset.
    pub(crate) fn at(&self, mut offset: u64) -> Option<Given> {
        let mut ranges = self.ranges.iter().copied();
        let (first, bytes) = ranges.find(|(_, bytes)| {
            let here = offset < *bytes;
            if !here {
                offset -= bytes;
            }
            here
        })?;
        let (pa, own) = (first + offset, bytes - offset);
        let mut merged = own;
        for (next, bytes) in ranges {
            if next != pa + merged {
                break;
            }
            merged += bytes;
        }
        Some(Given { pa, own, merged })
    }
}

const LIST: Names = ["list_align", "list_bound", "list_pas"];

impl Model {
    /// Checks the addresses of a mapping command, and reads them. Without a Realm its descriptors
    /// may have 52 bits.
    pub(super) fn check_source(
        &self,
        c: &mut Conditions,
        half: Half,
        [flags, oaddr]: [u64; 2],
        lpa2: bool,
        host: &dyn HostView,
    ) -> Source {
        let mut source = Source::default();
        let words = match Addresses::decode(flags) {
            Some(Addresses::Single) => vec![oaddr],
            Some(Addresses::List(count)) => {
                let Some(words) = self.read_addresses(c, oaddr, count, host) else {
                    return source;
                };
                words
            }
            Some(Addresses::None) | None => {
                c.fails("oaddr_type", true, INPUT);
                return source;
            }
        };
        for (number, word) in words.into_iter().enumerate() {
            let range = AddressRange::decode(word, 12);
            let end = range.base.saturating_add(range.bytes());
            let good = range.is_aligned()
                && range.count > 0
                && end <= 1 << 52
                && (lpa2 || range.base < 1 << 48);
            // The first one decides; a later one may be seen at once, or stop the command when it
            // comes to it.
            c.fails("oaddr_valid", !good && number == 0, INPUT);
            c.may_fail("oaddr_valid", !good && number != 0, INPUT);
            // The state says nothing about Host memory (7.1, B-14); of a Realm's, bet0 demanded
            // DELEGATED.
            c.may_fail("oaddr_state", half == Half::Protected && range.state != 0, INPUT);
            // The last block may be beyond what the Realm's descriptors can name.
            c.may_fail("oaddr_valid", !lpa2 && end > 1 << 48, INPUT);
            c.may_fail("oaddr_bound", end > 1 << self.platform.pa_bits, INPUT);
            if !good {
                break;
            }
            source.ranges.push((range.base, range.bytes()));
        }
        source
    }

    fn read_addresses(
        &self,
        c: &mut Conditions,
        list: u64,
        count: u64,
        host: &dyn HostView,
    ) -> Option<Vec<u64>> {
        c.fails("list_align", !list.is_multiple_of(8), INPUT);
        c.fails("list_count", count == 0, INPUT);
        let page = self.read_host(c, LIST, list & !(GRANULE - 1), host);
        if !list.is_multiple_of(8) || count == 0 {
            return None;
        }
        let page = page?;
        let words: Vec<u64> = list_words(list, count).map(|at| word_of(&page, at)).collect();
        // A list that leaves its granule: cut, or refused.
        c.may_fail("list_count", (words.len() as u64) < count, INPUT);
        Some(words)
    }
}
