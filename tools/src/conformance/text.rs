//! What a scenario or a condition is about, in the text that it comes from: RMM 1.0, or the notes
//! on 2.0. Names tell which: those of 2.0 begin with `v2/`.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use cairn_tests::{conditions, v2_0};

use super::outcome::Row;

/// What names of 2.0 begin with.
pub(super) const V2: &str = "v2/";

/// Section of the notes on 2.0 by command, and the conditions.
struct Notes {
    sections: BTreeMap<&'static str, &'static str>,
    conditions: Vec<String>,
}

fn notes() -> &'static Notes {
    static NOTES: OnceLock<Notes> = OnceLock::new();
    NOTES.get_or_init(|| {
        let all = v2_0::conditions::all();
        let sections = all.iter().rev().map(|one| (conditions::command(one.name), one.section));
        let names = all.iter().map(|one| format!("{V2}{}", one.name));
        Notes { sections: sections.collect(), conditions: names.collect() }
    })
}

fn is_v2(rows: &[Row]) -> bool {
    rows.first().is_some_and(|row| row.scenario.name.starts_with(V2))
}

/// The text that the scenarios come from.
pub(super) fn title(rows: &[Row]) -> &'static str {
    if is_v2(rows) { "RMM 2.0-bet3" } else { "RMM 1.0" }
}

/// The command, call, event, or group that a name begins with.
pub(super) fn command(name: &str) -> &str {
    let prefix = if name.starts_with(V2) { V2.len() } else { 0 };
    let end = name.get(prefix..).and_then(|rest| rest.find('/')).map(|at| prefix + at);
    end.and_then(|end| name.get(..end)).unwrap_or(name)
}

/// The clause or section that a name is about; empty if it is about several.
pub(super) fn clause(name: &str) -> &'static str {
    match command(name).strip_prefix(V2) {
        Some(command) => notes().sections.get(command).copied().unwrap_or_default(),
        None => conditions::clause(name),
    }
}

/// Groups that come first in a table, in order.
pub(super) fn groups(rows: &[Row]) -> Vec<&'static str> {
    if is_v2(rows) {
        return Vec::new();
    }
    conditions::CONDITIONS.iter().map(|(name, ..)| *name).collect()
}

/// The conditions of the text.
pub(super) fn all(rows: &[Row]) -> Vec<String> {
    if is_v2(rows) { notes().conditions.clone() } else { conditions::all() }
}

/// Why no Host can bring a condition about, if so.
pub(super) fn out_of_reach(condition: &str) -> Option<&'static str> {
    let name = condition.strip_prefix(V2)?;
    let reasons = v2_0::conditions::OUT_OF_REACH;
    reasons.iter().find(|(other, _)| *other == name).map(|(_, why)| *why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_they_are_about() {
        assert_eq!(command("rtt_create/rd_state/rec"), "rtt_create");
        assert_eq!(command("v2/rtt_create/rd_state"), "v2/rtt_create");
        assert_eq!(clause("v2/nothing/at_all"), "");
        assert!(!clause("v2/range_delegate/el3/busy").is_empty());
        assert!(out_of_reach("v2/realm_create/slots").is_some());
        assert_eq!(out_of_reach("realm_create/rd_state"), None);
    }
}
