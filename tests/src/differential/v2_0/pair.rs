//! A machine and the specification: both do the same, and must agree.

use std::collections::{BTreeMap, HashMap};

use cairn_spec::v2_0::parrot::Parrot;
use cairn_spec::v2_0::{Answer, Call, HostView, Model, Page, Platform, fid};

use crate::differential::operation::Operation;

/// How often each command succeeded (the empty name), or failed by a condition.
pub type Tally = BTreeMap<(u64, &'static str), u64>;

/// What answers the Host's calls.
pub trait Machine {
    /// Answers a call: X0 to X7. `None` if it does not answer any more.
    fn call(&mut self, call: &Call) -> Option<Answer>;

    /// Reads a page that is the Host's.
    fn read_page(&mut self, pa: u64) -> Page;

    /// Writes a page that is the Host's.
    fn write_page(&mut self, pa: u64, page: &Page);

    /// Whether the machine is in order after a command.
    ///
    /// # Errors
    ///
    /// A rule of the machine was broken.
    fn check(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// The same, when everything has been given back.
    ///
    /// # Errors
    ///
    /// A rule was broken, or not everything is back.
    fn check_end(&mut self) -> Result<(), String> {
        self.check()
    }
}

impl Machine for Parrot {
    fn call(&mut self, call: &Call) -> Option<Answer> {
        Self::call(self, call)
    }

    fn read_page(&mut self, pa: u64) -> Page {
        Self::read_page(self, pa)
    }

    fn write_page(&mut self, pa: u64, page: &Page) {
        Self::write_page(self, pa, page);
    }
}

/// The Host's pages that a command can have to do with.
#[derive(Default)]
struct Pages {
    before: HashMap<u64, Page>,
    after: HashMap<u64, Page>,
}

impl HostView for Pages {
    fn before(&self, pa: u64) -> Option<Box<Page>> {
        self.before.get(&pa).map(|page| Box::new(*page))
    }

    fn after(&self, pa: u64) -> Option<Box<Page>> {
        self.after.get(&pa).map(|page| Box::new(*page))
    }
}

/// A machine and the specification of what it should do.
pub struct Pair<M> {
    /// The machine.
    pub machine: M,
    /// The specification.
    pub model: Model,
    /// What the commands so far have led to.
    pub tally: Tally,
    /// X0 to X7 of the last answer.
    pub answer: Answer,
}

/// Whether a command writes to a page of the Host.
fn writes_to_host(fid: u64) -> bool {
    use cairn_spec::v2_0::fid::{
        CONFIG_GET, DATA_UNMAP, OP_MEM_RECLAIM, REC_ENTER, UNPROT_UNMAP, decode,
    };
    matches!(decode(fid), CONFIG_GET | DATA_UNMAP | OP_MEM_RECLAIM | REC_ENTER | UNPROT_UNMAP)
}

impl<M: Machine> Pair<M> {
    /// A machine that has just booted, and its specification.
    pub fn new(machine: M, platform: Platform) -> Self {
        Self { machine, model: Model::new(platform), tally: Tally::new(), answer: [0; 8] }
    }

    /// Both do the same thing.
    ///
    /// # Errors
    ///
    /// They disagree, or the operation is none of 2.0.
    pub fn perform(&mut self, operation: &Operation) -> Result<(), String> {
        if let Some((pa, page)) = operation.page() {
            // A page that is not the Host's: its write faults.
            if self.model.is_host_memory(pa) {
                self.machine.write_page(pa, &page);
            }
            return Ok(());
        }
        match operation {
            Operation::Call(_, call) => self.call(call),
            other => Err(format!("not for RMI 2.0: {other}")),
        }
    }

    fn call(&mut self, call: &Call) -> Result<(), String> {
        let granules = call[1..7].iter().map(|argument| argument & !0xfff);
        let shared: Vec<u64> = granules.filter(|&pa| self.model.is_host_memory(pa)).collect();
        let mut pages = Pages::default();
        for &pa in &shared {
            pages.before.insert(pa, self.machine.read_page(pa));
        }
        self.answer = self.machine.call(call).ok_or_else(|| format!("no answer to {call:x?}"))?;
        // Others may not be the Host's any more.
        if writes_to_host(call[0]) {
            for pa in shared {
                pages.after.insert(pa, self.machine.read_page(pa));
            }
        }
        let condition = self
            .model
            .judge(call, &pages, &self.answer)
            .map_err(|divergence| divergence.to_string())?;
        *self.tally.entry((fid::decode(call[0]), condition)).or_default() += 1;
        self.machine.check().map_err(|violations| format!("{call:x?}: {violations}"))
    }
}
