//! Options of `run`: the guest, the model, the debugger.

use std::path::PathBuf;
use std::time::Duration;

use cairn_el3::edition::Edition;
use cairn_host::job::{HashAlgorithm, Interface};
use cairn_host::style::HostStyle;
use clap::Args;

use super::{El3Edition, GuestOptions, HostOptions, ImageOptions, Platform};
use crate::patience;

/// The model that runs what is built for Arm FVP Base RevC.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ModelOptions {
    /// With --platform fvp: the model, FVP_Base_RevC-2xAEMvA
    #[arg(long, value_name = "PATH")]
    pub fvp: Option<PathBuf>,
    /// With --platform fvp: a disk image for the board's virtio block device
    #[arg(long, value_name = "FILE")]
    pub disk: Option<PathBuf>,
    /// With --platform fvp: print the model's command line instead of running it
    #[arg(long)]
    pub print: bool,
}

impl ModelOptions {
    /// Whether any of them is given.
    pub(crate) fn is_given(&self) -> bool {
        self.fvp.is_some() || self.disk.is_some() || self.print
    }
}

/// Options of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    /// The guest.
    #[command(flatten)]
    pub guest: GuestOptions,
    /// A host other than ours.
    #[command(flatten)]
    pub host: HostOptions,
    /// Boot with the EL3 of the tests, which has the memory map of Arm FVP on QEMU virt, instead of
    /// TF-A, and let it speak this version of its interface with the monitor [default: 2.0 with
    /// --rmi 2.0 and both, because stock TF-A has no such; with --tfa, that TF-A]
    #[arg(long, value_name = "VERSION", conflicts_with = "tfa")]
    pub el3: Option<El3Edition>,
    /// The QEMU to use
    #[arg(long, value_name = "PATH")]
    pub qemu: Option<PathBuf>,
    /// The model.
    #[command(flatten)]
    pub model: ModelOptions,
    /// Wait for a debugger on this TCP port (1234 if none is given) before the first instruction
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "1234", value_parser = clap::value_parser!(u16).range(1..))]
    pub gdb: Option<u16>,
    /// With --check: give up when there was no sign of progress for this many seconds [default: for
    /// each Realm 120, and 60 more for each CPU and each 256M]
    #[arg(long, value_name = "SECONDS", requires = "check", value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: Option<u64>,
    /// Write the log to this file (default: target/cairn/run.log, with --check check-*.log)
    #[arg(long, value_name = "FILE")]
    pub log_file: Option<PathBuf>,
    /// What to run and how to show its log.
    #[command(flatten)]
    pub image: ImageOptions,
}

impl RunOptions {
    /// How long `run --check` waits for a sign of progress.
    pub(crate) fn patience(&self) -> Duration {
        let GuestOptions { realms, cpus, memory, .. } = self.guest;
        let usual = match self.image.platform {
            Platform::Qemu | Platform::Sbsa => patience::guests(realms, cpus, memory),
            Platform::Fvp => patience::on_model(patience::guests(realms, cpus, memory)),
        };
        self.timeout.map_or(usual, Duration::from_secs)
    }

    /// What the EL3 of the tests speaks, if the machine boots with that one.
    pub(crate) fn stand_in(&self) -> Option<Edition> {
        let needed = self.guest.rmi != Interface::V1_0 && self.image.tfa.is_none();
        let told = self.el3.or(needed.then_some(El3Edition::V2)).map(El3Edition::edition);
        // That board has no other EL3.
        told.or((self.image.platform == Platform::Sbsa).then_some(Edition::V0))
    }

    /// Whether kernel or initial RAM disk come from set-up.
    pub(crate) fn needs_guest(&self) -> bool {
        let Self { guest, host, .. } = self;
        match &host.host_kernel {
            Some(kernel) => kernel.is_none() || host.host_initrd.is_none(),
            None => host.bl33.is_none() && (guest.kernel.is_none() || guest.initrd.is_none()),
        }
    }

