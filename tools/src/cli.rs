//! The command line: names, options, their ranges and their help. Nothing here acts.

use std::path::PathBuf;
use std::time::Duration;

use cairn_el3::edition::Edition;
use cairn_host::job::{HashAlgorithm, Interface};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::patience;
use crate::token::TokenCommand;

/// Set up, build, run and test Cairn.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true, version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands, in the order in which a newcomer meets them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Boot a Linux guest as a Realm on Cairn under QEMU, to a shell (sets up and builds what is missing)
    #[command(after_help = crate::terminal::KEYS)]
    Run(RunOptions),
    /// Run every test of the repository
    Test(TestOptions),
    /// Count the instructions of each command under QEMU, and compare them with the committed figures
    Bench(BenchOptions),
    /// Run the conformance suite against a monitor: ours or any other
    Conformance(ConformanceOptions),
    /// Count the lines and branches of the logic crates that tests run, and fail below 95 % and 90 %
    Coverage(CoverageOptions),
    /// Run tests under Miri, which finds undefined behaviour and races
    Miri(MiriOptions),
    /// Let many CPUs fight over the same objects, Realms come and go, and CPUs go off and on, under QEMU
    Stress(StressOptions),
    /// Fuzz the monitor on the simulated machine, and the token parser (installs a nightly compiler and cargo-fuzz)
    Fuzz(FuzzOptions),
    /// Install and fetch what the other commands need: Rust target, QEMU, TF-A, guest kernel
    Setup(SetupOptions),
    /// Build and pack the firmware image without running it
    Image(ImageOptions),
    /// Print the leak ledger out of a saved log
    Ledger(LedgerOptions),
    /// Print section sizes and the size budget
    Size,
    /// Count unsafe code per crate, and fail if any stands where it must not
    Unsafe,
    /// Look at, verify and predict attestation tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Remove what `image` and `run` built; with --cache also what `setup` fetched
    Clean(CleanOptions),
}

/// Options of `setup`.
#[derive(Debug, Default, Args)]
pub struct SetupOptions {
    /// Use only what is in the cache already; fail if something is missing
    #[arg(long)]
    pub offline: bool,
    /// Look for a newer guest kernel even if one is in the cache
    #[arg(long, conflicts_with = "offline")]
    pub update: bool,
}

/// Boards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Platform {
    /// QEMU virt.
    #[default]
    Qemu,
    /// Arm FVP Base RevC.
    Fvp,
}

/// Options of `image`, also part of `run`.
#[derive(Debug, Default, Args)]
pub struct ImageOptions {
    /// The board: QEMU virt, or Arm FVP Base RevC
    #[arg(long, value_name = "BOARD", default_value = "qemu")]
    pub platform: Platform,
    /// Use this monitor (flat image or ELF file) instead of building Cairn
    #[arg(long, value_name = "FILE")]
    pub image: Option<PathBuf>,
    /// Show the monitor's log from this level on (debug and trace build an image of their own,
    /// once; DEFMT_LOG overrides that)
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log: LogLevel,
    /// Use only what is in the cache already
    #[arg(long)]
    pub offline: bool,
}

/// What the guest is: everything that its initial measurement depends on.
#[derive(Debug, Clone, Args)]
pub struct GuestOptions {
    /// An unattended run: the guest checks itself and powers off, and the exit code tells the verdict
    #[arg(long)]
    pub check: bool,
    /// The version of the Realm Management Interface that the host speaks: 1.0, 2.0, or both: a Realm under 1.0, and when
    /// all of it is back, one under 2.0
    #[arg(long, value_name = "VERSION", default_value = "1.0", value_parser = parse_interface)]
    pub rmi: Interface,
    /// Realms side by side, which share the physical CPUs
    #[arg(long, value_name = "1..8", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=8))]
    pub realms: u32,
    /// CPUs of each Realm, and of the machine
    #[arg(long, value_name = "1..8", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=8))]
    pub cpus: u32,
    /// Memory of the Realm
    #[arg(long, value_name = "256M..1G", default_value = "256M", value_parser = parse_guest_memory)]
    pub memory: u64,
    /// Guest kernel: an uncompressed arm64 Image of Linux 6.13 or later (default: Debian's, from
    /// the cache)
    #[arg(long, value_name = "FILE")]
    pub kernel: Option<PathBuf>,
    /// Guest initial RAM disk (default: made from busybox and tools/assets/init.sh)
    #[arg(long, value_name = "FILE")]
    pub initrd: Option<PathBuf>,
    /// How the Realm is measured: sha-256, sha-512, or with --rmi 2.0 sha-384
    #[arg(long, value_name = "NAME", default_value = "sha-256", value_parser = parse_hash_algorithm)]
    pub hash_algo: HashAlgorithm,
    /// Text to add to the guest's kernel command line
    #[arg(long, value_name = "TEXT", default_value = "", allow_hyphen_values = true)]
    pub append: String,
}

