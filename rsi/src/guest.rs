//! Access to pages of the Realm on behalf of its own calls.

use core::sync::atomic::{AtomicU64, Ordering};

use granule::machine::{Memory, Slot, Words};
use granule::{Data, GranuleAddr};
use realm::exit::Exit;
use realm::rec::LastExit;
use realm::rec::exception::class;
use realm::rtt::{Entry, Level, Ripas};
use realm::{Rec, Rmm};

use crate::Outcome;
use crate::abi::ERROR_INPUT;

/// Why a page of the Realm cannot be accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageError {
    /// RIPAS is EMPTY: the Realm's own mistake.
    Empty,
    /// RAM without a granule, or DESTROYED: the Host has to act. The level is where the walk stopped.
    Absent(Level),
}

/// Lets `access` work on the Realm's page at `ipa`, which must be protected. The page stays the Realm's meanwhile: the
/// table that maps it is locked.
///
/// # Errors
///
/// The page is EMPTY, or absent.
pub fn with_page<M: Memory, R>(
    rmm: &Rmm<'_, '_, M>,
    rec: &Rec,
    ipa: u64,
    access: impl FnOnce(&Words) -> R,
) -> Result<R, PageError> {
    let tree = rec.tree();
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
/// Source: RMM specification (Arm DEN0137) 1.0, names no failure for EMPTY; like the reference monitor, RSI_ERROR_INPUT.
pub fn failed(rec: &mut Rec, ipa: u64, error: PageError) -> Outcome {
    match error {
        PageError::Empty => Outcome::code(ERROR_INPUT),
        PageError::Absent(level) => Outcome::Retry(absent(rec, ipa, level)),
    }
}

/// The exit that asks the Host for a page: a data abort such as the Realm's own access would have caused.
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

/// Writes a word of a page.
pub fn set_word(words: &Words, index: usize, value: u64) {
    if let Some(word) = words.0.get(index) {
        word.store(value, Ordering::Relaxed);
    }
}
