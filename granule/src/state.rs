//! The states of a granule, and the legal steps between them.

/// State of a granule, as the monitor tracks it.
///
/// The numbers are the monitor's own encoding in the granule table.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RmmGranuleState`; `REC_AUX` is A2.3.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum GranuleState {
    /// Not the monitor's: Non-secure, Secure, Root or device, only EL3 knows which.
    Undelegated = 0,
    /// In the Realm physical address space, without a use.
    Delegated = 1,
    /// Realm Descriptor.
    Rd = 2,
    /// Realm Execution Context.
    Rec = 3,
    /// Auxiliary granule of a REC.
    RecAux = 4,
    /// Memory of a Realm.
    Data = 5,
    /// Realm Translation Table.
    Rtt = 6,
    /// An object that an unfinished operation builds or takes apart: the operation's alone,
    /// whatever a command wants of it.
    Partial = 7,
}

impl GranuleState {
    /// Every state, in the order of its encoding.
    pub const ALL: [Self; 8] = [
        Self::Undelegated,
        Self::Delegated,
        Self::Rd,
        Self::Rec,
        Self::RecAux,
        Self::Data,
        Self::Rtt,
        Self::Partial,
    ];

    /// Reads the encoding back; `None` for a number that is no state.
    pub const fn from_u8(raw: u8) -> Option<Self> {
        match raw {
            0 => Some(Self::Undelegated),
            1 => Some(Self::Delegated),
            2 => Some(Self::Rd),
            3 => Some(Self::Rec),
            4 => Some(Self::RecAux),
            5 => Some(Self::Data),
            6 => Some(Self::Rtt),
            7 => Some(Self::Partial),
            _ => None,
        }
    }

    /// The specification's name, for logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Undelegated => "UNDELEGATED",
            Self::Delegated => "DELEGATED",
            Self::Rd => "RD",
            Self::Rec => "REC",
            Self::RecAux => "REC_AUX",
            Self::Data => "DATA",
            Self::Rtt => "RTT",
            Self::Partial => "PARTIAL",
        }
    }
}

/// A granule state at the type level: the parameter of a [`crate::GranuleGuard`].
pub trait State {
    /// The state that a guard with this parameter proves.
    const STATE: GranuleState;
}

/// States in which the granule is in the Realm physical address space, so that the monitor may map
/// it.
pub trait InRealmPas: State {}

/// A legal edge of the granule lifecycle: these impls are the state diagram.
///
/// Source: RMM specification (Arm DEN0137) 1.0, A2.2.2 "Granule state"; the table there forgets
/// RTT_FOLD, whose command page has it. The steps from and to PARTIAL are those of stateful
/// operations (2.0).
pub trait TransitionTo<T: State>: State {}

macro_rules! states {
    ($($(#[$doc:meta])* $name:ident => $state:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}
        impl State for $name {
            const STATE: GranuleState = GranuleState::$state;
        }
    )*};
}

states! {
    /// Type-level [`GranuleState::Undelegated`].
    Undelegated => Undelegated,
    /// Type-level [`GranuleState::Delegated`].
    Delegated => Delegated,
    /// Type-level [`GranuleState::Rd`].
    RdState => Rd,
    /// Type-level [`GranuleState::Rec`].
    RecState => Rec,
    /// Type-level [`GranuleState::RecAux`].
    RecAuxState => RecAux,
    /// Type-level [`GranuleState::Data`].
    Data => Data,
    /// Type-level [`GranuleState::Rtt`].
    RttState => Rtt,
    /// Type-level [`GranuleState::Partial`].
    Partial => Partial,
}

impl InRealmPas for Delegated {}
impl InRealmPas for RdState {}
impl InRealmPas for RecState {}
impl InRealmPas for RecAuxState {}
impl InRealmPas for Data {}
impl InRealmPas for RttState {}
impl InRealmPas for Partial {}

impl TransitionTo<Delegated> for Undelegated {}
impl TransitionTo<Undelegated> for Delegated {}
impl TransitionTo<RdState> for Delegated {}
impl TransitionTo<RecState> for Delegated {}
impl TransitionTo<RecAuxState> for Delegated {}
impl TransitionTo<Data> for Delegated {}
impl TransitionTo<RttState> for Delegated {}
impl TransitionTo<Delegated> for RdState {}
impl TransitionTo<Delegated> for RecState {}
impl TransitionTo<Delegated> for RecAuxState {}
impl TransitionTo<Delegated> for Data {}
impl TransitionTo<Delegated> for RttState {}
impl TransitionTo<Partial> for Delegated {}
impl TransitionTo<RecState> for Partial {}
impl TransitionTo<Partial> for RecState {}
impl TransitionTo<Delegated> for Partial {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_survives_its_encoding() {
        for state in GranuleState::ALL {
            assert_eq!(GranuleState::from_u8(state as u8), Some(state));
        }
        assert_eq!(GranuleState::from_u8(8), None);
    }

    /// The ledger that `cargo xtask` reads back from a log tells states apart by their names.
    #[test]
    fn names_tell_states_apart() {
        let names = GranuleState::ALL.map(GranuleState::name);
        let expected =
            ["UNDELEGATED", "DELEGATED", "RD", "REC", "REC_AUX", "DATA", "RTT", "PARTIAL"];
        assert_eq!(names, expected);
    }
}
