//! Granules on their way between Host and monitor.

use cairn_el3::edition::Edition;
use cairn_tests::abi::Command;
use cairn_tests::fake_port::FakePort;
use cairn_tests::machine::FakeMachine;
use cairn_tests::machine::config::Profile;
use cairn_tests::world::World;
use granule::{Budget, GranuleAddr, GranuleRange, Progress};
use rmi::ops::Cause;
use rmi::ops::granule::AlreadyThere::{self, IsProgress, IsRefused};

use super::stage::{BASE, Dice, PAGE, Way, go};

/// The last granules of the bank are not the Host's.
const BANK_END: u64 = 0x8140_0000;

/// What a granule is before the range comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Undelegated,
    Delegated,
    Data,
}

/// How a Host's loop over a range has ended.
#[derive(Debug, PartialEq, Eq)]
struct Ending {
    reached: u64,
    cause: Option<Cause>,
    states: Vec<&'static str>,
    census: [u64; 8],
    leaked: (usize, u64),
    events: Vec<String>,
}

/// One try of a Host's loop.
#[derive(Clone, Debug)]
struct Trial {
    befores: Vec<Before>,
    base: u64,
    way: Way,
    already: AlreadyThere,
    /// EL3 never moves this one the way that it should go.
    stuck: Option<u64>,
    interrupts: u64,
    /// Which EL3, so that it is asked for single granules or for runs.
    edition: Edition,
}

fn prepare(trial: &Trial) -> FakeMachine {
    let machine = FakeMachine::over(Profile::Max, trial.edition);
    {
        let mut port = FakePort::new(&machine);
        let mut w = World::new(&mut port);
        let realm = w.realm().unwrap();
        w.tables(&realm, 0, 3).unwrap();
        for (number, before) in (0..).zip(&trial.befores) {
            let pa = trial.base + number * PAGE;
            if *before != Before::Undelegated {
                w.call(Command::GranuleDelegate, [pa]).unwrap().ok().unwrap();
            }
            if *before == Before::Data {
                let arguments = [realm.rd, pa, number * PAGE];
                w.call(Command::DataCreateUnknown, arguments).unwrap().ok().unwrap();
            }
        }
    }
    if let Some(stuck) = trial.stuck {
        let pa = trial.base + stuck * PAGE;
        match trial.way {
            Way::In => machine.refuse_delegation(pa, -3),
            Way::Out => machine.refuse_undelegation(pa, Some(-3)),
        }
    }
    machine.take_events();
    machine.interrupt_every(trial.interrupts);
    machine
}

/// The Host's loop, with a budget for each of its calls; ends at the first error.
fn run(trial: &Trial, budget: Budget) -> Ending {
    let machine = prepare(trial);
    let cpu = machine.cpu(0);
    let count = trial.befores.len() as u64;
    let top = trial.base + count * PAGE;
    let (mut reached, mut cause) = (trial.base, None);
    while reached < top && cause.is_none() {
        let range = GranuleRange::new(reached, top).unwrap();
        match go(&cpu, trial.way, range, trial.already, budget) {
            Ok(Progress { reached: next }) => {
                assert!(next > reached && next <= top, "{trial:?}");
                assert!(next - reached <= budget.units * PAGE, "{trial:?}");
                reached = next;
            }
            Err(why) => cause = Some(why),
        }
    }
    machine.interrupt_every(0);
    assert_eq!(machine.take_violations(), [""; 0], "{trial:?}");
    Ending {
        reached,
        cause,
        states: (0..count).map(|number| machine.state_name(trial.base + number * PAGE)).collect(),
        census: machine.census(),
        leaked: machine.leaked(),
        events: machine.take_events(),
    }
}

