//! The guest's parts: Debian's arm64 kernel, a few of its modules, and busybox.
//!
//! The kernel must know how to be a Realm guest, which Debian's do from 6.13 on. The newest one in
//! backports is taken, from unstable if there is none. Versions there move, so the choice is
//! recorded and printed.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use object::{Object, ObjectSection};

use crate::apt::sources::Machine;
use crate::apt::version::compare;
use crate::apt::{Offer, PrivateApt};
use crate::cache::{Entry, Locked, Stage};
use crate::fault::IoContext;
use crate::progress::Progress;
use crate::{kernel_image, process};

/// Oldest kernel with Realm guest support (`~`: its release candidates count too).
const OLDEST: &str = "6.13~";

/// Changes when the content of the cache entry changes, so that old entries are not used.
const RECIPE: u32 = 2;

/// Suites to look in, from the first that has a kernel.
const SUITES: [&str; 2] = ["trixie trixie-backports", "trixie trixie-backports sid"];

/// Modules that the guest loads, by the name of their file.
const MODULES: [&str; 5] = ["virtio_mmio", "virtio-rng", "configfs", "tsm_report", "arm-cca-guest"];

/// Modules that the same kernel loads as a host of its own (`run --host-kernel`): disk, network,
/// file system.
const HOST_MODULES: [&str; 3] = ["virtio_blk", "virtio_net", "ext4"];

/// Prefix of cache entries made here.
pub(crate) const PREFIX: &str = "guest-";

/// Whether `entry` was made by this version of the recipe.
pub(crate) fn is_current(entry: &Entry) -> bool {
    entry.folder.ends_with(&format!("-r{RECIPE}"))
}

/// Fetches kernel, modules and busybox into the cache.
pub(crate) fn fetch(locked: &Locked<'_>, machine: &Machine) -> anyhow::Result<Entry> {
    let stage = locked.stage("guest")?;
    let (apt, choice) = find(&stage, machine)?;
    let busybox = newest(apt.offers(&["busybox-static".to_owned()])?)
        .context("the Debian archive offers no busybox-static for arm64; try again later")?;

    let debs = stage.folder("debs")?;
    let mut packages = vec![format!("{}={}", choice.image, choice.version)];
    packages.extend(choice.modules.iter().map(|modules| format!("{modules}={}", choice.version)));
    packages.push(format!("{}={}", busybox.package, busybox.version));
    let label = format!("download Linux {} and busybox", choice.release);
    apt.download(&packages, &debs, &label)?;

    let progress = Progress::start("unpack kernel and modules");
    let tree = stage.folder("tree")?;
    for deb in files(&debs)? {
        process::output(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&tree))?;
    }
    let made = stage.folder("made")?;
    install(&tree, &made)?;
    progress.done("");

    let version =
        format!("Linux {} ({}), busybox {}", choice.release, choice.version, busybox.version);
    let note = made.join("versions.txt");
    std::fs::write(&note, format!("{version}\n")).at("write", &note)?;
    let folder = format!("{PREFIX}{}-r{RECIPE}", choice.version);
    stage.commit(&made, &folder)?;
    locked.prune(PREFIX, &folder)?;
    Ok(Entry { folder, version })
}

fn find(stage: &Stage, machine: &Machine) -> anyhow::Result<(PrivateApt, Choice)> {
    for suites in SUITES {
        let sources = machine.archive()?.stanza("deb", suites, Some("arm64"));
        let apt = PrivateApt::foreign(&stage.folder("apt")?, "arm64", &sources)?;
        apt.update("read arm64 package lists")?;
        let names = apt.search("^linux-(binary|image|modules)-.*-arm64$")?;
        if let Some(choice) = choose(&apt.offers(&names)?) {
            return Ok((apt, choice));
        }
    }
    bail!(
        "the Debian archive offers no arm64 kernel of version 6.13 or later; pass one with --kernel, and check that the \
         machine's apt sources are not a frozen snapshot"
    )
}

/// A kernel and the packages that it comes in.
#[derive(Debug, PartialEq, Eq)]
struct Choice {
    /// What `uname -r` says, without the flavour.
    release: String,
    version: String,
    /// The package with the kernel image.
    image: String,
    /// The package with the modules, unless they are in `image`.
    modules: Option<String>,
}

