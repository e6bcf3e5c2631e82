//! `cargo xtask coverage`: how many lines and branches of the logic crates the tests of this
//! repository run.
//!
//! Counted by `cargo-llvm-cov` over the unit tests, the scenarios on the simulated machine, and the
//! other fixed tests there; random ones are left out, so that the figures repeat. Test code inside
//! the crates does not count. Branches are counted by a nightly compiler only; without one the
//! command says so and judges lines.
//!
//! | Module | Owns |
//! | --- | --- |
//! | `lcov` | what the counters say |
//! | `source` | which lines are test code |
//! | `table` | sums per crate, and the verdict |

mod lcov;
mod source;
mod table;

use std::path::{Path, PathBuf};

use crate::cli::CoverageOptions;
use crate::fault::{IoContext, Verdict};
use crate::paths::{check_output, output, root};
use crate::process;
use crate::progress::Progress;
use crate::toolchain::{Toolchain, cargo_tool};

use table::Summary;

/// The tool that counts.
const TOOL: (&str, &str) = ("cargo-llvm-cov", "0.9.1");

/// What is judged: the crates that access no register and do not log, and the run loop of the
/// firmware.
const LOGIC: [&str; 7] = ["machine", "granule", "realm", "rmi", "rsi", "attest", "rmm"];

/// Files of those crates that are not judged, and why.
const LEFT_OUT: [(&str, &str); 3] = [
    ("rmm/src/boot/announce.rs", "lines for the log: only the image has the logger behind them"),
    ("rmm/src/log.rs", "one format string for each event: only the image has the logger behind it"),
    ("rmm/src/main.rs", "start of the image: nothing of it is built for this machine"),
];

/// What is run. Random sequences of commands and races are not: other lines run each time.
const TESTS: [&str; 12] = [
    "--package=cairn-tests",
    "--lib",
    "--test=scenarios",
    "--test=attestation",
    "--test=boards",
    "--test=v2",
    "--test=sro",
    "--test=ranges",
    "--test=el3",
    "--quiet",
    "--no-fail-fast",
    "--color=never",
];

/// The `coverage` step of `test`.
pub(crate) fn check() -> anyhow::Result<()> {
    command(&CoverageOptions::default())
}

/// The `coverage` subcommand.
pub(crate) fn command(options: &CoverageOptions) -> anyhow::Result<()> {
    if let Some(file) = &options.lcov {
        check_output(file)?;
    }
    let (toolchain, no_branches) = match Toolchain::nightly(&["llvm-tools"]) {
        Ok(nightly) => (nightly, None),
        Err(why) => (Toolchain::stable(&["llvm-tools"])?, Some(format!("{why:#}"))),
    };
    let lcov = match &options.lcov {
        Some(file) => std::path::absolute(file).at("write", file)?,
        None => output()?.join("coverage.lcov"),
    };
    count(&toolchain, no_branches.is_none(), &lcov)?;
    let text = std::fs::read_to_string(&lcov).at("read", &lcov)?;
    let summary = summary(&text, &root())?;
    print!("{}", summary.table(no_branches.is_none()));
    for (file, why) in LEFT_OUT {
        println!("not judged: {file} ({why})");
    }
    if options.missing {
        print!("{}", summary.missing());
    }
    if let Some(why) = no_branches {
        println!("ONLY LINES WERE COUNTED: branches need a nightly toolchain ({why})");
    } else {
        println!("counted with {}", toolchain.version());
    }
    match summary.below() {
        below if below.is_empty() => Ok(()),
        below => Err(Verdict(format!(
            "{}; `cargo xtask coverage --missing` shows where",
            below.join("; ")
        ))
        .into()),
    }
}

/// Runs the tests with counters, and writes what they counted.
fn count(toolchain: &Toolchain, branches: bool, lcov: &Path) -> anyhow::Result<()> {
    let tool = cargo_tool(TOOL.0, TOOL.1)?;
    let progress = Progress::start("tests with counters (minutes)");
    let mut command = toolchain.command(&tool.to_string_lossy());
    command.args(["llvm-cov", "--lcov", "--output-path"]).arg(lcov);
    if branches {
        command.arg("--branch");
    }
    command.args(LOGIC.map(|name| format!("--package={name}"))).args(TESTS);
    // Warnings of another compiler than ours are not ours to heed.
    command.env("RUSTFLAGS", "--cap-lints=warn").current_dir(root());
    process::output(&mut command)?;
    progress.done("");
    Ok(())
}

/// Sums up what `lcov` says about the sources below `root`.
fn summary(lcov: &str, root: &Path) -> anyhow::Result<Summary> {
    let mut files = lcov::parse(lcov)?;
    let mut summary = Summary::new(&LOGIC);
    let mut test_files: Vec<PathBuf> = Vec::new();
    for file in &mut files {
        let text = std::fs::read_to_string(&file.path).at("read", &file.path)?;
        let tests = source::tests(&file.path, &text)?;
        file.forget(&tests.lines);
        test_files.extend(tests.files);
    }
    for file in files {
        let relative = file.path.strip_prefix(root).unwrap_or(&file.path);
        let left_out = LEFT_OUT.iter().any(|(name, _)| relative == Path::new(name));
        if !left_out && !test_files.contains(&file.path) {
            summary.add(relative, &file);
        }
    }
    Ok(summary)
}
