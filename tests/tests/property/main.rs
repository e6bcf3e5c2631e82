//! Random sequences of commands, on 1 to 4 CPUs: the monitor does what the specification says, no
//! rule of the machine is ever broken, and whatever state they reach, everything can be given back
//! (closure).
//!
//! A run lasts until it has sent a number of commands: a million, or what `CAIRN_PROPERTY_COMMANDS`
//! says. Every run has other sequences. One that fails is made as short as possible and written to
//! `tests/regressions`, where it is replayed for ever.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test program"
)]

mod run;
mod script;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use cairn_tests::abi::Command;
use cairn_tests::differential::pair::Tally;
use cairn_tests::differential::shorten::shorten;

use run::{Failure, explore, replay};

/// Commands of an ordinary run.
const COMMANDS: u64 = 1_000_000;
/// How long to look for a shorter failing sequence.
const PATIENCE: Duration = Duration::from_secs(60);

/// One worker: sequences until enough commands have been sent by all.
fn work(
    seeds: &AtomicU64,
    sent: &AtomicU64,
    enough: u64,
    total: &Mutex<Tally>,
) -> Result<(), String> {
    while sent.load(Ordering::Relaxed) < enough {
        match explore(seeds.fetch_add(1, Ordering::Relaxed)) {
            Ok(tally) => {
                sent.fetch_add(tally.values().sum(), Ordering::Relaxed);
                let mut total = total.lock().unwrap();
                for (result, count) in tally {
                    *total.entry(result).or_default() += count;
                }
            }
            Err(Failure { profile, operations, why }) => {
                eprintln!("a sequence fails, looking for a shorter one: {why}");
                // The others need not go on.
                sent.store(enough, Ordering::Relaxed);
                let fails = |operations: &[_]| replay(profile, operations).is_err();
                let short = shorten(&operations, PATIENCE, fails);
                let why = replay(profile, &short).err().unwrap_or(why);
                let file = script::keep(profile, &short, &why);
                return Err(format!("{why}\nkept as {}", file.display()));
            }
        }
    }
    Ok(())
}

/// How often each command was sent, and succeeded.
fn shares(total: &Tally) -> BTreeMap<Command, (u64, u64)> {
    let mut shares: BTreeMap<Command, (u64, u64)> = BTreeMap::new();
    for ((command, condition), count) in total {
        let (sent, succeeded) = shares.entry(*command).or_default();
        *sent += count;
        *succeeded += if condition.is_empty() { *count } else { 0 };
    }
    shares
}

#[test]
fn any_sequence_of_commands_is_answered_as_specified_and_can_be_undone() {
    let asked = std::env::var("CAIRN_PROPERTY_COMMANDS").ok();
    let enough = asked.map_or(COMMANDS, |text| text.parse().expect("a number of commands"));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = u64::try_from(now.as_nanos() & u128::from(u64::MAX >> 1)).unwrap();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let (seeds, sent, total) = (AtomicU64::new(seed), AtomicU64::new(0), Mutex::new(Tally::new()));
    // Panics inside the machine are results here.
    std::panic::set_hook(Box::new(|_| {}));
    let results: Vec<Result<(), String>> = std::thread::scope(|scope| {
        let start = |_| scope.spawn(|| work(&seeds, &sent, enough, &total));
        let threads: Vec<_> = (0..workers).map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    drop(std::panic::take_hook());
    for result in results {
        if let Err(why) = result {
            panic!("{why}");
        }
    }
    let total = total.into_inner().unwrap();
    println!("{} commands; those that succeeded:", total.values().sum::<u64>());
    let shares = shares(&total);
    for command in Command::ALL {
        let (sent, succeeded) = shares.get(&command).copied().unwrap_or_default();
        let percent = succeeded * 100 / sent.max(1);
        println!("{:<22} {succeeded:>9} of {sent:>9} {percent:>4} %", command.label());
        // The sequences would prove little if a command almost always failed.
        assert!(succeeded * 20_000 > enough, "{command:?} succeeded {succeeded} times");
    }
    if std::env::var_os("CAIRN_PROPERTY_CONDITIONS").is_some() {
        for ((command, condition), count) in &total {
            println!("{:<22} {condition:<16} {count:>9}", command.label());
        }
    }
    let conditions = total.keys().filter(|(_, condition)| !condition.is_empty()).count();
    println!("{conditions} conditions explained a failure");
}

#[test]
fn scripts_of_earlier_failures_hold() {
    for (file, profile, operations) in script::all() {
        if let Err(why) = replay(profile, &operations) {
            panic!("{}: {why}", file.display());
        }
    }
}
