//! Every command line that the documents give, found there, and executed by the step
//! `docs-commands` in its short form.
//!
//! [`find`] reads the documents, [`table`] says for each command line of a block of shell code how
//! it is executed, and [`run`] does so. A command line that is added to a document needs a row.

mod find;
mod run;
mod table;

pub(crate) use run::check;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::Parser;
    use clap::error::ErrorKind;

    use super::find::{self, Documented};
    use super::table::{How, TABLE};
    use crate::cli::Cli;
    use crate::steps;

    #[test]
    fn every_command_in_a_block_has_a_row_and_every_row_a_command() {
        let documented: BTreeSet<String> =
            find::all().unwrap().blocks().map(|found| found.text.clone()).collect();
        let rows: BTreeSet<String> = TABLE.iter().map(|row| row.command.to_owned()).collect();
        let without: Vec<&String> = documented.difference(&rows).collect();
        assert!(without.is_empty(), "no row in documented/table.rs for {without:#?}");
        let gone: Vec<&String> = rows.difference(&documented).collect();
        assert!(gone.is_empty(), "no document has {gone:#?}");
    }

    #[test]
    fn the_steps_of_the_rows_exist() {
        for row in TABLE {
            if let How::Step(name) = row.how {
                assert!(steps::exists(name), "{}: {name}", row.command);
            }
        }
    }

    /// Wherever a document names a command of this tool, it and its options exist.
    #[test]
    fn every_command_line_of_the_tool_is_one() {
        let all = find::all().unwrap();
        let of_tool: Vec<&Documented> = all.of_tool().collect();
        assert!(of_tool.len() > 50, "{}", of_tool.len());
        for found in of_tool {
            let words = find::words(&find::filled_in(&found.text));
            let at = words.iter().position(|word| word == "xtask").unwrap();
            if words.len() == at + 1 {
                continue; // the tool itself is meant
            }
            if let Err(error) = Cli::try_parse_from(words.iter().skip(at)) {
                // A sentence may name a command and leave its files out.
                let is_named = error.kind() == ErrorKind::MissingRequiredArgument;
                let is_fine = !error.use_stderr() || is_named;
                assert!(is_fine, "{}: {}\n{error}", found.place, found.text);
            }
        }
    }
}
