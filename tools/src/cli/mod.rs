//! The command line: names, options, their ranges and their help. Nothing here acts.
//!
//! One module for each group of commands; this one has the commands and what the groups share.

mod debugger;
mod firmware;
mod guest;
mod host;
mod logs;
mod manual;
mod run;
mod suites;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use debugger::GdbOptions;
pub(crate) use firmware::{ImageOptions, PackOptions, ReleaseOptions};
pub(crate) use guest::GuestOptions;
pub(crate) use host::HostOptions;
pub(crate) use logs::{DecodeOptions, LedgerOptions};
pub(crate) use manual::{CompletionsOptions, ManOptions, Shell};
pub(crate) use run::{ModelOptions, RunOptions};
pub(crate) use suites::{
    Backend, BenchOptions, ConformanceOptions, CoverageOptions, El3Edition, FuzzOptions,
    MiriOptions, SeededOptions, StressKind, StressOptions, SuiteInterface, TestOptions,
};

use crate::token::TokenCommand;

/// Set up, build, run and test Cairn.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true, version)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands, in the order in which a newcomer meets them.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Boot a Linux guest as a Realm on Cairn under QEMU, to a shell (sets up and builds what is
    /// missing)
    #[command(after_help = crate::terminal::KEYS)]
    Run(Box<RunOptions>),
    /// Run every test of the repository
    Test(TestOptions),
    /// Count the instructions of each command under QEMU, and compare them with the committed
    /// figures
    Bench(BenchOptions),
    /// Run the conformance suite against a monitor: ours or any other
    Conformance(ConformanceOptions),
    /// Count the lines and branches of the logic crates that tests run, and fail below 95 % and 90
    /// %
    Coverage(CoverageOptions),
    /// Run tests under Miri, which finds undefined behaviour and races
    Miri(MiriOptions),
    /// Let many CPUs fight over the same objects, Realms come and go, and CPUs go off and on, under
    /// QEMU
    Stress(StressOptions),
    /// Put faults into a copy of the monitor, one at a time: the scenarios of RMI 2.0 and random
    /// sequences of commands have to notice each
    Seeded(SeededOptions),
    /// Fuzz the monitor on the simulated machine, and the token parser (installs a nightly compiler
    /// and cargo-fuzz)
    Fuzz(FuzzOptions),
    /// Install and fetch what the other commands need: Rust target, QEMU, TF-A, guest kernel
    Setup(SetupOptions),
    /// Build and pack the firmware image without running it
    Image(PackOptions),
    /// Build the monitor as a folder to hand on: image, symbols, checksums, bill of materials,
    /// licences
    Release(ReleaseOptions),
    /// Boot a machine under gdb, which stops in the monitor and knows its data (`help cairn` in
    /// there)
    Gdb(GdbOptions),
    /// Print what came from a UART as text, with the monitor's log decoded
    Decode(DecodeOptions),
    /// Print the leak ledger out of a saved log
    Ledger(LedgerOptions),
    /// Print section sizes and the size budget
    Size,
    /// Count unsafe code per crate, and fail if any stands where it must not
    Unsafe,
    /// Look at, verify and predict attestation tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Print completions of these commands for a shell
    Completions(CompletionsOptions),
    /// Print the manual page of these commands
    Man(ManOptions),
    /// Remove what `image` and `run` built; with --cache also what `setup` fetched
    Clean(CleanOptions),
}

/// Options of `setup`.
#[derive(Debug, Default, Args)]
pub(crate) struct SetupOptions {
    /// Use only what is in the cache already; fail if something is missing
    #[arg(long)]
    pub offline: bool,
    /// Look for a newer guest kernel even if one is in the cache
    #[arg(long, conflicts_with = "offline")]
    pub update: bool,
    /// Take this QEMU from now on, if it has RME, instead of the one on the PATH
    #[arg(long, value_name = "PATH")]
    pub qemu: Option<PathBuf>,
}

/// Boards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Platform {
    /// QEMU virt.
    #[default]
    Qemu,
    /// Arm FVP Base RevC.
    Fvp,
    /// QEMU sbsa-ref, with the EL3 of the tests.
    Sbsa,
}

/// Options of `clean`.
#[derive(Debug, Args)]
pub(crate) struct CleanOptions {
    /// Also remove the cache: TF-A, guest kernel, busybox
    #[arg(long)]
    pub cache: bool,
}

/// How much of the monitor's log to show, least first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum LogLevel {
    /// Nothing.
    Off,
    /// What should never happen.
    Error,
    /// What may be wrong.
    Warn,
    /// What a user wants to follow.
    #[default]
    Info,
    /// Each refused command and why.
    Debug,
    /// Everything.
    Trace,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_board_is_qemu_unless_told_otherwise() {
        let image = |args: &[&str]| {
            let command = Cli::try_parse_from(args).unwrap().command;
            let Command::Image(options) = command else { panic!("{command:?}") };
            options.image.platform
        };
        assert_eq!(image(&["xtask", "image"]), Platform::Qemu);
        assert_eq!(image(&["xtask", "image", "--platform", "fvp"]), Platform::Fvp);
        assert_eq!(image(&["xtask", "image", "--platform", "sbsa"]), Platform::Sbsa);
    }

    #[test]
    fn levels_are_ordered() {
        assert!(LogLevel::Off < LogLevel::Error && LogLevel::Debug < LogLevel::Trace);
    }
}
