//! Operations that need more than one call (SRO): continue, donate, reclaim, cancel.
//!
//! Source: chapter 6 of our notes on RMI 2.0, with the corrections of 0.4.

use super::platform::GRANULE;
use super::verdict::{Conditions, Names, Outcome, Outputs, ensure};
use super::words::{
    AddressRange, BLOCKED, BUSY, CAN_CANCEL, DONATE, DonateRequest, INCOMPLETE, INPUT, RECLAIM,
};
use super::{HostView, Model, Page, State, Verdict, choices, list_words, word_of};

/// Where an operation stands (6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It can go on.
    Run,
    /// It waits for so many granules.
    Donate(u64),
    /// It gives memory back.
    Reclaim,
}

/// What is being done.
#[derive(Clone, Debug)]
pub enum Work {
    /// REC_CREATE: Realm, and the parameters as they were.
    RecCreate(u64, Box<Page>),
    /// REC_DESTROY.
    RecDestroy,
}

/// An operation that is not finished.
#[derive(Clone, Debug)]
pub struct Operation {
    /// What is being done.
    pub work: Work,
    /// The REC that it makes or takes apart.
    pub rec: u64,
    /// Where it stands.
    pub phase: Phase,
    /// Bit 10 of its last answer.
    pub can_cancel: bool,
    /// Granules that it holds: donated, or not yet given back.
    pub granules: Vec<u64>,
    /// If it has failed: the code that it will end with is one of these.
    pub failure: Vec<u64>,
    /// Its last OP_MEM_DONATE failed (0.4, 6.1).
    pub donate_failed: bool,
}

const LIST: Names = ["list_align", "list_bound", "list_pas"];

impl Model {
    /// Whether an unfinished operation holds a granule.
    pub(crate) fn is_donated(&self, pa: u64) -> bool {
        self.operations.values().any(|operation| operation.granules.contains(&pa))
    }

    /// Codes of a command that needs an operation when all are in use (6.2).
    pub(crate) fn check_slot(&self, c: &mut Conditions) {
        let full = self.operations.len() as u64 >= self.platform.operations;
        // Bad arguments are seen first (B-46).
        let full = full && !c.any();
        c.may_fail("operations", full, BLOCKED);
        c.may_fail("operations", full, BUSY);
    }

    /// A new operation gets a handle (6.2, OQ-6).
    pub(crate) fn begin(&mut self, handle: u64, operation: Operation) -> Result<(), String> {
        let lowest = (0..).find(|number| !self.operations.contains_key(number)).unwrap_or(0);
        ensure(!self.operations.contains_key(&handle), "the handle is free")?;
        if choices::LOWEST_HANDLE_FIRST {
            ensure(handle == lowest, &format!("the handle is {lowest}"))?;
        }
        self.set_state(operation.rec, State::Intermediate);
        self.operations.insert(handle, operation);
        Ok(())
    }

    fn operation_mut(&mut self, handle: u64) -> Result<&mut Operation, String> {
        self.operations.get_mut(&handle).ok_or_else(|| "there is no such operation".to_owned())
    }

    /// Conditions `complete` of all four commands: table 6.1.
    fn live(&self, c: &mut Conditions, handle: u64, fits: impl Fn(&Operation) -> bool) -> bool {
        let live = self.operations.get(&handle).is_some_and(fits);
        c.fails("complete", !live, INPUT);
        live
    }

    /// OP_CONTINUE (6.6).
    pub(crate) fn op_continue(&self, handle: u64) -> Verdict {
        let mut c = Conditions::new();
        let fits = |operation: &Operation| match operation.phase {
            Phase::Run => true,
            // After a transfer that failed the Host must get to the end of the story (0.4, 6.1).
            Phase::Donate(_) => operation.donate_failed,
            Phase::Reclaim => false,
        };
        if !self.live(&mut c, handle, fits) {
            return c.failure(&[]);
        }
        let operation = &self.operations[&handle];
        if let Phase::Donate(_) = operation.phase {
            return self.give_up(handle, "donate_failed", vec![INPUT]);
        }
        let verdict = match &operation.work {
            _ if !operation.failure.is_empty() => all_ends(handle, "stored", &operation.failure),
            Work::RecDestroy => Verdict(vec![
                Outcome::of("", 0).effect(move |model, _, _| model.end_destroy(handle)),
            ]),
            Work::RecCreate(rd, params) => {
                let params = params.clone();
                self.finish_create(handle, *rd, &params)
            }
        };
        verdict.or(busy(handle)).or(goes_on(handle))
    }

    /// An operation has failed with one of these codes: it gives back what it holds (6.1), or ends
    /// at once.
    pub(crate) fn give_up(&self, handle: u64, name: &'static str, codes: Vec<u64>) -> Verdict {
        let nothing = self.operations[&handle].granules.is_empty();
        if nothing {
            return all_ends(handle, name, &codes);
        }
        let outputs = Outputs::Are([handle, 0, 0, 0]);
        let outcome = Outcome::of(name, RECLAIM).outputs(outputs).effect(move |model, _, _| {
            let operation = model.operation_mut(handle)?;
            operation.failure = codes;
            operation.can_cancel = false;
            operation.phase = Phase::Reclaim;
            Ok(())
        });
        Verdict(vec![outcome])
    }

