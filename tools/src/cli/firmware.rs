//! Options of what builds and packs firmware.

use std::path::PathBuf;

use clap::Args;

use super::{LogLevel, Platform};

/// Options of `image`, also part of `run`.
#[derive(Debug, Default, Args)]
pub(crate) struct ImageOptions {
    /// The board: QEMU virt, Arm FVP Base RevC, or QEMU sbsa-ref, which boots with the EL3 of the
    /// tests
    #[arg(long, value_name = "BOARD", default_value = "qemu")]
    pub platform: Platform,
    /// Use this monitor (flat image or ELF file) instead of building Cairn
    #[arg(long, value_name = "FILE")]
    pub image: Option<PathBuf>,
    /// Show the monitor's log from this level on (debug and trace build an image of their own,
    /// once; DEFMT_LOG overrides that)
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log: LogLevel,
    /// Build TF-A from this source tree of yours, instead of using set-up's; or the folder of a
    /// build of it (build/qemu/release), which is taken as it is
    #[arg(long, value_name = "DIR")]
    pub tfa: Option<PathBuf>,
    /// Use only what is in the cache already
    #[arg(long)]
    pub offline: bool,
}

/// Options of `image` alone.
#[derive(Debug, Default, Args)]
pub(crate) struct PackOptions {
    /// What is packed.
    #[command(flatten)]
    pub image: ImageOptions,
    /// Put the monitor into a copy of this firmware package (FIP) of yours instead, of any board:
    /// target/cairn/fip.bin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tfa", "platform"])]
    pub fip: Option<PathBuf>,
}

/// Options of `release`.
#[derive(Debug, Default, Args)]
pub(crate) struct ReleaseOptions {
    /// The folder to make (default: target/cairn/release)
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}
