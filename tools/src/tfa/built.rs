//! TF-A that the user has built already, and what it is built with.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use super::Recipe;
use crate::fault::IoContext;
use crate::paths::find_program;

/// Prefixes of cross compilers for arm64: of distributions, then of Arm's own.
const PREFIXES: [&str; 4] =
    ["aarch64-linux-gnu-", "aarch64-none-linux-gnu-", "aarch64-none-elf-", "aarch64-elf-"];

/// The prefix of a cross compiler: `$CROSS_COMPILE`, as for TF-A itself, or the first that is
/// found.
pub(super) fn cross_compiler() -> Option<String> {
    let named = std::env::var("CROSS_COMPILE").ok().filter(|prefix| !prefix.is_empty());
    let is_there = |prefix: &String| {
        let program = format!("{prefix}gcc");
        // A prefix may be the beginning of a path.
        find_program(&program).is_some() || Path::new(&program).is_file()
    };
    named.into_iter().chain(PREFIXES.map(str::to_owned)).find(is_there)
}

/// Refuses to build without what TF-A is built with.
pub(super) fn check_tools() -> anyhow::Result<()> {
    let programs = ["make", "dtc"].into_iter().filter(|name| find_program(name).is_none());
    let mut missing: Vec<&str> = programs.collect();
    if cross_compiler().is_none() {
        missing.push("a GCC for arm64 (aarch64-linux-gnu-gcc, or $CROSS_COMPILE)");
    }
    ensure!(
        missing.is_empty(),
        "TF-A cannot be built here; these are missing: {}. On Debian they are in make, \
         device-tree-compiler and gcc-aarch64-linux-gnu",
        missing.join(", ")
    );
    Ok(())
}

impl Recipe {
    /// The files that a folder must hold. The test monitor has another name in later releases, and
    /// nothing here needs it.
    fn needed(&self) -> impl Iterator<Item = &'static str> {
        self.files.iter().map(|(from, _)| *from).filter(|from| *from != "rmm.bin")
    }

    /// Whether the folder is what a build of TF-A for this board has left, `build/qemu/release` for
    /// example.
    pub(crate) fn is_built(&self, folder: &Path) -> bool {
        self.needed().all(|file| folder.join(file).is_file())
    }

    /// Copies the files of such a folder to `made`.
    pub(crate) fn adopt(&self, built: &Path, made: &Path) -> anyhow::Result<()> {
        let fiptool = fiptool(built).with_context(|| {
            format!(
                "there is no fiptool in {}, in its source tree, or on the PATH (Debian: \
                 arm-trusted-firmware-tools)",
                built.display()
            )
        })?;
        let files = self.needed().map(|file| (built.join(file), file));
        for (from, to) in files.chain([(fiptool, "fiptool")]) {
            std::fs::copy(&from, made.join(to)).at("copy", &from)?;
        }
        Ok(())
    }
}

/// The packing tool: beside the files, where releases build it, or on the PATH.
fn fiptool(built: &Path) -> Option<PathBuf> {
    ["fiptool", "tools/fiptool/fiptool", "../../../tools/fiptool/fiptool"]
        .into_iter()
        .map(|place| built.join(place))
        .find(|file| file.is_file())
        .or_else(|| find_program("fiptool"))
}

#[cfg(test)]
mod tests {
    use super::super::{FVP, QEMU};

    #[test]
    fn what_is_built_already_is_taken_as_it_is() {
        let folder = std::env::temp_dir().join(format!("cairn-built-{}", std::process::id()));
        let built = folder.join("build/qemu/release");
        let (made, tool) = (folder.join("made"), folder.join("tools/fiptool"));
        for folder in [&built, &made, &tool] {
            std::fs::create_dir_all(folder).unwrap();
        }
        for file in ["bl1.bin", "bl2.bin"] {
            std::fs::write(built.join(file), file).unwrap();
        }
        assert!(!QEMU.is_built(&built), "no BL31");
        assert!(QEMU.check_tree(&built).is_err());
        std::fs::write(built.join("bl31.bin"), "bl31").unwrap();
        std::fs::write(tool.join("fiptool"), "tool").unwrap();
        assert!(QEMU.is_built(&built) && !FVP.is_built(&built));
        QEMU.check_tree(&built).unwrap();
        QEMU.adopt(&built, &made).unwrap();
        for (file, content) in [("bl2.bin", "bl2.bin"), ("bl31.bin", "bl31"), ("fiptool", "tool")] {
            assert_eq!(std::fs::read_to_string(made.join(file)).unwrap(), content);
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
