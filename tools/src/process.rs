//! Child processes that never outlive an interrupt and whose failures read as a sentence.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::fault::Interrupted;
use crate::signals;

/// How often a waiting parent looks at the interrupt flag.
const TICK: Duration = Duration::from_millis(50);

/// How to stop a child on an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// End its whole process group, by force after three seconds.
    AtOnce,
    /// Ask it, and wait until it has reached a safe point (a package manager in the middle of an
    /// installation).
    AtSafePoint,
}

/// A child in a process group of its own; dropping it ends the group.
#[derive(Debug)]
pub(crate) struct Group(Child);

impl Group {
    /// Starts `command` in a new process group.
    pub(crate) fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        let child = command.process_group(0).spawn().with_context(|| cannot_start(command))?;
        Ok(Self(child))
    }

    /// The child itself.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Waits for the child, ending it if this process is interrupted.
    pub(crate) fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        loop {
            if let Some(status) = self.look()? {
                return Ok(status);
            }
            std::thread::sleep(TICK);
        }
    }

    /// The same until `deadline`, when it is ended: `None`.
    pub(crate) fn wait_until(&mut self, deadline: Instant) -> anyhow::Result<Option<ExitStatus>> {
        while Instant::now() < deadline {
            if let Some(status) = self.look()? {
                return Ok(Some(status));
            }
            std::thread::sleep(TICK);
        }
        self.end();
        Ok(None)
    }

    /// Whether the child has ended; it is ended if this process is interrupted.
    fn look(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        let status = self.0.try_wait().context("cannot wait for a child process")?;
        if status.is_none() && signals::interrupted() {
            self.end();
            return Err(Interrupted.into());
        }
        Ok(status)
    }

    /// Ends the group: politely, then by force after three seconds.
    pub(crate) fn end(&mut self) {
        if matches!(self.0.try_wait(), Ok(Some(_))) {
            return;
        }
        self.signal(Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(3);
        while Instant::now() < deadline {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(TICK);
        }
        self.signal(Signal::KILL);
        drop(self.0.wait());
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = pid(&self.0) {
            let _ = kill_process_group(pid, signal); // it may be gone
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
    }
}

fn pid(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

fn cannot_start(command: &Command) -> String {
    format!("cannot start `{}`; is it installed?", command.get_program().display())
}

/// Runs `command` with this process's own output streams and waits for it.
pub(crate) fn attached(command: &mut Command) -> anyhow::Result<ExitStatus> {
    Group::spawn(command.stdin(Stdio::null()))?.wait()
}

/// Runs `command` with the terminal in its hands (for a password prompt).
pub(crate) fn with_terminal(command: &mut Command) -> anyhow::Result<ExitStatus> {
    command.status().with_context(|| cannot_start(command))
}

/// Runs `command`, returns its standard output, and fails with its last words if it fails.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let mut text = String::new();
    captured(command, Stop::AtOnce, &mut |line| {
        text.push_str(line);
        text.push('\n');
    })?;
    Ok(text)
}

/// Runs `command`, hands each line of its standard output to `on_line`, and fails with its last
/// words if it fails.
pub(crate) fn captured(
    command: &mut Command,
    stop: Stop,
    on_line: &mut dyn FnMut(&str),
) -> anyhow::Result<()> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if stop == Stop::AtOnce {
        command.process_group(0);
    }
    let mut child = command.spawn().with_context(|| cannot_start(command))?;
    let (sender, lines) = channel();
    forward(child.stdout.take(), &sender, Line::Out);
    forward(child.stderr.take(), &sender, Line::Err);
    drop(sender);
    let mut last_words = LastWords::default();
    let interrupted = supervise(&child, stop, &lines, &mut |line| match line {
        Line::Out(text) => {
            last_words.hear(&text);
            on_line(&text);
        }
        Line::Err(text) => last_words.hear(&text),
    });
    let status = child.wait().context("cannot wait for a child process")?;
    if interrupted {
        return Err(Interrupted.into());
    }
    if !status.success() {
        let name = command.get_program().to_string_lossy().into_owned();
        bail!("`{name}` failed ({status}): {}", last_words.sentence());
    }
    Ok(())
}

enum Line {
    Out(String),
    Err(String),
}

