//! `cargo xtask test`: every test of the repository as one table of steps, each streamed and timed.

use std::process::Command;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use anyhow::bail;
use cairn_host::job::{HashAlgorithm, Interface};
use cairn_host::style::HostStyle;

use crate::cli::{
    Backend, ConformanceOptions, ImageOptions, Platform, RunOptions, SeededOptions, StressKind,
    StressOptions, SuiteInterface, TestOptions,
};
use crate::fault::{Interrupted, Verdict};
use crate::paths::{TARGET, root};
use crate::{
    bench, conformance, coverage, crash, documented, fuzz, gdb, host, miri, process, release, run,
    seeded, setup, shell, signals, size, stress, unsafe_count,
};

/// One thing to test.
struct Step {
    /// Short name, for the summary and for `--only`.
    name: &'static str,
    /// Only with `--long`.
    long: bool,
    action: Action,
}

enum Action {
    /// `cargo` with these arguments and environment variables.
    Cargo(&'static [&'static str], &'static [(&'static str, &'static str)]),
    /// A part of this tool.
    Tool(fn() -> anyhow::Result<()>),
    /// `run --check` with this many CPUs and MiB of memory.
    Check(u32, u64),
    /// The same with this many Realms side by side, each with so many CPUs.
    Realms(u32, u32),
    /// `stress` of this kind, so many times.
    Stress(StressKind, u64),
}

use Action::{Cargo, Check, Realms, Stress, Tool};

const fn step(name: &'static str, action: Action) -> Step {
    Step { name, long: false, action }
}

const fn long(name: &'static str, action: Action) -> Step {
    Step { name, long: true, action }
}

/// Commands at once, under a scheduler of threads: another build of the lock, hence a step of its
/// own.
const INTERLEAVINGS: &[&str] =
    &["test", "-p", "cairn-tests", "--features", "shuttle", "--test", "interleavings"];

/// All steps, in order: cheap ones first. Add a line to add a test.
const STEPS: &[Step] = &[
    step("format", Cargo(&["fmt", "--all", "--check"], &[])),
    step("clippy", Cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], &[])),
    step(
        "clippy-bare-metal",
        Cargo(
            &[
                "clippy",
                "--release",
                "--target",
                TARGET,
                "-p",
                "rmm",
                "-p",
                "rmm-arch",
                "-p",
                "cairn-host",
                "-p",
                "cairn-el3",
                "--",
                "-D",
                "warnings",
            ],
            &[],
        ),
    ),
    step("docs", Cargo(&["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")])),
    step("unit-tests", Cargo(&["test", "--workspace"], &[])),
    step("interleavings", Cargo(INTERLEAVINGS, &[])),
    step("coverage", Tool(coverage::check)),
    step("miri", Tool(|| miri::check(false))),
    step("unsafe", Tool(unsafe_count::command)),
    step("size", Tool(size::command)),
    step("bench", Tool(|| bench::check(SuiteInterface::V1_0))),
    step("bench-2.0", Tool(|| bench::check(SuiteInterface::V2_0))),
    step("bench-operations", Tool(bench::check_operations)),
    step("bench-latency", Tool(|| bench::check_latency(SuiteInterface::V1_0))),
    step("bench-latency-2.0", Tool(|| bench::check_latency(SuiteInterface::V2_0))),
    step("crash-report", Tool(crash::check)),
    step("fvp-image", Tool(fvp_image)),
    step("conformance-qemu", Tool(|| conformance_on_qemu(SuiteInterface::V1_0))),
    step("conformance-2.0-qemu", Tool(|| conformance_on_qemu(SuiteInterface::V2_0))),
    step("stress-races", Stress(StressKind::Races, 1_000_000)),
    step("stress-lives", Stress(StressKind::Lives, 1000)),
    step("stress-cpus", Stress(StressKind::Cpus, 1)),
    step("stress-registers", Stress(StressKind::Registers, 1)),
    step("stand-in-registers", Tool(registers_on_the_stand_in)),
    step("stand-in-refusals", Stress(StressKind::Refusals, 1)),
    step("stand-in-races", Tool(races_on_the_stand_in)),
    step("stress-2.0", Tool(|| stress_through_2_0([50_000, 40]))),
    step("linux-shell", Tool(shell::check)),
    step("release", Tool(release::check)),
    step("host-kernel", Tool(host::check::check)),
    step("boot-loader", Tool(host::boot_loader::check)),
    step("gdb", Tool(gdb::check)),
    step("docs-commands", Tool(documented::check)),
    step("linux-1cpu", Tool(|| linux_as(HostStyle::LinuxV7, Interface::V1_0, 1))),
    step("linux-2cpu", Tool(|| linux_as(HostStyle::LinuxV12, Interface::V1_0, 2))),
    step("linux-3realms", Realms(3, 2)),
    step("linux-2.0", Tool(|| linux_as(HostStyle::LinuxV2, Interface::V2_0, 2))),
    step("linux-both", Tool(|| linux_as(HostStyle::Plain, Interface::Both, 1))),
    step("linux-sbsa", Tool(|| linux_on_sbsa(Interface::V1_0))),
    long(
        "fuzz-tokens",
        Cargo(&["test", "-p", "xtask", "--", "token::hostile"], &[("CAIRN_FUZZ_ROUNDS", "500000")]),
    ),
    long("stress-2.0-long", Tool(|| stress_through_2_0([1_000_000, 1000]))),
    long("seeded-faults", Tool(|| seeded::command(&SeededOptions::default()))),
    long("fuzz", Tool(fuzz::step)),
    long("linux-sha-512", Tool(other_guest)),
    long("linux-sbsa-2.0", Tool(|| linux_on_sbsa(Interface::V2_0))),
    long(
        "property-1e9",
        Cargo(
            &["test", "--release", "-p", "cairn-tests", "--test", "property"],
            &[("CAIRN_PROPERTY_COMMANDS", "1000000000")],
        ),
    ),
    long("interleavings-long", Cargo(INTERLEAVINGS, &[("CAIRN_INTERLEAVINGS", "5000")])),
    long("miri-long", Tool(|| miri::check(true))),
    long("conformance-long", Tool(conformance_long)),
    long("linux-4cpu-512M", Check(4, 512)),
    long("linux-8cpu-1G", Check(8, 1024)),
];

