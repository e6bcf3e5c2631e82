//! `cargo xtask run` and `cargo xtask image`: from sources to a booted machine, and the two ways to
//! watch it.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::bail;
use cairn_el3::edition::Edition;
use cairn_host::job::{HashAlgorithm, Interface};

use crate::cache::Cache;
use crate::cli::{GuestOptions, ImageOptions, ModelOptions, Platform, RunOptions, SetupOptions};
use crate::console::log::Decoder;
use crate::console::watch::{Mode, Watch};
use crate::drive::{Board, Ended};
use crate::fault::{IoContext, Verdict};
use crate::image::{self, HOST, MONITOR, Packed};
use crate::job::{self, Job};
use crate::output::Run;
use crate::qemu::{Load, Machine, Model};
use crate::setup::{self, Parts, Ready};
use crate::stage::Shape;
use crate::stand_in::StandIn;
use crate::terminal::{Keys, RawMode};
use crate::token::{self, RimOptions};
use crate::{fvp, host, initramfs, kernel_image, output, paths, patience, stage, stress, tfa};

mod unattended;

use unattended::unattended;

/// The `image` subcommand.
pub(crate) fn image(options: &ImageOptions) -> anyhow::Result<()> {
    // For the model's firmware nobody needs the model.
    let print = options.platform == Platform::Fvp;
    stage::check(options, &ModelOptions { print, ..ModelOptions::default() })?;
    let output = paths::output()?;
    if options.platform == Platform::Fvp {
        let _building = output::building()?;
        let firmware = fvp::firmware(options, || pack_monitor(options, &output), &output)?;
        println!("monitor:  {}", firmware.monitor.flat.display());
        println!("host:     {}", firmware.host.flat.display());
        println!(
            "BL1:      {} (for the model's secureflashloader)",
            firmware.package.bl1.display()
        );
        println!("package:  {} (for the model's flashloader0)", firmware.package.fip.display());
        return Ok(());
    }
    if options.platform == Platform::Sbsa {
        stress::machine::Firmware::stand_in(options, None, &output)?.print();
        return Ok(());
    }
    let ready = prepare(options, None)?;
    let _building = output::building()?;
    let firmware = pack(options, &ready, &output)?;
    println!("monitor:  {}", firmware.monitor.flat.display());
    println!("host:     {}", firmware.host.flat.display());
    println!("firmware: {} (TF-A, monitor and host; for QEMU's -bios)", firmware.flash.display());
    Ok(())
}

/// Sets up what is missing of everything but the guest, and builds the TF-A that the user brings.
pub(crate) fn prepare(options: &ImageOptions, qemu: Option<&PathBuf>) -> anyhow::Result<Ready> {
    prepare_with(options, qemu, false)
}

/// Sets up what is missing of these parts.
pub(crate) fn prepare_parts(
    options: &ImageOptions,
    qemu: Option<&PathBuf>,
    parts: Parts,
) -> anyhow::Result<Ready> {
    let setup = SetupOptions { offline: options.offline, ..SetupOptions::default() };
    setup::ensure(&Cache::locate()?, &setup, qemu.map(PathBuf::as_path), parts)
}

/// The same, with the guest's parts if they are needed.
pub(crate) fn prepare_with(
    options: &ImageOptions,
    qemu: Option<&PathBuf>,
    guest: bool,
) -> anyhow::Result<Ready> {
    let parts = Parts { tf_a: options.tfa.is_none(), guest };
    let mut ready = prepare_parts(options, qemu, parts)?;
    if let Some(tree) = &options.tfa {
        let _building = output::building()?;
        ready.tf_a = tfa::QEMU.build_tree(tree, &paths::output()?)?;
    }
    Ok(ready)
}

/// What a machine boots.
#[derive(Debug)]
pub(crate) struct Firmware {
    /// The monitor.
    pub monitor: Packed,
    /// The Normal-world host.
    pub host: Packed,
    /// TF-A, monitor and host in one.
    pub flash: PathBuf,
    /// The QEMU that is to boot it.
    pub qemu: PathBuf,
}

/// The monitor: one image for every board. Its ELF file is next to it: the next build may be
/// another one.
pub(crate) fn pack_monitor(options: &ImageOptions, output: &Path) -> anyhow::Result<Packed> {
    let flat = output.join("rmm.bin");
    let Some(file) = &options.image else {
        let built = image::build(MONITOR, options.log)?;
        let elf = output.join("cairn.elf");
        std::fs::copy(&built, &elf).at("copy", &built)?;
        return image::pack(elf, flat);
    };
    image::adopt(file, flat)
}

