//! The output folder, in which runs write files of fixed names: one run at a time, and the log before the last is kept.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use crate::fault::IoContext;
use crate::{paths, signals};

/// Waits until no other run uses the output folder, and keeps others out until it is dropped.
pub fn claim() -> anyhow::Result<File> {
    let folder = paths::output()?;
    let path = folder.join("lock");
    let file = File::create(&path).at("write", &path)?;
    hold(&file, &path, &folder)?;
    Ok(file)
}

/// Waits until no other process holds `file` at `path`, which stands for the use of `folder`, and holds it until it is closed.
pub fn hold(file: &File, path: &Path, folder: &Path) -> anyhow::Result<()> {
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => {
                if !told {
                    eprintln!("another run uses {}: waiting for it ...", folder.display());
                    told = true;
                }
                signals::check()?;
                std::thread::sleep(Duration::from_millis(200));
            }
            Err(TryLockError::Error(error)) => return Err(error).at("lock", path),
        }
    }
}

/// Begins the log at `path`. The one before it, which may tell of a failure, is kept under this name with `.1`.
pub fn log(path: &Path) -> anyhow::Result<File> {
    let mut before = path.as_os_str().to_owned();
    before.push(".1");
    if path.is_file() {
        std::fs::rename(path, before).at("keep", path)?;
    }
    File::create(path).at("write", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("cairn-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn one_run_waits_for_the_other() {
        let folder = scratch("claim");
        let path = folder.join("lock");
        let first = File::create(&path).unwrap();
        hold(&first, &path, &folder).unwrap();
        let second = File::create(&path).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| hold(&second, &path, &folder));
            std::thread::sleep(Duration::from_millis(300));
            assert!(!waiting.is_finished());
            drop(first);
            waiting.join().unwrap().unwrap();
        });
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_log_before_the_last_is_kept() {
        let folder = scratch("log");
        let path = folder.join("check.log");
        for text in ["first", "second", "third"] {
            drop(log(&path).unwrap());
            std::fs::write(&path, text).unwrap();
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"third");
        assert_eq!(std::fs::read(folder.join("check.log.1")).unwrap(), b"second");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
