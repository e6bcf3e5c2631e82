//! What must be true of the whole machine between commands: granule states, granule protection
//! table, translation tables, reference counts, RECs, VMIDs and cached translations agree.

use core::sync::atomic::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use granule::{GRANULE_SIZE, GranuleAddr, GranuleState};
use machine::Page;
use realm::operation::{Unfinished, Work};
use realm::rd::{Numbering, Rd};
use realm::rec::Rec;
use realm::rtt::{Entry, Format, Level, Ripas, Tree};

use super::dram::Pas;
use super::journal::{COUNT_MASK, LOCKED, state_in};
use super::tlb::{Branch, Leaf, Tlb};
use super::walk::{Descriptor, descriptor};
use super::{FakeMachine, lock};

/// What one pass over all tables found.
#[derive(Default)]
struct Found {
    tables: BTreeSet<u64>,
    data: BTreeSet<u64>,
    leaves: Vec<Leaf>,
    branches: Vec<Branch>,
    vmids: BTreeSet<u16>,
    /// Realms by RD: number of RECs that point to it.
    recs: BTreeMap<u64, u16>,
    aux: BTreeSet<u64>,
    indexes: BTreeSet<(u64, u64)>,
}

/// What is in the first list and not in the second; both are in order.
fn missing<'l, T: Ord>(list: &'l [T], of: &[T]) -> Vec<&'l T> {
    let mut rest = of.iter().peekable();
    let is_missing = |item: &&T| {
        while rest.next_if(|other| *other < *item).is_some() {}
        rest.peek() != Some(item)
    };
    list.iter().filter(is_missing).collect()
}

impl FakeMachine {
    /// Checks all objects, and lets every Realm that has run fill the translation caches.
    pub(crate) fn check_objects(&self, objects: &BTreeMap<u64, GranuleState>) {
        let mut found = Found::default();
        for (&pa, &state) in objects {
            if state == GranuleState::Rd {
                found.recs.insert(pa, 0);
                self.check_realm(pa, &mut found);
            }
        }
        for (&pa, &state) in objects {
            if matches!(state, GranuleState::Rec | GranuleState::Partial) {
                self.check_rec(pa, state, &mut found);
            }
        }
        self.check_operations(objects);
        self.check_links(objects, &found);
        found.leaves.sort();
        found.branches.sort();
        self.check_caches(found);
    }

    /// Lock, mappings, count and physical address space of one granule.
    pub(crate) fn check_granule(&self, number: usize) {
        let word = self.words[number].load(Ordering::SeqCst);
        let pa = self.dram.address(number);
        let Some(granule) = self.dram.at(pa) else { return };
        if word & LOCKED != 0 {
            self.violation(format!("{pa:#x} left locked"));
        }
        let Some(state) = state_in(word) else {
            self.violation(format!("{pa:#x} has the word {word:#x}"));
            return;
        };
        let realm = granule.pas() == Pas::Realm;
        if realm == (state == GranuleState::Undelegated) {
            let pas = granule.pas();
            self.violation(format!("{pa:#x} is {state:?} and {pas:?}"));
        }
        if state == GranuleState::Delegated && !granule.is_zero() {
            self.violation(format!("{pa:#x} is DELEGATED and not zero"));
        }
        // The bits of a DELEGATED granule are its history.
        let counts =
            matches!(state, GranuleState::Rd | GranuleState::Rtt | GranuleState::Delegated);
        if !counts && word & COUNT_MASK != 0 {
            self.violation(format!("{pa:#x} is {state:?} with count {}", word & COUNT_MASK));
        }
        if granule.is_mapped() {
            self.violation(format!("{pa:#x} left mapped"));
        }
    }

    pub(crate) fn page(&self, pa: u64) -> Page {
        Page(self.dram.at(pa).map_or([0; 512], |granule| *granule.copy()))
    }

    fn count(&self, pa: u64) -> u16 {
        let word = self.dram.number(pa).and_then(|number| self.words.get(number));
        word.map_or(0, |word| word.load(Ordering::SeqCst) & COUNT_MASK)
    }

    fn check_realm(&self, pa: u64, found: &mut Found) {
        let page = self.page(pa);
        let tree = page.view::<Rd>().tree();
        if !found.vmids.insert(tree.vmid) {
            self.violation(format!("VMID {} belongs to two Realms", tree.vmid));
        }
        let (tables, data) = (found.tables.len(), found.data.len());
        for number in 0..tree.roots {
            let first = number * 512 * tree.start.entry_size();
            let root = tree.root.as_u64() + number * GRANULE_SIZE;
            self.check_table(&tree, root, tree.start, first, found);
        }
        let holds = page.view::<Rd>().holdings.now();
        let [tables, data] = [found.tables.len() - tables, found.data.len() - data];
        if (holds.rtt, holds.data) != (tables as u64, data as u64) {
            self.violation(format!(
                "Realm {pa:#x} counts {holds:?}, has {tables} RTT, {data} DATA"
            ));
        }
    }