/// The model that runs what is built for Arm FVP Base RevC.
#[derive(Clone, Debug, Default, Args)]
pub struct ModelOptions {
    /// With --platform fvp: the model, FVP_Base_RevC-2xAEMvA
    #[arg(long, value_name = "PATH")]
    pub fvp: Option<PathBuf>,
    /// With --platform fvp: a disk image for the board's virtio block device
    #[arg(long, value_name = "FILE")]
    pub disk: Option<PathBuf>,
    /// With --platform fvp: print the model's command line instead of running it
    #[arg(long)]
    pub print: bool,
}

impl ModelOptions {
    /// Whether any of them is given.
    pub fn is_given(&self) -> bool {
        self.fvp.is_some() || self.disk.is_some() || self.print
    }
}

/// Options of `run`.
#[derive(Debug, Args)]
pub struct RunOptions {
    /// The guest.
    #[command(flatten)]
    pub guest: GuestOptions,
    /// Boot with the EL3 of the tests and this version of its interface instead of stock TF-A, which has no 2.0
    /// [default: 2.0 where --rmi needs it]
    #[arg(long, value_name = "VERSION", value_enum)]
    pub el3: Option<El3Edition>,
    /// The QEMU to use
    #[arg(long, value_name = "PATH")]
    pub qemu: Option<PathBuf>,
    /// The model.
    #[command(flatten)]
    pub model: ModelOptions,
    /// Wait for a debugger on this TCP port (1234 if none is given) before the first instruction
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "1234", value_parser = clap::value_parser!(u16).range(1..))]
    pub gdb: Option<u16>,
    /// With --check: give up when there was no sign of progress for this many seconds [default: for each Realm 120, and 60
    /// more for each CPU and each 256M]
    #[arg(long, value_name = "SECONDS", requires = "check", value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: Option<u64>,
    /// Write the log to this file (default: target/cairn/run.log, with --check check-*.log)
    #[arg(long, value_name = "FILE")]
    pub log_file: Option<PathBuf>,
    /// What to run and how to show its log.
    #[command(flatten)]
    pub image: ImageOptions,
}

impl RunOptions {
    /// How long `run --check` waits for a sign of progress.
    pub fn patience(&self) -> Duration {
        let GuestOptions { realms, cpus, memory, .. } = self.guest;
        let usual = match self.image.platform {
            Platform::Qemu => patience::guests(realms, cpus, memory),
            Platform::Fvp => patience::on_model(patience::guests(realms, cpus, memory)),
        };
        self.timeout.map_or(usual, Duration::from_secs)
    }

    /// The options of `run --check` with this many CPUs and this much memory.
    pub fn check(cpus: u32, memory: u64) -> Self {
        let guest = GuestOptions {
            check: true,
            rmi: Interface::V1_0,
            realms: 1,
            cpus,
            memory,
            kernel: None,
            initrd: None,
            hash_algo: HashAlgorithm::Sha256,
            append: String::new(),
        };
        Self {
            guest,
            el3: None,
            qemu: None,
            model: ModelOptions::default(),
            gdb: None,
            timeout: None,
            log_file: None,
            image: ImageOptions::default(),
        }
    }
}

/// Options of `test`.
#[derive(Debug, Args)]
pub struct TestOptions {
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
pub struct FuzzOptions {
    /// The fuzzer to run; without it, all of them one after the other
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(crate::fuzz::TARGETS))]
    pub target: Option<String>,
    /// How long to run each, in seconds
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(FUZZ_SECONDS))]
    pub seconds: u32,
}

