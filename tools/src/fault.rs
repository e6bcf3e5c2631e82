//! Failures as one clear sentence each, and the exit code that goes with them.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};

/// The user pressed Ctrl-C, or someone asked this process to end.
#[derive(Debug)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted; nothing half-made was kept, run the same command again to go on")
    }
}

impl std::error::Error for Interrupted {}

/// The command did its work and the answer is no; all has been printed already.
#[derive(Debug)]
pub struct Verdict(pub String);

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Verdict {}

/// Prints `error` as one paragraph and picks the exit code: 130 after an interrupt, else 1.
pub fn report(error: &anyhow::Error) -> ExitCode {
    let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
    let text = format!("{error:#}");
    anstream::eprintln!("{red}error:{red:#} {}", text.trim_end());
    if error.is::<Interrupted>() { ExitCode::from(130) } else { ExitCode::FAILURE }
}

/// Does all that is left to do, whatever fails of it, and tells every failure.
pub fn all(results: impl Iterator<Item = anyhow::Result<()>>) -> anyhow::Result<()> {
    let faults: Vec<String> = results.filter_map(Result::err).map(|e| format!("{e:#}")).collect();
    if faults.is_empty() { Ok(()) } else { Err(Verdict(faults.join("\n")).into()) }
}

/// Adds to an I/O error what was being done to which path, and what to do about it.
pub trait IoContext<T> {
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
