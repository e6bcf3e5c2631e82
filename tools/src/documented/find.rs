//! Command lines in the documents: those of blocks of shell code, and those within a sentence.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::fault::IoContext;
use crate::paths::root;

/// A command line of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Documented {
    /// The command line, without its comment.
    pub text: String,
    /// File and line.
    pub place: String,
    /// In a block of shell code, where people copy from.
    pub is_in_block: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct All(Vec<Documented>);

impl All {
    /// Those of blocks of shell code.
    pub(super) fn blocks(&self) -> impl Iterator<Item = &Documented> {
        self.0.iter().filter(|found| found.is_in_block)
    }

    /// Those of this tool.
    #[cfg(test)]
    pub(super) fn of_tool(&self) -> impl Iterator<Item = &Documented> {
        self.0.iter().filter(|found| found.text.contains("cargo xtask"))
    }
}

/// Reads the documents for readers: those at the top of the checkout and in `docs`.
pub(super) fn all() -> anyhow::Result<All> {
    let mut all = All::default();
    for folder in [root(), root().join("docs")] {
        let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
            .at("read", &folder)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|end| end == "md"))
            .collect();
        files.sort();
        for file in files {
            let text = std::fs::read_to_string(&file).at("read", &file)?;
            all.read(&file, &text).with_context(|| file.display().to_string())?;
        }
    }
    Ok(all)
}

impl All {
    fn read(&mut self, file: &Path, text: &str) -> anyhow::Result<()> {
        let mut block: Option<String> = None;
        // A span of code in a sentence may go on in the next line.
        let mut prose = String::new();
        let mut begins = 1;
        for (number, line) in text.lines().enumerate() {
            let place = |number: usize| format!("{}:{}", file.display(), number);
            if let Some(language) = line.trim().strip_prefix("```") {
                self.spans(&std::mem::take(&mut prose), &place(begins));
                begins = number + 2;
                block = if block.is_some() { None } else { Some(language.to_owned()) };
            } else if let Some(language) = &block {
                let command = line.split(" #").next().unwrap_or_default().trim();
                if language == "sh" && !command.is_empty() {
                    let text = command.to_owned();
                    self.0.push(Documented { text, place: place(number + 1), is_in_block: true });
                }
            } else {
                prose.push_str(line);
                prose.push(if line.is_empty() { '\n' } else { ' ' });
            }
        }
        anyhow::ensure!(block.is_none(), "a block of code has no end");
        self.spans(&prose, &format!("{}:{begins}", file.display()));
        Ok(())
    }

    /// Command lines of this tool in spans of code.
    fn spans(&mut self, prose: &str, place: &str) {
        for paragraph in prose.split('\n') {
            for span in paragraph.split('`').skip(1).step_by(2) {
                let text = span.trim();
                if text.starts_with("cargo xtask") {
                    let (text, place) = (text.to_owned(), place.to_owned());
                    self.0.push(Documented { text, place, is_in_block: false });
                }
            }
        }
    }
}

/// `command` with words in the place of what a reader has to fill in.
#[cfg(test)]
pub(super) fn filled_in(command: &str) -> String {
    let challenge = "00".repeat(32);
    let fill = |word: &str| match word {
        "HEX" => challenge.clone(),
        "N" | "SECONDS" => "2".to_owned(),
        "TARGET" => crate::fuzz::TARGETS[0].to_owned(),
        "NAME" => "qemu".to_owned(),
        other => other.to_owned(),
    };
    let plain = command.replace(['[', ']'], "");
    plain.split(' ').map(fill).collect::<Vec<String>>().join(" ")
}

/// The words of a simple command line, with double quotes taken away.
#[cfg(test)]
pub(super) fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for c in command.chars() {
        match c {
            '"' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            _ => words.last_mut().into_iter().for_each(|word| word.push(c)),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_spans_are_found_and_other_code_is_not() {
        let text = "See `cargo xtask\nrun` and `cargo test`.\n\n```sh\ncargo test  # all\n\n```\n\
                    ```text\ncargo no\n```\n";
        let mut all = All::default();
        all.read(Path::new("a.md"), text).unwrap();
        let found: Vec<(&str, bool)> =
            all.0.iter().map(|found| (found.text.as_str(), found.is_in_block)).collect();
        assert_eq!(found, [("cargo xtask run", false), ("cargo test", true)]);
        assert_eq!(all.0[1].place, "a.md:5");
        assert!(All::default().read(Path::new("a.md"), "```sh\n").is_err());
    }

    #[test]
    fn what_a_reader_fills_in_is_filled_in() {
        assert_eq!(words("a --b \"c d\"  e"), ["a", "--b", "c d", "e"]);
        assert_eq!(filled_in("fuzz [--seconds N]"), "fuzz --seconds 2");
    }
}
