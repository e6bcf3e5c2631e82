//! `cargo xtask clean`: removes what this tool made, and nothing else.

use crate::cache::Cache;
use crate::cli::CleanOptions;
use crate::fault::IoContext;
use crate::{output, paths};

/// The `clean` subcommand.
pub fn command(options: &CleanOptions) -> anyhow::Result<()> {
    let built = paths::target().join("cairn");
    if built.is_dir() {
        output::remove(&built)?;
        println!("removed {}", built.display());
    }
    let built = paths::target().join(paths::TARGET);
    if built.is_dir() {
        std::fs::remove_dir_all(&built).at("remove", &built)?;
        println!("removed {}", built.display());
    }
    if options.cache {
        let cache = Cache::locate()?;
        let word = if cache.remove()? { "removed" } else { "there was no cache at" };
        println!("{word} {}", cache.root().display());
    }
    Ok(())
}
