//! Translation tables as a tree, and the walk.
//!
//! The names are those of RMI 1.0. RMI 2.0 says VOID for UNASSIGNED, DATA for ASSIGNED, UNMAPPED_NS
//! and MAPPED_NS for the other two.
//!
//! Source: RMM specification (Arm DEN0137) 1.0, A5.5; 2.0-bet3, the same chapter.

/// Bytes that an entry at `level` describes.
pub const fn entry_size(level: i64) -> u64 {
    1 << (12 + 9 * (3 - level))
}

/// RIPAS of a protected entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the value of that name")]
pub enum Ripas {
    Empty,
    Ram,
    Destroyed,
}

impl Ripas {
    /// `RmiRipas`.
    pub fn code(self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Ram => 1,
            Self::Destroyed => 2,
        }
    }
}

/// An entry: HIPAS, RIPAS and address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Protected, no memory.
    Unassigned(Ripas),
    /// Protected, with memory at this address.
    Assigned(Ripas, u64),
    /// Unprotected, nothing.
    UnassignedNs,
    /// Unprotected, Host memory at this address, with MemAttr and S2AP at their places in a
    /// descriptor.
    AssignedNs(u64, u64),
    /// A table.
    Table(Box<Table>),
}

impl Entry {
    pub(crate) const EMPTY: Self = Self::Unassigned(Ripas::Empty);

    /// Holds an address. Every `top` stops at such an entry.
    pub fn is_live(&self) -> bool {
        !matches!(self, Self::Unassigned(_) | Self::UnassignedNs)
    }

    /// Its RIPAS, if it is protected and no table.
    pub fn ripas(&self) -> Option<Ripas> {
        match self {
            Self::Unassigned(ripas) | Self::Assigned(ripas, _) => Some(*ripas),
            Self::UnassignedNs | Self::AssignedNs(..) | Self::Table(_) => None,
        }
    }

    pub(crate) fn set_ripas(&mut self, wanted: Ripas) {
        match self {
            Self::Unassigned(ripas) | Self::Assigned(ripas, _) => *ripas = wanted,
            Self::UnassignedNs | Self::AssignedNs(..) | Self::Table(_) => {}
        }
    }

    /// What an entry says that describes the part of this one which lies `offset` bytes in.
    pub(crate) fn part(&self, offset: u64) -> Self {
        match self {
            Self::Assigned(ripas, pa) => Self::Assigned(*ripas, pa + offset),
            Self::AssignedNs(pa, attributes) => Self::AssignedNs(pa + offset, *attributes),
            other => other.clone(),
        }
    }
}

/// A table. All start-level tables of a Realm are one, with more entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its granule.
    pub pa: u64,
    /// First address that it describes.
    pub base: u64,
    /// Its level.
    pub level: i64,
    /// Its entries.
    pub entries: Vec<Entry>,
}

/// Where a walk ended.
pub(crate) struct Walk<'t> {
    pub(crate) level: i64,
    pub(crate) table: &'t Table,
    pub(crate) index: usize,
}

impl Table {
    /// A table below an entry, which says what the entry said.
    pub(crate) fn below(entry: &Entry, pa: u64, base: u64, level: i64) -> Self {
        let part = |index: u64| entry.part(index * entry_size(level));
        Self { pa, base, level, entries: (0..512).map(part).collect() }
    }

    pub(crate) fn index(&self, ipa: u64) -> usize {
        ((ipa - self.base) / entry_size(self.level)) as usize
    }

    /// Cannot be destroyed.
    pub fn is_live(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry, Entry::Assigned(..) | Entry::Table(_)))
    }

    /// Walks to `level`, or to the first entry that is no table.
    pub(crate) fn walk(&self, ipa: u64, level: i64) -> Walk<'_> {
        let index = self.index(ipa);
        match &self.entries[index] {
            Entry::Table(table) if self.level < level => table.walk(ipa, level),
            _ => Walk { level: self.level, table: self, index },
        }
    }

    /// The entry of `ipa` at `level`, to which there must be a way.
    pub(crate) fn entry_mut(&mut self, ipa: u64, level: i64) -> &mut Entry {
        let index = self.index(ipa);
        if self.level == level {
            return &mut self.entries[index];
        }
        match &mut self.entries[index] {
            Entry::Table(table) => table.entry_mut(ipa, level),
            other => panic!("no way to {ipa:#x} at level {level}: {other:?}"),
        }
    }

    /// What the one entry says that a homogeneous table can be replaced by.
    pub(crate) fn folded(&self) -> Option<Entry> {
        let first = &self.entries[0];
        let size = entry_size(self.level);
        let block = self.level >= 2;
        let aligned = |pa: u64| pa.is_multiple_of(entry_size(self.level - 1));
        let legal = match first {
            Entry::Unassigned(_) | Entry::UnassignedNs => true,
            Entry::Assigned(_, pa) | Entry::AssignedNs(pa, _) => block && aligned(*pa),
            Entry::Table(_) => false,
        };
        let alike = || {
            let mut entries = self.entries.iter().zip(0_u64..);
            entries.all(|(entry, number)| *entry == first.part(number * size))
        };
        (legal && alike()).then(|| first.clone())
    }
}

impl<'t> Walk<'t> {
    pub(crate) fn entry(&self) -> &Entry {
        &self.table.entries[self.index]
    }

    pub(crate) fn into_entry(self) -> &'t Entry {
        &self.table.entries[self.index]
    }

    /// The entries of this table from the walk's on. Concatenated tables end where each of them
    /// does.
    pub(crate) fn rest(&self) -> &[Entry] {
        let end = (self.index / 512 * 512 + 512).min(self.table.entries.len());
        &self.table.entries[self.index..end]
    }

    /// The first address of the walk's entry.
    pub(crate) fn first(&self) -> u64 {
        self.table.base + self.index as u64 * entry_size(self.level)
    }

    pub(crate) fn top_from(&self, number: usize) -> u64 {
        let rest = self.rest();
        let live = rest.iter().skip(number).position(Entry::is_live);
        let number = live.map_or(rest.len(), |found| number + found);
        self.first() + number as u64 * entry_size(self.level)
    }

    /// `top`: the first address from `ipa` on, in this table, whose entry is live. `ipa` itself if
    /// its entry is.
    pub(crate) fn top(&self, ipa: u64) -> u64 {
        if self.entry().is_live() { ipa } else { self.top_from(0) }
    }

    /// `top` once the walk's entry is not live any more.
    pub(crate) fn top_after(&self) -> u64 {
        self.top_from(1)
    }
}
