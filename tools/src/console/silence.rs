//! A guest that says nothing after it was started, which is what a person sees of a kernel that
//! cannot be a Realm.

use std::time::{Duration, Instant};

/// How long a guest may be silent before something is said about it. On a busy computer, Linux
/// takes half a minute to its first line.
const PATIENCE: Duration = Duration::from_secs(90);

/// How the host says that it starts the guest.
const START: &str = "@cairn {\"event\":\"start\"";

/// Beginnings of the lines of others than the guest.
const OTHERS: [&str; 3] = ["@cairn ", "[host]", "[rmm]"];

/// Listens for the guest's first line.
#[derive(Debug, Default)]
pub(crate) struct Silence {
    /// When the guest was started, while it has said nothing and nothing was said about it.
    since: Option<Instant>,
}

impl Silence {
    /// Takes a line of text.
    pub(crate) fn line(&mut self, line: &str) {
        if line.starts_with(START) {
            self.since = Some(Instant::now());
        } else if !line.is_empty() && !OTHERS.iter().any(|other| line.starts_with(other)) {
            self.since = None;
        }
    }

    /// Whether the guest has been silent for too long; once.
    pub(crate) fn is_too_long(&mut self) -> bool {
        self.since.take_if(|since| since.elapsed() > PATIENCE).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(lines: &[&str], waited: Duration) -> Silence {
        let mut silence = Silence::default();
        lines.iter().for_each(|line| silence.line(line));
        silence.since = silence.since.and_then(|since| since.checked_sub(waited));
        silence
    }

    #[test]
    fn silence_is_reported_once_and_only_after_the_start() {
        let long = PATIENCE + Duration::from_secs(1);
        let mut silence = after(&[START, "[host] building", ""], long);
        assert!(silence.is_too_long() && !silence.is_too_long());
        assert!(!after(&[START], PATIENCE / 2).is_too_long());
        assert!(!after(&["NOTICE: booting"], long).is_too_long());
        assert!(!after(&[START, "[    0.0] Linux version 7.2"], long).is_too_long());
        assert!(!after(&[START, "[realm 2] Linux version 7.2"], long).is_too_long());
    }
}
