//! `run --check`: the guest checks itself, and what it says is judged.

use std::time::Instant;

use crate::cli::RunOptions;
use crate::console::log::Decoder;
use crate::console::watch::{Mode, Watch};
use crate::drive::{Board, Ended};
use crate::job::Job;
use crate::output::Run;
use crate::paths;
use crate::token::key::PlatformKey;
use crate::token::relying::{RelyingParty, Wanted};
use crate::token::{rim, stand_in};

use super::{fail, log, name};

/// The key of the machine's platform, and how `token verify` is told of it.
fn platform(
    options: &RunOptions,
    run: &Run,
) -> anyhow::Result<(PlatformKey, (&'static str, String))> {
    if options.stand_in().is_none() {
        let value = "TF-A's key, which everybody has".to_owned();
        return Ok((PlatformKey::sample()?, ("  --sample-key", value)));
    }
    let file = run.publish(&format!("{}.pem", name(options)))?;
    paths::write_whole(&file, stand_in::platform_key_text()?.as_bytes())?;
    let value = file.display().to_string();
    Ok((stand_in::platform_key()?, ("  --platform-key", value)))
}

/// Boots the board and waits for the verdict.
pub(super) fn unattended(
    options: &RunOptions,
    job: &Job,
    board: &dyn Board,
    decoder: Option<Decoder>,
    run: &Run,
) -> anyhow::Result<()> {
    let token = run.publish(&format!("{}.token", name(options)))?;
    let wanted = job.interface.dialects().iter().zip(rim::predict(job)?);
    let wanted = wanted.map(|(dialect, rim)| Wanted { rmi: dialect.version(), rim }).collect();
    let (platform, key_option) = platform(options, run)?;
    let party = RelyingParty::new(platform, wanted, token)?;
    let (file, log) = log(options, run)?;
    let mut watch = Watch::new(decoder, options.image.log, Mode::Whole, log);
    watch.answer_with(party.challenge());
    watch.expect_realms(job.all_realms());
    let patience = options.patience();
    let started = Instant::now();
    let mut running = board.start()?;
    let ended = running.drive(&mut watch, false, options.gdb.is_none().then_some(patience));
    let wall = started.elapsed();
    watch.finish()?;
    let trouble = match ended? {
        Ended::ByItself(status) if status.success() => None,
        Ended::ByItself(status) => {
            Some(format!("{} failed ({status}): {}", board.name(), running.messages()))
        }
        Ended::NoProgress => {
            Some(format!("there was no sign of progress for {} s (--timeout)", patience.as_secs()))
        }
        Ended::Stopped => Some(match watch.fatal() {
            Some(words) => format!("the monitor gave up: {words}"),
            None => "the machine did not power off after the host had ended".to_owned(),
        }),
    };
    let mut report = watch.report();
    trouble.into_iter().for_each(|sentence| report.trouble(sentence));
    let wrong: Vec<anyhow::Error> = report
        .tokens()
        .into_iter()
        .filter_map(|(number, token)| {
            // Those of the second version come after all of the first.
            let version = number.saturating_sub(1) / job.realms;
            party.judge(version as usize, token).err()
        })
        .collect();
    wrong.iter().for_each(|error| report.trouble(format!("{error:#}")));
    println!("\n{}  {:<20} {}", report.table(wall), "log", file.display());
    print!("  {}", report.ledger().table());
    let rows = party.rows().into_iter().chain([key_option]);
    rows.for_each(|(name, value)| println!("  {name:<20} {value}"));
    let problems = report.problems();
    let Some((first, others)) = problems.split_first() else {
        println!("\nAll is well.");
        return Ok(());
    };
    for problem in &problems {
        println!("  {:<20} {problem}", "problem");
    }
    let more = if others.is_empty() {
        String::new()
    } else {
        format!(" (and {} more problems, above)", others.len())
    };
    fail(format!("the check failed: {first}{more}; the log is {}", file.display()))
}
