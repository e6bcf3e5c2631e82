//! Debian's package tools, used so that the machine's own configuration stays as it is.
//!
//! Other suites and architectures are read with a private configuration: own source list, own
//! package lists, own download folder. Where the archive is, and which keys vouch for it, is taken
//! from the machine's own sources, so mirrors keep working. Only [`PrivateApt::install`] changes
//! the machine.

pub(crate) mod root;
pub(crate) mod sources;
pub(crate) mod version;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::fault::IoContext;
use crate::paths::find_program;
use crate::process::{self, Stop};
use crate::progress::Progress;

/// One package in one suite, as `apt-cache madison` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Package name without architecture.
    pub package: String,
    /// Its version.
    pub version: String,
}

/// A private apt configuration in a folder of its own.
#[derive(Debug)]
pub(crate) struct PrivateApt {
    folder: PathBuf,
}

/// Read after the machine's own configuration, whose proxies and checks stay in force. Its hooks
/// for updated package lists do not: they are about the machine's own lists. apt's sandbox user
/// could not write to a home folder.
const CONFIGURATION: &str = "\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Acquire::Languages \"none\";
Acquire::Retries \"3\";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";
APT::Sandbox::User \"root\";
APT::Status-Fd \"1\";
DPkg::Lock::Timeout \"300\";
Dir::Etc::SourceList \"/dev/null\";
";

impl PrivateApt {
    /// For packages of another architecture and for sources; sees nothing that is installed or
    /// pinned here.
    pub(crate) fn foreign(
        folder: &Path,
        architecture: &str,
        sources: &str,
    ) -> anyhow::Result<Self> {
        let own = format!(
            "Dir::State::status \"/dev/null\";\nDir::Etc::Preferences \"/dev/null\";\n\
             Dir::Etc::PreferencesParts \"{}\";\nAPT::Architecture \"{architecture}\";\n\
             #clear APT::Architectures;\nAPT::Architectures {{ \"{architecture}\"; }};\n",
            folder.join("preferences").display()
        );
        Self::new(folder, sources, &own)
    }

    /// For installing on this machine from `sources`.
    pub(crate) fn native(folder: &Path, sources: &str) -> anyhow::Result<Self> {
        Self::new(folder, sources, "")
    }

    fn new(folder: &Path, sources: &str, own: &str) -> anyhow::Result<Self> {
        if find_program("apt-get").is_none() {
            bail!(
                "set-up needs apt-get of Debian 12 or 13, and there is none here; bring your own TF-A and guest (--tfa, \
                 --kernel, --initrd), or work in a Debian container (docs/supported.md)"
            );
        }
        for name in ["lists/partial", "cache/archives/partial", "parts", "preferences"] {
            let path = folder.join(name);
            std::fs::create_dir_all(&path).at("make the folder", &path)?;
        }
        let mut configuration = format!("{CONFIGURATION}{own}");
        for (option, name) in [
            ("Dir::Etc::SourceParts", "parts"),
            ("Dir::State::Lists", "lists"),
            ("Dir::Cache", "cache"),
        ] {
            configuration.push_str(&format!("{option} \"{}\";\n", folder.join(name).display()));
        }
        let apt = Self { folder: folder.to_path_buf() };
        for (path, text) in
            [(folder.join("parts/private.sources"), sources), (apt.configuration(), &configuration)]
        {
            std::fs::write(&path, text).at("write", &path)?;
        }
        Ok(apt)
    }

    fn configuration(&self) -> PathBuf {
        self.folder.join("apt.conf")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("LC_ALL", "C").current_dir(&self.folder).arg("-c").arg(self.configuration());
        command
    }

    /// Fetches the package lists.
    pub(crate) fn update(&self, label: &str) -> anyhow::Result<()> {
        let progress = Progress::start(label);
        let mut trouble = None;
        let mut command = self.command("apt-get");
        command.args(["-q", "update"]);
        let result = process::captured(&mut command, Stop::AtOnce, &mut |line| {
            show_status(&progress, line);
            if line.starts_with("Err:") || line.starts_with("W: ") {
                trouble.get_or_insert_with(|| line.to_owned());
            }
        });
        result.map_err(|error| self.explain(error))?;
        if let Some(line) = trouble {
            bail!(
                "apt could not read the package lists ({line}); check the network and the machine's apt sources, then \
                 try again"
            );
        }
        progress.done("");
        Ok(())
    }

