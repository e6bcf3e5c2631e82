//! Errors after which nothing that the CPU does can be trusted: the monitor stops before it tells
//! the Host anything.
#![allow(clippy::unwrap_used, reason = "test code")]
#![cfg(not(target_os = "none"))]

use cairn_tests::fake_port::FakePort;
use cairn_tests::machine::FakeMachine;
use cairn_tests::machine::config::Profile;
use cairn_tests::program::{Action, RawException};
use cairn_tests::world::World;

const IL: u64 = 1 << 25;
/// EC of a data abort, an external one.
const DATA: u64 = 0x24 << 26 | IL | 1 << 9 | 0x10;
/// EC of an SError, asynchronous.
const SERROR: u64 = 0x2f << 26 | IL | 0x11;

/// Whether the monitor stops at this exception of a Realm, with a panic that names it.
fn stops_at(cause: u64, esr: u64) -> bool {
    let machine = FakeMachine::new(Profile::Max);
    let mut port = FakePort::new(&machine);
    let mut w = World::new(&mut port);
    let rec = w.running().unwrap();
    let answered = w.run(&rec, &[Action::Raw(RawException { cause, esr, far: 0, hpfar: 0 })]);
    let panicked = machine.take_violations().iter().any(|text| text.contains("panicked"));
    assert_eq!(answered.is_err(), panicked, "cause {cause}, ESR {esr:#x}");
    panicked
}

#[test]
fn an_error_that_is_not_contained_stops_the_monitor() {
    // SET: recoverable, uncontainable, restartable.
    assert_eq!([0b00, 0b10, 0b11].map(|set| stops_at(0, DATA | set << 11)), [false, true, false]);
    // AET: uncontainable, unrecoverable, restartable, recoverable, corrected.
    let stops = [0, 1, 2, 3, 6].map(|aet| stops_at(3, SERROR | aet << 10));
    assert_eq!(stops, [true, false, false, false, false]);
    // IDS: a syndrome that only this implementation knows.
    assert!(stops_at(3, SERROR | 1 << 24 | 1 << 10));
}