    /// The options of `run --check` with this many CPUs and this much memory.
    pub(crate) fn check(cpus: u32, memory: u64) -> Self {
        let guest = GuestOptions {
            check: true,
            rmi: Interface::V1_0,
            host_style: HostStyle::Plain,
            realms: 1,
            cpus,
            memory,
            kernel: None,
            initrd: None,
            hash_algo: HashAlgorithm::Sha256,
            append: String::new(),
        };
        Self {
            guest,
            host: HostOptions::default(),
            el3: None,
            qemu: None,
            model: ModelOptions::default(),
            gdb: None,
            timeout: None,
            log_file: None,
            image: ImageOptions::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::{CommandFactory, Parser};

    #[test]
    fn run_has_defaults_and_an_optional_port() {
        let run = |args: &[&str]| {
            let command = Cli::try_parse_from(args).unwrap().command;
            let Command::Run(options) = command else { panic!("{command:?}") };
            options
        };
        let options = run(&["xtask", "run"]);
        let guest = &options.guest;
        assert_eq!((guest.cpus, guest.memory, options.gdb), (2, 256 << 20, None));
        assert_eq!(run(&["xtask", "run", "--gdb"]).gdb, Some(1234));
        assert_eq!(run(&["xtask", "run", "--gdb=99"]).gdb, Some(99));
        assert_eq!(run(&["xtask", "run", "--gdb", "99"]).gdb, Some(99));
        let both = run(&["xtask", "run", "--gdb", "--check"]);
        assert_eq!((both.gdb, both.guest.check), (Some(1234), true));
        assert!(Cli::try_parse_from(["xtask", "run", "--gdb=0"]).is_err());
        assert!(Cli::try_parse_from(["xtask", "run", "--timeout", "9"]).is_err());
        let patient = run(&["xtask", "run", "--check", "--timeout", "9"]);
        assert_eq!(patient.patience(), Duration::from_secs(9));
        assert!(Cli::try_parse_from(["xtask", "run", "--cpus", "9"]).is_err());
        assert!(Cli::try_parse_from(["xtask", "run", "--rmi", "3.0"]).is_err());
        let stand_in = |words: &[&str]| run(&[&["xtask", "run"], words].concat()).stand_in();
        assert_eq!(stand_in(&[]), None);
        let style =
            |words: &[&str]| run(&[&["xtask", "run"], words].concat()).guest.check_style().is_ok();
        assert!(style(&["--host-style", "linux-v7"]));
        assert!(style(&["--host-style", "linux-2.0", "--rmi", "2.0"]));
        assert!(!style(&["--host-style", "linux-2.0"]));
        assert!(!style(&["--host-style", "linux-v12", "--rmi", "both"]));
        assert!(Cli::try_parse_from(["xtask", "run", "--host-style", "v7"]).is_err());
        assert_eq!(stand_in(&["--rmi", "both"]), Some(Edition::V2));
        assert_eq!(stand_in(&["--rmi", "2.0", "--tfa", "tree"]), None);
        assert_eq!(stand_in(&["--el3", "2.0-all"]), Some(Edition::V2_ALL));
        assert_eq!(stand_in(&["--platform", "sbsa"]), Some(Edition::V0));
        assert_eq!(stand_in(&["--platform", "sbsa", "--rmi", "2.0"]), Some(Edition::V2));
        assert!(Cli::try_parse_from(["xtask", "stress", "--commands", "0"]).is_err());
    }

    #[test]
    fn who_brings_kernel_and_initrd_needs_nothing_of_debian_s() {
        let mut options = RunOptions::check(2, 256 << 20);
        assert!(options.needs_guest());
        options.guest.kernel = Some("Image".into());
        assert!(options.needs_guest());
        options.guest.initrd = Some("initrd".into());
        assert!(!options.needs_guest());
        options.host.host_kernel = Some(None);
        options.host.host_initrd = Some("initrd".into());
        assert!(options.needs_guest(), "Debian's kernel is the host");
        options.host.host_kernel = Some(Some("Image".into()));
        assert!(!options.needs_guest());
    }

    #[test]
    fn the_help_of_run_lists_the_keys() {
        let mut cli = Cli::command();
        let run = cli.find_subcommand_mut("run").unwrap();
        for help in [run.render_help(), run.render_long_help()] {
            let help = help.to_string();
            for key in ["Ctrl-A x", "Ctrl-A Ctrl-A", "Ctrl-A Ctrl-A DIGIT", "Ctrl-C"] {
                assert!(help.contains(key), "{key}: {help}");
            }
        }
    }
}
