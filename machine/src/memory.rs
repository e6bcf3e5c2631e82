//! Access to granules: through per-CPU slots to the Realm physical address space, and by copies
//! that may fault to Host memory.

use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU64, Ordering};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::addr::{GRANULE_SIZE, GRANULE_WORDS, GranuleAddr, PAGE_SIZE, PAGE_WORDS};

/// The place in a CPU's address space that a mapping uses. One role per slot: mapping a slot that
/// is in use is a bug of the monitor, never a reason to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Slot {
    /// The Realm Descriptor that a command names.
    Rd = 0,
    /// The REC that a command names or that runs.
    Rec = 1,
    /// The second REC of PSCI_COMPLETE.
    TargetRec = 2,
    /// An auxiliary granule of the REC.
    RecAux = 3,
    /// The translation table at which a walk stands.
    Table = 4,
    /// The table below it, while it is linked or unlinked.
    ChildTable = 5,
    /// A granule on its way in or out: being wiped, copied into, or given back.
    Object = 6,
    /// A page of the Realm that an RSI call reads or writes.
    RealmPage = 7,
}

impl Slot {
    /// Number of slots that each CPU needs.
    pub const COUNT: usize = 8;
}

// A granule is mapped as one page: see GranuleShift for what larger ones would need.
const _: () = assert!(PAGE_SIZE == GRANULE_SIZE);

/// A granule's contents, for its only user.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Debug)]
#[repr(C, align(4096))]
pub struct Page(pub [u64; PAGE_WORDS]);

impl Page {
    /// A page of zeros.
    pub const fn zeroed() -> Self {
        Self([0; PAGE_WORDS])
    }

    /// The page as the object `T`, which must be one granule long.
    pub fn view<T: FromBytes + KnownLayout + Immutable>(&self) -> &T {
        const { assert!(size_of::<T>() == size_of::<Self>()) };
        match T::ref_from_bytes(self.as_bytes()) {
            Ok(object) => object,
            Err(_) => unreachable!("size is checked above, and a page is aligned for any object"),
        }
    }

    /// The page as the object `T`, to change it.
    pub fn view_mut<T: FromBytes + IntoBytes + KnownLayout>(&mut self) -> &mut T {
        const { assert!(size_of::<T>() == size_of::<Self>()) };
        match T::mut_from_bytes(self.as_mut_bytes()) {
            Ok(object) => object,
            Err(_) => unreachable!("size is checked above, and a page is aligned for any object"),
        }
    }
}

/// A granule's contents, while hardware or a Realm may read and write them too: each access is one
/// single-copy-atomic load or store.
#[derive(Debug)]
#[repr(C, align(4096))]
pub struct Words(pub [AtomicU64; GRANULE_WORDS]);

/// Proof that nobody else touches a granule for `'g`.
#[derive(Debug)]
pub struct Exclusive<'g> {
    addr: GranuleAddr,
    hold: PhantomData<&'g mut ()>,
}

impl Exclusive<'_> {
    /// For crate `granule` alone, which makes it from a lock or from the reference of a running
    /// REC.
    pub fn new(addr: GranuleAddr) -> Self {
        Self { addr, hold: PhantomData }
    }

    /// The granule.
    pub fn addr(&self) -> GranuleAddr {
        self.addr
    }
}

/// Proof that nobody else touches some granules that follow each other, for `'g`.
#[derive(Debug)]
pub struct ExclusiveRun<'g> {
    first: GranuleAddr,
    count: u64,
    hold: PhantomData<&'g mut ()>,
}

impl<'g> ExclusiveRun<'g> {
    /// For crate `granule` alone, which makes it from locks.
    pub fn new(first: GranuleAddr, count: u64) -> Self {
        Self { first, count, hold: PhantomData }
    }

    /// The first granule.
    pub fn first(&self) -> GranuleAddr {
        self.first
    }

    /// How many granules there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The granules one by one.
    pub fn granules(self) -> impl Iterator<Item = Exclusive<'g>> {
        let Self { first, count, hold } = self;
        (0..count).filter_map(move |number| Some(Exclusive { addr: first.add(number)?, hold }))
    }
}

/// Proof that a granule stays in the Realm physical address space for `'g`.
#[derive(Debug)]
pub struct Shared<'g> {
    addr: GranuleAddr,
    hold: PhantomData<&'g ()>,
}

impl Shared<'_> {
    /// For crate `granule` alone, which makes it from a lock.
    pub fn new(addr: GranuleAddr) -> Self {
        Self { addr, hold: PhantomData }
    }

    /// The granule.
    pub fn addr(&self) -> GranuleAddr {
        self.addr
    }
}

/// [`Memory::first_off_step`] for any machine.
pub fn first_off_step(words: &Words, first: u64, step: u64) -> Option<usize> {
    let mut wanted = first;
    words.0.iter().position(|word| {
        let is_off = word.load(Ordering::Relaxed) != wanted;
        wanted = wanted.wrapping_add(step);
        is_off
    })
}

/// The index of the first of some words that has any bit of `mark` in its lowest byte:
/// [`Memory::first_marked`] for any machine.
pub fn first_marked(words: &[AtomicU64], mark: u8) -> Option<usize> {
    /// Words that are looked at together: most of a table that is being taken down is unmarked.
    const GROUP: usize = 16;
    let mark = u64::from(mark);
    let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
    let unmarked = words
        .chunks_exact(GROUP)
        .take_while(|group| group.iter().fold(0, |bits, word| bits | load(word)) & mark == 0)
        .count()
        * GROUP;
    let found = words.get(unmarked..)?.iter().position(|word| load(word) & mark != 0)?;
    Some(unmarked + found)
}

