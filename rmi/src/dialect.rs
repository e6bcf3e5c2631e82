//! Which version of the interface the Host speaks. Nothing below knows.
//!
//! The interface gives RMI_VERSION no effect. So that one image serves Hosts of both versions, the
//! monitor goes by what a Host asks for and does: asking for a version is a first choice, which
//! another RMI_VERSION may change; the first command that changes something makes it final, until
//! all that it led to is undone.
//!
//! | Stage | Left by |
//! | --- | --- |
//! | [`Stage::Unchosen`] | RMI_VERSION, or a command that changes something |
//! | [`Stage::V1_0Asked`], [`Stage::V2_0Asked`] | the same |
//! | [`Stage::V1_0`] | RMI_VERSION, once no granule is delegated |
//! | [`Stage::V2_0Inactive`] | RMI_RMM_ACTIVATE |
//! | [`Stage::V2_0Active`] | RMI_RMM_DEACTIVATE, through [`Stage::V2_0Leaving`] |

use machine::El3Interface;
use realm::{Rmm, Shared};

use crate::version::{Negotiated, Version, negotiate};

/// A version of the interface that this monitor speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// RMI 1.0.
    V1_0,
    /// RMI 2.0.
    V2_0,
}

/// How far the Host has come with its choice, and with activating the monitor, which only 2.0
/// knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stage {
    /// It has said nothing.
    Unchosen = 0,
    /// It has asked for 1.0.
    V1_0Asked = 1,
    /// It has asked for 2.0.
    V2_0Asked = 2,
    /// It uses 1.0.
    V1_0 = 3,
    /// It uses 2.0; the monitor is not active: state INIT.
    V2_0Inactive = 4,
    /// It uses 2.0; the monitor is active: state ACTIVE.
    V2_0Active = 5,
    /// It uses 2.0; one of its CPUs is deactivating the monitor.
    V2_0Leaving = 6,
}

/// The version that a Host is taken to speak that has not asked for any: the Hosts of 1.0 that
/// there are need not ask.
const DEFAULT: Dialect = Dialect::V1_0;

impl Stage {
    /// The stage of now.
    #[inline(always)]
    pub(crate) fn of(shared: &Shared<'_>) -> Self {
        match shared.host.choice() {
            0 => Self::Unchosen,
            1 => Self::V1_0Asked,
            2 => Self::V2_0Asked,
            3 => Self::V1_0,
            4 => Self::V2_0Inactive,
            5 => Self::V2_0Active,
            6 => Self::V2_0Leaving,
            other => unreachable!("stage {other}"),
        }
    }

    /// Whether this is the stage of now.
    #[inline(always)]
    pub(crate) fn is_now(self, shared: &Shared<'_>) -> bool {
        shared.host.choice() == self as u8
    }

    /// Goes from this stage to another; false if it is not the stage of now (any more).
    #[must_use]
    pub(crate) fn change(self, shared: &Shared<'_>, to: Self) -> bool {
        shared.host.choose(self as u8, to as u8).is_ok()
    }

    /// The version that a command belongs to which both have.
    const fn preferred(self) -> Dialect {
        match self {
            Self::Unchosen => DEFAULT,
            Self::V1_0Asked | Self::V1_0 => Dialect::V1_0,
            Self::V2_0Asked | Self::V2_0Inactive | Self::V2_0Active | Self::V2_0Leaving => {
                Dialect::V2_0
            }
        }
    }

    /// Whether the choice is final.
    const fn is_final(self) -> bool {
        match self {
            Self::Unchosen | Self::V1_0Asked | Self::V2_0Asked => false,
            Self::V1_0 | Self::V2_0Inactive | Self::V2_0Active | Self::V2_0Leaving => true,
        }
    }
}

impl Dialect {
    /// The lowest and the highest version that may be used: 2.0 needs what only EL3's interface 2.0
    /// carries.
    const fn supported(el3: El3Interface) -> (Version, Version) {
        match el3 {
            El3Interface::V0 => (Version::V1_0, Version::V1_0),
            El3Interface::V2 => (Version::V1_0, Version::V2_0),
        }
    }
}

/// What is known of a command before it is carried out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// RMI 1.0 has it.
    pub(crate) in_v1_0: bool,
    /// RMI 2.0 has it.
    pub(crate) in_v2_0: bool,
    /// It changes nothing, so that it chooses nothing either.
    pub(crate) asks_only: bool,
}

/// The version in which a command is carried out, which makes a choice final if the command changes
/// something.
#[cold]
#[inline(never)]
pub(crate) fn choose<M>(rmm: &Rmm<'_, M>, known: Known) -> Dialect {
    loop {
        let stage = Stage::of(rmm);
        if stage.is_final() {
            return stage.preferred();
        }
        let dialect = match (known.in_v1_0, known.in_v2_0 && rmm.el3 == El3Interface::V2) {
            (true, false) => Dialect::V1_0,
            (false, true) => Dialect::V2_0,
            (true, true) => stage.preferred(),
            // Unknown in any version.
            (false, false) => return stage.preferred(),
        };
        let chosen = match dialect {
            Dialect::V1_0 => Stage::V1_0,
            Dialect::V2_0 => Stage::V2_0Inactive,
        };
        if known.asks_only || stage.change(rmm, chosen) {
            return dialect;
        }
        // Another CPU has chosen meanwhile.
    }
}

/// `RMI_VERSION`.
///
/// Source: RMM specification (Arm DEN0137) 1.0 and 2.0, `RMI_VERSION`.
#[inline(always)] // perf: its result is large (`rmi_version`).
pub(crate) fn version<M>(rmm: &Rmm<'_, M>, requested: u64) -> Negotiated {
    loop {
        let stage = Stage::of(rmm);
        // Nothing of a Host's that used 1.0 is left: another one may begin.
        if stage == Stage::V1_0 && rmm.granules.account().held() == 0 {
            let _ = stage.change(rmm, Stage::Unchosen);
            continue;
        }
        let supported = match (stage.is_final(), stage.preferred()) {
            (true, Dialect::V1_0) => (Version::V1_0, Version::V1_0),
            (true, Dialect::V2_0) => (Version::V2_0, Version::V2_0),
            (false, _) => Dialect::supported(rmm.el3),
        };
        let answer = negotiate(supported, requested);
        let asked = match answer.agreed {
            Some(Version::V1_0) if !stage.is_final() => Stage::V1_0Asked,
            Some(_) if !stage.is_final() => Stage::V2_0Asked,
            _ => return answer,
        };
        if stage.change(rmm, asked) {
            return answer;
        }
        // Another CPU has chosen meanwhile.
    }
}
