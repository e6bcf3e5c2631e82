//! The job text: what the tool that started the machine wants the host to do.
//!
//! The text is placed in memory by the machine's loader: lines of `key=value` under the heading
//! `cairn-host-job 1`, ended by a NUL byte.

use crate::dialect::{Dialect, V1_0, V2_0};
use crate::failure::Failure;
use crate::style::HostStyle;
use alloc::string::{String, ToString};

/// Most bytes that a job text can have.
pub const MAX_SIZE_BYTES: usize = 64 * 1024;

/// Most CPUs that the host drives.
pub const MAX_CPUS: usize = 32;

/// Most Realms side by side: they are named by one digit.
pub const MAX_REALMS: usize = 8;

/// A file that the loader placed in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Physical address of the first byte, 4 KiB aligned.
    pub base: u64,
    /// Size in bytes.
    pub size: u64,
}

/// Kinds of job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Run a Linux guest in a Realm.
    #[default]
    Linux,
    /// Measure what each command costs; needs neither guest nor memory.
    Bench,
    /// Measure how long an interrupt may have to wait; needs neither guest nor memory.
    Latency,
    /// Measure what it takes when a guest shares memory; needs neither guest nor memory.
    Conversions,
    /// Run the conformance suite.
    Conformance,
    /// CPUs send random commands about the same objects.
    Races,
    /// Realms are made, run and destroyed again and again.
    Lives,
    /// CPUs are switched off and on.
    Cpus,
    /// EL3 refuses granule changes, one after the other, and the host does what Linux does.
    Refusals,
    /// Every register and system instruction is tried in Realms.
    Registers,
}

/// Which version of the Realm Management Interface the host speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interface {
    /// 1.0.
    #[default]
    V1_0,
    /// 2.0.
    V2_0,
    /// 1.0, and when all of that is gone, 2.0.
    Both,
}

impl Interface {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::V1_0, Self::V2_0, Self::Both];

    /// Its name, in the job text and on command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V2_0 => "2.0",
            Self::Both => "both",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|interface| interface.name() == name)
    }

    /// The versions, in the order in which they are spoken.
    #[must_use]
    pub fn dialects(self) -> &'static [&'static dyn Dialect] {
        match self {
            Self::V1_0 => &[&V1_0],
            Self::V2_0 => &[&V2_0],
            Self::Both => &[&V1_0, &V2_0],
        }
    }
}

/// How the Realm is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HashAlgorithm {
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
    /// SHA-384, which only version 2.0 of the interface has.
    Sha384,
}

impl HashAlgorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha512, Self::Sha384];

    /// Its name, in the job text and in tokens.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha512 => "sha-512",
            Self::Sha384 => "sha-384",
        }
    }

    /// The algorithm of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The kind.
    pub mode: Mode,
    /// The version of the interface.
    pub interface: Interface,
    /// In which order the host does things.
    pub style: HostStyle,
    /// RECs of each Realm, and physical CPUs used to run them.
    pub cpus: usize,
    /// Realms that run side by side.
    pub realms: usize,
    /// Whether the host looks for secrets of the Realms.
    pub watch: bool,
    /// Guest memory in bytes, a multiple of 2 MiB.
    pub memory: u64,
    /// The guest's kernel, an arm64 `Image`.
    pub kernel: Payload,
    /// The guest's initial RAM disk.
    pub initrd: Option<Payload>,
    /// How the Realm is measured.
    pub hash_algorithm: HashAlgorithm,
    /// Extra kernel command line.
    pub append: String,
    /// Whether console input goes to the guest.
    pub interactive: bool,
    /// The operation after which a bench ends.
    pub until: String,
    /// Scenarios of the conformance suite, by number.
    pub scenarios: String,
    /// Commands, lives or rounds of a stress job.
    pub commands: u64,
    /// What its random choices begin with.
    pub seed: u64,
}

