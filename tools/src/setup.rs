//! `cargo xtask setup`: from a Debian machine with git and cargo to everything that `run` and
//! `test` need.
//!
//! Every part is looked at first and made only if it is missing, so a second run takes no time.
//! What is chosen is recorded in the cache and printed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::apt::root::Wanted;
use crate::apt::sources::Machine;
use crate::apt::{self, PrivateApt};
use crate::cache::{Cache, Entry, Locked, Qemu, Record};
use crate::cli::SetupOptions;
use crate::host::boot_loader;
use crate::paths::{TARGET, find_program};
use crate::process;
use crate::progress::fact;
use crate::{kernel, qemu, tfa};

/// Free space for lists, packages, sources and builds while they are being worked on, in bytes.
const SPACE: u64 = 1 << 30;

/// The Debian package of QEMU for arm64 machines.
const QEMU_PACKAGE: &str = "qemu-system-arm";

/// The Debian package, and program, of a debugger for arm64.
const DEBUGGER: &str = "gdb-multiarch";

/// What a command needs of set-up besides QEMU. What the user brings is not set up, so that a
/// machine without Debian's tools can do without.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts {
    /// TF-A.
    pub tf_a: bool,
    /// The guest's kernel and busybox.
    pub guest: bool,
}

impl Parts {
    /// Everything.
    pub(crate) const ALL: Self = Self { tf_a: true, guest: true };

    /// Whether the cache has them.
    fn are_there(self, cache: &Cache, record: &Record) -> bool {
        (!self.tf_a || has_tf_a(cache, record)) && (!self.guest || has_guest(cache, record))
    }
}

/// What the other commands work with. A folder that was not asked for may be empty.
#[derive(Debug)]
pub(crate) struct Ready {
    /// A QEMU that has RME.
    pub qemu: PathBuf,
    /// Folder with bl1.bin, bl2.bin, bl31.bin, trp.bin and fiptool.
    pub tf_a: PathBuf,
    /// Folder with Image, busybox and modules.
    pub guest: PathBuf,
    /// What is in `guest`, for people.
    pub guest_version: String,
}

/// The `setup` subcommand.
pub(crate) fn command(options: &SetupOptions) -> anyhow::Result<()> {
    let cache = Cache::locate()?;
    if let Some(path) = &options.qemu {
        choose_qemu(&cache, path)?;
    }
    let ready = ensure(&cache, options, None, Parts::ALL)?;
    rust_components()?;
    let record = cache.record();
    fact(&format!("Rust target {TARGET}"));
    if let Some(qemu) = &record.qemu {
        fact(&format!("{} with RME at {}", qemu.version, qemu.path.display()));
    }
    for entry in [&record.tf_a, &record.fvp, &record.guest].into_iter().flatten() {
        fact(&entry.version);
    }
    println!(
        "Set up. Downloads and builds are in {} (`cargo xtask clean --cache` removes them).",
        cache.root().display()
    );
    println!("Next: `cargo xtask run` boots Linux as a Realm, `cargo xtask test` runs every test.");
    drop(ready);
    Ok(())
}

/// Takes the QEMU at `path` from now on, as long as it does not change.
fn choose_qemu(cache: &Cache, path: &Path) -> anyhow::Result<()> {
    let qemu = qemu::at(path)?;
    let locked = cache.lock()?;
    locked.store(&Record { qemu: Some(qemu), ..cache.record() })
}

/// Makes sure that these parts are there, using `qemu` instead of the machine's own if it is given.
pub(crate) fn ensure(
    cache: &Cache,
    options: &SetupOptions,
    qemu: Option<&Path>,
    parts: Parts,
) -> anyhow::Result<Ready> {
    rust_target(options.offline)?;
    if let Some(path) = qemu {
        qemu::probe(path)?;
    }
    let record = cache.record();
    let has_qemu = qemu.is_some() || record.qemu.as_ref().is_some_and(qemu::is_unchanged);
    let record = if has_qemu && parts.are_there(cache, &record) && !options.update {
        record
    } else {
        complete_parts(cache, options, qemu.is_some(), parts)?
    };
    let missing = "set-up is not complete; run `cargo xtask setup`";
    let folder = |is_needed: bool, entry: Option<&Entry>| match cache.folder(entry) {
        None if is_needed => bail!(missing),
        found => Ok(found.unwrap_or_default()),
    };
    Ok(Ready {
        qemu: match qemu {
            Some(path) => path.to_path_buf(),
            None => record.qemu.clone().context(missing)?.path,
        },
        tf_a: folder(parts.tf_a, record.tf_a.as_ref())?,
        guest: folder(parts.guest, record.guest.as_ref())?,
        guest_version: record.guest.map(|entry| entry.version).unwrap_or_default(),
    })
}

