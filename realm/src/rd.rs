//! The Realm Descriptor: what is true of a whole Realm.

use granule::GranuleAddr;
use machine::addr::PAGE_WORDS;
use machine::extensions::Extensions;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::features::{MAX_FREE_RECS_ORDER, MAX_RECS_ORDER};
use crate::holdings::Holdings;
use crate::measurement::{Algorithm, AlgorithmWord, Measurements};
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

/// How the RECs of a Realm are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Numbering {
    /// One after the other from 0 on; no number is used again.
    InOrder = 0,
    /// As the Host likes, each number once.
    Free = 1,
}

impl Numbering {
    /// Most RECs of a Realm.
    pub const fn recs_max(self) -> u64 {
        match self {
            Self::InOrder => (1 << MAX_RECS_ORDER) - 1,
            Self::Free => (1 << MAX_FREE_RECS_ORDER) - 1,
        }
    }
}

/// Contents of a granule in state RD. The number of RECs is the granule's reference count; those
/// that are being made or ended count.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Debug)]
#[repr(C)]
pub struct Rd {
    state: u64,
    /// Index that the next REC must have; never goes down.
    pub next_rec_index: u64,
    tree: TreeWords,
    algorithm: AlgorithmWord,
    /// What its CPUs have.
    pub extensions: Extensions,
    /// Granules of the Realm.
    pub holdings: Holdings,
    /// Realm Personalization Value, opaque to the monitor.
    pub rpv: [u8; 64],
    /// RIM and REMs.
    pub measurements: Measurements,
    numbering: u64,
    /// Numbered in order: one bit per index below [`TRACKED_RECS`]: a REC with it exists. Numbered
    /// freely: where each REC is, with [`TAKEN`], and with [`COMPLETE`] once it is one.
    recs: [u64; TRACKED_RECS / 64],
    /// What tells the Realm from all others, if it has that.
    pub instance: InstanceWords,
    /// Numbered freely: the index of the REC that stands at the same place of `recs`.
    indices: [u32; FREE_RECS],
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

/// An [`Instance`], or none, as granules hold it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct InstanceWords {
    exists: u64,
    private_encryption: u64,
    id: [u8; 32],
}

impl From<Instance> for InstanceWords {
    fn from(Instance { id, private_encryption }: Instance) -> Self {
        Self { exists: 1, private_encryption: u64::from(private_encryption), id }
    }
}

impl InstanceWords {
    /// The instance, if there is one.
    pub fn get(&self) -> Option<Instance> {
        let Self { exists, private_encryption, id } = *self;
        (exists != 0).then_some(Instance { id, private_encryption: private_encryption != 0 })
    }
}

const RESERVED_WORDS: usize = PAGE_WORDS
    - (4 * 8
        + size_of::<TreeWords>()
        + size_of::<Extensions>()
        + size_of::<Holdings>()
        + 64
        + 5 * 64
        + TRACKED_RECS / 8
        + size_of::<InstanceWords>()
        + FREE_RECS * 4)
        / 8;

/// Places for RECs that are numbered freely.
const FREE_RECS: usize = 1 << MAX_FREE_RECS_ORDER;
const _: () = assert!(FREE_RECS == TRACKED_RECS / 64);

/// Of a place of a REC, whose address leaves these bits: the place is taken.
const TAKEN: u64 = 1;
/// The REC there is complete.
const COMPLETE: u64 = 2;

/// Indices of RECs whose end is remembered. Indices are never used again, so a Host that makes and
/// destroys more than these while it builds a Realm gets more; of those, PSCI takes each that was
/// ever made to exist.
const TRACKED_RECS: usize = 16_384;

impl Rd {
    /// Initialises the descriptor of a new Realm; `self` must be zeroed.
    pub fn init(
        &mut self,
        tree: &Tree,
        extensions: Extensions,
        algorithm: Algorithm,
        rpv: [u8; 64],
        numbering: Numbering,
    ) {
        self.state = RealmState::New as u64;
        self.tree = tree.into();
        self.algorithm = algorithm.into();
        self.extensions = extensions;
        self.holdings.add_tables(tree.roots);
        self.rpv = rpv;
        self.numbering = numbering as u64;
    }

    /// How its RECs are numbered.
    pub fn numbering(&self) -> Numbering {
        match self.numbering {
            0 => Numbering::InOrder,
            1 => Numbering::Free,
            other => unreachable!("numbering {other}"),
        }
    }

    /// Whether a new REC may have this index: nobody has it, and nobody is about to.
    pub fn may_add_rec(&self, index: RecIndex) -> bool {
        match self.numbering() {
            Numbering::InOrder => index.as_u64() == self.next_rec_index,
            Numbering::Free => self.place_of(index).is_none() && self.free_place().is_some(),
        }
    }

    /// Gives an index that [`Rd::may_add_rec`] to the REC that is being made at `rec`. Nobody finds
    /// it yet.
    pub fn reserve_rec(&mut self, index: RecIndex, rec: GranuleAddr) {
        match self.numbering() {
            Numbering::InOrder => self.next_rec_index += 1,
            Numbering::Free => {
                if let Some(place) = self.free_place()
                    && let (Some(at), Some(number)) =
                        (self.recs.get_mut(place), self.indices.get_mut(place))
                {
                    (*at, *number) = (rec.as_u64() | TAKEN, index.as_u32());
                }
            }
        }
    }

    /// The REC whose index has been reserved is complete: it is found from now on.
    pub fn complete_rec(&mut self, index: RecIndex) {
        let (word, bits) = match self.numbering() {
            Numbering::InOrder => Self::rec_bit(index),
            Numbering::Free => (self.place_of(index).unwrap_or(usize::MAX), COMPLETE),
        };
        if let Some(word) = self.recs.get_mut(word) {
            *word |= bits;
        }
    }

