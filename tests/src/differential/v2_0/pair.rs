//! A machine and the specification: both do the same, and must agree.

use std::collections::{BTreeMap, HashMap};

use cairn_spec::v2_0::parrot::Parrot;
use cairn_spec::v2_0::words::BUSY;
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

    /// EL3 refuses its nth call about a granule from now (0 is the next), in such a way that a
    /// command without progress ends with this status. `None`: it refuses nothing any more.
    fn refuse(&mut self, _order: Option<(u64, u64)>) {}

    /// In the next command the nth access to Host memory faults, and all after it.
    fn fault(&mut self, _nth: u64) {}

    /// The page where that happened in the last command.
    fn faulted_page(&mut self) -> Option<u64> {
        None
    }

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
    /// The access to Host memory that faults in the next command.
    fault: Option<u64>,
}

/// Accesses of a command to Host memory that come before it has any effect: where one of these
/// faults, the command is refused. Later it is as if the Host had taken its own list away, and what
/// it is told of is not said.
fn first_accesses(fid: u64) -> u64 {
    use cairn_spec::v2_0::fid::{
        CONFIG_GET, DATA_MAP, DATA_UNMAP, REC_ENTER, UNPROT_MAP, UNPROT_UNMAP, decode,
    };
    match decode(fid) {
        // A list is read piece by piece.
        DATA_MAP | UNPROT_MAP => 1,
        // One word is read and written, to see whether the list can be.
        DATA_UNMAP | UNPROT_UNMAP => 2,
        // The words up to the registers of the entry.
        REC_ENTER => 95,
        // What was written before is nobody's.
        CONFIG_GET => 0,
        _ => u64::MAX,
    }
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
        let model = Model::new(platform);
        Self { machine, model, tally: Tally::new(), answer: [0; 8], fault: None }
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
            &Operation::Fault(nth) => {
                self.fault = Some(nth);
                Ok(())
            }
            &Operation::RefuseNth(nth, status) => {
                self.machine.refuse(Some((nth, status)));
                // Where EL3 is busy the monitor may ask again at once, and nobody sees it.
                if nth == 0 && status != BUSY {
                    self.model.refuse_el3(status);
                } else {
                    self.model.refuse_el3_once(status);
                }
                Ok(())
            }
            other => Err(format!("not for RMI 2.0: {other}")),
        }
    }

    /// From now on nobody refuses anything, and no access faults.
    pub fn calm(&mut self) {
        self.machine.refuse(None);
        self.model.calm_el3();
        self.fault = None;
    }

    fn call(&mut self, call: &Call) -> Result<(), String> {
        if let Some(nth) = self.fault.take().filter(|&nth| nth < first_accesses(call[0])) {
            self.machine.fault(nth);
        }
        let granules = call[1..7].iter().map(|argument| argument & !0xfff);
        let shared: Vec<u64> = granules.filter(|&pa| self.model.is_host_memory(pa)).collect();
        let mut pages = Pages::default();
        for &pa in &shared {
            pages.before.insert(pa, self.machine.read_page(pa));
        }
        self.answer = self.machine.call(call).ok_or_else(|| format!("no answer to {call:x?}"))?;
        if let Some(pa) = self.machine.faulted_page() {
            self.model.lose_page(pa);
        }
        let judged = self.judge(call, shared, pages);
        self.model.find_page();
        judged?;
        self.machine.check().map_err(|violations| format!("{call:x?}: {violations}"))
    }

    /// Compares the answer with the specification.
    fn judge(&mut self, call: &Call, shared: Vec<u64>, mut pages: Pages) -> Result<(), String> {
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
        Ok(())
    }
}
