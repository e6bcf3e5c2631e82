//! The model itself: its command line, and a started one whose serial ports we are connected to.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::drive::{self, Board, Ended, LOST, Listener, Source, Started};
use crate::fault::IoContext;
use crate::process::Group;
use crate::qemu::Load;
use crate::signals;

/// Parameters for the whole board.
///
/// Source: TF-A 2.12.1, `docs/components/realm-management-extension.rst`, "Running FVP".
const BOARD: [&str; 12] = [
    "bp.refcounter.non_arch_start_at_default=1",
    "bp.refcounter.use_real_time=0",
    "bp.ve_sysregs.exit_on_shutdown=1",
    "bp.secure_memory=0",
    "bp.dram_size=4",
    "cache_state_modelled=1",
    "pctl.startup=0.0.0.0",
    "pci.pci_smmuv3.mmu.SMMU_ROOT_IDR0=3",
    "pci.pci_smmuv3.mmu.SMMU_ROOT_IIDR=0x43B",
    "pci.pci_smmuv3.mmu.root_register_page_offset=0x20000",
    "bp.smsc_91c111.enabled=1",
    "bp.hostbridge.userNetworking=1",
];

/// Parameters for each cluster of CPUs. The one that switches RME on is `rme_support_level`.
const CLUSTER: [&str; 18] = [
    "NUM_CORES=4",
    "PA_SIZE=48",
    "ecv_support_level=2",
    "gicv3.cpuintf-mmap-access-level=2",
    "gicv3.without-DS-support=1",
    "gicv4.mask-virtual-interrupt=1",
    "has_arm_v8-6=1",
    "has_amu=1",
    "has_branch_target_exception=1",
    "rme_support_level=2",
    "has_rndr=1",
    "has_v8_7_pmu_extension=2",
    "max_32bit_el=-1",
    "stage12_tlb_size=1024",
    "check_memory_attributes=0",
    "ish_is_osh=1",
    "restriction_on_speculative_execution=2",
    "restriction_on_speculative_execution_aarch32=2",
];

/// Parameters of ours: no window, and serial ports as plain sockets that wait for us.
const OURS: [&str; 9] = [
    "bp.vis.disable_visualisation=1",
    "bp.terminal_0.mode=raw",
    "bp.terminal_0.start_telnet=0",
    "bp.terminal_1.start_telnet=0",
    "bp.terminal_2.start_telnet=0",
    "bp.terminal_3.mode=raw",
    "bp.terminal_3.start_telnet=0",
    "bp.pl011_uart0.unbuffered_output=1",
    "bp.pl011_uart3.unbuffered_output=1",
];

/// The serial port of EL3 at boot, the host and the guest; what is typed goes there.
const NORMAL_WORLD: usize = 0;

/// The serial port of the monitor.
const MONITOR: usize = 3;

/// How long the model may take to open its serial ports: it loads a large program, and may ask a
/// licence server first.
const PATIENCE: Duration = Duration::from_secs(300);

/// Everything that differs from run to run.
#[derive(Debug)]
pub(crate) struct Model {
    /// The model's binary.
    pub program: PathBuf,
    /// BL1.
    pub bl1: PathBuf,
    /// The firmware package.
    pub fip: PathBuf,
    /// Files in memory.
    pub loads: Vec<Load>,
    /// Disk image for the board's virtio block device.
    pub disk: Option<PathBuf>,
    /// Where EL3's run-time messages go.
    pub el3_log: PathBuf,
    /// Where the model's own messages go.
    pub messages: PathBuf,
}

impl Model {
    /// The arguments after the program.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut parameters: Vec<String> = BOARD.iter().map(|text| (*text).to_owned()).collect();
        for cluster in ["cluster0", "cluster1"] {
            parameters.extend(CLUSTER.iter().map(|text| format!("{cluster}.{text}")));
        }
        parameters.push(format!("bp.secureflashloader.fname={}", self.bl1.display()));
        parameters.push(format!("bp.flashloader0.fname={}", self.fip.display()));
        if let Some(disk) = &self.disk {
            parameters.push(format!("bp.virtioblockdevice.image_path={}", disk.display()));
        }
        parameters.extend(OURS.iter().map(|text| (*text).to_owned()));
        parameters.push(format!("bp.pl011_uart1.out_file={}", self.el3_log.display()));

