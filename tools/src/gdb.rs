//! `cargo xtask gdb`: a machine that waits, and gdb that knows the monitor.
//!
//! The machine is a `run` of its own, in a process group of its own, so that Ctrl-C reaches gdb
//! alone.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::cache::Cache;
use crate::cli::{GdbOptions, ImageOptions, LogLevel};
use crate::fault::IoContext;
use crate::image::{self, HOST};
use crate::paths::{self, write_whole};
use crate::process::{self, Group};
use crate::symbols::Functions;
use crate::{output, run, setup, signals};

/// Printers and commands for gdb.
const SCRIPT: &str = include_str!("../assets/cairn_gdb.py");

/// Where to stop if nobody says so: each command of the Host passes through.
const DISPATCHER: &str = "rmi::serve";

/// How the machine says that it waits, before the name of the monitor's ELF file.
const WAITS: &str = "add-symbol-file ";

/// How long a machine may take until it waits: everything is built before.
const START: Duration = Duration::from_secs(120);

/// The `gdb` subcommand.
pub(crate) fn command(options: &GdbOptions) -> anyhow::Result<()> {
    let session = Session::begin(options)?;
    println!("The machine's console is in {}.", session.console.display());
    let status = process::with_terminal(&mut session.gdb(options))?;
    ensure!(status.success(), "gdb ended with {status}");
    Ok(())
}

/// A machine that waits for gdb; dropping it ends the machine.
struct Session {
    _machine: Group,
    program: PathBuf,
    console: PathBuf,
    script: PathBuf,
    monitor: PathBuf,
    /// Other programs with symbols, at the addresses that they are linked for.
    others: Vec<PathBuf>,
    places: Vec<String>,
}

impl Session {
    /// Sets up and builds what is missing, and starts the machine.
    fn begin(options: &GdbOptions) -> anyhow::Result<Self> {
        let program = match &options.program {
            Some(program) => program.clone(),
            None => setup::ensure_debugger(&Cache::locate()?)?,
        };
        run::prepare(&ImageOptions::default(), None)?;
        let others = other_symbols(options)?;
        let output = paths::output()?;
        let console = output.join("gdb-console.log");
        let file = File::create(&console).at("write", &console)?;
        let mut command = Command::new(std::env::current_exe().context("this program is lost")?);
        command.arg("run").arg(format!("--gdb={}", options.port)).args(&options.run);
        command.stdin(Stdio::null()).stdout(file.try_clone().at("write", &console)?).stderr(file);
        let mut machine = Group::spawn(&mut command)?;
        let monitor = wait_for(&mut machine, &console)?;
        let elf = std::fs::read(&monitor).at("read", &monitor)?;
        let places = places(&Functions::read(&elf)?, options.at.as_deref().unwrap_or(DISPATCHER))?;
        let script = output.join("cairn_gdb.py");
        write_whole(&script, SCRIPT.as_bytes())?;
        Ok(Self { _machine: machine, program, console, script, monitor, others, places })
    }

    /// gdb, told all that it has to know.
    fn gdb(&self, options: &GdbOptions) -> Command {
        let mut lines = vec![
            "set architecture aarch64".to_owned(),
            "set pagination off".to_owned(),
            format!(
                "add-symbol-file {} -o {:#x}",
                self.monitor.display(),
                platform_qemu::MONITOR.start
            ),
        ];
        lines.extend(self.others.iter().map(|file| format!("add-symbol-file {}", file.display())));
        // Rust's, whatever the program is in that a CPU stands.
        lines.push("set language rust".to_owned());
        lines.push(format!("source {}", self.script.display()));
        lines.push(format!("target remote :{}", options.port));
        // The image is not there yet: EL3 would write over a breakpoint in memory.
        lines.extend(self.places.iter().map(|place| format!("hbreak {place}")));
        lines.push("continue".to_owned());
        lines.extend(options.command.iter().cloned());
        let mut command = Command::new(&self.program);
        command.args(["-q", "-iex", "set confirm off"]);
        if options.batch {
            command.args(["-nx", "-batch"]);
        }
        lines.iter().for_each(|line| {
            command.arg("-ex").arg(line);
        });
        command
    }
}

/// Symbols of what else runs: our host, and TF-A where the user's tree has been built.
fn other_symbols(options: &GdbOptions) -> anyhow::Result<Vec<PathBuf>> {
    let has = |name: &str| options.run.iter().any(|word| word.split('=').next() == Some(name));
    let mut files = Vec::new();
    if !has("--host-kernel") && !has("--bl33") {
        let _building = output::building()?;
        files.push(image::build(HOST, LogLevel::default())?);
    }
    let el3 = paths::output()?.join("tf-a-qemu/build/qemu/release/bl31/bl31.elf");
    if has("--tfa") && el3.is_file() {
        files.push(el3);
    }
    Ok(files)
}

