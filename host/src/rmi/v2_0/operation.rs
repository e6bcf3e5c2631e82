//! Commands that may take several calls: they ask the Host for memory, give memory back, or have
//! run long enough.
//!
//! `RMI_INCOMPLETE` comes with a handle. The Host then does what the operation waits for (continues
//! it, donates memory, or takes memory back) until the answer is something else, which is the
//! command's own.
//!
//! Source: RMM specification (Arm DEN0137) 2.0-bet3, "Stateful RMI operations".

use super::command::{OP_CANCEL, OP_CONTINUE, OP_MEM_DONATE, OP_MEM_RECLAIM};
use super::descriptor::{AddrRange, DonateRequest};
use crate::failure::Failure;
use crate::granules::{PAGE_SIZE, Purpose};
use crate::host::Host;
use crate::rmi::{Command, Need, RmiError, Status};
use alloc::vec::Vec;

/// Most descriptors of one list: Linux, too, donates no more blocks at a time.
const LIST_MAX: u64 = 256;

/// Drives commands that may become operations.
pub struct Operation<'a> {
    host: &'a Host,
    /// Granules that the monitor holds for what the command is about: what is donated is added,
    /// what comes back is taken out and is the host's again.
    held: &'a mut Vec<u64>,
    /// Donates less than is asked for at first, to see that the monitor asks for the rest.
    is_stingy: bool,
}

/// A call, and what came back.
struct Answer {
    command: Command,
    args: [u64; 5],
    reply: [u64; 5],
}

impl Answer {
    fn result(&self) -> Result<[u64; 4], RmiError> {
        RmiError::from_reply(self.command, self.args, self.reply)
    }
}

impl<'a> Operation<'a> {
    /// For an object for which the monitor holds these granules.
    pub fn new(host: &'a Host, held: &'a mut Vec<u64>) -> Self {
        Self { host, held, is_stingy: false }
    }

    /// Donates one granule less than is asked for at first.
    #[must_use]
    pub fn stingily(self) -> Self {
        Self { is_stingy: true, ..self }
    }

    fn call(&self, command: Command, args: [u64; 3]) -> Answer {
        let [a1, a2, a3] = args;
        let reply = self.host.machine().smc([command.number(), a1, a2, a3, 0, 0, 0]);
        Answer { command, args: [a1, a2, a3, 0, 0], reply }
    }

    /// Issues the command and drives it to its end: X1 to X4 of its last answer.
    ///
    /// # Errors
    ///
    /// The monitor refuses the command, or the host has no memory for it. All that was donated is
    /// back then.
    pub fn run(mut self, command: Command, args: [u64; 3]) -> Result<[u64; 4], Failure> {
        let mut handle = None;
        let mut cancelled = None;
        let mut answer = self.call(command, args);
        loop {
            let result = answer.result();
            let need = match (result.as_ref().map_err(|error| error.status), handle) {
                (Err(Status::Incomplete(need)), _) => need,
                // The operation goes on existing; what is not one yet is tried again as a whole.
                (Err(Status::Busy), Some(_)) => Need::Nothing,
                (Err(Status::Busy), None) => {
                    answer = self.call(command, args);
                    continue;
                }
                _ => return cancelled.map_or(result.map_err(Failure::from), Err),
            };
            let [_, x1, x2, ..] = answer.reply;
            let handle = *handle.get_or_insert(x1);
            answer = match need {
                Need::Nothing => self.call(OP_CONTINUE, [handle, 0, 0]),
                Need::Reclaim => self.reclaim(handle)?,
                Need::Donation => match self.donate(handle, DonateRequest::decode(x2)) {
                    Ok(answer) => answer,
                    // Whoever cannot give what is asked for has to say so; what was given before
                    // comes back.
                    Err(failure) if cancelled.is_none() => {
                        cancelled = Some(failure);
                        self.call(OP_CANCEL, [handle, 0, 0])
                    }
                    Err(failure) => return Err(failure),
                },
            };
        }
    }

    /// `RMI_OP_MEM_DONATE` of what is asked for, as far as it fits a list.
    fn donate(&mut self, handle: u64, request: DonateRequest) -> Result<Answer, Failure> {
        let DonateRequest { level, count, contiguous, state } = request;
        if level != 3 || contiguous || state != 0 || count == 0 {
            return Err(failure!("this host gives single delegated granules, not {request:?}"));
        }
        let mut count = count.min(LIST_MAX);
        if core::mem::take(&mut self.is_stingy) && count > 1 {
            count -= 1;
        }
        let mut granules = Vec::new();
        for _ in 0..count {
            match self.host.take_granule() {
                Ok(granule) => granules.push(granule),
                Err(failure) => {
                    self.keep(&granules);
                    return Err(failure);
                }
            }
        }
        let machine = self.host.machine();
        let list = match self.host.take_page() {
            Ok(list) => list,
            Err(failure) => {
                self.keep(&granules);
                return Err(failure);
            }
        };
        for (at, granule) in (list..).step_by(8).zip(&granules) {
            machine.write_u64(at, AddrRange::delegated(*granule, PAGE_SIZE).encode());
        }
        let answer = self.call(OP_MEM_DONATE, [handle, list, count]);
        self.host.put_page(list);
        let [_, taken, ..] = answer.reply;
        let is_incomplete =
            matches!(answer.result().map_err(|error| error.status), Err(Status::Incomplete(_)));
        let taken = if is_incomplete { usize::try_from(taken).unwrap_or(usize::MAX) } else { 0 };
        let (given, kept) = granules.split_at(taken.min(granules.len()));
        self.held.extend_from_slice(given);
        self.keep(kept);
        if is_incomplete {
            Ok(answer)
        } else {
            Err(answer.result().err().map_or_else(nothing, Into::into))
        }
    }

    /// Takes granules that were not donated out of the monitor's hands.
    fn keep(&self, granules: &[u64]) {
        granules.iter().for_each(|granule| self.host.reclaim(*granule, Purpose::RecAux));
    }

    /// `RMI_OP_MEM_RECLAIM` of as much as fits a list.
    fn reclaim(&mut self, handle: u64) -> Result<Answer, Failure> {
        let machine = self.host.machine();
        let list = self.host.take_page()?;
        let answer = self.call(OP_MEM_RECLAIM, [handle, list, LIST_MAX]);
        let [_, count, ..] = answer.reply;
        let is_incomplete =
            matches!(answer.result().map_err(|error| error.status), Err(Status::Incomplete(_)));
        let count = if is_incomplete { count.min(LIST_MAX) } else { 0 };
        let entries: Vec<AddrRange> =
            (0..count).map(|n| AddrRange::decode(machine.read_u64(list + 8 * n))).collect();
        self.host.put_page(list);
        for granule in entries.into_iter().flat_map(AddrRange::pages) {
            let Some(place) = self.held.iter().position(|held| *held == granule) else {
                return Err(failure!("{granule:#x} came back, but was not given for this"));
            };
            self.held.swap_remove(place);
            self.host.reclaim(granule, Purpose::RecAux);
        }
        if is_incomplete {
            Ok(answer)
        } else {
            Err(answer.result().err().map_or_else(nothing, Into::into))
        }
    }
}

/// An operation that is not finished has answered as if it were.
fn nothing() -> Failure {
    "an operation ended while memory was exchanged".into()
}
