//! The shell of `cargo xtask run` as a person meets it: this tool runs itself on a terminal of its
//! own and types. [`on_a_terminal`] does that for other steps too.
//!
//! Only there can be seen that Ctrl-C reaches what runs in the Realm, that the terminal shows
//! nothing that is meant for programs, and that it is left as it was found.

use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, tcgetattr};

use crate::cli::ImageOptions;
use crate::console::machine_lines;
use crate::fault::Verdict;
use crate::process::Group;
use crate::{run, signals};

/// The longest time without a byte on the terminal. Whoever works, says something now and then.
const SILENCE: Duration = Duration::from_secs(120);

/// What the shell shows when it waits for a command.
pub(crate) const PROMPT: &str = "~ # ";

/// Ctrl-C as a terminal sends it.
const CTRL_C: &str = "\x03";

/// Boots Linux on a terminal, uses its shell, and powers off.
///
/// # Errors
///
/// Something does not happen, or something is shown that should not be.
pub(crate) fn check() -> anyhow::Result<()> {
    run::image(&ImageOptions::default())?; // a build that is up to date has no silence in it
    let seen = on_a_terminal(&["run".into()], converse)?;
    ensure!(seen.contains("The machine powered off."), "the machine did not power off");
    if let Some(line) = seen.lines().find(|line| machine_lines::is_one(line)) {
        return Err(Verdict(format!("the terminal shows a line for programs: {line}")).into());
    }
    println!(
        "The shell answers, Ctrl-C reaches it, and the terminal shows what is for people only."
    );
    Ok(())
}

/// Runs this tool with `arguments` on a terminal, where `converse` types until the tool is about to
/// end; returns all that was shown.
///
/// # Errors
///
/// `converse` fails, or the tool does, or it leaves the terminal in another mode.
pub(crate) fn on_a_terminal(
    arguments: &[OsString],
    converse: impl FnOnce(&mut Terminal, &mut Group) -> anyhow::Result<()>,
) -> anyhow::Result<String> {
    let (mut terminal, screen) = Terminal::open()?;
    let before = tcgetattr(&screen).context("the terminal has no modes")?;
    let mut command = Command::new(std::env::current_exe().context("this program has no path")?);
    let end = |fd: &OwnedFd| fd.try_clone().context("the terminal cannot be shared");
    command.args(arguments).stdin(end(&screen)?).stdout(end(&screen)?).stderr(end(&screen)?);
    let mut group = Group::spawn(&mut command)?;
    drop(command);
    let result = converse(&mut terminal, &mut group).and_then(|()| terminal.wait(&mut group));
    drop(group);
    print!("{}", terminal.seen());
    std::io::stdout().flush().context("cannot print what the terminal showed")?;
    let status = result?;
    ensure!(status.success(), "`run` ended with {status}");
    let after = tcgetattr(&screen).context("the terminal has no modes")?;
    ensure!(modes(&after) == modes(&before), "the terminal is left in another mode");
    Ok(terminal.seen())
}

/// What a person does.
fn converse(terminal: &mut Terminal, group: &mut Group) -> anyhow::Result<()> {
    terminal.expect(group, "in a Realm: 2 CPU(s)")?;
    terminal.expect(group, PROMPT)?;

    // The text that is typed comes back at once; in pieces, it does not look like the answer.
    terminal.enter("echo be''gun; sleep 36000\r")?;
    terminal.expect(group, "begun\r")?;
    std::thread::sleep(Duration::from_secs(2)); // `sleep` should be what is interrupted
    terminal.enter(CTRL_C)?;
    terminal.expect(group, PROMPT).context("Ctrl-C does not end `sleep`")?;
    terminal.enter("echo ended by signal $(($? - 128))\r")?;
    terminal.expect(group, "ended by signal 2\r")?;
    terminal.expect(group, PROMPT)?;

    terminal.enter("token\r")?;
    terminal.expect(group, "usage: token HEX > FILE")?;
    terminal.expect(group, PROMPT)?;
    terminal.enter("token abc; echo refused with $?\r")?;
    terminal.expect(group, "refused with 2\r")?;
    terminal.expect(group, PROMPT)?;

    // A shell that ends is followed by another.
    terminal.enter("exit\r")?;
    terminal.expect(group, PROMPT)?;

    terminal.enter("poweroff\r")
}