    fn check_table(&self, tree: &Tree, pa: u64, level: Level, base: u64, found: &mut Found) {
        if !found.tables.insert(pa) {
            self.violation(format!("table {pa:#x} linked twice"));
            return;
        }
        if self.state_of(pa) != Some(GranuleState::Rtt) {
            let state = self.state_of(pa);
            self.violation(format!("table {pa:#x} is {state:?}"));
            return;
        }
        found.branches.push(Branch {
            vmid: tree.vmid,
            ipa: base,
            size: level.entry_size() * 512,
            table: pa,
        });
        let words = self.page(pa).0;
        let mut counted = 0;
        // Most entries say the same as the one before: nothing.
        let mut nothing = None;
        // Entries inside the space, and the first of them that is unprotected.
        let size = level.entry_size();
        let inside = (tree.space.end().saturating_sub(base)).div_ceil(size);
        let half = (tree.space.unprotected_base().saturating_sub(base)).div_ceil(size);
        for (number, &raw) in (0..inside).zip(&words) {
            if number == half {
                nothing = None;
            }
            if nothing == Some(raw) {
                continue;
            }
            let ipa = base + number * size;
            let entry = Entry::decode(raw, level, tree.format);
            counted += u16::from(entry.is_live());
            self.check_entry(tree, (ipa, level), raw, entry, found);
            if !entry.is_live() {
                nothing = Some(raw);
            }
            if let (Entry::Table(next), Some(child)) = (entry, level.child()) {
                self.check_table(tree, next.as_u64(), child, ipa, found);
            }
        }
        let count = self.count(pa);
        if count != counted {
            self.violation(format!("table {pa:#x} counts {count}, has {counted} live entries"));
        }
    }

    /// One entry: what the monitor thinks it says is what hardware reads, and it is legal where it
    /// stands.
    fn check_entry(
        &self,
        tree: &Tree,
        (ipa, level): (u64, Level),
        raw: u64,
        entry: Entry,
        found: &mut Found,
    ) {
        let lpa2 = tree.format == Format::Address52;
        let depth = i32::try_from(level.as_i64()).unwrap_or(0);
        let hardware = descriptor(raw, depth, lpa2);
        let protected = tree.space.is_protected(ipa);
        let size = level.entry_size();
        let at = || format!("entry of {ipa:#x} at level {depth} ({raw:#x}, {entry:x?})");
        let mut leaf = |pa: u64| {
            found.leaves.push(Leaf { vmid: tree.vmid, ipa, size, pa, ns: !protected });
        };
        let legal = match (entry, hardware) {
            (Entry::Unassigned(_), Descriptor::Invalid) => protected,
            (Entry::UnassignedNs, Descriptor::Invalid) => !protected,
            (Entry::Table(table), Descriptor::Table(pa)) => table.as_u64() == pa,
            (Entry::Assigned(Ripas::Ram, data), Descriptor::Leaf { pa, attributes }) => {
                leaf(pa);
                // Write-back, read-write, AF, executable, not NS; shareability if it is in the
                // entry.
                let bits = attributes & 0xfff0_0000_0000_0ffc;
                let expected = if lpa2 { 0x4d8 | (pa >> 50 & 3) << 8 } else { 0x7d8 };
                protected && level.may_be_leaf() && data.as_u64() == pa && bits == expected
            }
            (Entry::Assigned(ripas, _), Descriptor::Invalid) => {
                protected && level.may_be_leaf() && ripas != Ripas::Ram
            }
            (Entry::AssignedNs(data, _), Descriptor::Leaf { pa, attributes }) => {
                leaf(pa);
                let ns_xn_af = attributes >> 53 & 7 == 0b110 && attributes >> 10 & 1 == 1;
                !protected && level.may_be_leaf() && data.as_u64() == pa && ns_xn_af
            }
            _ => false,
        };
        if !legal {
            self.violation(format!("illegal {}", at()));
        }
        if let Entry::Assigned(_, data) = entry {
            if data.as_u64() % size != 0 {
                self.violation(format!("misaligned {}", at()));
            }
            for page in 0..size / GRANULE_SIZE {
                if !found.data.insert(data.as_u64() + page * GRANULE_SIZE) {
                    self.violation(format!("memory mapped twice: {}", at()));
                }
            }
        }
    }

    /// A REC, or one that an unfinished operation builds or takes apart.
    fn check_rec(&self, pa: u64, state: GranuleState, found: &mut Found) {
        let page = self.page(pa);
        let rec: &Rec = page.view();
        let owner = rec.owner().as_u64();
        match found.recs.get_mut(&owner) {
            Some(count) => *count += 1,
            None => self.violation(format!("REC {pa:#x} of no Realm ({owner:#x})")),
        }
        if !found.indexes.insert((owner, rec.index().as_u64())) {
            self.violation(format!("REC {pa:#x} has the index of another"));
        }
        self.check_number(pa, rec, state);
        let count = realm::rec::aux_count(&rec.registers.extensions);
        let held = rec.aux().count();
        if held > count || state == GranuleState::Rec && held != count {
            self.violation(format!("REC {pa:#x} has {held} auxiliary granules"));
        }
        for aux in rec.aux() {
            if !found.aux.insert(aux.as_u64()) {
                self.violation(format!("{:#x} is auxiliary twice", aux.as_u64()));
            }
        }
    }

