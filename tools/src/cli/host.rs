//! Options of `run` for a Normal-world host other than ours.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

/// What is about the guest of our own host.
const GUEST: [&str; 9] =
    ["check", "rmi", "host_style", "realms", "memory", "kernel", "initrd", "hash_algo", "append"];

/// The same, and the EL3 of the tests: where a kernel is put, memory is laid out as TF-A does.
const GUEST_AND_EL3: [&str; 10] = [
    "check",
    "rmi",
    "host_style",
    "realms",
    "memory",
    "kernel",
    "initrd",
    "hash_algo",
    "append",
    "el3",
];

/// A Normal-world host, or first program, that the user brings.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "A host of your own, instead of ours and its Realm")]
pub(crate) struct HostOptions {
    /// Boot this kernel (an uncompressed arm64 Image) in the Normal world at EL2, above the
    /// monitor; without FILE: Debian's, from the cache
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        conflicts_with_all = GUEST_AND_EL3,
    )]
    #[expect(clippy::option_option, reason = "clap's way to say: given, but without a value")]
    pub host_kernel: Option<Option<PathBuf>>,
    /// Its initial RAM disk (default: busybox with a shell)
    #[arg(long, value_name = "FILE", requires = "host_kernel")]
    pub host_initrd: Option<PathBuf>,
    /// Text to add to its command line
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true,
        allow_hyphen_values = true,
        requires = "host_kernel"
    )]
    pub host_append: String,
    /// A disk image, raw or qcow2, as its virtio disk; it is written to
    #[arg(long, value_name = "FILE")]
    pub host_disk: Option<PathBuf>,
    /// A virtio network card, with QEMU's user network behind it
    #[arg(long)]
    pub host_net: bool,
    /// Load this program as BL33, instead of the few instructions that start the kernel; it finds
    /// kernel, initial RAM disk and command line in QEMU's fw_cfg. With --el3, the EL3 of the tests
    /// starts it, and leaves it the memory that TF-A gives to the monitor
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = GUEST,
    )]
    pub bl33: Option<PathBuf>,
}

impl HostOptions {
    /// Whether our own host is not wanted.
    pub(crate) const fn is_foreign(&self) -> bool {
        self.host_kernel.is_some() || self.bl33.is_some()
    }

    /// Refuses devices for a machine whose host knows none.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if !self.is_foreign() && (self.host_disk.is_some() || self.host_net) {
            bail!("--host-disk and --host-net need --host-kernel or --bl33");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use crate::cli::{Cli, Command};

    fn run(args: &[&str]) -> Option<super::HostOptions> {
        let words = ["xtask", "run"].iter().chain(args);
        let command = Cli::try_parse_from(words).ok()?.command;
        if let Command::Run(options) = command { Some(options.host) } else { None }
    }

    #[test]
    fn a_host_has_a_kernel_or_a_first_program() {
        assert!(!run(&[]).unwrap().is_foreign());
        assert_eq!(run(&["--host-kernel"]).unwrap().host_kernel, Some(None));
        let own = run(&["--host-kernel", "Image", "--host-net"]).unwrap();
        assert_eq!(own.host_kernel.unwrap().as_deref(), Some(Path::new("Image")));
        assert!(run(&["--bl33", "u-boot.bin"]).unwrap().is_foreign());
        assert!(run(&["--bl33", "u-boot.bin", "--el3", "2.0"]).is_some());
        assert!(run(&["--host-net"]).unwrap().check().is_err());
        assert!(run(&["--bl33", "a", "--host-disk", "b"]).unwrap().check().is_ok());
    }

    #[test]
    fn what_is_about_a_realm_is_refused_beside_it() {
        for words in [
            ["--check", "--host-kernel"],
            ["--bl33=a", "--realms=2"],
            ["--host-kernel", "--el3=2.0"],
        ] {
            assert!(run(&words).is_none(), "{words:?}");
        }
        assert!(run(&["--host-initrd", "a"]).is_none() && run(&["--host-append", "a"]).is_none());
    }
}
