//! The monitor's operations without a command around them: for what no version of the interface
//! calls as it is tested.

use realm::Rmm;

use super::{FakeCpu, FakeMachine, lock};

impl FakeCpu<'_> {
    /// The monitor as this CPU sees it.
    pub fn rmm(&self) -> Rmm<'_, Self> {
        Rmm::new(self, &self.machine.shared)
    }

    /// Lets the monitor do something, and checks the machine afterwards as after a call. If the
    /// result `is_refusal`, nothing may have changed.
    pub fn carry_out<T>(
        &self,
        is_refusal: impl FnOnce(&T) -> bool,
        operation: impl FnOnce(&Rmm<'_, Self>) -> T,
    ) -> T {
        let machine = self.machine;
        lock(&machine.host).begin_command(self.number);
        machine.begin_command();
        let result = operation(&self.rmm());
        self.check_cpu();
        machine.end_command(&[0; 8], &[u64::from(is_refusal(&result)), 0, 0, 0, 0]);
        result
    }
}

impl<'m> FakeCpu<'m> {
    /// Lets the monitor do something on this CPU. Afterwards the whole machine is checked.
    pub fn directly<R>(&self, act: impl FnOnce(&Rmm<'_, FakeCpu<'m>>) -> R) -> R {
        self.machine.unleash();
        let result = self.among_others(act);
        self.machine.quiesce();
        result
    }

    /// The same while other CPUs do something: only this CPU is checked afterwards.
    pub fn among_others<R>(&self, act: impl FnOnce(&Rmm<'_, FakeCpu<'m>>) -> R) -> R {
        let result = act(&Rmm::new(self, &self.machine.shared));
        self.check_cpu();
        result
    }
}

impl FakeMachine {
    /// The state of the granule at `pa`, by name.
    pub fn state_name(&self, pa: u64) -> &'static str {
        self.state_of(pa).map_or("untracked", granule::GranuleState::name)
    }

    /// Whether the granule at `pa` is all zero.
    pub fn is_zero(&self, pa: u64) -> bool {
        self.dram.at(pa).is_none_or(super::dram::Granule::is_zero)
    }
}
