//! A monitor that crashes, to see that each command ends at once, with the report in words that
//! lead to the source.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use object::{Object, ObjectSection};

use crate::bench;
use crate::cli::{BenchOptions, ImageOptions, LogLevel, RunOptions, StressKind, StressOptions};
use crate::fault::IoContext;
use crate::image::{self, MONITOR};
use crate::output::{self, Run};
use crate::symbols::Functions;
use crate::{run, stress};

/// The function that each command of the Host passes through, as the end of its name.
const DISPATCHER: &str = "rmi::serve";

/// What a report must say of the place.
const PLACE: &str = "rmi::serve+0x0 (rmi/src/lib.rs:";

/// A crash ends a machine sooner than its patience does, by far.
const SOON: Duration = Duration::from_secs(200);

/// The `crash-report` step of `test`.
pub(crate) fn check() -> anyhow::Result<()> {
    let folder = Run::begin("crash")?;
    let monitor = folder.folder().join("broken.elf");
    {
        let _building = output::building()?;
        let built = image::build(MONITOR, LogLevel::default())?;
        let mut elf = std::fs::read(&built).at("read", &built)?;
        break_dispatcher(&mut elf)?;
        std::fs::write(&monitor, elf).at("write", &monitor)?;
    }
    let image = || ImageOptions { image: Some(monitor.clone()), ..ImageOptions::default() };

    let log = folder.folder().join("crash.log");
    let mut options = RunOptions::check(1, 256 << 20);
    options.log_file = Some(log.clone());
    options.image = image();
    gives_up("run --check", || run::command(&options))?;
    has_place("the log of run --check", &std::fs::read_to_string(&log).at("read", &log)?)?;

    let options = BenchOptions { image: image(), ..BenchOptions::default() };
    let said = gives_up("bench", || bench::command(&options))?;
    has_place("bench", &said)?;

    let options = StressOptions { image: image(), ..StressOptions::of(StressKind::Lives, 10) };
    let said = gives_up("stress", || stress::command(&options))?;
    has_place("stress", &said)?;
    println!("Each command has ended, and named the place.");
    Ok(())
}

/// Makes the first instruction of the dispatcher one that no CPU has.
///
/// Source: Arm ARM (DDI0487), C6.2, `UDF`: all of its bits are 0.
fn break_dispatcher(elf: &mut [u8]) -> anyhow::Result<()> {
    let functions = Functions::read(elf)?;
    let start = functions.named(DISPATCHER).context("the monitor has no dispatcher")?;
    let object = object::File::parse(&*elf)?;
    let place = object.sections().find_map(|section| {
        let distance = start.checked_sub(section.address())?;
        let (offset, size) = section.file_range()?;
        (distance < size).then_some(offset + distance)
    });
    let at = usize::try_from(place.context("the dispatcher is in no section")?)?;
    let instruction = elf.get_mut(at..at + 4).context("the ELF file is cut off")?;
    instruction.fill(0);
    Ok(())
}

/// What `command` says when it fails, which it has to do soon and because the monitor gave up.
fn gives_up(name: &str, command: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<String> {
    let started = Instant::now();
    let Err(error) = command() else { bail!("{name} did not notice that the monitor crashed") };
    let said = format!("{error:#}");
    ensure!(said.contains("gave up") && said.contains("fatal: "), "{name} said instead: {said}");
    ensure!(started.elapsed() < SOON, "{name} took {} s to end", started.elapsed().as_secs());
    println!("{name}: {said}\n");
    Ok(said)
}

fn has_place(what: &str, text: &str) -> anyhow::Result<()> {
    ensure!(text.contains(PLACE), "{what} does not name {PLACE}...): {text}");
    Ok(())
}
