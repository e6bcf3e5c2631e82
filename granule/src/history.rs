//! What a DELEGATED granule was before: its last role, and the Realm that it served.
//!
//! Kept in the ten bits of the granule's word that count in other states, so it costs no memory.
//! Should the granule never go back to the Host, the leak ledger can say where it came from.

use machine::log::RealmNumber;

use crate::state::GranuleState;

/// Last role and Realm of a DELEGATED granule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History(u16);

const ROLE_BITS: u32 = 3;
const ROLE_MASK: u16 = (1 << ROLE_BITS) - 1;
/// Seven bits remember a Realm's number modulo this, from 1 on.
const TAGS: u64 = 127;

impl History {
    /// A granule that came from the Host and has had no role yet.
    pub const FRESH: Self = Self(0);

    /// A granule that was `role` of `realm`.
    #[inline]
    pub fn new(role: GranuleState, realm: RealmNumber) -> Self {
        // 1 to 127.
        let tag = u16::try_from(realm.0 % TAGS + 1).unwrap_or(0);
        Self(tag << ROLE_BITS | role as u16)
    }

    pub(crate) const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    pub(crate) const fn bits(self) -> u16 {
        self.0
    }

    /// What the granule was; UNDELEGATED if it came from the Host and has had no role.
    pub fn role(self) -> GranuleState {
        GranuleState::from_u8((self.0 & ROLE_MASK) as u8).unwrap_or(GranuleState::Undelegated)
    }

    /// The Realm that the granule served, if it did. `latest` is the number of the latest Realm: an
    /// older one than its last 127 is taken for a later one.
    pub fn realm(self, latest: RealmNumber) -> Option<RealmNumber> {
        let tag = u64::from(self.0 >> ROLE_BITS).checked_sub(1)?;
        let age = (latest.0 + TAGS - tag) % TAGS;
        latest.0.checked_sub(age).map(RealmNumber)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_realms_are_told_apart() {
        for latest in [1, 5, 126, 127, 128, 1000] {
            for number in (1..=latest).rev().take(127) {
                let history = History::new(GranuleState::Data, RealmNumber(number));
                assert_eq!(history.role(), GranuleState::Data);
                assert_eq!(history.realm(RealmNumber(latest)), Some(RealmNumber(number)));
                assert_eq!(History::from_bits(history.bits()), history);
                assert_eq!(history.bits() >> 10, 0);
            }
        }
    }

    #[test]
    fn a_granule_from_the_host_has_no_history() {
        assert_eq!(History::FRESH.role(), GranuleState::Undelegated);
        assert_eq!(History::FRESH.realm(RealmNumber(7)), None);
    }
}
