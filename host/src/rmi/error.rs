//! Why a command was refused.

use super::abi::Command;
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
    /// -1: EL3 or the monitor does not know the command.
    NotSupported,
    /// A value that the interface does not define.
    Unknown(u64),
}

impl Status {
    /// Reads `X0`; `None` means success.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, `RmiCommandReturnCode`.
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

    /// The level at which the table walk ended, if that is why the command was refused.
    #[must_use]
    pub const fn rtt_level(&self) -> Option<i8> {
        match self.status {
            Status::Rtt(level) => Some(level),
            Status::Input
            | Status::Realm(_)
            | Status::Rec
            | Status::NotSupported
            | Status::Unknown(_) => None,
        }
    }

    /// The lower and higher version that a refused `RMI_VERSION` offers instead.
    #[must_use]
    pub fn versions(&self) -> Option<[u64; 2]> {
        let [lower, higher, ..] = self.out;
        let refused = self.command == Command::Version && self.status == Status::Input;
        refused.then_some([lower, higher])
    }

    /// The `top` output that commands which take something away have also on failure.
    #[must_use]
    pub const fn top(&self) -> u64 {
        let [x1, x2, ..] = self.out;
        if matches!(self.command, Command::RttUnmapUnprotected) { x1 } else { x2 }
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
        assert_eq!(Status::from_x0(0x1_0001), Some(Status::Unknown(0x1_0001)));
    }

    #[test]
    fn a_refusal_is_one_sentence_with_the_arguments() {
        let error = RmiError {
            command: Command::RealmCreate,
            args: [0x1000, 0x2000, 0, 0, 0],
            status: Status::Input,
            out: [0; 4],
        };
        assert_eq!(error.to_string(), "RMI_REALM_CREATE(0x1000, 0x2000) returned RMI_ERROR_INPUT");
    }
}