/// Builds and packs everything into `output`.
pub(crate) fn pack(
    options: &ImageOptions,
    ready: &Ready,
    output: &Path,
) -> anyhow::Result<Firmware> {
    let monitor = pack_monitor(options, output)?;
    let host = image::pack(image::build(HOST, options.log)?, output.join("host.bin"))?;
    let flash = output.join("qemu_fw.bios");
    tfa::pack(&ready.tf_a, &monitor.flat, &host.flat, &flash)?;
    Ok(Firmware { monitor, host, flash, qemu: ready.qemu.clone() })
}

/// The `run` subcommand.
pub(crate) fn command(options: &RunOptions) -> anyhow::Result<()> {
    check(options)?;
    let ready = match options.image.platform {
        Platform::Qemu | Platform::Sbsa => {
            let guest = options.needs_guest();
            let qemu = options.qemu.as_ref();
            Some(match options.stand_in() {
                // TF-A has no part in that.
                Some(_) => prepare_parts(&options.image, qemu, Parts { tf_a: false, guest })?,
                None => prepare_with(&options.image, qemu, guest)?,
            })
        }
        Platform::Fvp => None,
    };
    let (parts, version) = match &ready {
        Some(ready) => (ready.guest.clone(), ready.guest_version.clone()),
        None => guest_parts(&options.guest, options.image.offline)?,
    };
    if let Some(ready) = ready.as_ref().filter(|_| options.host.is_foreign()) {
        return host::command(options, ready);
    }
    // What a printed command line names is for somebody to use later.
    let is_printed = options.model.print;
    let run = if is_printed { Run::in_the_open()? } else { Run::begin(&name(options))? };
    let folder = run.folder();
    let job = job_for(&options.guest, &parts, folder)?;
    let text = folder.join("job.txt");
    let (monitor, board) = match (&ready, options.stand_in()) {
        (Some(_), Some(edition)) => {
            let stand_in = StandIn::of(options.image.platform);
            let loads = job.prepare(&text, stand_in.layout)?;
            on_stand_in(options, stand_in, edition, loads, folder)?
        }
        (Some(ready), None) => on_qemu(options, ready, job.prepare(&text, &job::QEMU)?, folder)?,
        (None, _) => {
            let firmware = {
                let _building = output::building()?;
                fvp::firmware(&options.image, || pack_monitor(&options.image, folder), folder)?
            };
            let loads = job.prepare(&text, &job::FVP)?;
            let Some(model) = fvp::model(&options.model, &firmware.package, loads, folder)? else {
                return Ok(());
            };
            let board: Box<dyn Board> = Box::new(model);
            (firmware.monitor, board)
        }
    };
    let decoder = decoder(&monitor)?;
    let guest = match &options.guest.kernel {
        Some(file) => file.display().to_string(),
        None => version,
    };
    let what = match job.all_realms() {
        1 => "a Realm".to_owned(),
        count => format!("{count} Realms (Ctrl-A Ctrl-A DIGIT chooses the one that you type to)"),
    };
    println!(
        "Booting {what}: RMI {}, {} CPUs, {} MiB, {guest}.",
        options.guest.rmi.name(),
        options.guest.cpus,
        options.guest.memory >> 20
    );
    if options.guest.check {
        unattended(options, &job, board.as_ref(), decoder, &run)
    } else {
        attended(options, board.as_ref(), decoder, &run)
    }
}

/// What reads the monitor's log; `None` if it has none that can be read.
pub(crate) fn decoder(monitor: &Packed) -> anyhow::Result<Option<Decoder>> {
    match &monitor.elf {
        Some(elf) => Decoder::new(&std::fs::read(elf).at("read", elf)?),
        None => Ok(None),
    }
}

/// The kind of run, which its log has its name from.
pub(crate) fn name(options: &RunOptions) -> String {
    let GuestOptions { check, rmi, realms, cpus, memory, .. } = options.guest;
    if options.host.is_foreign() {
        return "host".to_owned();
    }
    if !check {
        return "run".to_owned();
    }
    let realms = if realms > 1 { format!("-{realms}realms") } else { String::new() };
    let rmi = if rmi == Interface::V1_0 { String::new() } else { format!("-rmi-{}", rmi.name()) };
    let el3 = if options.el3.is_some() { "-el3" } else { "" };
    let board = if options.image.platform == Platform::Sbsa { "-sbsa" } else { "" };
    format!("check-{cpus}cpu-{}M{realms}{rmi}{el3}{board}", memory >> 20)
}