/// Realm physical address space, one granule at a time.
pub trait Memory {
    /// A mapped granule with one user; unmapped on drop.
    type Page<'a>: DerefMut<Target = Page>
    where
        Self: 'a;

    /// A mapped granule that others may access at the same time; unmapped on drop.
    type Words<'a>: Deref<Target = Words>
    where
        Self: 'a;

    /// Maps a granule that the caller has to itself.
    ///
    /// # Panics
    ///
    /// If `slot` is in use on this CPU.
    fn page<'a>(&'a self, slot: Slot, granule: Exclusive<'a>) -> Self::Page<'a>;

    /// Maps a granule that others may access at the same time.
    ///
    /// # Panics
    ///
    /// If `slot` is in use on this CPU.
    fn words<'a>(&'a self, slot: Slot, granule: Shared<'a>) -> Self::Words<'a>;

    /// Fills a granule with zeros, visible to every observer before it returns.
    ///
    /// # Panics
    ///
    /// If `slot` is in use on this CPU.
    fn wipe(&self, slot: Slot, granule: Exclusive<'_>);

    /// Fills granules that follow each other with zeros, visible to every observer before it
    /// returns.
    ///
    /// # Panics
    ///
    /// If `slot` is in use on this CPU.
    fn wipe_run(&self, slot: Slot, run: ExclusiveRun<'_>) {
        for granule in run.granules() {
            self.wipe(slot, granule);
        }
    }

    /// [`Memory::renew_code`] for granules that follow each other.
    ///
    /// # Panics
    ///
    /// If `slot` is in use on this CPU.
    fn renew_code_run(&self, slot: Slot, run: ExclusiveRun<'_>) {
        for granule in run.granules() {
            self.renew_code(slot, granule);
        }
    }

    /// Lets instruction fetches of every CPU see what is in a granule now, and nothing that they
    /// have seen of it before: another Realm's code may have been there.
    ///
    /// Source: Arm ARM (DDI0487), "Caches in a VMSAv8-64 implementation"; CTR_EL0, DIC and IDC.
    ///
    /// # Panics
    ///
    /// If `slot` is in use on this CPU.
    fn renew_code(&self, slot: Slot, granule: Exclusive<'_>);

    /// The index of the first word of a granule that is not its predecessor plus `step`; the first
    /// word must be `first`.
    ///
    /// A pass over 512 words is most of what folding a table costs: a machine with a faster way has
    /// its own.
    fn first_off_step(&self, words: &Words, first: u64, step: u64) -> Option<usize> {
        first_off_step(words, first, step)
    }

    /// The index of the first word of a granule, from index `from` on, that has any bit of `mark`
    /// in its lowest byte.
    ///
    /// Commands that take memory away end with such a pass over the rest of a table, 512 words at
    /// most: a machine with a faster way has its own (perf: `rtt_destroy_l3_live`,
    /// `rtt_unmap_unprotected_live`).
    fn first_marked(&self, words: &Words, from: usize, mark: u8) -> Option<usize> {
        let found = first_marked(words.0.get(from..)?, mark)?;
        Some(from + found)
    }

    /// Makes all stores before it visible to table walkers and other CPUs (DSB ISH).
    fn publish(&self);
}

/// A copy to or from Host memory met a granule that is not Non-secure (any more).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostFault;

/// Non-secure physical address space. The Host can change it, or take it away, at any time.
pub trait HostMemory {
    /// Copies `into.len()` words from byte `offset` of a Host granule; each word is read once.
    ///
    /// # Errors
    ///
    /// [`HostFault`] if the granule is not accessible as Non-secure; `into` is then partly written.
    ///
    /// # Panics
    ///
    /// If the words do not fit in the granule, or `offset` is not a multiple of 8.
    fn read_host(
        &self,
        granule: GranuleAddr,
        offset: usize,
        into: &mut [u64],
    ) -> Result<(), HostFault>;

    /// Copies words to byte `offset` of a Host granule.
    ///
    /// # Errors
    ///
    /// [`HostFault`] if the granule is not accessible as Non-secure; it may be partly written.
    ///
    /// # Panics
    ///
    /// If the words do not fit in the granule, or `offset` is not a multiple of 8.
    fn write_host(
        &self,
        granule: GranuleAddr,
        offset: usize,
        from: &[u64],
    ) -> Result<(), HostFault>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_its_granules() {
        let run = ExclusiveRun::new(GranuleAddr::containing(0x8000_1000), 3);
        assert_eq!((run.first(), run.count()), (GranuleAddr::containing(0x8000_1000), 3));
        let granules: Vec<u64> = run.granules().map(|granule| granule.addr().as_u64()).collect();
        assert_eq!(granules, [0x8000_1000, 0x8000_2000, 0x8000_3000]);
    }

    #[test]
    fn the_first_marked_word_is_found_from_anywhere() {
        const MARK: u8 = 0x11;
        // Every bit but the marks, in every word.
        let words = Words([const { AtomicU64::new(!0x11) }; GRANULE_WORDS]);
        // Miri is a thousand times slower: there a few places must do.
        let step = if cfg!(miri) { 101 } else { 1 };
        for from in (0..=GRANULE_WORDS).step_by(step) {
            assert_eq!(first_marked(&words.0[from..], MARK), None);
        }
        for (number, at) in (0..GRANULE_WORDS).step_by(step).enumerate() {
            let mark = if number % 2 == 0 { 0x10 } else { 0x01 };
            words.0[at].fetch_or(mark, Ordering::Relaxed);
            for from in (0..=GRANULE_WORDS).step_by(step) {
                let expected = at.checked_sub(from);
                assert_eq!(first_marked(&words.0[from..], MARK), expected, "{at} from {from}");
            }
            words.0[at].fetch_and(!0x11, Ordering::Relaxed);
        }
    }
}
