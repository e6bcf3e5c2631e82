//! Sequences that once failed, as files: a line that says where to start, then a line of five numbers for each step.

use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use crate::host::{Start, Step};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions")
}

/// The file's contents for a sequence and why it failed.
fn write(start: Start, steps: &[Step], why: &str) -> String {
    let mut text = String::new();
    for line in why.lines() {
        let _ = writeln!(text, "# {line}");
    }
    let _ = writeln!(text, "{start:?}");
    for (a, b, c, d, e) in steps {
        let _ = writeln!(text, "{a} {b} {c} {d} {e}");
    }
    text
}

/// Reads such a file.
fn read(text: &str) -> Option<(Start, Vec<Step>)> {
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let start = match lines.next()? {
        "Empty" => Start::Empty,
        "New" => Start::New,
        "Active" => Start::Active,
        _ => return None,
    };
    let step = |line: &str| {
        let numbers: Option<Vec<u8>> = line.split(' ').map(|word| word.parse().ok()).collect();
        match numbers?.as_slice() {
            &[a, b, c, d, e] => Some((a, b, c, d, e)),
            _ => None,
        }
    };
    Some((start, lines.map(step).collect::<Option<_>>()?))
}

/// Keeps a failing sequence; the name of its file.
pub fn keep(start: Start, steps: &[Step], why: &str) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    steps.hash(&mut hasher);
    let file = folder().join(format!("{:016x}.txt", hasher.finish()));
    std::fs::create_dir_all(folder()).unwrap();
    std::fs::write(&file, write(start, steps, why)).unwrap();
    file
}

/// All sequences that were kept.
pub fn all() -> Vec<(PathBuf, Start, Vec<Step>)> {
    let Ok(entries) = std::fs::read_dir(folder()) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files
        .into_iter()
        .map(|file| {
            let text = std::fs::read_to_string(&file).unwrap();
            let (start, steps) = read(&text).unwrap_or_else(|| panic!("{}", file.display()));
            (file, start, steps)
        })
        .collect()
}

#[test]
fn a_script_is_read_as_it_was_written() {
    let steps = [(1, 2, 3, 4, 5), (255, 0, 0, 7, 8)];
    let text = write(Start::Active, &steps, "two\nlines");
    assert_eq!(read(&text), Some((Start::Active, steps.to_vec())));
    assert_eq!(read("Nowhere\n1 2 3 4 5\n"), None);
    assert_eq!(read("New\n1 2 3\n"), None);
}
