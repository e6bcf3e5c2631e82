//! `cargo xtask bench`: what each command costs in instructions, compared with the figures in the
//! repository.
//!
//! QEMU with `-icount shift=0` executes one instruction per tick of the counter that the host reads
//! around each call, so figures repeat exactly. They include EL3's part.
//!
//! | Module | Owns |
//! | --- | --- |
//! | `rows` | what the host reports |
//! | `figures` | the measured and the committed figures, and the verdict |
//! | `bars` | what operations should cost at most |
//! | `conversions` | what it takes when a guest shares memory and takes it back |
//! | `latency` | how long an interrupt for the Host may have to wait |
//! | `operations` | what each command asks of the machine |
//! | `profile` | where the instructions of one command go |

mod bars;
mod conversions;
mod figures;
mod latency;
mod operations;
mod profile;
mod rows;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use cairn_el3::edition::Edition;
use serde::de::DeserializeOwned;

use crate::cli::{BenchOptions, Platform, SuiteInterface};
use crate::fault::{IoContext, Verdict};
use crate::job;
use crate::output::Run;
use crate::paths::{self, write_whole};
use crate::patience;
use crate::progress::Progress;
use crate::qemu::{Ended, Load};
use crate::stage::{self, Shape, Stage};

use bars::Bars;
use figures::{Figure, Figures};
use rows::Rows;

/// Executes one instruction per tick of the counter, and does not wait for real time.
pub(crate) const COUNTED: [&str; 2] = ["-icount", "shift=0,sleep=off"];

/// Name of the file with the figures for a version of the interface.
const fn file_name(rmi: SuiteInterface) -> &'static str {
    match rmi {
        SuiteInterface::V1_0 => "bench.json",
        SuiteInterface::V2_0 => "bench-2.0.json",
    }
}

/// The figures in the repository.
fn committed(rmi: SuiteInterface) -> PathBuf {
    paths::root().join("tools/assets").join(file_name(rmi))
}

fn saved(rmi: SuiteInterface) -> anyhow::Result<Figures> {
    let file = committed(rmi);
    Figures::parse(&std::fs::read(&file).at("read", &file)?)
}

/// What operations should cost at most.
const fn bars(rmi: SuiteInterface) -> Bars {
    match rmi {
        SuiteInterface::V1_0 => bars::V1_0,
        SuiteInterface::V2_0 => bars::V2_0,
    }
}

/// What a time on this stage is, if it is no count of instructions.
fn no_count(stage: &Stage) -> Option<&'static str> {
    let is_model = matches!(stage, Stage::Model(..));
    is_model.then_some("These are ticks of the model's counter, which is no count of instructions.")
}

/// The `bench` step of `test`, and that of version 2.0.
pub(crate) fn check(rmi: SuiteInterface) -> anyhow::Result<()> {
    command(&BenchOptions { rmi, ..BenchOptions::default() })
}

/// The `bench-operations` step of `test`.
pub(crate) fn check_operations() -> anyhow::Result<()> {
    operations::command(false)
}

/// The `bench-latency` step of `test`, and that of version 2.0.
pub(crate) fn check_latency(rmi: SuiteInterface) -> anyhow::Result<()> {
    command(&BenchOptions { rmi, latency: true, ..BenchOptions::default() })
}

/// The `bench` subcommand.
pub(crate) fn command(options: &BenchOptions) -> anyhow::Result<()> {
    check_options(options)?;
    if options.operations {
        return operations::command(options.update);
    }
    if options.conversions {
        return conversions::command(options);
    }
    if options.list {
        saved(options.rmi)?.names().for_each(|name| println!("{name}"));
        return Ok(());
    }
    // What a printed command line names is for somebody to use later.
    let run = if options.model.print { Run::in_the_open()? } else { Run::begin("bench")? };
    let stage = stage(options, run.folder())?;
    let bench = Bench { stage: &stage, run: &run, rmi: options.rmi };
    match &options.profile {
        Some(name) => profile::command(&bench, name),
        None if options.latency => latency::command(&bench, options.image.image.is_none()),
        None => measure(options, &bench),
    }
}

