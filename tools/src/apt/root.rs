//! Who may install packages here, found out before anything is fetched or built, and what to do
//! where nobody may.

use std::process::Command;

use anyhow::bail;

use super::sources::Machine;
use crate::paths::find_program;
use crate::process;

/// Debian packages that this machine lacks.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    /// What TF-A is built with, and the like.
    pub tools: Vec<&'a str>,
    /// QEMU, if it is wanted.
    pub qemu: Option<&'a str>,
    /// The suite that QEMU has to come from, if not the machine's own release.
    pub backports: Option<&'a str>,
}

impl Wanted<'_> {
    fn names(&self) -> String {
        let names: Vec<&str> = self.tools.iter().copied().chain(self.qemu).collect();
        names.join(" ")
    }

    /// The commands, one a line, with which an administrator of `machine` installs these packages.
    ///
    /// # Errors
    ///
    /// The machine's own sources name no Debian archive.
    pub(crate) fn commands(&self, machine: &Machine) -> anyhow::Result<String> {
        const INSTALL: &str = "apt-get install --no-install-recommends";
        let mut lines = Vec::new();
        if let (Some(_), Some(suite)) = (self.qemu, self.backports) {
            // What Debian 12 itself has is QEMU 7.2, which has no RME.
            let source = machine.archive()?.line(suite);
            lines.push(format!("echo '{source}' > /etc/apt/sources.list.d/{suite}.list"));
        }
        lines.push("apt-get update".to_owned());
        match (self.qemu, self.backports) {
            (Some(qemu), Some(suite)) => {
                if !self.tools.is_empty() {
                    lines.push(format!("{INSTALL} {}", self.tools.join(" ")));
                }
                lines.push(format!("{INSTALL} -t {suite} {qemu}"));
            }
            (_, None) | (None, Some(_)) => lines.push(format!("{INSTALL} {}", self.names())),
        }
        Ok(lines.join("\n"))
    }

    /// Makes sure that [`command`] works, for which the user may be asked a password.
    ///
    /// # Errors
    ///
    /// This user cannot become root. The sentence has the commands for somebody who can.
    pub(crate) fn authorise(&self, machine: &Machine) -> anyhow::Result<()> {
        if rustix::process::geteuid().is_root() {
            return Ok(());
        }
        let names = self.names();
        if find_program("sudo").is_none() {
            bail!("{}", self.refusal("there is no sudo here", machine)?);
        }
        eprintln!("Installing {names} needs root; sudo may ask for your password.");
        if !process::with_terminal(Command::new("sudo").arg("-v"))?.success() {
            bail!("{}", self.refusal("sudo did not allow it", machine)?);
        }
        Ok(())
    }

    fn refusal(&self, why: &str, machine: &Machine) -> anyhow::Result<String> {
        let commands = self.commands(machine)?.replace('\n', "\n  ");
        Ok(format!(
            "these Debian packages are missing, and installing them needs root: {}; {why}. Have this run as root, then \
             run the same command again:\n\n  {commands}",
            self.names()
        ))
    }
}

/// `env` as root: directly, or through sudo, which has been asked before (see
/// [`Wanted::authorise`]).
pub(crate) fn command() -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new("env");
    }
    let mut command = Command::new("sudo");
    command.args(["-n", "env"]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(codename: &str) -> Machine {
        Machine::of(
            codename,
            "deb http://deb.example/debian SUITE main\n".replace("SUITE", codename),
        )
    }

    #[test]
    fn debian_12_takes_qemu_from_its_backports() {
        let backports = Some("bookworm-backports");
        let wanted =
            Wanted { tools: vec!["gcc", "make"], qemu: Some("qemu-system-arm"), backports };
        assert_eq!(
            wanted.commands(&machine("bookworm")).unwrap(),
            "echo 'deb http://deb.example/debian bookworm-backports main' > \
             /etc/apt/sources.list.d/bookworm-backports.list\n\
             apt-get update\n\
             apt-get install --no-install-recommends gcc make\n\
             apt-get install --no-install-recommends -t bookworm-backports qemu-system-arm"
        );
        let only_qemu = Wanted { tools: Vec::new(), ..wanted };
        assert_eq!(only_qemu.commands(&machine("bookworm")).unwrap().lines().count(), 3);
    }

    #[test]
    fn a_release_that_has_qemu_needs_one_command() {
        for (qemu, all) in [(Some("qemu-system-arm"), "gcc qemu-system-arm"), (None, "gcc")] {
            let wanted = Wanted { tools: vec!["gcc"], qemu, backports: None };
            assert_eq!(
                wanted.commands(&machine("trixie")).unwrap(),
                format!("apt-get update\napt-get install --no-install-recommends {all}")
            );
        }
        // Backports are for QEMU only.
        let backports = Some("bookworm-backports");
        let wanted = Wanted { tools: vec!["gcc"], qemu: None, backports };
        assert!(!wanted.commands(&machine("bookworm")).unwrap().contains("backports"));
    }

    #[test]
    fn who_cannot_become_root_is_told_what_an_administrator_should_run() {
        let wanted = Wanted { tools: vec!["gcc", "make"], qemu: None, backports: None };
        let text = wanted.refusal("there is no sudo here", &machine("trixie")).unwrap();
        assert!(text.contains("needs root: gcc make; there is no sudo here."), "{text}");
        assert!(
            text.ends_with(
                "\n\n  apt-get update\n  apt-get install --no-install-recommends gcc make"
            ),
            "{text}"
        );
    }
}
