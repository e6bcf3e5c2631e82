//! `cargo xtask run` and `cargo xtask image`: from sources to a booted machine, and the two ways to watch it.

use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::cache::Cache;
use crate::cli::{GuestOptions, ImageOptions, ModelOptions, Platform, RunOptions, SetupOptions};
use crate::console::log::Decoder;
use crate::console::watch::{Mode, Watch};
use crate::drive::{Board, Ended, Limits};
use crate::fault::{IoContext, Verdict};
use crate::image::{self, HOST, MONITOR, Packed};
use crate::job::{self, Job};
use crate::qemu::{Load, Machine};
use crate::setup::{self, Ready};
use crate::terminal::{Keys, RawMode};
use crate::token::relying::RelyingParty;
use crate::token::{RimOptions, rim};
use crate::{fvp, initramfs, kernel_image, output, paths, stage, tfa};

/// With `--check`: longest time without a byte on the UART. Booting is the quietest phase.
const SILENCE: Duration = Duration::from_secs(120);

/// The `image` subcommand.
pub fn image(options: &ImageOptions) -> anyhow::Result<()> {
    stage::check(options, &ModelOptions::default())?;
    let _claim = output::claim()?;
    if options.platform == Platform::Fvp {
        let firmware = fvp::firmware(options, || pack_monitor(options, &paths::output()?))?;
        println!("monitor:  {}", firmware.monitor.flat.display());
        println!("host:     {}", firmware.host.flat.display());
        println!(
            "BL1:      {} (for the model's secureflashloader)",
            firmware.package.bl1.display()
        );
        println!("package:  {} (for the model's flashloader0)", firmware.package.fip.display());
        return Ok(());
    }
    let ready = prepare(options, None)?;
    let firmware = pack(options, &ready, &paths::output()?)?;
    println!("monitor:  {}", firmware.monitor.flat.display());
    println!("host:     {}", firmware.host.flat.display());
    println!("firmware: {} (TF-A, monitor and host; for QEMU's -bios)", firmware.flash.display());
    Ok(())
}

/// Sets up what is missing.
pub fn prepare(options: &ImageOptions, qemu: Option<&PathBuf>) -> anyhow::Result<Ready> {
    let setup = SetupOptions { offline: options.offline, update: false };
    setup::ensure(&Cache::locate()?, &setup, qemu.map(PathBuf::as_path))
}

/// What a machine boots.
#[derive(Debug)]
pub struct Firmware {
    /// The monitor.
    pub monitor: Packed,
    /// The Normal-world host.
    pub host: Packed,
    /// TF-A, monitor and host in one.
    pub flash: PathBuf,
    /// The QEMU that is to boot it.
    pub qemu: PathBuf,
}

/// The monitor: one image for every board.
pub fn pack_monitor(options: &ImageOptions, output: &Path) -> anyhow::Result<Packed> {
    let flat = output.join("rmm.bin");
    match &options.image {
        Some(file) => image::adopt(file, flat),
        None => image::pack(image::build(MONITOR, options.log)?, flat),
    }
}

/// Builds and packs everything into `output`.
pub fn pack(options: &ImageOptions, ready: &Ready, output: &Path) -> anyhow::Result<Firmware> {
    let monitor = pack_monitor(options, output)?;
    let host = image::pack(image::build(HOST, options.log)?, output.join("host.bin"))?;
    let flash = output.join("qemu_fw.bios");
    tfa::pack(&ready.tf_a, &monitor.flat, &host.flat, &flash)?;
    Ok(Firmware { monitor, host, flash, qemu: ready.qemu.clone() })
}