/// Picks the newest ordinary kernel: signed if there is one, never the rt, cloud, 16k or debug
/// flavours.
fn choose(offers: &[Offer]) -> Option<Choice> {
    let find = |package: &str, version: &str| {
        offers.iter().any(|offer| offer.package == package && offer.version == version)
    };
    let candidate = |offer: &Offer, prefix: &str| {
        let release = offer.package.strip_prefix(prefix)?.strip_suffix("-arm64")?;
        let ordinary = release.starts_with(|c: char| c.is_ascii_digit()) && !release.contains('-');
        if !ordinary || compare(&offer.version, OLDEST) == Ordering::Less {
            return None;
        }
        let modules = format!("linux-modules-{release}-arm64");
        let modules = find(&modules, &offer.version).then_some(modules);
        if modules.is_none() && prefix != "linux-image-" {
            return None;
        }
        // Where modules have a package of their own, linux-image-* is an empty metapackage.
        if modules.is_some() && prefix == "linux-image-" {
            return None;
        }
        Some(Choice {
            release: release.to_owned(),
            version: offer.version.clone(),
            image: offer.package.clone(),
            modules,
        })
    };
    let newest = |prefixes: &[&str]| {
        let all =
            prefixes.iter().flat_map(|prefix| offers.iter().filter_map(|o| candidate(o, prefix)));
        all.max_by(|a, b| compare(&a.version, &b.version))
    };
    newest(&["linux-binary-", "linux-image-"]).or_else(|| newest(&["linux-binary-unsigned-"]))
}

fn newest(offers: Vec<Offer>) -> Option<Offer> {
    offers.into_iter().max_by(|a, b| compare(&a.version, &b.version))
}

/// Copies what the guest needs from the unpacked packages into a cache entry.
fn install(tree: &Path, made: &Path) -> anyhow::Result<()> {
    let all = files(tree)?;
    let copy = |from: Option<&PathBuf>, to: &str| -> anyhow::Result<PathBuf> {
        let from =
            from.with_context(|| format!("the downloaded packages contain no {to}; report this"))?;
        let to = made.join(to);
        std::fs::copy(from, &to).at("write", &to)?;
        Ok(to)
    };
    let image = copy(named(&all, &|name| name.starts_with("vmlinuz")), "Image")?;
    kernel_image::check(&image)?;
    copy(all.iter().find(|path| path.ends_with("bin/busybox")), "busybox")?;

    install_modules(&all, &MODULES, &made.join("modules"))?;
    install_modules(&all, &HOST_MODULES, &made.join("host-modules"))
}

/// Copies the modules of these names, and those that they need, into `folder`; its file `depends`
/// names for each what has to be loaded before.
fn install_modules(all: &[PathBuf], names: &[&str], folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).at("make the folder", folder)?;
    let mut order = String::new();
    let mut needed: Vec<String> = names.iter().rev().map(|name| (*name).to_owned()).collect();
    let mut depends = BTreeMap::new();
    while let Some(name) = needed.pop() {
        let key = underscored(&name);
        if depends.contains_key(&key) {
            continue;
        }
        let is_it =
            |file: &str| file.split_once(".ko").is_some_and(|(stem, _)| underscored(stem) == key);
        // Not a file: built into the kernel.
        let Some(file) = named(all, &is_it) else { continue };
        let module = decompress(file)?;
        let path = folder.join(format!("{key}.ko"));
        std::fs::write(&path, &module).at("write", &path)?;
        let before = dependencies(&module)?;
        needed.extend(before.iter().cloned());
        depends.insert(key, before);
    }
    for (name, before) in &depends {
        let present: Vec<String> =
            before.iter().map(|b| underscored(b)).filter(|b| depends.contains_key(b)).collect();
        order.push_str(&format!("{name}: {}\n", present.join(" ")));
    }
    let path = folder.join("depends");
    std::fs::write(&path, order).at("write", &path)
}

/// The first of these files whose name passes `test`.
fn named<'f>(files: &'f [PathBuf], test: &dyn Fn(&str) -> bool) -> Option<&'f PathBuf> {
    files.iter().find(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(test))
}

