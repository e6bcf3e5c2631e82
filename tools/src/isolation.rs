//! What the host saw when it looked for secrets of the Realms.

use std::fmt;

use serde::Deserialize;

/// How much the host has looked at, and in how many places it saw something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) struct Isolation {
    /// Entries around which all registers and the exit were watched.
    pub entries: u64,
    /// Granules that were searched when they came back.
    pub pages: u64,
    /// Places where something was seen.
    pub findings: u64,
}

/// One place where something was seen. The host reports the first few.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Finding {
    /// Realm, virtual CPU and number of the exit, or the granule that came back.
    pub whose: String,
    /// The register, the offset in the exit, or the address.
    pub place: String,
    /// What it should hold, in hexadecimal.
    pub before: String,
    /// What it holds, in hexadecimal.
    pub after: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { whose, place, before, after } = self;
        write!(f, "not isolated: {whose}: {place} should be {before} and is {after}")
    }
}

/// What is wrong, of a run with several Realms.
pub(crate) fn problems(seen: Option<Isolation>, findings: &[Finding]) -> Vec<String> {
    let Some(Isolation { entries, pages, findings: count }) = seen else {
        let mut problems = vec!["the host did not look for secrets to its end".to_owned()];
        problems.extend(findings.iter().map(Finding::to_string));
        return problems;
    };
    let mut problems = Vec::new();
    if entries == 0 || pages == 0 {
        problems.push("the host had nowhere to look for secrets".to_owned());
    }
    if count > 0 {
        problems.push(format!("the host saw secrets of Realms {count} times"));
    }
    problems.extend(findings.iter().map(Finding::to_string));
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_says_where_and_both_values() {
        let line = r#"{"whose":"Realm 2 (RD 0x42000000), CPU 1, exit 77","place":"p, all in a row, word 3","before":"0x7","after":"0x0"}"#;
        let finding: Finding = serde_json::from_str(line).unwrap();
        let seen = Isolation { entries: 80, pages: 9, findings: 1 };
        assert_eq!(
            problems(Some(seen), &[finding]),
            [
                "the host saw secrets of Realms 1 times",
                "not isolated: Realm 2 (RD 0x42000000), CPU 1, exit 77: p, all in a row, word 3 should be 0x7 and is 0x0"
            ]
        );
        assert!(problems(Some(Isolation { findings: 0, ..seen }), &[]).is_empty());
        assert_eq!(problems(None, &[]).len(), 1);
    }
}
