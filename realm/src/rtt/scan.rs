//! Questions about a whole table, each answered in one pass.

use core::sync::atomic::{AtomicU64, Ordering};

use super::entry::{Entry, Format, Ripas, raw};
use super::level::LevelOf;

/// Number of entries of a table from `index` on until the first live one; up to the end of the
/// table if none is. `first_marked` is [`machine::Memory::first_marked`] of the table.
pub fn until_live<const SHIFT: u32>(
    level: LevelOf<SHIFT>,
    index: usize,
    first_marked: impl FnOnce(usize, u8) -> Option<usize>,
) -> usize {
    // What a table of the uppermost level has behind its entries is no entry.
    let end = level.entries();
    let live = first_marked(index, raw::LIVE_BYTE).map_or(end, |live| live.min(end));
    live.saturating_sub(index)
}

/// Whether any entry keeps the table from being destroyed.
#[inline]
pub fn is_holding<const SHIFT: u32>(table: &[AtomicU64], level: LevelOf<SHIFT>) -> bool {
    table.iter().take(level.entries()).any(|word| raw::is_holding(load(word)))
}

/// How many entries from `first` on, of at most `most`, say the same as it: where it maps memory,
/// each maps what follows on the memory of the one before.
#[inline]
pub fn alike<const SHIFT: u32>(
    table: &[AtomicU64],
    level: LevelOf<SHIFT>,
    first: usize,
    most: u16,
) -> u16 {
    let mut expected = table.get(first).map_or(0, load);
    let step = raw::step_of(expected, level);
    let entries = table.get(first..).unwrap_or(&[]);
    let goes_on = |word: &&AtomicU64| {
        let is_alike = load(word) == expected;
        // The address of the last memory there is goes on in bits that no entry has set.
        expected = expected.wrapping_add(step);
        is_alike
    };
    let count = entries.iter().take(usize::from(most)).take_while(goes_on).count();
    u16::try_from(count).unwrap_or(most)
}

/// Writes `count` entries from `first` on that are [`alike`], beginning with `entry`. A table
/// walker sees the old or the new one of each.
#[inline]
pub fn set_alike<const SHIFT: u32>(
    table: &[AtomicU64],
    level: LevelOf<SHIFT>,
    format: Format,
    (first, count): (usize, u16),
    entry: Entry,
) {
    let mut raw = entry.encode(level, format);
    let step = raw::step_of(raw, level);
    for word in table.iter().skip(first).take(usize::from(count)) {
        word.store(raw, Ordering::Relaxed);
        raw = raw.wrapping_add(step);
    }
}

#[inline]
fn load(word: &AtomicU64) -> u64 {
    word.load(Ordering::Relaxed)
}

/// What a homogeneous table at `level` folds to. `first_off_step` is
/// [`machine::Memory::first_off_step`] of the table.
///
/// # Errors
///
/// The index of an entry that keeps the table from being folded.
///
/// # Panics
///
/// If there are less than three entries: a table is a granule.
///
/// Source: RMM specification (Arm DEN0137) 1.0, A5.5.6 "RTT folding".
#[inline]
pub fn homogeneous<const SHIFT: u32>(
    table: &[AtomicU64],
    level: LevelOf<SHIFT>,
    format: Format,
    first_off_step: impl FnOnce(u64, u64) -> Option<usize>,
) -> Result<Entry, usize> {
    let [first, second, .., last] = table else { unreachable!("a table is a granule") };
    let first = load(first);
    let entry = Entry::decode(first, level, format);
    let parent = level.parent().ok_or(0_usize)?;
    let step = match entry {
        Entry::Table(_) => return Err(0),
        Entry::Unassigned(_) | Entry::UnassignedNs => 0,
        Entry::Assigned(_, address) | Entry::AssignedNs(address, _) => {
            if !parent.may_be_leaf() || !parent.is_aligned(address.as_u64()) {
                return Err(0);
            }
            // The parent's alignment keeps the sum inside the low address bits in either format.
            raw::step(level)
        }
    };
    // Hosts fill and empty tables from one end, and ask for a fold whether or not they are through
    // (perf: `rtt_fold_refused`).
    for (word, index) in [(second, 1), (last, LevelOf::<SHIFT>::ENTRIES - 1)] {
        if load(word) != first.wrapping_add(step.wrapping_mul(index as u64)) {
            return Err(index);
        }
    }
    match first_off_step(first, step) {
        None => Ok(entry),
        Some(index) => Err(index),
    }
}

