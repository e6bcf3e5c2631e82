//! Why a command was refused.

use super::{Command, command, v1_0};
use core::fmt;

/// `X0` of a command that did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// `RMI_ERROR_INPUT`.
    Input,
    /// `RMI_ERROR_REALM` with its index.
    Realm(u8),
    /// `RMI_ERROR_REC`.
    Rec,
    /// `RMI_ERROR_RTT` with the level at which the walk ended.
    Rtt(i8),
    /// `RMI_ERROR_INPUT` of a range command: also where the range is wrong.
    InputAt(u64),
    /// `RMI_ERROR_NOT_SUPPORTED`: the monitor lacks what the command is for.
    Unsupported,
    /// `RMI_BUSY`: the same command may work at once.
    Busy,
    /// `RMI_ERROR_GLOBAL`: the monitor's own state is the reason.
    Global,
    /// `RMI_ERROR_TRACKING`: the memory is not tracked in the way that the command needs.
    Tracking,
    /// `RMI_INCOMPLETE`: not refused, but an operation that has to be driven to its end.
    Incomplete(Need),
    /// `RMI_BLOCKED`: an operation that is not finished owns what the command is about.
    Blocked,
    /// `RMI_ERROR_GPT`.
    Gpt,
    /// `RMI_ERROR_GRANULE`.
    Granule,
    /// Success, but a range command got nowhere or too far: the monitor is broken.
    WithoutProgress,
    /// -1: EL3 or the monitor does not know the command.
    NotSupported,
    /// A value that the interface does not define.
    Unknown(u64),
}

/// What an operation that is not finished waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Only to be continued.
    Nothing,
    /// Memory of the Host.
    Donation,
    /// That the Host takes memory back.
    Reclaim,
}

impl Need {
    /// Bits 9:8 of X0.
    const fn new(x0: u64) -> Option<Self> {
        match x0 >> 8 & 3 {
            0 => Some(Self::Nothing),
            1 => Some(Self::Donation),
            2 => Some(Self::Reclaim),
            _ => None,
        }
    }
}

impl Status {
    /// Reads `X0`; `None` means success.
    ///
    /// Codes from 5 on are those of version 2.0.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0 and 2.0-bet3, `RmiCommandReturnCode`.
    #[must_use]
    pub const fn from_x0(x0: u64) -> Option<Self> {
        let index = ((x0 >> 8) & 0xff) as u8;
        match x0 {
            0 => None,
            u64::MAX => Some(Self::NotSupported),
            1 => Some(Self::Input),
            3 => Some(Self::Rec),
            _ if x0 >> 16 == 0 && x0 & 0xff == 2 => Some(Self::Realm(index)),
            _ if x0 >> 16 == 0 && x0 & 0xff == 4 => Some(Self::Rtt(index.cast_signed())),
            5 => Some(Self::Unsupported),
            10 => Some(Self::Busy),
            11 => Some(Self::Global),
            14 => Some(Self::Blocked),
            16 => Some(Self::Granule),
            // The rest of the word is data; an address starts at bit 16.
            _ if x0 & 0xff == 1 => Some(Self::InputAt(x0 >> 16 << 12)),
            _ if x0 & 0xff == 12 => Some(Self::Tracking),
            _ if x0 & 0xff == 15 => Some(Self::Gpt),
            _ if x0 & 0xff == 13 => match Need::new(x0) {
                Some(need) => Some(Self::Incomplete(need)),
                None => Some(Self::Unknown(x0)),
            },
            _ => Some(Self::Unknown(x0)),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input => write!(f, "RMI_ERROR_INPUT"),
            Self::Realm(index) => write!(f, "RMI_ERROR_REALM index {index}"),
            Self::Rec => write!(f, "RMI_ERROR_REC"),
            Self::Rtt(level) => write!(f, "RMI_ERROR_RTT level {level}"),
            Self::InputAt(at) => write!(f, "RMI_ERROR_INPUT at {at:#x}"),
            Self::Unsupported => write!(f, "RMI_ERROR_NOT_SUPPORTED"),
            Self::Busy => write!(f, "RMI_BUSY"),
            Self::Global => write!(f, "RMI_ERROR_GLOBAL"),
            Self::Tracking => write!(f, "RMI_ERROR_TRACKING"),
            Self::Incomplete(_) => write!(f, "RMI_INCOMPLETE"),
            Self::Blocked => write!(f, "RMI_BLOCKED"),
            Self::Gpt => write!(f, "RMI_ERROR_GPT"),
            Self::Granule => write!(f, "RMI_ERROR_GRANULE"),
            Self::WithoutProgress => write!(f, "RMI_SUCCESS, but not within the range"),
            Self::NotSupported => write!(f, "-1 (not supported: is there a working RMM?)"),
            Self::Unknown(x0) => write!(f, "the undefined code {x0:#x}"),
        }
    }
}

