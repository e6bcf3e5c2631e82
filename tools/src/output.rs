//! The output folder: a lock for those who build, a folder for each run, and stable names for what
//! the last run has left.
//!
//! | Path below `target/cairn` | What |
//! | --- | --- |
//! | `lock` | held while something is built; its content names the holder |
//! | `runs/NAME-PROCESS` | what one run needs, and its logs, tokens, keys and monitor, which stay |
//! | `runs/NAME-PROCESS/owner` | held while that run lasts; its content names the holder |
//! | `latest` | a link to the folder of the run that began last |
//! | `FILE.log`, `FILE.token`, `FILE.pem` | a link to that file of the last run that has one of this name; `FILE.log.1`: of the one before |

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::bail;

use crate::fault::IoContext;
use crate::{paths, signals};

/// Runs that are over and stay, the newest ones. What a stable name leads to stays as well.
const KEPT_RUNS: usize = 10;

/// What of a run stays when it is over, by extension.
const KEPT_FILES: [&str; 5] = ["log", "token", "pem", "json", "elf"];

/// The file that a run holds as long as it lasts.
const OWNER: &str = "owner";

/// Longest text that names a holder.
const LONGEST_NAME: usize = 200;

/// Waits until nobody else builds in this checkout, and keeps others out until it is dropped.
pub(crate) fn building() -> anyhow::Result<File> {
    let folder = paths::output()?;
    lock(&folder.join("lock"), &folder)
}

/// Waits until no other process holds the file at `path`, which stands for the use of `folder`, and
/// holds it until it is closed. Whoever has to wait is told for whom.
pub(crate) fn lock(path: &Path, folder: &Path) -> anyhow::Result<File> {
    let mut told = false;
    loop {
        // Truncating it here would take the name of the holder away.
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = match file {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                // Who held it has removed the folder as well.
                std::fs::create_dir_all(path.parent().unwrap_or(path)).at("write", path)?;
                continue;
            }
            file => file.at("write", path)?,
        };
        match file.try_lock() {
            // Who held it before may have removed it: a lock on a file that nobody else finds keeps
            // nobody out.
            Ok(()) if is_at(&file, path) => {
                // A name is good to have; a full disk is told of by what needs it.
                drop(sign(&mut file));
                return Ok(file);
            }
            Ok(()) => continue,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error).at("lock", path),
        }
        if !told {
            eprintln!("{} uses {}: waiting for it ...", holder(&mut file), folder.display());
            told = true;
        }
        signals::check()?;
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Whether `file` is what stands at `path`.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(own), Ok(there)) = (file.metadata(), std::fs::metadata(path)) else { return false };
    (own.dev(), own.ino()) == (there.dev(), there.ino())
}

/// Writes who holds `file` into it.
fn sign(file: &mut File) -> std::io::Result<()> {
    let words: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().replace(char::is_control, "?"))
        .collect();
    let text = format!("process {} (`cargo xtask {}`)", std::process::id(), words.join(" "));
    let text: String = text.chars().take(LONGEST_NAME).collect();
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(text.as_bytes())
}

/// Who holds `file`, as far as it says.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_string(&mut text));
    match read {
        Ok(count) if count > 0 => text,
        Ok(_) | Err(_) => "another process".to_owned(),
    }
}

/// A run and its folder.
#[derive(Debug)]
pub(crate) struct Run {
    folder: PathBuf,
    /// Where the stable names are.
    output: PathBuf,
    /// Absent if the folder is shared.
    owner: Option<File>,
}

