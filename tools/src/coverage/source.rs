//! Which lines of a source file are there for tests only.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use anyhow::Context;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// Test code in and below one file.
#[derive(Debug, Default)]
pub(super) struct Tests {
    /// Lines of test modules inside the file.
    pub lines: Vec<RangeInclusive<usize>>,
    /// Files that are test modules.
    pub files: Vec<PathBuf>,
}

/// Finds the modules under `#[cfg(test)]` in `text`, the contents of `path`.
pub(super) fn tests(path: &Path, text: &str) -> anyhow::Result<Tests> {
    let file =
        syn::parse_file(text).with_context(|| format!("{} cannot be parsed", path.display()))?;
    let mut finder = Finder { folder: children(path), tests: Tests::default() };
    finder.visit_file(&file);
    Ok(finder.tests)
}

/// The folder of the modules that a file declares.
fn children(path: &Path) -> PathBuf {
    let is_root = ["lib.rs", "main.rs", "mod.rs"].iter().any(|name| path.ends_with(name));
    if is_root {
        path.parent().map(Path::to_path_buf).unwrap_or_default()
    } else {
        path.with_extension("")
    }
}

struct Finder {
    folder: PathBuf,
    tests: Tests,
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !module.attrs.iter().any(is_cfg_test) {
            visit::visit_item_mod(self, module);
            return;
        }
        let span = module.span();
        self.tests.lines.push(span.start().line..=span.end().line);
        if module.content.is_none() {
            let name = module.ident.to_string();
            self.tests.files.push(self.folder.join(&name).with_extension("rs"));
            self.tests.files.push(self.folder.join(&name).join("mod.rs"));
        }
    }
}

fn is_cfg_test(attribute: &syn::Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
}

#[cfg(test)]
mod tests_of_tests {
    use super::*;

    #[test]
    fn test_modules_are_found_with_their_lines() {
        let text =
            "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n#[cfg(unix)]\nmod other {}\n";
        let found = tests(Path::new("/c/src/x.rs"), text).unwrap();
        assert_eq!(found.lines, [2..=5]);
        assert!(found.files.is_empty());
    }

    #[test]
    fn test_modules_in_files_are_found_beside_their_parent() {
        let text = "#[cfg(test)]\nmod testing;\n";
        let found = tests(Path::new("/c/src/part/mod.rs"), text).unwrap();
        assert_eq!(found.files[0], Path::new("/c/src/part/testing.rs"));
        let found = tests(Path::new("/c/src/part.rs"), text).unwrap();
        assert_eq!(found.files[0], Path::new("/c/src/part/testing.rs"));
        let found = tests(Path::new("/c/src/lib.rs"), text).unwrap();
        assert_eq!(found.files[1], Path::new("/c/src/testing/mod.rs"));
    }
}
