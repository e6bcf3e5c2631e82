//! The results as files for other programs.

use std::borrow::Cow;
use std::path::Path;

use anyhow::Context;
use cairn_tests::need::Backend as Kind;
use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::{Value, json};

use super::outcome::{Outcome, Row, Status, status};
use super::text;
use crate::paths::write_whole;

/// Writes JUnit XML: a suite for each command.
pub(super) fn junit(rows: &[Row], subject: &str, file: &Path) -> anyhow::Result<()> {
    let mut report = Report::new(format!("conformance: {subject}"));
    let mut groups: Vec<&str> = Vec::new();
    for row in rows {
        let group = text::command(&row.scenario.name);
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    for group in groups {
        let mut suite = TestSuite::new(group);
        for row in rows.iter().filter(|row| text::command(&row.scenario.name) == group) {
            suite.add_test_case(case(row, text::title(rows)));
        }
        report.add_test_suite(suite);
    }
    let text = report.to_string().context("cannot write JUnit XML")?;
    write_whole(file, text.as_bytes())
}

fn case(row: &Row, title: &str) -> TestCase {
    let status = match &row.outcome {
        Outcome::Passed => TestCaseStatus::success(),
        Outcome::Failed(why) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(why.lines().next().unwrap_or_default()).set_description(why.clone());
            status
        }
        Outcome::Skipped(_) | Outcome::Missing(_) | Outcome::Waiting => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(reason(&row.outcome).into_owned());
            status
        }
    };
    let mut case = TestCase::new(row.scenario.name.clone(), status);
    case.set_time(row.took);
    let clause = text::clause(&row.scenario.name);
    if !clause.is_empty() {
        case.add_property(Property::new("clause", format!("{title} {clause}")));
    }
    if let Some(reading) = row.scenario.interpretation {
        case.add_property(Property::new("interpretation", reading));
    }
    case
}

fn reason(outcome: &Outcome) -> Cow<'_, str> {
    match outcome {
        Outcome::Passed => "".into(),
        Outcome::Failed(why) => why.into(),
        Outcome::Skipped(why) => (*why).into(),
        Outcome::Missing(why) => format!("not here: {why}").into(),
        Outcome::Waiting => "did not run".into(),
    }
}

/// Writes JSON: scenarios and conditions.
pub(super) fn json(rows: &[Row], kind: Kind, subject: &str, file: &Path) -> anyhow::Result<()> {
    let scenarios: Vec<Value> = rows.iter().map(scenario).collect();
    let conditions: Vec<Value> = text::all(rows)
        .iter()
        .map(|name| {
            let (status, reason) = match status(name, rows, kind) {
                Status::Covered => ("covered", String::new()),
                Status::Failing => ("failing", String::new()),
                Status::Excused(reason) => ("excused", reason),
                Status::Uncovered => ("uncovered", String::new()),
            };
            json!({"name": name, "clause": text::clause(name), "status": status, "reason": reason})
        })
        .collect();
    let whole = json!({"subject": subject, "scenarios": scenarios, "conditions": conditions});
    let text = serde_json::to_string_pretty(&whole).context("cannot write JSON")?;
    write_whole(file, text.as_bytes())
}

fn scenario(row: &Row) -> Value {
    let result = match row.outcome {
        Outcome::Passed => "pass",
        Outcome::Failed(_) => "fail",
        Outcome::Skipped(_) | Outcome::Missing(_) | Outcome::Waiting => "skip",
    };
    json!({
        "name": row.scenario.name,
        "clause": text::clause(&row.scenario.name),
        "result": result,
        "why": reason(&row.outcome),
        "interpretation": row.scenario.interpretation,
        "seconds": row.took.as_secs_f64(),
    })
}