/// Arm FVP: its firmware is built, and the checks of its size and placement hold.
fn fvp_image() -> anyhow::Result<()> {
    run::image(&ImageOptions { platform: Platform::Fvp, ..ImageOptions::default() })
}

/// The scenarios on the simulated machine are unit tests already; here they meet the real image.
fn conformance_on_qemu(rmi: SuiteInterface) -> anyhow::Result<()> {
    conformance::command(&ConformanceOptions { rmi, ..ConformanceOptions::default() })
}

/// Boot, four CPUs and Realms with the memory map of Arm FVP.
fn races_on_the_stand_in() -> anyhow::Result<()> {
    let options = StressOptions::of(StressKind::Races, 50_000);
    stress::command(&StressOptions { stand_in: true, ..options })
}

/// What version 2.0 of the interface adds to the other runs: so many commands that race, and so
/// many lives that alternate between the versions.
fn stress_through_2_0([commands, lives]: [u64; 2]) -> anyhow::Result<()> {
    let run = |kind, count, rmi| {
        stress::command(&StressOptions { rmi, ..StressOptions::of(kind, count) })
    };
    run(StressKind::Races, commands, Interface::V2_0)?;
    run(StressKind::Lives, lives, Interface::Both)
}

/// What a Realm can reach, under an EL3 that opens as much as it can, or takes the traps away.
fn registers_on_the_stand_in() -> anyhow::Result<()> {
    let options = StressOptions::of(StressKind::Registers, 1);
    stress::command(&StressOptions { stand_in: true, ..options })
}

/// The scenarios that take minutes, on both backends.
fn conformance_long() -> anyhow::Result<()> {
    for backend in [Backend::Fake, Backend::Qemu] {
        let filter = Some("assigned_to_1_gib".to_owned());
        let options = ConformanceOptions { backend, filter, long: true, ..Default::default() };
        conformance::command(&options)?;
    }
    Ok(())
}

/// The `test` subcommand.
pub(crate) fn command(options: &TestOptions) -> anyhow::Result<()> {
    let steps = chosen(options.only.as_deref().unwrap_or_default(), options.long);
    if steps.is_empty() {
        bail!(
            "no step has that in its name; `cargo xtask test --list --long` shows all names (a long step needs --long or \
             its whole name)"
        );
    }
    if options.list {
        steps.iter().for_each(|step| println!("{}", step.name));
        return Ok(());
    }
    setup::rust_components()?;
    let mut results = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        heading(&format!("{}/{} {}", index + 1, steps.len(), step.name));
        let started = Instant::now();
        let result = perform(&step.action);
        signals::check()?;
        if let Err(error) = &result {
            if error.is::<Interrupted>() {
                return result;
            }
            anstream::println!("{error:#}");
        }
        results.push((step.name, result.is_ok(), started.elapsed()));
    }
    summarise(&results)
}

