//! Tests of walks and of passes over a table with granules of 4, 16 and 64 KiB: random trees and
//! tables, next to a model that knows an entry's size from the formula of the specification.
//!
//! A table of more than 4 KiB lies in memory of the tests: no slot maps it (see
//! [`machine::GranuleShift`]).

use core::sync::atomic::AtomicU64;
use std::collections::BTreeMap;

use granule::GranuleAddr;

use super::entry::{Entry, Format, Ripas, raw};
use super::level::LevelOf;
use super::tree::{descend, roots_for};
use super::{HostAttributes, scan};
use crate::ipa::IpaSpace;

/// Numbers that look random and repeat with the seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % limit
    }

    fn index(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(limit as u64)).unwrap()
    }

    fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.index(list.len())]
    }
}

/// What a granule of 2 to the power of `shift` bytes makes of tables.
#[derive(Clone, Copy)]
struct Geometry {
    granule: u64,
    entries: u64,
    top: i64,
}

impl Geometry {
    /// Source: Arm ARM (DDI0487), VMSAv8-64, "Translation granules".
    fn of(shift: u32) -> Self {
        match shift {
            12 => Self { granule: 4096, entries: 512, top: -1 },
            14 => Self { granule: 16384, entries: 2048, top: 0 },
            16 => Self { granule: 65536, entries: 8192, top: 1 },
            other => unreachable!("{other}"),
        }
    }

    /// Bytes that an entry describes: `GS * E^(3-l)`.
    fn size(self, level: i64) -> u64 {
        (level..3).fold(self.granule, |size, _| size * self.entries)
    }

    /// Source: Arm ARM (DDI0487), `AArch64.S2InconsistentSL`: an input address has at least one bit
    /// for the start level, and at most four more than a table resolves, for concatenated tables.
    fn roots(self, width: u8, start: i64, format: Format) -> Option<u64> {
        if !(self.top..=3).contains(&start) {
            return None;
        }
        let (granule_bits, stride) = (self.granule.ilog2(), self.entries.ilog2());
        let levels = u32::try_from(3 - start).unwrap();
        let least = levels * stride + granule_bits + 1;
        let most = least + (stride - 1) + 4;
        let lpa2 = format == Format::Address52;
        let with_lpa2_only = width > 48 || (self.granule != 65536 && start == self.top);
        if !(least..=most).contains(&u32::from(width)) || (with_lpa2_only && !lpa2) {
            return None;
        }
        Some((1_u64 << width).div_ceil(self.size(start).saturating_mul(self.entries)))
    }
}

fn start_tables_are_those_of_the_architecture<const SHIFT: u32>() {
    let geometry = Geometry::of(SHIFT);
    for format in [Format::Address48, Format::Address52] {
        for width in 1..=52 {
            for start in -2..=4 {
                let space = IpaSpace::new(width).unwrap();
                let level = LevelOf::<SHIFT>::new(start);
                let found = level.and_then(|level| roots_for(space, level, format));
                let expected = geometry.roots(width, start, format);
                assert_eq!(found, expected, "{SHIFT}: {width} bits from {start}, {format:?}");
            }
        }
    }
}

#[test]
fn start_tables_are_those_of_the_architecture_for_each_granule() {
    start_tables_are_those_of_the_architecture::<12>();
    start_tables_are_those_of_the_architecture::<14>();
    start_tables_are_those_of_the_architecture::<16>();
    // 48 bits without FEAT_LPA2: two tables of 16 KiB, since a walk cannot begin above them.
    let space = IpaSpace::new(48).unwrap();
    let [above, start] = [0, 1].map(|level| LevelOf::<14>::new(level).unwrap());
    assert_eq!(roots_for(space, above, Format::Address48), None);
    assert_eq!(roots_for(space, start, Format::Address48), Some(2));
}

/// A random tree: tables by level and address of the first byte that they describe. Its tables lie
/// at made-up addresses.
struct Forest<const SHIFT: u32> {
    geometry: Geometry,
    start: i64,
    width: u8,
    tables: BTreeMap<u64, Vec<u64>>,
    by_place: BTreeMap<(i64, u64), u64>,
}

const ROOT: u64 = 1 << 40;

