//! Why a command was refused, and the number that tells the Host.

use realm::rtt::Level;

/// Class of a failure, as the ABI knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RmiError {
    /// An input is malformed, or names an object in the wrong state.
    Input,
    /// The Realm is in the wrong state; with the index that the specification assigns.
    Realm(u8),
    /// The REC is in the wrong state.
    Rec,
    /// The RTT walk stopped at this level, or an entry there is in the wrong state.
    Rtt(Level),
}

impl RmiError {
    /// `X0` on return: status in bits `[7:0]`, index in bits `[15:8]`.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, `RmiCommandReturnCode`.
    pub const fn to_return_code(self) -> u64 {
        match self {
            Self::Input => 1,
            Self::Realm(index) => 2 | (index as u64) << 8,
            Self::Rec => 3,
            Self::Rtt(level) => 4 | (level.as_u8() as u64) << 8,
        }
    }
}

/// A refused command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What the Host is told.
    pub error: RmiError,
    /// The failed condition's label in the specification.
    pub condition: &'static str,
    /// `top` of the commands that report how far the Host may skip; 0 otherwise.
    pub top: u64,
}

impl Refusal {
    /// RMI_ERROR_INPUT.
    pub const fn input(condition: &'static str) -> Self {
        Self { error: RmiError::Input, condition, top: 0 }
    }

    /// RMI_ERROR_REALM, index 0.
    pub const fn realm(condition: &'static str) -> Self {
        Self { error: RmiError::Realm(0), condition, top: 0 }
    }

    /// RMI_ERROR_REC.
    pub const fn rec(condition: &'static str) -> Self {
        Self { error: RmiError::Rec, condition, top: 0 }
    }

    /// RMI_ERROR_RTT.
    pub const fn rtt(level: Level, condition: &'static str) -> Self {
        Self { error: RmiError::Rtt(level), condition, top: 0 }
    }

    /// The same refusal with a `top` output.
    pub const fn with_top(self, top: u64) -> Self {
        Self { top, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_code() {
        assert_eq!(RmiError::Input.to_return_code(), 1);
        assert_eq!(RmiError::Realm(0).to_return_code(), 2);
        assert_eq!(RmiError::Realm(1).to_return_code(), 0x102);
        assert_eq!(RmiError::Rec.to_return_code(), 3);
        assert_eq!(RmiError::Rtt(Level::new(2).unwrap()).to_return_code(), 0x204);
        assert_eq!(RmiError::Rtt(Level::new(-1).unwrap()).to_return_code(), 0xff04);
    }
}