fn has_tf_a(cache: &Cache, record: &Record) -> bool {
    record.tf_a.as_ref().is_some_and(|entry| tfa::QEMU.is_current(entry))
        && cache.folder(record.tf_a.as_ref()).is_some()
}

fn has_guest(cache: &Cache, record: &Record) -> bool {
    record.guest.as_ref().is_some_and(kernel::is_current)
        && cache.folder(record.guest.as_ref()).is_some()
}

fn complete_parts(
    cache: &Cache,
    options: &SetupOptions,
    other_qemu: bool,
    parts: Parts,
) -> anyhow::Result<Record> {
    let locked = cache.lock()?;
    let mut record = cache.record(); // another process may have finished it meanwhile
    // One that the user has chosen, or that has been found before, stays.
    let found = record.qemu.clone().filter(qemu::is_unchanged).or_else(qemu::find);
    if options.offline {
        return offline(cache, &locked, record, found, other_qemu, parts);
    }
    let needs_tf_a = parts.tf_a && !has_tf_a(cache, &record);
    let needs_guest = parts.guest && (options.update || !has_guest(cache, &record));
    let needs_qemu = found.is_none() && !other_qemu;
    if needs_tf_a || needs_guest || needs_qemu {
        locked.require_space(SPACE)?;
        println!(
            "Setting up what is missing; downloads and builds go to {}",
            cache.root().display()
        );
        install_packages(&locked, needs_tf_a || needs_guest, needs_qemu)?;
    }
    if !other_qemu {
        record.qemu = Some(match found {
            Some(found) => found,
            None => qemu::find().context(
                "the QEMU that was installed has no RME (`-cpu max,x-rme=on` is refused); install QEMU 10 or later and \
                 pass it with --qemu",
            )?,
        });
        locked.store(&record)?;
    }
    if needs_tf_a {
        record.tf_a = Some(tfa::QEMU.fetch(&locked, &Machine::read()?)?);
        locked.store(&record)?;
    }
    if needs_guest {
        record.guest = Some(kernel::fetch(&locked, &Machine::read()?)?);
        locked.store(&record)?;
        if let Some(guest) = &record.guest {
            fact(&format!("guest: {}", guest.version));
        }
    }
    Ok(record)
}

/// Makes sure that TF-A for Arm FVP is there, and returns its folder.
pub(crate) fn ensure_fvp(cache: &Cache, is_offline: bool) -> anyhow::Result<PathBuf> {
    rust_target(is_offline)?;
    let has = |record: &Record| {
        let entry = record.fvp.as_ref().filter(|entry| tfa::FVP.is_current(entry));
        cache.folder(entry)
    };
    let names = ("TF-A for Arm FVP", "cargo xtask image --platform fvp");
    ensure_part(cache, is_offline, names, has, |locked, record| {
        record.fvp = Some(tfa::FVP.fetch(locked, &Machine::read()?)?);
        Ok(())
    })
}

/// Makes sure that the guest is there: its folder, and what is in it for people.
pub(crate) fn ensure_guest(cache: &Cache, is_offline: bool) -> anyhow::Result<(PathBuf, String)> {
    let has = |record: &Record| {
        let entry = record.guest.as_ref().filter(|entry| kernel::is_current(entry));
        Some((cache.folder(entry)?, entry?.version.clone()))
    };
    ensure_part(
        cache,
        is_offline,
        ("the guest kernel", "cargo xtask setup"),
        has,
        |locked, record| {
            record.guest = Some(kernel::fetch(locked, &Machine::read()?)?);
            Ok(())
        },
    )
}

/// Makes sure that Debian's U-Boot is there, and returns its folder.
pub(crate) fn ensure_boot_loader(cache: &Cache) -> anyhow::Result<PathBuf> {
    let has = |record: &Record| cache.folder(record.boot_loader.as_ref());
    ensure_part(cache, false, ("U-Boot", "cargo xtask test"), has, |locked, record| {
        record.boot_loader = Some(boot_loader::fetch(locked, &Machine::read()?)?);
        Ok(())
    })
}

