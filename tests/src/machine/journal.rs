//! What one command changed, and whether it was allowed to.

use core::sync::atomic::Ordering;
use std::collections::BTreeMap;

use granule::{GRANULE_SIZE, GranuleState};

use super::dram::{Contents, Granule, Pas};
use super::{FakeMachine, lock};
use crate::abi::Command;

/// PSCI DENIED, as the second argument of a PSCI_COMPLETE of 2.0.
const DENIED: u64 = (-3_i64).cast_unsigned();
/// RMI_GRANULE_RANGE_UNDELEGATE, of 2.0.
const RANGE_UNDELEGATE: u64 = 0xc400_01f2;

/// Bits of a granule's word that hold its state, and where they start.
const STATE_SHIFT: u32 = 10;
const STATE_MASK: u16 = 0x1f;
/// The lock.
pub(super) const LOCKED: u16 = 1 << 15;
/// The reference count.
pub(super) const COUNT_MASK: u16 = 0x3ff;

/// A granule before the command touched it.
#[derive(Debug)]
struct Before {
    contents: Box<Contents>,
    pas: Pas,
}

/// The machine before the command, as far as the command touched it.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    /// All granules' words after the last command.
    words: Vec<u16>,
    /// All granules that are objects, after the last command.
    objects: BTreeMap<u64, GranuleState>,
    touched: BTreeMap<u64, Before>,
    vmids: u32,
    leaked: (usize, u64),
}

/// The state in a granule's word.
pub(super) fn state_in(word: u16) -> Option<GranuleState> {
    u8::try_from(word >> STATE_SHIFT & STATE_MASK).ok().and_then(GranuleState::from_u8)
}

/// Whether a reply says that nothing has happened. A stateful operation that is not finished
/// (status 13 of 2.0) has done something, and one that fails in its last call (OP_CONTINUE) has
/// taken back what it did.
fn is_refusal(call: &[u64; 8], reply: &[u64; 5]) -> bool {
    const INCOMPLETE: u64 = 13;
    const OP_CONTINUE: u64 = 0xc400_0203;
    let is_continue = call[0] & 0xffff_ffff & !(1 << 16) == OP_CONTINUE;
    reply[0] != 0 && reply[0] & 0xff != INCOMPLETE && !is_continue
}

/// A granule that a command changed.
struct Change {
    pa: u64,
    from: Option<GranuleState>,
    to: Option<GranuleState>,
    word: bool,
    contents: bool,
}

impl FakeMachine {
    /// The monitor is about to access the granule that holds `pa`: remembers what it was.
    pub(crate) fn note(&self, pa: u64) {
        if !self.is_single() {
            return;
        }
        let pa = pa & !(GRANULE_SIZE - 1);
        let mut journal = lock(&self.journal);
        if let Some(granule) = self.dram.at(pa) {
            journal
                .touched
                .entry(pa)
                .or_insert_with(|| Before { contents: granule.copy(), pas: granule.pas() });
        }
    }

    /// The Host itself has written to its memory: no doing of the monitor's.
    pub(crate) fn note_host_write(&self, pa: u64, value: u64) {
        let word = usize::try_from(pa % GRANULE_SIZE / 8).unwrap_or(0);
        if let Some(before) = lock(&self.journal).touched.get_mut(&(pa & !(GRANULE_SIZE - 1))) {
            before.contents[word] = value;
        }
    }

    pub(crate) fn begin_command(&self) {
        let mut journal = lock(&self.journal);
        journal.touched.clear();
        if journal.words.is_empty() {
            journal.words = vec![0; self.words.len()];
        }
        journal.vmids = self.shared.vmids.count();
        journal.leaked = self.shared.ledger.len();
    }

    /// Granules that differ from before the command; the journal learns their words.
    fn changes(&self, journal: &mut Journal) -> Vec<Change> {
        let mut changes: BTreeMap<u64, Change> = BTreeMap::new();
        for (number, (word, shadow)) in self.words.iter().zip(&mut journal.words).enumerate() {
            let now = word.load(Ordering::Relaxed);
            if now != *shadow {
                let pa = self.dram.address(number);
                let (from, to) = (state_in(*shadow), state_in(now));
                changes.insert(pa, Change { pa, from, to, word: true, contents: false });
                *shadow = now;
                match to {
                    None | Some(GranuleState::Undelegated | GranuleState::Delegated) => {
                        journal.objects.remove(&pa);
                    }
                    Some(state) => {
                        journal.objects.insert(pa, state);
                    }
                }
                self.check_granule(number);
            }
        }
        for (&pa, before) in &journal.touched {
            let Some(granule) = self.dram.at(pa) else { continue };
            if *granule.copy() != *before.contents || granule.pas() != before.pas {
                let state = self.state_of(pa);
                let change = Change { pa, from: state, to: state, word: false, contents: false };
                changes.entry(pa).or_insert(change).contents = true;
            }
        }
        changes.into_values().collect()
    }

