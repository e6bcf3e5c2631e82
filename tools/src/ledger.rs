//! The monitor's leak ledger as its log tells it: granules that could not be given back, and why.
//!
//! `cargo xtask run` ends with it; `cargo xtask ledger LOGFILE` reads it out of a saved log.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::bail;

use crate::cli::LedgerOptions;
use crate::console::log::DAMAGED;
use crate::decode::{self, LARGEST_LOG};
use crate::fault::Verdict;
use crate::paths::read_limited;

/// How a line of the monitor begins, in a log as on the screen. Other lines are of a guest, the
/// host or EL3.
const MONITOR: &str = "[rmm] ";

/// What the monitor's messages about the ledger begin with.
const MARK: &str = "ledger: ";

/// A granule that is in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    role: String,
    realm: u64,
    step: String,
    el3: i64,
    tries: u64,
    sequence: u64,
}

/// The ledger after all messages seen so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    entries: BTreeMap<u64, Entry>,
    /// The granule of the last entry, for which there may have been no room.
    last: u64,
    recovered: u64,
    overflowed: u64,
    /// Messages that are damaged, or about the ledger but cut off.
    unreadable: u64,
    /// Realms that have been destroyed.
    gone: Vec<u64>,
    /// The last line that says how many granules are in each state.
    granules: Option<String>,
}

impl Ledger {
    /// Takes one message or one line of a log.
    pub(crate) fn line(&mut self, line: &str) {
        let Some(line) = line.strip_prefix(MONITOR) else { return };
        if line.contains(DAMAGED) {
            self.unreadable += 1;
        } else if let Some((_, message)) = line.split_once(MARK) {
            if let Some((granule, entry)) = leaked(message) {
                self.entries.insert(granule, entry);
                self.last = granule;
            } else if let Some(granule) =
                message.strip_prefix("recovered granule ").and_then(address)
            {
                self.entries.remove(&granule);
                self.recovered += 1;
            } else if message.starts_with("full") {
                self.entries.remove(&self.last);
                self.overflowed += 1;
            } else {
                self.unreadable += 1;
            }
        } else if let Some((_, rest)) = line.split_once("INFO  Realm ")
            && let Some((number, rest)) = rest.split_once(' ')
            && rest.starts_with("destroyed")
        {
            self.gone.extend(number.parse::<u64>());
        } else if let Some((_, rest)) = line.split_once("granules: ")
            && rest.contains("UNDELEGATED")
        {
            let counts = rest.split_once(" (").map_or(rest, |(counts, _)| counts);
            self.granules = Some(counts.to_owned());
        }
    }

    /// Reads a whole log.
    pub(crate) fn read(log: &str) -> Self {
        let mut ledger = Self::default();
        let (whole, cut) = log.rsplit_once('\n').unwrap_or(("", log));
        whole.lines().for_each(|line| ledger.line(line));
        // Half a line may be half a number.
        ledger.unreadable += u64::from(!cut.is_empty());
        ledger
    }

    /// Whether every message was read, and none is about a granule that is still in the ledger.
    pub(crate) fn is_empty(&self) -> bool {
        self.granules() == 0 && self.unreadable == 0
    }

    /// How many granules are in the ledger, those that did not fit included.
    pub(crate) fn granules(&self) -> u64 {
        self.entries.len() as u64 + self.overflowed
    }

    /// The granules in it that did fit, ascending.
    pub(crate) fn addresses(&self) -> Vec<u64> {
        self.entries.keys().copied().collect()
    }

