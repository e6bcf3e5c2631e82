//! Parts of Rust beyond the stable toolchain, for measuring and checking only: nightly, its
//! components, cargo subcommands.
//!
//! The product is built by stable Rust. What is here is fetched when a command needs it, and
//! whoever cannot fetch it is told so in one sentence.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::cache::Cache;
use crate::paths::find_program;
use crate::process;
use crate::progress::Progress;

/// A toolchain by the name that rustup knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Toolchain(String);

impl Toolchain {
    /// The toolchain that builds the product.
    pub(crate) fn stable(components: &[&str]) -> anyhow::Result<Self> {
        let mut query = Command::new("rustup");
        let active = process::output(query.args(["show", "active-toolchain"]))
            .context("rustup does not say which toolchain is active")?;
        let name = active.split_whitespace().next().unwrap_or("stable").to_owned();
        let toolchain = Self(name);
        toolchain.complete(components)?;
        Ok(toolchain)
    }

    /// The nightly toolchain with these components, installed if it is missing. `CAIRN_NIGHTLY`
    /// names another one.
    pub(crate) fn nightly(components: &[&str]) -> anyhow::Result<Self> {
        if find_program("rustup").is_none() {
            bail!("a nightly toolchain is needed, and rustup is not on the PATH");
        }
        let named = std::env::var("CAIRN_NIGHTLY").ok().filter(|name| !name.is_empty());
        let toolchain = Self(named.unwrap_or_else(|| "nightly".to_owned()));
        if !toolchain.works() {
            let mut install = vec!["toolchain", "install", &toolchain.0, "--profile", "minimal"];
            components.iter().for_each(|component| install.extend(["--component", component]));
            fetch(&install)?;
        }
        toolchain.complete(components)?;
        Ok(toolchain)
    }

    fn works(&self) -> bool {
        let mut command = self.command("rustc");
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    /// Adds the components that are missing.
    fn complete(&self, components: &[&str]) -> anyhow::Result<()> {
        let mut query = Command::new("rustup");
        query.args(["component", "list", "--installed", "--toolchain", &self.0]);
        let installed = process::output(&mut query)?;
        for component in components {
            if !has_component(&installed, component) {
                fetch(&["component", "add", component, "--toolchain", &self.0])?;
            }
        }
        Ok(())
    }

    /// `program` of this toolchain; cargo and rustc that it starts are of this toolchain too.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("rustup");
        command.args(["run", &self.0, program]).env_remove("CARGO").env_remove("RUSTC");
        command
    }

    /// What it calls itself.
    pub(crate) fn version(&self) -> String {
        let text = process::output(self.command("rustc").arg("--version")).unwrap_or_default();
        text.trim().to_owned()
    }
}

/// Whether a list of installed components names `component`, with or without a target after it.
fn has_component(installed: &str, component: &str) -> bool {
    installed.lines().any(|line| {
        let rest = line.trim().strip_prefix(component);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    })
}

fn fetch(arguments: &[&str]) -> anyhow::Result<()> {
    let wish = format!("rustup {}", arguments.join(" "));
    let progress = Progress::start(&wish);
    process::output(Command::new("rustup").args(arguments))
        .with_context(|| format!("`{wish}` failed; is there a network?"))?;
    progress.done("");
    Ok(())
}

/// A cargo subcommand of this exact version out of the cache, built from crates.io if it is
/// missing.
pub(crate) fn cargo_tool(name: &str, version: &str) -> anyhow::Result<PathBuf> {
    let cache = Cache::locate()?;
    let folder = format!("{name}-{version}");
    let program = cache.root().join(&folder).join("bin").join(name);
    if program.is_file() {
        return Ok(program);
    }
    let locked = cache.lock()?;
    if program.is_file() {
        return Ok(program); // another process has built it meanwhile
    }
    let progress = Progress::start(&format!("building {name} {version}, once"));
    let stage = locked.stage(name)?;
    let made = stage.folder("made")?;
    let build = stage.folder("build")?;
    let mut install = Command::new("cargo");
    install.args(["install", name, "--locked", "--quiet", "--version"]).arg(format!("={version}"));
    install.arg("--root").arg(&made).arg("--target-dir").arg(&build).current_dir(&made);
    process::output(&mut install).with_context(|| {
        format!(
            "{name} {version} is needed and could not be built from crates.io; is there a network?"
        )
    })?;
    locked.prune(&format!("{name}-"), &folder)?;
    stage.commit(&made, &folder)?;
    progress.done("");
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_named_with_and_without_a_target() {
        let list =
            "cargo-x86_64-unknown-linux-gnu\nllvm-tools-x86_64-unknown-linux-gnu\nrust-src\n";
        assert!(has_component(list, "llvm-tools"));
        assert!(has_component(list, "rust-src"));
        assert!(!has_component(list, "miri"));
        assert!(!has_component(list, "rust-s"));
    }
}
