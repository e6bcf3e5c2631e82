//! Random sequences of commands of RMI 2.0: the monitor on the fake machine does what the
//! specification says, and whatever state they reach, everything can be given back. EL3 takes runs
//! of granules whole, in part, one by one or bit by bit; in every second sequence it also refuses
//! now and then, and Host memory faults while the monitor accesses it.
//!
//! A run sends 1000000 commands, or what `CAIRN_PROPERTY_COMMANDS` says, always the same ones. A
//! sequence that fails is made as short as possible and printed as a script; what is possible
//! within 60 seconds, or what `CAIRN_PROPERTY_PATIENCE` says.
#![allow(clippy::unwrap_used, reason = "a test program")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use cairn_el3::edition::Edition;
use cairn_el3::firme::Runs;
use cairn_tests::differential::choices::Random;
use cairn_tests::differential::operation::{Operation, write_script};
use cairn_tests::differential::shorten::shorten;
use cairn_tests::differential::v2_0::fake::{layout_of, platform_of};
use cairn_tests::differential::v2_0::layout::Layout;
use cairn_tests::differential::v2_0::pair::Tally;
use cairn_tests::differential::v2_0::session::Session;
use cairn_tests::machine::FakeMachine;
use cairn_tests::machine::config::Profile;

/// Operations of a sequence.
const LENGTH: usize = 1500;
/// A number that the environment gives, or else this one.
fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

/// How long to look for a shorter failing sequence.
fn patience() -> Duration {
    Duration::from_secs(number("CAIRN_PROPERTY_PATIENCE", 60))
}

/// A machine, and what its EL3 makes of runs of granules.
#[derive(Clone, Copy, Debug)]
struct Setting {
    profile: Profile,
    runs: Runs,
    /// How often EL3 refuses or Host memory faults, see [`Layout`].
    mishaps: u64,
}

impl Setting {
    /// That of a sequence: all of them come in turn.
    fn of(seed: u64) -> Self {
        let profile = match seed % 12 {
            0 => Profile::Max,
            number if number % 4 == 1 => Profile::Plain,
            _ => Profile::Small,
        };
        let runs = match seed / 2 % 4 {
            0 => Runs::Whole,
            1 => Runs::Refused,
            2 => Runs::Short(3),
            _ => Runs::Kept(5),
        };
        Self { profile, runs, mishaps: if seed.is_multiple_of(2) { 6 } else { 0 } }
    }
}

/// What is done with a machine that has just booted, until all is given back.
fn with_session<R>(
    setting: Setting,
    act: impl FnOnce(&mut Session<&FakeMachine>) -> Result<(), String>,
    then: impl FnOnce(&Session<&FakeMachine>) -> R,
) -> (Result<(), String>, R) {
    let machine = FakeMachine::over(setting.profile, Edition::V2_ALL);
    machine.take_runs(setting.runs);
    let platform = platform_of(&machine).expect("RMI 2.0 and the features of the profile");
    let layout = Layout { mishaps: setting.mishaps, ..layout_of(&machine) };
    let mut session = Session::new(&machine, platform, layout);
    let all = || act(&mut session).and_then(|()| session.finish());
    let result = catch_unwind(AssertUnwindSafe(all)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(format!("panic: {}", text.unwrap_or_else(|| "without text".into())))
    });
    let rest = then(&session);
    (result, rest)
}

fn replay(setting: Setting, operations: &[Operation]) -> Result<(), String> {
    with_session(setting, |session| session.replay(operations.to_vec()), |_| ()).0
}

/// A new sequence; the commands it has sent.
fn explore(seed: u64) -> Tally {
    let setting = Setting::of(seed);
    let mut random = Random(seed);
    let act = |session: &mut Session<&FakeMachine>| session.run(&mut random, LENGTH);
    let then =
        |session: &Session<&FakeMachine>| (session.operations.clone(), session.pair.tally.clone());
    let (result, (operations, tally)) = with_session(setting, act, then);
    if let Err(why) = result {
        eprintln!("seed {seed} fails, looking for a shorter sequence: {why}");
        let short = shorten(&operations, patience(), |some| replay(setting, some).is_err());
        let why = replay(setting, &short).err().unwrap_or(why);
        panic!("{setting:?}\n{}", write_script(&why, &short));
    }
    tally
}

#[test]
fn monitor_and_specification_agree() {
    let enough = number("CAIRN_PROPERTY_COMMANDS", 1_000_000);
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
