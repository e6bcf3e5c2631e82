//! Host memory: it may fault or change under the monitor's hands.

use std::collections::HashSet;

use granule::GranuleAddr;
use machine::{HostFault, HostMemory};

use super::dram::Pas;
use super::{FakeCpu, FakeMachine, lock};

/// What the Host does while the monitor accesses its memory.
#[derive(Debug, Default)]
pub(crate) struct HostPlan {
    /// Accesses of words so far in this command.
    accesses: u64,
    /// The access at which the memory turns out not to be Non-secure any more.
    fault_at: Option<u64>,
    /// After this access, this word becomes this value.
    change_at: Option<(u64, u64, u64)>,
    /// Words read so far in this command: none may be read twice.
    read: HashSet<(usize, u64)>,
    write_faulted: bool,
    /// The page that faulted by order in the last command.
    faulted: Option<u64>,
}

impl HostPlan {
    pub(crate) fn begin_command(&mut self, cpu: usize) {
        self.accesses = 0;
        self.read.retain(|(other, _)| *other != cpu);
        self.write_faulted = false;
        self.faulted = None;
    }

    /// Whether a write faulted in this command: then a REC has run although the command fails.
    pub(crate) fn has_faulted_write(&self) -> bool {
        self.write_faulted
    }

    /// The page of the Host's that faulted by order while it was written.
    pub(crate) fn half_written(&self) -> Option<u64> {
        self.faulted.filter(|_| self.write_faulted)
    }

    pub(crate) fn end_command(&mut self) {
        self.fault_at = None;
        self.change_at = None;
    }
}

impl FakeMachine {
    /// During the next command the `nth` access of a Host word (from 0) faults.
    pub fn fault_host_at(&self, nth: u64) {
        lock(&self.host).fault_at = Some(nth);
    }

    /// The page at which Host memory faulted by order in the last command.
    pub fn faulted_page(&self) -> Option<u64> {
        lock(&self.host).faulted
    }

    /// During the next command the Host writes `value` to `pa` right after the `nth` access of one
    /// of its words.
    pub fn change_host_at(&self, nth: u64, pa: u64, value: u64) {
        lock(&self.host).change_at = Some((nth, pa, value));
    }

    /// One access to the word at `pa` by the monitor.
    fn host_access(&self, cpu: usize, pa: u64, write: Option<u64>) -> Result<u64, HostFault> {
        let mut plan = lock(&self.host);
        let number = plan.accesses;
        plan.accesses += 1;
        let pas = self.dram.at(pa).map(super::dram::Granule::pas);
        if pas.is_none() {
            self.violation(format!("access to {pa:#x}, which is no DRAM"));
        }
        let is_ordered = plan.fault_at.is_some_and(|nth| number >= nth);
        if is_ordered {
            plan.faulted.get_or_insert(pa & !0xfff);
        }
        if is_ordered || pas != Some(Pas::NonSecure) {
            plan.write_faulted |= write.is_some();
            return Err(HostFault);
        }
        if write.is_none() && !plan.read.insert((cpu, pa)) && self.is_single() {
            self.violation(format!("Host word {pa:#x} read twice in one command"));
        }
        let value = match write {
            None => self.dram.load(pa),
            Some(value) => {
                self.note(pa);
                self.dram.store(pa, value);
                value
            }
        };
        if let Some((nth, pa, value)) = plan.change_at
            && nth == number
        {
            self.dram.store(pa, value);
            self.note_host_write(pa, value);
        }
        Ok(value)
    }
}

impl HostMemory for FakeCpu<'_> {
    fn read_host(
        &self,
        granule: GranuleAddr,
        offset: usize,
        into: &mut [u64],
    ) -> Result<(), HostFault> {
        self.machine.pause();
        assert!(offset.is_multiple_of(8) && offset + into.len() * 8 <= 4096, "Host read range");
        for (index, word) in into.iter_mut().enumerate() {
            let at = granule.as_u64() + (offset + index * 8) as u64;
            *word = self.machine.host_access(self.number(), at, None)?;
        }
        Ok(())
    }

    fn write_host(
        &self,
        granule: GranuleAddr,
        offset: usize,
        from: &[u64],
    ) -> Result<(), HostFault> {
        self.machine.pause();
        assert!(offset.is_multiple_of(8) && offset + from.len() * 8 <= 4096, "Host write range");
        for (index, word) in from.iter().enumerate() {
            let at = granule.as_u64() + (offset + index * 8) as u64;
            self.machine.host_access(self.number(), at, Some(*word))?;
        }
        Ok(())
    }
}
