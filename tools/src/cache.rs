//! The cache: what is fetched or built once and shared by all checkouts.
//!
//! It lives in `$CAIRN_CACHE`, else `$XDG_CACHE_HOME/cairn`, else `~/.cache/cairn`. Every entry is
//! a folder that was made elsewhere and renamed into place, so an entry that exists is complete.
//! One process writes at a time.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::fault::IoContext;
use crate::output;
use crate::paths::write_whole;

/// Marks the folder as a cache (to us, and to backup programs).
const TAG_FILE: &str = "CACHEDIR.TAG";
const TAG: &str =
    "Signature: 8a477f597d28d172789f06886806bc55\n# Made by Cairn's `cargo xtask setup`.\n";
const LOCK_FILE: &str = "lock";

/// What set-up chose and where it put it.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Record {
    /// QEMU with RME that was tried and works.
    pub qemu: Option<Qemu>,
    /// Trusted Firmware-A, built.
    pub tf_a: Option<Entry>,
    /// Trusted Firmware-A, built for Arm FVP.
    pub fvp: Option<Entry>,
    /// Guest kernel, its modules and busybox.
    pub guest: Option<Entry>,
    /// Debian's U-Boot.
    pub boot_loader: Option<Entry>,
}

/// A folder in the cache.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Name of the folder below the cache.
    pub folder: String,
    /// What is in it, for people.
    pub version: String,
}

/// A QEMU binary that passed the test for RME.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Qemu {
    /// The binary.
    pub path: PathBuf,
    /// Its size and modification time (seconds), to notice a change.
    pub stamp: (u64, i64),
    /// Its version, for people.
    pub version: String,
}

/// The cache folder.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// Finds the cache folder; it need not exist.
    pub(crate) fn locate() -> anyhow::Result<Self> {
        let variable = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let root = variable("CAIRN_CACHE")
            .or_else(|| variable("XDG_CACHE_HOME").map(|dir| dir.join("cairn")))
            .or_else(|| variable("HOME").map(|dir| dir.join(".cache/cairn")))
            .context("there is no place for the cache: set CAIRN_CACHE to a folder")?;
        Ok(Self { root: std::path::absolute(root).context("the cache path is not usable")? })
    }

    /// The folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of `entry`, if it is there.
    pub(crate) fn folder(&self, entry: Option<&Entry>) -> Option<PathBuf> {
        entry.map(|entry| self.root.join(&entry.folder)).filter(|path| path.is_dir())
    }

    /// Reads the record of the last set-up; an unreadable one counts as none.
    pub(crate) fn record(&self) -> Record {
        std::fs::read(self.root.join("setup.json"))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    /// Waits until no other process writes to the cache, making the folder first.
    pub(crate) fn lock(&self) -> anyhow::Result<Locked<'_>> {
        std::fs::create_dir_all(&self.root).at("make the folder", &self.root)?;
        self.refuse_foreign()?;
        let path = self.root.join(LOCK_FILE);
        let file = output::lock(&path, &self.root)?;
        let locked = Locked { cache: self, _file: file };
        locked.prepare()?;
        Ok(locked)
    }

    /// Whether this tool has tagged the folder.
    fn is_tagged(&self) -> bool {
        std::fs::read(self.root.join(TAG_FILE)).is_ok_and(|tag| tag == TAG.as_bytes())
    }

    /// Refuses a folder in which somebody else has files: a cache loses what this tool does not
    /// know.
    fn refuse_foreign(&self) -> anyhow::Result<()> {
        if self.is_tagged() {
            return Ok(());
        }
        for entry in std::fs::read_dir(&self.root).at("read", &self.root)? {
            let name = entry.at("read", &self.root)?.file_name();
            let name = name.to_string_lossy();
            // Another process may be about to tag it, or may have been ended just before.
            if name != LOCK_FILE
                && !name.starts_with(&format!("{TAG_FILE}.partial-"))
                && !self.is_tagged()
            {
                bail!(
                    "{} is not empty and not a cache made by this tool (it holds {name}); set CAIRN_CACHE to a new or \
                     empty folder",
                    self.root.display()
                );
            }
        }
        Ok(())
    }

    /// Removes the whole cache; false if there was none.
    pub(crate) fn remove(&self) -> anyhow::Result<bool> {
        if !self.root.exists() {
            return Ok(false);
        }
        if !self.is_tagged() {
            bail!(
                "{} does not look like a cache made by this tool (it has no {TAG_FILE} of ours); remove it by hand if \
                 you are sure",
                self.root.display()
            );
        }
        let _locked = self.lock()?;
        std::fs::remove_dir_all(&self.root).at("remove", &self.root)?;
        Ok(true)
    }
}

