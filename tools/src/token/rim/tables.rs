//! Which translation tables and pages a Realm has: a RIPAS is measured entry by entry, so that it
//! matters how large they are, and whether a page is there already.

use std::collections::BTreeSet;

use cairn_host::ipa::{entry_base, entry_size};

/// The deepest level.
const PAGES: u64 = 3;

/// The tables of a Realm.
#[derive(Debug)]
pub(super) struct Tables {
    start: u64,
    /// Level and first IPA of each, but for the start level.
    tables: BTreeSet<(u64, u64)>,
    /// Pages that are there.
    pages: BTreeSet<u64>,
}

impl Tables {
    /// Those of a new Realm.
    pub(super) fn new(start: u64) -> Self {
        Self { start, tables: BTreeSet::new(), pages: BTreeSet::new() }
    }

    /// The level at which a walk to `ipa` ends.
    pub(super) fn level(&self, ipa: u64) -> u64 {
        let has_table = |level: u64| self.tables.contains(&(level, entry_base(ipa, level - 1)));
        (self.start + 1..=PAGES).take_while(|level| has_table(*level)).last().unwrap_or(self.start)
    }

    /// RMI_RTT_CREATE.
    ///
    /// # Errors
    ///
    /// The level at which the walk ended instead of one above.
    pub(super) fn create(&mut self, ipa: u64, level: u64) -> Result<(), u64> {
        let found = self.level(ipa);
        if found + 1 != level || level > PAGES {
            return Err(found);
        }
        self.tables.insert((level, entry_base(ipa, level - 1)));
        Ok(())
    }

    /// A page is there from now on, so that its RIPAS cannot be declared any more.
    pub(super) fn populate(&mut self, ipa: u64) {
        self.pages.insert(ipa);
    }

    /// The entries that one RMI_RTT_INIT_RIPAS of `[base, top)` makes RAM: all are in one table.
    ///
    /// # Errors
    ///
    /// The level at which the walk ended, if there is none, or a page is there.
    pub(super) fn entries(&self, base: u64, top: u64) -> Result<Vec<(u64, u64)>, u64> {
        let level = self.level(base);
        let size = entry_size(level);
        let end = if level == self.start { top } else { entry_base(base, level - 1) + 512 * size };
        let entries: Vec<_> = (base..end.min(top))
            .step_by(usize::try_from(size).unwrap_or(usize::MAX))
            .take_while(|at| {
                at + size <= top && self.level(*at) == level && !self.pages.contains(at)
            })
            .map(|at| (at, at + size))
            .collect();
        if entries.is_empty() || !base.is_multiple_of(size) { Err(level) } else { Ok(entries) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn entries_are_as_large_as_the_tables_make_them() {
        let mut tables = Tables::new(2);
        assert_eq!(tables.entries(0, 4 * MIB), Ok(vec![(0, 2 * MIB), (2 * MIB, 4 * MIB)]));
        assert_eq!(tables.entries(MIB, 4 * MIB), Err(2));
        assert_eq!(tables.entries(0, MIB), Err(2));
        tables.create(2 * MIB, 3).unwrap();
        assert_eq!(tables.entries(0, 4 * MIB), Ok(vec![(0, 2 * MIB)]));
        let pages = tables.entries(2 * MIB, 6 * MIB).unwrap();
        assert_eq!((pages.len(), pages[511]), (512, (4 * MIB - 4096, 4 * MIB)));
        tables.populate(2 * MIB);
        tables.populate(3 * MIB);
        assert_eq!(tables.entries(2 * MIB, 4 * MIB), Err(3));
        assert_eq!(tables.entries(2 * MIB + 4096, 4 * MIB).unwrap().len(), 255);
        assert_eq!(tables.create(2 * MIB, 3), Err(3));
        assert_eq!(Tables::new(0).create(0, 3), Err(0));
    }
}
