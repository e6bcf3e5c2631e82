//! QEMU: finding one with RME, and the machine we run on it.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::cache::Qemu;
use crate::drive::{self, Board, Source, Started};
use crate::fault::IoContext;
use crate::paths::find_program;
use crate::process::Group;

pub(crate) use crate::drive::{Ended, Flow, Listener};

const PROGRAM: &str = "qemu-system-aarch64";
const CPU: &str = "max,x-rme=on,pauth-impdef=on";

/// Which of QEMU's machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Model {
    /// `virt`.
    Virt,
    /// `sbsa-ref`.
    Sbsa,
}

impl Model {
    const fn arguments(self) -> [&'static str; 4] {
        match self {
            Self::Virt => {
                ["-M", "virt,virtualization=on,secure=on,gic-version=3", "-M", "acpi=off"]
            }
            // The board always has this display, whose ROM is in a package of its own.
            Self::Sbsa => ["-M", "sbsa-ref", "-global", "bochs-display.romfile="],
        }
    }

    const fn memory_mib(self) -> u64 {
        match self {
            Self::Virt => platform_qemu::MEMORY_MIB,
            Self::Sbsa => platform_sbsa::MEMORY_MIB,
        }
    }
}

/// A file that QEMU puts into memory before the first instruction.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// The file.
    pub file: PathBuf,
    /// Physical address of its first byte.
    pub address: u64,
}

/// Everything that differs from run to run.
#[derive(Debug)]
pub(crate) struct Machine {
    /// Which machine of QEMU's.
    pub model: Model,
    /// The QEMU binary.
    pub program: PathBuf,
    /// Physical CPUs.
    pub cpus: u32,
    /// More properties of the CPUs, each with a comma before it.
    pub cpu_properties: &'static str,
    /// Boot flash: BL1 and FIP.
    pub firmware: PathBuf,
    /// Files in memory.
    pub loads: Vec<Load>,
    /// TCP port on which to wait for a debugger.
    pub gdb: Option<u16>,
    /// Where QEMU's own messages go.
    pub messages: PathBuf,
    /// Arguments beyond the ordinary.
    pub extra: Vec<String>,
}

/// The newest-looking QEMU on the PATH, if it has RME.
pub(crate) fn find() -> Option<Qemu> {
    at(&find_program(PROGRAM)?).ok()
}

/// The QEMU at `path`, if it has RME.
pub(crate) fn at(path: &Path) -> anyhow::Result<Qemu> {
    let path = std::path::absolute(path).at("find", path)?;
    let version = probe(&path)?;
    let stamp = stamp(&path).with_context(|| format!("{} is gone", path.display()))?;
    Ok(Qemu { path, stamp, version })
}

/// Whether the binary is still the one that was tried.
pub(crate) fn is_unchanged(qemu: &Qemu) -> bool {
    stamp(&qemu.path) == Some(qemu.stamp)
}

fn stamp(path: &Path) -> Option<(u64, i64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.mtime()))
}

