//! The list of scenarios.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::need::{Backend, Need};
use crate::outcome::Outcome;
use crate::port::Port;
use crate::v2_0;
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

/// What a scenario does, as a Host of one interface or the other.
pub enum Run {
    /// RMI 1.0.
    V1(Box<dyn Fn(&mut World<'_>) -> Outcome + Send + Sync>),
    /// RMI 2.0.
    V2(Box<dyn Fn(&mut v2_0::world::World<'_>) -> Outcome + Send + Sync>),
}

/// How a scenario ended.
#[derive(Debug)]
pub struct Ended {
    /// Its expectations.
    pub outcome: Outcome,
    /// Giving everything back afterwards.
    pub closing: Outcome,
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
    pub run: Run,
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

    /// Carries it out on a machine, and gives everything back that its Host still has.
    pub fn carry_out(&self, port: &mut dyn Port) -> Ended {
        match &self.run {
            Run::V1(run) => {
                let mut world = World::new(port);
                let outcome = run(&mut world);
                Ended { outcome, closing: world.give_everything_back() }
            }
            Run::V2(run) => {
                let mut world = v2_0::world::World::new(port);
                let outcome = run(&mut world);
                Ended { outcome, closing: world.give_everything_back() }
            }
        }
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
        self.add_run(cpu, name.into(), Run::V1(Box::new(run)))
    }

    /// Adds a scenario of either interface.
    pub fn add_run(&mut self, cpu: Cpu, name: String, run: Run) -> &mut Scenario {
        let (needs, interpretation) = (Vec::new(), None);
        let index = self.scenarios.len();
        self.scenarios.push(Scenario { name, cpu, needs, interpretation, run });
        &mut self.scenarios[index]
    }
}
