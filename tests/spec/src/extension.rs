//! Population in place: what no text of Arm's has.
//!
//! Source: `docs/in-place-population.md` of the repository.

/// Number of the feature register that says which extensions there are: the letters "CairnRMM".
pub const FEATURES_INDEX: u64 = 0x4361_6972_6e52_4d4d;

/// What that register says: population in place.
pub const FEATURES: u64 = 1;

/// The flag of DATA_CREATE and DATA_MAP_INIT that asks for it.
pub const IN_PLACE: u64 = 1 << 63;

/// Whether flags ask for population in place, and the flags as the texts know them.
pub(crate) fn split(flags: u64) -> (bool, u64) {
    (flags & IN_PLACE != 0, flags & !IN_PLACE)
}
