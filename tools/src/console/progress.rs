//! Whether a machine that talks gets anywhere: a livelock talks as well, but has nothing new to
//! say.

use std::collections::HashMap;

/// So often the same line with other numbers counts: eight Realms may say it, each of them.
const REPEATS: u32 = 8;

/// Kinds of lines that are told apart. More of them count for nothing, so that every machine comes
/// to an end.
const MOST_KINDS: usize = 1 << 16;

/// What has been said so far.
#[derive(Debug, Default)]
pub(crate) struct Novelty {
    seen: HashMap<String, u32>,
}

impl Novelty {
    /// Whether `line` is a sign of progress: something like it, words with digits aside, has been
    /// said less than [`REPEATS`] times.
    ///
    /// Complaints that come back with other numbers (a stalled CPU of a Linux guest, a virtual CPU
    /// that the host has not entered, a command that is refused again and again) are none, and no
    /// machine has a sign of progress for ever.
    pub(crate) fn is_new(&mut self, line: &str) -> bool {
        let kind: Vec<&str> = line.split_whitespace().map(without_number).collect();
        let kind = kind.join(" ");
        if kind.is_empty() || (self.seen.len() >= MOST_KINDS && !self.seen.contains_key(&kind)) {
            return false;
        }
        let count = self.seen.entry(kind).or_default();
        *count = count.saturating_add(1);
        *count <= REPEATS
    }
}

fn without_number(word: &str) -> &str {
    if word.contains(|c: char| c.is_ascii_digit()) { "#" } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_livelock_that_talks_makes_no_progress() {
        let mut novelty = Novelty::default();
        let mut signs = 0;
        for second in 0..1000 {
            let stall = format!("rcu: \t1-....: ({second} ticks this GP) idle=3ac{second:x}/1/0x4");
            let host = format!("[host]   Realm 0, CPU 1: on 0, entered {second} s ago");
            signs += u32::from(novelty.is_new(&stall)) + u32::from(novelty.is_new(&host));
        }
        assert_eq!(signs, 2 * REPEATS);
    }

    #[test]
    fn every_check_of_every_guest_is_progress() {
        let mut novelty = Novelty::default();
        for realm in 1..=8 {
            for check in crate::check::EXPECTED {
                assert!(novelty.is_new(&format!("[realm {realm}] cairn-guest: ok {check}")));
            }
        }
        assert!(!novelty.is_new("") && !novelty.is_new("   "));
    }

    #[test]
    fn endless_nonsense_comes_to_an_end() {
        let mut novelty = Novelty::default();
        let word = |mut n: usize| {
            let mut word = String::from("w");
            while n > 0 {
                word.push(char::from(b"abcdefghij"[n % 10]));
                n /= 10;
            }
            word
        };
        assert!((0..MOST_KINDS).all(|n| novelty.is_new(&word(n))));
        assert!((MOST_KINDS..2 * MOST_KINDS).all(|n| !novelty.is_new(&word(n))));
    }
}