/// The step with this name, or those that have it in their name; the long ones only if they are
/// wanted.
fn chosen(name: &str, with_long: bool) -> Vec<&'static Step> {
    if let Some(step) = STEPS.iter().find(|step| step.name == name) {
        return vec![step];
    }
    let wanted = |step: &&Step| step.name.contains(name) && (with_long || !step.long);
    STEPS.iter().filter(wanted).collect()
}

/// Whether there is a step of this name.
#[cfg(test)]
pub(crate) fn exists(name: &str) -> bool {
    STEPS.iter().any(|step| step.name == name)
}

fn perform(action: &Action) -> anyhow::Result<()> {
    match action {
        Cargo(arguments, variables) => {
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let mut command = Command::new(cargo);
            command.args(*arguments).envs(variables.iter().copied()).current_dir(root());
            let status = process::attached(&mut command)?;
            if status.success() {
                Ok(())
            } else {
                Err(Verdict(format!("cargo ended with {status}")).into())
            }
        }
        Tool(function) => function(),
        Check(cpus, mebibytes) => run::command(&RunOptions::check(*cpus, mebibytes << 20)),
        Stress(kind, count) => stress::command(&StressOptions::of(*kind, *count)),
        Realms(realms, cpus) => {
            let mut options = RunOptions::check(*cpus, 256 << 20);
            options.guest.realms = *realms;
            run::command(&options)
        }
    }
}

/// `run --check` through these versions of the interface, with a host that does things in this
/// order.
fn linux_as(style: HostStyle, rmi: Interface, cpus: u32) -> anyhow::Result<()> {
    let mut options = RunOptions::check(cpus, 256 << 20);
    options.guest.rmi = rmi;
    options.guest.host_style = style;
    run::command(&options)
}

/// `run --check` on the board with its memory at 1 TiB.
fn linux_on_sbsa(rmi: Interface) -> anyhow::Result<()> {
    let mut options = RunOptions::check(2, 256 << 20);
    options.guest.rmi = rmi;
    options.image.platform = Platform::Sbsa;
    run::command(&options)
}

/// `run --check` of a guest that differs in everything else that is measured.
fn other_guest() -> anyhow::Result<()> {
    let mut options = RunOptions::check(1, 320 << 20);
    options.guest.hash_algo = HashAlgorithm::Sha512;
    options.guest.append = "cairn.other".to_owned();
    run::command(&options)
}

fn heading(text: &str) {
    let bold = Style::new().bold();
    anstream::println!("\n{bold}== {text}{bold:#}");
}

fn summarise(results: &[(&str, bool, Duration)]) -> anyhow::Result<()> {
    heading("summary");
    for (name, passed, took) in results {
        let (word, colour) =
            if *passed { ("passed", AnsiColor::Green) } else { ("FAILED", AnsiColor::Red) };
        let style = Style::new().fg_color(Some(colour.into()));
        anstream::println!("{name:<20} {style}{word}{style:#} {:>8.1} s", took.as_secs_f64());
    }
    let failed = results.iter().filter(|(_, passed, _)| !passed).count();
    println!("{} passed, {failed} failed", results.len() - failed);
    if failed == 0 {
        Ok(())
    } else {
        Err(Verdict("some tests failed, see above".to_owned()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for (index, step) in STEPS.iter().enumerate() {
            assert!(
                STEPS.iter().skip(index + 1).all(|other| other.name != step.name),
                "{}",
                step.name
            );
        }
    }

    #[test]
    fn a_whole_name_means_one_step_and_long_ones_are_asked_for() {
        let names = |name, with_long| {
            chosen(name, with_long).iter().map(|step| step.name).collect::<Vec<_>>()
        };
        assert_eq!(names("miri", true), ["miri"]);
        assert_eq!(names("miri-long", false), ["miri-long"]);
        assert_eq!(names("mir", false), ["miri"]);
        assert_eq!(names("mir", true), ["miri", "miri-long"]);
        assert!(names("nothing", true).is_empty());
        assert_eq!(names("", true).len(), STEPS.len());
        assert!(chosen("", false).iter().all(|step| !step.long));
    }

    #[test]
    fn one_failure_fails_the_whole() {
        let good = ("a", true, Duration::ZERO);
        assert!(summarise(&[good, good]).is_ok());
        assert!(summarise(&[good, ("b", false, Duration::ZERO)]).is_err());
    }
}