impl<const SHIFT: u32> Forest<SHIFT> {
    fn grow(random: &mut Random) -> Self {
        let geometry = Geometry::of(SHIFT);
        let (start, width, roots) = loop {
            let width = u8::try_from(1 + random.below(52)).unwrap();
            let start = random.one_of(&[-1, 0, 1, 2, 3]);
            if let Some(roots) = geometry.roots(width, start, Format::Address52) {
                break (start, width, roots);
            }
        };
        let (tables, by_place) = (BTreeMap::new(), BTreeMap::new());
        let mut forest = Self { geometry, start, width, tables, by_place };
        for number in 0..roots {
            let base = number * geometry.size(start) * geometry.entries;
            forest.plant(ROOT + number * geometry.granule, start, base);
        }
        for number in 0..40 {
            let places: Vec<_> = forest.by_place.keys().copied().collect();
            let (level, base) = random.one_of(&places);
            let below = base + random.below(geometry.entries) * geometry.size(level);
            if level < 3
                && below >> width == 0
                && !forest.by_place.contains_key(&(level + 1, below))
            {
                let table = 2 * ROOT + number * geometry.granule;
                forest.link((level, base), below, table);
            }
        }
        forest
    }

    fn plant(&mut self, table: u64, level: i64, base: u64) {
        let entries = usize::try_from(self.geometry.entries).unwrap();
        self.tables.insert(table, vec![0; entries]);
        self.by_place.insert((level, base), table);
    }

    fn link(&mut self, (level, base): (i64, u64), below: u64, table: u64) {
        let parent = self.by_place[&(level, base)];
        let index = (below - base) / self.geometry.size(level);
        let entry = Entry::Table(GranuleAddr::new(table).unwrap());
        let raw = entry.encode(LevelOf::<SHIFT>::new(level).unwrap(), Format::Address48);
        let words = self.tables.get_mut(&parent).unwrap();
        words[usize::try_from(index).unwrap()] = raw;
        self.plant(table, level + 1, below);
    }

    /// The deepest table down to `target` that describes `ipa`, and the entry's place in it.
    fn expected(&self, ipa: u64, target: i64) -> (u64, i64, u64) {
        let mut levels = (self.start..=target).rev();
        let found = levels.find_map(|level| {
            let size = self.geometry.size(level);
            let base = ipa - ipa % size.saturating_mul(self.geometry.entries);
            let table = self.by_place.get(&(level, base))?;
            Some((*table, level, (ipa - base) / size))
        });
        found.unwrap()
    }

    fn walked(&self, ipa: u64, target: i64) -> (u64, i64, u64) {
        let level = |level| LevelOf::<SHIFT>::new(level).unwrap();
        let start = level(self.start);
        let root = ROOT + start.table_of(ipa) * self.geometry.granule;
        let below = |table: &u64, index: usize| {
            let raw = self.tables[table][index];
            raw::is_table(raw).then(|| Format::Address48.address(raw).as_u64())
        };
        let (table, reached) = descend(start, level(target), ipa, root, below);
        (table, reached.as_i64(), reached.index_of(ipa) as u64)
    }
}

fn a_walk_ends_in_the_deepest_table<const SHIFT: u32>(random: &mut Random) {
    for _ in 0..100 {
        let forest = Forest::<SHIFT>::grow(random);
        let places: Vec<_> = forest.by_place.keys().copied().collect();
        for _ in 0..50 {
            // Below a table, or anywhere.
            let ipa = match random.below(3) {
                0 => random.below(1 << forest.width),
                _ => {
                    let (level, base) = random.one_of(&places);
                    let entry = random.below(forest.geometry.entries);
                    let ipa = base + entry * forest.geometry.size(level);
                    (ipa + random.below(forest.geometry.granule)) % (1 << forest.width)
                }
            };
            let target =
                forest.start + random.below((4 - forest.start).unsigned_abs()).cast_signed();
            assert_eq!(
                forest.walked(ipa, target),
                forest.expected(ipa, target),
                "{SHIFT}: {ipa:#x} in {} bits from {} to {target}",
                forest.width,
                forest.start
            );
        }
    }
}

#[test]
fn a_walk_ends_in_the_deepest_table_of_each_granule() {
    let mut random = Random(1);
    a_walk_ends_in_the_deepest_table::<12>(&mut random);
    a_walk_ends_in_the_deepest_table::<14>(&mut random);
    a_walk_ends_in_the_deepest_table::<16>(&mut random);
}

