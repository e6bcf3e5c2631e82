//! What a command of RMI 2.0 replied.

use alloc::format;

use super::abi::{
    BLOCKED, BUSY, Command, GLOBAL, GPT, GRANULE, INCOMPLETE, INPUT, NOTSUP, REALM, REC, RTT,
    Request, SUCCESS, TRACKING, UNKNOWN, Wants,
};
use crate::outcome::{Outcome, fail};

/// A command with its arguments, and X0 to X7 of the answer.
#[derive(Clone, Copy, Debug)]
pub struct Reply {
    /// The command.
    pub command: Command,
    /// X0 to X7 as they were given.
    pub call: [u64; 8],
    /// X0 to X7 as they came back.
    pub x: [u64; 8],
}

impl Reply {
    /// Bits 7:0 of the result word; [`UNKNOWN`] is no result word.
    pub const fn status(&self) -> u64 {
        if self.x[0] == UNKNOWN { UNKNOWN } else { self.x[0] & 0xff }
    }

    /// Whether the bits above the status are those that go with it.
    pub const fn is_well_formed(&self) -> bool {
        let above = self.x[0] >> 8;
        match self.status() {
            UNKNOWN => true,
            RTT => matches!(above, 0..=3 | 0xff),
            INCOMPLETE => above & 3 != 3 && above >> 3 == 0,
            TRACKING | GPT => true,
            // A range command says which granule it was.
            INPUT => above == 0 || self.command.range().is_some(),
            SUCCESS | REALM | REC | NOTSUP | BUSY | GLOBAL | BLOCKED | GRANULE => above == 0,
            _ => false,
        }
    }

    /// The command returned this result word. Data that some errors carry is not compared.
    #[track_caller]
    pub fn is(self, code: u64) -> Outcome<Self> {
        self.one_of(&[code])
    }

    /// The command returned one of these.
    #[track_caller]
    pub fn one_of(self, codes: &[u64]) -> Outcome<Self> {
        let with_data = matches!(self.status(), INPUT | TRACKING | GPT);
        let shown = if with_data { self.status() } else { self.x[0] };
        if codes.contains(&shown) {
            return Ok(self);
        }
        let (name, arguments) = (self.command.label(), &self.call[1..=self.command.arguments()]);
        let codes = if let [code] = codes { format!("{code:#x}") } else { format!("{codes:x?}") };
        fail(format!("{name} {arguments:x?} returned {:#x}, should be {codes}", self.x[0]))
    }

    /// The command succeeded.
    #[track_caller]
    pub fn ok(self) -> Outcome<Self> {
        self.is(SUCCESS)
    }

    /// The command returned an error, whichever.
    #[track_caller]
    pub fn is_error(self) -> Outcome<Self> {
        match self.status() {
            SUCCESS | INCOMPLETE => {
                let name = self.command.label();
                fail(format!("{name} returned {:#x}, should be an error", self.x[0]))
            }
            _ => Ok(self),
        }
    }

    /// Output `number` has this value.
    #[track_caller]
    pub fn out(self, number: usize, value: u64) -> Outcome<Self> {
        if self.x[number] == value {
            return Ok(self);
        }
        let (name, arguments) = (self.command.label(), &self.call[1..=self.command.arguments()]);
        let actual = self.x[number];
        fail(format!("{name} {arguments:x?}: X{number} is {actual:#x}, should be {value:#x}"))
    }

    /// The operation is not over, and needs this.
    #[track_caller]
    pub fn wants(self, wants: Wants) -> Outcome<Self> {
        if self.status() == INCOMPLETE && self.needed() == Some(wants) {
            return Ok(self);
        }
        let name = self.command.label();
        fail(format!("{name} returned {:#x}, should be incomplete: {wants:?}", self.x[0]))
    }

    /// What an unfinished operation needs.
    pub const fn needed(&self) -> Option<Wants> {
        if self.status() != INCOMPLETE {
            return None;
        }
        match self.x[0] >> 8 & 3 {
            0 => Some(Wants::Nothing),
            1 => Some(Wants::Donation),
            2 => Some(Wants::Reclaim),
            _ => None,
        }
    }

    /// Whether an unfinished operation can be cancelled now.
    pub const fn can_cancel(&self) -> bool {
        self.status() == INCOMPLETE && self.x[0] >> 10 & 1 == 1
    }

    /// What an operation asks for that wants memory.
    pub const fn request(&self) -> Request {
        Request::decode(self.x[2])
    }

    /// Handle of an operation that has begun with this answer.
    pub const fn handle(&self) -> u64 {
        self.x[1]
    }
}