    /// One line per granule, or the statement that there is none.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        if self.is_empty() {
            text.push_str("ledger: empty");
        } else if self.granules() == 0 {
            text.push_str("ledger: nothing that can be read");
        } else {
            let _ = write!(
                text,
                "ledger: {} granules\n  {:>6} {:>18} {:<12} {:<12} {:<18} {:>5} {:>6}",
                self.entries.len(),
                "number",
                "granule",
                "was",
                "of Realm",
                "step",
                "EL3",
                "tries"
            );
        }
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(_, entry)| entry.sequence);
        for (granule, Entry { role, realm, step, el3, tries, sequence }) in entries {
            let realm = match realm {
                0 => "-".to_owned(),
                realm if self.gone.contains(realm) => format!("{realm} (gone)"),
                realm => realm.to_string(),
            };
            let _ = write!(
                text,
                "\n  {sequence:>6} {granule:>#18x} {role:<12} {realm:<12} {step:<18} {el3:>5} {tries:>6}"
            );
        }
        if self.overflowed > 0 {
            let _ = write!(text, "\n  {} more did not fit and are only counted", self.overflowed);
        }
        if self.unreadable > 0 {
            let unreadable = self.unreadable;
            let _ = write!(
                text,
                "\n  {unreadable} messages cannot be read: there may be more granules"
            );
        }
        if self.recovered > 0 {
            let _ = write!(text, "\n  {} given back after all", self.recovered);
        }
        if let Some(granules) = &self.granules {
            let _ = write!(text, "\n  granules at the end of the last Realm: {granules}");
        }
        text.push('\n');
        text
    }
}

/// `leaked granule 0x.., was ROLE of Realm N, step STEP, EL3 CODE, try N, number N`.
fn leaked(message: &str) -> Option<(u64, Entry)> {
    let message = message.split_once(" (").map_or(message, |(message, _)| message);
    let mut parts = message.strip_prefix("leaked granule ")?.split(", ");
    let granule = address(parts.next()?)?;
    let (role, realm) = parts.next()?.strip_prefix("was ")?.split_once(" of Realm ")?;
    let step = parts.next()?.strip_prefix("step ")?;
    let el3 = parts.next()?.strip_prefix("EL3 ")?.parse().ok()?;
    let tries = parts.next()?.strip_prefix("try ")?.parse().ok()?;
    let sequence = parts.next()?.strip_prefix("number ")?.trim().parse().ok()?;
    let entry = Entry {
        role: role.to_owned(),
        realm: realm.parse().ok()?,
        step: step.to_owned(),
        el3,
        tries,
        sequence,
    };
    Some((granule, entry))
}

/// The address at the beginning of a text.
fn address(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x")?.split(|c: char| !c.is_ascii_hexdigit()).next()?;
    u64::from_str_radix(digits, 16).ok()
}

