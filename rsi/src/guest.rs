//! Access to pages of the Realm on behalf of its own calls.

use core::sync::atomic::{AtomicU64, Ordering};

use granule::{Data, GranuleAddr};
use machine::{Memory, Slot, Words};
use realm::exit::Exit;
use realm::rec::LastExit;
use realm::rec::exception::class;
use realm::rtt::{Entry, Level, Ripas, Tree};
use realm::{Rec, Rmm};

use crate::Outcome;
use crate::abi::ERROR_INPUT;

/// Why a page of the Realm cannot be accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageError {
    /// RIPAS is EMPTY: the Realm's own mistake.
    Empty,
    /// RAM without a granule, or DESTROYED: the Host has to act. The level is where the walk
    /// stopped.
    Absent(Level),
}

/// Lets `access` work on the Realm's page at `ipa`, which must be protected. The page stays the
/// Realm's meanwhile: the table that maps it is locked.
///
/// # Errors
///
/// The page is EMPTY, or absent.
pub fn with_page<M: Memory, R>(
    rmm: &Rmm<'_, M>,
    tree: &Tree,
    ipa: u64,
    access: impl FnOnce(&Words) -> R,
) -> Result<R, PageError> {
    tree.walk(rmm.machine, &rmm.granules, ipa, Level::PAGE, |at| match at.entry {
        Entry::Assigned(Ripas::Ram, base) => {
            let offset = ipa - at.level.align_down(ipa);
            let page = GranuleAddr::containing(base.as_u64() + offset);
            let Ok(page) = rmm.granules.lock::<Data>(page) else {
                unreachable!("DATA of an RTT entry")
            };
            let words = rmm.machine.words(Slot::RealmPage, page.shared());
            Ok(access(&words))
        }
        Entry::Unassigned(Ripas::Empty) | Entry::Assigned(Ripas::Empty, _) => Err(PageError::Empty),
        Entry::Unassigned(_)
        | Entry::Assigned(..)
        | Entry::UnassignedNs
        | Entry::AssignedNs(..)
        | Entry::Table(_) => Err(PageError::Absent(at.level)),
    })
}

/// What a call does that could not access its page.
///
/// Source: RMM specification (Arm DEN0137) 1.0, names no failure for EMPTY; like the reference
/// monitor, RSI_ERROR_INPUT.
pub fn failed(rec: &mut Rec, ipa: u64, error: PageError) -> Outcome {
    match error {
        PageError::Empty => Outcome::code(ERROR_INPUT),
        PageError::Absent(level) => Outcome::Retry(absent(rec, ipa, level)),
    }
}

/// The exit that asks the Host for a page: a data abort such as the Realm's own access would have
/// caused.
pub fn absent(rec: &mut Rec, ipa: u64, level: Level) -> Exit {
    // Translation fault; level -1 has a code of its own.
    const TRANSLATION_FAULT_MINUS_1: u64 = 0x2b;
    let status = match level.as_i64() {
        -1 => TRANSLATION_FAULT_MINUS_1,
        level => 0x04 + level.cast_unsigned(),
    };
    let esr = class::DATA_ABORT_LOWER << 26 | status;
    let hpfar = (ipa & !0xfff) >> 8;
    rec.last_exit = LastExit { esr, far: 0, hpfar };
    Exit::sync(esr, hpfar)
}

/// Reads a word of a page.
pub fn word(words: &Words, index: usize) -> u64 {
    words.0.get(index).map_or(0, |word: &AtomicU64| word.load(Ordering::Relaxed))
}

/// Writes bytes to a page, from byte `offset` on; what does not fit is dropped. Neighbours in the
/// same word keep what another CPU of the Realm may be writing there.
pub fn write_bytes(words: &Words, offset: usize, bytes: &[u8]) {
    const WORD: usize = size_of::<u64>();
    let (mut rest, mut at) = (bytes, offset);
    while let (Some(word), false) = (words.0.get(at / WORD), rest.is_empty()) {
        let start = at % WORD;
        let (now, later) = rest.split_at(rest.len().min(WORD - start));
        let (mut value, mut mask) = ([0; WORD], [0; WORD]);
        for ((value, mask), byte) in value.iter_mut().zip(&mut mask).skip(start).zip(now) {
            (*value, *mask) = (*byte, 0xff);
        }
        let (value, mask) = (u64::from_le_bytes(value), u64::from_le_bytes(mask));
        if mask == u64::MAX {
            word.store(value, Ordering::Relaxed);
        } else {
            // Bits that the other CPU changes in between are carried over, not put back.
            word.fetch_and(!mask, Ordering::Relaxed);
            word.fetch_or(value, Ordering::Relaxed);
        }
        (rest, at) = (later, at + now.len());
    }
}

/// Writes a word of a page.
pub fn set_word(words: &Words, index: usize, value: u64) {
    if let Some(word) = words.0.get(index) {
        word.store(value, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::IntoBytes;

    #[test]
    fn bytes_are_written_wherever_they_begin_and_neighbours_stay() {
        let step = if cfg!(miri) { 5 } else { 1 };
        for offset in (0..24).chain(4070..4096).step_by(step) {
            // Miri is a thousand times slower: there a few lengths must do.
            let lengths = (0..26).step_by(if cfg!(miri) { 9 } else { 1 });
            for length in lengths.filter(|length| offset + length <= 4096) {
                let words = Words([const { AtomicU64::new(0xeeee_eeee_eeee_eeee) }; 512]);
                let bytes: Vec<u8> = (1..).take(length).collect();
                write_bytes(&words, offset, &bytes);
                let mut expected = [0xee; 4096];
                expected[offset..offset + length].copy_from_slice(&bytes);
                let actual = words.0.each_ref().map(|word| word.load(Ordering::Relaxed));
                assert_eq!(actual.as_bytes(), expected, "{length} at {offset}");
            }
        }
    }

    #[test]
    fn bytes_past_the_end_are_dropped() {
        let words = Words([const { AtomicU64::new(0) }; 512]);
        write_bytes(&words, 4094, &[1, 2, 3, 4]);
        assert_eq!(word(&words, 511), 0x0201_0000_0000_0000);
    }
}
