//! The summary of a run, for people.

use std::sync::Arc;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use cairn_tests::need::Backend as Kind;
use cairn_tests::scenarios::{Cpu, Scenario};

use super::outcome::{Outcome, Row, Status, status};
use super::text;
use crate::ledger::Ledger;

const fn colour(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(anstyle::Color::Ansi(colour)))
}

const RED: Style = colour(AnsiColor::Red);
const GREEN: Style = colour(AnsiColor::Green);
const YELLOW: Style = colour(AnsiColor::Yellow);
const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// Prints the scenarios, and what is special about them.
pub(super) fn list<'a>(scenarios: impl Iterator<Item = &'a Arc<Scenario>>) {
    for scenario in scenarios {
        anstream::println!("{}", scenario.name);
        match scenario.cpu {
            Cpu::Max => {}
            Cpu::Plain => anstream::println!("    {DIM}on a CPU without FEAT_LPA2{DIM:#}"),
            Cpu::Large => anstream::println!("    {DIM}takes minutes (--long){DIM:#}"),
            Cpu::Narrow => anstream::println!("    {DIM}on a CPU with 40-bit addresses{DIM:#}"),
        }
        if let Some(reason) = scenario.missing_on(Kind::Qemu) {
            anstream::println!("    {DIM}not on QEMU: {reason}{DIM:#}");
        }
        if let Some(reading) = scenario.interpretation {
            anstream::println!("    {YELLOW}ours by interpretation:{YELLOW:#} {reading}");
        }
    }
}

/// How many rows have each outcome.
#[derive(Default)]
struct Count {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Count {
    fn of<'a>(rows: impl Iterator<Item = &'a Row>) -> Self {
        let mut count = Self::default();
        for row in rows {
            match row.outcome {
                Outcome::Passed => count.passed += 1,
                Outcome::Failed(_) => count.failed += 1,
                Outcome::Skipped(_) | Outcome::Missing(_) | Outcome::Waiting => count.skipped += 1,
            }
        }
        count
    }
}

/// Prints everything.
pub(super) fn print(rows: &[Row], kind: Kind, filtered: bool, subject: &str, took: Duration) {
    anstream::println!(
        "\n{BOLD}{:<32} {:<16} {:>11} {:>8} {:>8} {:>8}{BOLD:#}",
        "",
        text::title(rows),
        "conditions",
        "passed",
        "failed",
        "not here"
    );
    let mut groups: Vec<&str> = text::groups(rows);
    for row in rows {
        let group = text::command(&row.scenario.name);
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    let all = text::all(rows);
    let mut statuses = Vec::new();
    for group in groups {
        let about: Vec<&String> = all.iter().filter(|name| text::command(name) == group).collect();
        let own: Vec<(&String, Status)> =
            about.iter().map(|name| (*name, status(name, rows, kind))).collect();
        line(group, rows, &own);
        statuses.extend(own);
    }
    reasons(&statuses, filtered);
    missing(rows);
    failures(rows);
    totals(rows, &statuses, subject, took);
}

fn line(group: &str, rows: &[Row], own: &[(&String, Status)]) {
    let members = rows.iter().filter(|row| text::command(&row.scenario.name) == group);
    let count = Count::of(members);
    if count.passed + count.failed + count.skipped == 0 {
        return;
    }
    let covered = own.iter().filter(|(_, status)| *status == Status::Covered).count();
    let bad = own.iter().any(|(_, status)| matches!(status, Status::Failing | Status::Uncovered));
    let style = if count.failed > 0 || bad { RED } else { GREEN };
    let cover = if own.is_empty() { "-".to_owned() } else { format!("{covered}/{}", own.len()) };
    anstream::println!(
        "{style}{group:<32}{style:#} {:<16} {cover:>11} {:>8} {:>8} {:>8}",
        text::clause(group),
        count.passed,
        count.failed,
        count.skipped
    );
}

/// Conditions without a passing scenario.
fn reasons(statuses: &[(&String, Status)], filtered: bool) {
    let mut excused = Vec::new();
    let mut open = Vec::new();
    for (name, status) in statuses {
        match status {
            Status::Covered => {}
            Status::Excused(reason) => excused.push((name, reason)),
            Status::Failing => open.push((name, "every scenario about it failed")),
            Status::Uncovered if filtered => {}
            Status::Uncovered => open.push((name, "no scenario about it ran")),
        }
    }
    if !excused.is_empty() {
        anstream::println!("\n{BOLD}Conditions that cannot be shown here{BOLD:#}");
    }
    for (name, reason) in excused {
        anstream::println!("  {name:<44} {reason}");
    }
    if !open.is_empty() {
        anstream::println!("\n{BOLD}Conditions without a passing scenario{BOLD:#}");
    }
    for (name, reason) in open {
        anstream::println!("  {RED}{name:<44}{RED:#} {reason}");
    }
}

/// Scenarios that found nothing to do.
fn missing(rows: &[Row]) {
    let mut first = true;
    for row in rows {
        let Outcome::Missing(why) = &row.outcome else { continue };
        if std::mem::take(&mut first) {
            anstream::println!("\n{BOLD}Scenarios that found nothing to do{BOLD:#}");
        }
        anstream::println!("  {:<52} not here: {why}", row.scenario.name);
    }
}

fn failures(rows: &[Row]) {
    let mut first = true;
    let mut before = "";
    for row in rows {
        let Outcome::Failed(why) = &row.outcome else { continue };
        if std::mem::take(&mut first) {
            anstream::println!("\n{BOLD}Failures{BOLD:#}");
        }
        let clause = text::clause(&row.scenario.name);
        let clause = if clause.is_empty() {
            String::new()
        } else {
            format!(" ({} {clause})", text::title(rows))
        };
        // One cause may fail hundreds.
        let text = if why == before { "for the same reason" } else { why };
        before = why;
        anstream::println!("  {RED}{}{RED:#}{clause}\n    {text}", row.scenario.name);
        if let Some(reading) = row.scenario.interpretation {
            anstream::println!("    {YELLOW}ours by interpretation:{YELLOW:#} {reading}");
        }
    }
}

fn totals(rows: &[Row], statuses: &[(&String, Status)], subject: &str, took: Duration) {
    let count = Count::of(rows.iter());
    let covered = statuses.iter().filter(|(_, status)| *status == Status::Covered).count();
    let excused =
        statuses.iter().filter(|(_, status)| matches!(status, Status::Excused(_))).count();
    let ours = rows.iter().filter(|row| row.scenario.interpretation.is_some()).count();
    anstream::println!(
        "\n{BOLD}{subject}{BOLD:#}: {} scenarios passed, {} failed, {} do not run here; {covered} of {} conditions shown, {excused} \
         cannot be here; {ours} scenarios are ours by interpretation; {:.0} s",
        count.passed,
        count.failed,
        count.skipped,
        statuses.len(),
        took.as_secs_f64()
    );
}
/// What the monitor's leak ledgers name in the end, one per machine. On the simulated machine each
/// scenario ends with an empty one, or fails.
pub(super) fn print_ledgers(ledgers: &[Ledger]) {
    let named: Vec<&Ledger> = ledgers.iter().filter(|ledger| !ledger.is_empty()).collect();
    if named.is_empty() && !ledgers.is_empty() {
        println!("ledger: empty on each of {} machines", ledgers.len());
    }
    for ledger in named {
        print!("{}", ledger.table());
    }
}
