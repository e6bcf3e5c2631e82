//! The Realm Descriptor: what is true of a whole Realm.

use machine::addr::GRANULE_WORDS;
use machine::extensions::Extensions;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::holdings::Holdings;
use crate::measurement::{Algorithm, Measurements};
use crate::rec::RecIndex;
use crate::rtt::{Tree, TreeWords};

/// Life of a Realm after REALM_CREATE.
///
/// Source: RMM specification (Arm DEN0137) 1.0, A2.1.3 "Realm lifecycle".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum RealmState {
    /// Being built: not runnable, measurements open.
    New = 0,
    /// Runnable, RIM frozen.
    Active = 1,
    /// Switched itself off: its RECs cannot be entered any more.
    SystemOff = 2,
    /// Ended by its Host: its RECs cannot be entered any more, and it gets nothing new.
    ///
    /// Source: RMM specification (Arm DEN0137) 2.0, "Realm lifecycle", ZOMBIE.
    Zombie = 3,
}

/// Contents of a granule in state RD. The number of RECs is the granule's reference count.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Debug)]
#[repr(C)]
pub struct Rd {
    state: u64,
    /// Index that the next REC must have; never goes down.
    pub next_rec_index: u64,
    tree: TreeWords,
    algorithm: u64,
    /// What its CPUs have.
    pub extensions: Extensions,
    /// Granules of the Realm.
    pub holdings: Holdings,
    /// Realm Personalization Value, opaque to the monitor.
    pub rpv: [u8; 64],
    /// RIM and REMs.
    pub measurements: Measurements,
    /// One bit per index below [`TRACKED_RECS`]: a REC with it exists.
    recs: [u64; TRACKED_RECS / 64],
    instance: InstanceWords,
    reserved: [u64; RESERVED_WORDS],
}

/// What tells a Realm from all others in its tokens, for Realms that have it.
///
/// Source: RMM specification (Arm DEN0137) 2.0, Realm token claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Random bytes, made when the Realm is created.
    pub id: [u8; 32],
    /// Whether the Host asked for a memory encryption context of the Realm's own.
    pub private_encryption: bool,
}

/// An [`Instance`] in a Realm Descriptor.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct InstanceWords {
    exists: u64,
    private_encryption: u64,
    id: [u8; 32],
}

const RESERVED_WORDS: usize = GRANULE_WORDS
    - (3 * 8
        + size_of::<TreeWords>()
        + size_of::<Extensions>()
        + size_of::<Holdings>()
        + 64
        + 5 * 64
        + TRACKED_RECS / 8
        + size_of::<InstanceWords>())
        / 8;

/// Indices of RECs whose end is remembered. Indices are never used again, so a Host that makes and destroys more than these
/// while it builds a Realm gets more; of those, PSCI takes each that was ever made to exist.
const TRACKED_RECS: usize = 16_384;

impl Rd {
    /// Initialises the descriptor of a new Realm; `self` must be zeroed.
    pub fn init(
        &mut self,
        tree: &Tree,
        extensions: Extensions,
        algorithm: Algorithm,
        rpv: [u8; 64],
    ) {
        self.state = RealmState::New as u64;
        self.tree = tree.into();
        self.algorithm = algorithm as u64;
        self.extensions = extensions;
        self.holdings.add_tables(tree.roots);
        self.rpv = rpv;
    }

    /// Notes that the REC with this index exists, or does not any more.
    pub fn set_rec_exists(&mut self, index: RecIndex, exists: bool) {
        let (word, bit) = Self::rec_bit(index);
        if let Some(word) = self.recs.get_mut(word) {
            *word = if exists { *word | bit } else { *word & !bit };
        }
    }

    /// Whether the Realm has a REC with this index.
    pub fn rec_exists(&self, index: RecIndex) -> bool {
        let (word, bit) = Self::rec_bit(index);
        match self.recs.get(word) {
            Some(word) => word & bit != 0,
            None => index.as_u64() < self.next_rec_index,
        }
    }

    fn rec_bit(index: RecIndex) -> (usize, u64) {
        let index = usize::try_from(index.as_u64()).unwrap_or(usize::MAX);
        (index / 64, 1 << (index % 64))
    }

    /// The Realm's state.
    pub fn state(&self) -> RealmState {
        match self.state {
            0 => RealmState::New,
            1 => RealmState::Active,
            2 => RealmState::SystemOff,
            3 => RealmState::Zombie,
            other => unreachable!("Realm state {other}"),
        }
    }

    /// Gives a new Realm what tells it from all others.
    pub fn set_instance(&mut self, instance: &Instance) {
        self.instance = InstanceWords {
            exists: 1,
            private_encryption: u64::from(instance.private_encryption),
            id: instance.id,
        };
    }

    /// What tells the Realm from all others, if it has that.
    pub fn instance(&self) -> Option<Instance> {
        let InstanceWords { exists, private_encryption, id } = self.instance;
        (exists != 0).then_some(Instance { id, private_encryption: private_encryption != 0 })
    }

    /// Changes the Realm's state.
    pub fn set_state(&mut self, state: RealmState) {
        self.state = state as u64;
    }

    /// The Realm's hash algorithm.
    pub fn algorithm(&self) -> Algorithm {
        match Algorithm::from_u64(self.algorithm) {
            Some(algorithm) => algorithm,
            None => unreachable!("hash algorithm {}", self.algorithm),
        }
    }

    /// The Realm's translation tables.
    #[inline(always)] // perf: every command on tables (`rtt_read_entry`).
    pub fn tree(&self) -> Tree {
        self.tree.tree()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipa::IpaSpace;
    use crate::rtt::{Format, Level};
    use granule::{GranuleAddr, RealmNumber};
    use machine::Page;

    #[test]
    fn a_descriptor_is_one_granule_and_gives_back_its_tree() {
        let mut page = Page::zeroed();
        let tree = Tree {
            space: IpaSpace::new(33).unwrap(),
            root: GranuleAddr::new(0x8000_8000).unwrap(),
            start: Level::new(2).unwrap(),
            roots: 8,
            format: Format::Address52,
            vmid: 65535,
            number: RealmNumber(3),
        };
        let rd: &mut Rd = page.view_mut();
        rd.init(&tree, Extensions::new(1, 2), Algorithm::Sha512, [7; 64]);
        assert_eq!(rd.tree(), tree);
        assert_eq!(rd.state(), RealmState::New);
        assert_eq!(rd.algorithm(), Algorithm::Sha512);
    }
}
