//! Two readings of the notes on RMI 2.0, made by two people: the scenarios, and the executable
//! specification, whose parrot answers them. Where a Realm would have to run, nothing is shown.
#![allow(clippy::unwrap_used, reason = "a test program")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use cairn_spec::v2_0::{Platform, parrot::Parrot};
use cairn_tests::abi::HostPage;
use cairn_tests::outcome::Failure;
use cairn_tests::port::{Mishap, Place, Port, Vgic};
use cairn_tests::program::{Action, Observed};
use cairn_tests::scenarios::{Cpu, Ended, Scenario};

const MIB: u64 = 1 << 20;
const MEMORY: u64 = 0x8000_0000;
const HIGH: u64 = 1 << 48;

/// The machine of a scenario.
fn platform(cpu: Cpu) -> Platform {
    let plain = matches!(cpu, Cpu::Plain | Cpu::Narrow);
    let main = if cpu == Cpu::Large { 2048 * MIB } else { 20 * MIB };
    let mut banks = vec![(MEMORY, main), (0x8_8000_0000, MIB / 4)];
    if cpu != Cpu::Narrow {
        banks.push((HIGH, MIB / 4));
    }
    Platform {
        not_host: (1..=4).map(|back| MEMORY + main - back * 4096).collect(),
        banks,
        reserved: vec![(0x6000_0000, MIB)],
        pa_bits: match cpu {
            Cpu::Narrow => 40,
            Cpu::Plain => 48,
            Cpu::Max | Cpu::Large => 52,
        },
        lpa2: !plain,
        sve_vl: (!plain).then_some(15),
        num_bps: 5,
        num_wps: 3,
        pmu_num_ctrs: (!plain).then_some(6),
        max_recs_order: 9,
        l0gptsz: 0,
        vmid16: !plain,
        small_tables: !plain,
        hpmn0: !plain,
        s2sz_min: 32,
        versions: vec![0x1_0000, 0x2_0000],
        operations: 16,
    }
}

/// The parrot with a Host's allocator.
struct ParrotPort {
    parrot: Parrot,
    platform: Platform,
    next: u64,
    vgic: Vgic,
    /// A Realm was to do something, or something was to go wrong.
    is_lacking: bool,
}

impl Port for ParrotPort {
    fn call(&mut self, registers: [u64; 8]) -> Option<[u64; 8]> {
        let answer = self.parrot.call(&registers);
        // A command of 1.0.
        self.is_lacking |= answer.is_none();
        answer
    }

    fn vgic(&mut self) -> Vgic {
        self.vgic
    }

    fn set_vgic(&mut self, vgic: &Vgic) {
        self.is_lacking = true;
        self.vgic = *vgic;
    }

    fn read_page(&mut self, pa: u64) -> HostPage {
        self.parrot.read_page(pa)
    }

    fn write_page(&mut self, pa: u64, page: &HostPage) {
        self.parrot.write_page(pa, page);
    }

    fn allocate(&mut self, count: u64, align: u64) -> u64 {
        let pa = self.next.next_multiple_of(align.max(4096));
        self.next = pa + count * 4096;
        pa
    }

    fn place(&self, place: Place) -> Option<u64> {
        let (base, bytes) = *self.platform.banks.first()?;
        Some(match place {
            Place::Device => 0x0900_0000,
            Place::BeyondPa => (1 << self.platform.pa_bits) + 4096,
            Place::Monitor => 0x6000_0000,
            Place::Secure => base + bytes - 4096,
            Place::Root => base + bytes - 2 * 4096,
            Place::High => HIGH + 0x4000,
        })
    }

    fn program(&mut self, _rd: u64, _index: u64, actions: &[Action]) {
        self.is_lacking |= !actions.is_empty();
    }

    fn observed(&mut self, _rd: u64, _index: u64) -> Vec<Observed> {
        self.is_lacking = true;
        Vec::new()
    }

    fn arm(&mut self, _mishap: Mishap) -> bool {
        self.is_lacking = true;
        false
    }

    fn leaked(&self) -> Option<usize> {
        None
    }

    fn invalidations(&self) -> Option<u64> {
        None
    }
}

/// What becomes of a scenario: whether it showed anything, or what is wrong.
///
/// The parrot copies its books for each command, which takes minutes with a GiB of granules in
/// them: what it thinks of those is shown by a test of its own (`blocks_of_1_gib`).
fn show(scenario: &Scenario) -> Result<bool, String> {
    if scenario.cpu == Cpu::Large {
        return Ok(false);
    }
    let platform = platform(scenario.cpu);
    let mut port = ParrotPort {
        parrot: Parrot::tame(platform.clone()),
        platform,
        next: MEMORY,
        vgic: Vgic::default(),
        is_lacking: false,
    };
    let Ended { outcome, closing } = scenario.carry_out(&mut port);
    match (outcome, closing) {
        (Ok(()), Ok(())) => Ok(true),
        _ if port.is_lacking => Ok(false),
        (Err(Failure::Missing(_)), _) => Ok(false),
        (Err(failure), _) | (Ok(()), Err(failure)) => Err(format!("{}: {failure}", scenario.name)),
    }
}

#[test]
fn the_specification_passes_the_scenarios() {
    let scenarios = cairn_tests::v2_0::all().scenarios;
    let next = AtomicUsize::new(0);
    let shown = AtomicUsize::new(0);
    let problems = Mutex::new(Vec::new());
    let work = || {
        while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
            match show(scenario) {
                Ok(showed) => {
                    shown.fetch_add(usize::from(showed), Ordering::Relaxed);
                }
                Err(problem) => problems.lock().unwrap().push(problem),
            }
        }
    };
    thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    println!("{} of {} scenarios", shown.load(Ordering::Relaxed), scenarios.len());
    let problems = problems.into_inner().unwrap();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
