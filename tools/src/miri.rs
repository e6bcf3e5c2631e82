//! `cargo xtask miri`: tests under Miri, which finds what no test sees by itself: undefined
//! behaviour, races between threads, pointers made of numbers.
//!
//! Strict provenance is on: no integer becomes a pointer in what runs here. Ordinary runs take what
//! ends within minutes; long ones also the signatures of attestation tokens.

use anstyle::{AnsiColor, Style};

use crate::cli::MiriOptions;
use crate::fault::Verdict;
use crate::paths::root;
use crate::process;
use crate::toolchain::Toolchain;

/// What Miri needs.
const COMPONENTS: [&str; 2] = ["miri", "rust-src"];

/// One call of `cargo miri test`.
struct Round {
    name: &'static str,
    long: bool,
    arguments: &'static [&'static str],
}

const ROUNDS: [Round; 3] = [
    Round {
        name: "logic crates",
        long: false,
        arguments: &["-p=machine", "-p=granule", "-p=realm", "-p=rmi", "-p=rmm", "--lib"],
    },
    Round {
        name: "Realm calls, and the parts of rmm/arch that any machine can run",
        long: false,
        // Curves and signatures are millions of steps.
        arguments: &[
            "-p=rsi",
            "-p=attest",
            "-p=rmm-arch",
            "--lib",
            "--",
            "--skip=curve::",
            "--skip=field::",
            "--skip=key::",
            "--skip=power::",
            "--skip=sign::",
        ],
    },
    Round {
        name: "attestation",
        long: true,
        arguments: &[
            "-p=attest",
            "--lib",
            "--",
            "field::",
            "power::",
            "sign::tests::signatures_are_those_of_rfc_6979",
        ],
    },
];

/// The steps `miri` and `miri-long` of `test`: skipped, visibly, on a machine that cannot have
/// Miri.
pub(crate) fn check(long: bool) -> anyhow::Result<()> {
    match Toolchain::nightly(&COMPONENTS) {
        Ok(nightly) => run(&nightly, |round| round.long == long),
        Err(why) => {
            let style = Style::new().bold().fg_color(Some(AnsiColor::Yellow.into()));
            anstream::println!("{style}SKIPPED: Miri cannot be had here{style:#}: {why:#}");
            Ok(())
        }
    }
}

/// The `miri` subcommand.
pub(crate) fn command(options: &MiriOptions) -> anyhow::Result<()> {
    run(&Toolchain::nightly(&COMPONENTS)?, |round| options.long || !round.long)
}

fn run(nightly: &Toolchain, wanted: impl Fn(&Round) -> bool) -> anyhow::Result<()> {
    println!("Miri of {}", nightly.version());
    let mut failed = Vec::new();
    for round in ROUNDS.iter().filter(|round| wanted(round)) {
        println!("-- {}", round.name);
        let mut command = nightly.command("cargo");
        command.args(["miri", "test", "--quiet"]).args(round.arguments).current_dir(root());
        // The simulated machine looks at the clock and at its environment.
        command.env("MIRIFLAGS", "-Zmiri-strict-provenance -Zmiri-disable-isolation");
        if !process::attached(&mut command)?.success() {
            failed.push(round.name);
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Verdict(format!("Miri found something in: {}", failed.join("; "))).into())
}
