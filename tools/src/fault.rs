//! Failures as one clear sentence each, and the exit code that goes with them.

use std::any::Any;
use std::fmt;
use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use rustix::io::Errno;

/// The exit code of what a closed pipe has ended, as shells have it: 128 and SIGPIPE.
const CLOSED_PIPE: u8 = 141;

/// The user pressed Ctrl-C, or someone asked this process to end.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted; nothing half-made was kept, run the same command again to go on")
    }
}

impl std::error::Error for Interrupted {}

/// The command did its work and the answer is no; all has been printed already.
#[derive(Debug)]
pub(crate) struct Verdict(pub String);

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Verdict {}

/// How the panic of a `println` begins whose output takes no more.
const LOST_OUTPUT: &str = "failed printing to std";

/// Runs `work` and picks the exit code. Output that takes no more is a panic in Rust; here it ends
/// `work` like an error, so that all is cleaned up on the way out, and a reader that has gone (`|
/// head`) is no news.
pub(crate) fn guarded(work: impl FnOnce() -> anyhow::Result<()>) -> ExitCode {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if lost_output(info.payload()).is_none() {
            usual(info);
        }
    }));
    let payload = match panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(error)) => return report(&error),
        Err(payload) => payload,
    };
    match lost_output(&*payload) {
        Some(text) if text.ends_with(&io::Error::from(Errno::PIPE).to_string()) => {
            ExitCode::from(CLOSED_PIPE)
        }
        Some(text) => {
            report(&anyhow::anyhow!("cannot {}", text.replace("failed printing", "print")))
        }
        None => panic::resume_unwind(payload),
    }
}

/// The message of a panic of a `println`.
fn lost_output(payload: &dyn Any) -> Option<&str> {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .filter(|text| text.starts_with(LOST_OUTPUT))
}

/// Prints `error` as one paragraph and picks the exit code: 130 after an interrupt, else 1.
fn report(error: &anyhow::Error) -> ExitCode {
    let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
    let text = format!("{error:#}");
    // Nobody may be listening any more.
    let _ = writeln!(anstream::stderr(), "{red}error:{red:#} {}", text.trim_end());
    if error.is::<Interrupted>() { ExitCode::from(130) } else { ExitCode::FAILURE }
}

/// Does all that is left to do, whatever fails of it, and tells every failure.
pub(crate) fn all(results: impl Iterator<Item = anyhow::Result<()>>) -> anyhow::Result<()> {
    let faults: Vec<String> = results.filter_map(Result::err).map(|e| format!("{e:#}")).collect();
    if faults.is_empty() { Ok(()) } else { Err(Verdict(faults.join("\n")).into()) }
}

/// Adds to an I/O error what was being done to which path, and what to do about it.
pub(crate) trait IoContext<T> {
    /// `doing` completes "cannot ...", for example "write".
    ///
    /// # Errors
    ///
    /// The same error as a sentence.
    fn at(self, doing: &str, path: &Path) -> anyhow::Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn at(self, doing: &str, path: &Path) -> anyhow::Result<T> {
        self.map_err(|error| sentence(&error, doing, path))
    }
}

fn sentence(error: &io::Error, doing: &str, path: &Path) -> anyhow::Error {
    let path = path.display();
    let kind = error.kind();
    if kind == io::ErrorKind::StorageFull || kind == io::ErrorKind::QuotaExceeded {
        anyhow::anyhow!(
            "cannot {doing} {path}: the disk is full; free some space (or set CAIRN_CACHE to a new folder on another \
             disk) and run the same command again"
        )
    } else if kind == io::ErrorKind::NotFound {
        anyhow::anyhow!("cannot {doing} {path}: there is no such file; check the path")
    } else if kind == io::ErrorKind::PermissionDenied {
        anyhow::anyhow!("cannot {doing} {path}: permission denied; check who owns it")
    } else if kind == io::ErrorKind::IsADirectory {
        anyhow::anyhow!("cannot {doing} {path}: it is a folder")
    } else {
        anyhow::anyhow!("cannot {doing} {path}: {error}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_says_what_to_do() {
        let error: io::Result<()> = Err(io::ErrorKind::StorageFull.into());
        let text = error.at("write", Path::new("/x")).unwrap_err().to_string();
        assert!(text.contains("disk is full") && text.contains("CAIRN_CACHE"), "{text}");
    }

    #[test]
    fn one_failure_does_not_hide_another() {
        let mut done = 0;
        let steps = [Some("no file"), None, Some("2 failed")].into_iter().map(|fault| {
            done += 1;
            fault.map_or(Ok(()), |fault| Err(anyhow::anyhow!(fault)))
        });
        assert_eq!(all(steps).unwrap_err().to_string(), "no file\n2 failed");
        assert_eq!(done, 3);
        assert!(all([Ok(())].into_iter()).is_ok());
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = std::fs::read("/nonexistent/file").at("read", Path::new("/nonexistent/file"));
        assert!(
            error.unwrap_err().to_string().contains("/nonexistent/file: there is no such file")
        );
    }
}
