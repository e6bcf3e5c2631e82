//! Options of what describes this tool to shells and to `man`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Shells whose completions can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// Bash: put `source <(cargo xtask completions bash)` into ~/.bashrc.
    Bash,
    /// Zsh: write it to a file `_cargo-xtask` in a folder of $fpath.
    Zsh,
    /// Fish: write it to ~/.config/fish/completions/cargo-xtask.fish, and source that.
    Fish,
}

/// Options of `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsOptions {
    /// The shell
    pub shell: Shell,
}

/// Options of `man`.
#[derive(Debug, Args)]
pub(crate) struct ManOptions {
    /// Write a page for each command to this folder, instead of the first page to the output
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
}
