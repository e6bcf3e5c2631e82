//! Trusted Firmware-A: fetched as Debian's source package, built once for each board with RME, and
//! packed with a monitor and a Normal-world payload into the flash image that QEMU boots (for Arm
//! FVP see [`crate::fvp`]).

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::apt::sources::Machine;
use crate::apt::version::compare;
use crate::apt::{Offer, PrivateApt};
use crate::cache::{Entry, Locked, Stage};
use crate::fault::IoContext;
use crate::paths::write_whole;
use crate::process::{self, Stop};
use crate::progress::Progress;

mod built;

const PACKAGE: &str = "arm-trusted-firmware";

/// The release that Cairn is developed with; another one is used only if this one cannot be had.
const RELEASE: &str = "2.12.1";

/// Suites to look in, from the first that has [`RELEASE`].
const SUITES: [&str; 2] = ["trixie", "trixie sid"];

/// How TF-A is built for one board, and which files are kept.
#[derive(Debug)]
pub(crate) struct Recipe {
    /// Prefix of its cache entries.
    prefix: &'static str,
    /// Changes when anything else here changes, so that old builds are not used.
    revision: u32,
    /// The board's name in TF-A's build folder.
    platform: &'static str,
    /// Options for this board.
    options: &'static [&'static str],
    /// What to make.
    targets: &'static [&'static str],
    /// Files to keep: path below the build folder, name in the cache.
    files: &'static [(&'static str, &'static str)],
    /// Lines that the build prints, for its progress bar.
    lines: f64,
}

/// QEMU: the parts, to be packed anew for each monitor.
pub(crate) const QEMU: Recipe = Recipe {
    prefix: "tfa-",
    revision: 1,
    platform: "qemu",
    options: &["PLAT=qemu", "QEMU_USE_GIC_DRIVER=QEMU_GICV3"],
    targets: &["all", "fiptool"],
    files: &[
        ("bl1.bin", "bl1.bin"),
        ("bl2.bin", "bl2.bin"),
        ("bl31.bin", "bl31.bin"),
        ("rmm.bin", "trp.bin"),
    ],
    lines: 245.0,
};

/// Arm FVP Base RevC: a whole package with TF-A's own test monitor and its device trees, in which
/// monitor and payload are replaced.
pub(crate) const FVP: Recipe = Recipe {
    prefix: "fvp-tfa-",
    revision: 1,
    platform: "fvp",
    options: &["PLAT=fvp", "FVP_HW_CONFIG_DTS=fdts/fvp-base-gicv3-psci-1t.dts"],
    targets: &["all", "fip"],
    files: &[("bl1.bin", "bl1.bin"), ("bl2.bin", "bl2.bin"), ("fip.bin", "fip.bin")],
    lines: 330.0,
};

/// Debian packages that building TF-A and its packing tool needs.
pub(crate) const BUILD_PACKAGES: [&str; 8] = [
    "gcc",
    "libc6-dev",
    "make",
    "gcc-aarch64-linux-gnu",
    "device-tree-compiler",
    "libssl-dev",
    "dpkg-dev",
    "xz-utils",
];

/// Build options for every board. Release, but with warnings: a quiet console that still says why
/// the monitor was refused. `E=0`: newer compilers warn about more.
const OPTIONS: [&str; 5] = [
    "ENABLE_RME=1",
    "DEBUG=0",
    "LOG_LEVEL=30",
    "E=0",
    // The default is the time of the build; without it two builds are equal.
    "BUILD_MESSAGE_TIMESTAMP=\"for Cairn\"",
];

/// The same for releases after 2.12, which earlier ones do not look at: RME has two switches, and
/// EL3 speaks to a monitor of the interface 0.x.
///
/// Source: TF-A, August 2026, `docs/getting_started/build-options.rst`.
const LATER_OPTIONS: [&str; 3] = ["ENABLE_FEAT_RME=1", "ENABLE_RMM=1", "RMM_V1_COMPAT=1"];

