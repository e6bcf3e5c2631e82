//! Where things are: the checkout, and the folder for what is built in it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::fault::IoContext;

/// The bare-metal target of the monitor and of the Normal-world host.
pub(crate) const TARGET: &str = "aarch64-unknown-none-softfloat";

/// The top folder of the checkout.
pub(crate) fn root() -> PathBuf {
    let tools = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    tools.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Cargo's target folder.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// The folder for firmware images and logs, made if it is not there.
pub(crate) fn output() -> anyhow::Result<PathBuf> {
    let dir = target().join("cairn");
    std::fs::create_dir_all(&dir).at("make the folder", &dir)?;
    Ok(dir)
}

/// Writes `content` to `path` so that a reader sees the old file or the new one, never a part. What
/// is no file, such as a pipe or a device, stays what it is and is written to.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let Some(path) = &replaceable(path) else {
        return std::fs::write(path, content).at("write", path);
    };
    let mut partial = path.as_os_str().to_owned();
    partial.push(format!(".partial-{}", std::process::id()));
    let partial = PathBuf::from(partial);
    let written = std::fs::write(&partial, content).at("write", path);
    let result = written.and_then(|()| std::fs::rename(&partial, path).at("write", path));
    if result.is_err() {
        drop(std::fs::remove_file(&partial));
    }
    result
}

/// The file that is replaced when `path` is written: the one that a link leads to. `None` if it is
/// no file.
fn replaceable(path: &Path) -> Option<PathBuf> {
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    // A link that leads nowhere, or to an anonymous pipe, is still a link here.
    let is_other = std::fs::symlink_metadata(&real).is_ok_and(|there| !there.is_file());
    (!is_other).then_some(real)
}

/// A file that is written at the end of long work can be written, as far as its folder tells.
pub(crate) fn check_output(path: &Path) -> anyhow::Result<()> {
    if path.is_dir() {
        bail!("cannot write {}: it is a folder", path.display());
    }
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        bail!("cannot write {}: its name ends in `/`, as that of a folder", path.display());
    }
    // What is no file is written to where it is.
    let Some(path) = &replaceable(path) else { return Ok(()) };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    if !folder.is_dir() {
        bail!("cannot write {}: there is no folder {}", path.display(), folder.display());
    }
    if rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_err() {
        bail!("cannot write {}: nothing can be written to its folder", path.display());
    }
    Ok(())
}

/// The same for two files that are both written, if both are wanted.
pub(crate) fn check_outputs(one: Option<&Path>, other: Option<&Path>) -> anyhow::Result<()> {
    one.into_iter().chain(other).try_for_each(check_output)?;
    if let (Some(one), Some(other)) = (one, other)
        && let Some(file) = same_file(one)
        && same_file(other) == Some(file)
    {
        bail!("cannot write two results to the same file {}", one.display());
    }
    Ok(())
}

/// A name that paths to the same file share, whether it is there or not; `None` for what is no
/// file.
fn same_file(path: &Path) -> Option<PathBuf> {
    let path = replaceable(path)?;
    let folder = std::fs::canonicalize(std::path::absolute(&path).ok()?.parent()?).ok()?;
    Some(folder.join(path.file_name()?))
}

/// Refuses what is no regular file: a pipe could not be read a second time, and a device may have
/// no end.
pub(crate) fn check_regular(file: &Path) -> anyhow::Result<()> {
    if !std::fs::metadata(file).at("read", file)?.is_file() {
        bail!("{} is not a regular file", file.display());
    }
    Ok(())
}

/// Reads a file of at most `limit` bytes.
pub(crate) fn read_limited(file: &Path, limit: usize) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let opened = File::open(file).at("read", file)?;
    opened.take((limit as u64).saturating_add(1)).read_to_end(&mut bytes).at("read", file)?;
    if bytes.len() > limit {
        bail!("{} is too large: more than {limit} bytes", file.display());
    }
    Ok(bytes)
}

/// The program `name` on the PATH.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let name = format!("cairn-paths-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn files_that_are_missing_or_huge_are_refused() {
        assert!(read_limited(Path::new("/nonexistent"), 10).is_err());
        let error = read_limited(Path::new("/dev/zero"), 10).unwrap_err();
        assert!(error.to_string().contains("too large: more than 10 bytes"));
        assert!(read_limited(Path::new("/dev/null"), 0).unwrap().is_empty());
    }

    #[test]
    fn a_link_stays_and_the_file_behind_it_is_replaced() {
        let folder = scratch("link");
        let (file, link) = (folder.join("file"), folder.join("link"));
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for content in ["made", "replaced"] {
            check_output(&link).unwrap();
            write_whole(&link, content.as_bytes()).unwrap();
            assert!(link.is_symlink() && !file.is_symlink());
            assert_eq!(std::fs::read_to_string(&file).unwrap(), content);
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_is_no_file_is_written_to_and_stays() {
        use std::os::unix::fs::FileTypeExt;
        let folder = scratch("pipe");
        let pipe = folder.join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || std::fs::read_to_string(pipe).unwrap()
        });
        check_output(&pipe).unwrap();
        write_whole(&pipe, b"content").unwrap();
        let kind = std::fs::symlink_metadata(&pipe).unwrap().file_type();
        assert!(kind.is_fifo());
        assert_eq!(reader.join().unwrap(), "content");
        assert!(check_output(Path::new("/dev/null")).is_ok());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_written_is_known_beforehand() {
        let fault = |path: &str| check_output(Path::new(path)).map_err(|fault| fault.to_string());
        assert!(fault("result.json").is_ok());
        let folder = std::env::temp_dir();
        assert!(fault(folder.join("result.json").to_str().unwrap()).is_ok());
        assert!(fault(folder.to_str().unwrap()).unwrap_err().ends_with("it is a folder"));
        assert!(fault("/nonexistent/a").unwrap_err().ends_with("there is no folder /nonexistent"));
        assert!(fault("/").is_err());
        assert!(fault("result/").unwrap_err().contains("ends in `/`"));
    }

    #[test]
    fn two_results_need_two_files() {
        let check = |one: &str, other: &str| {
            check_outputs(Some(Path::new(one)), Some(Path::new(other))).map_err(|e| e.to_string())
        };
        assert!(check("a.json", "b.xml").is_ok());
        for other in ["a.json", "./a.json"] {
            assert!(check("a.json", other).unwrap_err().contains("same file a.json"));
        }
        assert!(check("a.json", "b/").is_err() && check("a/", "b.json").is_err());
        assert!(check("/dev/null", "/dev/null").is_ok());
        assert!(check_outputs(None, Some(Path::new("a.json"))).is_ok());
    }
}
