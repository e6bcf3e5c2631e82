//! `cargo xtask image`: the firmware of a board, or the monitor in a firmware package that the user
//! has.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::cli::PackOptions;
use crate::fault::IoContext;
use crate::fvp::package::{MONITOR, entry};
use crate::paths::{check_regular, read_limited};
use crate::{output, paths, process, run, stage};

/// How a package begins.
///
/// Source: TF-A 2.12.1, `include/tools_share/firmware_image_package.h`, `TOC_HEADER_NAME`.
const NAME: [u8; 4] = 0xaa64_0001_u32.to_le_bytes();

/// A package is no larger than this, in bytes.
const LARGEST: usize = 256 << 20;

/// The `image` subcommand.
pub(crate) fn image(options: &PackOptions) -> anyhow::Result<()> {
    match &options.fip {
        Some(package) => replace(options, package),
        None => run::image(&options.image),
    }
}

/// Puts the monitor into a copy of the package at `package`.
fn replace(options: &PackOptions, package: &Path) -> anyhow::Result<()> {
    check(package)?;
    stage::check(&options.image, &crate::cli::ModelOptions::default())?;
    let folder = paths::output()?;
    let ready = run::prepare(&options.image, None)?;
    let _building = output::building()?;
    let monitor = run::pack_monitor(&options.image, &folder)?;
    let fiptool = ready.tf_a.join("fiptool");
    let out = folder.join("fip.bin");
    let contents = process::output(Command::new(&fiptool).arg("info").arg(package))
        .with_context(|| format!("{} is not a firmware package", package.display()))?;
    let mut command = Command::new(&fiptool);
    command.arg("update").arg("--rmm-fw").arg(&monitor.flat).arg("--out").arg(&out).arg(package);
    process::output(&mut command).context("cannot pack the firmware")?;

    let made = read_limited(&out, LARGEST)?;
    let wanted = std::fs::read(&monitor.flat).at("read", &monitor.flat)?;
    ensure!(entry(&made, &MONITOR) == Some(&wanted), "the package does not hold the monitor");
    println!("monitor:  {}", monitor.flat.display());
    println!("package:  {} ({} with this monitor)", out.display(), package.display());
    if contents.to_lowercase().contains("certificate") {
        eprintln!(
            "warning: this package has certificates: a board that verifies them refuses the monitor until its content \
             certificate is made anew"
        );
    }
    Ok(())
}

/// Refuses what is no package before anything is set up or built.
fn check(package: &Path) -> anyhow::Result<()> {
    check_regular(package)?;
    let bytes = read_limited(package, LARGEST)?;
    ensure!(
        bytes.starts_with(&NAME),
        "{} is not a firmware package (FIP): it does not begin with 0xaa640001",
        package.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_package_is_refused() {
        let file = std::env::temp_dir().join(format!("cairn-fip-{}", std::process::id()));
        for (content, is_one) in [(&[1, 0, 0x64, 0xaa, 0][..], true), (b"MZ", false), (b"", false)]
        {
            std::fs::write(&file, content).unwrap();
            assert_eq!(check(&file).is_ok(), is_one, "{content:?}");
        }
        std::fs::remove_file(&file).unwrap();
        assert!(check(&file).is_err() && check(Path::new("/dev/zero")).is_err());
    }
}