/// Where the boot flash holds the FIP; BL1 is at 0 (`plat/qemu/qemu/include/platform_def.h`).
const FIP_OFFSET: usize = 256 << 10;

impl Recipe {
    /// Whether `entry` was made by this recipe.
    pub(crate) fn is_current(&self, entry: &Entry) -> bool {
        entry.folder.starts_with(self.prefix)
            && entry.folder.ends_with(&format!("-r{}", self.revision))
    }

    /// Fetches the source, builds it, and keeps the recipe's files and fiptool.
    pub(crate) fn fetch(&self, locked: &Locked<'_>, machine: &Machine) -> anyhow::Result<Entry> {
        let stage = locked.stage("tf-a")?;
        if stage.path().to_string_lossy().contains(char::is_whitespace) {
            bail!(
                "TF-A cannot be built in {}: the path contains a space; set CAIRN_CACHE to a folder without one",
                stage.path().display()
            );
        }
        let (apt, version) = find(&stage, machine)?;
        let label = format!("download TF-A {version}");
        apt.download_source(&format!("{PACKAGE}={version}"), stage.path(), &label)?;
        let source = unpack(&stage, &version)?;
        let built = self.build(stage.path(), &source, &version)?;

        let made = stage.folder("made")?;
        let fiptool = (source.join("tools/fiptool/fiptool"), "fiptool");
        let files = self.files.iter().map(|(from, to)| (built.join(from), *to));
        for (from, to) in files.chain([fiptool]) {
            std::fs::copy(&from, made.join(to)).at("copy", &from)?;
        }
        let folder = format!("{}{version}-r{}", self.prefix, self.revision);
        stage.commit(&made, &folder)?;
        locked.prune(self.prefix, &folder)?;
        Ok(Entry { folder, version: format!("TF-A {version} for {}", self.platform) })
    }

    /// Builds the user's source tree at `source`, below `folder`, and returns the folder with the
    /// recipe's files and fiptool. The tree is not written to, but for its tool `fiptool` in
    /// releases that build that in place. What is built already is taken as it is.
    pub(crate) fn build_tree(&self, source: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
        self.check_tree(source)?;
        let folder = folder.join(format!("tf-a-{}", self.platform));
        let made = folder.join("made");
        std::fs::create_dir_all(&made).at("make the folder", &made)?;
        if self.is_built(source) {
            self.adopt(source, &made)?;
            return Ok(made);
        }
        built::check_tools()?;
        let source = std::path::absolute(source).context("the path of TF-A is not usable")?;
        let built = self.build(&folder, &source, &source.display().to_string())?;
        // Where it is depends on the release.
        let places = [built.join("tools/fiptool/fiptool"), source.join("tools/fiptool/fiptool")];
        let fiptool = places.into_iter().find(|file| file.is_file());
        let fiptool = fiptool.context("that TF-A has built no fiptool")?;
        let files = self.files.iter().map(|(from, to)| (built.join(from), *to));
        for (from, to) in files.chain([(fiptool, "fiptool")]) {
            // The test monitor has another name in later releases, and nothing here needs it.
            if from.is_file() || to != "trp.bin" {
                std::fs::copy(&from, made.join(to)).at("copy", &from)?;
            }
        }
        Ok(made)
    }

    /// Refuses a folder that is neither a source tree of TF-A with this board nor what has been
    /// built from one, before anything is built.
    pub(crate) fn check_tree(&self, source: &Path) -> anyhow::Result<()> {
        if self.is_built(source) {
            return Ok(());
        }
        let is_tree = source.join("Makefile").is_file()
            && (source.join("plat").join(self.platform).is_dir()
                || source.join("plat/arm/board").join(self.platform).is_dir());
        ensure!(
            is_tree,
            "{} is not a source tree of TF-A with the board {}",
            source.display(),
            self.platform
        );
        ensure!(
            !source.to_string_lossy().contains(char::is_whitespace),
            "TF-A cannot be built in {}: the path contains a space",
            source.display()
        );
        Ok(())
    }