/// Any level, and its number.
fn some_level<const SHIFT: u32>(random: &mut Random) -> (LevelOf<SHIFT>, i64) {
    let top = Geometry::of(SHIFT).top;
    let number = top + random.below((4 - top).unsigned_abs()).cast_signed();
    (LevelOf::new(number).unwrap(), number)
}

/// An entry that a table of the level may hold. Its address is a multiple of `alignment`, or of 1
/// TiB if that is less.
fn some_entry<const SHIFT: u32>(
    random: &mut Random,
    level: LevelOf<SHIFT>,
    alignment: u64,
) -> Entry {
    let address = |random: &mut Random| {
        let unit = alignment.min(1 << 40);
        GranuleAddr::new(random.below((1 << 47) / unit) * unit).unwrap()
    };
    let ripas = random.one_of(&[Ripas::Empty, Ripas::Ram, Ripas::Destroyed]);
    match random.below(5) {
        0 if level.may_be_leaf() => Entry::Assigned(ripas, address(random)),
        1 if level.may_be_leaf() => {
            let attributes = HostAttributes::new(0b110, true, random.below(2) == 0).unwrap();
            Entry::AssignedNs(address(random), attributes)
        }
        2 if !level.is_page() => Entry::Table(address(random)),
        3 => Entry::UnassignedNs,
        _ => Entry::Unassigned(ripas),
    }
}

fn some_table<const SHIFT: u32>(
    random: &mut Random,
    level: LevelOf<SHIFT>,
) -> (Vec<Entry>, Vec<AtomicU64>) {
    let size = level.entry_size();
    let dense = random.below(2) == 0;
    let entries: Vec<Entry> = (0..LevelOf::<SHIFT>::ENTRIES)
        .map(|_| {
            if dense || random.below(500) == 0 {
                some_entry(random, level, size)
            } else {
                Entry::UnassignedNs
            }
        })
        .collect();
    let encode = |entry: &Entry| AtomicU64::new(entry.encode(level, Format::Address48));
    let words = entries.iter().map(encode).collect();
    (entries, words)
}

/// The number of entries of a table to which addresses lead, by the model.
fn used(geometry: Geometry, level: i64) -> usize {
    let entries = ((1_u64 << 52) / geometry.size(level)).min(geometry.entries);
    usize::try_from(entries).unwrap()
}

fn a_scan_asks_each_entry<const SHIFT: u32>(random: &mut Random) {
    for _ in 0..50 {
        let (level, number) = some_level::<SHIFT>(random);
        let (entries, words) = some_table(random, level);
        let used = used(Geometry::of(SHIFT), number);
        for _ in 0..20 {
            let from = random.index(used);
            let live = entries[from..used].iter().position(|entry| entry.is_live());
            let until = scan::until_live(level, from, |from, mark| {
                machine::memory::first_marked(&words[from..], mark).map(|found| from + found)
            });
            assert_eq!(until, live.unwrap_or(used - from), "{SHIFT}, {number}: from {from}");
        }
        let holding = |entry: &Entry| matches!(entry, Entry::Assigned(..) | Entry::Table(_));
        let expected = entries[..used].iter().any(holding);
        assert_eq!(scan::is_holding(&words, level), expected);
    }
}

#[test]
fn a_scan_asks_each_entry_of_a_table_of_each_granule() {
    let mut random = Random(2);
    a_scan_asks_each_entry::<12>(&mut random);
    a_scan_asks_each_entry::<14>(&mut random);
    a_scan_asks_each_entry::<16>(&mut random);
}

/// What entry number `index` of a table says that unfolds `parent`.
fn spread(parent: Entry, size: u64, index: usize) -> Entry {
    let moved = |address: GranuleAddr| GranuleAddr::new(address.as_u64() + size * index as u64);
    match parent {
        Entry::Assigned(ripas, address) => Entry::Assigned(ripas, moved(address).unwrap()),
        Entry::AssignedNs(address, attributes) => {
            Entry::AssignedNs(moved(address).unwrap(), attributes)
        }
        Entry::Unassigned(_) | Entry::UnassignedNs | Entry::Table(_) => parent,
    }
}

/// [`machine::memory::first_off_step`], of a table of any size.
fn first_off_step(words: &[AtomicU64], first: u64, step: u64) -> Option<usize> {
    let raw = |index: usize| words[index].load(core::sync::atomic::Ordering::Relaxed);
    (0..words.len()).find(|&index| raw(index) != first.wrapping_add(step * index as u64))
}

