//! Random sequences of commands: no rule of the machine is ever broken, and whatever state they reach, everything can be
//! given back (closure).
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test program"
)]

mod host;

use std::collections::BTreeMap;

use cairn_tests::abi::Command;
use cairn_tests::fake_port::FakePort;
use cairn_tests::machine::FakeMachine;
use cairn_tests::machine::config::Profile;
use cairn_tests::world::World;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use host::{Host, Start, Step};

/// How often each command returned each code.
type Tally = BTreeMap<(Command, u64), u64>;

fn holds(start: Start, steps: &[Step]) -> Result<Tally, TestCaseError> {
    let machine = FakeMachine::new(Profile::Max);
    let mut port = FakePort::new(&machine);
    let mut world = World::new(&mut port);
    let mut host = Host::new(&mut world, start);
    for &choices in steps {
        host.step(&mut world, choices);
        let violations = machine.take_violations();
        prop_assert!(violations.is_empty(), "{:?}: {:#?}", choices, violations);
    }
    let tally = world.tally().clone();
    // A refusal of EL3 that is still armed goes off now.
    let spare = world.granule();
    world.call(Command::GranuleDelegate, [spare]).unwrap();
    let closed = world.give_everything_back();
    prop_assert!(closed.is_ok(), "{:?}", closed);
    machine.quiesce();
    prop_assert_eq!(machine.take_violations(), Vec::<String>::new());
    prop_assert_eq!(&machine.census()[1..], &[0; 6]);
    Ok(tally)
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(any::<Step>(), 1..most)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24, failure_persistence: None, max_shrink_iters: 2000, ..ProptestConfig::default()
    })]

    #[test]
    fn any_sequence_of_commands_keeps_the_machine_in_order_and_can_be_undone(steps in steps(200)) {
        holds(Start::Empty, &steps)?;
    }

    #[test]
    fn any_sequence_on_a_realm_with_tables_and_a_rec_can_be_undone(steps in steps(200)) {
        holds(Start::New, &steps)?;
    }

    #[test]
    fn any_sequence_on_an_active_realm_can_be_undone(steps in steps(200)) {
        holds(Start::Active, &steps)?;
    }
}

/// The sequences would prove little if most commands always failed.
#[test]
fn random_sequences_reach_the_success_of_every_command() {
    let mut runner = TestRunner::deterministic();
    let mut total = Tally::new();
    for start in [Start::Empty, Start::New, Start::Active] {
        for _ in 0..100 {
            let steps = steps(200).new_tree(&mut runner).unwrap().current();
            for (result, count) in holds(start, &steps).unwrap() {
                *total.entry(result).or_default() += count;
            }
        }
    }
    println!("{total:x?}");
    for command in Command::ALL {
        let not_sent = matches!(command, Command::Version | Command::Features);
        assert!(not_sent || total.contains_key(&(command, 0)), "{command:?} never succeeded");
    }
}
