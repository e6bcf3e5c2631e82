//! The documents of this repository: each relative link leads to a file, and to a heading of it.
#![allow(clippy::unwrap_used, reason = "a test program")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[test]
fn every_relative_link_leads_somewhere() {
    let mut wrong = Vec::new();
    let mut links = 0;
    for file in documents() {
        let text = prose(&std::fs::read_to_string(&file).unwrap());
        for target in targets(&text).filter(|target| !target.contains("://")) {
            links += 1;
            if let Err(why) = follow(&file, target) {
                wrong.push(format!("{}: {target}: {why}", file.display()));
            }
        }
    }
    assert!(links > 50, "only {links} links found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// README.md leads to every document for readers.
#[test]
fn every_document_can_be_found_from_the_first() {
    let first = root().join("README.md");
    let mut found = BTreeSet::from([first.clone()]);
    let mut waiting = vec![first];
    while let Some(file) = waiting.pop() {
        let text = prose(&std::fs::read_to_string(&file).unwrap());
        for target in targets(&text).filter(|target| !target.contains("://")) {
            let Some(next) = follow(&file, target).ok().filter(|path| is_document(path)) else {
                continue;
            };
            if found.insert(next.clone()) {
                waiting.push(next);
            }
        }
    }
    let for_readers =
        |file: &PathBuf| file.parent() == Some(&root()) || file.starts_with(root().join("docs"));
    let lost: Vec<PathBuf> =
        documents().into_iter().filter(|file| for_readers(file) && !found.contains(file)).collect();
    assert!(lost.is_empty(), "no link leads to {lost:#?}");
}

#[test]
fn a_link_without_a_target_is_noticed() {
    let file = root().join("README.md");
    assert!(follow(&file, "docs/debugging.md#a-crash-report").is_ok());
    assert!(follow(&file, "docs/no-such-file.md").is_err());
    assert!(follow(&file, "docs/debugging.md#no-such-heading").is_err());
    assert!(follow(&file, "#no-such-heading").is_err());
    let text = prose("[a](b.md) `[not](this)`\n```text\n[nor](this)\n```\n[c d](e.md#f-g)\n");
    assert_eq!(targets(&text).collect::<Vec<_>>(), ["b.md", "e.md#f-g"]);
    assert_eq!(slug("`bench`, and what it costs"), "bench-and-what-it-costs");
}

/// The file that a link of another one leads to.
fn follow(from: &Path, target: &str) -> Result<PathBuf, &'static str> {
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let file = match path {
        "" => from.to_owned(),
        _ => from.parent().unwrap().join(path).canonicalize().map_err(|_| "no such file")?,
    };
    if heading.is_empty() || !is_document(&file) {
        return Ok(file);
    }
    let text = std::fs::read_to_string(&file).unwrap();
    let mut headings = prose(&text)
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| slug(line.trim_start_matches('#').trim()))
        .collect::<Vec<_>>()
        .into_iter();
    if headings.any(|other| other == heading) { Ok(file) } else { Err("no such heading") }
}

/// A heading as part of a link, the way code hosts form it.
fn slug(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}

/// A document without its blocks of code, and with the words of its inline code but not their
/// links.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let mut kept = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            let spans = line.split('`').enumerate();
            kept.extend(spans.map(|(number, span)| {
                if number % 2 == 1 { span.replace("](", "") } else { span.to_owned() }
            }));
            kept.push('\n');
        }
    }
    kept
}

/// What stands in round brackets behind square ones.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

fn is_document(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "md")
}

/// Every document that is part of the repository.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if is_document(&path) {
                found.push(path);
            }
        }
    }
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().canonicalize().unwrap()
}
