//! The verdict on an unattended run, from what the guest and the host printed.
//!
//! A guest could print the host's lines. That is fine for our own test guest; nothing else may be judged this way.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde::Deserialize;

use crate::ledger::Ledger;

/// Checks that the guest must pass, as named by `assets/init.sh`.
pub const EXPECTED: [&str; 7] = ["rsi", "memory", "cpus", "timer", "shared", "simd", "token"];

const GUEST: &str = "cairn-guest: ";
const HOST: &str = "@cairn ";

/// A machine-readable line of the host.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event {
    Accounting(Accounting),
    End {
        result: String,
        why: Option<String>,
    },
    #[serde(other)]
    Other,
}

/// Where every granule went, and why the Realm exited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Accounting {
    /// Granules given to the monitor.
    pub delegated: u64,
    /// Granules that came back.
    pub returned: u64,
    /// Granules that the monitor refused to give back.
    pub leaked: u64,
    /// REC exits by reason.
    #[serde(default)]
    pub exits: BTreeMap<String, u64>,
    /// Refusals of delegation or return, whether or not a later attempt worked.
    #[serde(default)]
    pub granule_refusals: u64,
}

/// Everything of interest in the output of one run.
#[derive(Debug, Default)]
pub struct Report {
    passed: Vec<String>,
    failed: Vec<String>,
    done: bool,
    kernel: Option<String>,
    asked: bool,
    token: String,
    accounting: Option<Accounting>,
    end: Option<(String, Option<String>)>,
    trouble: Vec<String>,
    ledger: Ledger,
}

impl Report {
    /// Takes one message of the monitor.
    pub fn message(&mut self, message: &str) {
        self.ledger.line(message);
    }

    /// The monitor's leak ledger.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Takes one line of text.
    pub fn line(&mut self, line: &str) {
        let line = line.trim();
        if let Some(rest) = line.strip_prefix(GUEST) {
            self.guest(rest.trim());
        } else if let Some(json) = line.strip_prefix(HOST) {
            self.host(json);
        } else if self.kernel.is_none() && line.contains("Linux version ") {
            let version =
                line.split("Linux version ").nth(1).and_then(|rest| rest.split(' ').next());
            self.kernel = version.map(str::to_owned);
        } else if line.contains("Kernel panic - not syncing") {
            let what = line.split("Kernel panic").nth(1).unwrap_or_default();
            self.trouble.push(format!(
                "the guest's kernel panicked{}",
                what.replace(" - not syncing:", ":")
            ));
        }
    }

    fn guest(&mut self, rest: &str) {
        let (word, detail) = rest.split_once(' ').unwrap_or((rest, ""));
        match word {
            "ok" => self.passed.push(detail.to_owned()),
            "FAIL" => self.failed.push(detail.to_owned()),
            "done" => self.done = true,
            "kernel" => self.kernel = Some(detail.to_owned()),
            "challenge?" => self.asked = true,
            "token" => self.token.push_str(detail),
            _ => {}
        }
    }

    fn host(&mut self, json: &str) {
        match serde_json::from_str(json) {
            Ok(Event::Accounting(accounting)) => self.accounting = Some(accounting),
            Ok(Event::End { result, why }) => self.end = Some((result, why)),
            Ok(Event::Other) => {}
            Err(error) => {
                self.trouble.push(format!("a line of the host cannot be read ({error}): {json}"))
            }
        }
    }

    /// Notes something outside the machine's own output that makes the run a failure.
    pub fn trouble(&mut self, sentence: String) {
        self.trouble.push(sentence);
    }

    /// Whether the guest wants the relying party's challenge; true once for each question.
    pub fn takes_question(&mut self) -> bool {
        std::mem::take(&mut self.asked)
    }

    /// Whether a line is one of many that mean nothing to people: a part of the token.
    pub fn is_bulk(line: &str) -> bool {
        line.strip_prefix(GUEST).is_some_and(|rest| rest.starts_with("token "))
    }

    /// The token that the guest printed, as hexadecimal digits, if it says that this is all of it.
    pub fn token(&self) -> Option<&str> {
        self.has_passed("token").then_some(&self.token)
    }

    /// Whether the host has said its last word.
    pub fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// The host's last word, with its reason if it failed.
    pub fn end_of_host(&self) -> Option<Result<(), &str>> {
        let (result, why) = self.end.as_ref()?;
        Some(if result == "ok" {
            Ok(())
        } else {
            Err(why.as_deref().unwrap_or("it did not say why"))
        })
    }

