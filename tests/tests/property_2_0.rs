//! Random sequences of commands of RMI 2.0: the monitor on the fake machine does what the
//! specification says, and whatever state they reach, everything can be given back.
//!
//! A run sends 1000000 commands, or what `CAIRN_PROPERTY_COMMANDS` says, always the same ones. A
//! sequence that fails is made as short as possible and printed as a script.
#![allow(clippy::unwrap_used, reason = "a test program")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use cairn_el3::edition::Edition;
use cairn_tests::differential::choices::Random;
use cairn_tests::differential::operation::{Operation, write_script};
use cairn_tests::differential::shorten::shorten;
use cairn_tests::differential::v2_0::fake::{layout_of, platform_of};
use cairn_tests::differential::v2_0::pair::Tally;
use cairn_tests::differential::v2_0::session::Session;
use cairn_tests::machine::FakeMachine;
use cairn_tests::machine::config::Profile;

/// Operations of a sequence.
const LENGTH: usize = 1500;
/// How long to look for a shorter failing sequence.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is done with a machine that has just booted, until all is given back.
fn with_session<R>(
    profile: Profile,
    act: impl FnOnce(&mut Session<&FakeMachine>) -> Result<(), String>,
    then: impl FnOnce(&Session<&FakeMachine>) -> R,
) -> (Result<(), String>, R) {
    let machine = FakeMachine::over(profile, Edition::V2_ALL);
    let platform = platform_of(&machine).expect("RMI 2.0 and the features of the profile");
    let mut session = Session::new(&machine, platform, layout_of(&machine));
    let all = || act(&mut session).and_then(|()| session.finish());
    let result = catch_unwind(AssertUnwindSafe(all)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(format!("panic: {}", text.unwrap_or_else(|| "without text".into())))
    });
    let rest = then(&session);
    (result, rest)
}

fn replay(profile: Profile, operations: &[Operation]) -> Result<(), String> {
    with_session(profile, |session| session.replay(operations.to_vec()), |_| ()).0
}

/// A new sequence; the commands it has sent.
fn explore(seed: u64) -> Tally {
    let profile = match seed % 12 {
        0 => Profile::Max,
        number if number % 4 == 1 => Profile::Plain,
        _ => Profile::Small,
    };
    let mut random = Random(seed);
    let act = |session: &mut Session<&FakeMachine>| session.run(&mut random, LENGTH);
    let then =
        |session: &Session<&FakeMachine>| (session.operations.clone(), session.pair.tally.clone());
    let (result, (operations, tally)) = with_session(profile, act, then);
    if let Err(why) = result {
        eprintln!("seed {seed} fails, looking for a shorter sequence: {why}");
        let short = shorten(&operations, PATIENCE, |some| replay(profile, some).is_err());
        let why = replay(profile, &short).err().unwrap_or(why);
        panic!("machine {profile:?}\n{}", write_script(&why, &short));
    }
    tally
}

#[test]
fn monitor_and_specification_agree() {
    let enough = std::env::var("CAIRN_PROPERTY_COMMANDS");
    let enough = enough.map_or(1_000_000, |text| text.parse().unwrap());
    let mut total = Tally::new();
    let mut seed = 0;
    while total.values().sum::<u64>() < enough {
        seed += 1;
        for (result, count) in explore(seed) {
            *total.entry(result).or_default() += count;
        }
    }
    for ((command, condition), count) in total {
        println!("{:3x} {count:8} {condition}", command & 0xfff);
    }
}
