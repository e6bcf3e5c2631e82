//! Options of what reads saved logs.

use std::path::PathBuf;

use clap::Args;

use super::LogLevel;

/// Options of `ledger`.
#[derive(Debug, Args)]
pub(crate) struct LedgerOptions {
    /// A log that `run --check` or `decode` has written
    #[arg(value_name = "LOGFILE")]
    pub file: PathBuf,
    /// Take LOGFILE for what came from a UART, and decode it with this ELF file of the monitor
    #[arg(long, value_name = "ELF")]
    pub elf: Option<PathBuf>,
}

/// Options of `decode`.
#[derive(Debug, Args)]
pub(crate) struct DecodeOptions {
    /// The bytes of a UART on which the monitor's log came, among the lines of other programs
    #[arg(value_name = "RAWLOG")]
    pub file: PathBuf,
    /// The ELF file of the same monitor: `cairn.elf` of the run's folder or of the release
    #[arg(long, value_name = "ELF")]
    pub elf: PathBuf,
    /// Show the monitor's messages from this level on
    #[arg(long, value_name = "LEVEL", default_value = "trace")]
    pub log: LogLevel,
}
