//! What a Host and its Realms do: values, and lines of a script.
//!
//! A script is the operations of a sequence, one in a line, all numbers hexadecimal; a `#` starts a
//! comment. Scripts of failures are kept in `tests/regressions` and replayed for ever, so a line
//! must never change its meaning.

use core::fmt;
use core::str::FromStr;

use cairn_spec::v1_0::{Access, Act, Call};

use crate::abi::HostPage;
use crate::world::secret_page;

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A CPU of the Host sends a command: X0 to X7.
    Call(usize, Call),
    /// The Host writes a page: these words, the others zero.
    Page(u64, Vec<(usize, u64)>),
    /// The Host writes a page of which every word differs.
    Secret(u64, u64),
    /// The Realm on this REC has one more thing to do.
    Act(u64, Act),
    /// In the next command the nth access to Host memory faults.
    Fault(u64),
    /// In the next command the Host writes a word right after the nth access: nth, address, value.
    Change(u64, u64, u64),
    /// EL3 refuses its next call.
    Refuse,
    /// EL3 refuses its nth call from now, in such a way that a command of RMI 2.0 without progress
    /// ends with this status.
    RefuseNth(u64, u64),
}

impl Operation {
    /// The page that the Host writes, if it writes one.
    pub fn page(&self) -> Option<(u64, HostPage)> {
        match self {
            Self::Page(pa, words) => {
                let mut page = [0; 512];
                for &(index, word) in words {
                    if let Some(at) = page.get_mut(index) {
                        *at = word;
                    }
                }
                Some((*pa, page))
            }
            Self::Secret(pa, seed) => Some((*pa, secret_page(*seed))),
            _ => None,
        }
    }
}

fn write_words(f: &mut fmt::Formatter<'_>, words: &[u64]) -> fmt::Result {
    // Trailing zeros are understood.
    let used = words.iter().rposition(|&word| word != 0).map_or(1, |last| last + 1);
    words.iter().take(used).try_for_each(|word| write!(f, " {word:x}"))
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(cpu, call) => {
                write!(f, "call {cpu:x}")?;
                write_words(f, call)
            }
            Self::Page(pa, words) => {
                write!(f, "page {pa:x}")?;
                words.iter().try_for_each(|(index, word)| write!(f, " {index:x}={word:x}"))
            }
            Self::Secret(pa, seed) => write!(f, "secret {pa:x} {seed:x}"),
            Self::Act(rec, act) => write_act(f, *rec, act),
            Self::Fault(nth) => write!(f, "fault {nth:x}"),
            Self::Change(nth, pa, value) => write!(f, "change {nth:x} {pa:x} {value:x}"),
            Self::Refuse => f.write_str("refuse"),
            Self::RefuseNth(nth, status) => write!(f, "refuse-nth {nth:x} {status:x}"),
        }
    }
}

fn write_act(f: &mut fmt::Formatter<'_>, rec: u64, act: &Act) -> fmt::Result {
    let access = |f: &mut fmt::Formatter<'_>, access: &Access| {
        let Access { size, sign, wide, register, syndrome } = *access;
        let [sign, wide, syndrome] = [sign, wide, syndrome].map(u64::from);
        write!(f, " {size:x} {sign:x} {wide:x} {register:x} {syndrome:x}")
    };
    match act {
        Act::Smc(arguments) => {
            write!(f, "smc {rec:x}")?;
            write_words(f, arguments)
        }
        Act::Load(ipa, how) => {
            write!(f, "load {rec:x} {ipa:x}")?;
            access(f, how)
        }
        Act::Store(ipa, how, value) => {
            write!(f, "store {rec:x} {ipa:x}")?;
            access(f, how)?;
            write!(f, " {value:x}")
        }
        Act::Fetch(ipa) => write!(f, "fetch {rec:x} {ipa:x}"),
        Act::Wait(wait, operand) => write!(f, "wait {rec:x} {wait:x} {operand:x}"),
        Act::Hvc => write!(f, "hvc {rec:x}"),
        Act::Interrupt(fast) => write!(f, "interrupt {rec:x} {:x}", u64::from(*fast)),
        Act::Gprs => write!(f, "gprs {rec:x}"),
        Act::Meanwhile(call) => {
            write!(f, "meanwhile {rec:x}")?;
            write_words(f, call)
        }
    }
}

/// As many words as fit, and zeros.
fn array<const N: usize>(words: &[u64]) -> Option<[u64; N]> {
    let mut all = [0; N];
    all.get_mut(..words.len())?.copy_from_slice(words);
    Some(all)
}

impl FromStr for Operation {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        parse(line).ok_or_else(|| format!("not an operation: {line}"))
    }
}

