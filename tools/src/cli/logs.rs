//! Options of what reads saved logs.

use std::path::PathBuf;

use clap::Args;

/// Options of `ledger`.
#[derive(Debug, Args)]
pub struct LedgerOptions {
    /// A log that `run --check` has written
    #[arg(value_name = "LOGFILE")]
    pub file: PathBuf,
}
