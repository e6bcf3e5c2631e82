//! One Realm's tree of tables: its geometry, and the walk from the root.

use core::sync::atomic::Ordering;

use granule::{GranuleAddr, GranuleGuard, GranuleTable, RealmNumber, RttState};
use machine::{Memory, Slot, Words};

use super::entry::{Entry, Format, raw};
use super::level::{Level, LevelOf};
use super::scan;
use crate::ipa::IpaSpace;

/// Most start-level tables, concatenated.
pub const ROOTS_MAX: usize = 16;

/// What a walk needs to know of a Realm. Fixed when the Realm is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tree {
    /// The Realm's IPA space.
    pub space: IpaSpace,
    /// First start-level table.
    pub root: GranuleAddr,
    /// The start level.
    pub start: Level,
    /// Number of concatenated start-level tables.
    pub roots: u64,
    /// Format of the descriptors.
    pub format: Format,
    /// The Realm's VMID.
    pub vmid: u16,
    /// The Realm's number.
    pub number: RealmNumber,
}

/// Number of start-level tables for an IPA width, if the start level can serve it.
///
/// A space of more than 48 bits needs addresses of as many; so does the uppermost level of 4 and 16
/// KiB granules.
///
/// Source: RMM specification (Arm DEN0137) 1.0, B4.3.9 `RMI_REALM_CREATE`, `rtt_num_level`; Arm ARM
/// (DDI0487), "Concatenated translation tables": at most 16; `AArch64.S2InconsistentSL`.
pub fn roots_for<const SHIFT: u32>(
    space: IpaSpace,
    start: LevelOf<SHIFT>,
    format: Format,
) -> Option<u64> {
    let width = u32::from(space.width_bits());
    let is_large = width > 48 || start.starts_with_lpa2_only();
    if width <= start.shift() || (is_large && format == Format::Address48) {
        return None;
    }
    let single = start.shift() + LevelOf::<SHIFT>::GRANULE.level_bits();
    let roots = 1_u64.checked_shl(width.saturating_sub(single))?;
    (roots <= ROOTS_MAX as u64).then_some(roots)
}

/// Where a walk ended: a table, locked and mapped, and the entry in it.
#[derive(Debug)]
pub struct Position<'p, 't> {
    /// Lock on the table.
    pub table: &'p GranuleGuard<'t, RttState>,
    /// The table's entries.
    pub words: &'p Words,
    /// The table's level.
    pub level: Level,
    /// The entry's place in the table.
    pub index: usize,
    /// What the entry says.
    pub entry: Entry,
    /// Format of the descriptors.
    pub format: Format,
}

impl Position<'_, '_> {
    /// The entry at `index` of the table.
    pub fn entry_at(&self, index: usize) -> Entry {
        Entry::decode(self.raw_at(index), self.level, self.format)
    }

    /// The descriptor at `index` of the table.
    #[inline]
    pub(super) fn raw_at(&self, index: usize) -> u64 {
        match self.words.0.get(index) {
            Some(word) => word.load(Ordering::Relaxed),
            None => unreachable!("RTT index {index}"),
        }
    }

    /// Writes the descriptor at `index`.
    #[inline]
    pub(super) fn set_raw_at(&self, index: usize, raw: u64) {
        if let Some(word) = self.words.0.get(index) {
            word.store(raw, Ordering::Relaxed);
        }
    }

    /// Writes the entry at `index`: one 64-bit store, so that a table walker sees the old or the
    /// new one.
    // perf: where the kind of entry is known, little of it is left (`data_create_unknown`).
    #[inline]
    pub fn set_at(&self, index: usize, entry: Entry) {
        self.set_raw_at(index, entry.encode(self.level, self.format));
    }

    /// Writes the entry where the walk ended.
    #[inline]
    pub fn set(&self, entry: Entry) {
        self.set_at(self.index, entry);
    }

    /// How many entries from `first` on, of at most `most`, say the same as it: where it maps
    /// memory, each maps what follows on the memory of the one before.
    pub fn alike(&self, first: usize, most: u16) -> u16 {
        scan::alike(&self.words.0, self.level, first, most)
    }

    /// Writes `count` entries from `first` on that are alike ([`Position::alike`]), beginning with
    /// `entry`. A table walker sees the old or the new one of each.
    pub fn set_alike(&self, first: usize, count: u16, entry: Entry) {
        scan::set_alike(&self.words.0, self.level, self.format, (first, count), entry);
    }

    /// Adds to the table's count of live entries.
    pub fn count_up(&self, entries: u16) {
        self.table.set_count(self.table.count() + entries);
    }

    /// Takes from the table's count of live entries.
    pub fn count_down(&self, entries: u16) {
        self.table.set_count(self.table.count() - entries);
    }

    /// The `top` output of commands that take something away: the first live entry from `ipa` on,
    /// or the end of the table; `ipa` itself if its own entry is live.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, B3.76 `WalkTop`; where the formal text rounds a
    /// live entry's address down, its summary table says "== ipa", which is what hosts compare
    /// with.
    pub fn walk_top(&self, machine: &impl Memory, ipa: u64) -> u64 {
        let skipped = if self.table.count() == 0 {
            self.level.entries().saturating_sub(self.index)
        } else {
            let first_marked = |from, mark| machine.first_marked(self.words, from, mark);
            scan::until_live(self.level, self.index, first_marked)
        };
        match skipped {
            0 => ipa,
            skipped => self.level.align_down(ipa) + self.level.entry_size() * skipped as u64,
        }
    }
}