/// The `ledger` subcommand.
pub(crate) fn command(options: &LedgerOptions) -> anyhow::Result<()> {
    let file = &options.file;
    let bytes = read_limited(file, LARGEST_LOG)?;
    let log = match &options.elf {
        Some(elf) => decode::whole(&bytes, elf)?,
        None => String::from_utf8_lossy(&bytes).into_owned(),
    };
    if !log.lines().any(|line| line.starts_with(MONITOR)) {
        bail!(
            "{} has no message of the monitor; give the log that `cargo xtask run --check` names, or with --elf what came from a \
             UART",
            file.display()
        );
    }
    let ledger = Ledger::read(&log);
    print!("{}", ledger.table());
    match ledger.unreadable {
        0 => Ok(()),
        count => {
            Err(Verdict(format!("{count} messages of {} cannot be read", file.display())).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::log::Message;

    const LOG: &str = "\
[rmm] ERROR ledger: leaked granule 0x42001000, was DATA of Realm 1, step gpt_to_non_secure, EL3 -3, try 1, number 0 (rmm::log::leaked:70)
[rmm] ERROR ledger: leaked granule 0x42002000, was UNDELEGATED of Realm 0, step gpt_to_non_secure, EL3 -6, try 1, number 1 (rmm::log::leaked:70)
[rmm] ERROR ledger: leaked granule 0x42003000, was RTT of Realm 2, step gpt_to_non_secure, EL3 -6, try 1, number 2
[rmm] ERROR ledger: leaked granule 0x42001000, was DATA of Realm 1, step gpt_to_non_secure, EL3 -3, try 2, number 0
[rmm] INFO  ledger: recovered granule 0x42002000 after 1 failures (rmm::log::log:22)
[rmm] INFO  Realm 1 destroyed, RD 0x42000000; held at most 3 DATA, 4 RTT, 2 REC and REC_AUX; 1 leaked (rmm::log)
[rmm] INFO  granules: 7 UNDELEGATED, 2 DELEGATED, 0 RD, 0 REC, 0 REC_AUX, 0 DATA, 0 RTT (rmm::log::census:60)
";

    #[test]
    fn what_was_recovered_is_not_in_the_table() {
        let ledger = Ledger::read(LOG);
        assert_eq!(ledger.granules(), 2);
        assert_eq!((ledger.recovered, ledger.overflowed), (1, 0));
        let table = ledger.table();
        let row = |what: &str| table.lines().find(|line| line.contains(what)).unwrap().to_owned();
        let words = row("0x42001000");
        let words: Vec<&str> = words.split_whitespace().collect();
        assert_eq!(
            words,
            ["0", "0x42001000", "DATA", "1", "(gone)", "gpt_to_non_secure", "-3", "2"]
        );
        assert!(row("0x42003000").contains("RTT"));
        assert!(table.contains("1 given back after all"));
        assert!(
            table.ends_with("7 UNDELEGATED, 2 DELEGATED, 0 RD, 0 REC, 0 REC_AUX, 0 DATA, 0 RTT\n")
        );
    }

    #[test]
    fn an_empty_ledger_says_so() {
        assert_eq!(Ledger::default().table(), "ledger: empty\n");
        assert_eq!(Ledger::read("noise\nledger: leaked granule nonsense\n"), Ledger::default());
    }

    #[test]
    fn only_the_monitor_is_believed() {
        let line = LOG.lines().next().unwrap();
        let forged: String = LOG.lines().map(|line| format!("[realm 1] {line}\n")).collect();
        assert_eq!(Ledger::read(&forged), Ledger::default());
        let forged = forged.replace("[rmm] ", "");
        assert_eq!(Ledger::read(&forged), Ledger::default());
        assert_eq!(Ledger::read(&format!("{line}\n")).granules(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_an_empty_ledger() {
        let line = LOG.lines().next().unwrap();
        let damaged = Message::damaged().plain();
        for log in [format!("{damaged}\n"), format!("{}\n", &line[..60]), line[..60].to_owned()] {
            let ledger = Ledger::read(&log);
            assert_eq!((ledger.unreadable, ledger.is_empty()), (1, false), "{log}");
            let table = ledger.table();
            assert!(!table.contains("empty") && table.contains("1 messages cannot"), "{table}");
        }
        // A number that is cut off is another number.
        let cut = line.split_once(" (").unwrap().0.replace("number 0", "number 1");
        assert_eq!(Ledger::read(&cut).unreadable, 1);

        let file = std::env::temp_dir().join(format!("cairn-ledger-{}", std::process::id()));
        let told = |log: &str| {
            std::fs::write(&file, log).unwrap();
            command(&LedgerOptions { file: file.clone(), elf: None })
        };
        assert!(told(LOG).is_ok());
        assert!(told(&format!("{LOG}{damaged}\n")).unwrap_err().is::<Verdict>());
        std::fs::remove_file(&file).unwrap();
    }

    #[test]
    fn what_did_not_fit_is_only_counted() {
        let log = LOG.lines().next().unwrap().to_owned()
            + "\n[rmm] ERROR ledger: full; the last granule is only counted\n";
        let ledger = Ledger::read(&log);
        assert_eq!((ledger.entries.len(), ledger.granules()), (0, 1));
        assert!(ledger.table().contains("1 more did not fit"));
    }
}
