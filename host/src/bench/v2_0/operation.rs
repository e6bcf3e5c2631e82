//! Commands that may take several calls, timed: all calls together are what the command costs.
//!
//! What the monitor may ask for is at hand before the first call, and is kept after the last, so
//! that no other command stands between those of the operation, or before the report about them.

use crate::bench::dialect::Timing;
use crate::bench::{Answer, Bench, Cost};
use crate::failure::Failure;
use crate::granules::PAGE_SIZE;
use crate::rmi::v2_0::command::{OP_CANCEL, OP_CONTINUE, OP_MEM_DONATE, OP_MEM_RECLAIM};
use crate::rmi::v2_0::descriptor::{AddrRange, DonateRequest};
use crate::rmi::{Command, Need, RmiError, Status};
use alloc::vec::Vec;

/// Granules that an operation may ask for.
const GRANULES: usize = 32;
/// Most descriptors of a list.
const LIST_MAX: u64 = 256;

/// One operation.
pub(in crate::bench) struct Operation<'o, 'b> {
    bench: &'o Bench<'b>,
    /// Page for lists.
    list: u64,
    donated: Vec<u64>,
    cost: Cost,
    /// Commands whose first call is a row of its own.
    rows: &'o [(Command, &'o str)],
    /// Those that have been reported.
    told: Vec<Command>,
    /// Nothing is donated: the operation is cancelled.
    is_cancelled: bool,
}

impl<'o, 'b> Operation<'o, 'b> {
    /// Gets ready.
    pub(in crate::bench) fn new(bench: &'o Bench<'b>) -> Result<Self, Failure> {
        let list = bench.host.take_page()?;
        let mut stock = bench.stock.borrow_mut();
        while stock.len() < GRANULES {
            stock.push(bench.host.take_granule()?);
        }
        Ok(Self {
            bench,
            list,
            donated: Vec::new(),
            cost: Cost::default(),
            rows: &[],
            told: Vec::new(),
            is_cancelled: false,
        })
    }

    /// Reports what the first call of each of these commands costs, as soon as it is made.
    pub(in crate::bench) fn telling(self, rows: &'o [(Command, &'o str)]) -> Self {
        Self { rows, ..self }
    }

    /// Cancels the operation when it asks for memory.
    pub(in crate::bench) fn cancelled(self) -> Self {
        Self { is_cancelled: true, ..self }
    }

    /// Issues the command and drives it to its end; the granules that the monitor has got by it.
    pub(in crate::bench) fn run(mut self, command: Command, args: [u64; 5]) -> Timing<Vec<u64>> {
        let Self { bench, .. } = self;
        let mut answer = bench.ask(command, args);
        let mut asked = (command, args);
        let mut handle = None;
        loop {
            self.cost += answer.cost;
            let (command, args) = asked;
            self.tell(command, answer.cost);
            let refused = match RmiError::from_reply(command, args, answer.reply) {
                Ok(_) => break,
                Err(error) => error,
            };
            let Status::Incomplete(need) = refused.status else {
                // What a cancelled operation ends with is not laid down.
                if self.is_cancelled {
                    break;
                }
                return Err(refused.into());
            };
            let handle = *handle.get_or_insert(answer.x1);
            asked = match need {
                Need::Nothing => (OP_CONTINUE, [handle, 0, 0, 0, 0]),
                Need::Donation if self.is_cancelled => (OP_CANCEL, [handle, 0, 0, 0, 0]),
                Need::Donation => (OP_MEM_DONATE, [handle, self.list, self.offer(&answer)?, 0, 0]),
                Need::Reclaim => (OP_MEM_RECLAIM, [handle, self.list, LIST_MAX, 0, 0]),
            };
            let (command, args) = asked;
            answer = bench.ask(command, args);
        }
        bench.host.put_page(self.list);
        Ok((self.cost, self.donated))
    }

    /// Reports a call, if it is the first of one of the commands that are told of.
    fn tell(&mut self, command: Command, cost: Cost) {
        let is_wanted = |(wanted, _): &&(Command, &str)| *wanted == command;
        if let Some((_, name)) = self.rows.iter().find(is_wanted)
            && !self.told.contains(&command)
        {
            self.told.push(command);
            self.bench.row(name, cost);
        }
    }

    /// Writes the list of granules that the monitor asks for; how many there are.
    fn offer(&mut self, answer: &Answer) -> Result<u64, Failure> {
        let [_, _, x2, ..] = answer.reply;
        let request = DonateRequest::decode(x2);
        let count = usize::try_from(request.count).unwrap_or(usize::MAX);
        if request.level != 3 || request.contiguous || request.state != 0 {
            return Err(failure!("this bench gives single delegated granules, not {request:?}"));
        }
        let mut stock = self.bench.stock.borrow_mut();
        let rest = stock.len().checked_sub(count).filter(|_| count != 0);
        let rest = rest.ok_or_else(|| failure!("this bench has {GRANULES} granules to give"))?;
        let given = stock.split_off(rest);
        for (at, granule) in (self.list..).step_by(8).zip(&given) {
            let descriptor = AddrRange::delegated(*granule, PAGE_SIZE).encode();
            self.bench.host.machine().write_u64(at, descriptor);
        }
        self.donated.extend(given);
        Ok(request.count)
    }
}