impl Tree {
    /// Walks towards the entry of `ipa` at level `target`, and stops there or at the first entry
    /// that is no table. `ipa` must be inside the space, `target` not above the start level.
    ///
    /// Tables are locked hand over hand, so at most two at a time; the last one stays locked and
    /// mapped in [`Slot::Table`] while `then` looks at it.
    #[inline(always)] // perf: the long part of it is `descend` (`rtt_read_entry`).
    pub fn walk<'t, M: Memory, R>(
        &self,
        machine: &M,
        granules: &GranuleTable<'t>,
        ipa: u64,
        target: Level,
        then: impl FnOnce(Position<'_, 't>) -> R,
    ) -> R {
        let (table, level) = self.descend(machine, granules, ipa, target);
        let words = machine.words(Slot::Table, table.shared());
        let index = level.index_of(ipa);
        let raw = words.0.get(index).map_or(0, |word| word.load(Ordering::Relaxed));
        let format = self.format;
        let entry = Entry::decode(raw, level, format);
        then(Position { table: &table, words: &words, level, index, entry, format })
    }

    /// Locks the table in which a walk ends. One function for all commands: only what they do there
    /// differs.
    #[inline(never)]
    fn descend<'t, M: Memory>(
        &self,
        machine: &M,
        granules: &GranuleTable<'t>,
        ipa: u64,
        target: Level,
    ) -> (GranuleGuard<'t, RttState>, Level) {
        debug_assert!(self.space.contains(ipa), "walk outside the IPA space");
        let root = self.lock_root(granules, self.start.table_of(ipa));
        descend(self.start, target, ipa, root, |table, index| {
            let raw = {
                let words = machine.words(Slot::Table, table.shared());
                words.0.get(index).map_or(0, |word| word.load(Ordering::Relaxed))
            };
            // The parent stays locked until the child is: nobody can unlink it in between.
            raw::is_table(raw).then(|| lock_table(granules, self.format.address(raw)))
        })
    }

    fn lock_root<'t>(
        &self,
        granules: &GranuleTable<'t>,
        number: u64,
    ) -> GranuleGuard<'t, RttState> {
        match self.root.add(number) {
            Some(root) => lock_table(granules, root),
            None => unreachable!("start table {number}"),
        }
    }
}

/// The table in which a walk from `root` ends, and its level. `below` is the table to which the
/// entry at an index of a table leads; `None` if it leads to none. It gets there before the table
/// is dropped.
#[inline(always)] // perf: part of `Tree::descend` (`rtt_read_entry`).
pub(super) fn descend<const SHIFT: u32, T>(
    start: LevelOf<SHIFT>,
    target: LevelOf<SHIFT>,
    ipa: u64,
    root: T,
    below: impl Fn(&T, usize) -> Option<T>,
) -> (T, LevelOf<SHIFT>) {
    let (mut table, mut level) = (root, start);
    while level < target {
        let Some(child) = level.child() else { break };
        let Some(next) = below(&table, level.index_of(ipa)) else { break };
        table = next;
        level = child;
    }
    (table, level)
}

/// Locks a table that an entry or a Realm Descriptor points to.
///
/// # Panics
///
/// If it is no table: only the monitor links tables, so that is a broken invariant.
#[inline]
pub fn lock_table<'t>(
    granules: &GranuleTable<'t>,
    addr: GranuleAddr,
) -> GranuleGuard<'t, RttState> {
    match granules.lock::<RttState>(addr) {
        Ok(table) => table,
        Err(_) => unreachable!("a linked RTT is in state RTT"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roots(width: u8, start: i64, format: Format) -> Option<u64> {
        roots_for(IpaSpace::new(width).unwrap(), Level::new(start).unwrap(), format)
    }

    #[test]
    fn start_tables_are_those_of_the_specification() {
        use Format::{Address48, Address52};
        for (width, start, format, expected) in [
            (32, 2, Address48, Some(4)),
            (33, 2, Address48, Some(8)),
            (34, 2, Address48, Some(16)),
            (35, 2, Address48, None),
            (33, 1, Address48, Some(1)),
            (39, 1, Address48, Some(1)),
            (40, 1, Address48, Some(2)),
            (42, 1, Address48, Some(8)),
            (43, 1, Address48, Some(16)),
            (44, 1, Address48, None),
            (40, 0, Address48, Some(1)),
            (48, 0, Address48, Some(1)),
            (39, 0, Address48, None),
            (49, 0, Address48, None),
            (49, 0, Address52, Some(2)),
            (52, 0, Address52, Some(16)),
            (48, -1, Address52, None),
            (49, -1, Address52, Some(1)),
            (52, -1, Address52, Some(1)),
            (52, -1, Address48, None),
            (32, 3, Address48, None),
            (25, 3, Address48, Some(16)),
        ] {
            assert_eq!(roots(width, start, format), expected, "{width} bits from {start}");
        }
    }
}