/// The cache while this process alone may write to it.
#[derive(Debug)]
pub(crate) struct Locked<'a> {
    cache: &'a Cache,
    _file: File,
}

impl Locked<'_> {
    /// Tags the folder and removes what an earlier process left half-made.
    fn prepare(&self) -> anyhow::Result<()> {
        if !self.cache.is_tagged() {
            write_whole(&self.cache.root.join(TAG_FILE), TAG.as_bytes())?;
        }
        let left_over = self.cache.root.join("tmp");
        if left_over.is_dir() {
            std::fs::remove_dir_all(&left_over).at("remove", &left_over)?;
        }
        Ok(())
    }

    /// An empty folder on the cache's disk that disappears unless it is committed.
    pub(crate) fn stage(&self, name: &str) -> anyhow::Result<Stage> {
        let path = self.cache.root.join("tmp").join(name);
        if path.is_dir() {
            std::fs::remove_dir_all(&path).at("remove", &path)?;
        }
        std::fs::create_dir_all(&path).at("make the folder", &path)?;
        Ok(Stage { path, root: self.cache.root.clone() })
    }

    /// Replaces the record of what is set up.
    pub(crate) fn store(&self, record: &Record) -> anyhow::Result<()> {
        let mut text =
            serde_json::to_vec_pretty(record).context("cannot write the set-up record")?;
        text.push(b'\n');
        write_whole(&self.cache.root.join("setup.json"), &text)
    }

    /// Removes entries whose name starts with `prefix`, except `keep`.
    pub(crate) fn prune(&self, prefix: &str, keep: &str) -> anyhow::Result<()> {
        let root = &self.cache.root;
        for entry in std::fs::read_dir(root).at("read", root)? {
            let entry = entry.at("read", root)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(prefix) && name != keep {
                std::fs::remove_dir_all(entry.path()).at("remove", &entry.path())?;
            }
        }
        Ok(())
    }

    /// Fails early if the disk has less than `needed` bytes left.
    pub(crate) fn require_space(&self, needed: u64) -> anyhow::Result<()> {
        let Ok(disk) = rustix::fs::statvfs(&self.cache.root) else { return Ok(()) };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < needed {
            bail!(
                "the disk of {} is too full: {} MB are free and set-up needs {} MB; free some space or set CAIRN_CACHE \
                 to a new folder on another disk",
                self.cache.root.display(),
                free >> 20,
                needed >> 20
            );
        }
        Ok(())
    }
}

/// A folder in the making.
#[derive(Debug)]
pub(crate) struct Stage {
    path: PathBuf,
    root: PathBuf,
}

impl Stage {
    /// Where to make it.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a folder inside.
    pub(crate) fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.path.join(name);
        std::fs::create_dir_all(&path).at("make the folder", &path)?;
        Ok(path)
    }

    /// Moves the folder `made` inside this stage into the cache as `name`, flushed to disk,
    /// replacing what was there.
    pub(crate) fn commit(&self, made: &Path, name: &str) -> anyhow::Result<()> {
        let place = self.root.join(name);
        sync(made)?;
        if place.exists() {
            let old = self.path.join("replaced");
            std::fs::rename(&place, &old).at("replace", &place)?;
        }
        std::fs::rename(made, &place).at("write", &place)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.path));
        if let Some(parent) = self.path.parent() {
            drop(std::fs::remove_dir(parent)); // succeeds for the last stage
        }
    }
}