/// What a program may change about a terminal.
fn modes(termios: &Termios) -> [u32; 4] {
    [
        termios.input_modes.bits(),
        termios.output_modes.bits(),
        termios.control_modes.bits(),
        termios.local_modes.bits(),
    ]
}

/// The person's side of a terminal.
pub(crate) struct Terminal {
    file: File,
    /// All that was shown.
    bytes: Vec<u8>,
    /// How much of it has been looked at.
    looked_at: usize,
}

impl Terminal {
    /// A new terminal, and the side of it that programs get.
    fn open() -> anyhow::Result<(Self, OwnedFd)> {
        let failed = "cannot make a terminal; is /dev/pts mounted?";
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).context(failed)?;
        grantpt(&master).and_then(|()| unlockpt(&master)).context(failed)?;
        let name = ptsname(&master, Vec::new()).context(failed)?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let screen = rustix::fs::open(&name, flags, Mode::empty()).context(failed)?;
        let terminal = Self { file: File::from(master), bytes: Vec::new(), looked_at: 0 };
        Ok((terminal, screen))
    }

    /// Types.
    ///
    /// # Errors
    ///
    /// The terminal is gone.
    pub(crate) fn enter(&mut self, keys: &str) -> anyhow::Result<()> {
        self.file.write_all(keys.as_bytes()).context("cannot type")
    }

    fn seen(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Waits until `text` is shown after what was waited for before.
    ///
    /// # Errors
    ///
    /// The tool ends or falls silent instead.
    pub(crate) fn expect(&mut self, group: &mut Group, text: &str) -> anyhow::Result<()> {
        let mut last_byte = Instant::now();
        loop {
            let fresh = self.bytes.get(self.looked_at..).unwrap_or_default();
            if let Some(at) = fresh.windows(text.len()).position(|part| part == text.as_bytes()) {
                self.looked_at += at + text.len();
                return Ok(());
            }
            if self.read()? {
                last_byte = Instant::now();
            } else if let Some(status) = group.child().try_wait().context("`run` is lost")? {
                bail!("`run` ended with {status} instead of showing {text:?}");
            } else if last_byte.elapsed() > SILENCE {
                bail!("nothing for {} s instead of {text:?}", SILENCE.as_secs());
            }
        }
    }

    /// Waits until `run` has ended.
    fn wait(&mut self, group: &mut Group) -> anyhow::Result<std::process::ExitStatus> {
        let mut last_byte = Instant::now();
        loop {
            if self.read()? {
                last_byte = Instant::now();
            } else if let Some(status) = group.child().try_wait().context("`run` is lost")? {
                while self.read()? {} // its last words
                return Ok(status);
            } else if last_byte.elapsed() > SILENCE {
                bail!("`run` is quiet for {} s instead of ending", SILENCE.as_secs());
            }
        }
    }

    /// Takes what is shown within a moment; whether there was something.
    fn read(&mut self) -> anyhow::Result<bool> {
        signals::check()?;
        let timeout = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        let mut polled = [PollFd::new(&self.file, PollFlags::IN)];
        match poll(&mut polled, Some(&timeout)) {
            Ok(0) | Err(Errno::INTR) => return Ok(false),
            result => result.context("cannot wait for the terminal")?,
        };
        let mut buffer = [0; 4096];
        let count = match self.file.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => 0,
            Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => {
                // Everybody has closed the other side, and is about to end.
                std::thread::sleep(Duration::from_millis(50));
                0
            }
            result => result.context("cannot read from the terminal")?,
        };
        self.bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
        Ok(count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `sh` with `script` on a terminal.
    fn script_on_a_terminal(script: &str) -> (Terminal, Group) {
        let (terminal, screen) = Terminal::open().unwrap();
        let end = || screen.try_clone().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(end()).stdout(end()).stderr(end());
        let group = Group::spawn(&mut command).unwrap();
        (terminal, group)
    }

    #[test]
    fn a_conversation_goes_on_from_what_was_heard_last() {
        let (mut terminal, mut group) =
            script_on_a_terminal("echo one; read word; echo two $word; exit 3");
        terminal.expect(&mut group, "one\r\n").unwrap();
        terminal.enter("one\n").unwrap();
        terminal.expect(&mut group, "two one").unwrap();
        let error = terminal.expect(&mut group, "two").unwrap_err().to_string();
        assert!(error.contains("exit status: 3"), "{error}");
        assert_eq!(terminal.wait(&mut group).unwrap().code(), Some(3));
        assert!(terminal.seen().ends_with("two one\r\n"));
    }
}