/// The log of a run: the file that the user names, or one of its own.
fn log(options: &RunOptions, run: &Run) -> anyhow::Result<(PathBuf, File)> {
    match &options.log_file {
        Some(file) => Ok((file.clone(), File::create(file).at("write", file)?)),
        None => run.log(&format!("{}.log", name(options))),
    }
}

/// Refuses wrong options and paths, before minutes of set-up and building.
fn check(options: &RunOptions) -> anyhow::Result<()> {
    check_guest(&options.guest)?;
    host::check(options)?;
    stage::check(&options.image, &options.model)?;
    if let Some(file) = &options.log_file {
        paths::check_output(file)?;
    }
    if options.image.platform == Platform::Fvp && options.stand_in().is_some() {
        bail!("the model boots TF-A: --el3 is for QEMU, and so is --rmi without --tfa");
    }
    if options.guest.hash_algo == HashAlgorithm::Sha384 && options.guest.rmi != Interface::V2_0 {
        bail!("version 1.0 of the interface has no sha-384: it needs --rmi 2.0");
    }
    if options.image.platform == Platform::Fvp && options.gdb.is_some() {
        bail!(
            "--gdb is for QEMU; the model brings a debugger of its own (its option --iris-server)"
        );
    }
    Ok(())
}

/// The same for what makes the guest.
fn check_guest(options: &GuestOptions) -> anyhow::Result<()> {
    options.check_style()?;
    if let Some(kernel) = &options.kernel {
        kernel_image::check(kernel)?;
    }
    if let Some(initrd) = &options.initrd {
        std::fs::metadata(initrd).at("read", initrd)?;
    }
    Ok(())
}

/// What `run` makes the host do for this guest, for those who only want to know. What is missing of
/// it is set up.
pub(crate) fn job(options: &RimOptions) -> anyhow::Result<Job> {
    let guest = &options.guest;
    check_guest(guest)?;
    job_for(guest, &guest_parts(guest, options.offline)?.0, &paths::output()?)
}

/// The folder of the parts that the user does not give, and what is in it for people.
fn guest_parts(guest: &GuestOptions, is_offline: bool) -> anyhow::Result<(PathBuf, String)> {
    if guest.kernel.is_some() && guest.initrd.is_some() {
        return Ok((PathBuf::new(), String::new()));
    }
    setup::ensure_guest(&Cache::locate()?, is_offline)
}

