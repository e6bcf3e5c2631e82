//! Builds the bare-metal programs and turns their ELF files into flat images.
//!
//! A flat image is what EL3 copies to the load address: the loadable segments at their offsets from
//! the lowest one, entry at byte 0. What is zero at start (BSS) is not part of it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use object::elf::{FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Endianness, Object, ObjectSection, SectionFlags};
use serde::Deserialize;

use crate::cli::LogLevel;
use crate::fault::IoContext;
use crate::paths::{TARGET, check_regular, read_limited, root, write_whole};
use crate::process::Group;

/// A bare-metal program: package and binary name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Program {
    package: &'static str,
    bin: &'static str,
    /// Cargo features, separated by commas.
    features: &'static str,
}

/// The monitor.
pub(crate) const MONITOR: Program = Program { package: "rmm", bin: "cairn", features: "" };

/// The Normal-world host.
pub(crate) const HOST: Program = Program { package: "cairn-host", bin: "cairn-host", features: "" };

/// The Normal-world host for Arm FVP.
pub(crate) const HOST_FOR_FVP: Program = Program { features: "fvp", ..HOST };

/// The Normal-world host under the EL3 of the tests.
pub(crate) const HOST_UNDER_STAND_IN: Program = Program { features: "stand-in", ..HOST };

/// The Normal-world host for QEMU sbsa-ref.
pub(crate) const HOST_FOR_SBSA: Program = Program { features: "sbsa", ..HOST };

/// The EL3 of the tests.
pub(crate) const STAND_IN: Program =
    Program { package: "cairn-el3", bin: "cairn-el3", features: "" };

/// The EL3 of the tests for QEMU sbsa-ref.
pub(crate) const STAND_IN_FOR_SBSA: Program = Program { features: "sbsa", ..STAND_IN };

/// A flat image is no larger than this: the load window of the monitor (24 MiB less the shared
/// page).
const LARGEST_IMAGE: usize = 0x017f_f000;

/// An ELF file, with its debug information, is no larger than this.
const LARGEST_ELF: usize = 256 << 20;

/// Builds `program` for the bare-metal target and returns its ELF file.
pub(crate) fn build(program: Program, log: LogLevel) -> anyhow::Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root()).args(["build", "--release", "--target", TARGET]);
    command.args(["--features", &features(program, log)]);
    run_cargo(command, program)
}

/// Runs cargo with its words for `program` added, and returns the ELF file that it names.
pub(crate) fn run_cargo(mut command: Command, program: Program) -> anyhow::Result<PathBuf> {
    command.args(["-p", program.package, "--bin", program.bin]);
    command.arg("--message-format=json-render-diagnostics");
    let mut group = Group::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let messages = group.child().stdout.take().context("cargo cannot be heard")?;
    let messages = std::thread::spawn(move || std::io::read_to_string(messages));
    let status = group.wait()?;
    if !status.success() {
        bail!("`{}` does not build; the compiler's messages are above", program.bin);
    }
    let messages = messages.join().ok().and_then(Result::ok).unwrap_or_default();
    executable(&messages, program.bin)
        .with_context(|| format!("cargo built no program `{}` for {TARGET}", program.bin))
}

/// Cargo features of `program` for a log of this level. The monitor's default image carries what
/// `info` shows; a finer level must be compiled in. A feature does so and not `DEFMT_LOG` in the
/// environment, because cargo keeps what was built with other features beside it, so that each
/// level is built once and only in the crates that log, and because a change of the variable would
/// rebuild the logger itself.
fn features(program: Program, log: LogLevel) -> String {
    let level = match log {
        LogLevel::Debug => "log-debug",
        LogLevel::Trace => "log-trace",
        LogLevel::Off | LogLevel::Error | LogLevel::Warn | LogLevel::Info => "",
    };
    if program.package == MONITOR.package { level.to_owned() } else { program.features.to_owned() }
}

#[derive(Deserialize)]
struct BuildMessage {
    executable: Option<PathBuf>,
    target: Option<BuildTarget>,
}

#[derive(Deserialize)]
struct BuildTarget {
    name: String,
}

fn executable(messages: &str, bin: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<BuildMessage>(line).ok())
        .filter(|message| message.target.as_ref().is_some_and(|target| target.name == bin))
        .find_map(|message| message.executable)
}

