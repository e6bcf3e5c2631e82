//! Random sequences of commands: no rule of the machine is ever broken, and whatever state they reach, everything can be
//! given back (closure).
//!
//! A run lasts until it has sent a number of commands: a million, or what `CAIRN_PROPERTY_COMMANDS` says. Every run has other
//! sequences. One that fails is made as short as possible and written to `tests/regressions`, where it is replayed for ever.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test program"
)]

mod host;
mod script;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use cairn_tests::abi::Command;
use cairn_tests::fake_port::FakePort;
use cairn_tests::machine::FakeMachine;
use cairn_tests::machine::config::Profile;
use cairn_tests::world::World;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use host::{Host, Start, Step};

/// How often each command returned each code.
type Tally = BTreeMap<(Command, u64), u64>;

/// Commands of an ordinary run.
const COMMANDS: u64 = 1_000_000;
/// Longest sequence. Long ones reach deeper, and their machine is built once.
const LONGEST: usize = 1000;
/// How long to look for a shorter failing sequence.
const SHORTENING: Duration = Duration::from_secs(60);

const STARTS: [Start; 3] = [Start::Empty, Start::New, Start::Active];

/// Runs a sequence, looks for broken rules after each step, and gives everything back.
fn follow(start: Start, steps: &[Step]) -> Result<Tally, String> {
    let machine = FakeMachine::new(Profile::Small);
    let mut port = FakePort::new(&machine);
    let mut world = World::new(&mut port);
    let mut host = Host::new(&mut world, start);
    for &choices in steps {
        host.step(&mut world, choices);
        let violations = machine.take_violations();
        if !violations.is_empty() {
            return Err(format!("{choices:?}: {violations:#?}"));
        }
    }
    let tally = world.tally().clone();
    // A refusal of EL3 that is still armed goes off now.
    let spare = world.granule();
    world.call(Command::GranuleDelegate, [spare]).map_err(|failure| failure.0)?;
    world.give_everything_back().map_err(|failure| failure.0)?;
    machine.quiesce();
    match machine.take_violations().as_slice() {
        [] => {}
        violations => return Err(format!("at the end: {violations:#?}")),
    }
    match machine.census() {
        [_, 0, 0, 0, 0, 0, 0] => Ok(tally),
        census => Err(format!("not given back: {census:?}")),
    }
}

/// The same; a panic of the monitor, or of the Host that gets no answer, is a failure like any other.
fn holds(start: Start, steps: &[Step]) -> Result<Tally, String> {
    let ran = catch_unwind(AssertUnwindSafe(|| follow(start, steps)));
    ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(format!("panic: {}", text.unwrap_or_else(|| "without text".into())))
    })
}

fn sequences(longest: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(any::<Step>(), 1..longest)
}

/// The shortest failing sequence that can be found from one that fails.
fn minimise(
    mut tree: impl ValueTree<Value = Vec<Step>>,
    fails: impl Fn(&[Step]) -> bool,
) -> Vec<Step> {
    let mut shortest = tree.current();
    let mut going = tree.simplify();
    let started = Instant::now();
    while going && started.elapsed() < SHORTENING {
        let current = tree.current();
        going = if fails(&current) {
            shortest = current;
            tree.simplify()
        } else {
            tree.complicate()
        };
    }
    shortest
}

/// One worker: sequences until enough commands have been sent by all.
fn work(seed: u64, sent: &AtomicU64, enough: u64, total: &Mutex<Tally>) -> Result<(), String> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
    for start in STARTS.into_iter().cycle() {
        if sent.load(Ordering::Relaxed) >= enough {
            break;
        }
        let tree = sequences(LONGEST).new_tree(&mut runner).map_err(|reason| reason.to_string())?;
        match holds(start, &tree.current()) {
            Ok(tally) => {
                sent.fetch_add(tally.values().sum(), Ordering::Relaxed);
                let mut total = total.lock().unwrap();
                for (result, count) in tally {
                    *total.entry(result).or_default() += count;
                }
            }
            Err(why) => {
                eprintln!("a sequence fails, looking for a shorter one: {why}");
                let steps = minimise(tree, |steps| holds(start, steps).is_err());
                let why = holds(start, &steps).err().unwrap_or_default();
                // The others need not go on.
                sent.store(enough, Ordering::Relaxed);
                let file = script::keep(start, &steps, &why);
                return Err(format!("{why}\nkept as {}", file.display()));
            }
        }
    }
    Ok(())
}

#[test]
fn any_sequence_of_commands_keeps_the_machine_in_order_and_can_be_undone() {
    let asked = std::env::var("CAIRN_PROPERTY_COMMANDS").ok();
    let enough = asked.map_or(COMMANDS, |text| text.parse().expect("a number of commands"));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = u64::try_from(now.as_nanos() & u128::from(u64::MAX)).unwrap();
    let workers = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let (sent, total) = (AtomicU64::new(0), Mutex::new(Tally::new()));
    // Panics inside the machine are results here.
    std::panic::set_hook(Box::new(|_| {}));
    let results: Vec<Result<(), String>> = std::thread::scope(|scope| {
        let (sent, total) = (&sent, &total);
        let start = |worker| scope.spawn(move || work(seed ^ worker, sent, enough, total));
        let threads: Vec<_> = (0..workers).map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    drop(std::panic::take_hook());
    for result in results {
        if let Err(why) = result {
            panic!("{why}");
        }
    }
    println!("{} commands", sent.load(Ordering::Relaxed));
    // The sequences would prove little if most commands always failed.
    let total = total.into_inner().unwrap();
    for command in Command::ALL {
        let not_sent = matches!(command, Command::Version | Command::Features);
        assert!(not_sent || total.contains_key(&(command, 0)), "{command:?} never succeeded");
    }
}

#[test]
fn scripts_of_earlier_failures_hold() {
    for (file, start, steps) in script::all() {
        if let Err(why) = holds(start, &steps) {
            panic!("{}: {why}", file.display());
        }
    }
}

#[test]
fn a_failing_sequence_becomes_short() {
    // A stand-in for a bug: some step has a first choice of 200 or more.
    let fails = |steps: &[Step]| steps.iter().any(|step| step.0 >= 200);
    let mut runner = TestRunner::deterministic();
    let mut trees = (0..).map(|_| sequences(100).new_tree(&mut runner).unwrap());
    let tree = trees.find(|tree| fails(&tree.current())).unwrap();
    assert_eq!(minimise(tree, fails), [(200, 0, 0, 0, 0)]);
}
