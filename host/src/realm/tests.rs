//! Whole lives of Realms on the fake machine.

use super::*;
use crate::dialect::{Dialect, V1_0, V2_0};
use crate::ipa::{RAM_BASE, SHARED_BIT, UART_BASE};
use crate::machine::Machine;
use crate::realm::teardown;
use crate::style::HostStyle;
use crate::testing::{self, FakeMachine, exits};
use crate::vcpu::Group;
use alloc::string::ToString;

const SYSTEM_OFF: u64 = 0x8400_0008;
const RAM_MIDDLE: u64 = RAM_BASE + (32 << 20);

/// Builds a Realm for two CPUs whose guest does what the script says on its first CPU.
fn build(machine: &FakeMachine, host: &Host, script: &[testing::Exit]) -> Result<Realm, Failure> {
    let job = testing::job(2);
    machine.0.lock().script.extend(script.iter().cloned());
    let mut realm = Realm::create(host, &job, 1)?;
    match realm.build(host, &job) {
        Ok(()) => Ok(realm),
        Err(failure) => {
            teardown::destroy(host, realm).unwrap();
            Err(failure)
        }
    }
}

/// Both versions of the interface: a guest cannot tell which one it is.
const DIALECTS: [&dyn Dialect; 2] = [&V1_0, &V2_0];

/// Runs the first CPU to its end; gives back what the host wrote at each entry.
fn run(script: &[testing::Exit]) -> (FakeMachine, Host, Realm) {
    run_in(&V1_0, script)
}

/// The same in this version of the interface.
fn run_in(dialect: &'static dyn Dialect, script: &[testing::Exit]) -> (FakeMachine, Host, Realm) {
    let (machine, host) = testing::host_of(dialect);
    let realm = build(&machine, &host, script).unwrap();
    let realm = Group::new(alloc::vec![realm], 1).run_until_one_stops(&host, 0).unwrap();
    (machine, host, realm)
}

#[test]
fn a_guest_that_powers_off_leaves_nothing_behind() {
    for dialect in DIALECTS {
        let (machine, host, realm) = run_in(
            dialect,
            &[
                exits::fault(RAM_MIDDLE),
                exits::fault(RAM_MIDDLE | SHARED_BIT),
                exits::store(UART_BASE, u64::from(b'!')),
                exits::psci(SYSTEM_OFF, 0),
            ],
        );
        assert_eq!(realm.take_failure(), None);
        teardown::destroy(&host, realm).unwrap();
        host.account().unwrap();
        host.end().unwrap();
        let state = machine.0.lock();
        assert!(state.own.is_idle());
        assert!(state.console.contains('!'));
        assert!(state.console.contains("\"leaked\":0"));
        assert!(state.console.contains("\"sync_abort\":2,\"sync_mmio\":1"));
    }
}

#[test]
fn each_style_of_linux_takes_everything_back_too() {
    for (dialect, style) in [
        (DIALECTS[0], HostStyle::LinuxV7),
        (DIALECTS[0], HostStyle::LinuxV12),
        (DIALECTS[1], HostStyle::LinuxV2),
    ] {
        let (machine, mut host) = testing::host_of(dialect);
        host.style = style;
        let end = RAM_MIDDLE + 0x3000;
        let script = [
            exits::fault(RAM_MIDDLE),
            exits::fault((RAM_MIDDLE + (8 << 20)) | SHARED_BIT),
            exits::ripas(RAM_MIDDLE, end, 0),
            exits::psci(SYSTEM_OFF, 0),
        ];
        let realm = build(&machine, &host, &script).unwrap();
        // Kernel, initial RAM disk and device tree: each of their pages was there before.
        let pages = if style == HostStyle::LinuxV7 { 0 } else { 4 + 1 + 1 };
        assert_eq!(machine.0.lock().refused_ripas, pages, "{style:?}");
        let realm = Group::new(alloc::vec![realm], 1).run_until_one_stops(&host, 0).unwrap();
        assert_eq!(realm.take_failure(), None);
        teardown::destroy(&host, realm).unwrap();
        host.account().unwrap();
        host.end().unwrap();
        let state = machine.0.lock();
        let (tried, done) = state.folds;
        assert!(tried >= 32 && done >= 3, "{style:?}: {tried} and {done}");
        assert!(state.console.contains("\"leaked\":0"));
    }
}

