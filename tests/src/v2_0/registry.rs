//! The list of the scenarios of RMI 2.0.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;

use super::world::World;
use crate::outcome::Outcome;
use crate::scenarios::{self, Cpu, Run, Scenario};

/// Scenarios under construction: names get the prefix `v2/`.
#[derive(Default)]
pub struct Registry {
    /// The list that every runner knows.
    pub list: scenarios::Registry,
}

impl Registry {
    /// Adds a scenario that starts with an active RMM.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        run: impl Fn(&mut World<'_>) -> Outcome + Send + Sync + 'static,
    ) -> &mut Scenario {
        self.add_on(Cpu::Max, name, run)
    }

    /// The same for a particular machine.
    pub fn add_on(
        &mut self,
        cpu: Cpu,
        name: impl Into<String>,
        run: impl Fn(&mut World<'_>) -> Outcome + Send + Sync + 'static,
    ) -> &mut Scenario {
        self.add_before_on(cpu, name, move |w: &mut World<'_>| {
            w.boot()?;
            run(w)
        })
    }

    /// Adds a scenario that starts with an RMM that nobody has spoken to, or that has been
    /// deactivated.
    pub fn add_before(
        &mut self,
        name: impl Into<String>,
        run: impl Fn(&mut World<'_>) -> Outcome + Send + Sync + 'static,
    ) -> &mut Scenario {
        self.add_before_on(Cpu::Max, name, run)
    }

    /// The same for a particular machine.
    pub fn add_before_on(
        &mut self,
        cpu: Cpu,
        name: impl Into<String>,
        run: impl Fn(&mut World<'_>) -> Outcome + Send + Sync + 'static,
    ) -> &mut Scenario {
        let name = format!("v2/{}", name.into());
        self.list.add_run(cpu, name, Run::V2(Box::new(run)))
    }
}