impl Run {
    /// Makes a folder for a run of this kind, which has it for itself.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub(crate) fn begin(name: &str) -> anyhow::Result<Self> {
        Self::begin_in(paths::output()?, name)
    }

    /// A run that leaves everything in the output folder itself, for somebody to use.
    ///
    /// # Errors
    ///
    /// There is no such folder.
    pub(crate) fn in_the_open() -> anyhow::Result<Self> {
        let output = paths::output()?;
        Ok(Self { folder: output.clone(), output, owner: None })
    }

    fn begin_in(output: PathBuf, name: &str) -> anyhow::Result<Self> {
        let runs = output.join("runs");
        std::fs::create_dir_all(&runs).at("make the folder", &runs)?;
        let _alone = lock(&runs.join("lock"), &runs)?;
        let process = std::process::id();
        let later = (2..).map(|n| runs.join(format!("{name}-{process}-{n}")));
        let mut names = [runs.join(format!("{name}-{process}"))].into_iter().chain(later);
        let Some(folder) = names.find(|folder| !folder.exists()) else { bail!("no name is free") };
        std::fs::create_dir(&folder).at("make the folder", &folder)?;
        let owner = lock(&folder.join(OWNER), &folder)?;
        link(&folder, &output.join("latest"))?;
        prune(&output, &runs);
        Ok(Self { folder, output, owner: Some(owner) })
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file of this run which has a stable name: afterwards the output folder leads to it.
    ///
    /// # Errors
    ///
    /// The link cannot be made.
    pub(crate) fn publish(&self, name: &str) -> anyhow::Result<PathBuf> {
        let (file, stable) = (self.folder.join(name), self.output.join(name));
        if self.owner.is_some() {
            link(&file, &stable)?;
        }
        Ok(file)
    }

    /// Begins a log of this name. The one before it, which may tell of a failure, keeps a stable
    /// name with `.1`.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub(crate) fn log(&self, name: &str) -> anyhow::Result<(PathBuf, File)> {
        let stable = self.output.join(name);
        if stable.is_file() {
            std::fs::rename(&stable, self.output.join(format!("{name}.1"))).at("keep", &stable)?;
        }
        let path = self.publish(name)?;
        let file = File::create(&path).at("write", &path)?;
        Ok((path, file))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.owner.is_none() {
            return;
        }
        // What was built for the run goes with it; nobody can be told of a failure.
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            if extension.is_some_and(|extension| KEPT_FILES.contains(&extension)) {
                continue;
            }
            drop(if path.is_dir() {
                std::fs::remove_dir_all(path)
            } else {
                std::fs::remove_file(path)
            });
        }
    }
}

/// Makes `stable` a link to `target`, whatever it was before; nobody sees it missing.
fn link(target: &Path, stable: &Path) -> anyhow::Result<()> {
    let folder = stable.parent().unwrap_or(stable);
    // The checkout may be moved.
    let target = target.strip_prefix(folder).unwrap_or(target);
    let mut partial = stable.as_os_str().to_owned();
    partial.push(format!(".partial-{}", std::process::id()));
    let partial = PathBuf::from(partial);
    drop(std::fs::remove_file(&partial));
    symlink(target, &partial).at("write", &partial)?;
    std::fs::rename(&partial, stable).at("write", stable)
}

/// Removes the folders of runs that are over, but for the newest ones and those that a stable name
/// leads to. Only for who holds the lock of `runs`.
fn prune(output: &Path, runs: &Path) {
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let named: Vec<PathBuf> = entries(output)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()))
        .filter_map(|entry| std::fs::canonicalize(entry.path()).ok())
        .collect();
    let began = |folder: &Path| {
        let owner = folder.join(OWNER);
        let metadata = std::fs::metadata(owner).or_else(|_| std::fs::metadata(folder));
        metadata.and_then(|found| found.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
    };
    let mut over: Vec<PathBuf> = entries(runs)
        .map(|entry| entry.path())
        .filter(|folder| folder.is_dir() && held_by(folder).is_none())
        .collect();
    over.sort_by_key(|folder| std::cmp::Reverse(began(folder)));
    for folder in over.into_iter().skip(KEPT_RUNS) {
        let real = std::fs::canonicalize(&folder).unwrap_or_else(|_| folder.clone());
        if !named.iter().any(|file| file.starts_with(&real)) {
            drop(std::fs::remove_dir_all(folder));
        }
    }
}

