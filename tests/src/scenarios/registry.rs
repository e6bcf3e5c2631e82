//! The list of scenarios.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::need::{Backend, Need};
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
    /// As `Plain`, with 40-bit addresses.
    Narrow,
}

/// A scenario.
pub struct Scenario {
    /// `command/condition`, unique.
    pub name: String,
    /// The CPU it needs.
    pub cpu: Cpu,
    /// What else it needs that not every machine has.
    pub needs: Vec<Need>,
    /// Where the specification leaves room, how this scenario reads it.
    pub interpretation: Option<&'static str>,
    /// Carries it out.
    pub run: Box<dyn Fn(&mut World<'_>) -> Outcome + Send + Sync>,
}

impl Scenario {
    /// Declares what not every machine can do.
    pub fn needs(&mut self, need: Need) -> &mut Self {
        self.needs.push(need);
        self
    }

    /// Declares that the expectation is one of several readings of the specification.
    pub fn reading(&mut self, interpretation: &'static str) -> &mut Self {
        self.interpretation = Some(interpretation);
        self
    }

    /// Why a backend cannot run it; `None` if it can.
    pub fn missing_on(&self, backend: Backend) -> Option<&'static str> {
        self.needs.iter().find_map(|need| need.missing_on(backend))
    }
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
    ) -> &mut Scenario {
        self.add_on(Cpu::Max, name, run)
    }

    /// Adds a scenario for a particular machine.
    pub fn add_on(
        &mut self,
        cpu: Cpu,
        name: impl Into<String>,
        run: impl Fn(&mut World<'_>) -> Outcome + Send + Sync + 'static,
    ) -> &mut Scenario {
        let (needs, interpretation) = (Vec::new(), None);
        let run = Box::new(run);
        let index = self.scenarios.len();
        self.scenarios.push(Scenario { name: name.into(), cpu, needs, interpretation, run });
        &mut self.scenarios[index]
    }
}