    /// Keeps an interrupt as it is and says of anything else that the network is the likely cause.
    fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        if error.is::<crate::fault::Interrupted>() {
            return error;
        }
        let text = format!("{error:#}");
        if text.contains("NO_PUBKEY") {
            anyhow::anyhow!(
                "the archive's keys are newer than this machine's: install the current debian-archive-keyring and try \
                 again ({text})"
            )
        } else if text.contains("disk is full") {
            error
        } else {
            anyhow::anyhow!(
                "the Debian archive cannot be reached; check the network and try again, or use --offline if set-up was \
                 complete before ({text})"
            )
        }
    }

    /// Names of packages that match the regular expression `pattern`.
    pub(crate) fn search(&self, pattern: &str) -> anyhow::Result<Vec<String>> {
        let mut command = self.command("apt-cache");
        let text = process::output(command.args(["search", "--names-only", pattern]))?;
        Ok(text
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .map(str::to_owned)
            .collect())
    }

    /// What the lists offer for `packages`: binary packages, and source packages of that name.
    pub(crate) fn offers(&self, packages: &[String]) -> anyhow::Result<Vec<Offer>> {
        if packages.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = self.command("apt-cache");
        let text = process::output(command.arg("madison").args(packages))?;
        Ok(text.lines().filter_map(parse_offer).collect())
    }

    /// Downloads binary packages (`name=version`) into `folder`; apt checks signatures and
    /// checksums.
    pub(crate) fn download(
        &self,
        packages: &[String],
        folder: &Path,
        label: &str,
    ) -> anyhow::Result<()> {
        let mut command = self.command("apt-get");
        command.args(["-q", "download"]).args(packages);
        self.fetch(command.current_dir(folder), label)
    }

    /// Downloads a source package (`name=version`) into `folder` without unpacking it.
    pub(crate) fn download_source(
        &self,
        package: &str,
        folder: &Path,
        label: &str,
    ) -> anyhow::Result<()> {
        let mut command = self.command("apt-get");
        command.args(["-q", "source", "--download-only", "--only-source", package]);
        self.fetch(command.current_dir(folder), label)
    }

    fn fetch(&self, command: &mut Command, label: &str) -> anyhow::Result<()> {
        let progress = Progress::start(label);
        process::captured(command, Stop::AtOnce, &mut |line| show_status(&progress, line))
            .map_err(|error| self.explain(error))?;
        progress.done("");
        Ok(())
    }

    /// Installs packages on this machine, after [`root::Wanted::authorise`]. `suite` is preferred
    /// where it is given.
    pub(crate) fn install(
        &self,
        packages: &[&str],
        suite: Option<&str>,
        label: &str,
    ) -> anyhow::Result<()> {
        let mut command = root::command();
        command.args(["DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", "apt-get"]);
        command.arg("-c").arg(self.configuration());
        command.args(["-q", "-y", "--no-install-recommends", "install"]);
        if let Some(suite) = suite {
            command.args(["-t", suite]);
        }
        command.args(packages);
        let progress = Progress::start(label);
        process::captured(&mut command, Stop::AtSafePoint, &mut |line| {
            show_status(&progress, line)
        })
        .with_context(|| format!("apt could not install {}", packages.join(" ")))?;
        progress.done(&packages.join(" "));
        Ok(())
    }
}

/// Which of `packages` are not installed on this machine.
pub(crate) fn missing<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    packages.iter().copied().filter(|package| !is_installed(package)).collect()
}

fn is_installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f=${db:Status-Status}\n", package]);
    process::output(&mut query).is_ok_and(|text| text.lines().any(|line| line == "installed"))
}

/// Shows a line of apt's status stream (`dlstatus:` while fetching, `pmstatus:` while installing).
fn show_status(progress: &Progress, line: &str) {
    if let Some(percent) = status_percent(line) {
        progress.percent(percent);
    }
}

fn status_percent(line: &str) -> Option<f64> {
    let mut fields = line.split(':');
    let kind = fields.next()?;
    if kind != "dlstatus" && kind != "pmstatus" {
        return None;
    }
    fields.nth(1)?.parse().ok()
}

fn parse_offer(line: &str) -> Option<Offer> {
    let mut fields = line.split('|').map(str::trim);
    let package = fields.next()?.split(':').next()?.to_owned();
    let version = fields.next()?.to_owned();
    fields.next()?;
    Some(Offer { package, version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_are_parsed() {
        let line = " linux-binary-7.2-arm64:arm64 | 7.2-1~bpo13+1 | file:/x trixie-backports/main arm64 Packages";
        let offer =
            Offer { package: "linux-binary-7.2-arm64".into(), version: "7.2-1~bpo13+1".into() };
        assert_eq!(parse_offer(line), Some(offer));
        assert_eq!(parse_offer("N: nothing"), None);
    }

    #[test]
    fn status_lines_carry_percent() {
        assert_eq!(status_percent("dlstatus:1:42.5:Retrieving file 1 of 2"), Some(42.5));
        assert_eq!(status_percent("pmstatus:qemu:90.0:Installing qemu"), Some(90.0));
        assert_eq!(status_percent("Get:1 something"), None);
        assert_eq!(status_percent("dlstatus:1"), None);
    }
}