/// Who runs in this folder of a run, if the run is not over.
fn held_by(folder: &Path) -> Option<String> {
    let mut file = OpenOptions::new().read(true).open(folder.join(OWNER)).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(holder(&mut file)),
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

/// Removes the output folder `output` and the folder `built` of what is built for the machine, as
/// far as they exist, when nobody builds. Those that were removed.
///
/// # Errors
///
/// A machine runs out of `output`, or something cannot be removed.
pub(crate) fn remove<'p>(output: &'p Path, built: &'p Path) -> anyhow::Result<Vec<&'p Path>> {
    let there: Vec<&Path> = [output, built].into_iter().filter(|path| path.is_dir()).collect();
    if there.is_empty() {
        return Ok(there);
    }
    std::fs::create_dir_all(output).at("make the folder", output)?;
    let _building = lock(&output.join("lock"), output)?;
    let runs = output.join("runs");
    std::fs::create_dir_all(&runs).at("make the folder", &runs)?;
    let _alone = lock(&runs.join("lock"), &runs)?;
    let folders = std::fs::read_dir(&runs).at("read", &runs)?.flatten();
    let running: Vec<String> = folders.filter_map(|entry| held_by(&entry.path())).collect();
    if !running.is_empty() {
        bail!(
            "{} runs a machine out of {}: nothing was removed; end it first (Ctrl-A x in a shell), or wait",
            running.join(" and "),
            output.display()
        );
    }
    // The lock goes last: until then builders wait.
    if built.is_dir() {
        std::fs::remove_dir_all(built).at("remove", built)?;
    }
    std::fs::remove_dir_all(output).at("remove", output)?;
    Ok(there)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("cairn-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn one_waits_for_the_other_and_knows_its_name() {
        let folder = scratch("claim");
        let path = folder.join("lock");
        let first = lock(&path, &folder).unwrap();
        let name = holder(&mut File::open(&path).unwrap());
        assert!(
            name.starts_with(&format!("process {} (`cargo xtask", std::process::id())),
            "{name}"
        );
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| lock(&path, &folder));
            std::thread::sleep(Duration::from_millis(300));
            assert!(!waiting.is_finished());
            drop(first);
            waiting.join().unwrap().unwrap();
        });
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_lock_that_was_removed_with_its_folder_is_none() {
        let folder = scratch("removed");
        let path = folder.join("lock");
        let first = lock(&path, &folder).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| lock(&path, &folder).unwrap());
            std::thread::sleep(Duration::from_millis(300));
            std::fs::remove_dir_all(&folder).unwrap();
            drop(first);
            assert!(is_at(&waiting.join().unwrap(), &path));
        });
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_log_before_the_last_is_kept_under_a_stable_name() {
        let output = scratch("log");
        for text in ["first", "second", "third"] {
            let run = Run::begin_in(output.clone(), "check").unwrap();
            let (path, _) = run.log("check.log").unwrap();
            std::fs::write(path, text).unwrap();
            std::fs::write(run.folder().join("flash.bin"), text).unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(output.join(name)).unwrap();
        assert_eq!((read("check.log"), read("check.log.1")), ("third".into(), "second".into()));
        assert_eq!(read("latest/check.log"), "third");
        assert!(!output.join("latest/flash.bin").exists());
        std::fs::remove_dir_all(output).unwrap();
    }

    #[test]
    fn two_runs_at_once_share_nothing_and_old_ones_go() {
        let output = scratch("runs");
        let begin = || Run::begin_in(output.clone(), "run").unwrap();
        let first = begin();
        first.log("run.log").unwrap();
        for _ in 0..KEPT_RUNS + 3 {
            assert_ne!(begin().folder(), first.folder());
        }
        assert!(first.folder().exists());
        let count = || std::fs::read_dir(output.join("runs")).unwrap().count() - 1; // the lock
        assert_eq!(count(), KEPT_RUNS + 2);
        let named = first.folder().to_owned();
        drop(first);
        drop(begin());
        assert!(named.join("run.log").exists(), "a stable name leads to it");
        std::fs::remove_dir_all(output).unwrap();
    }

    #[test]
    fn what_a_machine_runs_out_of_is_not_removed() {
        let output = scratch("clean");
        let run = Run::begin_in(output.clone(), "run").unwrap();
        let built = output.with_extension("built");
        std::fs::create_dir_all(&built).unwrap();
        let error = remove(&output, &built).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        assert!(run.folder().exists() && built.exists());
        drop(run);
        assert_eq!(remove(&output, &built).unwrap(), [&output, &built]);
        assert!(!output.exists() && !built.exists());
        assert!(remove(&output, &built).unwrap().is_empty());
    }
}
