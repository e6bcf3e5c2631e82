//! `cargo xtask fuzz`: the fuzzers of `tests/fuzz`, and what they need.
//!
//! They are built by a nightly compiler, the only thing here that is. New inputs are collected under `target/`; the corpus in the
//! repository stays as it is, small, and is replayed by an ordinary test.

use std::path::PathBuf;
use std::process::Command;

use anyhow::bail;

use crate::cli::FuzzOptions;
use crate::fault::{IoContext, Verdict};
use crate::paths::{find_program, output, root};
use crate::process;

/// Names of the fuzzers: one per group of commands, one for hostile Host memory, one for the tool's token parser.
pub const TARGETS: [&str; 10] =
    ["granule", "realm", "rec", "rtt", "ripas", "data", "run", "query", "hostile_memory", "token"];

/// Longest input, in bytes.
const LENGTH_MAX: u32 = 1000;

/// The `fuzz` subcommand.
pub fn command(options: &FuzzOptions) -> anyhow::Result<()> {
    ensure_tools()?;
    match &options.target {
        Some(target) => fuzz(target, options.seconds),
        None => TARGETS.iter().try_for_each(|target| fuzz(target, options.seconds)),
    }
}

/// The long step of `test`: each fuzzer for a minute.
pub fn step() -> anyhow::Result<()> {
    command(&FuzzOptions { target: None, seconds: 60 })
}

/// What `cargo install` installs: the version that the targets are tried with.
const CARGO_FUZZ: &str = "cargo-fuzz@0.13.2";

/// A nightly compiler and cargo-fuzz, installed if they are missing.
fn ensure_tools() -> anyhow::Result<()> {
    let works = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
    };
    if find_program("rustup").is_none() {
        bail!(
            "fuzzing needs a nightly compiler beside this one, and rustup, which installs it, is not on the PATH"
        );
    }
    if !works("rustup", &["run", "nightly", "rustc", "--version"]) {
        install("rustup", &["toolchain", "install", "nightly", "--profile", "minimal"])?;
    }
    if !works("cargo", &["fuzz", "--version"]) {
        install("cargo", &["install", CARGO_FUZZ, "--locked"])?;
    }
    Ok(())
}

fn install(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let wish = format!("{program} {}", arguments.join(" "));
    println!("{wish}");
    if process::attached(Command::new(program).args(arguments))?.success() {
        Ok(())
    } else {
        bail!("fuzzing needs `{wish}`, which failed; check the network and try again")
    }
}

fn fuzz(target: &str, seconds: u32) -> anyhow::Result<()> {
    let root = root();
    let folder = root.join("tests/fuzz");
    let found: PathBuf = output()?.join("fuzz").join(target);
    std::fs::create_dir_all(&found).at("create", &found)?;
    println!("{target}: {seconds} s");
    let mut command = Command::new("cargo");
    // The code is safe Rust, so the address sanitizer would find nothing and take most of the time.
    command.args(["+nightly", "fuzz", "run", "--sanitizer", "none", "--fuzz-dir"]).arg(&folder);
    command.arg(target).arg(&found).arg(folder.join("corpus").join(target));
    command.args(["--", "-print_final_stats=1"]);
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={LENGTH_MAX}"));
    // `cargo xtask` has chosen a toolchain, which `+nightly` must replace.
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").current_dir(&root);
    if process::attached(&mut command)?.success() {
        return Ok(());
    }
    Err(Verdict(format!(
        "the fuzzer `{target}` failed; its input is in {0}/artifacts/{target}. Copy it to {0}/corpus/{target}, and `cargo test -p cairn-tests \
         --test corpus` prints what happens",
        folder.display()
    ))
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fuzzer_is_known_here() {
        let manifest = std::fs::read_to_string(root().join("tests/fuzz/Cargo.toml")).unwrap();
        let lines = manifest.lines().filter(|line| line.starts_with("path = \"targets/"));
        assert_eq!(lines.count(), TARGETS.len());
        for target in TARGETS {
            assert!(manifest.contains(&format!("path = \"targets/{target}.rs\"")), "{target}");
        }
    }
}
