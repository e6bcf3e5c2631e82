//! Slots: how the monitor reaches granules of the Realm physical address space.

use core::ops::{Deref, DerefMut};
use core::sync::atomic::Ordering;

use granule::GranuleState;
use machine::memory::{Exclusive, Shared};
use machine::stage2::Stale;
use machine::{Memory, Page, Slot, Stage2Tlb, Words};
use rmm_arch::stage2::Ranges;

use super::dram::{Contents, Granule, Pas};
use super::{FakeCpu, FakeMachine, lock};

/// A slot in use.
pub(crate) struct SlotUse {
    pub(crate) pa: u64,
    /// Contents when they were last known to be visible to everybody; for shared mappings.
    published: Option<Box<Contents>>,
}

/// A granule mapped for one user. Changes reach the granule when it is unmapped.
pub struct PageGuard<'a> {
    cpu: &'a FakeCpu<'a>,
    slot: Slot,
    pa: u64,
    page: Box<Page>,
    before: Box<Contents>,
}

/// A granule mapped for many users.
pub struct WordsGuard<'a> {
    cpu: &'a FakeCpu<'a>,
    slot: Slot,
    granule: &'a Granule,
}

impl FakeMachine {
    pub(crate) fn state_of(&self, pa: u64) -> Option<GranuleState> {
        granule::GranuleAddr::new(pa).and_then(|addr| self.shared.granules.peek(addr))
    }

    /// The granule at `pa`, which the monitor is about to access in the Realm physical address
    /// space.
    fn realm_granule(&self, pa: u64) -> &Granule {
        let Some(granule) = self.dram.at(pa) else { panic!("access outside DRAM: {pa:#x}") };
        if granule.pas() != Pas::Realm {
            self.violation(format!("Realm access to {pa:#x}, which is {:?}", granule.pas()));
        }
        self.note(pa);
        granule
    }

    /// Nobody else may use a granule that is about to be rewritten.
    fn check_sole_use(&self, pa: u64, granule: &Granule) {
        if let Some(user) = lock(&self.tlb).user_of(pa) {
            self.violation(format!("{pa:#x} rewritten while {user}"));
        }
        let exclusive = granule.exclusive.load(Ordering::SeqCst);
        let shared = granule.shared.load(Ordering::SeqCst);
        // The identity of a running REC is read while its CPU has the page.
        let is_rec = self.state_of(pa) == Some(GranuleState::Rec);
        if exclusive > 1 || (shared != 0 && !is_rec) {
            self.violation(format!("{pa:#x} mapped for one user while others have it"));
        }
    }
}

impl FakeCpu<'_> {
    fn occupy(&self, slot: Slot, used: SlotUse) {
        self.machine.counters.maps.fetch_add(1, Ordering::Relaxed);
        self.check_vacant(slot);
        self.local.borrow_mut().slots[slot as usize] = Some(used);
    }

    fn check_vacant(&self, slot: Slot) {
        if let Some(other) = &self.local.borrow().slots[slot as usize] {
            self.machine.violation(format!("{slot:?} mapped twice, first to {:#x}", other.pa));
        }
    }

    fn vacate(&self, slot: Slot) -> Option<SlotUse> {
        self.local.borrow_mut().slots[slot as usize].take()
    }
}

