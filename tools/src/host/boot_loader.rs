//! The `boot-loader` step of `test`: Debian's U-Boot as it is, started as BL33 above the monitor.
//!
//! Its first stack is at 0x4020_0000, which TF-A on QEMU virt gives to the monitor; the EL3 of the
//! tests, which has the memory map of Arm FVP, does not.

use std::process::Command;

use anyhow::{Context, ensure};

use crate::apt::PrivateApt;
use crate::apt::sources::Machine;
use crate::apt::version::compare;
use crate::cache::{Cache, Entry, Locked};
use crate::fault::IoContext;
use crate::{process, setup, shell};

/// Debian's package, which is the same for every architecture, and the program in it.
const PACKAGE: &str = "u-boot-qemu";
const PROGRAM: &str = "usr/lib/u-boot/qemu_arm64/u-boot.bin";

/// Name of the program in the cache.
const FILE: &str = "u-boot.bin";

/// Fetches the package into the cache.
pub(crate) fn fetch(locked: &Locked<'_>, machine: &Machine) -> anyhow::Result<Entry> {
    let stage = locked.stage("boot-loader")?;
    let sources = machine.archive()?.stanza("deb", "trixie", Some("arm64"));
    let apt = PrivateApt::foreign(&stage.folder("apt")?, "arm64", &sources)?;
    apt.update("read arm64 package lists")?;
    let offers = apt.offers(&[PACKAGE.to_owned()])?;
    let newest = offers.into_iter().max_by(|a, b| compare(&a.version, &b.version));
    let version = newest.context("the Debian archive offers no U-Boot; try again later")?.version;
    let debs = stage.folder("debs")?;
    apt.download(&[format!("{PACKAGE}={version}")], &debs, "download U-Boot")?;
    let tree = stage.folder("tree")?;
    for deb in std::fs::read_dir(&debs).at("read", &debs)? {
        let deb = deb.at("read", &debs)?.path();
        process::output(Command::new("dpkg-deb").arg("-x").arg(deb).arg(&tree))?;
    }
    let made = stage.folder("made")?;
    let program = tree.join(PROGRAM);
    std::fs::copy(&program, made.join(FILE)).at("copy", &program)?;
    let folder = format!("u-boot-{version}");
    stage.commit(&made, &folder)?;
    Ok(Entry { folder, version: format!("U-Boot {version}") })
}

/// Boots it to its prompt, and asks it about memory.
///
/// # Errors
///
/// It does not come, or the monitor's log does not.
pub(crate) fn check() -> anyhow::Result<()> {
    let program = setup::ensure_boot_loader(&Cache::locate()?)?.join(FILE);
    let words = ["run", "--cpus", "1", "--el3", "0.4", "--bl33"].map(Into::into).into_iter();
    let words: Vec<_> = words.chain([program.into_os_string()]).collect();
    let seen = shell::on_a_terminal(&words, |terminal, group| {
        terminal.expect(group, "U-Boot 20")?;
        terminal.expect(group, "Hit any key to stop autoboot")?;
        terminal.enter("\r")?;
        terminal.expect(group, "=> ")?;
        terminal.enter("bdinfo\r")?;
        terminal.expect(group, "-> start    = 0x0000000040000000")?;
        terminal.expect(group, "=> ")?;
        // There is no PSCI in the tree that it reads.
        terminal.enter("\x01x")
    })?;
    ensure!(seen.contains("The machine was ended."), "the machine was not ended");
    ensure!(seen.contains(" at 0xfdc00000, RMM-EL3 interface"), "the monitor's log is not shown");
    Ok(())
}
