//! `cargo xtask fuzz`: the fuzzers of `tests/fuzz`, and what they need.
//!
//! They are built by a nightly compiler. New inputs are collected under `target/`; the corpus in
//! the repository stays as it is, small, and is replayed by an ordinary test.

use std::path::{Path, PathBuf};

use crate::cli::FuzzOptions;
use crate::fault::{IoContext, Verdict};
use crate::paths::{output, root};
use crate::process;
use crate::toolchain::{Toolchain, cargo_tool};

/// Names of the fuzzers: one per group of commands of 1.0, one for hostile Host memory, four of
/// 2.0, one for the tool's token parser.
pub(crate) const TARGETS: [&str; 14] = [
    "granule",
    "realm",
    "rec",
    "rtt",
    "ripas",
    "data",
    "run",
    "query",
    "hostile_memory",
    "v2_ranges",
    "v2_mappings",
    "v2_pages",
    "v2_operations",
    "token",
];

/// Longest input, in bytes.
const LENGTH_MAX: u32 = 1000;

/// The `fuzz` subcommand.
pub(crate) fn command(options: &FuzzOptions) -> anyhow::Result<()> {
    let nightly = Toolchain::nightly(&[])?;
    let program = cargo_tool("cargo-fuzz", CARGO_FUZZ)?;
    let one = |target: &str| fuzz(target, options.seconds, &program, &nightly);
    match &options.target {
        Some(target) => one(target),
        None => TARGETS.iter().try_for_each(|target| one(target)),
    }
}

/// The long step of `test`: each fuzzer for a minute.
pub(crate) fn step() -> anyhow::Result<()> {
    command(&FuzzOptions { target: None, seconds: 60 })
}

/// The version that the targets are tried with.
const CARGO_FUZZ: &str = "0.13.2";

fn fuzz(target: &str, seconds: u32, program: &Path, nightly: &Toolchain) -> anyhow::Result<()> {
    let root = root();
    let folder = root.join("tests/fuzz");
    let found: PathBuf = output()?.join("fuzz").join(target);
    std::fs::create_dir_all(&found).at("create", &found)?;
    println!("{target}: {seconds} s");
    let mut command = nightly.command(&program.to_string_lossy());
    // The code is safe Rust, so the address sanitizer would find nothing and take most of the time.
    command.args(["fuzz", "run", "--sanitizer", "none", "--fuzz-dir"]).arg(&folder);
    command.arg(target).arg(&found).arg(folder.join("corpus").join(target));
    command.args(["--", "-print_final_stats=1"]);
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={LENGTH_MAX}"));
    command.current_dir(&root);
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
