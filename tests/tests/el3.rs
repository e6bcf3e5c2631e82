//! The versions of EL3's interface under the monitor: granules in runs, and virtual interrupts that
//! EL3 does not switch.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test program")]

use std::sync::Arc;

use cairn_el3::edition::Edition;
use cairn_el3::firme::Runs;
use cairn_tests::fake_port::FakePort;
use cairn_tests::harness;
use cairn_tests::machine::FakeMachine;
use cairn_tests::machine::config::Profile;
use cairn_tests::machine::vgic::HardwareGic;
use cairn_tests::need::Backend;
use cairn_tests::scenarios::{self, Cpu};
use cairn_tests::world::World;
use machine::vcpu::VcpuRegisters;
use machine::{El3Error, GRANULE_SIZE, GranuleAddr, Pas, RootWorld, Vcpu};
use zerocopy::FromZeros;

/// A range of the Host's granules.
const FIRST: u64 = 0x8000_0000;

fn granule(number: u64) -> GranuleAddr {
    GranuleAddr::new(FIRST + number * GRANULE_SIZE).unwrap()
}

/// Kinds of EL3, and how they take runs. RMI 1.0 asks for one granule at a time.
const KINDS: [(Edition, Runs); 4] = [
    (Edition::V2, Runs::Whole),
    (Edition::V2_OLD, Runs::Whole),
    (Edition::V2_ALL, Runs::Whole),
    (Edition::V2_ALL, Runs::Refused),
];

/// Scenarios that take it for granted that a monitor speaks 1.0 and no later version: they look at
/// all of the answer to RMI_VERSION, or at numbers that 2.0 has given a meaning.
const OF_1_0_ALONE: [&str; 4] =
    ["version/", "unknown/host/whole_range", "life/smoke", "life/twice"];

#[test]
fn the_scenarios_of_1_0_pass_over_interface_2_0() {
    let registry = scenarios::all();
    let mut failures = Vec::new();
    let mut passed = 0;
    for scenario in registry.scenarios.into_iter().map(Arc::new) {
        // An order to be busy comes once, and the monitor waits for FIRME.
        let is_waited_for = scenario.name.ends_with("/el3_refuses/-6");
        let is_missing = scenario.missing_on(Backend::Fake).is_some();
        let is_alone = OF_1_0_ALONE.iter().any(|name| scenario.name.starts_with(name));
        if is_missing || is_waited_for || is_alone || scenario.cpu == Cpu::Large {
            continue;
        }
        // The kinds in turn: all of them for all scenarios would be minutes.
        let (edition, runs) = KINDS[passed % KINDS.len()];
        if let Err(failure) = harness::run_over(edition, runs, &scenario) {
            failures.push(format!("{} over {edition:?}, {runs:?}: {failure}", scenario.name));
        }
        passed += 1;
    }
    assert!(failures.is_empty(), "{} of {passed}: {failures:#?}", failures.len());
}

/// Moves granules 0 to 9 to the Realm world and back over such an EL3, as often as it takes; the
/// calls that it took each time.
fn there_and_back(edition: Edition, runs: Runs) -> [u64; 2] {
    let machine = FakeMachine::over(Profile::Max, edition);
    machine.take_runs(runs);
    let cpu = machine.cpu(0);
    let calls = || machine.counters.el3_calls.load(std::sync::atomic::Ordering::Relaxed);
    let taken = [Pas::Realm, Pas::NonSecure].map(|to| {
        let before = calls();
        let mut done = 0;
        while done < 10 {
            done += cpu.set_pas(granule(done), 10 - done, to).unwrap();
        }
        assert_eq!(done, 10);
        calls() - before
    });
    assert_eq!(machine.take_violations(), [""; 0]);
    taken
}

#[test]
fn a_run_takes_as_many_calls_as_el3_makes_it() {
    assert_eq!(there_and_back(Edition::V0, Runs::Whole), [10, 10]);
    assert_eq!(there_and_back(Edition::V2_OLD, Runs::Whole), [10, 10]);
    assert_eq!(there_and_back(Edition::V2_ALL, Runs::Whole), [1, 1]);
    assert_eq!(there_and_back(Edition::V2_ALL, Runs::Short(3)), [4, 4]);
    assert_eq!(there_and_back(Edition::V2_ALL, Runs::Kept(3)), [4, 4]);
    // A count that is refused is not tried again.
    assert_eq!(there_and_back(Edition::V2, Runs::Whole), [11, 10]);
    assert_eq!(there_and_back(Edition::V2_ALL, Runs::Refused), [11, 10]);
}

#[test]
fn an_operation_that_never_moves_ends_with_an_error() {
    let machine = FakeMachine::over(Profile::Max, Edition::V2_ALL);
    machine.take_runs(Runs::Kept(0));
    assert_eq!(machine.cpu(0).set_pas(granule(0), 4, Pas::Realm), Err(El3Error(-1)));
}