impl Job {
    /// Parses the bytes found at the job address; everything after the first NUL is ignored.
    ///
    /// # Errors
    ///
    /// A sentence that names the line that cannot be understood, or the key that is missing.
    pub fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        let text = core::str::from_utf8(text).map_err(|_| "the job text is not UTF-8")?;
        let mut lines = text.lines();
        if lines.next().map(str::trim) != Some("cairn-host-job 1") {
            return Err("the job text does not begin with `cairn-host-job 1`".into());
        }
        let mut draft = Draft::default();
        for line in lines.map(str::trim).filter(|line| !line.is_empty()) {
            let (key, value) =
                line.split_once('=').ok_or_else(|| failure!("job line without `=`: {line}"))?;
            draft.set(key, value).map_err(|why| failure!("job line `{line}`: {why}"))?;
        }
        draft.finish()
    }
}

/// A job whose lines have not all been seen.
#[derive(Default)]
struct Draft {
    mode: Mode,
    interface: Interface,
    style: HostStyle,
    cpus: Option<usize>,
    realms: Option<usize>,
    watch: bool,
    memory: Option<u64>,
    kernel: Option<Payload>,
    initrd: Option<Payload>,
    hash_algorithm: HashAlgorithm,
    append: String,
    interactive: bool,
    until: String,
    scenarios: String,
    commands: Option<u64>,
    seed: u64,
}

impl Draft {
    fn set(&mut self, key: &str, value: &str) -> Result<(), &'static str> {
        match key {
            "mode" if value == "linux" => self.mode = Mode::Linux,
            "mode" if value == "bench" => self.mode = Mode::Bench,
            "mode" if value == "latency" => self.mode = Mode::Latency,
            "mode" if value == "conversions" => self.mode = Mode::Conversions,
            "mode" if value == "conformance" => self.mode = Mode::Conformance,
            "mode" if value == "races" => self.mode = Mode::Races,
            "mode" if value == "lives" => self.mode = Mode::Lives,
            "mode" if value == "cpus" => self.mode = Mode::Cpus,
            "mode" if value == "refusals" => self.mode = Mode::Refusals,
            "mode" if value == "registers" => self.mode = Mode::Registers,
            "mode" => return Err("this host has no such mode"),
            "rmi" => {
                self.interface = Interface::from_name(value).ok_or("not `1.0`, `2.0` or `both`")?;
            }
            "style" => self.style = HostStyle::from_name(value).ok_or("no such style")?,
            "commands" => self.commands = Some(number(value)?),
            "seed" => self.seed = number(value)?,
            "scenarios" => self.scenarios = value.to_string(),
            "cpus" => self.cpus = Some(value.parse().map_err(|_| "not a number")?),
            "memory" => self.memory = Some(number(value)?),
            "kernel" => self.kernel = Some(payload(value)?),
            "initrd" => self.initrd = Some(payload(value)?),
            "hash_algorithm" => {
                self.hash_algorithm = HashAlgorithm::from_name(value)
                    .ok_or("not `sha-256`, `sha-384` or `sha-512`")?;
            }
            "append" => self.append = value.to_string(),
            "until" => self.until = value.to_string(),
            "interactive" => self.interactive = value == "1",
            "realms" => self.realms = Some(value.parse().map_err(|_| "not a number")?),
            "watch" => self.watch = value == "1",
            // Keys of later versions of the tool do not stop an older host.
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<Job, Failure> {
        let cpus = self.cpus.unwrap_or(1);
        if cpus == 0 || cpus > MAX_CPUS {
            return Err(failure!("the job asks for {cpus} CPUs, but 1 to {MAX_CPUS} are possible"));
        }
        let realms = self.realms.unwrap_or(1);
        if realms == 0 || realms > MAX_REALMS {
            return Err(failure!(
                "the job asks for {realms} Realms, but 1 to {MAX_REALMS} are possible"
            ));
        }
        if self.mode != Mode::Linux {
            return Ok(self.without_guest(cpus));
        }
        let memory = self.memory.ok_or("the job does not say how much memory the guest gets")?;
        if !memory.is_multiple_of(0x20_0000) || !(64 << 20..=2 << 30).contains(&memory) {
            return Err(failure!(
                "the job asks for {memory} bytes of guest memory, but it must be a multiple of \
                 2 MiB from 64 MiB to 2 GiB"
            ));
        }
        let kernel = self.kernel.ok_or("the job names no kernel")?;
        Ok(Job { memory, kernel, initrd: self.initrd, ..self.without_guest(cpus) })
    }

    fn without_guest(&self, cpus: usize) -> Job {
        Job {
            mode: self.mode,
            interface: self.interface,
            style: self.style,
            cpus,
            realms: self.realms.unwrap_or(1),
            watch: self.watch,
            memory: 0,
            kernel: Payload { base: 0, size: 0 },
            initrd: None,
            hash_algorithm: self.hash_algorithm,
            append: self.append.clone(),
            interactive: self.interactive,
            until: self.until.clone(),
            scenarios: self.scenarios.clone(),
            commands: self.commands.unwrap_or(1),
            seed: self.seed,
        }
    }
}

fn number(text: &str) -> Result<u64, &'static str> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    }
    .map_err(|_| "not a number")
}

