//! The build of the copy, and runs of it: every scenario of RMI 2.0 on the simulated machine, and
//! random sequences of commands.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::copy::{Sources, VARIABLE};
use super::judge::Heard;
use crate::fault::IoContext;
use crate::paths::output;
use crate::process::Group;

/// Random commands that a fault has to survive unnoticed.
const COMMANDS: &str = "150000";

/// A fault that makes the tests go on for longer than this makes them go on for ever.
const PATIENCE: Duration = Duration::from_secs(1200);

/// Whether random sequences are sent as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WithSequences {
    /// Scenarios, then sequences.
    Yes,
    /// Scenarios alone.
    No,
}

/// What builds and runs the copy.
#[derive(Debug)]
pub(super) struct Trial<'c> {
    copy: &'c Sources,
    /// Where it is built.
    target: PathBuf,
    /// Where the tests' words are kept.
    logs: PathBuf,
}

impl<'c> Trial<'c> {
    /// Builds the tests of this copy.
    ///
    /// # Errors
    ///
    /// The copy cannot be built: each fault has to be one at run time.
    pub(super) fn new(copy: &'c Sources) -> anyhow::Result<Self> {
        let folder = output()?.join("seeded");
        let logs = folder.join("logs");
        std::fs::create_dir_all(&logs).at("make the folder", &logs)?;
        let trial = Self { copy, target: folder.join("target"), logs };
        let (log, file) = trial.log("build")?;
        if trial.cargo(0, WithSequences::Yes, "--no-run", &file)? {
            return Ok(trial);
        }
        bail!("the copy does not build; see {}", log.display())
    }

    /// Runs the tests with the fault of this number, and listens.
    pub(super) fn run(
        &self,
        number: usize,
        name: &str,
        with: WithSequences,
    ) -> anyhow::Result<Heard> {
        let (log, file) = self.log(name)?;
        // What fails is read out of what the tests say.
        let _ = self.cargo(number, with, "--no-fail-fast", &file)?;
        let text = std::fs::read(&log).at("read", &log)?;
        Ok(Heard::new(&String::from_utf8_lossy(&text), log))
    }

    fn log(&self, name: &str) -> anyhow::Result<(PathBuf, File)> {
        let log = self.logs.join(format!("{name}.log"));
        let file = File::create(&log).at("write", &log)?;
        Ok((log, file))
    }

    fn cargo(
        &self,
        number: usize,
        with: WithSequences,
        argument: &str,
        log: &File,
    ) -> anyhow::Result<bool> {
        let copied = || log.try_clone().context("cannot write the log of a fault");
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(["test", "--color=never", "-p", "cairn-tests", "--test", "v2"]);
        if with == WithSequences::Yes {
            command.args(["--test", "property_2_0"]);
        }
        command.arg(argument).current_dir(&self.copy.folder);
        // A place of its own: cargo tells the crates of the copy from those of the checkout by
        // nothing.
        command.env("CARGO_TARGET_DIR", &self.target).env(VARIABLE, number.to_string());
        command.env("CAIRN_PROPERTY_COMMANDS", COMMANDS).env("CAIRN_PROPERTY_PATIENCE", "0");
        command.stdin(Stdio::null()).stdout(copied()?).stderr(copied()?);
        let mut group = Group::spawn(&mut command)?;
        let status = group.wait_until(Instant::now() + PATIENCE)?;
        Ok(status.is_some_and(|status| status.success()))
    }
}