impl Memory for FakeCpu<'_> {
    type Page<'a>
        = PageGuard<'a>
    where
        Self: 'a;
    type Words<'a>
        = WordsGuard<'a>
    where
        Self: 'a;

    fn page<'a>(&'a self, slot: Slot, granule: Exclusive<'a>) -> PageGuard<'a> {
        self.machine.pause();
        let pa = granule.addr().as_u64();
        let granule = self.machine.realm_granule(pa);
        granule.exclusive.fetch_add(1, Ordering::SeqCst);
        self.machine.check_sole_use(pa, granule);
        self.occupy(slot, SlotUse { pa, published: None });
        let before = granule.copy();
        PageGuard { cpu: self, slot, pa, page: Box::new(Page(*before)), before }
    }

    fn words<'a>(&'a self, slot: Slot, granule: Shared<'a>) -> WordsGuard<'a> {
        self.machine.pause();
        let pa = granule.addr().as_u64();
        let granule = self.machine.realm_granule(pa);
        granule.shared.fetch_add(1, Ordering::SeqCst);
        let published = self.machine.is_single().then(|| granule.copy());
        self.occupy(slot, SlotUse { pa, published });
        WordsGuard { cpu: self, slot, granule }
    }

    fn wipe(&self, slot: Slot, granule: Exclusive<'_>) {
        self.machine.pause();
        let pa = granule.addr().as_u64();
        self.machine.counters.wipes.fetch_add(1, Ordering::Relaxed);
        let granule = self.machine.realm_granule(pa);
        granule.exclusive.fetch_add(1, Ordering::SeqCst);
        self.machine.check_sole_use(pa, granule);
        self.occupy(slot, SlotUse { pa, published: None });
        for word in &granule.words().0 {
            word.store(0, Ordering::Relaxed);
        }
        granule.code_is_new.store(false, Ordering::Relaxed);
        self.vacate(slot);
        granule.exclusive.fetch_sub(1, Ordering::SeqCst);
        self.publish();
    }

    fn renew_code(&self, slot: Slot, granule: Exclusive<'_>) {
        let pa = granule.addr().as_u64();
        // Not every CPU has to map it for that.
        self.check_vacant(slot);
        self.machine.realm_granule(pa).code_is_new.store(true, Ordering::Relaxed);
    }

    fn publish(&self) {
        self.machine.counters.publishes.fetch_add(1, Ordering::Relaxed);
        let mut local = self.local.borrow_mut();
        local.unpublished.clear();
        for used in local.slots.iter_mut().flatten() {
            if used.published.is_some() {
                used.published = self.machine.dram.at(used.pa).map(Granule::copy);
            }
        }
    }
}

impl Stage2Tlb for FakeCpu<'_> {
    fn invalidate(&self, vmid: u16, stale: Stale) {
        self.machine.pause();
        self.publish();
        self.machine.counters.invalidations.fetch_add(1, Ordering::Relaxed);
        // VTCR_EL2 is still that of the Realm that this CPU has run last.
        let has_ranges = self.machine.profile.facts().id_aa64isar0 >> 56 & 0xf >= 2;
        let ranges = Ranges::new(has_ranges, self.local.borrow().vtcr);
        let machine = self.machine;
        let done = lock(&machine.tlb).invalidate(&machine.dram, vmid, stale, ranges);
        if let Err(complaint) = done {
            machine.violation(complaint);
        }
    }
}

impl Deref for PageGuard<'_> {
    type Target = Page;

    fn deref(&self) -> &Page {
        &self.page
    }
}

impl DerefMut for PageGuard<'_> {
    fn deref_mut(&mut self) -> &mut Page {
        &mut self.page
    }
}

impl Drop for PageGuard<'_> {
    fn drop(&mut self) {
        let Some(granule) = self.cpu.machine.dram.at(self.pa) else { return };
        for ((word, new), old) in granule.words().0.iter().zip(&self.page.0).zip(&*self.before) {
            if new != old {
                word.store(*new, Ordering::Relaxed);
                granule.code_is_new.store(false, Ordering::Relaxed);
            }
        }
        granule.exclusive.fetch_sub(1, Ordering::SeqCst);
        self.cpu.vacate(self.slot);
    }
}

impl Deref for WordsGuard<'_> {
    type Target = Words;

    fn deref(&self) -> &Words {
        self.granule.words()
    }
}

impl Drop for WordsGuard<'_> {
    fn drop(&mut self) {
        self.granule.shared.fetch_sub(1, Ordering::SeqCst);
        let used = self.cpu.vacate(self.slot);
        if let Some(SlotUse { pa, published: Some(published) }) = used
            && published != self.granule.copy()
        {
            self.cpu.local.borrow_mut().unpublished.insert(pa);
        }
    }
}
