//! Options of `gdb`.

use std::path::PathBuf;

use clap::Args;

/// Options of `gdb`.
#[derive(Debug, Args)]
pub(crate) struct GdbOptions {
    /// Stop when a CPU gets there: a function of the monitor by the end of its path, or FILE:LINE
    /// [default: rmi::serve]
    #[arg(long, value_name = "FUNCTION")]
    pub at: Option<String>,
    /// The TCP port between gdb and the machine
    #[arg(long, value_name = "PORT", default_value_t = PORT, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// The debugger [default: gdb-multiarch, which is installed if it is missing]
    #[arg(long = "gdb", value_name = "PATH")]
    pub program: Option<PathBuf>,
    /// A command for gdb when it has stopped; may be given again
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub command: Vec<String>,
    /// End after the commands
    #[arg(long)]
    pub batch: bool,
    /// Options of `run` for the machine
    #[arg(last = true, value_name = "OPTIONS OF RUN")]
    pub run: Vec<String>,
}

/// The port that QEMU's documentation uses.
const PORT: u16 = 1234;

impl Default for GdbOptions {
    fn default() -> Self {
        let (command, run) = (Vec::new(), Vec::new());
        Self { at: None, port: PORT, program: None, command, batch: false, run }
    }
}