/// What a new table holds: its parent's entry, spread (unfolding).
#[derive(Clone, Copy, Debug)]
pub struct Filling {
    first: u64,
    step: u64,
}

impl Filling {
    /// The contents of a table at `level` below an entry that was `parent`.
    pub fn new<const SHIFT: u32>(parent: Entry, level: LevelOf<SHIFT>, format: Format) -> Self {
        let step = if parent.is_live() { raw::step(level) } else { 0 };
        Self { first: parent.encode(level, format), step }
    }

    /// Whether the table is nothing but zeros.
    pub const fn is_zero(&self) -> bool {
        self.first == 0 && self.step == 0
    }

    /// Writes all entries.
    pub fn write(&self, table: &mut [u64]) {
        const UNIT: usize = 8;
        let (units, rest) = table.as_chunks_mut::<UNIT>();
        let mut next: [u64; UNIT] = core::array::from_fn(|index| {
            self.first.wrapping_add(self.step.wrapping_mul(index as u64))
        });
        if self.step == 0 {
            units.fill(next);
        } else {
            for unit in units {
                *unit = next;
                for word in &mut next {
                    *word = word.wrapping_add(self.step << UNIT.ilog2());
                }
            }
        }
        for (to, from) in rest.iter_mut().zip(next) {
            *to = from;
        }
    }
}

