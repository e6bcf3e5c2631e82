//! The jobs against the monitor's own crates on the simulated machine, with a thread for each CPU.

extern crate std;

use super::lives::Lives;
use super::races::Arena;
use crate::dialect::{Dialect, V1_0, V2_0};
use crate::granules::Pool;
use crate::host::Host;
use crate::machine::Machine;
use crate::watch::Watch;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use cairn_el3::edition::Edition;
use cairn_tests::fake_port::FakePort;
use cairn_tests::machine::FakeMachine;
use cairn_tests::machine::config::Profile;
use cairn_tests::port::Port;
use core::cell::Cell;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};

std::thread_local! {
    /// The CPU that this thread is.
    static CPU: Cell<usize> = const { Cell::new(0) };
}

/// The simulated machine, under a host.
struct Under {
    machine: Arc<FakeMachine>,
    now: AtomicU64,
}

impl Under {
    /// This thread's CPU, for access to Host memory.
    fn port(&self) -> FakePort<'_> {
        FakePort::at(&self.machine, CPU.get(), 0)
    }
}

impl Machine for Under {
    fn smc(&self, [a, b, c, d, e, f, g]: [u64; 7]) -> [u64; 5] {
        let cpu = self.machine.cpu(CPU.get());
        let reply = cpu.handle(&[a, b, c, d, e, f, g, 0]).expect("the monitor answers");
        let [x0, x1, x2, x3, x4, ..] = reply;
        [x0, x1, x2, x3, x4]
    }

    fn read_u64(&self, pa: u64) -> u64 {
        let page = self.port().read_page(pa & !0xfff);
        page[usize::try_from(pa % 4096 / 8).unwrap()]
    }

    fn write_u64(&self, pa: u64, value: u64) {
        let mut page = self.port().read_page(pa & !0xfff);
        page[usize::try_from(pa % 4096 / 8).unwrap()] = value;
        self.port().write_page(pa & !0xfff, &page);
    }

    fn read_bytes(&self, _: u64, _: &mut [u8]) {}

    fn write_bytes(&self, pa: u64, bytes: &[u8]) {
        for (at, word) in (pa..).step_by(8).zip(bytes.chunks(8)) {
            let mut whole = [0; 8];
            whole[..word.len()].copy_from_slice(word);
            self.write_u64(at, u64::from_le_bytes(whole));
        }
    }

    fn zero_page(&self, pa: u64) {
        self.port().write_page(pa, &[0; 512]);
    }

    fn console_write(&self, _: &[u8]) {}

    fn console_line(&self, line: fmt::Arguments<'_>) {
        std::println!("{line}");
    }

    fn console_read(&self) -> Option<u8> {
        None
    }

    fn kick(&self, _: usize) {}

    fn counter(&self) -> u64 {
        self.now.fetch_add(1, Ordering::Relaxed)
    }

    fn counter_hz(&self) -> u64 {
        1_000_000
    }

    fn take_interrupts(&self) {}

    fn arm_timer(&self, _: Option<u64>) {}

    fn wait_for_interrupt(&self) {}
}

/// 4 MiB of the simulated machine's DRAM.
const RAM: core::ops::Range<u64> = 0x8000_0000..0x8040_0000;

fn host(dialect: &'static dyn Dialect) -> (Arc<FakeMachine>, Host) {
    let machine = Arc::new(FakeMachine::over(Profile::Max, Edition::V2_ALL));
    let under = Under { machine: machine.clone(), now: AtomicU64::new(0) };
    (machine, Host::new(Box::new(under), Pool::new(&[RAM]), dialect).unwrap())
}

fn nothing_is_left(machine: &FakeMachine, host: &Host) {
    machine.quiesce();
    assert_eq!(machine.take_violations(), Vec::<std::string::String>::new());
    let [_, others @ ..] = machine.census();
    assert_eq!(others, [0; 7], "granules that did not come back");
    assert_eq!(machine.leaked(), (0, 0));
    host.account().unwrap();
}

fn races(dialect: &'static dyn Dialect, commands: u64) {
    const CPUS: usize = 3;
    let (machine, host) = host(dialect);
    let host = Arc::new(host);
    let arena = Arena::new(&host, &[0; 64], CPUS, commands, 1).unwrap();
    machine.unleash();
    std::thread::scope(|scope| {
        for cpu in 0..CPUS {
            let arena = &arena;
            scope.spawn(move || {
                CPU.set(cpu);
                arena.work(cpu);
            });
        }
    });
    arena.finish(CPUS).unwrap();
    nothing_is_left(&machine, &host);
    host.end().unwrap();
}

#[test]
fn races_on_three_threads_leave_nothing_behind() {
    races(&V1_0, 100_000);
}

#[test]
fn races_through_2_0_leave_nothing_behind() {
    races(&V2_0, 100_000);
}

fn lives(dialect: &'static dyn Dialect) {
    let (machine, mut host) = host(dialect);
    host.watch = Some(Watch::default());
    let lives = Lives::new(&host, &[0; 64]);
    lives.same_vmid().unwrap();
    lives.given_up().unwrap();
    lives.cycles(4).unwrap();
    nothing_is_left(&machine, &host);
    host.end().unwrap();
}

#[test]
fn lives_end_with_everything_given_back() {
    lives(&V1_0);
}

#[test]
fn lives_through_2_0_end_with_everything_given_back() {
    lives(&V2_0);
}

#[test]
fn lives_alternate_between_the_versions() {
    let (machine, mut host) = host(&V1_0);
    for (number, next) in (0..).zip([&V2_0 as &dyn Dialect, &V1_0, &V2_0, &V1_0]) {
        Lives::new(&host, &[0; 64]).one(number).unwrap();
        host.is_whole().unwrap();
        host = host.switch(next).unwrap();
    }
    nothing_is_left(&machine, &host);
}