        let mut arguments = Vec::new();
        for parameter in parameters {
            arguments.extend(["-C".to_owned(), parameter]);
        }
        for load in &self.loads {
            let data = format!("cluster0.cpu0={}@{:#x}", load.file.display(), load.address);
            arguments.extend(["--data".to_owned(), data]);
        }
        arguments
    }

    /// The whole command line for a shell, a parameter a line.
    pub(crate) fn command_line(&self) -> String {
        let mut text = quoted(&self.program.display().to_string());
        for pair in self.arguments().chunks(2) {
            let words: Vec<String> = pair.iter().map(|word| quoted(word)).collect();
            text.push_str(" \\\n  ");
            text.push_str(&words.join(" "));
        }
        text
    }

    /// Starts the model and connects to its serial ports.
    pub(crate) fn start(&self) -> anyhow::Result<Running> {
        let mut command = Command::new(&self.program);
        command.args(self.arguments()).stdin(Stdio::null());
        let messages = File::create(&self.messages).at("write", &self.messages)?;
        command.stdout(Stdio::piped()).stderr(messages.try_clone().at("write", &self.messages)?);
        let mut group = Group::spawn(&mut command)?;
        let output = group.child().stdout.take().context(LOST)?;
        let ports = announcements(BufReader::new(output), messages);
        let mut running = Running {
            group,
            ports,
            normal_world: None,
            monitor: None,
            messages: self.messages.clone(),
        };
        running.connect()?;
        Ok(running)
    }
}

/// Quotes a word for a shell if it needs that.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=@:,+%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Reads what the model prints, keeps it in `messages`, and passes on which serial port listens on
/// which TCP port.
fn announcements(
    output: impl BufRead + Send + 'static,
    mut messages: File,
) -> Receiver<(usize, u16)> {
    let (sender, ports) = channel();
    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            // The disk may be full; the ports count.
            drop(writeln!(messages, "{line}"));
            if let Some(port) = announced(&line) {
                let _ = sender.send(port); // nobody connects any more
            }
        }
    });
    ports
}

/// Reads `terminal_0: Listening for serial connection on port 5000`.
fn announced(line: &str) -> Option<(usize, u16)> {
    let (_, rest) = line.split_once("terminal_")?;
    let (number, rest) = rest.split_once(':')?;
    let (_, port) = rest.split_once("Listening for serial connection on port ")?;
    Some((number.trim().parse().ok()?, port.trim().parse().ok()?))
}

/// A started model; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Running {
    group: Group,
    ports: Receiver<(usize, u16)>,
    normal_world: Option<TcpStream>,
    monitor: Option<TcpStream>,
    messages: PathBuf,
}

impl Running {
    /// Waits for both serial ports and connects to them.
    fn connect(&mut self) -> anyhow::Result<()> {
        let limit = Instant::now() + PATIENCE;
        while self.normal_world.is_none() || self.monitor.is_none() {
            signals::check()?;
            match self.ports.recv_timeout(Duration::from_millis(50)) {
                Ok((number, port)) => {
                    let socket = || {
                        let socket = TcpStream::connect(("127.0.0.1", port));
                        socket.with_context(|| {
                            format!("the model's serial port {number} on TCP port {port} does not answer")
                        })
                    };
                    match number {
                        NORMAL_WORLD => self.normal_world = Some(socket()?),
                        MONITOR => self.monitor = Some(socket()?),
                        _ => {}
                    }
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() < limit => {}
                Err(RecvTimeoutError::Timeout) => bail!(
                    "the model did not open its serial ports within {} s; its messages are in {}",
                    PATIENCE.as_secs(),
                    self.messages.display()
                ),
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.group.wait()?;
                    bail!("the model ended at once ({status}): {}", self.messages());
                }
            }
        }
        Ok(())
    }

    /// Connects the serial ports to `listener` (and, if `keyboard`, our standard input to the
    /// Normal world's) until something ends it.
    pub(crate) fn drive(
        &mut self,
        listener: &mut dyn Listener,
        keyboard: bool,
        patience: Option<Duration>,
    ) -> anyhow::Result<Ended> {
        let normal_world = self.normal_world.take().context(LOST)?;
        let monitor = self.monitor.take().context(LOST)?;
        let mut sink = normal_world.try_clone().context(LOST)?;
        let sources: Vec<Box<dyn Source>> = vec![Box::new(normal_world), Box::new(monitor)];
        drive::drive(&mut self.group, sources, &mut sink, listener, keyboard, patience)
    }

    /// What the model itself said last, on one line.
    pub(crate) fn messages(&self) -> String {
        last_lines(&self.messages)
    }
}

impl Board for Model {
    fn start(&self) -> anyhow::Result<Box<dyn Started>> {
        Ok(Box::new(Self::start(self)?))
    }

    fn name(&self) -> &'static str {
        "the model"
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

fn last_lines(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.get(lines.len().saturating_sub(5)..).unwrap_or_default().join("; ")
}

#[cfg(test)]
mod tests;
