//! `cargo xtask seeded`: faults that are put into a copy of the monitor, one at a time, and have to
//! be blamed by the conformance suite of RMI 2.0 and by random sequences of commands.
//!
//! A suite that passes says little as long as nobody knows what makes it fail. Here it is known:
//! each fault breaks one rule of the interface, and says which scenarios have to notice.
//!
//! | Module | Owns |
//! | --- | --- |
//! | `table` | the faults: place, text, replacement, and who has to blame them |
//! | `copy` | the copy of the sources, with the faults and what chooses one |
//! | `judge` | what the tests said, and what that means |
//! | `trial` | the build of the copy, and runs of it |

mod copy;
mod judge;
mod table;
mod trial;

use std::time::Instant;

use anyhow::bail;

use crate::cli::SeededOptions;
use crate::fault::Verdict;
use crate::signals;

use copy::Sources;
use judge::Judged;
use table::{By, FAULTS, Fault};
use trial::{Trial, WithSequences};

/// The `seeded` subcommand.
pub(crate) fn command(options: &SeededOptions) -> anyhow::Result<()> {
    let chosen = chosen(options.only.as_deref())?;
    if options.list {
        chosen.iter().for_each(|(_, fault)| describe(fault));
        return Ok(());
    }
    let copy = Sources::make()?;
    let trial = Trial::new(&copy)?;
    // Without a fault nothing may be blamed, or else every blame means nothing.
    let started = Instant::now();
    let healthy = trial.run(0, "none", WithSequences::Yes)?;
    if let Some(failed) = healthy.failed().next() {
        bail!("{failed} fails without any fault; see {}", healthy.log.display());
    }
    println!("without a fault: {} pass, {:.0} s", healthy.count(), started.elapsed().as_secs_f64());
    let mut missed = Vec::new();
    for &(number, fault) in &chosen {
        signals::check()?;
        let started = Instant::now();
        let sequences = match fault.by {
            By::Both => WithSequences::Yes,
            By::Scenarios(_) => WithSequences::No,
        };
        let heard = trial.run(number, fault.name, sequences)?;
        let judged = Judged::new(fault, &heard, healthy.count());
        println!("{:<26} {judged} ({:.0} s)", fault.name, started.elapsed().as_secs_f64());
        if !judged.is_caught() {
            missed.push(fault.name);
            println!("{:26} again: cargo xtask seeded --only {}", "", fault.name);
        }
    }
    if missed.is_empty() {
        println!("{} faults, all caught", chosen.len());
        return Ok(());
    }
    Err(Verdict(format!("{} of {} faults are not caught: {missed:?}", missed.len(), chosen.len()))
        .into())
}

/// The faults that are wanted, with their numbers.
fn chosen(only: Option<&str>) -> anyhow::Result<Vec<(usize, &'static Fault)>> {
    let wanted = |fault: &Fault| only.is_none_or(|name| name == fault.name);
    let chosen: Vec<_> = (1..).zip(FAULTS).filter(|(_, fault)| wanted(fault)).collect();
    if chosen.is_empty() {
        bail!("no fault has that name; `cargo xtask seeded --list` shows all");
    }
    Ok(chosen)
}

/// Says what a fault is.
fn describe(fault: &Fault) {
    println!("{} (section {}, {})", fault.name, fault.section, fault.file);
    println!("    {}", fault.breaks);
    println!("    scenarios: {}", fault.blamed_by.join(", "));
    match fault.by {
        By::Both => println!("    random sequences: have to find it"),
        By::Scenarios(why) => println!("    random sequences: {why}"),
    }
    println!("    cargo xtask seeded --only {}", fault.name);
}
