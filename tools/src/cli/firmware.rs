//! Options of what builds and packs firmware.

use std::path::PathBuf;

use clap::Args;

use super::{LogLevel, Platform};

/// Options of `image`, also part of `run`.
#[derive(Debug, Default, Args)]
pub struct ImageOptions {
    /// The board: QEMU virt, or Arm FVP Base RevC
    #[arg(long, value_name = "BOARD", default_value = "qemu")]
    pub platform: Platform,
    /// Use this monitor (flat image or ELF file) instead of building Cairn
    #[arg(long, value_name = "FILE")]
    pub image: Option<PathBuf>,
    /// Show the monitor's log from this level on (debug and trace build an image of their own,
    /// once; DEFMT_LOG overrides that)
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log: LogLevel,
    /// Use only what is in the cache already
    #[arg(long)]
    pub offline: bool,
}