    pub(crate) fn end_command(&self, call: &[u64; 8], reply: &[u64; 5]) {
        lock(&self.host).end_command();
        let mut journal = core::mem::take(&mut *lock(&self.journal));
        let changes = self.changes(&mut journal);
        let command = Command::called(call[0]);
        let failed = is_refusal(call, reply);
        if failed {
            self.check_failure(command, call, reply, &journal, &changes);
        } else {
            self.check_contents(command, &journal, &changes);
        }
        for change in &changes {
            if change.to == Some(GranuleState::Delegated) && !self.is_zero(change.pa) {
                let from = change.from;
                self.violation(format!("{:#x} is DELEGATED and not zero, was {from:?}", change.pa));
            }
        }
        if !changes.is_empty() {
            self.check_objects(&journal.objects);
        }
        *lock(&self.journal) = journal;
    }

    /// A failed command changes nothing.
    ///
    /// Except: what a REC did when only the exit page could not be written; the ledger when EL3
    /// refused; the Host's own list that faulted while it was written; and in 2.0 a PSCI_COMPLETE
    /// that denies what cannot be denied, which completes the call all the same (OQ-20).
    fn check_failure(
        &self,
        command: Option<Command>,
        call: &[u64; 8],
        reply: &[u64; 5],
        journal: &Journal,
        changes: &[Change],
    ) {
        let ran = command == Some(Command::RecEnter) && lock(&self.host).has_faulted_write();
        let denies = self.is_v2() && command == Some(Command::PsciComplete) && call[2] == DENIED;
        if ran || denies {
            return;
        }
        let half_written = lock(&self.host).half_written();
        for change in changes.iter().filter(|change| change.word || Some(change.pa) != half_written)
        {
            self.violation(format!(
                "{command:?} failed with {:#x} but changed {:#x} ({:?} to {:?}); call {call:x?}",
                reply[0], change.pa, change.from, change.to
            ));
        }
        if self.shared.vmids.count() != journal.vmids {
            self.violation(format!("{command:?} failed but changed the VMIDs in use"));
        }
        let ledger = self.shared.ledger.len() != journal.leaked;
        let undelegates =
            command == Some(Command::GranuleUndelegate) || call[0] == RANGE_UNDELEGATE;
        if ledger && !undelegates {
            self.violation(format!("{command:?} failed but changed the ledger"));
        }
    }

    /// What a granule held before it got a use must be gone.
    fn check_contents(&self, command: Option<Command>, journal: &Journal, changes: &[Change]) {
        for change in changes.iter().filter(|change| change.word) {
            let is_data = change.to == Some(GranuleState::Data);
            let is_code_new = |granule: &Granule| granule.code_is_new.load(Ordering::Relaxed);
            if is_data && !self.dram.at(change.pa).is_some_and(is_code_new) {
                let pa = change.pa;
                self.violation(format!("{pa:#x} may still be fetched as the code of another"));
            }
            if change.from != Some(GranuleState::Delegated) || change.from == change.to {
                continue;
            }
            let (Some(before), Some(granule)) =
                (journal.touched.get(&change.pa), self.dram.at(change.pa))
            else {
                // It is what a DELEGATED granule is, zero.
                if change.to == Some(GranuleState::Data) || !self.is_zero(change.pa) {
                    self.violation(format!("{:#x} changed without being touched", change.pa));
                }
                continue;
            };
            let now = granule.copy();
            let kept = before.contents.iter().zip(now.iter()).any(|(old, new)| {
                // Small numbers occur in any object; secrets are large.
                *old > 0xffff_ffff && old == new
            });
            if kept {
                let to = change.to;
                self.violation(format!("{command:?}: {:#x} became {to:?} unwiped", change.pa));
            }
        }
    }

    /// All granules may have changed without the journal: looks at every one.
    pub(crate) fn recount(&self) {
        let mut journal = core::mem::take(&mut *lock(&self.journal));
        journal.words = vec![0; self.words.len()];
        journal.objects.clear();
        self.changes(&mut journal);
        for number in 0..self.words.len() {
            self.check_granule(number);
        }
        self.check_objects(&journal.objects);
        *lock(&self.journal) = journal;
    }

    /// Whether the last command wrote to this granule.
    pub fn has_touched(&self, pa: u64) -> bool {
        lock(&self.journal).touched.contains_key(&pa)
    }
}
