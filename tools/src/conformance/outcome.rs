//! What became of each scenario, and what that says about each condition.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cairn_tests::conditions;
use cairn_tests::need::Backend as Kind;
use cairn_tests::scenarios::Scenario;

/// What became of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has not run yet.
    Waiting,
    /// All its expectations held.
    Passed,
    /// One did not, and which.
    Failed(String),
    /// It does not run here, and why.
    Skipped(&'static str),
}

/// A scenario and what became of it.
#[derive(Clone)]
pub struct Row {
    /// The scenario.
    pub scenario: Arc<Scenario>,
    /// What became of it.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

/// All scenarios of a run; workers fill in what became of them.
pub struct Results {
    rows: Mutex<Vec<Row>>,
}

impl Results {
    /// Scenarios that wait, unless there is a reason to skip them.
    pub fn new(
        scenarios: impl Iterator<Item = Arc<Scenario>>,
        skip: impl Fn(&Scenario) -> Option<&'static str>,
    ) -> Self {
        let rows = scenarios.map(|scenario| {
            let outcome = skip(&scenario).map_or(Outcome::Waiting, Outcome::Skipped);
            Row { scenario, outcome, took: Duration::ZERO }
        });
        Self { rows: Mutex::new(rows.collect()) }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.queue().len()
    }

    /// The scenarios that wait.
    pub fn queue(&self) -> Vec<Arc<Scenario>> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = rows.iter().filter(|row| row.outcome == Outcome::Waiting);
        waiting.map(|row| row.scenario.clone()).collect()
    }

    /// A scenario has ended; how many have so far.
    pub fn ended(&self, name: &str, outcome: Outcome, took: Duration) -> usize {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = rows.iter_mut().find(|row| row.scenario.name == name) {
            (row.outcome, row.took) = (outcome, took);
        }
        let ended = |row: &&Row| matches!(row.outcome, Outcome::Passed | Outcome::Failed(_));
        rows.iter().filter(ended).count()
    }

    /// What became of all.
    pub fn finish(self) -> Vec<Row> {
        self.rows.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the scenarios say about a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// A scenario passed.
    Covered,
    /// Scenarios ran, and none passed.
    Failing,
    /// No scenario can run here, for this reason.
    Excused(&'static str),
    /// No scenario ran.
    Uncovered,
}

/// What the scenarios say about a condition.
pub fn status(condition: &str, rows: &[Row], kind: Kind) -> Status {
    let about = || rows.iter().filter(|row| conditions::covers(condition, &row.scenario.name));
    if about().any(|row| row.outcome == Outcome::Passed) {
        return Status::Covered;
    }
    if about().any(|row| matches!(row.outcome, Outcome::Failed(_))) {
        return Status::Failing;
    }
    match about().find_map(|row| row.scenario.missing_on(kind)) {
        Some(reason) => Status::Excused(reason),
        None => Status::Uncovered,
    }
}

/// Conditions that no scenario shows to hold, without a reason.
pub fn uncovered(rows: &[Row], kind: Kind) -> Vec<String> {
    let mut all = conditions::all();
    all.retain(|condition| {
        matches!(status(condition, rows, kind), Status::Failing | Status::Uncovered)
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_tests::need::Need;
    use cairn_tests::scenarios::Registry;

    fn rows(outcomes: &[(&str, Outcome, Option<Need>)]) -> Vec<Row> {
        let mut registry = Registry::default();
        for (name, _, need) in outcomes {
            let scenario = registry.add(*name, |_| Ok(()));
            need.map(|need| scenario.needs(need));
        }
        let scenarios = registry.scenarios.into_iter().zip(outcomes);
        let row = |(scenario, (_, outcome, _)): (Scenario, &(&str, Outcome, Option<Need>))| Row {
            scenario: Arc::new(scenario),
            outcome: outcome.clone(),
            took: Duration::ZERO,
        };
        scenarios.map(row).collect()
    }

    #[test]
    fn one_passing_scenario_covers_a_condition() {
        let rows = rows(&[
            ("a/b", Outcome::Failed("no".into()), None),
            ("a/b/more", Outcome::Passed, None),
            ("a/bc", Outcome::Failed("no".into()), None),
            ("a/d", Outcome::Skipped("x"), Some(Need::Fiq)),
        ]);
        assert_eq!(status("a/b", &rows, Kind::Qemu), Status::Covered);
        assert_eq!(status("a/bc", &rows, Kind::Qemu), Status::Failing);
        assert!(matches!(status("a/d", &rows, Kind::Qemu), Status::Excused(_)));
        assert_eq!(status("a/e", &rows, Kind::Qemu), Status::Uncovered);
    }

    #[test]
    fn a_skipped_scenario_without_a_stated_need_covers_nothing() {
        let rows = rows(&[("a/b", Outcome::Skipped("takes minutes"), None)]);
        assert_eq!(status("a/b", &rows, Kind::Qemu), Status::Uncovered);
    }
}
