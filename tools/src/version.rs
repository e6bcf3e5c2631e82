//! What this tool is: the version of the workspace, and the revision of the checkout if git knows
//! it.

use std::process::Command;

use crate::{paths, process};

/// One line for `--version`. Git is asked now and not while building, so that a commit builds
/// nothing again and the same sources make the same program.
pub(crate) fn text() -> String {
    let git = |arguments: &[&str]| {
        process::output(Command::new("git").arg("-C").arg(paths::root()).args(arguments)).ok()
    };
    let revision = git(&["rev-parse", "--short", "HEAD"]);
    // Refreshing git's index would write to the checkout.
    let changes = git(&["--no-optional-locks", "status", "--porcelain", "--untracked-files=no"]);
    line(revision.as_deref(), changes.is_some_and(|changes| !changes.is_empty()))
}

fn line(revision: Option<&str>, is_changed: bool) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let changes = if is_changed { ", with changes" } else { "" };
    match revision.map(str::trim).filter(|revision| !revision.is_empty()) {
        Some(revision) => format!("cairn {version} ({revision}{changes})"),
        None => format!("cairn {version}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_revision_is_told_if_it_is_known() {
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(line(Some("25bf9ef\n"), false), format!("cairn {version} (25bf9ef)"));
        assert_eq!(line(Some("25bf9ef"), true), format!("cairn {version} (25bf9ef, with changes)"));
        assert_eq!(line(None, true), format!("cairn {version}"));
    }
}
