//! `cargo xtask bench --conversions`: what it takes when a guest shares memory and takes it back.
//!
//! Both versions of the interface are measured under the EL3 of the tests, one machine each, so
//! that they can be compared; the host gives and takes memory as each version allows.

use std::fmt::Write;

use cairn_el3::edition::Edition;
use serde::Deserialize;

use super::{Bench, COUNTED, boot_job, check_options};
use crate::cli::{BenchOptions, SuiteInterface};
use crate::job;
use crate::output::Run;
use crate::paths::{self, write_whole};
use crate::patience;
use crate::progress::Progress;
use crate::stage::Stage;

/// What a habit of the guest takes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Conversion {
    /// The version of the interface.
    #[serde(default)]
    rmi: String,
    /// The habit.
    name: String,
    /// Whether the host makes a block again of pages that have all come back.
    fold: bool,
    /// Exits of the guest.
    exits: u64,
    /// Commands of the host, without entries.
    commands: u64,
    /// Those that make, fold or destroy a table.
    tables: u64,
    /// Instructions, those of the entries included.
    instructions: u64,
    /// The monitor's part of them.
    own: u64,
}

/// `bench --conversions`.
pub(super) fn command(options: &BenchOptions) -> anyhow::Result<()> {
    check_options(options)?;
    let run = Run::begin("bench")?;
    let stage = Stage::stand_in(Edition::V2, &options.image, options.qemu.as_ref(), run.folder())?;
    let mut all = Vec::new();
    for rmi in [SuiteInterface::V1_0, SuiteInterface::V2_0] {
        let version = rmi.interface().name();
        let progress = Progress::start(&format!("converting memory through RMI {version}"));
        let bench = Bench { stage: &stage, run: &run, rmi };
        let text = run.folder().join("conversions-job.txt");
        let job = job::conversions(rmi, &text, stage.layout())?;
        let rows = boot_job::<Conversion>(&bench, job, &COUNTED, patience::BENCH)?;
        let rows = rows.unwrap_or_default();
        progress.done(&format!("{} habits", rows.len()));
        all.extend(rows.into_iter().map(|row| Conversion { rmi: version.to_owned(), ..row }));
    }
    let file = match &options.json {
        Some(file) => file.clone(),
        None => paths::output()?.join("conversions.json"),
    };
    write_whole(&file, json(&all).as_bytes())?;
    print!("{}", table(&all));
    Ok(())
}

/// An array of objects, one per line.
fn json(rows: &[Conversion]) -> String {
    let line = |row: &Conversion| {
        let Conversion { rmi, name, fold, exits, commands, tables, instructions, own } = row;
        format!(
            "  {{\"rmi\": \"{rmi}\", \"name\": \"{name}\", \"fold\": {fold}, \"exits\": {exits}, \"commands\": {commands}, \
             \"tables\": {tables}, \"instructions\": {instructions}, \"own\": {own}}}"
        )
    };
    let lines: Vec<String> = rows.iter().map(line).collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}

fn table(rows: &[Conversion]) -> String {
    let mut table = format!(
        "{:<22} {:<4} {:<5} {:>7} {:>9} {:>8} {:>13} {:>13}\n",
        "guest", "RMI", "fold", "exits", "commands", "tables", "instructions", "own"
    );
    for row in rows {
        let Conversion { rmi, name, fold, exits, commands, tables, instructions, own } = row;
        let fold = if *fold { "back" } else { "no" };
        // Writing to a String cannot fail.
        let _ = writeln!(
            table,
            "{name:<22} {rmi:<4} {fold:<5} {exits:>7} {commands:>9} {tables:>8} {instructions:>13} {own:>13}"
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_table_have_every_count() {
        let line = r#"{"name": "a", "fold": true, "exits": 1, "commands": 2, "tables": 3, "instructions": 4, "own": 5}"#;
        let read: Conversion = serde_json::from_str(line).unwrap();
        let rows = [Conversion { rmi: "2.0".to_owned(), ..read }];
        let again: Vec<Conversion> = serde_json::from_str(&json(&rows)).unwrap();
        assert_eq!(again, rows);
        let table = table(&rows);
        let last: Vec<&str> = table.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(last, ["a", "2.0", "back", "1", "2", "3", "4", "5"]);
    }
}
