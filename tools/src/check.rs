//! The verdict on an unattended run, from what the guest and the host printed.
//!
//! A guest could print the host's lines. That is fine for our own test guest; nothing else may be
//! judged this way.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde::Deserialize;

use crate::isolation::{self, Finding, Isolation};
use crate::kernel_image::SILENT;
use crate::ledger::Ledger;

/// Checks that the guest must pass, as named by `assets/init.sh`.
pub(crate) const EXPECTED: [&str; 7] =
    ["rsi", "memory", "cpus", "timer", "shared", "simd", "token"];

const GUEST: &str = "cairn-guest: ";
/// Begins a line of one of several guests: `[realm 2] cairn-guest: ok rsi`.
const REALM: &str = "[realm ";
const HOST: &str = "@cairn ";

/// A machine-readable line of the host.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event {
    Start,
    Accounting(Accounting),
    Isolation(Isolation),
    Finding(Finding),
    End {
        result: String,
        why: Option<String>,
    },
    #[serde(other)]
    Other,
}

/// Where every granule went, and why the Realm exited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Accounting {
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
pub(crate) struct Report {
    passed: Vec<String>,
    failed: Vec<String>,
    done: bool,
    started: bool,
    kernel: Option<String>,
    asked: bool,
    token: String,
    accounting: Option<Accounting>,
    end: Option<(String, Option<String>)>,
    trouble: Vec<String>,
    ledger: Ledger,
    isolation: Option<Isolation>,
    findings: Vec<Finding>,
    /// How many Realms must report, if there are several.
    wanted_realms: u32,
    /// What each of several Realms said.
    realms: BTreeMap<u32, Report>,
}

impl Report {
    /// Takes one message of the monitor.
    pub(crate) fn message(&mut self, message: &str) {
        self.ledger.line(message);
    }

    /// The monitor's leak ledger.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Takes one line of text.
    pub(crate) fn line(&mut self, line: &str) {
        let line = line.trim();
        if let Some((number, rest)) = realm_line(line) {
            // Only what its guest says counts.
            if rest.starts_with(GUEST) || rest.contains("Kernel panic") {
                self.realms.entry(number).or_default().line(rest);
            }
        } else if let Some(rest) = line.strip_prefix(GUEST) {
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
            Ok(Event::Isolation(isolation)) => self.isolation = Some(isolation),
            Ok(Event::Finding(finding)) => self.findings.push(finding),
            Ok(Event::End { result, why }) => self.end = Some((result, why)),
            Ok(Event::Start) => self.started = true,
            Ok(Event::Other) => {}
            Err(error) => {
                self.trouble.push(format!("a line of the host cannot be read ({error}): {json}"))
            }
        }
    }

    /// Notes something outside the machine's own output that makes the run a failure.
    pub(crate) fn trouble(&mut self, sentence: String) {
        self.trouble.push(sentence);
    }

    /// Tells how many Realms must report.
    pub(crate) fn expect_realms(&mut self, count: u32) {
        self.wanted_realms = if count > 1 { count } else { 0 };
    }

    /// Whether a guest wants the relying party's challenge; once for each question, the keys that
    /// choose its Realm.
    pub(crate) fn takes_question(&mut self) -> Option<Vec<u8>> {
        if std::mem::take(&mut self.asked) {
            return Some(Vec::new());
        }
        let asking = self.realms.iter_mut().find(|(_, realm)| realm.asked);
        asking.map(|(number, realm)| {
            realm.asked = false;
            format!("\x01{number}").into_bytes()
        })
    }

    /// Whether a line is one of many that mean nothing to people: a part of the token.
    pub(crate) fn is_bulk(line: &str) -> bool {
        let line = realm_line(line).map_or(line, |(_, rest)| rest);
        line.strip_prefix(GUEST).is_some_and(|rest| rest.starts_with("token "))
    }

    /// The token that the guest printed, as hexadecimal digits, if it says that this is all of it.
    pub(crate) fn token(&self) -> Option<&str> {
        self.has_passed("token").then_some(&self.token)
    }

    /// The tokens of all guests that printed one whole, with the number of the Realm, which is 1 if
    /// there is only one.
    pub(crate) fn tokens(&self) -> Vec<(u32, &str)> {
        let others = self.realms.iter().map(|(&number, realm)| (number, realm));
        let all = [(1, self)].into_iter().chain(others);
        all.filter_map(|(number, realm)| Some((number, realm.token()?))).collect()
    }

    /// Whether the host has said its last word.
    pub(crate) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// The host's last word, with its reason if it failed.
    pub(crate) fn end_of_host(&self) -> Option<Result<(), &str>> {
        let (result, why) = self.end.as_ref()?;
        Some(if result == "ok" {
            Ok(())
        } else {
            Err(why.as_deref().unwrap_or("it did not say why"))
        })
    }

