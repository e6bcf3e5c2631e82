//! The conditions of RMI 2.0 that must have a scenario, how sure each is, and the readings that
//! follow from that.
//!
//! Written from the notes on the interface, not from what happens to be tested: a scenario
//! `v2/command/condition`, or one whose name goes on from there, covers a condition. A condition
//! without a scenario fails the build's tests.

use alloc::string::String;
use alloc::vec::Vec;

use crate::scenarios::Registry;

/// One line for each condition; sections of the notes are headings.
static TABLE: &str = include_str!("conditions.txt");

/// Conditions of the notes that no Host can bring about with a monitor like ours, and why.
pub static OUT_OF_REACH: &[(&str, &str)] = &[
    ("realm_create/pat_valid", "a machine without a platform token is another machine"),
    ("realm_create/entropy", "a machine without entropy is another machine"),
    ("realm_create/mec_policy", "there are no memory encryption contexts that could run out"),
    ("realm_create/slots", "REALM_CREATE is no operation"),
    ("range_delegate/coarse", "all memory is tracked by granule for ever"),
    ("range_delegate/intermediate", "no region changes its tracking"),
    ("data_map/tracking", "all memory is tracked by granule for ever"),
    (
        "data_map/marked",
        "no entry is left marked: what is unmapped is invalidated in the same call",
    ),
    ("data_map_init/marked", "no entry is left marked"),
    ("set_ripas/marked", "no entry is left marked"),
    ("rtt_create/marked", "no entry is left marked"),
    ("gpt_l1_destroy/not_homogeneous", "the Host has made no table"),
    ("op_mem_donate/mem_contig", "no command asks for contiguous memory"),
    ("op_mem_donate/conditional", "only a change of tracking asks for conditional memory"),
    (
        "data_unmap/late_list_fault",
        "the list is written before anything is unmapped, or not at all",
    ),
    ("init_ripas/device", "there are no entries of devices"),
];

/// A condition.
#[derive(Clone, Copy, Debug)]
pub struct Condition {
    /// `command/condition`.
    pub name: &'static str,
    /// Section of the notes.
    pub section: &'static str,
    /// Where the fact stands.
    pub marks: &'static str,
    /// The open question that it rests on.
    pub question: Option<&'static str>,
    /// How its scenarios read the interface, where something is left open.
    pub reading: Option<&'static str>,
}

impl Condition {
    fn parse(line: &'static str, section: &'static str) -> Self {
        let mut fields = line.split('|').map(str::trim);
        let mut next = || fields.next().unwrap_or_default();
        let (name, marks, question, reading) = (next(), next(), next(), next());
        let filled = |field: &'static str| (!field.is_empty()).then_some(field);
        let (question, reading) = (filled(question), filled(reading));
        Self { name, section, marks, question, reading }
    }

    /// Whether neither the text nor two programs say so, or the notes leave it open.
    pub fn is_open(&self) -> bool {
        let has = |mark: &str| self.marks.split_whitespace().any(|other| other == mark);
        // Three times of one monitor, and the kernel and its hypervisor, are one program each.
        let programs = [has("C2") || has("C7") || has("C9"), has("L") || has("K"), has("T")];
        let count = programs.into_iter().filter(|there| *there).count();
        self.question.is_some() || !has("S0") && !has("S3") && count < 2
    }

    /// Whether a scenario of this name is about it.
    pub fn covers(&self, scenario: &str) -> bool {
        let rest = scenario.strip_prefix("v2/").and_then(|name| name.strip_prefix(self.name));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// All conditions.
pub fn all() -> Vec<Condition> {
    let mut section = "";
    let mut conditions = Vec::new();
    for line in TABLE.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            section = heading;
        } else if !line.starts_with('#') && !line.trim().is_empty() {
            conditions.push(Condition::parse(line, section));
        }
    }
    conditions
}

/// Conditions that no scenario in `names` covers.
pub fn uncovered(names: &[String]) -> Vec<&'static str> {
    let open =
        all().into_iter().filter(|condition| !names.iter().any(|name| condition.covers(name)));
    open.map(|condition| condition.name).collect()
}

/// Gives scenarios the readings of their conditions, where they have none of their own.
pub(super) fn apply(registry: &mut Registry) {
    let conditions = all();
    for scenario in &mut registry.scenarios {
        let about = conditions.iter().find(|condition| condition.covers(&scenario.name));
        if let Some(condition) = about
            && condition.is_open()
            && scenario.interpretation.is_none()
            && let Some(reading) = condition.reading
        {
            scenario.reading(reading);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn names() -> Vec<String> {
        crate::v2_0::all().scenarios.into_iter().map(|scenario| scenario.name).collect()
    }

    #[test]
    fn every_condition_has_a_scenario() {
        assert_eq!(uncovered(&names()), Vec::<&str>::new());
    }

    #[test]
    fn names_are_unique_and_there_are_enough() {
        let names = names();
        let unique: BTreeSet<&String> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
        assert!(names.len() >= 450, "{}", names.len());
        let conditions: BTreeSet<&str> = all().iter().map(|condition| condition.name).collect();
        assert_eq!(conditions.len(), all().len());
        assert!(OUT_OF_REACH.iter().all(|(name, _)| !conditions.contains(name)));
    }

    #[test]
    fn what_is_open_has_a_reading() {
        for condition in all() {
            assert_eq!(condition.is_open(), condition.reading.is_some(), "{condition:?}");
            assert!(!condition.marks.is_empty() && !condition.section.is_empty(), "{condition:?}");
        }
    }

    #[test]
    fn every_scenario_is_about_a_condition() {
        let conditions = all();
        for name in names() {
            // What no text of Arm's has is in no table of conditions.
            let ours = name.contains("/in_place/");
            let other = ours
                || ["v2/bug/", "v2/dialects/", "v2/teardown/"]
                    .iter()
                    .any(|prefix| name.starts_with(prefix));
            let gate = name.contains("/act/");
            let covered = conditions.iter().any(|condition| condition.covers(&name));
            assert!(other || gate || covered, "{name} is about nothing in the table");
        }
    }

    #[test]
    fn rows_of_the_bug_catalogue_have_scenarios() {
        // Rows that a Host of RMI 2.0 without devices cannot show: see `scenarios::bugs`.
        const NOT_HERE: [u64; 7] = [2, 3, 25, 26, 32, 34, 51];
        let names = names().join("\n");
        for row in (1..=53).filter(|row| !NOT_HERE.contains(row)) {
            let label = std::format!("b{row:02}_");
            assert!(names.contains(&label), "no scenario for B-{row}");
        }
    }
}