/// Under version 2.0 EL3 is that of the tests, which says what it spends, unless there is another
/// one that knows this version.
fn stage(options: &BenchOptions, folder: &Path) -> anyhow::Result<Stage> {
    let (image, qemu) = (&options.image, options.qemu.as_ref());
    match options.rmi {
        SuiteInterface::V2_0 if image.tfa.is_none() => {
            Stage::stand_in(Edition::V2_ALL, image, qemu, folder)
        }
        SuiteInterface::V1_0 | SuiteInterface::V2_0 => {
            Stage::prepare(image, qemu, &options.model, folder)
        }
    }
}

/// Refuses what cannot be measured, before minutes of set-up and building.
fn check_options(options: &BenchOptions) -> anyhow::Result<()> {
    stage::check(&options.image, &options.model)?;
    if options.image.platform == Platform::Sbsa {
        bail!("the figures are those of QEMU virt, and EL3 takes part in them: no --platform sbsa");
    }
    if options.image.platform == Platform::Fvp {
        if options.rmi == SuiteInterface::V2_0 {
            bail!("--rmi 2.0 is measured on QEMU: no TF-A for the model passes its commands on");
        }
        let BenchOptions { operations, update, profile, conversions, .. } = options;
        if *conversions {
            bail!(
                "--conversions is measured under the EL3 of the tests, which is not for the model"
            );
        }
        if *operations {
            bail!("--operations counts on the simulated machine, which is no board");
        }
        if *update {
            bail!("--update counts instructions, and the model's counter does not");
        }
        if profile.is_some() {
            bail!(
                "--profile reads QEMU's trace; the model has tracing of its own (its option --plugin)"
            );
        }
    }
    if let Some(name) = &options.profile
        && saved(options.rmi)?.get(name).is_none()
    {
        bail!("there is no operation `{name}`; `bench --list` shows all names");
    }
    if let Some(file) = &options.json {
        paths::check_output(file)?;
    }
    Ok(())
}

/// What is measured on, and the folder for it.
struct Bench<'a> {
    stage: &'a Stage,
    run: &'a Run,
    rmi: SuiteInterface,
}

fn measure(options: &BenchOptions, bench: &Bench<'_>) -> anyhow::Result<()> {
    let progress = Progress::start("counting instructions");
    let Some(rows) = boot(bench, "", &COUNTED, patience::BENCH)? else { return Ok(()) };
    progress.done(&format!("{} operations", rows.len()));
    let bars = bars(options.rmi);
    let measured = Figures::new(rows, bars);
    let json = match &options.json {
        Some(file) => file.clone(),
        None => paths::output()?.join(file_name(options.rmi)),
    };
    save(&json, &measured)?;
    let before = saved(options.rmi)?;
    print!("{}", measured.table(&before, bars));
    if let Some(note) = no_count(bench.stage) {
        println!("{note}");
        return Ok(());
    }
    if options.update {
        save(&committed(options.rmi), &measured)?;
        println!("These are the committed figures now.");
        return Ok(());
    }
    for miss in measured.misses(bars) {
        println!("over its bar: {miss}");
    }
    if options.image.image.is_some() {
        // Another monitor's figures are to be looked at, not judged.
        return Ok(());
    }
    let problems = measured.problems(&before);
    match problems.as_slice() {
        [] => Ok(()),
        problems => Err(Verdict(format!(
            "{}; if that is meant, commit what `cargo xtask bench --update` writes",
            problems.join("; ")
        ))
        .into()),
    }
}

fn save(path: &Path, figures: &Figures) -> anyhow::Result<()> {
    write_whole(path, figures.json().as_bytes())
}