fn forward<R: Read + Send + 'static>(
    stream: Option<R>,
    sender: &Sender<Line>,
    wrap: fn(String) -> Line,
) {
    let Some(stream) = stream else { return };
    let sender = sender.clone();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut buffer = Vec::new();
        while reader.read_until(b'\n', &mut buffer).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&buffer).trim_end().to_owned();
            if sender.send(wrap(text)).is_err() {
                return;
            }
            buffer.clear();
        }
    });
}

/// Passes lines on until the child closes its streams; true if an interrupt ended it.
fn supervise(
    child: &Child,
    stop: Stop,
    lines: &Receiver<Line>,
    on_line: &mut dyn FnMut(Line),
) -> bool {
    let mut asked: Option<Instant> = None;
    loop {
        match lines.recv_timeout(TICK) {
            Ok(line) => on_line(line),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return asked.is_some(),
        }
        if !signals::interrupted() {
            continue;
        }
        let Some(pid) = pid(child) else { return true };
        match (stop, asked) {
            (Stop::AtOnce, None) => {
                let _ = kill_process_group(pid, Signal::TERM);
            }
            (Stop::AtOnce, Some(since)) if since.elapsed() > Duration::from_secs(3) => {
                let _ = kill_process_group(pid, Signal::KILL);
                return true;
            }
            (Stop::AtSafePoint, None) => {
                eprintln!("waiting for the package manager to reach a safe point ...");
                let _ = kill_process(pid, Signal::INT);
            }
            (Stop::AtOnce | Stop::AtSafePoint, Some(_)) => {}
        }
        asked.get_or_insert_with(Instant::now);
    }
}

/// The lines of a child's output that are worth repeating when it fails.
#[derive(Default)]
struct LastWords {
    recent: VecDeque<String>,
}

impl LastWords {
    fn hear(&mut self, line: &str) {
        let line = line.trim();
        if line.is_empty() || line.starts_with("dlstatus:") || line.starts_with("pmstatus:") {
            return;
        }
        if self.recent.len() == 40 {
            self.recent.pop_front();
        }
        self.recent.push_back(line.to_owned());
    }

    fn sentence(&self) -> String {
        const SIGNS: [&str; 6] = ["E: ", "error", "Error", "No space left", "cannot", "failed"];
        let no_space = self.recent.iter().any(|line| line.contains("No space left"));
        if no_space {
            return "the disk is full; free some space (or set CAIRN_CACHE to a new folder on another disk) and try again"
                .to_owned();
        }
        let telling = self.recent.iter().find(|line| SIGNS.iter().any(|sign| line.contains(sign)));
        telling.or(self.recent.back()).cloned().unwrap_or_else(|| "it said nothing".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_captured() {
        assert_eq!(output(Command::new("sh").args(["-c", "echo a; echo b"])).unwrap(), "a\nb\n");
    }

    #[test]
    fn a_failure_repeats_the_telling_line() {
        let script = "echo one; echo 'E: broken thing' >&2; echo later; exit 3";
        let error = output(Command::new("sh").args(["-c", script])).unwrap_err().to_string();
        assert!(error.contains("broken thing") && error.contains('3'), "{error}");
    }

    #[test]
    fn a_full_disk_is_recognised() {
        let script = "echo 'tar: write error: No space left on device' >&2; exit 2";
        let error = output(Command::new("sh").args(["-c", script])).unwrap_err().to_string();
        assert!(error.contains("the disk is full"), "{error}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = output(&mut Command::new("no-such-program-here")).unwrap_err().to_string();
        assert!(error.contains("no-such-program-here"), "{error}");
    }

    #[test]
    fn a_child_that_goes_on_for_ever_is_ended() {
        let spawn = |text: &str| Group::spawn(Command::new("sh").args(["-c", text])).unwrap();
        let soon = || Instant::now() + Duration::from_millis(200);
        assert!(spawn("sleep 100").wait_until(soon()).unwrap().is_none());
        let later = Instant::now() + Duration::from_secs(100);
        assert!(spawn("exit 0").wait_until(later).unwrap().unwrap().success());
    }

    #[test]
    fn a_dropped_group_ends_its_grandchildren() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 100 & wait"]);
        let mut group = Group::spawn(&mut command).unwrap();
        let pid = pid(group.child()).unwrap();
        drop(group);
        // The orphan is buried by its new parent, which may take a while on a busy machine.
        let is_gone = || kill_process_group(pid, Signal::CONT).is_err();
        let limit = Instant::now() + Duration::from_secs(10);
        while !is_gone() && Instant::now() < limit {
            std::thread::sleep(TICK);
        }
        assert!(is_gone());
    }
}