/// Options of `bench`.
#[derive(Debug, Default, Args)]
pub struct BenchOptions {
    /// Write the figures to this file (default: target/cairn/bench.json)
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Make what is measured the committed figures
    #[arg(long, conflicts_with_all = ["image", "profile"])]
    pub update: bool,
    /// Measure how many instructions an interrupt for the Host may have to wait instead
    #[arg(long, conflicts_with_all = ["update", "profile", "json"])]
    pub latency: bool,
    /// Count what each command asks of the machine instead: invalidations, barriers, mappings, locks, calls to EL3
    #[arg(long, conflicts_with_all = ["latency", "profile", "json", "image"])]
    pub operations: bool,
    /// List the operations and stop
    #[arg(long, conflicts_with_all = ["update", "latency", "operations", "profile", "json"])]
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
pub enum Backend {
    /// The monitor's crates on a simulated machine.
    Fake,
    /// A monitor's image under TF-A on QEMU.
    #[default]
    Qemu,
}

/// Options of `conformance`.
#[derive(Debug, Default, Args)]
pub struct ConformanceOptions {
    /// What to run on
    #[arg(long, value_name = "NAME", default_value = "qemu")]
    pub backend: Backend,
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
    /// With --backend qemu: use this monitor (flat image or ELF file) instead of building Cairn
    #[arg(long, value_name = "FILE")]
    pub image: Option<PathBuf>,
    /// The QEMU to use
    #[arg(long, value_name = "PATH")]
    pub qemu: Option<PathBuf>,
    /// Use only what is in the cache already
    #[arg(long)]
    pub offline: bool,
}

/// Options of `coverage`.
#[derive(Debug, Default, Args)]
pub struct CoverageOptions {
    /// Also list the lines and conditions that were missed
    #[arg(long)]
    pub missing: bool,
    /// Write the counters to this file (default: target/cairn/coverage.lcov), for editors
    #[arg(long, value_name = "FILE")]
    pub lcov: Option<PathBuf>,
}

/// Options of `miri`.
#[derive(Debug, Default, Args)]
pub struct MiriOptions {
    /// Also run what takes long: attestation
    #[arg(long)]
    pub long: bool,
}

/// What a stress run is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StressKind {
    /// Random commands of all CPUs about the same few granules.
    Races,
    /// Realms that are made, run and destroyed, in the right order and in the wrong one.
    Lives,
    /// CPUs that sleep, go off and come back, with Realms in between.
    Cpus,
    /// On the EL3 of the tests: each granule change of a Realm's life is refused, one after the other.
    Refusals,
    /// Every register and system instruction that a Realm can name, tried from two Realms in turn.
    Registers,
}

/// Options of `stress`.
#[derive(Debug, Args)]
pub struct StressOptions {
    /// What it is about (default: each in turn)
    #[arg(value_name = "KIND")]
    pub kind: Option<StressKind>,
    /// Commands of `races` (default 1,000,000), lives of `lives` (1000), rounds of `cpus` (3); `refusals` and `registers` have no such number
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub commands: Option<u64>,
    /// CPUs (default: 4, 2, 32, 2, and 1 for `registers`; at most 8 with the EL3 of the tests)
    #[arg(long, value_name = "1..32", value_parser = clap::value_parser!(u32).range(1..=32))]
    pub cpus: Option<u32>,
    /// What the random choices begin with
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// Boot with the EL3 of the tests, which has the memory map of Arm FVP, instead of TF-A (`refusals` always does); `registers` then
    /// runs once for each way to open things
    #[arg(long)]
    pub stand_in: bool,
    /// What the EL3 of the tests speaks
    #[arg(long, hide = true, value_enum, default_value_t)]
    pub el3: El3Edition,
    /// Give up when there was no sign of progress for this many seconds [default: 120, and 60 more for each CPU]
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
pub enum El3Edition {
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
    pub const fn edition(self) -> Edition {
        match self {
            Self::V0 => Edition::V0,
            Self::V2 => Edition::V2,
            Self::V2All => Edition::V2_ALL,
            Self::V2Old => Edition::V2_OLD,
        }
    }
}

impl StressOptions {
    /// How long a run on so many CPUs waits for a sign of progress.
    pub fn patience(&self, cpus: u32) -> Duration {
        self.timeout.map_or(patience::machine(cpus), Duration::from_secs)
    }

