//! Why the host gave up: one sentence for the person who started it.

use alloc::string::{String, ToString};
use core::fmt;

/// A reason to stop, in one clear sentence without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(String);

impl Failure {
    /// A failure with this sentence.
    #[must_use]
    pub fn new(sentence: String) -> Self {
        Self(sentence)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Failure {
    fn from(sentence: &str) -> Self {
        Self(sentence.to_string())
    }
}

impl From<crate::rmi::RmiError> for Failure {
    fn from(error: crate::rmi::RmiError) -> Self {
        Self(error.to_string())
    }
}

/// Makes a [`Failure`] from a format string.
macro_rules! failure {
    ($($arg:tt)*) => {
        $crate::failure::Failure::new(alloc::format!($($arg)*))
    };
}
