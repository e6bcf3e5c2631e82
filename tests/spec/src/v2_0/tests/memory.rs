//! Tables and memory of a Realm.

use super::super::words::{INPUT, REALM};
use super::super::{State, fid};
use super::{Bench, DATA, RD, RESERVED, SHARED, TABLES, granule};

const SINGLE: u64 = 1;
const LIST: u64 = SHARED + 0x1000;
const MIB_2: u64 = 0x20_0000;
/// An unprotected address of the Realm.
const NS: u64 = 1 << 38;

/// `count` pages from a granule on.
const fn pages(number: u64, count: u64) -> u64 {
    granule(number) | count << 2
}

/// A Realm with tables to level 3 and memory to give: granules 512 to 1023.
fn bench() -> Bench {
    let mut bench = Bench::realm_with_tables();
    bench.ok(fid::RANGE_DELEGATE, &[granule(DATA), granule(2 * DATA)], &[granule(2 * DATA)]);
    bench
}

#[test]
fn table_10_4() {
    let mut bench = bench();
    let top = 0x8000;
    // As far as it likes, at least one page.
    let map = [RD, 0, top, SINGLE, pages(DATA, 8)];
    bench.not(fid::DATA_MAP, &map, 0, &[0]);
    bench.not(fid::DATA_MAP, &map, 0, &[0x800]);
    bench.ok(fid::DATA_MAP, &map, &[0x3000]);
    assert_eq!(bench.model.state(granule(DATA + 2)), State::Data);
    assert_eq!(bench.model.state(granule(DATA + 3)), State::Delegated);
    // The same again is progress, other memory is not.
    bench.ok(fid::DATA_MAP, &map, &[top]);
    bench.ok(fid::DATA_MAP, &map, &[top]);
    bench.only(fid::DATA_MAP, &[RD, 0, top, SINGLE, pages(DATA + 1, 8)], 0x304);
    // Page 2 is not DELEGATED.
    let map = [RD, top, top + 0x4000, SINGLE, pages(62, 4)];
    bench.not(fid::DATA_MAP, &map, 0, &[top + 0x4000]);
    bench.ok(fid::DATA_MAP, &map, &[top + 0x2000]);
    bench.only(fid::DATA_MAP, &[RD, top + 0x2000, top + 0x4000, SINGLE, pages(64, 2)], INPUT);
    // No memory.
    for code in [12, INPUT] {
        let hole = [RD, 0x10_0000, 0x10_1000, SINGLE, RESERVED | 1 << 2];
        bench.is(fid::DATA_MAP, &hole, code, &[]);
    }
}

#[test]
fn blocks() {
    let mut bench = bench();
    let (base, top) = (MIB_2, 2 * MIB_2);
    // No table at level 3: a block, if memory and range allow it.
    bench.only(fid::DATA_MAP, &[RD, base, base + 0x1000, SINGLE, pages(DATA, 1)], 0x204);
    bench.only(fid::DATA_MAP, &[RD, base, top, SINGLE, pages(DATA + 1, 511)], 0x204);
    bench.only(fid::DATA_MAP, &[RD, base + 0x1000, top, SINGLE, pages(DATA, 511)], 0x204);
    bench.not(fid::DATA_MAP, &[RD, base, top, SINGLE, pages(DATA, 512)], 0, &[base + 0x1000]);
    bench.ok(fid::DATA_MAP, &[RD, base, top, SINGLE, pages(DATA, 512)], &[top]);
    bench.ok(fid::RTT_READ_ENTRY, &[RD, base, 3], &[2, 1, granule(DATA), 0]);
    // A block in the way of a part of the range.
    let part = [RD, base, base + 0x1000, SINGLE, 0];
    bench.only(fid::DATA_UNMAP, &part, 0x204);
    bench.only(fid::DATA_UNMAP, &[RD, base + 0x1000, top, SINGLE, 0], 0x204);
    bench.ok(fid::RTT_CREATE, &[RD, TABLES[2], base, 3], &[]);
    bench.ok(fid::DATA_UNMAP, &part, &[base + 0x1000, pages(DATA, 1)]);
    // With a table there are pages, whatever the descriptor says (B-38).
    bench.ok(fid::DATA_MAP, &[RD, base, top, SINGLE, granule(DATA) | 1 | 1 << 2], &[base + 0x1000]);
    bench.ok(fid::RTT_FOLD, &[RD, base, 3], &[TABLES[2]]);
    bench.ok(fid::DATA_UNMAP, &[RD, base, top, SINGLE, 0], &[top, granule(DATA) | 1 | 1 << 2]);
    assert_eq!(bench.model.state(granule(DATA + 511)), State::Delegated);
}

