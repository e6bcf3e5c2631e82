//! A build of the monitor that does not tell where it was made.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::fault::IoContext;
use crate::image::{self, MONITOR};
use crate::paths::TARGET;
use crate::process;

/// What stands for the checkout, and for cargo's folder of sources, in paths of the image.
const NAMES: [&str; 2] = ["/cairn", "/cargo"];

/// Sources, and where they are built.
#[derive(Debug)]
pub(super) struct Sources {
    root: PathBuf,
    target: PathBuf,
}

impl Sources {
    /// Those at `root`, built below `output`.
    pub(super) fn of(root: PathBuf, output: &Path) -> Self {
        Self { root, target: output.join("release-build") }
    }

    /// Where they are.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Builds the monitor with the locked versions of everything, and returns its ELF file.
    pub(super) fn build(&self) -> anyhow::Result<PathBuf> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(&self.root).args(["build", "--release", "--locked"]);
        command.args(["--target", TARGET, "--target-dir"]).arg(&self.target);
        command.arg("--config").arg(self.remapping()?);
        for variable in
            ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "DEFMT_LOG"]
        {
            command.env_remove(variable);
        }
        image::run_cargo(command, MONITOR)
    }

    /// The compiler's flags that replace the paths of this machine, added to those of the checkout.
    fn remapping(&self) -> anyhow::Result<String> {
        let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
        let home = home.context("cargo's own folder is not known; set CARGO_HOME")?;
        let flags = [&self.root, &home].into_iter().zip(NAMES).map(|(path, name)| {
            let path = path.display().to_string();
            ensure!(!path.contains(['=', '"', '\\']), "{path} is a path that cannot be replaced");
            Ok(format!("\"--remap-path-prefix={path}={name}\""))
        });
        let flags = flags.collect::<anyhow::Result<Vec<String>>>()?;
        Ok(format!("target.{TARGET}.rustflags=[{}]", flags.join(",")))
    }
}

/// Copies the files that git knows of, and new ones that it does not ignore, from `root` to `copy`.
pub(super) fn copy_sources(root: &Path, copy: &Path) -> anyhow::Result<()> {
    let mut command = Command::new("git");
    command.arg("-C").arg(root).args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    for name in process::output(&mut command)?.lines() {
        let from = root.join(name);
        if !from.is_file() {
            continue; // it has been removed, and that is not committed
        }
        let to = copy.join(name);
        let folder = to.parent().unwrap_or(copy);
        std::fs::create_dir_all(folder).at("make the folder", folder)?;
        std::fs::copy(&from, &to).at("copy", &from)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_of_this_machine_are_replaced() {
        let flags = Sources::of("/a/b".into(), Path::new("/o")).remapping().unwrap();
        assert!(flags.contains("\"--remap-path-prefix=/a/b=/cairn\",\"--remap-path-prefix="));
        assert!(flags.ends_with("=/cargo\"]"), "{flags}");
        assert!(Sources::of("/a=b".into(), Path::new("/o")).remapping().is_err());
    }
}
