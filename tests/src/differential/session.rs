//! One sequence on one machine: what was done is remembered, and everything is given back at its
//! end.

use super::generate::{Layout, give_back, read_back, take_apart};
use super::operation::{Operation, write_script};
use super::pair::Pair;
use crate::machine::FakeMachine;
use crate::port::Place;

/// Where the first bank of DRAM begins.
pub const MEMORY: u64 = 0x8000_0000;

/// A machine with its specification, and what has been done with them.
pub struct Session<'m> {
    /// Both sides.
    pub pair: Pair<'m>,
    /// What has been done, from the first on.
    pub operations: Vec<Operation>,
}

impl<'m> Session<'m> {
    /// On a machine that has just booted.
    pub fn new(machine: &'m FakeMachine) -> Self {
        Self { pair: Pair::new(machine), operations: Vec::new() }
    }

    /// Where the Host has its memory on this machine.
    pub fn layout(&self) -> Layout {
        let places = [Place::Device, Place::BeyondPa, Place::Secure, Place::Root, Place::High];
        let mut strange: Vec<u64> =
            places.into_iter().map(|place| self.pair.place(place)).collect();
        strange.extend([0, u64::MAX, !0xfff, MEMORY + 100 * 4096]);
        Layout::new(MEMORY, strange)
    }

    /// Does these things, and remembers them.
    ///
    /// # Errors
    ///
    /// As [`Pair::perform`].
    pub fn perform(&mut self, operations: Vec<Operation>) -> Result<(), String> {
        for operation in operations {
            let result = self.pair.perform(&operation);
            self.operations.push(operation);
            result?;
        }
        Ok(())
    }

    /// The state is compared once more, then everything is given back: from any state that can be
    /// reached that must be possible. Not remembered: every replay does the same.
    ///
    /// # Errors
    ///
    /// The state differs, or something does not come back.
    pub fn finish(&mut self) -> Result<(), String> {
        let layout = self.layout();
        let pair = &mut self.pair;
        let perform = |pair: &mut Pair<'_>, operations: Vec<Operation>| {
            operations.iter().try_for_each(|operation| pair.perform(operation))
        };
        perform(pair, read_back(&pair.model))?;
        // A refusal of EL3 that is still armed goes off now.
        perform(pair, vec![Operation::Call(0, [0xc400_0151, layout.shared, 0, 0, 0, 0, 0, 0])])?;
        for rd in pair.model.realms().keys().copied().collect::<Vec<_>>() {
            perform(pair, take_apart(&pair.model, rd, layout.spare))?;
        }
        perform(pair, give_back(&pair.model))?;
        if !pair.model.granules().is_empty() {
            return Err(format!("not given back: {:x?}", pair.model.granules()));
        }
        pair.check_end()
    }

    /// What has been done as a script for `tests/regressions`, with a comment.
    pub fn script(&self, comment: &str) -> String {
        let script = write_script(comment, &self.operations);
        format!("machine {:?}\n{script}", self.pair.profile())
    }
}