/// A block at level 1 is made by folding, and taken apart by unfolding (`LARGEST_DATA_BLOCK`).
#[test]
fn blocks_of_1_gib() {
    const GIB: u64 = 1 << 30;
    let mut bench = Bench::realm();
    // Memory for it, DELEGATED.
    let base = 3 * GIB;
    bench.model.platform.banks.push((base, GIB));
    for pa in (base..base + GIB).step_by(4096) {
        bench.model.set_state(pa, State::Delegated);
    }
    let (block, parts) = (base | 2 | 1 << 2, base | 1 | 512 << 2);
    let map = |desc| [RD, GIB, 2 * GIB, SINGLE, desc];
    let unmap = [RD, GIB, 2 * GIB, SINGLE, 0];
    for desc in [block, parts] {
        bench.only(fid::DATA_MAP, &map(desc), 0x104);
    }
    bench.ok(fid::RTT_CREATE, &[RD, TABLES[0], GIB, 2], &[]);
    bench.ok(fid::DATA_MAP, &map(block), &[2 * GIB]);
    bench.ok(fid::RTT_FOLD, &[RD, GIB, 2], &[TABLES[0]]);
    bench.ok(fid::RTT_READ_ENTRY, &[RD, GIB, 1], &[1, 1, base, 0]);
    bench.ok(fid::DATA_MAP, &map(block), &[2 * GIB]);
    bench.ok(fid::RTT_INIT_RIPAS, &[RD, GIB, 2 * GIB], &[2 * GIB]);
    bench.only(fid::DATA_UNMAP, &unmap, 0x104);
    bench.ok(fid::RTT_CREATE, &[RD, TABLES[0], GIB, 2], &[]);
    bench.ok(fid::DATA_UNMAP, &unmap, &[2 * GIB, parts]);
    assert_eq!(bench.model.state(base + GIB - 4096), State::Delegated);
    bench.ok(fid::RTT_DESTROY, &[RD, GIB, 2], &[TABLES[0], 512 * GIB]);
}

#[test]
fn arguments_of_mappings() {
    let mut bench = bench();
    let good = [RD, 0, 0x1000, SINGLE, pages(DATA, 1)];
    let with = |at: usize, value: u64| {
        let mut arguments = good;
        arguments[at] = value;
        arguments
    };
    let bad = [
        with(0, RD + 8),
        with(0, granule(9)),
        with(2, 0),
        with(2, 0x1008),
        with(2, NS + 0x1000),
        with(3, 0),
        with(3, 3),
        with(3, 2),
        with(4, granule(DATA)),
        with(4, 1 << 50 | 1 << 2),
        with(4, pages(DATA + 1, 1) | 1),
    ];
    for arguments in bad {
        bench.only(fid::DATA_MAP, &arguments, INPUT);
    }
    // Bits that should be zero are ignored.
    bench.ok(fid::DATA_MAP, &with(3, SINGLE | 1 << 40), &[0x1000]);
    bench.ok(fid::REALM_TERMINATE, &[RD], &[]);
    bench.only(fid::DATA_MAP, &with(1, 0), REALM);
    bench.only(fid::UNPROT_MAP, &[RD, NS, NS + (1 << 30), 0x18_0001, 3 << 2 | 2], REALM);
}