/// Boots the machine with one CPU and the bench as its job, up to the operation `until`; what it
/// reports, if it was started at all.
fn boot(
    bench: &Bench<'_>,
    until: &str,
    extra: &[&str],
    patience: Duration,
) -> anyhow::Result<Option<Vec<Figure>>> {
    let text = bench.run.folder().join("bench-job.txt");
    boot_job(bench, job::bench(until, bench.rmi, &text, bench.stage.layout())?, extra, patience)
}

/// Boots the machine with one CPU and a job that measures; what it reports, if it was started at
/// all.
fn boot_job<R: DeserializeOwned>(
    bench: &Bench<'_>,
    job: Load,
    extra: &[&str],
    patience: Duration,
) -> anyhow::Result<Option<Vec<R>>> {
    let &Bench { stage, run, .. } = bench;
    let extra = extra.iter().map(|&argument| argument.to_owned()).collect();
    let shape = Shape { cpus: 1, extra, ..Shape::default() };
    let messages = run.folder().join("qemu.log");
    let Some(board) = stage.board(shape, vec![job], messages)? else { return Ok(None) };
    let (log, file) = run.log("bench-console.log")?;
    let mut rows = Rows::new(stage.decoder()?, file);
    let mut running = board.start()?;
    let patience = stage.patience(patience);
    match running.drive(&mut rows, false, Some(patience))? {
        Ended::ByItself(status) if status.success() => rows.finish().map(Some),
        Ended::ByItself(status) => {
            bail!("{} failed ({status}): {}", board.name(), running.messages())
        }
        Ended::Stopped => rows.finish().map(Some),
        Ended::NoProgress => {
            bail!(
                "the machine hung after {}: nothing new for {} s; the log is {}",
                rows.last_words(),
                patience.as_secs(),
                log.display()
            )
        }
    }
}

/// The monitor's ELF file, which names its functions.
fn symbols(stage: &Stage) -> anyhow::Result<Vec<u8>> {
    match &stage.monitor().elf {
        Some(elf) => std::fs::read(elf).at("read", elf),
        None => bail!("a profile needs the monitor's ELF file, not a flat image"),
    }
}

/// Where the monitor is loaded, and how long it is.
fn span(stage: &Stage) -> anyhow::Result<(u64, u64)> {
    let flat = &stage.monitor().flat;
    let base = match stage {
        Stage::Qemu(_) => platform_qemu::MONITOR.start,
        Stage::Model(..) | Stage::StandIn(..) => platform_fvp::MONITOR.start,
    };
    Ok((base, std::fs::metadata(flat).at("read", flat)?.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_measured_is_known_beforehand() {
        let fault = |options: BenchOptions| {
            check_options(&options).err().map(|error| error.to_string()).unwrap_or_default()
        };
        let profile =
            |name: &str| BenchOptions { profile: Some(name.to_owned()), ..BenchOptions::default() };
        assert_eq!(fault(profile("rmi_version")), "");
        assert!(fault(profile("rmi_versio")).contains("no operation `rmi_versio`"));
        let on_fvp = |mut options: BenchOptions| {
            options.image.platform = Platform::Fvp;
            options.model.print = true;
            fault(options)
        };
        assert!(on_fvp(profile("rmi_version")).contains("--profile"));
        let update = BenchOptions { update: true, ..BenchOptions::default() };
        assert!(on_fvp(update).contains("--update"));
        let conversions = BenchOptions { conversions: true, ..BenchOptions::default() };
        assert!(on_fvp(conversions).contains("--conversions"));
        let operations = BenchOptions { operations: true, ..BenchOptions::default() };
        assert!(on_fvp(operations).contains("--operations"));
        let newer = BenchOptions { rmi: SuiteInterface::V2_0, ..BenchOptions::default() };
        assert!(on_fvp(newer).contains("--rmi 2.0"));
        assert_eq!(on_fvp(BenchOptions { latency: true, ..BenchOptions::default() }), "");
        let mut on_sbsa = BenchOptions::default();
        on_sbsa.image.platform = Platform::Sbsa;
        assert!(fault(on_sbsa).contains("no --platform sbsa"));
    }
}
