//! What the text of the sources keeps to that rustfmt does not look at.
#![allow(clippy::unwrap_used, reason = "a test program")]

use std::path::{Path, PathBuf};

/// Columns of a line.
const COLUMNS: usize = 100;

#[test]
fn comments_keep_to_the_columns_of_the_code() {
    let files = sources(&root());
    assert!(files.len() > 300, "only {} sources found", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let lines = (1..).zip(text.lines()).filter(|(_, line)| is_too_long(line));
        wrong.extend(lines.map(|(number, _)| format!("{}:{number}", file.display())));
    }
    assert!(wrong.is_empty(), "longer than {COLUMNS} columns: {wrong:#?}");
}

#[test]
fn a_long_comment_is_noticed_and_a_row_of_a_table_is_not() {
    let long = "a long sentence, ".repeat(6);
    assert!(is_too_long(&format!("    /// {long}")));
    assert!(is_too_long(&format!("    call(); // {long}")));
    assert!(is_too_long(&format!("# {long}")));
    assert!(!is_too_long(&format!("//! | {long} |")));
    assert!(!is_too_long(&format!("    \"see https://example.org // {long}\"")));
    assert!(!is_too_long("// short"));
}

/// Whether a line is too long for a comment that stands in it. Rows of tables have to be whole, and
/// what is in quotes is no comment.
fn is_too_long(line: &str) -> bool {
    let trimmed = line.trim_start();
    let after = ["///", "//!", "//", "# "].iter().find_map(|mark| trimmed.strip_prefix(mark));
    let is_comment = after.is_some_and(|after| !after.trim_start().starts_with('|'));
    let has_comment = after.is_none() && line.contains(" // ") && !line.contains('"');
    line.chars().count() > COLUMNS && (is_comment || has_comment)
}

/// Rust sources, manifests and linker scripts of the repository.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.append(&mut sources(&path));
        } else if [".rs", ".toml", ".ld"].iter().any(|end| name.ends_with(end)) {
            found.push(path);
        }
    }
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}