#[test]
fn lists() {
    let mut bench = bench();
    bench.write(LIST, &[(0, pages(DATA, 2)), (8, pages(DATA + 9, 1)), (16, granule(0))]);
    let map = [RD, 0, 0x4000, 2 | 3 << 2, LIST];
    // The third is empty: seen at once, or when it comes to it.
    bench.is(fid::DATA_MAP, &map, INPUT, &[]);
    bench.not(fid::DATA_MAP, &map, 0, &[0x4000]);
    bench.ok(fid::DATA_MAP, &map, &[0x3000]);
    for list in [LIST + 4, RESERVED, granule(9)] {
        bench.only(fid::DATA_MAP, &[RD, 0, 0x4000, 2 | 3 << 2, list], INPUT);
        bench.only(fid::DATA_UNMAP, &[RD, 0, 0x4000, 2 | 3 << 2, list], INPUT);
    }
    let unmap = [RD, 0, 0x8000, 2 | 3 << 2, LIST];
    bench.writes(LIST, &[(0, pages(DATA, 2)), (8, pages(DATA + 9, 1))]);
    bench.not(fid::DATA_UNMAP, &unmap, 0, &[0x8000, 0, 1]);
    bench.writes(LIST, &[(0, pages(DATA, 2)), (8, pages(DATA + 8, 1))]);
    bench.not(fid::DATA_UNMAP, &unmap, 0, &[0x8000, 0, 2]);
    bench.writes(LIST, &[(0, pages(DATA, 2)), (8, pages(DATA + 9, 1))]);
    bench.ok(fid::DATA_UNMAP, &unmap, &[0x8000, 0, 2]);
    assert!(bench.model.granules().values().all(|state| *state != State::Data));
}

#[test]
fn table_10_6() {
    let mut bench = bench();
    // Nothing is mapped: success, whatever the size of the entry (B-33).
    let unmap = |base, top, flags| [RD, base, top, flags, 0];
    bench.only(fid::RTT_INIT_RIPAS, &[RD, 0, 0x800], INPUT);
    bench.ok(fid::DATA_UNMAP, &unmap(MIB_2, MIB_2 + 0x1000, 0), &[MIB_2 + 0x1000]);
    bench.ok(fid::DATA_UNMAP, &unmap(MIB_2 + 0x1000, 4 * MIB_2, 0), &[2 * MIB_2]);
    bench.not(fid::DATA_UNMAP, &unmap(MIB_2, MIB_2 + 0x1000, 0), 0x204, &[]);
    bench.ok(fid::RTT_INIT_RIPAS, &[RD, 0, 0x1000], &[0x1000]);
    bench.ok(fid::DATA_MAP, &[RD, 0, 0x3000, SINGLE, pages(DATA, 3)], &[0x3000]);
    // One descriptor for all that was unmapped.
    bench.not(fid::DATA_UNMAP, &unmap(0, 0x4000, SINGLE), 0, &[0x4000, pages(DATA, 2)]);
    bench.not(fid::DATA_UNMAP, &unmap(0, 0x4000, SINGLE), 0, &[0x4000, pages(DATA, 3) | 1 << 62]);
    bench.not(fid::DATA_UNMAP, &unmap(0, 0x4000, SINGLE), 0, &[0x4000, 0]);
    bench.ok(fid::DATA_UNMAP, &unmap(0, 0x4000, SINGLE), &[0x2000, pages(DATA, 2)]);
    // RAM becomes DESTROYED, EMPTY stays.
    bench.ok(fid::RTT_READ_ENTRY, &[RD, 0, 3], &[3, 0, 0, 2]);
    bench.ok(fid::RTT_READ_ENTRY, &[RD, 0x1000, 3], &[3, 0, 0, 0]);
    // Without output.
    bench.ok(fid::DATA_UNMAP, &unmap(0x2000, 0x3000, 0), &[0x3000]);
    assert_eq!(bench.model.state(granule(DATA + 2)), State::Delegated);
    // DESTROYED stops INIT_RIPAS.
    bench.only(fid::RTT_INIT_RIPAS, &[RD, 0, 0x1000], 0x304);
    bench.only(fid::DATA_UNMAP, &unmap(0, 0x1000, 3), INPUT);
}