fn folding_is_judged_entry_by_entry<const SHIFT: u32>(random: &mut Random) {
    let geometry = Geometry::of(SHIFT);
    for _ in 0..300 {
        let (level, number) = some_level::<SHIFT>(random);
        if number == geometry.top {
            continue;
        }
        let (size, parent_size) = (geometry.size(number), geometry.size(number - 1));
        // A leaf of the parent's level, or of the table's with an address that may not suit it.
        let alignment = random.one_of(&[size, parent_size, parent_size]);
        let parent = some_entry(random, level, alignment);
        let mut entries: Vec<Entry> =
            (0..LevelOf::<SHIFT>::ENTRIES).map(|index| spread(parent, size, index)).collect();
        if random.below(2) == 0 {
            let off = random.index(entries.len());
            entries[off] = some_entry(random, level, size);
        }
        let first = entries[0];
        let may_be_leaf = match first {
            Entry::Assigned(_, address) | Entry::AssignedNs(address, _) => {
                let largest = if SHIFT == 12 { 1 << 30 } else { geometry.size(2) };
                parent_size <= largest && address.as_u64() % parent_size == 0
            }
            Entry::Unassigned(_) | Entry::UnassignedNs => true,
            Entry::Table(_) => false,
        };
        let is_off = |index: usize| entries[index] != spread(first, size, index);
        let folds = may_be_leaf && !(0..entries.len()).any(is_off);
        let encode = |entry: &Entry| AtomicU64::new(entry.encode(level, Format::Address48));
        let words: Vec<AtomicU64> = entries.iter().map(encode).collect();
        let off_step = |first, step| first_off_step(&words, first, step);
        match scan::homogeneous(&words, level, Format::Address48, off_step) {
            Ok(entry) => assert!(folds && entry == first, "{SHIFT}, {number}: {first:?}"),
            Err(0) => assert!(!may_be_leaf, "{SHIFT}, {number}: {first:?}"),
            Err(index) => assert!(!folds && is_off(index), "{SHIFT}, {number}: {index}"),
        }
        if folds {
            let mut page = vec![7; entries.len()];
            scan::Filling::new(first, level, Format::Address48).write(&mut page);
            assert!(page.iter().zip(words).all(|(raw, word)| *raw == word.into_inner()));
        }
    }
}

#[test]
fn folding_is_judged_entry_by_entry_for_each_granule() {
    let mut random = Random(3);
    folding_is_judged_entry_by_entry::<12>(&mut random);
    folding_is_judged_entry_by_entry::<14>(&mut random);
    folding_is_judged_entry_by_entry::<16>(&mut random);
}

fn entries_that_are_alike_follow_each_other<const SHIFT: u32>(random: &mut Random) {
    for _ in 0..50 {
        let (level, number) = some_level::<SHIFT>(random);
        let (mut entries, words) = some_table(random, level);
        for _ in 0..20 {
            let first = random.index(entries.len());
            let entry = some_entry(random, level, level.entry_size());
            let count = random.index((entries.len() - first).min(700)) + 1;
            let written = if matches!(entry, Entry::Table(_)) { 1 } else { count };
            let size = Geometry::of(SHIFT).size(number);
            for index in 0..written {
                entries[first + index] = spread(entry, size, index);
            }
            let run = (first, u16::try_from(written).unwrap());
            scan::set_alike(&words, level, Format::Address48, run, entry);
            for from in [first, first + written / 2, random.index(entries.len())] {
                let most = 1 + random.index(900);
                let alike = |(index, entry): &(usize, &Entry)| {
                    **entry == spread(entries[from], size, *index)
                };
                let expected = entries[from..].iter().enumerate().take(most).take_while(alike);
                let found = scan::alike(&words, level, from, u16::try_from(most).unwrap());
                // Tables may follow each other by chance: nobody asks about them.
                if !matches!(entries[from], Entry::Table(_)) {
                    assert_eq!(usize::from(found), expected.count(), "{SHIFT}, {number}: {from}");
                }
            }
        }
    }
}

#[test]
fn entries_that_are_alike_follow_each_other_in_a_table_of_each_granule() {
    let mut random = Random(4);
    entries_that_are_alike_follow_each_other::<12>(&mut random);
    entries_that_are_alike_follow_each_other::<14>(&mut random);
    entries_that_are_alike_follow_each_other::<16>(&mut random);
}
