//! The job text: how the tool tells the Normal-world host what to do, and where things are in
//! memory.

use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};
use cairn_host::job::{HashAlgorithm, Interface};
use cairn_host::style::HostStyle;

use crate::cli::SuiteInterface;
use crate::fault::IoContext;
use crate::paths::write_whole;
use crate::qemu::Load;

/// Where the machine's loader puts things on one board; the host is built with the same addresses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// The job text.
    job: u64,
    /// The guest's kernel: first byte, and where it must end.
    kernel: (u64, u64),
    /// The guest's initial RAM disk: first byte, and where it must end.
    initrd: (u64, u64),
}

impl Layout {
    /// Where the job text is.
    pub(crate) const fn job(&self) -> u64 {
        self.job
    }
}

const fn ends(range: &std::ops::Range<u64>) -> (u64, u64) {
    (range.start, range.end)
}

/// On QEMU virt.
pub(crate) const QEMU: Layout = Layout {
    job: platform_qemu::JOB.start,
    kernel: ends(&platform_qemu::KERNEL),
    initrd: ends(&platform_qemu::INITRD),
};

/// On Arm FVP Base RevC.
pub(crate) const FVP: Layout = Layout {
    job: platform_fvp::JOB.start,
    kernel: ends(&platform_fvp::KERNEL),
    initrd: ends(&platform_fvp::INITRD),
};

/// On QEMU sbsa-ref.
pub(crate) const SBSA: Layout = Layout {
    job: platform_sbsa::JOB.start,
    kernel: ends(&platform_sbsa::KERNEL),
    initrd: ends(&platform_sbsa::INITRD),
};

/// Most bytes of job text.
const LARGEST_JOB: usize = 64 << 10;

/// Writes a job text to `path` that makes the host measure how long interrupts may have to wait.
pub(crate) fn latency(rmi: SuiteInterface, path: &Path, layout: &Layout) -> anyhow::Result<Load> {
    measuring("latency", rmi, path, layout)
}

/// Writes a job text to `path` that makes the host measure guests that share memory.
pub(crate) fn conversions(
    rmi: SuiteInterface,
    path: &Path,
    layout: &Layout,
) -> anyhow::Result<Load> {
    measuring("conversions", rmi, path, layout)
}

fn measuring(
    mode: &str,
    rmi: SuiteInterface,
    path: &Path,
    layout: &Layout,
) -> anyhow::Result<Load> {
    let rmi = rmi.interface().name();
    let text = format!("cairn-host-job 1\nmode={mode}\ncpus=1\nrmi={rmi}\n\0");
    write_whole(path, text.as_bytes())?;
    Ok(Load { file: path.to_path_buf(), address: layout.job })
}

/// Writes a job text to `path` that makes the host measure up to the operation `until`, or
/// everything.
pub(crate) fn bench(
    until: &str,
    rmi: SuiteInterface,
    path: &Path,
    layout: &Layout,
) -> anyhow::Result<Load> {
    ensure!(!until.contains(['\n', '\0']), "the name of an operation is one word");
    let rmi = rmi.interface().name();
    let text = format!("cairn-host-job 1\nmode=bench\ncpus=1\nuntil={until}\nrmi={rmi}\n\0");
    write_whole(path, text.as_bytes())?;
    Ok(Load { file: path.to_path_buf(), address: layout.job })
}

/// What the host is to do.
#[derive(Debug)]
pub(crate) struct Job {
    /// The version of the interface that the host speaks.
    pub interface: Interface,
    /// In which order the host does things.
    pub style: HostStyle,
    /// RECs of each Realm, and physical CPUs that run them.
    pub cpus: u32,
    /// Realms side by side.
    pub realms: u32,
    /// Guest memory in bytes.
    pub memory: u64,
    /// The kernel Image.
    pub kernel: PathBuf,
    /// The initial RAM disk.
    pub initrd: PathBuf,
    /// How the Realm is measured.
    pub hash_algorithm: HashAlgorithm,
    /// The kernel command line.
    pub append: String,
    /// Whether UART input goes to the guest.
    pub interactive: bool,
}

impl Job {
    /// Realms that run at any time.
    pub(crate) fn all_realms(&self) -> u32 {
        self.interface.dialects().iter().map(|_| self.realms).sum()
    }