/// Makes sure that one part is there, and returns what `has` says of it. It goes by a name, and the
/// command that gets it.
fn ensure_part<T>(
    cache: &Cache,
    is_offline: bool,
    (name, command): (&str, &str),
    has: impl Fn(&Record) -> Option<T>,
    fetch: impl FnOnce(&Locked<'_>, &mut Record) -> anyhow::Result<()>,
) -> anyhow::Result<T> {
    if let Some(part) = has(&cache.record()) {
        return Ok(part);
    }
    if is_offline {
        bail!(
            "--offline, but {name} is not in the cache {}; run `{command}` once with a network",
            cache.root().display()
        );
    }
    let locked = cache.lock()?;
    let mut record = cache.record(); // another process may have finished it meanwhile
    if has(&record).is_none() {
        locked.require_space(SPACE)?;
        install_packages(&locked, true, false)?;
        fetch(&locked, &mut record)?;
        locked.store(&record)?;
    }
    has(&record).with_context(|| format!("{name} was fetched, but is not in the cache; try again"))
}

/// Completes the record from what is on the machine already.
fn offline(
    cache: &Cache,
    locked: &Locked<'_>,
    mut record: Record,
    found: Option<Qemu>,
    other_qemu: bool,
    parts: Parts,
) -> anyhow::Result<Record> {
    let mut missing = Vec::new();
    if found.is_none() && !other_qemu {
        missing.push("QEMU with RME");
    }
    if parts.tf_a && !has_tf_a(cache, &record) {
        missing.push("TF-A");
    }
    if parts.guest && !has_guest(cache, &record) {
        missing.push("guest kernel");
    }
    if !missing.is_empty() {
        bail!(
            "--offline, but {} not in the cache {}; run `cargo xtask setup` once with a network",
            match missing.as_slice() {
                [one] => format!("{one} is"),
                several => format!("{} are", several.join(", ")),
            },
            cache.root().display()
        );
    }
    if let Some(found) = found {
        record.qemu = Some(found);
        locked.store(&record)?;
    }
    Ok(record)
}

/// Makes sure that there is a debugger for arm64, and returns it.
pub(crate) fn ensure_debugger(cache: &Cache) -> anyhow::Result<PathBuf> {
    if find_program(DEBUGGER).is_none() {
        install(&cache.lock()?, apt::missing(&[DEBUGGER]), false)?;
    }
    find_program(DEBUGGER)
        .with_context(|| format!("{DEBUGGER} is not there; pass a gdb with --gdb"))
}

/// Installs Debian packages that are missing on this machine.
fn install_packages(locked: &Locked<'_>, tools: bool, qemu: bool) -> anyhow::Result<()> {
    let missing = if tools { apt::missing(&tfa::BUILD_PACKAGES) } else { Vec::new() };
    install(locked, missing, qemu)
}

fn install(locked: &Locked<'_>, missing: Vec<&'static str>, qemu: bool) -> anyhow::Result<()> {
    if missing.is_empty() && !qemu {
        return Ok(());
    }
    let machine = Machine::read()?;
    // Debian 12's own QEMU has no RME; its backports have it. Debian 13's own has it.
    let backports = (machine.codename == "bookworm").then_some("bookworm-backports");
    let wanted = Wanted { tools: missing, qemu: qemu.then_some(QEMU_PACKAGE), backports };
    wanted.authorise(&machine)?;
    let missing = wanted.tools;
    let stage = locked.stage("install")?;
    let mut sources = machine.own_sources();
    if let Some(suite) = backports.filter(|_| qemu) {
        sources.push_str(&machine.archive()?.stanza("deb", suite, None));
    }
    let apt = PrivateApt::native(&stage.folder("apt")?, &sources)?;
    apt.update("read package lists")?;
    if !missing.is_empty() {
        apt.install(&missing, None, "install build tools")?;
    }
    if qemu {
        apt.install(&[QEMU_PACKAGE], backports, "install QEMU")?;
    }
    Ok(())
}

/// Makes sure that the bare-metal Rust target is installed.
fn rust_target(offline: bool) -> anyhow::Result<()> {
    let mut query = Command::new("rustc");
    query.args(["--print", "target-libdir", "--target", TARGET]);
    let folder = process::output(&mut query)?;
    let folder = Path::new(folder.trim());
    let has_core = std::fs::read_dir(folder).is_ok_and(|mut files| {
        files.any(|f| f.is_ok_and(|f| f.file_name().to_string_lossy().starts_with("libcore-")))
    });
    if has_core {
        return Ok(());
    }
    if offline {
        bail!(
            "--offline, but the Rust target {TARGET} is not installed; run `rustup target add {TARGET}` with a network"
        );
    }
    rustup(&["target", "add", TARGET])
}

/// Makes sure that rustfmt and clippy are installed (rustup's minimal profile leaves them out).
pub(crate) fn rust_components() -> anyhow::Result<()> {
    for (program, component) in [("cargo-fmt", "rustfmt"), ("cargo-clippy", "clippy")] {
        let works =
            Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success());
        if !works {
            rustup(&["component", "add", component])?;
        }
    }
    Ok(())
}

fn rustup(arguments: &[&str]) -> anyhow::Result<()> {
    let wish = format!("rustup {}", arguments.join(" "));
    if find_program("rustup").is_none() {
        bail!(
            "`{wish}` is needed, and rustup is not on the PATH; install rustup, or that part of Rust by other means"
        );
    }
    let status = process::attached(Command::new("rustup").args(arguments))?;
    if !status.success() {
        bail!("`{wish}` failed; check the network and try again");
    }
    Ok(())
}
