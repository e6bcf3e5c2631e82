//! A copy of the sources under `target/`, in which faults do no harm.
//!
//! All faults are in the copy at once, each behind a switch: `if is(7) { wrong } else { right }`.
//! So the copy is built once, and the environment of a test says which fault it has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::table::{FAULTS, Fault};
use crate::fault::IoContext;
use crate::paths::{output, root};

/// Names the fault that the tests of the copy have, by its number from 1 on.
pub(super) const VARIABLE: &str = "CAIRN_SEEDED";

/// Added to the lowest crate of the monitor, which all others see.
const SWITCH: (&str, &str) = (
    "machine/src/lib.rs",
    "
/// Which fault there is.
pub mod seeded {
    use core::sync::atomic::{AtomicUsize, Ordering};

    static CHOSEN: AtomicUsize = AtomicUsize::new(0);

    /// From now on there is the fault of this number; none if it is 0.
    pub fn choose(number: usize) {
        CHOSEN.store(number, Ordering::Relaxed);
    }

    /// Whether there is the fault of this number.
    pub fn is(number: usize) -> bool {
        CHOSEN.load(Ordering::Relaxed) == number
    }
}
",
);

/// Where the tests look at the environment: each time a simulated machine is made.
const CHOICE: [&str; 3] = [
    "tests/src/machine/mod.rs",
    "pub fn over(profile: Profile, edition: Edition) -> Self {",
    "
        let chosen = std::env::var(\"CAIRN_SEEDED\").ok();
        ::machine::seeded::choose(chosen.and_then(|number| number.parse().ok()).unwrap_or(0));",
];

/// The copy.
#[derive(Debug)]
pub(super) struct Sources {
    /// Its top folder.
    pub folder: PathBuf,
}

impl Sources {
    /// Brings the copy to the state of the checkout, with all faults. Files that stay the same keep
    /// their times, so that they are not built again.
    pub(super) fn make() -> anyhow::Result<Self> {
        let folder = output()?.join("seeded").join("sources");
        std::fs::create_dir_all(&folder).at("make the folder", &folder)?;
        let wanted = files(&root())?;
        for gone in files(&folder)?.difference(&wanted) {
            let gone = folder.join(gone);
            std::fs::remove_file(&gone).at("remove", &gone)?;
        }
        let mut changed = changed()?;
        for file in &wanted {
            let content = match changed.remove(file) {
                Some(text) => text.into_bytes(),
                None => {
                    let from = root().join(file);
                    std::fs::read(&from).at("read", &from)?
                }
            };
            refresh(&content, &folder.join(file))?;
        }
        Ok(Self { folder })
    }
}

/// The files with faults, and those with what chooses one.
fn changed() -> anyhow::Result<BTreeMap<PathBuf, String>> {
    let mut changed = BTreeMap::new();
    for (number, fault) in (1..).zip(FAULTS) {
        let source = text_of(&mut changed, fault.file)?;
        *source = fault.added(number, source).with_context(|| fault.name.to_owned())?;
    }
    let (file, module) = SWITCH;
    text_of(&mut changed, file)?.push_str(module);
    let [file, place, choice] = CHOICE;
    let source = text_of(&mut changed, file)?;
    if source.matches(place).count() != 1 {
        bail!("{file} does not have the place any more where a fault is chosen");
    }
    *source = source.replace(place, &format!("{place}{choice}"));
    Ok(changed)
}

/// The text of a file so far.
fn text_of<'c>(
    changed: &'c mut BTreeMap<PathBuf, String>,
    file: &str,
) -> anyhow::Result<&'c mut String> {
    let path = root().join(file);
    let entry = changed.entry(PathBuf::from(file));
    Ok(match entry {
        std::collections::btree_map::Entry::Occupied(there) => there.into_mut(),
        std::collections::btree_map::Entry::Vacant(free) => {
            free.insert(std::fs::read_to_string(&path).at("read", &path)?)
        }
    })
}

impl Fault {
    /// The source with this fault, behind its switch.
    ///
    /// # Errors
    ///
    /// The place where it belongs is not there any more, or is no single one.
    fn added(&self, number: usize, source: &str) -> anyhow::Result<String> {
        let Self { file, within, text, instead, .. } = *self;
        let switched =
            format!("(if ::machine::seeded::is({number}) {{ {instead} }} else {{ {text} }})");
        match (source.matches(within).count(), within.matches(text).count()) {
            (1, 1) => Ok(source.replace(within, &within.replace(text, &switched))),
            (0, _) => bail!("{file} does not have the text any more that the fault is in"),
            (count, 1) => bail!("{file} has the text {count} times that the fault is in"),
            (_, count) => bail!("the expression stands {count} times in its text"),
        }
    }
}

/// Writes a file if it differs.
fn refresh(content: &[u8], to: &Path) -> anyhow::Result<()> {
    if std::fs::read(to).is_ok_and(|there| there == content) {
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).at("make the folder", folder)?;
    }
    std::fs::write(to, content).at("write", to)
}

/// The files below a folder, relative to it: not what is built, and nothing hidden.
fn files(top: &Path) -> anyhow::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let here = top.join(&folder);
        for entry in std::fs::read_dir(&here).at("read", &here)? {
            let entry = entry.at("read", &here)?;
            let name = entry.file_name();
            let is_hidden = name.as_encoded_bytes().starts_with(b".");
            if is_hidden || name == "target" {
                continue;
            }
            let path = folder.join(name);
            let kind = entry.file_type().at("read", &here)?;
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                found.insert(path);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever changes a line with a fault for it has to change the fault too.
    #[test]
    fn every_fault_has_its_place() {
        let changed = changed().unwrap();
        let all: String = changed.into_values().collect();
        for number in 1..=FAULTS.len() {
            let switch = format!("seeded::is({number})");
            assert_eq!(all.matches(&switch).count(), 1, "{switch}");
        }
    }

    #[test]
    fn a_place_that_is_gone_or_not_the_only_one_is_refused() {
        let first = FAULTS.first().unwrap();
        let fault = Fault { within: "if a {", text: "a", instead: "b", ..*first };
        let switched = fault.added(3, "x; if a { }").unwrap();
        assert_eq!(switched, "x; if (if ::machine::seeded::is(3) { b } else { a }) { }");
        let why = |source| fault.added(3, source).unwrap_err().to_string();
        assert!(why("if b {").contains("any more"));
        assert!(why("if a { if a {").contains("2 times"));
        let twice = Fault { within: "a a", ..fault };
        assert!(twice.added(3, "a a").unwrap_err().to_string().contains("2 times in its text"));
    }
}
