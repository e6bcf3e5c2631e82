//! Options of what tests, measures and stresses the monitor.

use std::path::PathBuf;
use std::time::Duration;

use cairn_el3::edition::Edition;
use cairn_host::job::Interface;
use cairn_tests::v2_0::betas;
use clap::{Args, ValueEnum};

use super::guest::parse_interface;
use super::{ImageOptions, ModelOptions, Platform};
use crate::patience;

/// Options of `test`.
#[derive(Debug, Args)]
pub(crate) struct TestOptions {
    /// Also run the slow steps
    #[arg(long)]
    pub long: bool,
    /// Run only the step of this name, or the steps whose name contains this text
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// List the steps and stop
    #[arg(long)]
    pub list: bool,
}

/// A fuzzer takes 0, or more than fits into its `int`, as no limit.
const FUZZ_SECONDS: std::ops::RangeInclusive<i64> = 1..=i32::MAX as i64;

/// Options of `fuzz`.
#[derive(Debug, Args)]
pub(crate) struct FuzzOptions {
    /// The fuzzer to run; without it, all of them one after the other
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(crate::fuzz::TARGETS))]
    pub target: Option<String>,
    /// How long to run each, in seconds
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(FUZZ_SECONDS))]
    pub seconds: u32,
}

/// Options of `bench`.
#[derive(Debug, Default, Args)]
pub(crate) struct BenchOptions {
    /// The version of the Realm Management Interface that is measured. For 2.0 EL3 is that of the
    /// tests, which says what it spends, unless --tfa names one
    #[arg(long, value_name = "VERSION", value_enum, default_value_t)]
    pub rmi: SuiteInterface,
    /// Write the figures to this file (default: target/cairn/bench.json, bench-2.0.json)
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Make what is measured the committed figures
    #[arg(long, conflicts_with_all = ["image", "profile"])]
    pub update: bool,
    /// Measure how many instructions an interrupt for the Host may have to wait instead
    #[arg(long, conflicts_with_all = ["update", "profile", "json"])]
    pub latency: bool,
    /// Count what each command asks of the machine instead: invalidations, barriers, mappings,
    /// locks, calls to EL3
    #[arg(long, conflicts_with_all = ["latency", "profile", "json", "image"])]
    pub operations: bool,
    /// Measure what it takes when a guest shares memory and takes it back instead, through both
    /// versions of the interface
    #[arg(long, conflicts_with_all = ["update", "latency", "operations", "profile", "rmi"])]
    pub conversions: bool,
    /// List the operations and stop
    #[arg(long, conflicts_with_all = ["update", "latency", "operations", "conversions", "profile", "json"])]
    pub list: bool,
    /// Show which functions of the monitor the instructions of this operation go to
    #[arg(long, value_name = "OPERATION", conflicts_with = "json")]
    pub profile: Option<String>,
    /// The QEMU to use
    #[arg(long, value_name = "PATH")]
    pub qemu: Option<PathBuf>,
    /// The model.
    #[command(flatten)]
    pub model: ModelOptions,
    /// What to measure.
    #[command(flatten)]
    pub image: ImageOptions,
}

/// What the conformance suite runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    /// The monitor's crates on a simulated machine.
    Fake,
    /// A monitor's image under TF-A on QEMU.
    #[default]
    Qemu,
}

/// Which version of the interface a suite is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum SuiteInterface {
    /// RMI 1.0.
    #[default]
    #[value(name = "1.0")]
    V1_0,
    /// RMI 2.0, third beta.
    #[value(name = "2.0")]
    V2_0,
}

impl SuiteInterface {
    /// As the host names it.
    pub(crate) const fn interface(self) -> Interface {
        match self {
            Self::V1_0 => Interface::V1_0,
            Self::V2_0 => Interface::V2_0,
        }
    }
}