fn parse(line: &str) -> Option<Operation> {
    let hex = |word: &str| u64::from_str_radix(word, 16).ok();
    let index = |number: u64| usize::try_from(number).ok();
    let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
    if name == "page" {
        let mut parts = rest.split_ascii_whitespace();
        let pa = hex(parts.next()?)?;
        let word = |part: &str| {
            let (at, word) = part.split_once('=')?;
            Some((index(hex(at)?)?, hex(word)?))
        };
        return Some(Operation::Page(pa, parts.map(word).collect::<Option<_>>()?));
    }
    let numbers = rest.split_ascii_whitespace().map(hex).collect::<Option<Vec<u64>>>()?;
    let access = |words: &[u64]| match *words {
        [size @ 0..=3, sign, wide, register @ 0..=31, syndrome] => Some(Access {
            size,
            sign: sign != 0,
            wide: wide != 0,
            register: index(register)?,
            syndrome: syndrome != 0,
        }),
        _ => None,
    };
    let act = |rec: u64, act| Some(Operation::Act(rec, act));
    match (name, numbers.as_slice()) {
        ("call", [cpu, call @ ..]) => Some(Operation::Call(index(*cpu)?, array(call)?)),
        ("secret", &[pa, seed]) => Some(Operation::Secret(pa, seed)),
        ("fault", &[nth]) => Some(Operation::Fault(nth)),
        ("change", &[nth, pa, value]) => Some(Operation::Change(nth, pa, value)),
        ("refuse", []) => Some(Operation::Refuse),
        ("refuse-nth", &[nth, status]) => Some(Operation::RefuseNth(nth, status)),
        ("smc", [rec, arguments @ ..]) => act(*rec, Act::Smc(array(arguments)?)),
        ("load", [rec, ipa, how @ ..]) => act(*rec, Act::Load(*ipa, access(how)?)),
        ("store", [rec, ipa, how @ .., value]) => act(*rec, Act::Store(*ipa, access(how)?, *value)),
        ("fetch", &[rec, ipa]) => act(rec, Act::Fetch(ipa)),
        ("wait", &[rec, wait @ 0..=3, operand]) => act(rec, Act::Wait(wait, operand)),
        ("hvc", &[rec]) => act(rec, Act::Hvc),
        ("interrupt", &[rec, fast]) => act(rec, Act::Interrupt(fast != 0)),
        ("gprs", &[rec]) => act(rec, Act::Gprs),
        ("meanwhile", [rec, call @ ..]) => act(*rec, Act::Meanwhile(array(call)?)),
        _ => None,
    }
}

/// Reads a script.
///
/// # Errors
///
/// A line is not an operation.
pub fn read_script(text: &str) -> Result<Vec<Operation>, String> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::parse).collect()
}

/// Writes a script, with a comment before it.
pub fn write_script(comment: &str, operations: &[Operation]) -> String {
    use fmt::Write;
    let mut text = String::new();
    for line in comment.lines() {
        let _ = writeln!(text, "# {line}");
    }
    for operation in operations {
        let _ = writeln!(text, "{operation}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_read_as_it_was_written() {
        let access = Access { size: 2, sign: true, wide: false, register: 31, syndrome: true };
        let operations = [
            Operation::Call(3, [0xc400_0151, 0x8000_0000, 0, 0, 0, 5, 0, 0]),
            Operation::Call(0, [0; 8]),
            Operation::Page(0x8000_1000, vec![(0, 1), (511, u64::MAX)]),
            Operation::Page(0x8000_1000, vec![]),
            Operation::Secret(0x8000_1000, 7),
            Operation::Act(1, Act::Smc([9; 11])),
            Operation::Act(1, Act::Load(0x1000, access)),
            Operation::Act(1, Act::Store(0x1000, access, 5)),
            Operation::Act(1, Act::Fetch(2)),
            Operation::Act(1, Act::Wait(3, 4)),
            Operation::Act(1, Act::Hvc),
            Operation::Act(1, Act::Interrupt(true)),
            Operation::Act(1, Act::Gprs),
            Operation::Act(1, Act::Meanwhile([1, 2, 3, 4, 5, 6, 7, 8])),
            Operation::Fault(3),
            Operation::Change(1, 2, 3),
            Operation::Refuse,
            Operation::RefuseNth(3, 14),
        ];
        let text = write_script("two\nlines", &operations);
        assert_eq!(read_script(&text).as_deref(), Ok(operations.as_slice()));
        for wrong in ["call", "call x", "load 1 2 4 0 0 0 0", "secret 1", "page 1 2", "nothing"] {
            assert!(read_script(wrong).is_err(), "{wrong}");
        }
    }
}
