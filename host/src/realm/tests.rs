//! Whole lives of Realms on the fake machine.

use super::*;
use crate::ipa::{RAM_BASE, SHARED_BIT, UART_BASE};
use crate::machine::Machine;
use crate::realm::teardown;
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

/// Runs the first CPU to its end; gives back what the host wrote at each entry.
fn run(script: &[testing::Exit]) -> (FakeMachine, Host, Realm) {
    let (machine, host) = testing::host();
    let realm = build(&machine, &host, script).unwrap();
    let realm = Group::new(alloc::vec![realm], 1).run_until_one_stops(&host, 0).unwrap();
    (machine, host, realm)
}

#[test]
fn a_guest_that_powers_off_leaves_nothing_behind() {
    let (machine, host, realm) = run(&[
        exits::fault(RAM_MIDDLE),
        exits::fault(RAM_MIDDLE | SHARED_BIT),
        exits::store(UART_BASE, u64::from(b'!')),
        exits::psci(SYSTEM_OFF, 0),
    ]);
    assert_eq!(realm.take_failure(), None);
    teardown::destroy(&host, realm).unwrap();
    host.account().unwrap();
    let state = machine.0.lock();
    assert!(state.console.contains('!'));
    assert!(state.console.contains("\"leaked\":0"));
    assert!(state.console.contains("\"sync_abort\":2,\"sync_mmio\":1"));
}

#[test]
fn a_read_is_answered_at_the_next_entry() {
    let (machine, ..) = run(&[exits::load(UART_BASE + 5), exits::psci(SYSTEM_OFF, 0)]);
    let state = machine.0.lock();
    assert_eq!(state.entries[1], (0b101, 0x60), "EMUL_MMIO, TRAP_WFI and the line status");
}

#[test]
fn memory_goes_to_shared_and_back() {
    let end = RAM_MIDDLE + 0x3000;
    let (_, host, realm) = run(&[
        exits::fault(RAM_MIDDLE + 0x1000),
        exits::ripas(RAM_MIDDLE, end, 0),
        exits::fault(RAM_MIDDLE + 0x1000 + SHARED_BIT),
        exits::ripas(RAM_MIDDLE, end, 1),
        exits::psci(SYSTEM_OFF, 0),
    ]);
    assert_eq!(realm.take_failure(), None);
    assert!(realm.shared.lock().is_empty(), "the alias is gone");
    teardown::destroy(&host, realm).unwrap();
    host.account().unwrap();
}

#[test]
fn a_sleeping_guest_wakes_up_with_its_timer() {
    let (machine, _, realm) = run(&[
        exits::store(ipa::GICD_BASE, 2),
        exits::store(ipa::GICR_BASE + 0x1_0103, 1 << 3),
        exits::wfi(5000),
        exits::psci(SYSTEM_OFF, 0),
    ]);
    assert_eq!(realm.take_failure(), None);
    assert!(machine.counter() >= 5000);
    let lr = machine.0.lock().first_list_registers.pop().unwrap();
    assert_eq!((lr >> 62, lr & 0xffff), (1, 27), "the timer is pending at the next entry");
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
    let (machine, ..) = run(&[exits::psci(0xc400_0003, 1), exits::psci(SYSTEM_OFF, 0)]);
    assert!(machine.0.lock().console.contains("the guest starts its CPU 1"));
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
    let (_, host, realm) = run(&[exits::fault(0x1000)]);
    let why = realm.take_failure().unwrap().to_string();
    assert_eq!(why, "the guest faulted at 0x1000, which is not RAM");
    teardown::destroy(&host, realm).unwrap();
    host.account().unwrap();
}