/// Options of `conformance`.
#[derive(Debug, Args)]
pub(crate) struct ConformanceOptions {
    /// What to run on
    #[arg(long, value_name = "NAME", default_value = "qemu")]
    pub backend: Backend,
    /// The version of the Realm Management Interface that is tested. For 2.0 on QEMU EL3 is that of
    /// the tests, unless --tfa names one
    #[arg(long, value_name = "VERSION", value_enum, default_value_t)]
    pub rmi: SuiteInterface,
    /// With --rmi 2.0: the beta that the monitor speaks. Scenarios of which an earlier one has
    /// another answer are excused
    #[arg(long, value_name = "1..3", default_value_t = betas::LATEST, value_parser = clap::value_parser!(u8).range(1..=3))]
    pub beta: u8,
    /// Run only the scenarios whose name contains this text
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// List the scenarios and stop
    #[arg(long)]
    pub list: bool,
    /// Also write the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Also write the results as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Also run the scenarios that take minutes
    #[arg(long)]
    pub long: bool,
    /// Scenarios, or machines, at a time (default: one for each CPU, at most 4)
    #[arg(long, value_name = "1..8", value_parser = clap::value_parser!(u8).range(1..=8))]
    pub jobs: Option<u8>,
    /// With --backend qemu: the board, QEMU virt or Arm FVP Base RevC
    #[arg(long, value_name = "BOARD", default_value = "qemu")]
    pub platform: Platform,
    /// The model.
    #[command(flatten)]
    pub model: ModelOptions,
    /// With --backend qemu: boot the EL3 of the tests, which speaks this
    #[arg(long, hide = true, value_enum)]
    pub el3: Option<El3Edition>,
    /// With --backend qemu: use this monitor (flat image or ELF file) instead of building Cairn
    #[arg(long, value_name = "FILE")]
    pub image: Option<PathBuf>,
    /// With --backend qemu: build TF-A from this source tree of yours, instead of using set-up's
    #[arg(long, value_name = "DIR")]
    pub tfa: Option<PathBuf>,
    /// The QEMU to use
    #[arg(long, value_name = "PATH")]
    pub qemu: Option<PathBuf>,
    /// Use only what is in the cache already
    #[arg(long)]
    pub offline: bool,
}

impl Default for ConformanceOptions {
    /// All of 1.0, on QEMU.
    fn default() -> Self {
        Self {
            backend: Backend::default(),
            rmi: SuiteInterface::default(),
            beta: betas::LATEST,
            filter: None,
            list: false,
            junit: None,
            json: None,
            long: false,
            jobs: None,
            platform: Platform::default(),
            model: ModelOptions::default(),
            el3: None,
            image: None,
            tfa: None,
            qemu: None,
            offline: false,
        }
    }
}

/// Options of `coverage`.
#[derive(Debug, Default, Args)]
pub(crate) struct CoverageOptions {
    /// Also list the lines and conditions that were missed
    #[arg(long)]
    pub missing: bool,
    /// Write the counters to this file (default: target/cairn/coverage.lcov), for editors
    #[arg(long, value_name = "FILE")]
    pub lcov: Option<PathBuf>,
}

/// Options of `miri`.
#[derive(Debug, Default, Args)]
pub(crate) struct MiriOptions {
    /// Also run what takes long: attestation
    #[arg(long)]
    pub long: bool,
}

/// Options of `seeded`.
#[derive(Debug, Default, Args)]
pub(crate) struct SeededOptions {
    /// Only the fault of this name
    #[arg(long, value_name = "NAME")]
    pub only: Option<String>,
    /// List the faults and who has to notice each, and stop
    #[arg(long)]
    pub list: bool,
}

/// What a stress run is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StressKind {
    /// Random commands of all CPUs about the same few granules.
    Races,
    /// Realms that are made, run and destroyed, in the right order and in the wrong one.
    Lives,
    /// CPUs that sleep, go off and come back, with Realms in between.
    Cpus,
    /// On the EL3 of the tests: each granule change of a Realm's life is refused, one after the
    /// other.
    Refusals,
    /// Every register and system instruction that a Realm can name, tried from two Realms in turn.
    Registers,
}