    /// The text, NUL included, and the files that it mentions.
    pub(crate) fn contents(&self, layout: &Layout) -> anyhow::Result<(String, [Load; 2])> {
        let kernel = placed("kernel", &self.kernel, layout.kernel)?;
        let initrd = placed("initial RAM disk", &self.initrd, layout.initrd)?;
        let files = [
            Load { file: self.kernel.clone(), address: layout.kernel.0 },
            Load { file: self.initrd.clone(), address: layout.initrd.0 },
        ];
        Ok((self.text(layout, kernel, initrd)?, files))
    }

    /// Writes the job text to `path` and lists what must be put into memory.
    pub(crate) fn prepare(&self, path: &Path, layout: &Layout) -> anyhow::Result<Vec<Load>> {
        let (text, files) = self.contents(layout)?;
        write_whole(path, text.as_bytes())?;
        let job = Load { file: path.to_path_buf(), address: layout.job };
        Ok([job].into_iter().chain(files).collect())
    }

    /// The text, NUL included, for a kernel and initrd of these sizes.
    fn text(&self, layout: &Layout, kernel: u64, initrd: u64) -> anyhow::Result<String> {
        ensure!(!self.append.contains(['\n', '\0']), "the text for --append must be one line");
        let text = format!(
            "cairn-host-job 1\nmode=linux\ncpus={}\nmemory={}\nkernel={:#x},{kernel}\ninitrd={:#x},{initrd}\nhash_algorithm={}\n\
             append={}\ninteractive={}\nrealms={}\nwatch={}\nrmi={}\nstyle={}\n\0",
            self.cpus,
            self.memory,
            layout.kernel.0,
            layout.initrd.0,
            self.hash_algorithm.name(),
            self.append,
            u8::from(self.interactive),
            self.realms,
            // One Realm alone is run as fast as it can be.
            u8::from(self.all_realms() > 1),
            self.interface.name(),
            self.style.name()
        );
        ensure!(text.len() <= LARGEST_JOB, "the text for --append is too long");
        Ok(text)
    }
}

/// The text that makes the host run these scenarios of the conformance suite.
pub(crate) fn conformance(scenarios: &str) -> String {
    format!("cairn-host-job 1\nmode=conformance\ncpus=2\nscenarios={scenarios}\n\0")
}

/// The text of a stress job: so many commands, lives or rounds on so many CPUs.
pub(crate) fn stress(mode: &str, rmi: Interface, cpus: u32, commands: u64, seed: u64) -> String {
    format!(
        "cairn-host-job 1\nmode={mode}\nrmi={}\ncpus={cpus}\ncommands={commands}\nseed={seed}\n\
         watch=1\n\0",
        rmi.name()
    )
}

/// The size of `file`, if it fits into `window`.
fn placed(what: &str, file: &Path, (start, end): (u64, u64)) -> anyhow::Result<u64> {
    let size = std::fs::metadata(file).at("read", file)?.len();
    let room = end - start;
    if size == 0 || size > room {
        bail!("the {what} {} has {size} bytes; it needs 1 to {room}", file.display());
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(append: &str) -> Job {
        Job {
            interface: Interface::V1_0,
            style: HostStyle::LinuxV7,
            cpus: 2,
            realms: 1,
            memory: 256 << 20,
            kernel: "k".into(),
            initrd: "i".into(),
            hash_algorithm: HashAlgorithm::Sha256,
            append: append.into(),
            interactive: false,
        }
    }

    #[test]
    fn the_text_is_as_the_host_reads_it() {
        let text = job("console=ttyS0 a=b").text(&QEMU, 48_834_048, 1_048_576).unwrap();
        assert_eq!(
            text,
            "cairn-host-job 1\nmode=linux\ncpus=2\nmemory=268435456\nkernel=0x62100000,48834048\n\
             initrd=0x6e000000,1048576\nhash_algorithm=sha-256\nappend=console=ttyS0 a=b\ninteractive=0\nrealms=1\nwatch=0\nrmi=1.0\nstyle=linux-v7\n\0"
        );
    }

    #[test]
    fn the_command_line_cannot_break_out() {
        assert!(job("a\nmode=other").text(&FVP, 1, 1).is_err());
        assert!(job(&"x".repeat(LARGEST_JOB)).text(&FVP, 1, 1).is_err());
    }

    #[test]
    fn files_that_do_not_fit_are_refused() {
        let error = placed("kernel", Path::new("/proc/self/exe"), (0, 10)).unwrap_err();
        assert!(error.to_string().contains("it needs 1 to 10"));
        assert!(placed("kernel", Path::new("/nonexistent"), (0, 10)).is_err());
    }
}
