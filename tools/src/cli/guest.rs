//! Options that say what the guest is.

use std::path::PathBuf;

use anyhow::ensure;
use cairn_host::job::{HashAlgorithm, Interface};
use cairn_host::style::HostStyle;
use clap::Args;

/// What the guest is: everything that its initial measurement depends on.
#[derive(Debug, Clone, Args)]
pub(crate) struct GuestOptions {
    /// An unattended run: the guest checks itself and powers off, and the exit code tells the
    /// verdict
    #[arg(long)]
    pub check: bool,
    /// The version of the Realm Management Interface that the host speaks: 1.0, 2.0, or both:
    /// Realms under 1.0 and, when all of that is gone, Realms under 2.0
    #[arg(long, value_name = "VERSION", default_value = "1.0", value_parser = parse_interface)]
    pub rmi: Interface,
    /// In which order our host does things: plain (the fewest commands), or as Linux' series do,
    /// linux-v7 and linux-v12 with RMI 1.0, linux-2.0 with --rmi 2.0
    #[arg(long, value_name = "NAME", default_value = "plain", value_parser = parse_style)]
    pub host_style: HostStyle,
    /// Realms side by side, which share the physical CPUs
    #[arg(long, value_name = "1..8", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=8))]
    pub realms: u32,
    /// CPUs of each Realm, and of the machine
    #[arg(long, value_name = "1..8", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=8))]
    pub cpus: u32,
    /// Memory of the Realm
    #[arg(long, value_name = "256M..1G", default_value = "256M", value_parser = parse_guest_memory)]
    pub memory: u64,
    /// Guest kernel: an uncompressed arm64 Image of Linux 6.13 or later (default: Debian's, from
    /// the cache)
    #[arg(long, value_name = "FILE")]
    pub kernel: Option<PathBuf>,
    /// Guest initial RAM disk (default: made from busybox and tools/assets/init.sh)
    #[arg(long, value_name = "FILE")]
    pub initrd: Option<PathBuf>,
    /// How the Realm is measured: sha-256, sha-512 or, with --rmi 2.0, sha-384
    #[arg(long, value_name = "NAME", default_value = "sha-256", value_parser = parse_hash_algorithm)]
    pub hash_algo: HashAlgorithm,
    /// Text to add to the guest's kernel command line
    #[arg(long, value_name = "TEXT", default_value = "", allow_hyphen_values = true)]
    pub append: String,
}

impl GuestOptions {
    /// Refuses a style that belongs to another version of the interface.
    pub(crate) fn check_style(&self) -> anyhow::Result<()> {
        let wanted = match self.host_style {
            HostStyle::Plain => return Ok(()),
            HostStyle::LinuxV7 | HostStyle::LinuxV12 => Interface::V1_0,
            HostStyle::LinuxV2 => Interface::V2_0,
        };
        ensure!(
            self.rmi == wanted,
            "--host-style {} goes with --rmi {}",
            self.host_style.name(),
            wanted.name()
        );
        Ok(())
    }
}

/// Smallest and largest guest, in bytes.
const GUEST_MEMORY: std::ops::RangeInclusive<u64> = 256 << 20..=1 << 30;

/// Parses a size such as `256M`, `1G` or `268435456` and checks it against [`GUEST_MEMORY`].
fn parse_guest_memory(text: &str) -> Result<u64, String> {
    let bytes = parse_size(text)?;
    if bytes < *GUEST_MEMORY.start() {
        return Err("too little memory: a Linux Realm needs at least 256M".to_owned());
    }
    if bytes > *GUEST_MEMORY.end() {
        return Err("too much memory: the machine has room for a guest of at most 1G".to_owned());
    }
    if !bytes.is_multiple_of(2 << 20) {
        return Err("guest memory must be a multiple of 2M".to_owned());
    }
    Ok(bytes)
}

/// Parses versions of the interface.
pub(super) fn parse_interface(text: &str) -> Result<Interface, String> {
    Interface::from_name(text).ok_or_else(|| "it is 1.0, 2.0 or both".to_owned())
}

/// Parses the name of a style.
fn parse_style(text: &str) -> Result<HostStyle, String> {
    HostStyle::from_name(text)
        .ok_or_else(|| "the styles are plain, linux-v7, linux-v12 and linux-2.0".to_owned())
}

/// Parses the name of a hash algorithm.
fn parse_hash_algorithm(text: &str) -> Result<HashAlgorithm, String> {
    HashAlgorithm::from_name(text)
        .ok_or_else(|| "the algorithms are sha-256, sha-384 and sha-512".to_owned())
}

/// Parses a decimal number of bytes with an optional suffix `K`, `M` or `G` (powers of 1024).
fn parse_size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.strip_suffix(['K', 'k']) {
        Some(rest) => (rest, 10),
        None => match text.strip_suffix(['M', 'm']) {
            Some(rest) => (rest, 20),
            None => match text.strip_suffix(['G', 'g']) {
                Some(rest) => (rest, 30),
                None => (text, 0),
            },
        },
    };
    let number: u64 =
        digits.parse().map_err(|_| "write a number with K, M or G, such as 512M".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "that number is too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_suffixes() {
        assert_eq!(parse_size("256M"), Ok(256 << 20));
        assert_eq!(parse_size("1g"), Ok(1 << 30));
        assert_eq!(parse_size("4096"), Ok(4096));
        assert_eq!(parse_size("8K"), Ok(8192));
        for bad in ["", "M", "-1M", "1T", "0x10", "1.5G", "18446744073709551615G"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn guest_memory_has_limits() {
        assert_eq!(parse_guest_memory("256M"), Ok(256 << 20));
        assert_eq!(parse_guest_memory("1G"), Ok(1 << 30));
        assert!(parse_guest_memory("255M").unwrap_err().contains("too little"));
        assert!(parse_guest_memory("1025M").unwrap_err().contains("too much"));
        assert!(parse_guest_memory("268435457").unwrap_err().contains("multiple"));
    }
}