/// The RIPAS of an entry, as far as it has one.
pub const fn ripas_of(entry: Entry) -> Option<Ripas> {
    match entry {
        Entry::Unassigned(ripas) | Entry::Assigned(ripas, _) => Some(ripas),
        Entry::UnassignedNs | Entry::AssignedNs(..) | Entry::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtt::Level;
    use granule::GranuleAddr;
    use machine::Words;
    use machine::memory::{first_marked, first_off_step};

    const ENTRIES: usize = Level::ENTRIES;
    const FORMATS: [Format; 2] = [Format::Address48, Format::Address52];

    fn words(page: [u64; ENTRIES]) -> Words {
        Words(page.map(AtomicU64::new))
    }

    fn unfolded(parent: Entry, level: Level, format: Format) -> Words {
        let mut page = [7; ENTRIES];
        Filling::new(parent, level, format).write(&mut page);
        words(page)
    }

    fn folds_to(page: &Words, level: Level, format: Format) -> Result<Entry, usize> {
        homogeneous(&page.0, level, format, |first, step| first_off_step(page, first, step))
    }

    #[test]
    fn folding_undoes_unfolding_for_every_kind_of_entry() {
        for format in FORMATS {
            let top = if format == Format::Address52 { 0xc_0000_0000_0000 } else { 0 };
            let block = GranuleAddr::new(top | 0x40_4000_0000).unwrap();
            let (_, attributes) = Entry::from_host_descriptor(0b101 << 2 | 1 << 6, format).unwrap();
            for (level, leaf) in [(3, true), (2, true), (1, false), (0, false)] {
                let level = Level::new(level).unwrap();
                let mut entries = vec![Entry::UnassignedNs];
                for ripas in [Ripas::Empty, Ripas::Ram, Ripas::Destroyed] {
                    entries.push(Entry::Unassigned(ripas));
                    if leaf {
                        entries.push(Entry::Assigned(ripas, block));
                        entries.push(Entry::AssignedNs(block, attributes));
                    }
                }
                for entry in entries {
                    let table = unfolded(entry, level, format);
                    assert_eq!(folds_to(&table, level, format), Ok(entry));
                    // Miri is a thousand times slower: there a few places in the table must do.
                    for index in (1..ENTRIES).step_by(if cfg!(miri) { 170 } else { 1 }) {
                        table.0[index].fetch_xor(1 << 6, Ordering::Relaxed);
                        assert_eq!(folds_to(&table, level, format), Err(index), "{entry:?}");
                        table.0[index].fetch_xor(1 << 6, Ordering::Relaxed);
                    }
                }
            }
        }
    }

    /// Bug catalogue V9: FOLD did not compare the Host's attributes.
    #[test]
    fn v9_pages_with_differing_attributes_do_not_fold() {
        let format = Format::Address48;
        let (pa, attributes) = Entry::from_host_descriptor(0b110 << 2 | 3 << 6, format).unwrap();
        let table = unfolded(Entry::AssignedNs(pa, attributes), Level::PAGE, format);
        table.0[7].fetch_xor(0b11 << 6, Ordering::Relaxed);
        assert_eq!(folds_to(&table, Level::PAGE, format), Err(7));
    }

    #[test]
    fn a_misaligned_or_level_1_run_does_not_fold() {
        let format = Format::Address48;
        let pa = GranuleAddr::new(0x8000_1000).unwrap();
        let table = unfolded(Entry::Assigned(Ripas::Ram, pa), Level::PAGE, format);
        assert_eq!(folds_to(&table, Level::PAGE, format), Err(0));
        let level1 = Level::new(1).unwrap();
        let table =
            unfolded(Entry::Assigned(Ripas::Ram, GranuleAddr::new(0).unwrap()), level1, format);
        assert_eq!(folds_to(&table, level1, format), Err(0));
    }

    #[test]
    fn the_first_live_entry_ends_the_skip() {
        let until_live = |table: &Words, level, index| {
            let first_marked =
                |from, mark| first_marked(&table.0[from..], mark).map(|found| from + found);
            until_live(level, index, first_marked)
        };
        let top = Level::new(-1).unwrap();
        let table = words([0; ENTRIES]);
        assert_eq!(until_live(&table, Level::PAGE, 5), 507);
        let assigned = Entry::Assigned(Ripas::Empty, GranuleAddr::new(0).unwrap());
        table.0[9].store(assigned.encode(Level::PAGE, Format::Address48), Ordering::Relaxed);
        assert_eq!(until_live(&table, Level::PAGE, 5), 4);
        assert_eq!(until_live(&table, Level::PAGE, 9), 0);
        assert_eq!(until_live(&table, Level::PAGE, 10), 502);
        assert_eq!(until_live(&table, top, 3), 6);
        assert_eq!(until_live(&table, top, 10), 6);
        // The entries of a table at level -1 end before this one.
        table.0[20].store(assigned.encode(Level::PAGE, Format::Address48), Ordering::Relaxed);
        assert_eq!(until_live(&table, top, 10), 6);
        assert_eq!(until_live(&table, Level::PAGE, 10), 10);
    }

    /// A pass over a table asks its question of the lowest byte of each entry alone.
    #[test]
    fn the_lowest_byte_says_whether_an_entry_is_live() {
        for format in FORMATS {
            let top = if format == Format::Address52 { 0xc_0000_0000_0000 } else { 0 };
            let block = GranuleAddr::new(top | 0xffff_c000_0000).unwrap();
            let (_, attributes) = Entry::from_host_descriptor(0b101 << 2 | 1 << 6, format).unwrap();
            let mut entries = vec![
                Entry::UnassignedNs,
                Entry::AssignedNs(block, attributes),
                Entry::Table(block),
            ];
            for ripas in [Ripas::Empty, Ripas::Ram, Ripas::Destroyed] {
                entries.extend([Entry::Unassigned(ripas), Entry::Assigned(ripas, block)]);
            }
            for entry in entries {
                for level in (0..=3).map(|level| Level::new(level).unwrap()) {
                    let [lowest, ..] = entry.encode(level, format).to_le_bytes();
                    assert_eq!(lowest & raw::LIVE_BYTE != 0, entry.is_live(), "{entry:?}");
                }
            }
        }
    }
}
