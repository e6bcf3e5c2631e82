//! Initial RAM disks. The guest's: busybox, a handful of kernel modules, `assets/init.sh` as
//! `/init` and `assets/token.sh`, which fetches attestation tokens. That of a host's kernel: other
//! modules, and `assets/host.sh`.
//!
//! They are the same bytes each time (fixed times and owners), because the Realm's measurement
//! covers the guest's.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use cpio::newc::{Builder, trailer};

use crate::fault::IoContext;
use crate::paths::write_whole;

const INIT: &str = include_str!("../assets/init.sh");
const TOKEN: &str = include_str!("../assets/token.sh");
const HOST_INIT: &str = include_str!("../assets/host.sh");

/// File types and permissions, as in `stat.h`.
const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const FILE: u32 = 0o100_644;
const DEVICE: u32 = 0o020_600;

/// Folders that `/init` mounts things on or puts things in.
const FOLDERS: [&str; 8] = ["bin", "dev", "etc", "lib", "lib/modules", "proc", "sys", "tmp"];

/// Makes the guest's initial RAM disk from the cache entry `guest` and writes it to `out`.
pub(crate) fn make(guest: &Path, out: &Path) -> anyhow::Result<()> {
    let programs = [("bin/token", TOKEN), ("init", INIT)];
    write(guest, "modules", &programs, out)
}

/// Makes that of a kernel which is the host itself.
pub(crate) fn make_for_host(guest: &Path, out: &Path) -> anyhow::Result<()> {
    write(guest, "host-modules", &[("init", HOST_INIT)], out)
}

fn write(guest: &Path, modules: &str, scripts: &[Script], out: &Path) -> anyhow::Result<()> {
    let busybox = guest.join("busybox");
    let busybox = std::fs::read(&busybox).at("read", &busybox)?;
    let folder = guest.join(modules);
    let mut modules = Vec::new();
    for entry in std::fs::read_dir(&folder).at("read", &folder)? {
        let entry = entry.at("read", &folder)?;
        let content = std::fs::read(entry.path()).at("read", &entry.path())?;
        modules.push((entry.file_name().to_string_lossy().into_owned(), content));
    }
    modules.sort();
    let archive = archive(&busybox, &modules, scripts);
    write_whole(out, &archive.context("cannot make the initial RAM disk")?)
}

/// A path and a text.
type Script = (&'static str, &'static str);

fn archive(
    busybox: &[u8],
    modules: &[(String, Vec<u8>)],
    scripts: &[Script],
) -> std::io::Result<Vec<u8>> {
    let mut archive = Archive::default();
    for name in FOLDERS {
        archive.add(name, FOLDER, &[])?;
    }
    // The kernel opens this one for /init before anything is mounted.
    archive.add_with("dev/console", &[], |entry| entry.mode(DEVICE).rdev_major(5).rdev_minor(1))?;
    archive.add("bin/busybox", PROGRAM, busybox)?;
    let (init, others) = scripts.split_last().ok_or_else(|| std::io::Error::other("no /init"))?;
    for (path, text) in others {
        archive.add(path, PROGRAM, text.as_bytes())?;
    }
    for (name, content) in modules {
        archive.add(&format!("lib/modules/{name}"), FILE, content)?;
    }
    archive.add(init.0, PROGRAM, init.1.as_bytes())?;
    trailer(archive.bytes)
}

#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    fn add(&mut self, name: &str, mode: u32, content: &[u8]) -> std::io::Result<()> {
        self.add_with(name, content, |entry| entry.mode(mode))
    }

    fn add_with(
        &mut self,
        name: &str,
        content: &[u8],
        set: impl Fn(Builder) -> Builder,
    ) -> std::io::Result<()> {
        self.entries += 1;
        let size = u32::try_from(content.len()).map_err(std::io::Error::other)?;
        let entry = set(Builder::new(name).ino(self.entries));
        let mut writer = entry.write(&mut self.bytes, size);
        writer.write_all(content)?;
        writer.finish()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn the_archive_reads_back() {
        let modules = [("a.ko".to_owned(), vec![7; 5])];
        let scripts = [("bin/token", TOKEN), ("init", INIT)];
        let bytes = archive(b"box", &modules, &scripts).unwrap();
        let mut rest = bytes.as_slice();
        let mut seen = Vec::new();
        loop {
            let mut reader = cpio::newc::Reader::new(rest).unwrap();
            let entry = reader.entry();
            if entry.is_trailer() {
                break;
            }
            let (name, mode, major) = (entry.name().to_owned(), entry.mode(), entry.rdev_major());
            let mut content = Vec::new();
            reader.read_to_end(&mut content).unwrap();
            seen.push((name, mode, major, content));
            rest = reader.finish().unwrap();
        }
        let find = |name: &str| seen.iter().find(|(n, ..)| n == name).unwrap();
        assert_eq!(find("bin/busybox"), &("bin/busybox".into(), PROGRAM, 0, b"box".to_vec()));
        assert_eq!(find("dev/console"), &("dev/console".into(), DEVICE, 5, Vec::new()));
        assert_eq!(find("lib/modules/a.ko").3, vec![7; 5]);
        assert_eq!(find("init").3, INIT.as_bytes());
        assert_eq!(find("bin/token"), &("bin/token".into(), PROGRAM, 0, TOKEN.as_bytes().to_vec()));
        let again = archive(b"box", &modules, &scripts).unwrap();
        assert_eq!(again, bytes, "same input, same bytes");
    }

    #[test]
    fn init_and_token_are_busybox_scripts() {
        assert!(
            [INIT, TOKEN, HOST_INIT].iter().all(|script| script.starts_with("#!/bin/busybox sh\n"))
        );
    }
}