fn underscored(name: &str) -> String {
    name.replace('-', "_")
}

fn decompress(file: &Path) -> anyhow::Result<Vec<u8>> {
    if file.extension().is_some_and(|extension| extension == "ko") {
        return std::fs::read(file).at("read", file);
    }
    let output = Command::new("xz").arg("-dc").arg(file).output().context("cannot start `xz`")?;
    if !output.status.success() {
        bail!(
            "cannot decompress {}; remove the cache with `cargo xtask clean --cache` and try again",
            file.display()
        );
    }
    Ok(output.stdout)
}

/// The modules that a module says it needs (`depends=` in its `.modinfo`).
fn dependencies(module: &[u8]) -> anyhow::Result<Vec<String>> {
    let elf = object::File::parse(module).context("a kernel module is not an ELF file")?;
    let Some(section) = elf.section_by_name(".modinfo") else { return Ok(Vec::new()) };
    let text = section.data().context("a kernel module has a broken .modinfo")?;
    let depends = text.split(|&byte| byte == 0).find_map(|entry| entry.strip_prefix(b"depends="));
    let depends = String::from_utf8_lossy(depends.unwrap_or_default()).into_owned();
    Ok(depends.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

/// All files below `folder`, sorted.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).at("read", &folder)? {
            let entry = entry.at("read", &folder)?;
            let kind = entry.file_type().at("read", &folder)?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers(list: &[(&str, &str)]) -> Vec<Offer> {
        list.iter()
            .map(|(package, version)| Offer {
                package: (*package).into(),
                version: (*version).into(),
            })
            .collect()
    }

    #[test]
    fn the_newest_signed_kernel_with_modules_is_chosen() {
        let choice = choose(&offers(&[
            ("linux-image-6.12.94+deb13-arm64", "6.12.94-1"),
            ("linux-image-6.18.15+deb13-arm64", "6.18.15-1~bpo13+1"),
            ("linux-image-7.2.12+deb13-arm64", "7.2.12-1~bpo13+1"),
            ("linux-binary-7.2.9+deb13-arm64", "7.2.9-1~bpo13+1"),
            ("linux-modules-7.2.9+deb13-arm64", "7.2.9-1~bpo13+1"),
            ("linux-binary-7.2.12+deb13-arm64", "7.2.12-1~bpo13+1"),
            ("linux-modules-7.2.12+deb13-arm64", "7.2.12-1~bpo13+1"),
            ("linux-binary-7.3.4+deb13-rt-arm64", "7.3.4-1~bpo13+1"),
            ("linux-binary-unsigned-7.3.4+deb13-arm64", "7.3.4-1~bpo13+1"),
            ("linux-modules-7.3.4+deb13-arm64", "7.3.4-1~bpo13+1"),
        ]));
        let choice = choice.unwrap();
        assert_eq!(choice.image, "linux-binary-7.2.12+deb13-arm64");
        assert_eq!(choice.modules.as_deref(), Some("linux-modules-7.2.12+deb13-arm64"));
        assert_eq!(choice.release, "7.2.12+deb13");
    }

    #[test]
    fn an_old_style_package_carries_its_modules() {
        let choice = choose(&offers(&[("linux-image-6.13.1-arm64", "6.13.1-1")])).unwrap();
        assert_eq!((choice.image.as_str(), choice.modules), ("linux-image-6.13.1-arm64", None));
    }

    #[test]
    fn unsigned_is_better_than_nothing_and_old_is_nothing() {
        let unsigned = [
            ("linux-binary-unsigned-7.3.4-arm64", "7.3.4-1"),
            ("linux-modules-7.3.4-arm64", "7.3.4-1"),
        ];
        assert_eq!(choose(&offers(&unsigned)).unwrap().image, "linux-binary-unsigned-7.3.4-arm64");
        assert_eq!(choose(&offers(&[("linux-image-6.12.94-arm64", "6.12.94-1")])), None);
        assert_eq!(choose(&offers(&[("linux-image-7.0-cloud-arm64", "7.0-1")])), None);
        assert_eq!(choose(&offers(&[("linux-image-arm64", "7.0-1")])), None);
    }
}