    /// The REC with this index does not exist any more, or never came to be.
    pub fn remove_rec(&mut self, index: RecIndex) {
        let (word, bits) = match self.numbering() {
            Numbering::InOrder => Self::rec_bit(index),
            Numbering::Free => (self.place_of(index).unwrap_or(usize::MAX), u64::MAX),
        };
        if let Some(word) = self.recs.get_mut(word) {
            *word &= !bits;
        }
    }

    /// Whether the Realm has a REC with this index.
    pub fn rec_exists(&self, index: RecIndex) -> bool {
        match self.numbering() {
            Numbering::InOrder => {
                let (word, bit) = Self::rec_bit(index);
                match self.recs.get(word) {
                    Some(word) => word & bit != 0,
                    None => index.as_u64() < self.next_rec_index,
                }
            }
            Numbering::Free => self.find_rec(index).is_some(),
        }
    }

    /// Where the REC with this index is, in a Realm that numbers freely. It may be PARTIAL, on its
    /// way out, and it may be gone as soon as the RD is not locked any more: whoever locks it has
    /// to look whether it is this Realm's and has the index.
    pub fn find_rec(&self, index: RecIndex) -> Option<GranuleAddr> {
        let &at = self.recs.get(self.place_of(index)?)?;
        (at & COMPLETE != 0).then(|| GranuleAddr::containing(at))
    }

    /// Where the RECs are of a Realm that numbers freely, those that are not complete included.
    pub fn recs(&self) -> impl Iterator<Item = GranuleAddr> {
        let recs: &[u64] = match self.numbering() {
            Numbering::InOrder => &[],
            Numbering::Free => &self.recs,
        };
        recs.iter().filter(|&&at| at & TAKEN != 0).map(|&at| GranuleAddr::containing(at))
    }

    /// The place of a REC in a Realm that numbers freely.
    fn place_of(&self, index: RecIndex) -> Option<usize> {
        if self.numbering() != Numbering::Free {
            return None;
        }
        let mut places = self.recs.iter().zip(&self.indices);
        places.position(|(&at, &number)| at & TAKEN != 0 && number == index.as_u32())
    }

    fn free_place(&self) -> Option<usize> {
        self.recs.iter().position(|&at| at & TAKEN == 0)
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

    /// Changes the Realm's state.
    pub fn set_state(&mut self, state: RealmState) {
        self.state = state as u64;
    }

    /// The Realm's hash algorithm.
    #[inline(always)] // perf: part of each command that measures (`data_create_measured`).
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm.get()
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

    fn index(number: u64) -> RecIndex {
        RecIndex::from_affinities(number & 0xf, number >> 4).unwrap()
    }

    fn numbered(page: &mut Page, numbering: Numbering) -> &mut Rd {
        let rd: &mut Rd = page.view_mut();
        rd.numbering = numbering as u64;
        rd
    }

    #[test]
    fn a_free_number_belongs_to_one_rec_from_the_first_step_to_the_last() {
        let mut page = Page::zeroed();
        let rd = numbered(&mut page, Numbering::Free);
        // The first granule of all, the largest number: nothing of them may be taken for nothing.
        let (first, last) = (GranuleAddr::containing(0), GranuleAddr::containing(u64::MAX));
        for (number, rec) in [(0, first), (0x0fff_ffff, last)] {
            let index = index(number);
            assert!(rd.may_add_rec(index));
            rd.reserve_rec(index, rec);
            assert!(!rd.may_add_rec(index) && !rd.rec_exists(index));
            rd.complete_rec(index);
            assert_eq!(rd.find_rec(index), Some(rec));
        }
        rd.remove_rec(index(0));
        assert!(rd.may_add_rec(index(0)) && !rd.rec_exists(index(0)));
        assert_eq!(rd.find_rec(index(0x0fff_ffff)), Some(last));
    }

    #[test]
    fn there_is_a_place_for_each_rec_that_a_realm_may_have() {
        let mut page = Page::zeroed();
        let rd = numbered(&mut page, Numbering::Free);
        let numbers = || (0..Numbering::Free.recs_max()).map(|number| index(number * 0x1001));
        for index in numbers() {
            assert!(rd.may_add_rec(index));
            rd.reserve_rec(index, GranuleAddr::containing(index.as_u64() << 12));
            rd.complete_rec(index);
        }
        for index in numbers() {
            assert_eq!(rd.find_rec(index).map(GranuleAddr::as_u64), Some(index.as_u64() << 12));
            rd.remove_rec(index);
            assert!(!rd.rec_exists(index));
        }
    }

    #[test]
    fn numbers_in_order_are_given_once() {
        let mut page = Page::zeroed();
        let rd = numbered(&mut page, Numbering::InOrder);
        let rec = GranuleAddr::containing(0x8000_0000);
        for number in 0..3 {
            assert!(rd.may_add_rec(index(number)) && !rd.may_add_rec(index(number + 1)));
            rd.reserve_rec(index(number), rec);
            assert!(!rd.may_add_rec(index(number)) && !rd.rec_exists(index(number)));
            rd.complete_rec(index(number));
            assert!(rd.rec_exists(index(number)));
        }
        rd.remove_rec(index(1));
        assert!(!rd.rec_exists(index(1)) && !rd.may_add_rec(index(1)));
        assert_eq!(rd.find_rec(index(0)), None);
    }

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
        rd.init(&tree, Extensions::new(1, 2), Algorithm::Sha512, [7; 64], Numbering::Free);
        assert_eq!(rd.tree(), tree);
        assert_eq!(rd.state(), RealmState::New);
        assert_eq!(rd.algorithm(), Algorithm::Sha512);
    }
}