#[test]
fn a_read_is_answered_at_the_next_entry() {
    for dialect in DIALECTS {
        let (machine, ..) =
            run_in(dialect, &[exits::load(UART_BASE + 5), exits::psci(SYSTEM_OFF, 0)]);
        let state = machine.0.lock();
        assert_eq!(state.entries[1], (0b101, 0x60), "EMUL_MMIO, TRAP_WFI and the line status");
    }
}

#[test]
fn memory_goes_to_shared_and_back() {
    for dialect in DIALECTS {
        let end = RAM_MIDDLE + 0x3000;
        let (_, host, realm) = run_in(
            dialect,
            &[
                exits::fault(RAM_MIDDLE + 0x1000),
                exits::ripas(RAM_MIDDLE, end, 0),
                exits::fault(RAM_MIDDLE + 0x1000 + SHARED_BIT),
                exits::ripas(RAM_MIDDLE, end, 1),
                exits::psci(SYSTEM_OFF, 0),
            ],
        );
        assert_eq!(realm.take_failure(), None);
        assert!(realm.shared.lock().is_empty(), "the alias is gone");
        teardown::destroy(&host, realm).unwrap();
        host.account().unwrap();
    }
}

#[test]
fn a_sleeping_guest_wakes_up_with_its_timer() {
    for dialect in DIALECTS {
        let (machine, _, realm) = run_in(
            dialect,
            &[
                exits::store(ipa::GICD_BASE, 2),
                exits::store(ipa::GICR_BASE + 0x1_0103, 1 << 3),
                exits::wfi(5000),
                exits::psci(SYSTEM_OFF, 0),
            ],
        );
        assert_eq!(realm.take_failure(), None);
        assert!(machine.counter() >= 5000);
        let lr = machine.0.lock().first_list_registers.pop().unwrap();
        assert_eq!((lr >> 62, lr & 0xffff), (1, 27), "the timer is pending at the next entry");
    }
}

#[test]
fn a_wait_may_be_one_with_a_time_limit_and_does_not_last() {
    let far = 1_000_000;
    let (machine, _, realm) = run(&[exits::wfi(far), exits::psci(SYSTEM_OFF, 0)]);
    assert_eq!(realm.take_failure(), None);
    assert!(machine.counter() < far, "the timer has not woken it");
}

#[test]
fn starting_a_cpu_is_completed_and_the_other_loop_sees_it() {
    for dialect in DIALECTS {
        let (machine, ..) =
            run_in(dialect, &[exits::psci(0xc400_0003, 1), exits::psci(SYSTEM_OFF, 0)]);
        assert!(machine.0.lock().console.contains("the guest starts its CPU 1"));
    }
}

#[test]
fn a_granule_that_does_not_come_back_is_in_the_ledger_and_in_the_last_line() {
    let (machine, host, realm) = run(&[exits::psci(SYSTEM_OFF, 0)]);
    machine.0.lock().stuck = Some(realm.rd());
    teardown::destroy(&host, realm).unwrap();
    let why = host.account().unwrap_err().to_string();
    assert!(why.ends_with("1 leaked"), "{why}");
    assert!(machine.0.lock().console.contains("a Realm descriptor"));
}

#[test]
fn each_refused_step_of_the_construction_gives_everything_back() {
    use crate::rmi::{command, v1_0};
    for command in [
        command::REALM_CREATE,
        command::RTT_INIT_RIPAS,
        command::RTT_CREATE,
        v1_0::command::DATA_CREATE,
        command::REC_CREATE,
        command::REALM_ACTIVATE,
    ] {
        let (machine, host) = testing::host();
        machine.0.lock().refuse = Some(command.number());
        let why = build(&machine, &host, &[]).err().unwrap().to_string();
        assert!(why.starts_with(command.name()), "{why}");
        host.account().unwrap();
    }
}