    fn build(&self, folder: &Path, source: &Path, version: &str) -> anyhow::Result<PathBuf> {
        let progress = Progress::start(&format!("build TF-A {version} for {}", self.platform));
        let base = folder.join("build");
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let mut command = Command::new("make");
        command.env("LC_ALL", "C").current_dir(source);
        for variable in [
            "MAKEFLAGS",
            "MFLAGS",
            "MAKELEVEL",
            "CFLAGS",
            "LDFLAGS",
            "CC",
            "LD",
            "AS",
            "CPP",
            "V",
            "RMM",
        ] {
            command.env_remove(variable);
        }
        command.arg(format!("-j{jobs}")).args(OPTIONS).args(LATER_OPTIONS).args(self.options);
        let prefix = built::cross_compiler().context("there is no GCC for arm64")?;
        command.arg(format!("CROSS_COMPILE={prefix}"));
        command.arg(format!("BUILD_BASE={}", base.display()));
        command.args(self.targets);
        if self.targets.contains(&"fip") {
            // A package needs a payload; it is replaced when an image is packed.
            let payload = folder.join("payload.bin");
            std::fs::write(&payload, [0; 4096]).at("write", &payload)?;
            command.arg(format!("BL33={}", payload.display()));
        }
        let mut lines = 0.0;
        process::captured(&mut command, Stop::AtOnce, &mut |_| {
            lines += 1.0;
            progress.percent((lines / self.lines * 100.0).min(99.0));
        })?;
        progress.done("");
        Ok(base.join(self.platform).join("release"))
    }
}

fn find(stage: &Stage, machine: &Machine) -> anyhow::Result<(PrivateApt, String)> {
    let mut last = None;
    for suites in SUITES {
        let sources = machine.archive()?.stanza("deb-src", suites, None);
        let apt = PrivateApt::foreign(&stage.folder("apt")?, "arm64", &sources)?;
        apt.update("read source package lists")?;
        let offers = apt.offers(&[PACKAGE.to_owned()])?;
        if let Some(version) = choose(&offers) {
            let is_release = version.starts_with(RELEASE);
            last = Some((apt, version));
            if is_release {
                break;
            }
        }
    }
    let (apt, version) = last.with_context(|| {
        format!("the Debian archive offers no source package {PACKAGE}; try again later")
    })?;
    if !version.starts_with(RELEASE) {
        eprintln!(
            "warning: TF-A {RELEASE} cannot be had any more; taking {version}, which Cairn was not tried with"
        );
    }
    Ok((apt, version))
}

/// The newest revision of [`RELEASE`], else the newest of all.
fn choose(offers: &[Offer]) -> Option<String> {
    let of_release = |offer: &&Offer| {
        offer.version.strip_prefix(RELEASE).is_some_and(|rest| rest.starts_with(['+', '-', '~']))
    };
    let newest = |a: &&Offer, b: &&Offer| compare(&a.version, &b.version);
    let choice = offers.iter().filter(of_release).max_by(newest);
    choice.or_else(|| offers.iter().max_by(newest)).map(|offer| offer.version.clone())
}

fn unpack(stage: &Stage, version: &str) -> anyhow::Result<PathBuf> {
    let progress = Progress::start("unpack TF-A");
    let description = stage.path().join(format!("{PACKAGE}_{}.dsc", without_epoch(version)));
    let source = stage.path().join("source");
    // apt has checked signature and checksums already.
    let mut command = Command::new("dpkg-source");
    command.arg("--no-check").arg("-x").arg(description).arg(&source);
    process::output(command.current_dir(stage.path()))?;
    progress.done("");
    Ok(source)
}

fn without_epoch(version: &str) -> &str {
    version.split_once(':').map_or(version, |(_, rest)| rest)
}

