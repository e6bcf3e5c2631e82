//! `cargo xtask clean`: removes what this tool made, and nothing else.

use crate::cache::Cache;
use crate::cli::CleanOptions;
use crate::fault::IoContext;
use crate::paths;

/// The `clean` subcommand.
pub fn command(options: &CleanOptions) -> anyhow::Result<()> {
    for folder in [paths::target().join("cairn"), paths::target().join(paths::TARGET)] {
        if folder.is_dir() {
            std::fs::remove_dir_all(&folder).at("remove", &folder)?;
            println!("removed {}", folder.display());
        }
    }
    if options.cache {
        let cache = Cache::locate()?;
        let word = if cache.remove()? { "removed" } else { "there was no cache at" };
        println!("{word} {}", cache.root().display());
    }
    Ok(())
}