/// A command that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RmiError {
    pub(super) command: Command,
    pub(super) args: [u64; 5],
    /// Why.
    pub status: Status,
    pub(super) out: [u64; 4],
}

impl RmiError {
    /// The outputs of a command from `X0`..`X4`.
    ///
    /// # Errors
    ///
    /// It did not succeed.
    pub(crate) fn from_reply(
        command: Command,
        args: [u64; 5],
        reply: [u64; 5],
    ) -> Result<[u64; 4], Self> {
        let [x0, x1, x2, x3, x4] = reply;
        let out = [x1, x2, x3, x4];
        match Status::from_x0(x0) {
            None => Ok(out),
            Some(status) => Err(Self { command, args, status, out }),
        }
    }

    /// What a range command is that succeeds without progress.
    pub(crate) const fn without_progress(command: Command, [base, top]: [u64; 2]) -> Self {
        let args = [base, top, 0, 0, 0];
        Self { command, args, status: Status::WithoutProgress, out: [0; 4] }
    }

    /// The level at which the table walk ended, if that is why the command was refused.
    #[must_use]
    pub const fn rtt_level(&self) -> Option<i8> {
        if let Status::Rtt(level) = self.status { Some(level) } else { None }
    }

    /// The lower and higher version that a refused `RMI_VERSION` offers instead.
    #[must_use]
    pub fn versions(&self) -> Option<[u64; 2]> {
        let [lower, higher, ..] = self.out;
        let refused = self.command == command::VERSION && self.status == Status::Input;
        refused.then_some([lower, higher])
    }

    /// The `top` output that commands which take something away have also on failure.
    #[must_use]
    pub fn top(&self) -> u64 {
        let [x1, x2, ..] = self.out;
        if self.command == v1_0::command::RTT_UNMAP_UNPROTECTED { x1 } else { x2 }
    }
}

impl fmt::Display for RmiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.command.name())?;
        for (n, arg) in self.args.iter().take(self.command.argument_count()).enumerate() {
            write!(f, "{}{arg:#x}", if n == 0 { "" } else { ", " })?;
        }
        write!(f, ") returned {}", self.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn return_codes_are_read_as_the_specification_packs_them() {
        assert_eq!(Status::from_x0(0), None);
        assert_eq!(Status::from_x0(0x102), Some(Status::Realm(1)));
        assert_eq!(Status::from_x0(0x204), Some(Status::Rtt(2)));
        assert_eq!(Status::from_x0(0xff04), Some(Status::Rtt(-1)));
        assert_eq!(Status::from_x0(u64::MAX), Some(Status::NotSupported));
        assert_eq!(Status::from_x0(0x1_0007), Some(Status::Unknown(0x1_0007)));
        assert_eq!(Status::from_x0(0x8000_0301), Some(Status::InputAt(0x800_0000)));
        assert_eq!(Status::from_x0(0x8000_030c), Some(Status::Tracking));
        for (x0, need) in [(0x40d, Need::Nothing), (0x10d, Need::Donation), (0x20d, Need::Reclaim)]
        {
            assert_eq!(Status::from_x0(x0), Some(Status::Incomplete(need)));
        }
        assert_eq!(Status::from_x0(0x30d), Some(Status::Unknown(0x30d)));
    }

    #[test]
    fn a_refusal_is_one_sentence_with_the_arguments() {
        let error = RmiError {
            command: command::REALM_CREATE,
            args: [0x1000, 0x2000, 0, 0, 0],
            status: Status::Input,
            out: [0; 4],
        };
        assert_eq!(error.to_string(), "RMI_REALM_CREATE(0x1000, 0x2000) returned RMI_ERROR_INPUT");
    }
}