#[test]
fn a_range_of_granules_is_the_loop_of_its_granules() {
    let mut dice = Dice(1);
    for number in 0..150 {
        let count = 1 + dice.roll(if number % 3 == 0 { 200 } else { 12 });
        let way = if dice.roll(2) == 0 { Way::In } else { Way::Out };
        let source = if way == Way::In { Before::Undelegated } else { Before::Delegated };
        let target = if way == Way::In { Before::Delegated } else { Before::Undelegated };
        let odd = 3 + dice.roll(60);
        let befores = (0..count)
            .map(|_| match dice.roll(odd) {
                0 => Before::Data,
                1 | 2 => target,
                _ => source,
            })
            .collect();
        let stuck = (dice.roll(3) == 0).then(|| dice.roll(count));
        // Some reach what is not the Host's, and the end of the bank.
        let base = if dice.roll(5) == 0 { BANK_END - dice.roll(9) * PAGE } else { BASE };
        let base = if base > BASE { base - 4 * PAGE - PAGE } else { base };
        let befores: Vec<Before> = if base > BASE { vec![source; 1] } else { befores };
        let already = if dice.roll(2) == 0 { IsProgress } else { IsRefused };
        let interrupts = dice.roll(4);
        let edition = if dice.roll(2) == 0 { Edition::V0 } else { Edition::V2_ALL };
        let trial = Trial { befores, base, way, already, stuck, interrupts, edition };
        let ones = run(&trial, Budget::ONE);
        for units in [2, 64, 65, 512] {
            assert_eq!(run(&trial, Budget { units }), ones, "{units} of {trial:?}");
        }
    }
}

/// EL3 keeps a granule that is the first of a run and not of the range: the Host is not told yet,
/// so nothing is entered.
#[test]
fn a_refusal_is_entered_when_the_host_hears_of_it() {
    /// Granules that are asked for at once.
    const RUN: u64 = 64;
    for stuck in [0, 1, RUN - 1, RUN, RUN + 1] {
        let count = RUN + 8;
        let trial = Trial {
            befores: (0..count).map(|_| Before::Delegated).collect(),
            base: BASE + 0x40_0000,
            way: Way::Out,
            already: IsProgress,
            stuck: Some(stuck),
            interrupts: 0,
            edition: Edition::V0,
        };
        let machine = prepare(&trial);
        let cpu = machine.cpu(0);
        let range = GranuleRange::new(trial.base, trial.base + count * PAGE).unwrap();
        let first = go(&cpu, trial.way, range, trial.already, Budget { units: count });
        assert_eq!(machine.leaked().0, usize::from(stuck == 0), "{stuck}");
        if stuck != 0 {
            let reached = trial.base + stuck * PAGE;
            assert_eq!(first, Ok(Progress { reached }));
            let rest = GranuleRange::new(reached, range.top()).unwrap();
            let second = go(&cpu, trial.way, rest, trial.already, Budget { units: count });
            assert_eq!((second, machine.leaked().0), (Err(Cause::NotUndelegated), 1));
        }
    }
}

#[test]
fn a_range_ends_with_the_tracked_memory_and_with_what_is_not_the_hosts() {
    let machine = FakeMachine::new(Profile::Max);
    let cpu = machine.cpu(0);
    let first = BANK_END - 6 * PAGE;
    let range = |base| GranuleRange::new(base, BANK_END + 4 * PAGE).unwrap();
    let delegate = |base| go(&cpu, Way::In, range(base), IsProgress, Budget::TABLE);
    // Four granules are Secure or Root.
    let secure = BANK_END - 4 * PAGE;
    assert_eq!(delegate(first), Ok(Progress { reached: secure }));
    assert_eq!(delegate(secure), Err(Cause::NotDelegated));
    let addr = GranuleAddr::new(BANK_END).unwrap();
    assert_eq!(delegate(BANK_END), Err(Cause::NotTracked { addr }));
    assert_eq!(machine.take_violations(), [""; 0]);
}

#[test]
fn el3_that_cannot_now_is_told_from_el3_that_never_will() {
    let machine = FakeMachine::new(Profile::Max);
    let cpu = machine.cpu(0);
    let range = GranuleRange::new(BASE, BASE + 4 * PAGE).unwrap();
    for way in [Way::In, Way::Out] {
        let never = if way == Way::In { Cause::NotDelegated } else { Cause::NotUndelegated };
        for (code, cause) in [(-6, Cause::El3Busy), (-10, Cause::El3Conflict), (-3, never)] {
            machine.refuse_el3_call(0, code);
            assert_eq!(go(&cpu, way, range, IsProgress, Budget::TABLE), Err(cause));
        }
        // The third one: what is done before it counts.
        machine.refuse_el3_call(2, -6);
        let reached = BASE + 2 * PAGE;
        let some = go(&cpu, way, range, IsProgress, Budget::TABLE);
        assert_eq!(some, Ok(Progress { reached }));
        let all = go(&cpu, way, range, IsProgress, Budget::TABLE);
        assert_eq!(all, Ok(Progress { reached: range.top() }));
    }
    assert_eq!(machine.leaked(), (0, 0));
    assert_eq!(machine.take_violations(), [""; 0]);
}
