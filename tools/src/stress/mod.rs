//! `cargo xtask stress`: many CPUs at once, Realms by the thousand, CPUs that go and come back; on QEMU, for ours or any monitor.

mod listen;

use std::fmt::Write;
use std::fs::File;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::cli::{StressKind, StressOptions};
use crate::console::log::Decoder;
use crate::fault::{IoContext, Verdict};
use crate::job;
use crate::paths::{self, write_whole};
use crate::progress::Progress;
use crate::qemu::{Ended, Limits, Load, Machine};
use crate::run::{self, Firmware};

pub use listen::Listen;

/// Longest time without a byte from the machine.
const SILENCE: Duration = Duration::from_secs(180);

impl StressKind {
    /// The job's name.
    const fn mode(self) -> &'static str {
        match self {
            Self::Races => "races",
            Self::Lives => "lives",
            Self::Cpus => "cpus",
        }
    }

    /// Commands, lives, or rounds.
    const fn count(self) -> u64 {
        match self {
            Self::Races => 1_000_000,
            Self::Lives => 1000,
            Self::Cpus => 3,
        }
    }

    const fn cpus(self) -> u32 {
        match self {
            Self::Races => 4,
            Self::Lives => 2,
            Self::Cpus => 32,
        }
    }
}

/// The `stress` subcommand.
pub fn command(options: &StressOptions) -> anyhow::Result<()> {
    let firmware = run::firmware(&options.image, options.qemu.as_ref())?;
    let kinds = match options.kind {
        Some(kind) => vec![kind],
        None => vec![StressKind::Races, StressKind::Lives, StressKind::Cpus],
    };
    kinds.into_iter().try_for_each(|kind| one(options, &firmware, kind))
}

fn one(options: &StressOptions, firmware: &Firmware, kind: StressKind) -> anyhow::Result<()> {
    let output = paths::output()?;
    let cpus = options.cpus.unwrap_or(kind.cpus());
    let count = options.commands.unwrap_or(kind.count());
    let seed = options.seed;
    let file = |what: &str| output.join(format!("stress-{}-{what}", kind.mode()));
    let text = job::stress(kind.mode(), cpus, count, seed);
    let job = file("job.txt");
    write_whole(&job, text.as_bytes())?;
    let machine = Machine {
        program: firmware.qemu.clone(),
        cpus,
        cpu_properties: "",
        firmware: firmware.flash.clone(),
        loads: vec![Load { file: job, address: job::QEMU.job() }],
        gdb: None,
        messages: file("qemu.log"),
        extra: Vec::new(),
    };
    let decoder = match &firmware.monitor.elf {
        Some(elf) => Decoder::new(&std::fs::read(elf).at("read", elf)?)?,
        None => None,
    };
    let log = file("console.log");
    let label = format!("{}: {count} on {cpus} CPUs, seed {seed}", kind.mode());
    let progress = Progress::start(&label);
    let mut listen = Listen::new(decoder, File::create(&log).at("write", &log)?, Box::new(|_| {}));
    let limits = Limits { total: Duration::from_secs(options.timeout), silence: SILENCE };
    let started = Instant::now();
    let mut running = machine.start()?;
    let ended = running.drive(&mut listen, false, Some(limits))?;
    let how = match ended {
        Ended::ByItself(status) if status.success() => "it switched itself off".to_owned(),
        Ended::ByItself(status) => format!("QEMU ended, {status}: {}", running.messages()),
        Ended::Stopped => "it did not switch itself off".to_owned(),
        Ended::TimeLimit => format!("it took longer than {} s (--timeout)", options.timeout),
        Ended::Silence => format!("it said nothing for {} s", SILENCE.as_secs()),
    };
    let table = table(&listen);
    let judged = listen.finish(&how).and_then(|(accounting, ledger)| {
        let problem = if accounting.delegated != accounting.returned || accounting.leaked != 0 {
            "not every granule came back"
        } else if ledger.granules() != 0 {
            "the monitor's ledger is not empty"
        } else {
            return Ok(accounting.delegated);
        };
        Err(Verdict(problem.to_owned()).into())
    });
    match judged {
        Ok(_) => progress.done(&format!("{:.0} s", started.elapsed().as_secs_f64())),
        Err(error) => {
            drop(progress);
            print!("{table}");
            bail!(error.context(format!("{label}; the log is {}", log.display())));
        }
    }
    print!("{table}");
    Ok(())
}

/// What became of the commands, and how fair it was.
fn table(listen: &Listen) -> String {
    let mut text = String::new();
    // A string takes everything.
    if !listen.tries.is_empty() {
        let _ = writeln!(text, "  {:<24} {:>9} {:>9}", "command", "done", "refused");
    }
    for tries in &listen.tries {
        let _ = writeln!(text, "  {:<24} {:>9} {:>9}", tries.name, tries.done, tries.refused);
    }
    if !listen.shares.is_empty() {
        let _ =
            writeln!(text, "  {:<24} {:>9} {:>9} {:>9}", "CPU", "commands", "overtaken", "longest");
    }
    for share in &listen.shares {
        let _ = writeln!(
            text,
            "  {:<24} {:>9} {:>9} {:>6} us",
            share.cpu, share.commands, share.overtaken, share.micros
        );
    }
    text
}
