//! Addresses that a mapping command is given.
//!
//! Source: chapter 7 and sections 10.3 and 10.4 of our notes on RMI 2.0.

use super::super::platform::GRANULE;
use super::super::verdict::{Conditions, Names};
use super::super::words::{AddressRange, Addresses, INPUT};
use super::super::{HostView, Model, list_words, word_of};
use super::Half;

/// Runs of physical addresses, one after the other, from the base of the range on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source {
    /// Offset, physical address, bytes.
    runs: Vec<(u64, u64, u64)>,
    bytes: u64,
}

impl Source {
    fn push(&mut self, pa: u64, bytes: u64) {
        match self.runs.last_mut() {
            Some((_, last, length)) if *last + *length == pa => *length += bytes,
            _ => self.runs.push((self.bytes, pa, bytes)),
        }
        self.bytes += bytes;
    }

    /// Bytes of all runs.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The address at an offset, and how many bytes follow it without a gap.
    pub(crate) fn at(&self, offset: u64) -> Option<(u64, u64)> {
        let run = self.runs.iter().find(|(first, _, bytes)| offset.wrapping_sub(*first) < *bytes);
        run.map(|(first, pa, bytes)| (pa + (offset - first), bytes - (offset - first)))
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
            source.push(range.base, range.bytes());
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