/// Waits until the machine waits; the monitor's ELF file, of which its console tells.
fn wait_for(machine: &mut Group, console: &Path) -> anyhow::Result<PathBuf> {
    let started = Instant::now();
    loop {
        let said = std::fs::read(console).at("read", console)?;
        let said = String::from_utf8_lossy(&said);
        if let Some((_, rest)) = said.split_once(WAITS)
            && let Some((file, _)) = rest.split_once(" -o ")
        {
            return Ok(PathBuf::from(file));
        }
        if let Some(status) = machine.child().try_wait().context("the machine is lost")? {
            bail!("the machine ended with {status}: {}", said.trim());
        }
        ensure!(started.elapsed() < START, "the machine does not start: {}", said.trim());
        signals::check()?;
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Where to stop, as gdb understands it: a line of a file, or each function of that name. gdb
/// itself does not find generic functions by their short names.
fn places(functions: &Functions, at: &str) -> anyhow::Result<Vec<String>> {
    if at.rsplit_once(':').is_some_and(|(_, line)| line.parse::<u32>().is_ok()) {
        return Ok(vec![at.to_owned()]);
    }
    let found = functions.all_named(at);
    ensure!(
        !found.is_empty(),
        "the image has no function {at}: it may be part of those that call it; name a line instead, as FILE:LINE"
    );
    let load = platform_qemu::MONITOR.start;
    Ok(found.into_iter().map(|start| format!("*{:#x}", load + start)).collect())
}

/// How long gdb may take in the test.
const PATIENCE: Duration = Duration::from_secs(180);

/// The RD of our host's first Realm, and where its kernel is in the Realm.
const RD: &str = "0x42000000";
const KERNEL: &str = "0x80000000";

/// The `gdb` step of `test`: each command, when a Realm is about to be entered for the first time.
///
/// # Errors
///
/// gdb does not stop there, or shows something else.
pub(crate) fn check() -> anyhow::Result<()> {
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr());
    let commands = [
        "backtrace".to_owned(),
        format!("cairn granule {RD}"),
        "cairn granule 0x40100000".to_owned(),
        format!("cairn rd {RD}"),
        format!("cairn rtt {RD} {KERNEL}"),
        format!("cairn rtt {RD} 0x0"),
        "cairn ledger".to_owned(),
    ];
    let options = GdbOptions {
        at: Some("cairn_realm_enter".to_owned()),
        port: port.context("no TCP port is free")?.port(),
        command: commands.to_vec(),
        batch: true,
        ..GdbOptions::default()
    };
    let session = Session::begin(&options)?;
    let log = paths::output()?.join("gdb.log");
    let file = File::create(&log).at("write", &log)?;
    let mut command = session.gdb(&options);
    command.stdin(Stdio::null()).stdout(file.try_clone().at("write", &log)?).stderr(file);
    let mut gdb = Group::spawn(&mut command)?;
    let started = Instant::now();
    while gdb.child().try_wait().context("gdb is lost")?.is_none() {
        signals::check()?;
        ensure!(started.elapsed() < PATIENCE, "gdb does not end");
        std::thread::sleep(Duration::from_millis(100));
    }
    let said = std::fs::read_to_string(&log).at("read", &log)?;
    println!("{said}");
    for wanted in [
        &format!("granule {RD}: RD, count "),
        "granule 0x40100000: not tracked by the monitor",
        &format!("RD {RD}: Active"),
        ": TABLE 0x",
        ": ASSIGNED, RAM, 0x",
        ": UNASSIGNED, EMPTY",
        "ledger: empty, 0 more did not fit",
    ] {
        ensure!(said.contains(wanted), "gdb does not show {wanted:?}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_line_or_a_function_by_the_end_of_its_name() {
        let functions = Functions::of_names(
            &[(0x10, "rmi::serve"), (0x20, "observe"), (0x30, "other::serve")],
            0x80,
        );
        let load = platform_qemu::MONITOR.start;
        let at = |at: &str| places(&functions, at).map_err(|error| error.to_string());
        assert_eq!(at("rmi::serve"), Ok(vec![format!("*{:#x}", load + 0x10)]));
        assert_eq!(at("serve").map(|found| found.len()), Ok(2));
        assert_eq!(at("rmi/src/lib.rs:55"), Ok(vec!["rmi/src/lib.rs:55".to_owned()]));
        assert!(at("rmi::nothing").unwrap_err().contains("FILE:LINE"));
    }
}