/// Options of `stress`.
#[derive(Debug, Args)]
pub(crate) struct StressOptions {
    /// What it is about (default: each in turn)
    #[arg(value_name = "KIND")]
    pub kind: Option<StressKind>,
    /// Commands of `races` (default 1,000,000), lives of `lives` (1000), rounds of `cpus` (3);
    /// `refusals` and `registers` have no such number
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub commands: Option<u64>,
    /// CPUs (default: 4, 2, 32, 2, and 1 for `registers`; at most 8 with the EL3 of the tests)
    #[arg(long, value_name = "1..32", value_parser = clap::value_parser!(u32).range(1..=32))]
    pub cpus: Option<u32>,
    /// What the random choices begin with
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// The version of the Realm Management Interface that the host speaks: 1.0, 2.0, or both:
    /// `lives` that alternate between them
    #[arg(long, value_name = "VERSION", default_value = "1.0", value_parser = parse_interface)]
    pub rmi: Interface,
    /// Boot with the EL3 of the tests, which has the memory map of Arm FVP, instead of TF-A
    /// (`refusals` always does, and so does 2.0 without --tfa); `registers` then runs once for each
    /// way to open things
    #[arg(long)]
    pub stand_in: bool,
    /// What the EL3 of the tests speaks (default: what the version of the interface needs)
    #[arg(long, hide = true, value_enum)]
    pub el3: Option<El3Edition>,
    /// Give up when there was no sign of progress for this many seconds [default: 120, and 60 more
    /// for each CPU]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: Option<u64>,
    /// The QEMU to use
    #[arg(long, value_name = "PATH")]
    pub qemu: Option<PathBuf>,
    /// What to run.
    #[command(flatten)]
    pub image: ImageOptions,
}

/// What the EL3 of the tests speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum El3Edition {
    /// Interface 0.4.
    #[default]
    #[value(name = "0.4")]
    V0,
    /// Interface 2.0 as TF-A main on QEMU virt.
    #[value(name = "2.0")]
    V2,
    /// Interface 2.0 with runs of granules and memory to reserve.
    #[value(name = "2.0-all")]
    V2All,
    /// Interface 2.0 without FIRME.
    #[value(name = "2.0-old")]
    V2Old,
}

impl El3Edition {
    /// As that EL3 names it.
    pub(crate) const fn edition(self) -> Edition {
        match self {
            Self::V0 => Edition::V0,
            Self::V2 => Edition::V2,
            Self::V2All => Edition::V2_ALL,
            Self::V2Old => Edition::V2_OLD,
        }
    }
}

impl StressOptions {
    /// What the EL3 of the tests speaks.
    pub(crate) fn edition(&self) -> Edition {
        let needed = match self.rmi {
            Interface::V1_0 => El3Edition::V0,
            Interface::V2_0 | Interface::Both => El3Edition::V2All,
        };
        self.el3.unwrap_or(needed).edition()
    }

    /// How long a run on so many CPUs waits for a sign of progress.
    pub(crate) fn patience(&self, cpus: u32) -> Duration {
        self.timeout.map_or(patience::machine(cpus), Duration::from_secs)
    }

    /// The options of a run of this kind and length.
    pub(crate) fn of(kind: StressKind, commands: u64) -> Self {
        Self {
            kind: Some(kind),
            commands: Some(commands),
            cpus: None,
            seed: 1,
            rmi: Interface::V1_0,
            stand_in: false,
            el3: None,
            timeout: None,
            qemu: None,
            image: ImageOptions::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::Cli;
    use clap::Parser;

    #[test]
    fn a_fuzzer_has_an_end() {
        let fuzz = |seconds| Cli::try_parse_from(["xtask", "fuzz", "--seconds", seconds]);
        assert!(fuzz("1").is_ok() && fuzz("2147483647").is_ok());
        assert!(fuzz("0").is_err() && fuzz("2147483648").is_err());
    }
}