/// A program's ELF file and its flat image.
#[derive(Debug)]
pub(crate) struct Packed {
    /// The ELF file, if there is one: it has the log table and the debug information.
    pub elf: Option<PathBuf>,
    /// The flat image.
    pub flat: PathBuf,
}

/// Makes the flat image of the ELF file `elf` at `flat`.
pub(crate) fn pack(elf: PathBuf, flat: PathBuf) -> anyhow::Result<Packed> {
    let bytes = std::fs::read(&elf).at("read", &elf)?;
    let image = flatten(&bytes).with_context(|| format!("{} cannot be packed", elf.display()))?;
    write_whole(&flat, &image)?;
    Ok(Packed { elf: Some(elf), flat })
}

/// Takes an image that somebody else made: an ELF file is flattened, anything else is taken as it
/// is.
pub(crate) fn adopt(file: &Path, flat: PathBuf) -> anyhow::Result<Packed> {
    check_regular(file)?;
    let bytes = read_limited(file, LARGEST_ELF)?;
    if bytes.starts_with(b"\x7fELF") {
        return pack(file.to_path_buf(), flat);
    }
    if bytes.is_empty() || bytes.len() > LARGEST_IMAGE {
        bail!(
            "{} cannot be a monitor: it has {} bytes, and its load window has room for {LARGEST_IMAGE}",
            file.display(),
            bytes.len()
        );
    }
    write_whole(&flat, &bytes)?;
    Ok(Packed { elf: None, flat })
}

/// The loadable segments of an ELF file as one piece, without trailing BSS.
pub(crate) fn flatten(elf: &[u8]) -> anyhow::Result<Vec<u8>> {
    let header = FileHeader64::<Endianness>::parse(elf).context("it is not a 64-bit ELF file")?;
    let endian = header.endian().context("its byte order is unknown")?;
    let segments = header.program_headers(endian, elf).context("its program headers are broken")?;
    let loads =
        || segments.iter().filter(|s| s.p_type(endian) == PT_LOAD && s.p_filesz(endian) > 0);
    let base = loads().map(|s| s.p_paddr(endian)).min().context("it has nothing to load")?;
    ensure!(
        header.e_entry(endian) == base,
        "its entry is at {:#x}, but must be the first byte of the image, {base:#x}",
        header.e_entry(endian)
    );
    let mut image = Vec::new();
    for segment in loads() {
        let data =
            segment.data(endian, elf).map_err(|()| anyhow::anyhow!("a segment is cut off"))?;
        let start = usize::try_from(segment.p_paddr(endian) - base).unwrap_or(usize::MAX);
        let end = start.saturating_add(data.len());
        ensure!(
            end <= LARGEST_IMAGE,
            "it spans more than the load window of {LARGEST_IMAGE} bytes"
        );
        if image.len() < end {
            image.resize(end, 0);
        }
        image.get_mut(start..end).context("a segment lies outside")?.copy_from_slice(data);
    }
    Ok(image)
}

/// What occupies memory in an image, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sizes {
    /// Each section that is loaded or zeroed: name, size, kind.
    pub sections: Vec<(String, u64, Kind)>,
    /// The flat image.
    pub flat: u64,
}

/// What a section is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Code.
    Text,
    /// Constants, including relocation tables.
    Rodata,
    /// Variables with a first value.
    Data,
    /// Variables and stacks that start as zero; not in the flat image.
    Bss,
}

impl Sizes {
    /// Reads the sections of `elf`.
    pub(crate) fn read(elf: &[u8]) -> anyhow::Result<Self> {
        let object = object::File::parse(elf).context("the image is not an ELF file")?;
        let mut sections = Vec::new();
        for section in object.sections() {
            let SectionFlags::Elf { sh_flags } = section.flags() else { continue };
            let has = |flag: u32| sh_flags & u64::from(flag) != 0;
            if !has(object::elf::SHF_ALLOC) || section.size() == 0 {
                continue;
            }
            let kind = if section.kind().is_bss() {
                Kind::Bss
            } else if has(object::elf::SHF_EXECINSTR) {
                Kind::Text
            } else if has(object::elf::SHF_WRITE) {
                Kind::Data
            } else {
                Kind::Rodata
            };
            sections.push((section.name().unwrap_or("?").to_owned(), section.size(), kind));
        }
        let flat = u64::try_from(flatten(elf)?.len()).unwrap_or(u64::MAX);
        Ok(Self { sections, flat })
    }