/// Flushes the files of one folder, so that a power cut after the rename finds them whole.
fn sync(folder: &Path) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder).at("read", folder)? {
        let path = entry.at("read", folder)?.path();
        if path.is_dir() {
            sync(&path)?;
        } else {
            let mut file = File::options().append(true).open(&path).at("write", &path)?;
            file.flush().and_then(|()| file.sync_all()).at("write", &path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> Cache {
        let root = std::env::temp_dir().join(format!("cairn-cache-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&root));
        Cache { root }
    }

    #[test]
    fn a_stage_leaves_nothing_unless_committed() {
        let cache = scratch("stage");
        let locked = cache.lock().unwrap();
        let stage = locked.stage("one").unwrap();
        std::fs::write(stage.folder("made").unwrap().join("file"), "x").unwrap();
        drop(stage);
        assert!(!cache.root.join("tmp").exists() && !cache.root.join("thing").exists());

        let stage = locked.stage("two").unwrap();
        let made = stage.folder("made").unwrap();
        std::fs::write(made.join("file"), "x").unwrap();
        stage.commit(&made, "thing").unwrap();
        drop(stage);
        assert!(cache.root.join("thing/file").is_file() && !cache.root.join("tmp").exists());
        drop(locked);
        assert!(cache.remove().unwrap());
        assert!(!cache.remove().unwrap());
    }

    #[test]
    fn records_survive_and_broken_ones_are_forgotten() {
        let cache = scratch("record");
        let record = Record {
            guest: Some(Entry { folder: "a".into(), version: "1".into() }),
            ..Record::default()
        };
        cache.lock().unwrap().store(&record).unwrap();
        assert_eq!(cache.record(), record);
        std::fs::write(cache.root.join("setup.json"), "{").unwrap();
        assert_eq!(cache.record(), Record::default());
        cache.remove().unwrap();
    }

    #[test]
    fn a_folder_that_is_not_a_cache_is_not_removed() {
        let cache = scratch("foreign");
        std::fs::create_dir_all(&cache.root).unwrap();
        // The tag of another program does not make it ours.
        for tag in ["", "Signature: 8a477f597d28d172789f06886806bc55\n"] {
            assert!(cache.remove().unwrap_err().to_string().contains("does not look like a cache"));
            std::fs::write(cache.root.join(TAG_FILE), tag).unwrap();
        }
        std::fs::remove_dir_all(&cache.root).unwrap();
    }

    #[test]
    fn a_folder_with_files_of_somebody_else_is_left_alone() {
        let cache = scratch("adopted");
        let file = cache.root.join("tmp/mine");
        std::fs::create_dir_all(cache.root.join("tmp")).unwrap();
        std::fs::write(&file, "mine").unwrap();
        let error = cache.lock().unwrap_err().to_string();
        assert!(error.contains("not empty") && error.contains("it holds tmp"), "{error}");
        assert_eq!(std::fs::read_dir(&cache.root).unwrap().count(), 1);
        assert!(file.is_file());
        // What another process leaves that was ended early is no hindrance.
        std::fs::remove_dir_all(cache.root.join("tmp")).unwrap();
        std::fs::write(cache.root.join(LOCK_FILE), "").unwrap();
        drop(cache.lock().unwrap());
        assert!(cache.remove().unwrap());
    }

    #[test]
    fn pruning_keeps_the_current_entry() {
        let cache = scratch("prune");
        let locked = cache.lock().unwrap();
        for name in ["guest-1", "guest-2", "tf-a-1"] {
            std::fs::create_dir(cache.root.join(name)).unwrap();
        }
        locked.prune("guest-", "guest-2").unwrap();
        assert!(!cache.root.join("guest-1").exists());
        assert!(cache.root.join("guest-2").exists() && cache.root.join("tf-a-1").exists());
        drop(locked);
        cache.remove().unwrap();
    }
}
