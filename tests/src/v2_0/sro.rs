//! Operations that a command leaves unfinished: the books of the Host, and the loop that brings
//! them to an end.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec::Vec;

use super::abi::{BUSY, Command, Desc, INCOMPLETE, Request, SUCCESS, Wants, given};
use super::outcome::Reply;
use super::world::{PAGE, World};
use crate::outcome::{Outcome, fail};

/// Answers after which a Host gives an operation up.
const PATIENCE: usize = 10_000;

/// An operation under way.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The answer of the command that began it.
    pub begun: Reply,
    /// What it needs.
    pub wants: Wants,
    /// The last request.
    pub request: Request,
    /// It can be cancelled now.
    pub can_cancel: bool,
    /// Granules that it has got and not given back, with the state they were in.
    pub given: BTreeMap<u64, u64>,
    /// The list of the last donation as it stood in memory.
    offered: Vec<(u64, u64)>,
}

impl World<'_> {
    /// Notes what an answer says about an operation.
    pub(super) fn note_operation(&mut self, reply: &Reply) {
        let handle = match reply.command {
            Command::OpContinue
            | Command::OpMemDonate
            | Command::OpMemReclaim
            | Command::OpCancel => reply.call[1],
            _ if reply.status() == INCOMPLETE => {
                let operation = Operation {
                    begun: *reply,
                    wants: Wants::Nothing,
                    request: Request::default(),
                    can_cancel: false,
                    given: BTreeMap::new(),
                    offered: Vec::new(),
                };
                self.operations.insert(reply.handle(), operation);
                reply.handle()
            }
            _ => return,
        };
        self.note_transfer(handle, reply);
        let Some(operation) = self.operations.get_mut(&handle) else { return };
        if let Some(wants) = reply.needed() {
            operation.wants = wants;
            operation.request = reply.request();
            operation.can_cancel = reply.can_cancel();
            return;
        }
        let over = reply.command == Command::OpContinue
            && operation.wants == Wants::Nothing
            && reply.status() != BUSY;
        if over && let Some(operation) = self.operations.remove(&handle) {
            // The outputs of the command that began it, and its arguments.
            let end = Reply { x: reply.x, ..operation.begun };
            if end.status() == SUCCESS {
                self.note_success(&end);
            }
        }
    }

    /// Notes memory that has changed hands.
    fn note_transfer(&mut self, handle: u64, reply: &Reply) {
        if reply.status() != INCOMPLETE {
            return;
        }
        let Some(mut operation) = self.operations.remove(&handle) else { return };
        if reply.command == Command::OpMemDonate {
            let offered = core::mem::take(&mut operation.offered);
            let taken = usize::try_from(reply.x[1]).unwrap_or(0);
            operation.given.extend(offered.into_iter().take(taken));
        }
        if reply.command == Command::OpMemReclaim {
            for desc in self.listed(reply.call[2], reply.x[1]) {
                for pa in (desc.base..desc.end()).step_by(4096) {
                    operation.given.remove(&pa);
                    if desc.state == given::DELEGATED {
                        self.delegated.insert(pa);
                        self.spare.push(pa);
                    } else {
                        self.delegated.remove(&pa);
                    }
                }
            }
        }
        self.operations.insert(handle, operation);
    }

    /// Descriptors of a list in memory, up to the end of its page.
    pub fn listed(&mut self, list: u64, count: u64) -> Vec<Desc> {
        let page = self.port.read_page(list & !0xfff);
        let first = usize::try_from(list % PAGE / 8).unwrap_or(0);
        let count = usize::try_from(count).unwrap_or(0);
        page.iter().skip(first).take(count).map(|word| Desc::decode(*word)).collect()
    }

    /// An operation under way.
    #[track_caller]
    pub fn operation(&self, handle: u64) -> Outcome<&Operation> {
        match self.operations.get(&handle) {
            Some(operation) => Ok(operation),
            None => fail(format!("no operation {handle:#x}")),
        }
    }

    /// The Host takes an operation for ended.
    pub fn forget(&mut self, handle: u64) {
        self.operations.remove(&handle);
    }

    /// Carries out what an answer asks for until the command has come to its end; its last answer,
    /// with the command's own arguments.
    #[track_caller]
    pub fn drive(&mut self, begun: Reply) -> Outcome<Reply> {
        if begun.status() != INCOMPLETE {
            return Ok(begun);
        }
        let handle = begun.handle();
        let mut reply = begun;
        for _ in 0..PATIENCE {
            reply = match reply.needed() {
                Some(Wants::Nothing) => self.call(Command::OpContinue, &[handle, 0])?,
                Some(Wants::Donation) => self.donate_all(handle)?,
                Some(Wants::Reclaim) => self.reclaim_all(handle)?,
                None if reply.status() == BUSY => self.call(Command::OpContinue, &[handle, 0])?,
                None => return Ok(Reply { x: reply.x, ..begun }),
            };
        }
        fail(format!("{} does not come to its end", begun.command.label()))
    }

    /// Gives an operation what it asks for, at most a page full of descriptors.
    #[track_caller]
    pub fn donate_all(&mut self, handle: u64) -> Outcome<Reply> {
        let request = self.operation(handle)?.request;
        if request.count == 0 {
            return fail("a request for nothing");
        }
        let descs = self.blocks(request, request.count.min(256))?;
        self.donate(handle, 0, &descs)
    }

    /// Memory as a request wants it, `count` blocks.
    #[track_caller]
    pub fn blocks(&mut self, request: Request, count: u64) -> Outcome<Vec<Desc>> {
        let bytes = request.block_bytes();
        let state =
            if request.state == given::DELEGATED { given::DELEGATED } else { given::UNDELEGATED };
        if request.contiguous {
            let base = self.port.allocate(request.granules(), request.granules() * PAGE);
            if state == given::DELEGATED {
                let top = base + request.granules() * PAGE;
                self.through(Command::RangeDelegate, &[base, top])?;
            }
            let desc = Desc { base, size: request.size, count: request.count, state };
            return Ok([desc].into());
        }
        let mut descs = Vec::new();
        for _ in 0..count {
            let base = match (state, request.size) {
                (given::DELEGATED, 0) => self.delegated()?,
                (given::DELEGATED, _) => self.delegated_run(bytes / PAGE, bytes)?,
                _ => self.port.allocate(bytes / PAGE, bytes),
            };
            descs.push(Desc { base, size: request.size, count: 1, state });
        }
        Ok(descs)
    }

    /// OP_MEM_DONATE of these, in a list at this offset of a page.
    #[track_caller]
    pub fn donate(&mut self, handle: u64, at: u64, descs: &[Desc]) -> Outcome<Reply> {
        let words: Vec<u64> = descs.iter().map(|desc| desc.encode()).collect();
        let list = self.list(at, &words);
        self.offer(handle, descs);
        let arguments = [handle, list, descs.len() as u64];
        let reply = self.call(Command::OpMemDonate, &arguments)?;
        self.keep_rest(handle, descs);
        Ok(reply)
    }

    /// Notes what stands in the list of the next donation.
    pub fn offer(&mut self, handle: u64, descs: &[Desc]) {
        let Some(operation) = self.operations.get_mut(&handle) else { return };
        let pages = |desc: &Desc| {
            let state = desc.state;
            (desc.base..desc.end()).step_by(4096).map(move |pa| (pa, state))
        };
        operation.offered = descs.iter().flat_map(pages).collect();
    }

    /// What was offered and not taken is for the next time.
    fn keep_rest(&mut self, handle: u64, descs: &[Desc]) {
        for desc in descs.iter().filter(|desc| desc.bytes() == PAGE) {
            let taken =
                self.operations.get(&handle).is_some_and(|op| op.given.contains_key(&desc.base));
            if !taken && desc.state == given::DELEGATED {
                self.set_aside(desc.base);
            }
        }
    }

    /// OP_MEM_RECLAIM with a list of 256 entries. What comes back is what was given, in the state
    /// in which it was.
    #[track_caller]
    pub fn reclaim_all(&mut self, handle: u64) -> Outcome<Reply> {
        self.reclaim(handle, 0, 256)
    }

    /// OP_MEM_RECLAIM with a list at this offset of a page.
    #[track_caller]
    pub fn reclaim(&mut self, handle: u64, at: u64, count: u64) -> Outcome<Reply> {
        let before = self.operation(handle)?.given.clone();
        let list = self.list(at, &[]);
        let reply = self.call(Command::OpMemReclaim, &[handle, list, count])?;
        if reply.status() != INCOMPLETE {
            return fail(format!("op_mem_reclaim returned {:#x}: never an end", reply.x[0]));
        }
        if reply.x[1] > count {
            return fail(format!("{} entries in a list of {count}", reply.x[1]));
        }
        // A command that destroys gives back what another one was given.
        let destroys = matches!(
            self.operation(handle)?.begun.command,
            Command::RecDestroy | Command::RealmDestroy | Command::GptL1Destroy
        );
        for desc in self.listed(list, reply.x[1]) {
            for pa in (desc.base..desc.end()).step_by(4096) {
                let was = before.get(&pa).copied();
                if !destroys && was != Some(desc.state) {
                    return fail(format!("{pa:#x} came back as {}, was {was:?}", desc.state));
                }
            }
        }
        Ok(reply)
    }

    /// Begins an operation that ends in its donation, or says that the command has none.
    #[track_caller]
    pub fn begin(&mut self, command: Command, arguments: &[u64]) -> Outcome<u64> {
        let reply = self.call(command, arguments)?;
        reply.wants(Wants::Donation)?;
        Ok(reply.handle())
    }

    /// Brings an operation to its end that a scenario has left somewhere.
    #[track_caller]
    pub fn finish(&mut self, handle: u64) -> Outcome<Reply> {
        let operation = self.operation(handle)?;
        let (begun, wants) = (operation.begun, operation.wants);
        let need = match wants {
            Wants::Nothing => 0,
            Wants::Donation => 1,
            Wants::Reclaim => 2,
        };
        let x = [INCOMPLETE | need << 8, handle, 0, 0, 0, 0, 0, 0];
        self.drive(Reply { x, ..begun })
    }
}