/// The `run` subcommand.
pub fn command(options: &RunOptions) -> anyhow::Result<()> {
    check(options)?;
    let _claim = output::claim()?;
    let ready = match options.image.platform {
        Platform::Qemu => Some(prepare(&options.image, options.qemu.as_ref())?),
        Platform::Fvp => None,
    };
    let (parts, version) = match &ready {
        Some(ready) => (ready.guest.clone(), ready.guest_version.clone()),
        None => guest_parts(&options.guest, options.image.offline)?,
    };
    let output = paths::output()?;
    let job = job_for(&options.guest, &parts)?;
    let text = output.join("job.txt");
    let (monitor, board) = match &ready {
        Some(ready) => on_qemu(options, ready, job.prepare(&text, &job::QEMU)?)?,
        None => {
            let firmware = fvp::firmware(&options.image, || pack_monitor(&options.image, &output))?;
            let loads = job.prepare(&text, &job::FVP)?;
            let Some(model) = fvp::model(&options.model, &firmware.package, loads)? else {
                return Ok(());
            };
            let board: Box<dyn Board> = Box::new(model);
            (firmware.monitor, board)
        }
    };
    let decoder = match &monitor.elf {
        Some(elf) => Decoder::new(&std::fs::read(elf).at("read", elf)?)?,
        None => None,
    };
    let guest = match &options.guest.kernel {
        Some(file) => file.display().to_string(),
        None => version,
    };
    let what = match options.guest.realms {
        1 => "a Realm".to_owned(),
        count => format!("{count} Realms (Ctrl-A Ctrl-A DIGIT chooses the one that you type to)"),
    };
    println!(
        "Booting {what}: {} CPUs, {} MiB, {guest}.",
        options.guest.cpus,
        options.guest.memory >> 20
    );
    if options.guest.check {
        unattended(options, &job, board.as_ref(), decoder)
    } else {
        attended(options, board.as_ref(), decoder)
    }
}

/// Refuses wrong options and paths, before minutes of set-up and building.
fn check(options: &RunOptions) -> anyhow::Result<()> {
    check_files(&options.guest)?;
    stage::check(&options.image, &options.model)?;
    if options.image.platform == Platform::Fvp && options.gdb.is_some() {
        bail!(
            "--gdb is for QEMU; the model brings a debugger of its own (its option --iris-server)"
        );
    }
    Ok(())
}

/// The same for the files of the guest.
fn check_files(options: &GuestOptions) -> anyhow::Result<()> {
    if let Some(kernel) = &options.kernel {
        kernel_image::check(kernel)?;
    }
    if let Some(initrd) = &options.initrd {
        std::fs::metadata(initrd).at("read", initrd)?;
    }
    Ok(())
}

/// What `run` makes the host do for this guest, for those who only want to know. What is missing of it is set up.
pub fn job(options: &RimOptions) -> anyhow::Result<Job> {
    let guest = &options.guest;
    check_files(guest)?;
    job_for(guest, &guest_parts(guest, options.offline)?.0)
}

/// The folder of the parts that the user does not give, and what is in it for people.
fn guest_parts(guest: &GuestOptions, is_offline: bool) -> anyhow::Result<(PathBuf, String)> {
    if guest.kernel.is_some() && guest.initrd.is_some() {
        return Ok((PathBuf::new(), String::new()));
    }
    setup::ensure_guest(&Cache::locate()?, is_offline)
}

/// The same, with the folder of the parts that the user does not give.
fn job_for(options: &GuestOptions, parts: &Path) -> anyhow::Result<Job> {
    let initrd = match &options.initrd {
        Some(file) => file.clone(),
        None => {
            let file = paths::output()?.join("initramfs.cpio");
            initramfs::make(parts, &file)?;
            file
        }
    };
    Ok(Job {
        cpus: options.cpus,
        realms: options.realms,
        memory: options.memory,
        kernel: options.kernel.clone().unwrap_or_else(|| parts.join("Image")),
        initrd,
        hash_algorithm: options.hash_algo,
        append: command_line(options),
        interactive: true,
    })
}

/// QEMU with our firmware in its flash.
fn on_qemu(
    options: &RunOptions,
    ready: &Ready,
    loads: Vec<Load>,
) -> anyhow::Result<(Packed, Box<dyn Board>)> {
    let output = paths::output()?;
    let firmware = pack(&options.image, ready, &output)?;
    if let (Some(port), Some(elf)) = (options.gdb, &firmware.monitor.elf) {
        println!("The machine waits for a debugger. In another terminal:");
        println!(
            "  gdb-multiarch -ex 'add-symbol-file {} -o {:#x}' -ex 'target remote :{port}'",
            elf.display(),
            platform_qemu::MONITOR.start
        );
    }
    let machine = Machine {
        program: ready.qemu.clone(),
        cpus: options.guest.cpus,
        cpu_properties: "",
        firmware: firmware.flash,
        loads,
        gdb: options.gdb,
        messages: output.join("qemu.log"),
        extra: Vec::new(),
    };
    Ok((firmware.monitor, Box::new(machine)))
}

/// The guest's kernel command line.
fn command_line(options: &GuestOptions) -> String {
    // A panic must end the Realm, not hang it. Each byte on the console is an exit, so a check boots quietly; a
    // `loglevel=7` in --append brings the kernel's messages back.
    let mut words = vec!["console=ttyS0".to_owned(), "panic=-1".to_owned()];
    if options.check {
        words.push(format!("quiet cairn.check cairn.cpus={}", options.cpus));
    }
    if options.realms > 1 {
        // Each guest has a part of each CPU only: what looks like a lockup to it is the turn of another.
        words.push("nowatchdog".to_owned());
    }
    if !options.append.is_empty() {
        words.push(options.append.clone());
    }
    words.join(" ")
}