/// The same, with the folder of the parts that the user does not give; what is made of them goes to
/// `folder`.
fn job_for(options: &GuestOptions, parts: &Path, folder: &Path) -> anyhow::Result<Job> {
    let initrd = match &options.initrd {
        Some(file) => file.clone(),
        None => {
            let file = folder.join("initramfs.cpio");
            initramfs::make(parts, &file)?;
            file
        }
    };
    Ok(Job {
        interface: options.rmi,
        style: options.host_style,
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
    folder: &Path,
) -> anyhow::Result<(Packed, Box<dyn Board>)> {
    let firmware = {
        let _building = output::building()?;
        pack(&options.image, ready, folder)?
    };
    announce_debugger(options, &firmware.monitor, platform_qemu::MONITOR.start);
    let machine = Machine {
        model: Model::Virt,
        program: ready.qemu.clone(),
        cpus: options.guest.cpus,
        cpu_properties: "",
        firmware: firmware.flash,
        loads,
        gdb: options.gdb,
        messages: folder.join("qemu.log"),
        extra: Vec::new(),
    };
    Ok((firmware.monitor, Box::new(machine)))
}

/// QEMU with the EL3 of the tests, which speaks `edition`.
fn on_stand_in(
    options: &RunOptions,
    stand_in: &StandIn,
    edition: Edition,
    loads: Vec<Load>,
    folder: &Path,
) -> anyhow::Result<(Packed, Box<dyn Board>)> {
    let firmware =
        stress::machine::Firmware::stand_in(&options.image, options.qemu.as_ref(), folder)?;
    announce_debugger(options, &firmware.monitor, stand_in.board.monitor.start);
    let shape = Shape { cpus: options.guest.cpus, ..Shape::default() };
    let token = folder.join("platform-token");
    paths::write_whole(&token, &token::stand_in::in_memory()?)?;
    let token = Load { file: token, address: stand_in.board.token() };
    let loads = loads.into_iter().chain([token]).collect();
    let mut machine = firmware.stage(stand_in, edition, shape, loads, folder.join("qemu.log"));
    machine.gdb = options.gdb;
    Ok((firmware.monitor, Box::new(machine)))
}

/// Says how a debugger gets to a machine that waits for one, whose monitor begins at `start`.
pub(crate) fn announce_debugger(options: &RunOptions, monitor: &Packed, start: u64) {
    if let (Some(port), Some(elf)) = (options.gdb, &monitor.elf) {
        println!("The machine waits for a debugger. In another terminal:");
        println!(
            "  gdb-multiarch -ex 'add-symbol-file {} -o {:#x}' -ex 'target remote :{port}'",
            elf.display(),
            start
        );
    }
}

/// The guest's kernel command line.
fn command_line(options: &GuestOptions) -> String {
    // A panic must end the Realm, not hang it. Each byte on the console is an exit, so a check
    // boots quietly; a `loglevel=7` in --append brings the kernel's messages back.
    let mut words = vec!["console=ttyS0".to_owned(), "panic=-1".to_owned()];
    if options.check {
        // What the guest waits for has to fail before the tool gives the whole machine up.
        let patience = patience::guests(options.realms, options.cpus, options.memory) / 2;
        words.push(format!(
            "quiet cairn.check cairn.cpus={} cairn.patience={}",
            options.cpus,
            patience.as_secs()
        ));
    }
    if options.realms > 1 {
        // Each guest has a part of each CPU only: what looks like a lockup to it is the turn of
        // another.
        words.push("nowatchdog".to_owned());
    }
    if !options.append.is_empty() {
        words.push(options.append.clone());
    }
    words.join(" ")
}

/// A person types, and sees text and log.
pub(crate) fn attended(
    options: &RunOptions,
    board: &dyn Board,
    decoder: Option<Decoder>,
    run: &Run,
) -> anyhow::Result<()> {
    println!("Ctrl-A x ends the machine.");
    let (file, log) = log(options, run)?;
    let mut watch = Watch::new(decoder, options.image.log, Mode::Keys(Keys::default()), log);
    let mut running = board.start()?;
    let raw = RawMode::enter();
    let ended = running.drive(&mut watch, true, None);
    let finished = watch.finish();
    drop(raw);
    let ended = ended?;
    finished?;
    let fatal = watch.fatal().map(str::to_owned);
    let report = watch.report();
    print!("{}", report.ledger().table());
    println!("The log is {}.", file.display());
    if let Some(words) = fatal {
        return fail(format!("the monitor gave up: {words}"));
    }
    match (ended, report.end_of_host()) {
        (Ended::ByItself(_), Some(Err(why))) => fail(format!("the host failed: {why}")),
        (Ended::ByItself(status), _) if status.success() => {
            println!("The machine powered off.");
            Ok(())
        }
        (Ended::ByItself(status), _) => {
            fail(format!("{} failed ({status}): {}", board.name(), running.messages()))
        }
        (Ended::Stopped | Ended::NoProgress, _) => {
            println!("The machine was ended.");
            Ok(())
        }
    }
}

fn fail(sentence: String) -> anyhow::Result<()> {
    Err(Verdict(sentence).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debugger_is_refused_for_the_model_beforehand() {
        let mut options = RunOptions::check(2, 256 << 20);
        options.gdb = Some(1234);
        assert!(check(&options).is_ok());
        options.image.platform = Platform::Fvp;
        options.model.print = true;
        assert!(check(&options).unwrap_err().to_string().contains("--gdb is for QEMU"));
    }

    #[test]
    fn a_check_tells_the_guest_how_many_cpus_to_expect() {
        let mut options = RunOptions::check(2, 256 << 20).guest;
        let words = "console=ttyS0 panic=-1 quiet cairn.check cairn.cpus=2 cairn.patience=150";
        assert_eq!(command_line(&options), words);
        options.check = false;
        options.append = "quiet".to_owned();
        assert_eq!(command_line(&options), "console=ttyS0 panic=-1 quiet");
    }
}
