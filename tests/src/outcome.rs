//! How an expectation fails, and what a command replied.

use alloc::format;
use alloc::string::String;
use core::fmt::{self, Debug};
use core::panic::Location;

use crate::abi::{Command, SUCCESS};
use crate::need::Need;

/// Why a scenario did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// An expectation does not hold, and which.
    Wrong(String),
    /// This machine lacks what the scenario is about: nothing was shown.
    Missing(Need),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wrong(why) => f.write_str(why),
            Self::Missing(need) => write!(f, "needs {}", need.title()),
        }
    }
}

/// How a scenario, or a step of one, ended.
pub type Outcome<T = ()> = Result<T, Failure>;

/// A failure at the caller's caller.
#[track_caller]
pub fn fail<T>(text: impl Into<String>) -> Outcome<T> {
    let at = Location::caller();
    Err(Failure::Wrong(format!("{}:{}: {}", at.file(), at.line(), text.into())))
}

/// The end of a scenario on a machine without what it needs.
pub fn missing<T>(need: Need) -> Outcome<T> {
    Err(Failure::Missing(need))
}

/// Two values that must be the same.
#[track_caller]
pub fn same<T: PartialEq + Debug>(what: &str, actual: T, expected: T) -> Outcome {
    if actual == expected {
        return Ok(());
    }
    fail(format!("{what}: is {actual:x?}, should be {expected:x?}"))
}

/// Something that must hold.
#[track_caller]
pub fn holds(what: &str, condition: bool) -> Outcome {
    if condition { Ok(()) } else { fail(what) }
}

/// What a command returned.
#[derive(Clone, Copy, Debug)]
pub struct Reply {
    /// The command.
    pub command: Command,
    /// X1 to X5 as they were given.
    pub arguments: [u64; 5],
    /// X0: the return code.
    pub code: u64,
    /// X1 to X4.
    pub outputs: [u64; 4],
}

impl Reply {
    /// The command returned this code.
    #[track_caller]
    pub fn is(self, code: u64) -> Outcome<Self> {
        if self.code == code {
            return Ok(self);
        }
        let (command, arguments) = (self.command.label(), self.arguments);
        fail(format!("{command} {arguments:x?} returned {:#x}, should be {code:#x}", self.code))
    }

    /// The command succeeded.
    #[track_caller]
    pub fn ok(self) -> Outcome<Self> {
        self.is(SUCCESS)
    }

    /// Output `number` (1 to 4) has this value.
    #[track_caller]
    pub fn out(self, number: usize, value: u64) -> Outcome<Self> {
        let actual = self.outputs[number - 1];
        if actual == value {
            return Ok(self);
        }
        let (command, arguments) = (self.command.label(), self.arguments);
        fail(format!("{command} {arguments:x?}: X{number} is {actual:#x}, should be {value:#x}"))
    }

    /// The command failed with this code and this `top` in output `number`.
    #[track_caller]
    pub fn is_top(self, code: u64, number: usize, top: u64) -> Outcome<Self> {
        self.is(code)?.out(number, top)
    }
}
