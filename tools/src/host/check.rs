//! The `host-kernel` step of `test`: Debian's kernel as the host, as a person meets it on a
//! terminal.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::cli::ImageOptions;
use crate::fault::IoContext;
use crate::output::Run;
use crate::run;
use crate::shell::{self, PROMPT};

/// What the host finds on its disk, and what it writes there instead.
const BEFORE: &[u8] = b"from the tool";
const AFTER: &[u8] = b"from the host";

/// From the command to the shell, once everything is built.
const SOON: Duration = Duration::from_secs(60);

/// Boots the host, uses its shell, disk and network, and powers off.
///
/// # Errors
///
/// Something does not happen, or takes too long.
pub(crate) fn check() -> anyhow::Result<()> {
    run::image(&ImageOptions::default())?;
    let run = Run::begin("host-kernel")?;
    let disk = run.folder().join("disk.img");
    let mut content = BEFORE.to_vec();
    content.resize(1 << 20, 0);
    std::fs::write(&disk, content).at("write", &disk)?;
    let mut words: Vec<OsString> =
        ["run", "--host-kernel", "--host-net"].map(OsString::from).into();
    words.extend(["--host-append=loglevel=4 cairn.word".into(), "--host-disk".into()]);
    words.push(disk.clone().into());

    let started = Instant::now();
    let mut booted = None;
    let seen = shell::on_a_terminal(&words, |terminal, group| {
        terminal.expect(group, "as the host: 2 CPU(s), started at EL2")?;
        terminal.expect(group, "Disk: /dev/vda, 1 MiB. Network: eth0")?;
        terminal.expect(group, PROMPT)?;
        booted = Some(started.elapsed());
        terminal.enter("head -c 13 /dev/vda; echo; grep -o 'cairn.wor[d]' /proc/cmdline\r")?;
        terminal.expect(group, "from the tool")?;
        terminal.expect(group, "cairn.word\r")?;
        terminal.enter(
            "printf 'from the host' | dd of=/dev/vda conv=notrunc,fsync; ping -c 1 10.0.2.2\r",
        )?;
        terminal.expect(group, "1 packets received")?;
        terminal.expect(group, PROMPT)?;
        terminal.enter("poweroff\r")
    })?;
    ensure!(seen.contains("The machine powered off."), "the machine did not power off");
    ensure!(seen.contains(" at 0x40100000, RMM-EL3 interface"), "the monitor's log is not shown");
    let content = std::fs::read(&disk).at("read", &disk)?;
    ensure!(content.starts_with(AFTER), "the disk does not hold what the host has written");
    let booted = booted.unwrap_or_default();
    ensure!(booted < SOON, "the shell took {} s to come", booted.as_secs());
    println!("The host's shell came after {:.1} s.", booted.as_secs_f64());
    Ok(())
}
