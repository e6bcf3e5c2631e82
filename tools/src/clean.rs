//! `cargo xtask clean`: removes what this tool made, and nothing else.

use crate::cache::Cache;
use crate::cli::CleanOptions;
use crate::{output, paths};

/// The `clean` subcommand.
pub(crate) fn command(options: &CleanOptions) -> anyhow::Result<()> {
    let target = paths::target();
    let (output, built) = (target.join("cairn"), target.join(paths::TARGET));
    for removed in output::remove(&output, &built)? {
        println!("removed {}", removed.display());
    }
    if options.cache {
        let cache = Cache::locate()?;
        let word = if cache.remove()? { "removed" } else { "there was no cache at" };
        println!("{word} {}", cache.root().display());
    }
    Ok(())
}
