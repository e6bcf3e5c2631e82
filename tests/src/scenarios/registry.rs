//! The list of scenarios.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::outcome::Outcome;
use crate::world::World;

/// The machine that a scenario needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cpu {
    /// A CPU with everything: FEAT_LPA2, 16-bit VMIDs.
    Max,
    /// A CPU without optional features: 48-bit addresses, 8-bit VMIDs.
    Plain,
    /// As `Max`, with more than 1 GiB of contiguous memory.
    Large,
}

/// A scenario.
pub struct Scenario {
    /// `command/condition`, unique.
    pub name: String,
    /// The machine it needs.
    pub cpu: Cpu,
    /// Carries it out.
    pub run: Box<dyn Fn(&mut World<'_>) -> Outcome + Send + Sync>,
}

/// All scenarios, in the order they were added.
#[derive(Default)]
pub struct Registry {
    /// The scenarios.
    pub scenarios: Vec<Scenario>,
}

impl Registry {
    /// Adds a scenario for any machine.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        run: impl Fn(&mut World<'_>) -> Outcome + Send + Sync + 'static,
    ) {
        self.add_on(Cpu::Max, name, run);
    }

    /// Adds a scenario for a particular machine.
    pub fn add_on(
        &mut self,
        cpu: Cpu,
        name: impl Into<String>,
        run: impl Fn(&mut World<'_>) -> Outcome + Send + Sync + 'static,
    ) {
        self.scenarios.push(Scenario { name: name.into(), cpu, run: Box::new(run) });
    }
}