#[test]
fn unprotected_memory() {
    const FLAGS: u64 = 0x18_0001 | 6 << 16;
    let mut bench = Bench::realm();
    // A whole block at level 1, in one call; the state in the descriptor says nothing (B-14).
    let gib = 1 << 30;
    let desc = gib | 2 | 1 << 2 | 1 << 63;
    bench.ok(fid::UNPROT_MAP, &[RD, NS, NS + gib, FLAGS, desc], &[NS + gib]);
    bench.ok(fid::UNPROT_MAP, &[RD, NS, NS + gib, FLAGS, desc], &[NS + gib]);
    bench.only(fid::UNPROT_MAP, &[RD, NS, NS + gib, FLAGS ^ 1 << 19, desc], 0x104);
    bench.ok(fid::RTT_READ_ENTRY, &[RD, NS, 1], &[1, 1, gib | 6 << 2 | 3 << 6, 0]);
    bench.only(fid::UNPROT_MAP, &[RD, NS + gib, NS + 2 * gib, 0x18_0001 | 4 << 16, desc], INPUT);
    bench.only(fid::UNPROT_MAP, &[RD, NS + gib, NS + 2 * gib, FLAGS | 4 << 19, desc], INPUT);
    // Both ends are in the upper half (B-8).
    bench.only(fid::UNPROT_MAP, &[RD, NS, 2 * NS + gib, FLAGS, desc], INPUT);
    bench.only(fid::UNPROT_MAP, &[RD, 0, gib, FLAGS, desc], INPUT);
    bench.only(fid::UNPROT_UNMAP, &[RD, 0, gib, 0, 0], INPUT);
    bench.only(fid::DATA_UNMAP, &[RD, NS, NS + gib, 0, 0], INPUT);
    bench.only(fid::UNPROT_UNMAP, &[RD, NS, NS + 0x1000, 0, 0], 0x104);
    bench.ok(fid::UNPROT_UNMAP, &[RD, NS, NS + gib, SINGLE, 0], &[NS + gib, gib | 2 | 1 << 2]);
    bench.ok(fid::UNPROT_UNMAP, &[RD, NS, NS + gib, SINGLE, 0], &[NS + gib]);
    // In a list Host memory is UNDELEGATED.
    bench.ok(fid::UNPROT_MAP, &[RD, NS, NS + gib, FLAGS, desc], &[NS + gib]);
    bench.writes(LIST, &[(0, gib | 2 | 1 << 2)]);
    bench.not(fid::UNPROT_UNMAP, &[RD, NS, NS + gib, 2 | 1 << 2, LIST], 0, &[NS + gib, 0, 1]);
    bench.writes(LIST, &[(0, gib | 2 | 1 << 2 | 1 << 62)]);
    bench.ok(fid::UNPROT_UNMAP, &[RD, NS, NS + gib, 2 | 1 << 2, LIST], &[NS + gib, 0, 1]);
}

#[test]
fn first_contents() {
    let mut bench = bench();
    let good = [RD, granule(DATA), 0, SHARED, 0];
    let with = |at: usize, value: u64| {
        let mut arguments = good;
        arguments[at] = value;
        arguments
    };
    let bad = [
        with(0, granule(9)),
        with(1, RD),
        with(1, TABLES[1]),
        with(1, granule(2000)),
        with(2, 8),
        with(2, NS),
        with(3, SHARED + 8),
        with(3, RESERVED),
        with(3, granule(DATA + 1)),
    ];
    for arguments in bad {
        bench.only(fid::DATA_MAP_INIT, &arguments, INPUT);
    }
    bench.only(fid::DATA_MAP_INIT, &with(2, MIB_2), 0x204);
    bench.ok(fid::DATA_MAP_INIT, &good, &[]);
    bench.ok(fid::RTT_READ_ENTRY, &[RD, 0, 3], &[3, 1, granule(DATA), 1]);
    bench.only(fid::DATA_MAP_INIT, &with(1, granule(DATA + 1)), 0x304);
    bench.ok(fid::REALM_ACTIVATE, &[RD], &[]);
    let second = [RD, granule(DATA + 1), 0x1000, SHARED, 0];
    bench.only(fid::DATA_MAP_INIT, &second, REALM);
    bench.only(fid::RTT_INIT_RIPAS, &[RD, 0x1000, 0x2000], REALM);
}