    /// The options of a run of this kind and length.
    pub fn of(kind: StressKind, commands: u64) -> Self {
        Self {
            kind: Some(kind),
            commands: Some(commands),
            cpus: None,
            seed: 1,
            stand_in: false,
            el3: El3Edition::default(),
            timeout: None,
            qemu: None,
            image: ImageOptions::default(),
        }
    }
}

/// Options of `ledger`.
#[derive(Debug, Args)]
pub struct LedgerOptions {
    /// A log that `run --check` has written
    #[arg(value_name = "LOGFILE")]
    pub file: PathBuf,
}

/// Options of `clean`.
#[derive(Debug, Args)]
pub struct CleanOptions {
    /// Also remove the cache: TF-A, guest kernel, busybox
    #[arg(long)]
    pub cache: bool,
}

/// How much of the monitor's log to show, least first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum LogLevel {
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

/// Smallest and largest guest, in bytes.
const GUEST_MEMORY: std::ops::RangeInclusive<u64> = 256 << 20..=1 << 30;

/// Parses a size such as `256M`, `1G` or `268435456` and checks it against [`GUEST_MEMORY`].
fn parse_guest_memory(text: &str) -> Result<u64, String> {
    let bytes = parse_size(text)?;
    if bytes < *GUEST_MEMORY.start() {
        return Err("too little memory: a Linux Realm needs at least 256M".to_owned());
    }
    if bytes > *GUEST_MEMORY.end() {
        return Err("too much memory: the machine has room for a guest of at most 1G".to_owned());
    }
    if !bytes.is_multiple_of(2 << 20) {
        return Err("guest memory must be a multiple of 2M".to_owned());
    }
    Ok(bytes)
}

/// Parses the name of a hash algorithm.
fn parse_interface(text: &str) -> Result<Interface, String> {
    Interface::from_name(text).ok_or_else(|| "it is 1.0, 2.0 or both".into())
}

fn parse_hash_algorithm(text: &str) -> Result<HashAlgorithm, String> {
    HashAlgorithm::from_name(text)
        .ok_or_else(|| "the algorithms are sha-256 and sha-512".to_owned())
}

/// Parses a decimal number of bytes with an optional suffix `K`, `M` or `G` (powers of 1024).
fn parse_size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.strip_suffix(['K', 'k']) {
        Some(rest) => (rest, 10),
        None => match text.strip_suffix(['M', 'm']) {
            Some(rest) => (rest, 20),
            None => match text.strip_suffix(['G', 'g']) {
                Some(rest) => (rest, 30),
                None => (text, 0),
            },
        },
    };
    let number: u64 =
        digits.parse().map_err(|_| "write a number with K, M or G, such as 512M".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "that number is too large".to_owned())
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
    fn sizes_have_suffixes() {
        assert_eq!(parse_size("256M"), Ok(256 << 20));
        assert_eq!(parse_size("1g"), Ok(1 << 30));
        assert_eq!(parse_size("4096"), Ok(4096));
        assert_eq!(parse_size("8K"), Ok(8192));
        for bad in ["", "M", "-1M", "1T", "0x10", "1.5G", "18446744073709551615G"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn guest_memory_has_limits() {
        assert_eq!(parse_guest_memory("256M"), Ok(256 << 20));
        assert_eq!(parse_guest_memory("1G"), Ok(1 << 30));
        assert!(parse_guest_memory("255M").unwrap_err().contains("too little"));
        assert!(parse_guest_memory("1025M").unwrap_err().contains("too much"));
        assert!(parse_guest_memory("268435457").unwrap_err().contains("multiple"));
    }

    #[test]
    fn run_has_defaults_and_an_optional_port() {
        let run = |args: &[&str]| {
            let command = Cli::try_parse_from(args).unwrap().command;
            let Command::Run(options) = command else { panic!("{command:?}") };
            options
        };
        let options = run(&["xtask", "run"]);
        let guest = &options.guest;
        assert_eq!((guest.cpus, guest.memory, options.gdb), (2, 256 << 20, None));
        assert_eq!(run(&["xtask", "run", "--gdb"]).gdb, Some(1234));
        assert_eq!(run(&["xtask", "run", "--gdb=99"]).gdb, Some(99));
        assert_eq!(run(&["xtask", "run", "--gdb", "99"]).gdb, Some(99));
        let both = run(&["xtask", "run", "--gdb", "--check"]);
        assert_eq!((both.gdb, both.guest.check), (Some(1234), true));
        assert!(Cli::try_parse_from(["xtask", "run", "--gdb=0"]).is_err());
        assert!(Cli::try_parse_from(["xtask", "run", "--timeout", "9"]).is_err());
        let patient = run(&["xtask", "run", "--check", "--timeout", "9"]);
        assert_eq!(patient.patience(), Duration::from_secs(9));
        assert!(Cli::try_parse_from(["xtask", "run", "--cpus", "9"]).is_err());
        assert!(Cli::try_parse_from(["xtask", "stress", "--commands", "0"]).is_err());
    }

    #[test]
    fn the_help_of_run_lists_the_keys() {
        let mut cli = Cli::command();
        let run = cli.find_subcommand_mut("run").unwrap();
        for help in [run.render_help(), run.render_long_help()] {
            let help = help.to_string();
            for key in ["Ctrl-A x", "Ctrl-A Ctrl-A", "Ctrl-A Ctrl-A DIGIT", "Ctrl-C"] {
                assert!(help.contains(key), "{key}: {help}");
            }
        }
    }

    #[test]
    fn the_board_is_qemu_unless_told_otherwise() {
        let image = |args: &[&str]| {
            let command = Cli::try_parse_from(args).unwrap().command;
            let Command::Image(options) = command else { panic!("{command:?}") };
            options.platform
        };
        assert_eq!(image(&["xtask", "image"]), Platform::Qemu);
        assert_eq!(image(&["xtask", "image", "--platform", "fvp"]), Platform::Fvp);
    }

    #[test]
    fn a_fuzzer_has_an_end() {
        let fuzz = |seconds| Cli::try_parse_from(["xtask", "fuzz", "--seconds", seconds]);
        assert!(fuzz("1").is_ok() && fuzz("2147483647").is_ok());
        assert!(fuzz("0").is_err() && fuzz("2147483648").is_err());
    }

    #[test]
    fn levels_are_ordered() {
        assert!(LogLevel::Off < LogLevel::Error && LogLevel::Debug < LogLevel::Trace);
    }
}
