//! The fake machine as a [`Port`].

use std::collections::HashMap;

use cairn_el3::firme::Runs;
use realm::rd::Rd;

use crate::abi::HostPage;
use crate::machine::config::Profile;
use crate::machine::vgic::HardwareGic;
use crate::machine::{FakeMachine, config, dram::Pas};
use crate::port::{Mishap, Place, Port, Vgic};
use crate::program::{Action, Observed};

/// One CPU of a fake machine, and the Host's allocator.
pub struct FakePort<'m> {
    machine: &'m FakeMachine,
    cpu: crate::machine::FakeCpu<'m>,
    next: u64,
    /// VMID of each Realm by its RD: the simulated CPU finds a program by what it has loaded.
    vmids: HashMap<u64, u16>,
}

impl<'m> FakePort<'m> {
    /// The first CPU of `machine`.
    pub fn new(machine: &'m FakeMachine) -> Self {
        Self::at(machine, 0, config::MAIN_BASE)
    }

    /// A CPU of `machine`, whose Host allocates from `base` on.
    pub fn at(machine: &'m FakeMachine, cpu: usize, base: u64) -> Self {
        Self { machine, cpu: machine.cpu(cpu), next: base, vmids: HashMap::new() }
    }

    /// VMID of the Realm with this RD; 0, which no Realm has, if there is none.
    fn vmid(&self, rd: u64) -> u16 {
        self.vmids.get(&rd).copied().or_else(|| self.machine.vmid_of(rd)).unwrap_or(0)
    }
}

impl Port for FakePort<'_> {
    fn call(&mut self, registers: [u64; 8]) -> Option<[u64; 8]> {
        self.cpu.handle(&registers)
    }

    fn bind(&mut self, rd: u64) {
        if let Some(vmid) = self.machine.vmid_of(rd) {
            self.vmids.insert(rd, vmid);
        }
    }

    fn vgic(&mut self) -> Vgic {
        let gic = self.cpu.host_gic();
        Vgic {
            vtr: self.machine.profile.facts().ich_vtr,
            hcr: gic.ich_hcr_el2,
            vmcr: gic.ich_vmcr_el2,
            lrs: gic.ich_lr_el2,
        }
    }

    fn set_vgic(&mut self, vgic: &Vgic) {
        let Vgic { vtr: _, hcr, vmcr, lrs } = *vgic;
        self.cpu.set_host_gic(HardwareGic {
            ich_hcr_el2: hcr,
            ich_vmcr_el2: vmcr,
            ich_lr_el2: lrs,
            ..self.cpu.host_gic()
        });
    }

    fn read_page(&mut self, pa: u64) -> HostPage {
        self.machine.host_page(pa)
    }

    fn write_page(&mut self, pa: u64, page: &HostPage) {
        self.machine.set_host_page(pa, page);
    }

    fn allocate(&mut self, count: u64, align: u64) -> u64 {
        let pa = self.next.next_multiple_of(align.max(4096));
        self.next = pa + count * 4096;
        pa
    }

    fn place(&self, place: Place) -> Option<u64> {
        self.machine.place(place)
    }

    fn program(&mut self, rd: u64, index: u64, actions: &[Action]) {
        self.machine.set_program(self.vmid(rd), index, actions);
    }

    fn observed(&mut self, rd: u64, index: u64) -> Vec<Observed> {
        self.machine.take_observed(self.vmid(rd), index)
    }

    fn arm(&mut self, mishap: Mishap) -> bool {
        match mishap {
            Mishap::Streaming | Mishap::SveHint => return false,
            Mishap::Pending(on) => self.machine.interrupt_every(u64::from(on)),
            Mishap::El3Short(0) => self.machine.take_runs(Runs::Whole),
            Mishap::El3Short(granules) => self.machine.take_runs(Runs::Short(granules)),
            Mishap::HostFault(nth) => self.machine.fault_host_at(nth),
            Mishap::HostChange(nth, pa, value) => self.machine.change_host_at(nth, pa, value),
            Mishap::El3Refuses(nth, code) => self.machine.refuse_el3_call(nth, code),
            Mishap::El3Keeps(pa, code) => {
                self.machine.refuse_undelegation(pa, (code != 0).then_some(code));
            }
        }
        true
    }

    fn hurry(&mut self, on: bool) {
        if on {
            self.machine.unleash();
        } else {
            self.machine.quiesce();
        }
    }

    fn leaked(&self) -> Option<usize> {
        Some(self.machine.leaked().0)
    }

    fn invalidations(&self) -> Option<u64> {
        let counter = &self.machine.counters.invalidations;
        Some(counter.load(core::sync::atomic::Ordering::Relaxed))
    }
}

impl FakeMachine {
    /// The VMID of the Realm with this RD, if there is one.
    fn vmid_of(&self, rd: u64) -> Option<u16> {
        (self.state_of(rd) == Some(granule::GranuleState::Rd))
            .then(|| self.page(rd).view::<Rd>().tree().vmid)
    }

    /// A page as the Host reads it.
    pub(crate) fn host_page(&self, pa: u64) -> HostPage {
        match self.dram.at(pa) {
            Some(granule) if granule.pas() == Pas::NonSecure => *granule.copy(),
            _ => [0xdead_dead_dead_dead; 512],
        }
    }

    pub(crate) fn set_host_page(&self, pa: u64, page: &HostPage) {
        for (index, word) in page.iter().enumerate() {
            self.dram.store(pa + index as u64 * 8, *word);
        }
    }

    fn place(&self, place: Place) -> Option<u64> {
        let (base, bytes) = self.profile.banks().first().copied()?;
        Some(match place {
            Place::Device => config::DEVICE,
            Place::BeyondPa => match self.profile {
                Profile::Plain => (1 << 48) + (1 << 40) + 4096,
                Profile::Narrow => (1 << 40) + 4096,
                Profile::Max
                | Profile::Large
                | Profile::Fvp
                | Profile::Small
                | Profile::NoCounters => (1 << 52) + 4096,
            },
            Place::Monitor => config::MONITOR,
            Place::Secure => base + bytes - 4096,
            Place::Root => base + bytes - 2 * 4096,
            Place::High if self.profile == Profile::Fvp => platform_fvp::DRAM.last()?.end - 4096,
            Place::High => config::HIGH_BASE + 0x4000,
        })
    }
}