    /// OP_MEM_DONATE (6.4).
    pub(crate) fn op_donate(
        &self,
        handle: u64,
        list: u64,
        count: u64,
        host: &dyn HostView,
    ) -> Verdict {
        let mut c = Conditions::new();
        self.live(&mut c, handle, |operation| matches!(operation.phase, Phase::Donate(_)));
        let page = self.read_list(&mut c, list, host);
        let wanted = match self.operations.get(&handle).map(|operation| operation.phase) {
            Some(Phase::Donate(wanted)) => wanted,
            _ => return c.failure(&[]),
        };
        let given = page.map(|page| given(&page, list, count));
        let granules = given.as_ref().map_or(&[][..], |given| &given.granules);
        c.fails("mem_gt", given.as_ref().is_some_and(|given| given.total > wanted), INPUT);
        c.fails("mem_align", given.as_ref().is_some_and(|given| !given.is_aligned), INPUT);
        // In list order, until one will not do; the second of two equal ones does not (6.9).
        let good = |number: usize, pa: u64| {
            self.platform.is_delegable(pa)
                && self.state(pa) == State::Delegated
                && !granules[..number].contains(&pa)
        };
        let taken =
            granules.iter().enumerate().take_while(|&(number, &pa)| good(number, pa)).count();
        let bad_first = taken == 0 && !granules.is_empty();
        c.fails("mem_state", bad_first, INPUT);
        if c.any() {
            return fails_to_donate(&c, handle);
        }
        let granules = granules[..taken].to_vec();
        let rest = wanted - taken as u64;
        let request = if rest == 0 { 0 } else { DonateRequest::granules(rest).encode() };
        let takes = |word: u64| {
            let granules = granules.clone();
            let outputs = Outputs::Are([taken as u64, request, 0, 0]);
            Outcome::of("", word).outputs(outputs).effect(move |model, answer, _| {
                let operation = model.operation_mut(handle)?;
                operation.granules.extend(&granules);
                operation.phase = if rest == 0 { Phase::Run } else { Phase::Donate(rest) };
                operation.can_cancel = answer[0] & CAN_CANCEL != 0;
                operation.donate_failed = false;
                for pa in granules {
                    model.set_state(pa, State::Internal);
                }
                Ok(())
            })
        };
        if rest != 0 {
            return Verdict(vec![takes(donate_word())]);
        }
        Verdict(vec![takes(INCOMPLETE), takes(INCOMPLETE | CAN_CANCEL)])
    }

    /// The checks on a list: 8-aligned, in Host memory (6.4, 6.5). The page that holds it.
    fn read_list(&self, c: &mut Conditions, list: u64, host: &dyn HostView) -> Option<Box<Page>> {
        let granule = list & !(GRANULE - 1);
        c.fails(LIST[0], !list.is_multiple_of(8), INPUT);
        if !list.is_multiple_of(8) {
            return None;
        }
        self.read_host(c, LIST, granule, host)
    }

    /// OP_MEM_RECLAIM (6.5).
    pub(crate) fn op_reclaim(&self, handle: u64, list: u64, count: u64) -> Verdict {
        let mut c = Conditions::new();
        self.live(&mut c, handle, |operation| operation.phase == Phase::Reclaim);
        c.fails("list_align", !list.is_multiple_of(8), INPUT);
        c.fails("list_pas", !self.is_host_memory(list), INPUT);
        if c.any() {
            return c.failure(&[]);
        }
        // More to come, or all is back; never the last answer of the operation.
        let gives = |word: u64| {
            Outcome::of("", word).outputs(Outputs::Checked).effect(move |model, answer, host| {
                ensure(answer[2..4] == [0; 2], "X2 and X3 are 0")?;
                let entries: Vec<u64> = {
                    let page =
                        host.after(list & !(GRANULE - 1)).ok_or("the list cannot be read")?;
                    let room = list_words(list, count).count() as u64;
                    ensure(answer[1] <= room, "X1 is not above the room for entries")?;
                    ensure(answer[1] > 0 || room == 0, "there is progress")?;
                    written_words(host, list, answer[1], &page)?
                };
                model.reclaim(handle, &entries, word == RECLAIM)
            })
        };
        Verdict(vec![gives(RECLAIM), gives(INCOMPLETE)])
    }

    fn reclaim(&mut self, handle: u64, entries: &[u64], more: bool) -> Result<(), String> {
        let operation = self.operation_mut(handle)?;
        let mut left = operation.granules.clone();
        let mut back = Vec::new();
        for &entry in entries {
            let range = AddressRange::decode(entry, 12);
            ensure(range.encode(12) == entry, "the reserved bits of an entry are zero")?;
            ensure(range.state == 0, "memory comes back DELEGATED")?;
            ensure(range.is_aligned() && range.count > 0, "an entry is good")?;
            for pa in (range.base..range.base + range.bytes()).step_by(GRANULE as usize) {
                let held = left.iter().position(|&granule| granule == pa);
                let at = held.ok_or_else(|| format!("{pa:#x} was not held"))?;
                left.swap_remove(at);
                back.push(pa);
            }
        }
        ensure(left.is_empty() != more, "X0 says whether there is more")?;
        operation.granules = left;
        operation.can_cancel = false;
        if !more {
            operation.phase = Phase::Run;
        }
        for pa in back {
            self.set_state(pa, State::Delegated);
        }
        Ok(())
    }

