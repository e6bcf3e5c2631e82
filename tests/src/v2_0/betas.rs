//! Scenarios whose expectation is that of one beta of RMI 2.0, and what the betas before it answer.
//!
//! Every beta answers 2.0 to RMI_VERSION, so nobody can ask which one a monitor speaks: who runs
//! the suite has to say it. The scenarios are those of the third beta. Against an earlier one those
//! that differ are excused, each by its name.

/// The beta that the scenarios are written for.
pub const LATEST: u8 = 3;

/// What changed between two betas, as far as a scenario shows it.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// A scenario, or the part of their names that several begin with.
    scenarios: &'static str,
    /// The first beta that answers as they expect.
    since: u8,
    /// What the betas before it do.
    pub before: &'static str,
}

const NO_DEACTIVATE: &str = "RMM_DEACTIVATE is unknown";
const NO_GPT_INFO: &str = "GPT_INFO is unknown";
const NAMED_TARGET: &str = "the Host names the target of PSCI_COMPLETE too, in X2";
const IN_ORDER: &str = "the MPIDR of a REC is the next index";
const ALREADY_THERE: &str = "a granule that is in the wanted state already is INPUT";
const SAME_MAPPING: &str = "a mapping that is there already is RTT, at its level";

const fn since(since: u8, scenarios: &'static str, before: &'static str) -> Change {
    Change { scenarios, since, before }
}

/// All of them.
const CHANGES: &[Change] = &[
    since(2, "state_get", "the number of RMM_STATE_GET is that of another command"),
    since(2, "psci_complete", NAMED_TARGET),
    since(2, "matrix/psci_complete", NAMED_TARGET),
    since(2, "abi/x4_to_x7/psci_complete", NAMED_TARGET),
    since(2, "abi/unused_outputs/psci_complete", NAMED_TARGET),
    since(2, "bug/b04_entry_that_fails_is_no_running", NAMED_TARGET),
    since(2, "bug/b29_denied_for_a_target_that_is_on", NAMED_TARGET),
    since(2, "bug/b48_target_that_is_gone", NAMED_TARGET),
    since(2, "psci_affinity_info", "the call exits to the Host"),
    since(2, "rec_create/mpidr", IN_ORDER),
    since(2, "measurement/rec_create/mpidr_is_not_measured", IN_ORDER),
    since(3, "deactivate", NO_DEACTIVATE),
    since(3, "races/deactivate", NO_DEACTIVATE),
    since(3, "dialects", NO_DEACTIVATE),
    since(3, "version/latched/dropped_by_deactivate", NO_DEACTIVATE),
    since(3, "config_set/tracked", NO_DEACTIVATE),
    since(3, "gpt_info", NO_GPT_INFO),
    since(3, "bug/b41_gpt_info_in_one_answer", NO_GPT_INFO),
    since(3, "range_delegate/success/already_there", ALREADY_THERE),
    since(3, "range_delegate/success/mixed", ALREADY_THERE),
    since(3, "range_undelegate/success/already_there", ALREADY_THERE),
    since(3, "range_undelegate/success/mixed", ALREADY_THERE),
    since(3, "data_map/success/same_mapping_again", SAME_MAPPING),
    since(3, "unprot_map/success/same_mapping_again", SAME_MAPPING),
    since(3, "tracking_get/success/hole", "there is no category NONE"),
];

impl Change {
    fn is_about(&self, scenario: &str) -> bool {
        let rest = scenario.strip_prefix("v2/").and_then(|name| name.strip_prefix(self.scenarios));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// Why a monitor that speaks this beta does not answer as a scenario expects, if so.
pub fn differs(scenario: &str, beta: u8) -> Option<&'static Change> {
    CHANGES.iter().find(|change| beta < change.since && change.is_about(scenario))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_is_about_a_scenario() {
        let scenarios = crate::v2_0::all().scenarios;
        for change in CHANGES {
            let found = scenarios.iter().any(|scenario| change.is_about(&scenario.name));
            assert!(found, "no scenario is about {}", change.scenarios);
            assert!((2..=LATEST).contains(&change.since));
        }
    }

    #[test]
    fn earlier_betas_differ_in_more() {
        let count = |beta| {
            let scenarios = crate::v2_0::all().scenarios;
            scenarios.iter().filter(|scenario| differs(&scenario.name, beta).is_some()).count()
        };
        assert!(count(1) > count(2) && count(2) > 20, "{} {}", count(1), count(2));
        assert_eq!(count(LATEST), 0);
        let before = |name, beta| differs(name, beta).map(|change| change.before);
        assert_eq!(before("v2/gpt_info/bound", 2), Some(NO_GPT_INFO));
        assert_eq!(before("v2/psci_complete/success/on", 2), None);
        assert_eq!(before("v2/psci_complete/success/on", 1), Some(NAMED_TARGET));
    }
}