    /// All bytes of one kind.
    pub(crate) fn of(&self, kind: Kind) -> u64 {
        self.sections.iter().filter(|(_, _, k)| *k == kind).map(|(_, size, _)| size).sum()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A minimal ELF file: `segments` are (address, content), the entry is `entry`.
    pub(crate) fn elf(entry: u64, segments: &[(u64, &[u8])]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(16, 0);
        let mut put =
            |value: u64, size: usize| bytes.extend_from_slice(&value.to_le_bytes()[..size]);
        for (value, size) in
            [(3, 2), (183, 2), (1, 4), (entry, 8), (64, 8), (0, 8), (0, 4), (64, 2), (56, 2)]
        {
            put(value, size);
        }
        for (value, size) in [(segments.len() as u64, 2), (64, 2), (0, 2), (0, 2)] {
            put(value, size);
        }
        let mut offset = 64 + 56 * segments.len() as u64;
        for (address, content) in segments {
            let length = content.len() as u64;
            for (value, size) in [
                (1, 4),
                (5, 4),
                (offset, 8),
                (*address, 8),
                (*address, 8),
                (length, 8),
                (length + 9, 8),
                (1, 8),
            ] {
                put(value, size);
            }
            offset += length;
        }
        segments.iter().for_each(|(_, content)| bytes.extend_from_slice(content));
        bytes
    }

    #[test]
    fn segments_keep_their_distance() {
        let elf = elf(0x1000, &[(0x1000, b"code"), (0x1008, b"data")]);
        assert_eq!(flatten(&elf).unwrap(), b"code\0\0\0\0data");
    }

    #[test]
    fn the_entry_must_be_the_first_byte() {
        let error = flatten(&elf(4, &[(0, b"code")])).unwrap_err().to_string();
        assert!(error.contains("entry is at 0x4"), "{error}");
    }

    #[test]
    fn broken_files_are_refused() {
        assert!(flatten(b"").is_err());
        assert!(flatten(&elf(0, &[])).is_err());
        assert!(flatten(&elf(0, &[(0, b"a"), (1 << 40, b"b")])).is_err());
        let mut cut = elf(0, &[(0, b"abcdef")]);
        cut.truncate(cut.len() - 3);
        assert!(flatten(&cut).is_err());
    }

    #[test]
    fn a_monitor_is_a_file_of_some_size() {
        let file = std::env::temp_dir().join(format!("cairn-adopted-{}", std::process::id()));
        let refused = |file: &Path| adopt(file, "/nonexistent".into()).unwrap_err().to_string();
        assert!(refused(Path::new("/dev/zero")).contains("not a regular file"));
        std::fs::File::create(&file).unwrap().set_len(1 << 40).unwrap(); // a hole
        assert!(refused(&file).contains("too large"));
        std::fs::remove_file(file).unwrap();
    }

    #[test]
    fn a_level_is_compiled_into_the_monitor_only_if_it_is_finer_than_the_usual_one() {
        for level in [LogLevel::Off, LogLevel::Error, LogLevel::Warn, LogLevel::Info] {
            assert_eq!(features(MONITOR, level), "");
        }
        assert_eq!(features(MONITOR, LogLevel::Debug), "log-debug");
        assert_eq!(features(MONITOR, LogLevel::Trace), "log-trace");
        // What does not log is not built again.
        assert_eq!(features(HOST_FOR_FVP, LogLevel::Trace), "fvp");
        assert_eq!(features(HOST, LogLevel::Trace), "");
    }

    #[test]
    fn the_executable_is_found_in_cargo_s_messages() {
        let messages = "{\"reason\":\"x\",\"executable\":null,\"target\":{\"name\":\"cairn\"}}\nnoise\n\
            {\"reason\":\"y\",\"executable\":\"/t/cairn\",\"target\":{\"name\":\"cairn\"}}\n";
        assert_eq!(executable(messages, "cairn"), Some("/t/cairn".into()));
        assert_eq!(executable(messages, "other"), None);
    }
}