    /// What is wrong; empty if all is well.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = self.trouble.clone();
        match self.end_of_host() {
            None => {
                if self.started && self.kernel.is_none() && self.realms.is_empty() {
                    problems.push(SILENT.to_owned());
                }
                problems.push("the host did not report an end".to_owned());
            }
            Some(Ok(())) => {}
            Some(Err(why)) => problems.push(format!("the host failed: {why}")),
        }
        if self.wanted_realms == 0 {
            problems.extend(self.problems_of_guest());
        }
        for number in 1..=self.wanted_realms {
            let Some(realm) = self.realms.get(&number) else {
                problems.push(format!("Realm {number} said nothing"));
                continue;
            };
            let own = realm.trouble.iter().cloned().chain(realm.problems_of_guest());
            problems.extend(own.map(|problem| format!("Realm {number}: {problem}")));
        }
        if self.wanted_realms > 0 {
            problems.extend(isolation::problems(self.isolation, &self.findings));
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

    fn problems_of_guest(&self) -> Vec<String> {
        let failed = self.failed.iter().map(|check| format!("guest check failed: {check}"));
        let missing =
            EXPECTED.iter().filter(|name| !self.has_passed(name) && !self.has_failed(name));
        let missing = missing.map(|name| format!("guest check did not run: {name}"));
        let unfinished = (!self.done).then(|| "the guest did not finish its checks".to_owned());
        failed.chain(missing).chain(unfinished).collect()
    }

    fn has_passed(&self, name: &str) -> bool {
        self.passed.iter().any(|check| check.split(' ').next() == Some(name))
    }

    fn has_failed(&self, name: &str) -> bool {
        self.failed.iter().any(|check| check.split(' ').next() == Some(name))
    }

    fn verdict(&self, name: &str) -> &'static str {
        if self.has_failed(name) {
            "FAIL"
        } else if self.has_passed(name) {
            "ok"
        } else {
            "not run"
        }
    }

    /// The table at the end of a run that took `wall`.
    pub(crate) fn table(&self, wall: Duration) -> String {
        let mut text = String::new();
        let mut row = |name: &str, value: String| {
            let _ = writeln!(text, "  {name:<20} {value}");
        };
        let kernels = [self].into_iter().chain(self.realms.values());
        let kernel = kernels.filter_map(|guest| guest.kernel.clone()).next();
        row("guest kernel", kernel.unwrap_or_else(|| "unknown".to_owned()));
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
        if let Some(seen) = self.isolation {
            row("entries watched", seen.entries.to_string());
            row("granules searched", seen.pages.to_string());
            row("secrets seen", seen.findings.to_string());
        }
        for name in EXPECTED {
            let guests: Vec<&Self> =
                if self.realms.is_empty() { vec![self] } else { self.realms.values().collect() };
            let verdicts: Vec<&str> = guests.iter().map(|guest| guest.verdict(name)).collect();
            row(&format!("guest check {name}"), verdicts.join(", "));
        }
        row("wall time", format!("{:.1} s", wall.as_secs_f64()));
        text
    }
}

/// Number and text of a line of one of several guests.
fn realm_line(line: &str) -> Option<(u32, &str)> {
    let (number, rest) = line.strip_prefix(REALM)?.split_once("] ")?;
    Some((number.parse().ok()?, rest))
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

    /// The same for so many Realms.
    fn side_by_side(count: u32) -> String {
        let isolation = "@cairn {\"event\":\"isolation\",\"entries\":9,\"pages\":7,\"findings\":0}";
        let mut lines = vec![isolation.to_owned()];
        for line in GOOD.lines() {
            if line.starts_with(GUEST) {
                lines.extend((1..=count).map(|number| format!("[realm {number}] {line}")));
            } else {
                lines.push(line.to_owned());
            }
        }
        lines.join("\n")
    }

    fn problems_of_realms(text: &str, count: u32) -> Vec<String> {
        let mut report = Report::default();
        report.expect_realms(count);
        text.lines().for_each(|line| report.line(line));
        report.problems()
    }

    #[test]
    fn every_realm_must_pass_every_check() {
        let good = side_by_side(3);
        assert_eq!(problems_of_realms(&good, 3), Vec::<String>::new());
        assert_eq!(problems_of_realms(&good, 4), ["Realm 4 said nothing"]);
        for line in good.lines().filter(|line| line.starts_with("[realm 2] cairn-guest: ok")) {
            let without = good.replace(line, "");
            let problems = problems_of_realms(&without, 3);
            assert!(problems[0].starts_with("Realm 2: guest check did not run"), "{problems:?}");
        }
        // What a guest says does not count for the host, and the other way round.
        let forged = good.replace("\n@cairn", "\n[realm 1] @cairn");
        assert!(!problems_of_realms(&forged, 3).is_empty());
    }

    #[test]
    fn the_host_must_have_looked_for_secrets_and_found_none() {
        let good = side_by_side(2);
        let problems = problems_of_realms(&good.replace("\"findings\":0", "\"findings\":2"), 2);
        assert_eq!(problems, ["the host saw secrets of Realms 2 times"]);
        assert!(!problems_of_realms(&good.replace("\"entries\":9", "\"entries\":0"), 2).is_empty());
        assert!(!problems_of_realms(&good.replace("isolation", "other"), 2).is_empty());
    }

    #[test]
    fn the_challenge_goes_to_the_realm_that_asked() {
        let mut report = Report::default();
        report.line("[realm 3] cairn-guest: challenge?");
        assert_eq!(report.takes_question(), Some(b"\x013".to_vec()));
        assert_eq!(report.takes_question(), None);
        report.line("cairn-guest: challenge?");
        assert_eq!(report.takes_question(), Some(Vec::new()));
    }

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
    fn a_guest_that_was_started_and_is_silent_may_have_the_wrong_kernel() {
        let start = GOOD.lines().nth(1).unwrap();
        assert!(problems(start).contains(&SILENT.to_owned()));
        for text in ["[host] no room", &format!("{start}\n[    0.0] Linux version 7.2 (x)")] {
            assert!(!problems(text).contains(&SILENT.to_owned()), "{text}");
        }
        // A machine that says nothing at all is described in full.
        assert_eq!(problems("").len(), 3 + EXPECTED.len());
    }

    #[test]
    fn a_token_is_collected_and_given_out_when_it_is_whole() {
        let mut report = Report::default();
        report.line("cairn-guest: challenge?");
        assert!(report.takes_question().is_some() && report.takes_question().is_none());
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
