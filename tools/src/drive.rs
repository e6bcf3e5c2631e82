//! The loop that connects a machine's serial ports to a listener and our keyboard to the machine,
//! until something ends it.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::process::Group;
use crate::signals;

/// What is said when a pipe or socket of the machine fails.
pub(crate) const LOST: &str = "the connection to the machine was lost";

/// A machine that can be started.
pub(crate) trait Board {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// It does not start.
    fn start(&self) -> anyhow::Result<Box<dyn Started>>;

    /// What runs it, as a sentence names it.
    fn name(&self) -> &'static str;
}

/// A started machine; dropping it ends it.
pub(crate) trait Started {
    /// Connects the serial ports to `listener` (and, if `keyboard`, our standard input to the
    /// machine) until something ends it.
    ///
    /// # Errors
    ///
    /// The connection is lost, or the listener fails.
    fn drive(
        &mut self,
        listener: &mut dyn Listener,
        keyboard: bool,
        patience: Option<Duration>,
    ) -> anyhow::Result<Ended>;

    /// What the program that runs the machine said, on one line.
    fn messages(&self) -> String;
}

/// A serial port of the machine: a pipe or a socket.
pub(crate) trait Source: Read + AsFd {}

impl<T: Read + AsFd> Source for T {}

/// Why the machine stopped.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The machine's process ended by itself.
    ByItself(ExitStatus),
    /// The listener wanted no more.
    Stopped,
    /// The patience was at its end: the listener has seen no sign of progress for so long.
    NoProgress,
}

/// Whether the loop should go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Go on.
    Continue,
    /// Stop the machine.
    Stop,
}

/// What listens to the UART and may type on it.
pub(crate) trait Listener {
    /// The machine sent these bytes.
    fn received(&mut self, bytes: &[u8]) -> anyhow::Result<Flow>;

    /// The user typed these bytes; what comes back is sent to the machine.
    fn typed(&mut self, bytes: &[u8]) -> (Vec<u8>, Flow);

    /// What the machine has asked for and gets typed.
    fn answer(&mut self) -> Vec<u8>;

    /// Nothing happened for a moment.
    fn idle(&mut self) -> anyhow::Result<Flow>;

    /// Whether the machine has got anywhere since this was asked last.
    fn takes_progress(&mut self) -> bool;
}

/// Connects `sources` and `sink` of the machine `group` to `listener` (and, if `keyboard`, our
/// standard input to the sink) until something ends it. The machine ends by itself when it has
/// closed all sources. With `patience` it is ended when it makes no progress for so long, however
/// long it has run before.
pub(crate) fn drive(
    group: &mut Group,
    mut sources: Vec<Box<dyn Source>>,
    sink: &mut dyn Write,
    listener: &mut dyn Listener,
    keyboard: bool,
    patience: Option<Duration>,
) -> anyhow::Result<Ended> {
    let mut keyboard = keyboard.then(std::io::stdin);
    let mut last_progress = Instant::now();
    let mut buffer = [0; 4096];
    loop {
        signals::check()?;
        let (ready, from_user) = wait(&sources, keyboard.as_ref())?;
        let from_machine = !ready.is_empty();
        let mut flow = Flow::Continue;
        // From the last to the first, so that a closed source can be taken out.
        for index in ready.into_iter().rev() {
            let Some(source) = sources.get_mut(index) else { continue };
            let count = match source.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
                result => result.context(LOST)?,
            };
            if count == 0 {
                drop(sources.remove(index));
                continue;
            }
            if listener.received(buffer.get(..count).unwrap_or_default())? == Flow::Stop {
                flow = Flow::Stop;
            }
            let answer = listener.answer();
            if !answer.is_empty() {
                sink.write_all(&answer).and_then(|()| sink.flush()).context(LOST)?;
            }
        }
        if sources.is_empty() {
            return Ok(Ended::ByItself(group.wait()?));
        }
        if from_user {
            // Not through `Stdin`, whose buffer would hide bytes from `poll`.
            let count = rustix::io::read(rustix::stdio::stdin(), &mut buffer).unwrap_or(0);
            if count == 0 {
                keyboard = None;
            }
            let (bytes, wish) = listener.typed(buffer.get(..count).unwrap_or_default());
            sink.write_all(&bytes).and_then(|()| sink.flush()).context(LOST)?;
            if wish == Flow::Stop {
                flow = Flow::Stop;
            }
        }
        if !from_machine && flow == Flow::Continue {
            flow = listener.idle()?;
        }
        if flow == Flow::Stop {
            return Ok(Ended::Stopped);
        }
        if listener.takes_progress() {
            last_progress = Instant::now();
        }
        if patience.is_some_and(|patience| last_progress.elapsed() > patience) {
            return Ok(Ended::NoProgress);
        }
    }
}

/// Waits up to 50 ms for bytes: the indices of the sources that have some, and whether the user has
/// typed.
fn wait(
    sources: &[Box<dyn Source>],
    keyboard: Option<&std::io::Stdin>,
) -> anyhow::Result<(Vec<usize>, bool)> {
    let timeout = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
    let mut polled: Vec<PollFd<'_>> =
        sources.iter().map(|source| PollFd::new(source, PollFlags::IN)).collect();
    if let Some(keyboard) = keyboard {
        polled.push(PollFd::new(keyboard, PollFlags::IN));
    }
    match poll(&mut polled, Some(&timeout)) {
        Ok(_) => {}
        Err(rustix::io::Errno::INTR) => return Ok((Vec::new(), false)),
        Err(error) => return Err(error).context("cannot wait for the machine"),
    }
    let is_ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
    let user = keyboard.is_some() && polled.pop().is_some_and(|fd| is_ready(&fd));
    let ready = polled.iter().enumerate().filter(|(_, fd)| is_ready(fd)).map(|(index, _)| index);
    Ok((ready.collect(), user))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// Counts `sign` as progress, and nothing else.
    struct Signs(bool);

    impl Listener for Signs {
        fn received(&mut self, bytes: &[u8]) -> anyhow::Result<Flow> {
            self.0 |= bytes.starts_with(b"sign");
            Ok(Flow::Continue)
        }

        fn typed(&mut self, _: &[u8]) -> (Vec<u8>, Flow) {
            (Vec::new(), Flow::Continue)
        }

        fn answer(&mut self) -> Vec<u8> {
            Vec::new()
        }

        fn idle(&mut self) -> anyhow::Result<Flow> {
            Ok(Flow::Continue)
        }

        fn takes_progress(&mut self) -> bool {
            std::mem::take(&mut self.0)
        }
    }

    fn ended(script: &str, patience: Duration) -> Ended {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut group = Group::spawn(&mut command).unwrap();
        let output = group.child().stdout.take().unwrap();
        let sources: Vec<Box<dyn Source>> = vec![Box::new(output)];
        let mut listener = Signs(false);
        drive(&mut group, sources, &mut Vec::new(), &mut listener, false, Some(patience)).unwrap()
    }

    #[test]
    fn what_gets_anywhere_may_take_as_long_as_it_likes() {
        let script = "for n in 1 2 3 4 5 6 7 8; do echo sign; sleep 1; done";
        let ended = ended(script, Duration::from_secs(5));
        assert!(matches!(ended, Ended::ByItself(status) if status.success()), "{ended:?}");
    }

    #[test]
    fn what_only_talks_is_ended() {
        let script = "while :; do echo noise; sleep 0.1; done";
        let ended = ended(script, Duration::from_secs(1));
        assert!(matches!(ended, Ended::NoProgress), "{ended:?}");
    }
}