/// Makes sure that `path` is a QEMU with RME, and returns its version.
pub(crate) fn probe(path: &Path) -> anyhow::Result<String> {
    if !path.is_file() {
        bail!("there is no QEMU at {}; check the path given with --qemu", path.display());
    }
    let version = Command::new(path).arg("--version").output();
    let version =
        version.with_context(|| format!("{} cannot be started; is it a QEMU?", path.display()))?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let version =
        match version.lines().next().and_then(|line| line.strip_prefix("QEMU emulator version ")) {
            Some(rest) => format!("QEMU {}", rest.split_whitespace().next().unwrap_or(rest)),
            None => bail!(
                "{} is not QEMU; pass the path of qemu-system-aarch64 with --qemu",
                path.display()
            ),
        };
    let mut command = Command::new(path);
    command
        .args(Model::Virt.arguments())
        .args(["-cpu", CPU])
        .args(["-S", "-display", "none", "-nic", "none", "-serial", "none"]);
    command
        .args(["-qmp", "stdio"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut group = Group::spawn(&mut command)?;
    if let Some(mut input) = group.child().stdin.take() {
        // A QEMU that refused its arguments has gone already; its exit code tells.
        drop(input.write_all(b"{\"execute\":\"qmp_capabilities\"}{\"execute\":\"quit\"}\n"));
    }
    if !group.wait()?.success() {
        bail!(
            "{version} at {} has no RME (`-cpu max,x-rme=on` is refused); QEMU 10 or later has it",
            path.display()
        );
    }
    Ok(version)
}

impl Machine {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(self.model.arguments())
            .args(["-cpu", &format!("{CPU}{}", self.cpu_properties)]);
        command.args(["-m", &format!("{}M", self.model.memory_mib())]);
        command.args(["-smp", &self.cpus.to_string()]);
        command.args(["-display", "none", "-monitor", "none", "-nic", "none"]);
        command.args(["-chardev", "stdio,id=uart,signal=off", "-serial", "chardev:uart"]);
        command.arg("-bios").arg(&self.firmware).args(&self.extra);
        for load in &self.loads {
            let file = load.file.display().to_string().replace(',', ",,");
            command.args([
                "-device",
                &format!("loader,file={file},addr={:#x},force-raw=on", load.address),
            ]);
        }
        if let Some(port) = self.gdb {
            command.args(["-S", "-gdb", &format!("tcp:127.0.0.1:{port}")]);
        }
        command
    }

    /// Starts the machine.
    pub(crate) fn start(&self) -> anyhow::Result<Running> {
        if let Some(port) = self.gdb {
            std::net::TcpListener::bind(("127.0.0.1", port)).map_err(|_| {
                anyhow::anyhow!("TCP port {port} is taken; choose another one with --gdb=PORT, or end what uses it")
            })?;
        }
        let messages = File::create(&self.messages).at("write", &self.messages)?;
        let mut command = self.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(messages);
        let group = Group::spawn(&mut command)?;
        Ok(Running { group, messages: self.messages.clone() })
    }
}

/// A started machine; dropping it ends QEMU.
#[derive(Debug)]
pub(crate) struct Running {
    group: Group,
    messages: PathBuf,
}

impl Running {
    /// Connects the UART to `listener` (and, if `keyboard`, our standard input to the UART) until
    /// something ends it.
    pub(crate) fn drive(
        &mut self,
        listener: &mut dyn Listener,
        keyboard: bool,
        patience: Option<Duration>,
    ) -> anyhow::Result<Ended> {
        let output = self.group.child().stdout.take().context(drive::LOST)?;
        let mut input = self.group.child().stdin.take().context(drive::LOST)?;
        let sources: Vec<Box<dyn Source>> = vec![Box::new(output)];
        drive::drive(&mut self.group, sources, &mut input, listener, keyboard, patience)
    }

    /// What QEMU itself said, on one line.
    pub(crate) fn messages(&self) -> String {
        let text = std::fs::read_to_string(&self.messages).unwrap_or_default();
        let lines: Vec<&str> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        lines.join("; ")
    }
}

impl Board for Machine {
    fn start(&self) -> anyhow::Result<Box<dyn Started>> {
        Ok(Box::new(Self::start(self)?))
    }

    fn name(&self) -> &'static str {
        "QEMU"
    }
}

impl Started for Running {
    fn drive(
        &mut self,
        listener: &mut dyn Listener,
        keyboard: bool,
        patience: Option<Duration>,
    ) -> anyhow::Result<Ended> {
        Self::drive(self, listener, keyboard, patience)
    }

    fn messages(&self) -> String {
        Self::messages(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine {
            model: Model::Virt,
            program: "qemu".into(),
            cpus: 2,
            cpu_properties: "",
            firmware: "fw".into(),
            loads: vec![Load { file: "a,b".into(), address: 0x6210_0000 }],
            gdb: None,
            messages: "m".into(),
            extra: Vec::new(),
        }
    }

    fn arguments(machine: &Machine) -> Vec<String> {
        machine.command().get_args().map(|a| a.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn commas_in_file_names_are_doubled() {
        let wanted = "loader,file=a,,b,addr=0x62100000,force-raw=on";
        assert!(arguments(&machine()).iter().any(|argument| argument == wanted));
    }

    #[test]
    fn a_debugger_stops_the_machine_first() {
        assert!(!arguments(&machine()).iter().any(|a| a == "-S"));
        let waiting = Machine { gdb: Some(1234), ..machine() };
        assert!(arguments(&waiting).iter().any(|a| a == "tcp:127.0.0.1:1234"));
    }

    #[test]
    fn each_machine_has_the_memory_of_its_board() {
        let sbsa = arguments(&Machine { model: Model::Sbsa, ..machine() });
        for (words, model, memory) in
            [(arguments(&machine()), "virt,", "3072M"), (sbsa, "sbsa-ref", "4096M")]
        {
            assert!(words.iter().any(|word| word.starts_with(model)), "{words:?}");
            assert!(words.iter().any(|word| word == memory), "{words:?}");
        }
    }

    #[test]
    fn a_taken_port_is_a_sentence() {
        let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = Machine { gdb: Some(port), ..machine() }.start().unwrap_err().to_string();
        assert!(error.contains("is taken"), "{error}");
    }

    #[test]
    fn what_is_not_qemu_is_refused() {
        assert!(probe(Path::new("/bin/true")).unwrap_err().to_string().contains("is not QEMU"));
        assert!(probe(Path::new("/nonexistent")).unwrap_err().to_string().contains("no QEMU at"));
    }
}
