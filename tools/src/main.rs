//! `cargo xtask`: everything that people and CI do with Cairn, from an empty machine to a Linux
//! Realm.
//!
//! This crate owns set-up, packaging, launching and judging. It decides nothing about the monitor
//! itself and is never part of a firmware image. The folders it writes to are the cache (see
//! [`cache`]) and `target/cairn/`.

mod apt;
mod bench;
mod cache;
mod check;
mod clean;
mod cli;
mod conformance;
mod console;
mod coverage;
mod crash;
mod decode;
mod documented;
mod drive;
mod fault;
mod fip;
mod fuzz;
mod fvp;
mod gdb;
mod host;
mod image;
mod initramfs;
mod isolation;
mod job;
mod kernel;
mod kernel_image;
mod ledger;
mod manual;
mod miri;
mod output;
mod paths;
mod patience;
mod process;
mod progress;
mod qemu;
mod release;
mod run;
mod seeded;
mod setup;
mod shell;
mod signals;
mod size;
mod stage;
mod stand_in;
mod steps;
mod stress;
mod symbols;
mod terminal;
mod tfa;
mod token;
mod toolchain;
mod unsafe_count;
mod version;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.kind() == ErrorKind::DisplayVersion => {
            return fault::guarded(|| {
                println!("{}", version::text());
                Ok(())
            });
        }
        Err(error) => error.exit(),
    };
    fault::guarded(|| signals::install().and_then(|()| dispatch(&cli.command)))
}

fn dispatch(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Setup(options) => setup::command(options),
        Command::Image(options) => fip::image(options),
        Command::Release(options) => release::command(options),
        Command::Run(options) => run::command(options),
        Command::Test(options) => steps::command(options),
        Command::Bench(options) => bench::command(options),
        Command::Conformance(options) => conformance::command(options),
        Command::Coverage(options) => coverage::command(options),
        Command::Miri(options) => miri::command(options),
        Command::Stress(options) => stress::command(options),
        Command::Seeded(options) => seeded::command(options),
        Command::Fuzz(options) => fuzz::command(options),
        Command::Gdb(options) => gdb::command(options),
        Command::Decode(options) => decode::command(options),
        Command::Completions(options) => manual::completions(options),
        Command::Man(options) => manual::man(options),
        Command::Ledger(options) => ledger::command(options),
        Command::Unsafe => unsafe_count::command(),
        Command::Size => size::command(),
        Command::Token(command) => token::command(command),
        Command::Clean(options) => clean::command(options),
    }
}