fn attended(
    options: &RunOptions,
    board: &dyn Board,
    decoder: Option<Decoder>,
) -> anyhow::Result<()> {
    println!("Ctrl-A x ends the machine.");
    let mut watch = Watch::new(decoder, options.image.log, Mode::Keys(Keys::default()));
    let mut running = board.start()?;
    let raw = RawMode::enter();
    let ended = running.drive(&mut watch, true, None);
    let finished = watch.finish();
    drop(raw);
    let ended = ended?;
    finished?;
    let report = watch.report();
    print!("{}", report.ledger().table());
    match (ended, report.end_of_host()) {
        (Ended::ByItself(_), Some(Err(why))) => fail(format!("the host failed: {why}")),
        (Ended::ByItself(status), _) if status.success() => {
            println!("The machine powered off.");
            Ok(())
        }
        (Ended::ByItself(status), _) => {
            fail(format!("{} failed ({status}): {}", board.name(), running.messages()))
        }
        (Ended::Stopped | Ended::TimeLimit | Ended::Silence, _) => {
            println!("The machine was ended.");
            Ok(())
        }
    }
}

fn unattended(
    options: &RunOptions,
    job: &Job,
    board: &dyn Board,
    decoder: Option<Decoder>,
) -> anyhow::Result<()> {
    let mut name = format!("check-{}cpu-{}M", options.guest.cpus, options.guest.memory >> 20);
    if options.guest.realms > 1 {
        name.push_str(&format!("-{}realms", options.guest.realms));
    }
    let file = paths::output()?.join(name).with_extension("log");
    let party = RelyingParty::new(rim::predict(job)?, file.with_extension("token"))?;
    let log = BufWriter::new(output::log(&file)?);
    let mut watch = Watch::new(decoder, options.image.log, Mode::Whole(log));
    watch.answer_with(party.challenge());
    watch.expect_realms(options.guest.realms);
    // Each of several guests has a part of the machine only, and is quiet longer.
    let silence = SILENCE * options.guest.realms;
    let limits = Limits { total: Duration::from_secs(options.patience()), silence };
    let started = Instant::now();
    let mut running = board.start()?;
    let ended = running.drive(&mut watch, false, options.gdb.is_none().then_some(limits));
    let wall = started.elapsed();
    watch.finish()?;
    let trouble = match ended? {
        Ended::ByItself(status) if status.success() => None,
        Ended::ByItself(status) => {
            Some(format!("{} failed ({status}): {}", board.name(), running.messages()))
        }
        Ended::TimeLimit => {
            Some(format!("the run took longer than {} s (--timeout)", options.patience()))
        }
        Ended::Silence => Some(format!("the machine said nothing for {} s", silence.as_secs())),
        Ended::Stopped => Some("the machine did not power off after the host had ended".to_owned()),
    };
    let mut report = watch.report();
    trouble.into_iter().for_each(|sentence| report.trouble(sentence));
    let wrong: Vec<anyhow::Error> =
        report.tokens().into_iter().filter_map(|token| party.judge(token).err()).collect();
    wrong.iter().for_each(|error| report.trouble(format!("{error:#}")));
    println!("\n{}  {:<20} {}", report.table(wall), "log", file.display());
    print!("  {}", report.ledger().table());
    party.rows().iter().for_each(|(name, value)| println!("  {name:<20} {value}"));
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

fn fail(sentence: String) -> anyhow::Result<()> {
    Err(Verdict(sentence).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debugger_is_refused_for_the_model_beforehand() {
        let mut options = RunOptions::check(2, 256 << 20, 240);
        options.gdb = Some(1234);
        assert!(check(&options).is_ok());
        options.image.platform = Platform::Fvp;
        assert!(check(&options).unwrap_err().to_string().contains("--gdb is for QEMU"));
    }

    #[test]
    fn a_check_tells_the_guest_how_many_cpus_to_expect() {
        let mut options = RunOptions::check(2, 256 << 20, 240).guest;
        assert_eq!(command_line(&options), "console=ttyS0 panic=-1 quiet cairn.check cairn.cpus=2");
        options.check = false;
        options.append = "quiet".to_owned();
        assert_eq!(command_line(&options), "console=ttyS0 panic=-1 quiet");
    }
}
