//! Two or three commands at once on the same granules, under a scheduler that decides at each
//! access to a granule lock, and at each step of the machine, which CPU goes on.
//!
//! Each pair of commands that share granules must end as if one had come after the other: same
//! codes, same outputs, same granules, same tables. So the loser gets the code that the
//! specification has for what it finds. What is not like that is listed in [`arenas::EXCUSED`],
//! with the reason. No lock is waited for in vain, and no rule of the machine is broken.
//!
//! `CAIRN_INTERLEAVINGS` says how many schedules each pair gets. Only with `--features shuttle`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test program")]

mod arenas;
mod arenas_2_0;
mod bursts;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use cairn_el3::edition::Edition;
use cairn_tests::fake_port::FakePort;
use cairn_tests::machine::FakeMachine;
use cairn_tests::machine::config::Profile;
use cairn_tests::v2_0;
use cairn_tests::v2_0::abi::BUSY;
use cairn_tests::world::World;
use shuttle::{Config, MaxSteps, Runner};

use arenas::{Arena, Build, Scene};
use bursts::Bursts;

/// Schedules of each pair in an ordinary run.
const SCHEDULES: usize = 100;
/// Groups of three commands of each arena.
const TRIPLES: usize = 100;
/// A command is through after a few hundred steps; one that is not waits for ever.
const STEPS_MAX: usize = 400_000;
/// How a race ended: the replies, how many granules are in each state, and what the tables say.
type Ending = (Vec<[u64; 8]>, [u64; 8], Vec<[u64; 8]>);

/// A machine in the state of an arena, with nobody looking yet.
fn stage(arena: &Arena) -> (FakeMachine, Scene) {
    let edition = match arena.build {
        Build::V1_0(_) => Edition::V0,
        Build::V2_0(_) => Edition::V2_ALL,
    };
    let machine = FakeMachine::over(Profile::Small, edition);
    machine.unleash();
    let mut port = FakePort::new(&machine);
    let scene = match arena.build {
        Build::V1_0(build) => build(&mut World::new(&mut port)),
        Build::V2_0(build) => build(&mut v2_0::world::World::new(&mut port)),
    };
    (machine, scene.unwrap())
}

/// The end of the race on `machine`, which is in order.
fn ending(machine: &FakeMachine, scene: &Scene, replies: Vec<[u64; 8]>) -> Ending {
    machine.quiesce();
    let violations = machine.take_violations();
    assert!(violations.is_empty(), "{violations:#?}");
    machine.unleash();
    let cpu = machine.cpu(0);
    let tables = scene.probes.iter().map(|probe| cpu.handle(probe).unwrap()).collect();
    (replies, machine.census(), tables)
}

/// The commands `chosen` in the order `order`.
fn one_by_one(arena: &Arena, chosen: &[usize], order: &[usize]) -> Ending {
    let (machine, scene) = stage(arena);
    let mut replies = vec![[0; 8]; chosen.len()];
    for &turn in order {
        let (_, call) = scene.commands[chosen[turn]];
        replies[turn] = machine.cpu(turn).handle(&call).unwrap();
    }
    ending(&machine, &scene, replies)
}

/// The commands `chosen` at once, each on a CPU of its own.
fn at_once(arena: &Arena, chosen: &[usize]) -> Ending {
    let (machine, scene) = stage(arena);
    let replies = Mutex::new(vec![[0; 8]; chosen.len()]);
    shuttle::thread::scope(|scope| {
        for (turn, &number) in chosen.iter().enumerate() {
            let (machine, replies, call) = (&machine, &replies, scene.commands[number].1);
            scope.spawn(move || {
                let reply = machine.cpu(turn).handle(&call);
                replies.lock().unwrap()[turn] = reply.expect("the monitor panicked");
            });
        }
    });
    let replies = replies.into_inner().unwrap();
    ending(&machine, &scene, replies)
}

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
    // The locks' weak orderings are Miri's business.
    config.silence_warnings = true;
    config
}

/// Runs `what` in this many schedules, other ones in each run. One that fails is printed, for
/// `shuttle::replay`.
fn under(schedules: usize, what: impl Fn() + Send + Sync + 'static) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |t| t.as_nanos());
    let seed = u64::try_from(now & u128::from(u64::MAX)).unwrap_or(0);
    Runner::new(Bursts::new(schedules, seed), config()).run(what);
}

/// The same if one of two commands of 2.0 is told RMI_BUSY: as if it had not been sent.
fn busy(arena: &Arena, chosen: &[usize]) -> Vec<Ending> {
    let (Build::V2_0(_), 2) = (arena.build, chosen.len()) else { return Vec::new() };
    let without = |other: usize| {
        let (mut replies, census, tables) = one_by_one(arena, chosen, &[1 - other]);
        let [_, _, _, _, kept @ ..] = stage(arena).1.commands[chosen[other]].1;
        replies[other] = [BUSY, 0, 0, 0, kept[0], kept[1], kept[2], kept[3]];
        (replies, census, tables)
    };
    vec![without(0), without(1)]
}

/// All orders of `count` commands.
fn orders(count: usize) -> Vec<Vec<usize>> {
    match count {
        2 => vec![vec![0, 1], vec![1, 0]],
        _ => {
            [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]].map(Vec::from).into()
        }
    }
}