    /// A REC's Realm knows it by its index, and finds it if it is one.
    fn check_number(&self, pa: u64, rec: &Rec, state: GranuleState) {
        let index = rec.index();
        let rd_page = self.page(rec.owner().as_u64());
        let rd: &Rd = rd_page.view();
        let is_given = match rd.numbering() {
            Numbering::InOrder => index.as_u64() < rd.next_rec_index,
            Numbering::Free => !rd.may_add_rec(index),
        };
        if !is_given {
            self.violation(format!("REC {pa:#x} has an index that was never given"));
        }
        let work = self.operation_on(pa).map(|unfinished| unfinished.work);
        let is_rec = state == GranuleState::Rec || work == Some(Work::RecDestroy);
        if rd.rec_exists(index) != is_rec {
            self.violation(format!("REC {pa:#x} ({state:?}, {work:?}) is known wrongly"));
        }
        let place = rd.find_rec(index).map(GranuleAddr::as_u64);
        if rd.numbering() == Numbering::Free && place != is_rec.then_some(pa) {
            self.violation(format!("REC {pa:#x} is found at {place:x?}"));
        }
    }

    /// The operation that builds a granule or takes it apart.
    fn operation_on(&self, pa: u64) -> Option<Unfinished> {
        let mut waiting = self.shared.operations.waiting();
        waiting.find(|(_, unfinished)| unfinished.object.as_u64() == pa).map(|(_, found)| found)
    }

    /// Each PARTIAL granule has its operation, and each operation its granule, and knows what it
    /// holds.
    fn check_operations(&self, objects: &BTreeMap<u64, GranuleState>) {
        let is_partial = |pa: u64| objects.get(&pa) == Some(&GranuleState::Partial);
        let mut partial = 0;
        for (&pa, _) in objects.iter().filter(|(pa, _)| is_partial(**pa)) {
            partial += 1;
            let held = self.page(pa).view::<Rec>().aux().count() as u64;
            if self.operation_on(pa).is_none_or(|unfinished| unfinished.held != held) {
                self.violation(format!("{pa:#x} is PARTIAL, holds {held}, and is no operation's"));
            }
        }
        let operations = self.shared.operations.waiting().count();
        if operations != partial || self.shared.operations.is_idle() != (partial == 0) {
            self.violation(format!("{operations} operations on {partial} PARTIAL granules"));
        }
    }

    /// Every object is reachable exactly once, and every count is right.
    fn check_links(&self, objects: &BTreeMap<u64, GranuleState>, found: &Found) {
        for (&pa, &state) in objects {
            let linked = match state {
                GranuleState::Rtt => found.tables.contains(&pa),
                GranuleState::Data => found.data.contains(&pa),
                GranuleState::RecAux => found.aux.contains(&pa),
                GranuleState::Rd => {
                    let (count, recs) = (self.count(pa), found.recs.get(&pa).copied());
                    if recs != Some(count) {
                        self.violation(format!("RD {pa:#x} counts {count} RECs of {recs:?}"));
                    }
                    true
                }
                GranuleState::Undelegated
                | GranuleState::Delegated
                | GranuleState::Rec
                | GranuleState::Partial => true,
            };
            if !linked {
                self.violation(format!("{pa:#x} is {state:?} and belongs to nothing"));
            }
        }
        for &pa in &found.data {
            if self.state_of(pa) != Some(GranuleState::Data) {
                let state = self.state_of(pa);
                self.violation(format!("{pa:#x} is mapped as memory but {state:?}"));
            }
        }
        let (account, census) = (self.shared.granules.account().granules(), self.census());
        if account != census {
            self.violation(format!("the account is {account:?}, the granules are {census:?}"));
        }
        let vmids = self.shared.vmids.count();
        if u32::try_from(found.vmids.len()) != Ok(vmids) {
            self.violation(format!("{vmids} VMIDs in use by {} Realms", found.vmids.len()));
        }
    }

    /// Nothing is cached that does not translate now; then the caches take up all that does.
    fn check_caches(&self, found: Found) {
        let mut tlb = lock(&self.tlb);
        for stale in missing(&tlb.leaves, &found.leaves) {
            self.violation(format!("stale translation: {stale:x?}"));
        }
        for stale in missing(&tlb.branches, &found.branches) {
            self.violation(format!("stale walk: {stale:x?}"));
        }
        // Only Realms that have run and may run again walk their tables.
        tlb.leaves = found.leaves;
        tlb.branches = found.branches;
        let Tlb { leaves, branches, regimes } = &mut *tlb;
        leaves.retain(|leaf| regimes.contains_key(&leaf.vmid));
        branches.retain(|branch| regimes.contains_key(&branch.vmid));
    }
}