#[test]
fn a_fault_outside_ram_stops_the_realm_with_a_sentence() {
    for dialect in DIALECTS {
        let (_, host, realm) = run_in(dialect, &[exits::fault(0x1000)]);
        let why = realm.take_failure().unwrap().to_string();
        assert_eq!(why, "the guest faulted at 0x1000, which is not RAM");
        teardown::destroy(&host, realm).unwrap();
        host.account().unwrap();
    }
}

#[test]
fn a_guest_gets_blocks_where_nothing_is_in_the_way_and_gives_parts_of_them_up() {
    let (machine, host, realm) = run_in(
        &V2_0,
        &[
            exits::fault(RAM_MIDDLE + 0x1000),
            exits::fault(RAM_BASE + 0x7000),
            exits::ripas(RAM_MIDDLE + 0x5000, RAM_MIDDLE + 0x7000, 0),
            exits::psci(SYSTEM_OFF, 0),
        ],
    );
    assert_eq!(realm.take_failure(), None);
    assert_eq!(machine.0.lock().own.largest_mapping, 2 << 20);
    teardown::destroy(&host, realm).unwrap();
    host.account().unwrap();
    host.end().unwrap();
}

#[test]
fn without_a_block_of_its_own_the_host_gives_pages() {
    let (machine, host) = testing::host_of(&V2_0);
    let blocks: Vec<_> = core::iter::from_fn(|| host.take_granules(512, 2 << 20).ok()).collect();
    // Half of each is enough for everything else.
    for block in blocks {
        host.reclaim_range(block, block + (1 << 20), crate::granules::Purpose::Data);
    }
    let realm = build(&machine, &host, &[exits::fault(RAM_MIDDLE), exits::psci(SYSTEM_OFF, 0)]);
    let realm = Group::new(alloc::vec![realm.unwrap()], 1).run_until_one_stops(&host, 0).unwrap();
    assert_eq!(realm.take_failure(), None);
    assert_eq!(machine.0.lock().own.largest_mapping, 0x1000);
    teardown::destroy(&host, realm).unwrap();
}

#[test]
fn a_rec_may_get_its_memory_in_parts() {
    let (machine, host, realm) = run_in(&V2_0, &[exits::psci(SYSTEM_OFF, 0)]);
    assert_eq!(machine.0.lock().own.donations, 3, "one of the two in two parts");
    teardown::destroy(&host, realm).unwrap();
    host.account().unwrap();
}

#[test]
fn a_host_without_memory_cancels_what_it_has_begun() {
    let (machine, host) = testing::host_of(&V2_0);
    let mut realm = Realm::create(&host, &testing::job(1), 1).unwrap();
    // REC, run page and parameters, and then one granule of the three that a REC needs.
    let taken = host.only_from(u64::MAX);
    taken.iter().take(5).for_each(|page| host.put_page(*page));
    let why = realm.add_recs(&host, 1, RAM_BASE, 0).unwrap_err().to_string();
    assert!(why.contains("no 1 contiguous free pages"), "{why}");
    host.put_away(taken.into_iter().skip(5).collect());
    realm.add_recs(&host, 1, RAM_BASE, 0).unwrap();
    teardown::destroy(&host, realm).unwrap();
    host.account().unwrap();
    host.end().unwrap();
    assert!(machine.0.lock().own.is_idle());
}

#[test]
fn one_version_follows_the_other_when_everything_is_back() {
    let (machine, host, realm) = run_in(&V1_0, &[exits::psci(SYSTEM_OFF, 0)]);
    teardown::destroy(&host, realm).unwrap();
    let host = host.switch(&V2_0).unwrap();
    let realm = build(&machine, &host, &[]).unwrap();
    assert!(host.end().is_err(), "there is a Realm");
    teardown::destroy(&host, realm).unwrap();
    host.account().unwrap();
    let host = host.switch(&V1_0).unwrap();
    assert_eq!(host.dialect().version(), 0x1_0000);
    assert!(machine.0.lock().own.is_idle());
}
