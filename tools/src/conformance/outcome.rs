//! What became of each scenario, and what that says about each condition.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cairn_tests::conditions;
use cairn_tests::need::Backend as Kind;
use cairn_tests::scenarios::Scenario;

use super::text;

/// What became of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It has not run yet.
    Waiting,
    /// All its expectations held.
    Passed,
    /// One did not, and which.
    Failed(String),
    /// It does not run here, and why.
    Skipped(&'static str),
    /// It ran, and found that the machine lacks what it is about.
    Missing(String),
}

/// A scenario and what became of it.
#[derive(Clone)]
pub(super) struct Row {
    /// The scenario.
    pub scenario: Arc<Scenario>,
    /// What became of it.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

/// All scenarios of a run; workers fill in what became of them.
pub(super) struct Results {
    rows: Mutex<Vec<Row>>,
    /// The machine is known to have all that scenarios find for themselves.
    complete: bool,
}

impl Results {
    /// Scenarios that wait, unless there is a reason to skip them.
    pub(super) fn new(
        scenarios: impl Iterator<Item = Arc<Scenario>>,
        skip: impl Fn(&Scenario) -> Option<&'static str>,
        complete: bool,
    ) -> Self {
        let rows = scenarios.map(|scenario| {
            let outcome = skip(&scenario).map_or(Outcome::Waiting, Outcome::Skipped);
            Row { scenario, outcome, took: Duration::ZERO }
        });
        Self { rows: Mutex::new(rows.collect()), complete }
    }

    /// Scenarios that wait are excused if there is a reason.
    pub(super) fn excuse(&self, why: impl Fn(&Scenario) -> Option<String>) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        for row in rows.iter_mut().filter(|row| row.outcome == Outcome::Waiting) {
            if let Some(why) = why(&row.scenario) {
                row.outcome = Outcome::Missing(why);
            }
        }
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.queue().len()
    }

    /// The scenarios that wait.
    pub(super) fn queue(&self) -> Vec<Arc<Scenario>> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = rows.iter().filter(|row| row.outcome == Outcome::Waiting);
        waiting.map(|row| row.scenario.clone()).collect()
    }

    /// What an outcome means here: our own monitor offers all that this machine's CPU has, or is at
    /// fault.
    pub(super) fn judge(&self, outcome: Outcome) -> Outcome {
        if self.complete
            && let Outcome::Missing(why) = outcome
        {
            return Outcome::Failed(format!("{why}, which this machine's CPU has"));
        }
        outcome
    }

    /// A scenario has ended; how many have so far.
    pub(super) fn ended(&self, name: &str, outcome: Outcome, took: Duration) -> usize {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = rows.iter_mut().find(|row| row.scenario.name == name) {
            (row.outcome, row.took) = (outcome, took);
        }
        let ended = |row: &&Row| {
            matches!(row.outcome, Outcome::Passed | Outcome::Failed(_) | Outcome::Missing(_))
        };
        rows.iter().filter(ended).count()
    }

    /// What became of all.
    pub(super) fn finish(self) -> Vec<Row> {
        self.rows.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the scenarios say about a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// A scenario passed.
    Covered,
    /// Scenarios ran, and none passed.
    Failing,
    /// No scenario can run here, for this reason.
    Excused(String),
    /// No scenario ran.
    Uncovered,
}

/// What the scenarios say about a condition.
pub(super) fn status(condition: &str, rows: &[Row], kind: Kind) -> Status {
    let about = || rows.iter().filter(|row| conditions::covers(condition, &row.scenario.name));
    if about().any(|row| row.outcome == Outcome::Passed) {
        return Status::Covered;
    }
    if let Some(reason) = text::out_of_reach(condition) {
        return Status::Excused(reason.to_owned());
    }
    if about().any(|row| matches!(row.outcome, Outcome::Failed(_))) {
        return Status::Failing;
    }
    let missing = |row: &Row| match &row.outcome {
        Outcome::Missing(why) => Some(why.clone()),
        Outcome::Waiting | Outcome::Passed | Outcome::Failed(_) | Outcome::Skipped(_) => {
            row.scenario.missing_on(kind).map(str::to_owned)
        }
    };
    about().find_map(missing).map_or(Status::Uncovered, Status::Excused)
}

/// Conditions that no scenario shows to hold, without a reason.
pub(super) fn uncovered(rows: &[Row], kind: Kind) -> Vec<String> {
    let mut all = text::all(rows);
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
    fn what_a_scenario_found_missing_excuses_its_condition_and_covers_nothing() {
        let rows = rows(&[
            ("a/b", Outcome::Missing("needs SVE".into()), None),
            ("a/c", Outcome::Missing("needs SVE".into()), None),
            ("a/c/more", Outcome::Failed("no".into()), None),
        ]);
        assert_eq!(status("a/b", &rows, Kind::Qemu), Status::Excused("needs SVE".into()));
        assert_eq!(status("a/c", &rows, Kind::Qemu), Status::Failing);
    }

    #[test]
    fn what_is_excused_does_not_run_and_excuses_its_condition() {
        let all = rows(&[("a/b", Outcome::Waiting, None), ("a/c", Outcome::Waiting, None)]);
        let results = Results::new(all.into_iter().map(|row| row.scenario), |_| None, true);
        results.excuse(|scenario| (scenario.name == "a/b").then(|| "another beta".to_owned()));
        assert_eq!(results.waiting(), 1);
        let rows = results.finish();
        assert_eq!(status("a/b", &rows, Kind::Fake), Status::Excused("another beta".into()));
    }

    #[test]
    fn our_own_monitor_has_to_offer_what_the_cpu_has() {
        let results = |complete| Results::new(std::iter::empty(), |_| None, complete);
        let missing = Outcome::Missing("needs SVE".into());
        assert_eq!(results(false).judge(missing.clone()), missing);
        assert!(matches!(results(true).judge(missing), Outcome::Failed(_)));
        assert_eq!(results(true).judge(Outcome::Passed), Outcome::Passed);
    }

    #[test]
    fn a_skipped_scenario_without_a_stated_need_covers_nothing() {
        let rows = rows(&[("a/b", Outcome::Skipped("takes minutes"), None)]);
        assert_eq!(status("a/b", &rows, Kind::Qemu), Status::Uncovered);
    }
}