/// Our extension: `docs/in-place-population.md`.
#[test]
fn first_contents_in_place() {
    const IN_PLACE: u64 = 1 << 63;
    let mut bench = bench();
    let page = granule(1025);
    bench.write(page, &[(0, 7)]);
    bench.ok(fid::FEATURES, &[0x4361_6972_6e52_4d4d], &[1]);
    let good = [RD, page, 0, page, IN_PLACE | 1];
    // With another page as its source it is the ordinary command, for which the page has to be
    // DELEGATED.
    for (at, value) in [(3, SHARED), (2, NS), (2, 8), (4, 1), (0, granule(9))] {
        let mut arguments = good;
        arguments[at] = value;
        bench.only(fid::DATA_MAP_INIT, &arguments, INPUT);
    }
    bench.only(fid::DATA_MAP_INIT, &[RD, granule(DATA), 0, granule(DATA), IN_PLACE], INPUT);
    bench.only(fid::DATA_MAP_INIT, &[RD, page, MIB_2, page, IN_PLACE], 0x204);
    // EL3 is asked last.
    bench.model.refuse_el3(10);
    bench.only(fid::DATA_MAP_INIT, &[RD, page, MIB_2, page, IN_PLACE], 0x204);
    bench.not(fid::DATA_MAP_INIT, &good, 0, &[]);
    bench.is(fid::DATA_MAP_INIT, &good, 10, &[]);
    assert_eq!(bench.model.state(page), State::Undelegated);
    bench.ok(fid::DATA_MAP_INIT, &good, &[]);
    bench.ok(fid::RTT_READ_ENTRY, &[RD, 0, 3], &[3, 1, page, 1]);
    // The same RIM as the ordinary way.
    let rim = bench.model.realms()[&RD].rim;
    let mut other = self::bench();
    other.write(SHARED, &[(0, 7)]);
    other.ok(fid::DATA_MAP_INIT, &[RD, granule(DATA), 0, SHARED, 1], &[]);
    assert_eq!(other.model.realms()[&RD].rim, rim);
}

#[test]
fn tables() {
    let mut bench = Bench::realm_with_tables();
    bench.only(fid::RTT_CREATE, &[RD, TABLES[2], 0, 3], 0x204);
    bench.only(fid::RTT_CREATE, &[RD, TABLES[2], 1 << 30, 3], 0x104);
    for arguments in [
        [RD, TABLES[2], 0, 1],
        [RD, TABLES[2], 0, 4],
        [RD, TABLES[2], MIB_2 + 0x1000, 3],
        [RD, TABLES[2], 1 << 39, 2],
        [RD, TABLES[1], MIB_2, 3],
        [granule(9), TABLES[2], MIB_2, 3],
    ] {
        bench.only(fid::RTT_CREATE, &arguments, INPUT);
    }
    // X2 says how far a Host can skip.
    bench.is(fid::RTT_DESTROY, &[RD, 0, 2], 0x204, &[0, 0]);
    bench.is(fid::RTT_DESTROY, &[RD, 1 << 30, 3], 0x104, &[0, 1 << 39]);
    bench.only(fid::RTT_DESTROY, &[RD, 0x1000, 3], INPUT);
    bench.ok(fid::RTT_FOLD, &[RD, 0, 3], &[TABLES[1]]);
    // Nothing is mapped: also a table of level 2.
    bench.ok(fid::RTT_FOLD, &[RD, 0, 2], &[TABLES[0]]);
    bench.only(fid::RTT_FOLD, &[RD, 0, 2], 0x104);
    bench.ok(fid::RTT_READ_ENTRY, &[RD, 0, 3], &[1, 0, 0, 0]);
    bench.only(fid::RTT_READ_ENTRY, &[RD, 8, 3], INPUT);
    bench.only(fid::RTT_READ_ENTRY, &[RD, 0, 0], INPUT);
}
