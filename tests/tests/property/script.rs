//! Sequences that once failed, as files: the kind of machine, then one operation in a line.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use cairn_tests::differential::operation::{Operation, read_script, write_script};
use cairn_tests::machine::config::Profile;

/// Kinds of machines that sequences run on.
const PROFILES: [Profile; 3] = [Profile::Small, Profile::Max, Profile::Plain];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions")
}

/// The file's contents for a sequence and why it failed.
fn write(profile: Profile, operations: &[Operation], why: &str) -> String {
    let script = write_script(why, operations);
    format!("machine {profile:?}\n{script}")
}

/// Reads such a file.
fn read(text: &str) -> Option<(Profile, Vec<Operation>)> {
    let (first, rest) = text.split_once('\n')?;
    let name = first.strip_prefix("machine ")?;
    let profile = PROFILES.into_iter().find(|profile| format!("{profile:?}") == name)?;
    Some((profile, read_script(rest).ok()?))
}

/// Keeps a failing sequence; the name of its file.
pub(crate) fn keep(profile: Profile, operations: &[Operation], why: &str) -> PathBuf {
    let text = write(profile, operations, why);
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let file = folder().join(format!("{:016x}.txt", hasher.finish()));
    std::fs::create_dir_all(folder()).unwrap();
    std::fs::write(&file, text).unwrap();
    file
}

/// All sequences that were kept.
pub(crate) fn all() -> Vec<(PathBuf, Profile, Vec<Operation>)> {
    let Ok(entries) = std::fs::read_dir(folder()) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files
        .into_iter()
        .map(|file| {
            let text = std::fs::read_to_string(&file).unwrap();
            let (profile, operations) =
                read(&text).unwrap_or_else(|| panic!("{}: not a script", file.display()));
            (file, profile, operations)
        })
        .collect()
}

#[test]
fn a_script_is_read_as_it_was_written() {
    let operations = [Operation::Call(1, [1, 2, 3, 4, 5, 6, 7, 8]), Operation::Refuse];
    for profile in PROFILES {
        let text = write(profile, &operations, "two\nlines");
        assert_eq!(read(&text), Some((profile, operations.to_vec())));
    }
    assert_eq!(read("machine Nowhere\nrefuse\n"), None);
    assert_eq!(read("machine Small\nnothing\n"), None);
}