/// Codes of a race that no order explains, and that are right all the same: see
/// [`arenas::EXCUSED`].
///
/// Of three at once one may be told RMI_BUSY by 2.0, whatever became of the one that it met.
fn is_excused(names: &[&str], replies: &[[u64; 8]]) -> bool {
    if replies.len() == 3 && replies.iter().any(|reply| reply[0] == BUSY) {
        return true;
    }
    let ([one, other], [first, second]) = (names, replies) else { return false };
    let there = ([*one, *other], [first[0], second[0]]);
    let back = ([*other, *one], [second[0], first[0]]);
    arenas::EXCUSED.iter().any(|&(names, codes, _)| [there, back].contains(&(names, codes)))
}

/// Races the commands `chosen` of an arena in `schedules` schedules.
fn race(arena: &'static Arena, chosen: &[usize], schedules: usize) {
    let chosen: Arc<[usize]> = chosen.into();
    let explained: Arc<Mutex<BTreeSet<Ending>>> = Arc::default();
    let names: Arc<Mutex<Vec<&str>>> = Arc::default();
    let (chosen_here, explained_here, names_here) =
        (Arc::clone(&chosen), Arc::clone(&explained), Arc::clone(&names));
    under(1, move || {
        for order in orders(chosen_here.len()) {
            explained_here.lock().unwrap().insert(one_by_one(arena, &chosen_here, &order));
        }
        explained_here.lock().unwrap().extend(busy(arena, &chosen_here));
        let (_machine, scene) = stage(arena);
        *names_here.lock().unwrap() =
            chosen_here.iter().map(|&number| scene.commands[number].0).collect();
    });
    under(schedules, move || {
        let end = at_once(arena, &chosen);
        let names = names.lock().unwrap().clone();
        let explained = explained.lock().unwrap();
        assert!(
            explained.contains(&end) || is_excused(&names, &end.0),
            "{}: {names:?} ended with {end:x?}, which no order explains: {explained:x?}",
            arena.name
        );
    });
}

fn schedules() -> usize {
    let wanted = std::env::var("CAIRN_INTERLEAVINGS").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(SCHEDULES)
}

/// The names of an arena's commands.
fn names(arena: &'static Arena) -> Vec<&'static str> {
    let names = Arc::new(Mutex::new(Vec::new()));
    let there = Arc::clone(&names);
    under(1, move || {
        let (_machine, scene) = stage(arena);
        *there.lock().unwrap() = scene.commands.iter().map(|(name, _)| *name).collect();
    });
    names.lock().unwrap().clone()
}

fn pairs(arena: &'static Arena) {
    let names = names(arena);
    let count = names.len();
    let mut wrong = Vec::new();
    for first in 0..count {
        for second in first..count {
            let attempt = || race(arena, &[first, second], schedules());
            if catch_unwind(AssertUnwindSafe(attempt)).is_err() {
                wrong.push([names[first], names[second]]);
            }
        }
    }
    assert!(wrong.is_empty(), "{}: {wrong:#?}", arena.name);
}

/// Random groups of three commands. A REC that runs is [`pairs`]' business: nothing explains its
/// groups.
fn triples(arena: &'static Arena) {
    let names = names(arena);
    let enters = |number: &usize| names[*number].starts_with("rec_enter");
    let numbers: Vec<usize> = (0..names.len()).filter(|number| !enters(number)).collect();
    let mut dice = 0x9e37_79b9_7f4a_7c15_u64;
    let mut pick = || {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        numbers[usize::try_from(dice % numbers.len() as u64).unwrap()]
    };
    for _ in 0..TRIPLES {
        let group = [pick(), pick(), pick()];
        // REC_CREATE takes its auxiliary granules first and gives them back if it fails later, here
        // because of the third command: whoever wants one meanwhile is refused, although in no
        // order it would be.
        let has = |name: &str| group.iter().any(|&number| names[number].starts_with(name));
        if !(has("rec_create") && has("undelegate aux")) {
            race(arena, &group, schedules());
        }
    }
}

/// Each command with each, and with itself, in a Realm that is active and has a REC.
#[test]
fn pairs_in_an_active_realm() {
    pairs(&arenas::ACTIVE);
}

/// The same in a Realm that is being built.
#[test]
fn pairs_in_a_new_realm() {
    pairs(&arenas::NEW);
}

/// The same about a Realm that has nothing yet, so that it can be destroyed.
#[test]
fn pairs_about_a_bare_realm() {
    pairs(&arenas::BARE);
}

#[test]
fn three_at_once() {
    for arena in [
        &arenas::ACTIVE,
        &arenas::NEW,
        &arenas::BARE,
        &arenas_2_0::ACTIVE,
        &arenas_2_0::NEW,
        &arenas_2_0::CHOICE,
    ] {
        triples(arena);
    }
}

/// Each command of 2.0 with each.
#[test]
fn pairs_in_an_active_realm_of_2_0() {
    pairs(&arenas_2_0::ACTIVE);
}

/// The same in a Realm that is being built.
#[test]
fn pairs_in_a_new_realm_of_2_0() {
    pairs(&arenas_2_0::NEW);
}

/// The same about the monitor itself.
#[test]
fn pairs_about_a_monitor_of_2_0() {
    pairs(&arenas_2_0::BARE);
    pairs(&arenas_2_0::CHOICE);
}
