//! `cargo xtask bench --operations`: what each command asks of the machine, counted on the
//! simulated one.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Context;
use cairn_tests::operations::{self, COLUMNS, Row};

use crate::fault::{IoContext, Verdict};
use crate::paths::{self, write_whole};

/// The counts in the repository.
fn committed() -> PathBuf {
    paths::root().join("tools/assets/operations.json")
}

/// Counts, prints, and compares with what is committed, or commits it.
pub(super) fn command(update: bool) -> anyhow::Result<()> {
    let rows = operations::count().map_err(Verdict)?;
    print!("{}", table(&rows));
    let path = committed();
    if update {
        write_whole(&path, json(&rows).as_bytes())?;
        println!("These are the committed counts now.");
        return Ok(());
    }
    let before = parse(&std::fs::read_to_string(&path).at("read", &path)?)?;
    match more(&rows, &before).as_slice() {
        [] => Ok(()),
        more => Err(Verdict(format!(
            "{}; if that is meant, commit what `cargo xtask bench --operations --update` writes",
            more.join("; ")
        ))
        .into()),
    }
}

fn table(rows: &[Row]) -> String {
    let mut table = format!("{:<28}", "command");
    // Writing to a String cannot fail.
    for column in COLUMNS {
        let _ = write!(table, "{column:>10}");
    }
    for row in rows {
        let _ = write!(table, "\n{:<28}", row.name);
        for count in row.counts {
            let _ = write!(table, "{count:>10}");
        }
    }
    table + "\n"
}

/// An object with an array of counts per command, one command per line.
fn json(rows: &[Row]) -> String {
    let lines: Vec<String> =
        rows.iter().map(|row| format!("  {:?}: {:?}", row.name, row.counts)).collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

fn parse(json: &str) -> anyhow::Result<Vec<Row>> {
    let rows: std::collections::BTreeMap<String, [u64; COLUMNS.len()]> =
        serde_json::from_str(json).context("the committed counts cannot be read")?;
    Ok(rows.into_iter().map(|(name, counts)| Row { name, counts }).collect())
}

/// What has become more, or is not counted any more.
fn more(rows: &[Row], before: &[Row]) -> Vec<String> {
    let mut more = Vec::new();
    for old in before {
        let Some(new) = rows.iter().find(|row| row.name == old.name) else {
            more.push(format!("{} was not counted", old.name));
            continue;
        };
        for (column, (old_count, count)) in COLUMNS.iter().zip(old.counts.iter().zip(new.counts)) {
            if count > *old_count {
                more.push(format!("{}: {column} grew from {old_count} to {count}", old.name));
            }
        }
    }
    more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_survive_a_round_trip_and_growth_is_told() {
        let row = |counts| vec![Row { name: "a (b)".to_owned(), counts }];
        let before = parse(&json(&row([0, 1, 2, 3, 4, 5]))).unwrap();
        assert_eq!(before, row([0, 1, 2, 3, 4, 5]));
        assert!(more(&row([0, 1, 2, 3, 4, 4]), &before).is_empty());
        assert_eq!(more(&row([1, 1, 2, 3, 4, 5]), &before), ["a (b): TLBI grew from 0 to 1"]);
        assert_eq!(more(&[], &before), ["a (b) was not counted"]);
    }
}