#[test]
fn a_refusal_at_any_granule_leaves_the_ones_before_it_moved() {
    // Orders, and what the first granule's refusal is to the monitor. FIRME's conflict is -7.
    let orders = [(-3, -3), (-5, -3), (-7, -10), (-9, -3)];
    for (runs, (order, code)) in [Runs::Whole, Runs::Short(3), Runs::Kept(3)]
        .into_iter()
        .flat_map(|runs| orders.map(|o| (runs, o)))
    {
        for nth in 0..10 {
            let machine = FakeMachine::over(Profile::Max, Edition::V2_ALL);
            machine.take_runs(runs);
            let cpu = machine.cpu(0);
            machine.refuse_el3_call(nth, order);
            let moved = cpu.set_pas(granule(0), 10, Pas::Realm);
            let expected = if nth == 0 { Err(El3Error(code)) } else { Ok(nth) };
            assert_eq!(moved, expected, "{order} at {nth}, {runs:?}");
            // The refusal came once: the rest can be moved, and everything comes back.
            let done = moved.unwrap_or(0);
            assert_eq!(cpu.set_pas(granule(done), 10 - done, Pas::Realm), Ok(10 - done));
            assert_eq!(cpu.set_pas(granule(0), 10, Pas::NonSecure), Ok(10));
            assert_eq!(machine.take_violations(), [""; 0]);
        }
    }
}

#[test]
fn busy_at_any_granule_is_waited_for() {
    for runs in [Runs::Whole, Runs::Refused, Runs::Short(3), Runs::Kept(3)] {
        for nth in 0..10 {
            let machine = FakeMachine::over(Profile::Max, Edition::V2_ALL);
            machine.take_runs(runs);
            machine.refuse_el3_call(nth, -6);
            let moved = machine.cpu(0).set_pas(granule(0), 10, Pas::Realm);
            assert_eq!(moved, Ok(10), "busy at {nth}, {runs:?}");
        }
    }
}

#[test]
fn an_interrupt_ends_a_run_after_progress() {
    for (runs, expected) in
        [(Runs::Refused, 1), (Runs::Short(3), 3), (Runs::Kept(3), 10), (Runs::Whole, 10)]
    {
        let machine = FakeMachine::over(Profile::Max, Edition::V2_ALL);
        machine.take_runs(runs);
        machine.interrupt_every(1);
        assert_eq!(machine.cpu(0).set_pas(granule(0), 10, Pas::Realm), Ok(expected), "{runs:?}");
    }
}

/// The Host's registers, each with a value of its own.
fn host_gic() -> HardwareGic {
    HardwareGic {
        icc_sre_el2: 0x9,
        ich_hcr_el2: 3 << 27 | 0x40ff,
        ich_vmcr_el2: 0x4c_0008,
        ich_lr_el2: core::array::from_fn(|n| 0x5000_0000_0000_0000 | (n as u64 + 32)),
        ich_ap0r_el2: [1, 0, 0, 0],
        ich_ap1r_el2: [2, 0, 0, 0],
    }
}

#[test]
fn a_host_of_1_0_gets_its_virtual_interrupts_back_over_interface_2_0() {
    let machine = FakeMachine::over(Profile::Max, Edition::V2);
    machine.cpu(0).set_host_gic(host_gic());
    let mut port = FakePort::new(&machine);
    let mut w = World::new(&mut port);
    let rec = w.running().unwrap();
    w.smc(&rec, &[0xc400_0190, 0x1_0000]).unwrap();
    // What a call leaves is checked at its end, REC_ENTER included.
    machine.quiesce();
    assert_eq!(machine.take_violations(), [""; 0]);
    let after = machine.cpu(0).host_gic();
    let expected = HardwareGic {
        ich_lr_el2: after.ich_lr_el2,
        ich_ap0r_el2: after.ich_ap0r_el2,
        ich_ap1r_el2: after.ich_ap1r_el2,
        ..host_gic()
    };
    assert_eq!(after, expected);
    assert_ne!(after.ich_lr_el2, host_gic().ich_lr_el2, "the Realm ran with those of the run page");
}

#[test]
fn a_host_with_interrupts_in_the_hardware_gets_its_control_back_without_en() {
    let machine = FakeMachine::over(Profile::Max, Edition::V2);
    let cpu = machine.cpu(0);
    cpu.set_host_gic(host_gic());
    let seen = cpu.host_vgic();
    assert_eq!((seen.hcr, seen.lrs), (host_gic().ich_hcr_el2, host_gic().ich_lr_el2));
    let mut registers = VcpuRegisters::new_zeroed();
    registers.gic.in_hardware = 1;
    registers.gic.hcr = 5 << 27 | 1;
    registers.gic.vmcr = 0x1234;
    cpu.load(&mut registers);
    let running = cpu.host_gic();
    assert_eq!((running.icc_sre_el2, running.ich_hcr_el2), (0xf, 5 << 27 | 1));
    cpu.unload(&mut registers);
    let expected = HardwareGic { ich_hcr_el2: 5 << 27 | 0x40fe, ..host_gic() };
    assert_eq!(cpu.host_gic(), expected);
    assert_eq!((registers.gic.hcr, registers.gic.vmcr), (5 << 27 | 1, 0x1234));
}

#[test]
fn what_is_no_result_is_the_hosts_own_over_either_interface() {
    for edition in [Edition::V0, Edition::V2] {
        let machine = FakeMachine::over(Profile::Max, edition);
        let call = [0xc400_01ff, 11, 12, 13, 14, 15, 16, 17];
        let [x0, .., x4, x5, x6, x7] = machine.cpu(0).handle(&call).unwrap();
        assert_eq!([x0, x4, x5, x6, x7], [u64::MAX, 14, 15, 16, 17], "{edition:?}");
    }
}