fn payload(text: &str) -> Result<Payload, &'static str> {
    let (base, size) = text.split_once(',').ok_or("not `address,size`")?;
    let payload = Payload { base: number(base)?, size: number(size)? };
    if !payload.base.is_multiple_of(0x1000) {
        return Err("the address is not 4 KiB aligned");
    }
    if payload.size == 0 || payload.base.checked_add(payload.size).is_none() {
        return Err("the size is impossible");
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "cairn-host-job 1\nmode=linux\ncpus=2\nmemory=268435456\n\
        kernel=0x62100000,48834048\ninitrd=0x6e000000,1048576\nhash_algorithm=sha-512\n\
        append=a=b c\ninteractive=1\nrealms=1\nrmi=both\nstyle=linux-v12\n\0junk";

    #[test]
    fn a_whole_job_is_understood() {
        let job = Job::parse(TEXT.as_bytes()).unwrap();
        assert_eq!((job.cpus, job.memory, job.interactive), (2, 256 << 20, true));
        assert_eq!(job.kernel, Payload { base: 0x6210_0000, size: 48_834_048 });
        assert_eq!(job.initrd.unwrap().base, 0x6e00_0000);
        assert_eq!(job.append, "a=b c");
        assert_eq!(job.hash_algorithm, HashAlgorithm::Sha512);
        assert_eq!((job.interface, job.style), (Interface::Both, HostStyle::LinuxV12));
        let versions = job.interface.dialects().iter().map(|dialect| dialect.version());
        assert!(versions.eq([0x1_0000, 0x2_0000]));
        assert!(Job::parse(b"cairn-host-job 1\nrmi=3.0\n").is_err());
        assert!(Job::parse(b"cairn-host-job 1\nstyle=v7\n").is_err());
    }

    #[test]
    fn a_wrong_line_is_named() {
        let error = Job::parse(b"cairn-host-job 1\nkernel=12\n\0").unwrap_err();
        assert_eq!(error.to_string(), "job line `kernel=12`: not `address,size`");
    }

    #[test]
    fn hash_algorithms_are_those_of_the_interface() {
        for algorithm in HashAlgorithm::ALL {
            assert_eq!(HashAlgorithm::from_name(algorithm.name()), Some(algorithm));
        }
        assert!(Job::parse(b"cairn-host-job 1\nhash_algorithm=md5\n").is_err());
    }

    #[test]
    fn missing_memory_and_odd_memory_are_refused() {
        assert!(Job::parse(b"cairn-host-job 1\ncpus=1\nkernel=0x1000,1\n").is_err());
        assert!(Job::parse(b"cairn-host-job 1\nmemory=67108865\nkernel=0x1000,1\n").is_err());
        assert!(Job::parse(b"").is_err());
    }

    #[test]
    fn several_realms_are_possible_but_not_any_number() {
        let job = |realms: &str| {
            let text = alloc::format!(
                "cairn-host-job 1\nmemory=268435456\nkernel=0x1000,1\nrealms={realms}\nwatch=1\n"
            );
            Job::parse(text.as_bytes()).map(|job| (job.realms, job.watch))
        };
        assert_eq!(job("3"), Ok((3, true)));
        assert!(job("0").is_err() && job("9").is_err() && job("x").is_err());
    }
}
