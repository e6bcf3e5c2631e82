//! The monitor on the fake machine, as a machine of RMI 2.0.

use cairn_spec::v2_0::{Answer, Call, Page, Platform, fid};

use super::layout::Layout;
use super::pair::Machine;
use crate::fake_port::FakePort;
use crate::machine::FakeMachine;
use crate::machine::config::{self, Profile};
use crate::port::{Place, Port as _};

impl Machine for &FakeMachine {
    fn call(&mut self, call: &Call) -> Option<Answer> {
        self.cpu(0).handle(call)
    }

    fn read_page(&mut self, pa: u64) -> Page {
        self.host_page(pa)
    }

    fn write_page(&mut self, pa: u64, page: &Page) {
        self.set_host_page(pa, page);
    }

    fn refuse(&mut self, order: Option<(u64, u64)>) {
        use cairn_spec::v2_0::words::{BLOCKED, BUSY};
        // What EL3 says, as the fake machine takes orders.
        const DENIED: i64 = -3;
        const AGAIN: i64 = -6;
        const CONFLICT: i64 = -7;
        match order {
            Some((nth, BUSY)) => self.refuse_el3_call(nth, AGAIN),
            Some((nth, BLOCKED)) => self.refuse_el3_call(nth, CONFLICT),
            Some((nth, _)) => self.refuse_el3_call(nth, DENIED),
            None => self.calm_el3(),
        }
    }

    fn fault(&mut self, nth: u64) {
        self.fault_host_at(nth);
    }

    fn faulted_page(&mut self) -> Option<u64> {
        FakeMachine::faulted_page(self)
    }

    fn check(&mut self) -> Result<(), String> {
        match self.take_violations().as_slice() {
            [] => Ok(()),
            violations => Err(format!("{violations:#?}")),
        }
    }

    fn check_end(&mut self) -> Result<(), String> {
        self.quiesce();
        self.check()?;
        match self.census() {
            [_, rest @ ..] if rest.iter().all(|&count| count == 0) => Ok(()),
            census => Err(format!("not given back: {census:?}")),
        }
    }
}

/// What the specification cannot know of a fake machine: its memory, and what its feature registers
/// say. `None` if its monitor does not speak 2.0, or says what is not in the profile of the model.
pub fn platform_of(machine: &FakeMachine) -> Option<Platform> {
    let call = |fid, x1| machine.cpu(0).handle(&[fid, x1, 0, 0, 0, 0, 0, 0]);
    let [0, ..] = call(fid::VERSION, 0x2_0000)? else { return None };
    let [fr0, fr1] = [call(fid::FEATURES, 0)?[1], call(fid::FEATURES, 1)?[1]];
    let plain = matches!(machine.profile, Profile::Plain | Profile::Narrow);
    let banks = machine.profile.banks();
    let (base, bytes) = *banks.first()?;
    let not_host = (1..=config::RESERVED_GRANULES).map(|back| base + bytes - back * 4096);
    Some(Platform {
        not_host: not_host.collect(),
        banks,
        vmid16: !plain,
        small_tables: !plain,
        hpmn0: !plain,
        ..Platform::from_registers(fr0, fr1)?
    })
}

/// Where the Host has its memory on a fake machine.
pub fn layout_of(machine: &FakeMachine) -> Layout {
    const MIB: u64 = 1 << 20;
    let port = FakePort::new(machine);
    let places = [Place::Device, Place::BeyondPa, Place::Secure, Place::Root, Place::High];
    let mut strange: Vec<u64> = places.into_iter().filter_map(|place| port.place(place)).collect();
    strange.extend([0, u64::MAX, !0xfff]);
    let mut layout = Layout::new(config::MAIN_BASE, strange);
    // A block where there is as much memory.
    let bytes = machine.profile.banks().first().map_or(0, |(_, bytes)| *bytes);
    layout.block = (bytes >= 5 * MIB).then_some(config::MAIN_BASE + 2 * MIB);
    layout
}