    /// OP_CANCEL (6.7).
    pub(crate) fn op_cancel(&self, handle: u64) -> Verdict {
        let mut c = Conditions::new();
        let live = self.live(&mut c, handle, |_| true);
        let can = |operation: &Operation| operation.can_cancel && operation.phase != Phase::Reclaim;
        c.fails("can_cancel", live && !can(&self.operations[&handle]), INPUT);
        if c.any() {
            return c.failure(&[]);
        }
        let nothing = self.operations[&handle].granules.is_empty();
        let (word, phase) =
            if nothing { (INCOMPLETE, Phase::Run) } else { (RECLAIM, Phase::Reclaim) };
        let outcome = |x1: u64| {
            let outputs = Outputs::Are([x1, 0, 0, 0]);
            Outcome::of("", word).outputs(outputs).effect(move |model, _, _| {
                let operation = model.operation_mut(handle)?;
                operation.failure = vec![choices::CANCELLED];
                operation.can_cancel = false;
                operation.phase = phase;
                Ok(())
            })
        };
        // Whether the handle stands in X1, as it does for OP_CONTINUE, is not said.
        Verdict(vec![outcome(0), outcome(handle)])
    }

    /// The handle is free again, and the granule of a REC that was not made is DELEGATED.
    pub(crate) fn release(&mut self, handle: u64) -> Result<Operation, String> {
        let operation = self.operations.remove(&handle).ok_or("there is no such operation")?;
        self.set_state(operation.rec, State::Delegated);
        Ok(operation)
    }
}

/// X0 of an operation that asks for memory: it can be cancelled then (6.7).
pub(crate) fn donate_word() -> u64 {
    if choices::DONATION_IS_CANCELLABLE { DONATE | CAN_CANCEL } else { DONATE }
}

/// The words of a list that the RMM has written; no others have changed (6.5).
pub(crate) fn written_words(
    host: &dyn HostView,
    list: u64,
    count: u64,
    after: &Page,
) -> Result<Vec<u64>, String> {
    let granule = list & !(GRANULE - 1);
    let written: Vec<u64> = list_words(list, count).collect();
    let before = host.before(granule).ok_or("the list could not be read")?;
    let mut others = (granule..granule + GRANULE).step_by(8).filter(|at| !written.contains(at));
    let kept = others.all(|at| word_of(&before, at) == word_of(after, at));
    ensure(kept, "the RMM writes nothing but entries")?;
    Ok(written.into_iter().map(|at| word_of(after, at)).collect())
}

/// What a list says.
struct Given {
    /// Granules in all.
    total: u64,
    /// The granules, in order; not all of them if they are too many for any request.
    granules: Vec<u64>,
    is_aligned: bool,
}

/// Reads a list for OP_MEM_DONATE. Empty entries are skipped (7.1), states ignored (0.4, 6.4).
fn given(page: &Page, list: u64, count: u64) -> Given {
    /// More than any request can name.
    const ENOUGH: u64 = 1 << 14;
    let mut given = Given { total: 0, granules: Vec::new(), is_aligned: true };
    for at in list_words(list, count) {
        let range = AddressRange::decode(word_of(page, at), 12);
        given.total = given.total.saturating_add(range.bytes() / GRANULE);
        given.is_aligned &= range.count == 0 || range.is_aligned();
        if given.total <= ENOUGH {
            let blocks = range.base..range.base + range.bytes();
            given.granules.extend(blocks.step_by(GRANULE as usize));
        }
    }
    given
}

/// OP_MEM_DONATE fails, which OP_CONTINUE will see.
fn fails_to_donate(c: &Conditions, handle: u64) -> Verdict {
    let remember = |outcome: Outcome| {
        outcome.effect(move |model, _, _| {
            model.operation_mut(handle)?.donate_failed = true;
            Ok(())
        })
    };
    Verdict(c.failure(&[]).0.into_iter().map(remember).collect())
}

/// The operation ends with one of these codes; nothing is left of it.
fn all_ends(handle: u64, name: &'static str, codes: &[u64]) -> Verdict {
    let ends = |&code| {
        Outcome::of(name, code).effect(move |model, _, _| model.release(handle).map(|_| ()))
    };
    Verdict(codes.iter().map(ends).collect())
}

/// The operation is still live, and nothing has changed (6.6; the handle by 0.4).
fn busy(handle: u64) -> Outcome {
    Outcome::of("busy", BUSY).outputs(Outputs::Are([handle, 0, 0, 0]))
}

/// The operation wants to be called again (6.1).
fn goes_on(handle: u64) -> Outcome {
    Outcome::of("again", INCOMPLETE).outputs(Outputs::Are([handle, 0, 0, 0]))
}