/// Packs TF-A in `tf_a`, the monitor `rmm` and the payload `bl33` (flat images) into `out`, ready
/// for QEMU's `-bios`.
pub(crate) fn pack(tf_a: &Path, rmm: &Path, bl33: &Path, out: &Path) -> anyhow::Result<()> {
    let fip = out.with_extension("fip");
    let mut command = Command::new(tf_a.join("fiptool"));
    command.arg("create");
    for (option, file) in [
        ("--tb-fw", tf_a.join("bl2.bin").as_path()),
        ("--soc-fw", tf_a.join("bl31.bin").as_path()),
        ("--rmm-fw", rmm),
        ("--nt-fw", bl33),
    ] {
        command.arg(option).arg(file);
    }
    process::output(command.arg(&fip)).context("cannot pack the firmware")?;
    let bl1 = tf_a.join("bl1.bin");
    let flash =
        flash(std::fs::read(&bl1).at("read", &bl1)?, &std::fs::read(&fip).at("read", &fip)?)?;
    write_whole(out, &flash)
}

/// BL1 at 0, the FIP at [`FIP_OFFSET`].
fn flash(mut bl1: Vec<u8>, fip: &[u8]) -> anyhow::Result<Vec<u8>> {
    if bl1.len() > FIP_OFFSET {
        bail!(
            "BL1 is larger than 256 KiB; remove the cache with `cargo xtask clean --cache` and try again"
        );
    }
    bl1.resize(FIP_OFFSET, 0);
    bl1.extend_from_slice(fip);
    Ok(bl1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(version: &str) -> Offer {
        Offer { package: PACKAGE.into(), version: version.into() }
    }

    #[test]
    fn the_known_release_is_preferred_to_a_newer_one() {
        let offers = [offer("2.12.1+dfsg-1"), offer("2.14.0+dfsg-1"), offer("2.12.10+dfsg-1")];
        assert_eq!(choose(&offers).unwrap(), "2.12.1+dfsg-1");
        assert_eq!(choose(&offers[1..]).unwrap(), "2.14.0+dfsg-1");
        assert_eq!(choose(&[]), None);
    }

    #[test]
    fn each_board_has_entries_of_its_own() {
        let entry = |folder: &str| Entry { folder: folder.into(), version: String::new() };
        assert!(QEMU.is_current(&entry("tfa-2.12.1+dfsg-1-r1")));
        assert!(FVP.is_current(&entry("fvp-tfa-2.12.1+dfsg-1-r1")));
        assert!(!QEMU.is_current(&entry("fvp-tfa-2.12.1+dfsg-1-r1")));
        // Pruning one must not remove the other.
        assert!(!FVP.prefix.starts_with(QEMU.prefix) && !QEMU.prefix.starts_with(FVP.prefix));
    }

    #[test]
    fn a_tree_without_the_board_is_refused() {
        let folder = std::env::temp_dir().join(format!("cairn-tree-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("plat/qemu")).unwrap();
        assert!(QEMU.check_tree(&folder).is_err(), "no Makefile");
        std::fs::write(folder.join("Makefile"), "").unwrap();
        assert!(QEMU.check_tree(&folder).is_ok());
        assert!(FVP.check_tree(&folder).unwrap_err().to_string().contains("with the board fvp"));
        std::fs::create_dir_all(folder.join("plat/arm/board/fvp")).unwrap();
        assert!(FVP.check_tree(&folder).is_ok());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn flash_has_the_fip_at_256_kib() {
        let flash = flash(vec![1; 10], &[2; 3]).unwrap();
        assert_eq!(flash.len(), FIP_OFFSET + 3);
        assert_eq!((flash[9], flash[10], flash[FIP_OFFSET]), (1, 0, 2));
        assert!(super::flash(vec![0; FIP_OFFSET + 1], &[]).is_err());
    }
}
