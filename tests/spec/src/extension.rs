//! Population in place: what no text of Arm's has.
//!
//! Source: `docs/in-place-population.md` of the repository.

/// Number of the feature register that says which extensions there are: the letters "CairnRMM".
pub const FEATURES_INDEX: u64 = 0x4361_6972_6e52_4d4d;

/// What that register says: population in place.
pub const FEATURES: u64 = 1;

/// The flag of DATA_CREATE and DATA_MAP_INIT that asks for it.
pub const IN_PLACE: u64 = 1 << 63;

/// Whether a command asks for population in place, and its flags as the texts know them. For other
/// pages the bit is one of those that should be zero.
pub(crate) fn split(flags: u64, data: u64, src: u64) -> (bool, u64) {
    let in_place = flags & IN_PLACE != 0 && data == src;
    (in_place, if in_place { flags & !IN_PLACE } else { flags })
}
