//! `cargo xtask release`: the monitor as a folder that can be handed on, the same bytes wherever it
//! is built.
//!
//! | File | Holds |
//! | --- | --- |
//! | `rmm.bin` | the image for EL3's firmware package, of every board |
//! | `cairn.elf` | its symbols, debug information and log messages |
//! | `VERSION.md` | version, revision, compiler, and the interfaces that it speaks |
//! | `cairn.cdx.json` | bill of materials: what is compiled into it |
//! | `licences/` | its own licences, and those of everything compiled into it |
//! | `SHA256SUMS` | of all the files |

mod parts;
mod reproducible;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use sha2::{Digest, Sha256};

use crate::cli::ReleaseOptions;
use crate::fault::IoContext;
use crate::paths::{self, TARGET, root, write_whole};
use crate::{image, output, process, version};
use parts::Parts;
use reproducible::Sources;

/// The `release` subcommand.
pub(crate) fn command(options: &ReleaseOptions) -> anyhow::Result<()> {
    let folder = match &options.out {
        Some(folder) => folder.clone(),
        None => paths::output()?.join("release"),
    };
    let _building = output::building()?;
    make(&Sources::of(root(), &paths::output()?), &folder)?;
    println!("The release is {} (`sha256sum -c SHA256SUMS` in there).", folder.display());
    Ok(())
}

/// The `release` step of `test`: a build of a copy elsewhere gives the same files.
///
/// # Errors
///
/// A file differs, or something cannot be built.
pub(crate) fn check() -> anyhow::Result<()> {
    let _building = output::building()?;
    let output = paths::output()?;
    let here = output.join("release");
    make(&Sources::of(root(), &output), &here)?;
    let elsewhere = output.join("release-check");
    drop(std::fs::remove_dir_all(&elsewhere));
    let copy = elsewhere.join("a-folder-with-another-name");
    reproducible::copy_sources(&root(), &copy)?;
    let there = elsewhere.join("release");
    make(&Sources::of(copy, &elsewhere), &there)?;
    let sums = |folder: &Path| {
        let file = folder.join(SUMS);
        std::fs::read_to_string(&file).at("read", &file)
    };
    let (first, second) = (sums(&here)?, sums(&there)?);
    let differ: Vec<&str> =
        first.lines().filter(|line| !second.lines().any(|other| other == *line)).collect();
    ensure!(differ.is_empty(), "a build in another folder differs: {}", differ.join(", "));
    ensure!(first == second, "a build in another folder has other files");
    std::fs::remove_dir_all(&elsewhere).at("remove", &elsewhere)?;
    println!("Two builds in two folders are the same {} files:", first.lines().count());
    first.lines().filter(|line| !line.contains('/')).for_each(|line| println!("{line}"));
    Ok(())
}

/// Name of the list of checksums.
const SUMS: &str = "SHA256SUMS";

/// Marks a folder that was made here, and may be replaced.
const MARK: &str = "VERSION.md";

/// Builds from `sources`, and replaces `folder` by what a release holds.
fn make(sources: &Sources, folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        let mut entries = std::fs::read_dir(folder).at("read", folder)?;
        ensure!(
            folder.join(MARK).is_file() || entries.next().is_none(),
            "{} is not empty, and no release either",
            folder.display()
        );
        std::fs::remove_dir_all(folder).at("remove", folder)?;
    }
    std::fs::create_dir_all(folder).at("make the folder", folder)?;
    let elf = folder.join("cairn.elf");
    let built = sources.build()?;
    std::fs::copy(&built, &elf).at("copy", &built)?;
    image::pack(elf, folder.join("rmm.bin"))?;
    let parts = Parts::read(sources.root())?;
    write_whole(&folder.join("cairn.cdx.json"), &parts.bill()?)?;
    parts.copy_licences(&folder.join("licences"))?;
    for name in ["LICENSE-APACHE", "LICENSE-MIT"] {
        let from = sources.root().join(name);
        std::fs::copy(&from, folder.join("licences").join(name)).at("copy", &from)?;
    }
    write_whole(&folder.join(MARK), describe(sources.root())?.as_bytes())?;
    write_whole(&folder.join(SUMS), sums(folder)?.as_bytes())
}

/// What the release is, with the first table of docs/supported.md: the interfaces.
fn describe(root: &Path) -> anyhow::Result<String> {
    let file = root.join("docs/supported.md");
    let supported = std::fs::read_to_string(&file).at("read", &file)?;
    let compiler = process::output(Command::new("rustc").arg("--version"))?;
    Ok(format!(
        "# {}\n\nBuilt for {TARGET} by {}.\n\n{}",
        version::text(),
        compiler.trim(),
        interfaces(&supported)
    ))
}

/// The rows of the first table that name an interface or a format.
fn interfaces(supported: &str) -> String {
    let is_wanted = |line: &&str| {
        let area = line.trim_start_matches('|').trim_start();
        ["Area", "---", "RMM specification", "RMM-EL3 interface", "Boot manifest", "Measurement"]
            .iter()
            .any(|name| area.starts_with(name))
    };
    let table = supported.lines().skip_while(|line| !line.starts_with('|'));
    let rows = table.take_while(|line| line.starts_with('|')).filter(is_wanted);
    rows.map(|row| format!("{row}\n")).collect()
}

/// The list of checksums of all files below `folder`, in the form of `sha256sum`.
fn sums(folder: &Path) -> anyhow::Result<String> {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).at("read", &folder)? {
            let path = entry.at("read", &folder)?.path();
            if path.is_dir() { &mut folders } else { &mut files }.push(path);
        }
    }
    files.sort();
    let mut list = String::new();
    for file in files {
        let content = std::fs::read(&file).at("read", &file)?;
        let name = file.strip_prefix(folder).context("a file is outside of its folder")?;
        for byte in Sha256::digest(&content) {
            write!(list, "{byte:02x}").context("cannot write")?;
        }
        writeln!(list, "  {}", name.display()).context("cannot write")?;
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interfaces_are_those_that_the_document_names() {
        let file = root().join("docs/supported.md");
        let table = interfaces(&std::fs::read_to_string(file).unwrap());
        for area in ["RMM specification", "RMM-EL3 interface", "Boot manifest", "Measurement"] {
            assert!(table.contains(&format!("| {area} | ")), "{area}: {table}");
        }
        assert_eq!(table.lines().count(), 6, "{table}");
    }

    #[test]
    fn checksums_are_as_sha256sum_reads_them() {
        let folder = std::env::temp_dir().join(format!("cairn-sums-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("b")).unwrap();
        std::fs::write(folder.join("b/c"), "").unwrap();
        std::fs::write(folder.join("a"), "abc").unwrap();
        let list = sums(&folder).unwrap();
        assert_eq!(
            list,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a\n\
             e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  b/c\n"
        );
        // What is no release is not replaced.
        let sources = Sources::of(root(), &folder);
        assert!(make(&sources, &folder).unwrap_err().to_string().contains("no release either"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