    /// What is wrong; empty if all is well.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = self.trouble.clone();
        match self.end_of_host() {
            None => problems.push("the host did not report an end".to_owned()),
            Some(Ok(())) => {}
            Some(Err(why)) => problems.push(format!("the host failed: {why}")),
        }
        problems.extend(self.failed.iter().map(|check| format!("guest check failed: {check}")));
        let missing =
            EXPECTED.iter().filter(|name| !self.has_passed(name) && !self.has_failed(name));
        problems.extend(missing.map(|name| format!("guest check did not run: {name}")));
        if !self.done {
            problems.push("the guest did not finish its checks".to_owned());
        }
        match &self.accounting {
            None => problems.push("the host did not account for its granules".to_owned()),
            Some(sum) => {
                if sum.leaked != 0 {
                    problems.push(format!("{} granules leaked", sum.leaked));
                }
                if sum.delegated != sum.returned {
                    problems.push(format!(
                        "{} granules were delegated but {} returned",
                        sum.delegated, sum.returned
                    ));
                }
                let named = self.ledger.granules();
                if sum.leaked != named {
                    problems.push(format!(
                        "the host counts {} leaked granules, the monitor's ledger {named}",
                        sum.leaked
                    ));
                }
                if sum.delegated == 0 {
                    problems.push("no granule was delegated, so there was no Realm".to_owned());
                }
            }
        }
        problems
    }

    fn has_passed(&self, name: &str) -> bool {
        self.passed.iter().any(|check| check.split(' ').next() == Some(name))
    }

    fn has_failed(&self, name: &str) -> bool {
        self.failed.iter().any(|check| check.split(' ').next() == Some(name))
    }

    /// The table at the end of a run that took `wall`.
    pub fn table(&self, wall: Duration) -> String {
        let mut text = String::new();
        let mut row = |name: &str, value: String| {
            let _ = writeln!(text, "  {name:<20} {value}");
        };
        row("guest kernel", self.kernel.clone().unwrap_or_else(|| "unknown".to_owned()));
        if let Some(sum) = &self.accounting {
            row("granules delegated", sum.delegated.to_string());
            row("granules returned", sum.returned.to_string());
            row("granules leaked", sum.leaked.to_string());
            row("granule refusals", sum.granule_refusals.to_string());
            row("REC exits", sum.exits.values().sum::<u64>().to_string());
            for (reason, count) in sum.exits.iter().filter(|(_, count)| **count > 0) {
                row(&format!("  {reason}"), count.to_string());
            }
        }
        for name in EXPECTED {
            let verdict = if self.has_failed(name) {
                "FAIL"
            } else if self.has_passed(name) {
                "ok"
            } else {
                "not run"
            };
            row(&format!("guest check {name}"), verdict.to_owned());
        }
        row("wall time", format!("{:.1} s", wall.as_secs_f64()));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
[    0.0] Linux version 7.2.12+deb13-arm64 (x) #1
@cairn {\"event\":\"start\",\"cpus\":2,\"memory\":268435456,\"rmi\":\"1.0\"}
cairn-guest: kernel 7.2.12+deb13-arm64
cairn-guest: ok rsi
cairn-guest: ok memory 100 MiB
cairn-guest: ok cpus
cairn-guest: ok timer
cairn-guest: ok shared
cairn-guest: ok simd
cairn-guest: ok token 4 bytes
cairn-guest: done
@cairn {\"event\":\"accounting\",\"delegated\":7,\"returned\":7,\"leaked\":0,\"exits\":{\"irq\":3,\"fiq\":0},\"granule_refusals\":0}
@cairn {\"event\":\"end\",\"result\":\"ok\"}
";

    fn problems(text: &str) -> Vec<String> {
        let mut report = Report::default();
        text.lines().for_each(|line| report.line(line));
        report.problems()
    }

    #[test]
    fn a_good_run_has_no_problems() {
        assert_eq!(problems(GOOD), Vec::<String>::new());
    }

    #[test]
    fn every_line_of_a_good_run_is_needed() {
        for (index, line) in GOOD.lines().enumerate().skip(3) {
            let without: Vec<&str> =
                GOOD.lines().enumerate().filter(|(i, _)| *i != index).map(|(_, l)| l).collect();
            assert!(!problems(&without.join("\n")).is_empty(), "{line}");
        }
    }

    #[test]
    fn one_failure_of_any_kind_is_a_problem() {
        for (from, to, says) in [
            ("ok timer", "FAIL timer 9 s", "guest check failed: timer 9 s"),
            ("\"leaked\":0", "\"leaked\":2", "2 granules leaked"),
            ("\"returned\":7", "\"returned\":6", "7 granules were delegated but 6 returned"),
            (
                "\"result\":\"ok\"",
                "\"result\":\"error\",\"why\":\"no room\"",
                "the host failed: no room",
            ),
            (
                "\"delegated\":7,\"returned\":7",
                "\"delegated\":0,\"returned\":0",
                "there was no Realm",
            ),
            ("[    0.0]", "Kernel panic - not syncing: x\n", "kernel panicked: x"),
        ] {
            let found = problems(&GOOD.replace(from, to));
            assert!(found.iter().any(|problem| problem.contains(says)), "{says}: {found:?}");
        }
    }

    #[test]
    fn a_skipped_check_does_not_count() {
        assert_eq!(
            problems(&GOOD.replace("ok shared", "ok shared-skipped")),
            ["guest check did not run: shared"]
        );
    }

    #[test]
    fn a_broken_host_line_is_a_problem() {
        assert!(problems(&format!("@cairn {{\"event\"\n{GOOD}")).len() == 1);
    }

    #[test]
    fn silence_is_described_in_full() {
        assert_eq!(problems("").len(), 3 + EXPECTED.len());
    }

    #[test]
    fn a_token_is_collected_and_given_out_when_it_is_whole() {
        let mut report = Report::default();
        report.line("cairn-guest: challenge?");
        assert!(report.takes_question() && !report.takes_question());
        report.line("cairn-guest: token d284");
        report.line("cairn-guest: token 00ff   ");
        assert!(
            Report::is_bulk("cairn-guest: token 00") && !Report::is_bulk("cairn-guest: ok token")
        );
        assert_eq!(report.token(), None);
        report.line("cairn-guest: ok token 4 bytes");
        assert_eq!(report.token(), Some("d28400ff"));
    }

    #[test]
    fn the_table_has_exits_and_checks() {
        let mut report = Report::default();
        GOOD.lines().for_each(|line| report.line(line));
        let table = report.table(Duration::from_millis(1500));
        assert!(table.contains("irq                3") && !table.contains("fiq"), "{table}");
        assert!(table.contains("1.5 s") && table.contains("7.2.12+deb13-arm64"), "{table}");
    }
}
