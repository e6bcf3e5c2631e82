//! Memory of a Realm, and of the Host at its unprotected addresses.

use cairn_tests::abi::Command;
use cairn_tests::fake_port::FakePort;
use cairn_tests::machine::FakeMachine;
use cairn_tests::machine::config::Profile;
use cairn_tests::world::World;
use granule::{Budget, GranuleRange};
use realm::rtt::ripas::InitRules;
use realm::rtt::{Entry, Ripas};
use rmi::ops::granule::AlreadyThere::{IsProgress, IsRefused};
use rmi::ops::ripas::{self, Init};
use rmi::ops::{Cause, Operand, granule as granules, memory};

use super::stage::{BASE, BLOCK, Dice, List, PAGE, Stage, Way, at, go, level};

/// `spec` 10.4: what the first entry makes of a range.
#[test]
fn the_tables_decide_how_memory_is_mapped() {
    let stage = Stage::new(2);
    stage.delegate(BASE, 2 * BLOCK);
    let state = Cause::State(Operand::Data);
    // Too short, not aligned, not contiguous: a table is needed.
    let needs_table = Err(Cause::NoProgress(level(2)));
    assert_eq!(stage.map(0, PAGE, &[(BASE, PAGE)], 512), needs_table);
    assert_eq!(stage.map(0, BLOCK, &[(BASE + PAGE, BLOCK)], 512), needs_table);
    assert_eq!(stage.map(0, BLOCK, &[(BASE, BLOCK - PAGE)], 512), needs_table);
    let gap = [(BASE, PAGE), (BASE + 2 * PAGE, BLOCK)];
    assert_eq!(stage.map(0, BLOCK, &gap, 512), needs_table);
    assert_eq!(
        stage.map(PAGE, BLOCK + PAGE, &[(BASE, BLOCK)], 512),
        Err(Cause::BaseUnaligned(level(2)))
    );
    assert_eq!(stage.map(0, BLOCK, &[], 512), Err(Cause::OutputMissing));
    // One granule of the block is not DELEGATED: nothing happens.
    let last = GranuleRange::one(at(BASE + BLOCK - PAGE));
    go(&stage.machine.cpu(0), Way::Out, last, IsProgress, Budget::ONE).unwrap();
    assert_eq!(stage.map(0, BLOCK, &[(BASE, BLOCK)], 512), Err(state));
    assert_eq!(stage.machine.state_name(BASE), "DELEGATED");
    go(&stage.machine.cpu(0), Way::In, last, IsProgress, Budget::ONE).unwrap();
    // Neighbours in a list make a block; the same again is progress; other memory is not.
    let halves = [(BASE, BLOCK / 2), (BASE + BLOCK / 2, BLOCK / 2)];
    assert_eq!(stage.map(0, BLOCK, &halves, 512), Ok(BLOCK));
    assert_eq!(stage.entry(0), (level(2), Entry::Assigned(Ripas::Empty, at(BASE))));
    assert_eq!(stage.map(0, BLOCK, &[(BASE, BLOCK)], 512), Ok(BLOCK));
    let other = Err(Cause::EntryState { level: level(2), next: 0 });
    assert_eq!(stage.map(0, BLOCK, &[(BASE + BLOCK, BLOCK)], 512), other);
    // Progress over several blocks, and only as far as the memory reaches.
    let both = [(BASE, 2 * BLOCK)];
    assert_eq!(stage.map(0, 4 * BLOCK, &both, 1), Ok(BLOCK));
    assert_eq!(stage.map(0, 4 * BLOCK, &both, 512), Ok(2 * BLOCK));
    stage.done();
}

/// Bug catalogue B-10, B-38: a block where a table is.
#[test]
fn b10_a_block_where_a_table_is_becomes_pages() {
    let stage = Stage::new(3);
    stage.delegate(BASE, BLOCK);
    let block = [(BASE, BLOCK)];
    assert_eq!(stage.map(0, BLOCK, &block, 3), Ok(3 * PAGE));
    assert_eq!(stage.entry(PAGE), (level(3), Entry::Assigned(Ripas::Empty, at(BASE + PAGE))));
    assert_eq!(stage.map(0, BLOCK, &block, 512), Ok(BLOCK));
    // Page 5 is somebody else's.
    let (result, _) = stage.unmap(5 * PAGE, 6 * PAGE, 1, 512);
    assert_eq!(result, Ok(6 * PAGE));
    let page = GranuleRange::one(at(BASE + 5 * PAGE));
    go(&stage.machine.cpu(0), Way::Out, page, IsProgress, Budget::ONE).unwrap();
    assert_eq!(stage.map(0, BLOCK, &block, 512), Ok(5 * PAGE));
    let rest = [(BASE + 5 * PAGE, BLOCK)];
    assert_eq!(stage.map(5 * PAGE, BLOCK, &rest, 512), Err(Cause::State(Operand::Data)));
    stage.done();
}

/// `spec` 10.6: what the first entry makes of a range.
#[test]
fn what_is_not_mapped_is_stepped_over() {
    let stage = Stage::new(2);
    stage.delegate(BASE, 2 * BLOCK);
    // Bug catalogue B-33: a larger entry without memory.
    let none = |stage: &Stage, base, top| {
        let (result, note) = stage.unmap(base, top, 9, 512);
        assert!(note.taken.is_empty());
        result
    };
    assert_eq!(none(&stage, 0, PAGE), Ok(PAGE));
    assert_eq!(none(&stage, PAGE, 3 * PAGE), Ok(3 * PAGE));
    assert_eq!(none(&stage, PAGE, BLOCK + PAGE), Ok(BLOCK + PAGE));
    assert_eq!(none(&stage, PAGE, 1 << 32), Ok(1 << 30), "the end of the table");
    stage.map(BLOCK, 3 * BLOCK, &[(BASE, 2 * BLOCK)], 512).unwrap();
    // A block that is larger than the range, or begins before it.
    assert_eq!(none(&stage, PAGE, BLOCK + PAGE), Ok(BLOCK));
    assert_eq!(none(&stage, BLOCK, BLOCK + PAGE), Err(Cause::NoProgress(level(2))));
    assert_eq!(none(&stage, BLOCK + PAGE, 2 * BLOCK), Err(Cause::BaseUnaligned(level(2))));
    let (result, note) = stage.unmap(0, 1 << 30, 1, 512);
    assert_eq!((result, note.taken), (Ok(2 * BLOCK), vec![(BASE, level(2))]));
    assert_eq!(stage.machine.state_name(BASE), "DELEGATED");
    let (result, note) = stage.unmap(2 * BLOCK, 4 * BLOCK, 9, 512);
    assert_eq!((result, note.taken), (Ok(4 * BLOCK), vec![(BASE + BLOCK, level(2))]));
    stage.done();
}

/// Bug catalogue B-15, B-49: an interrupt that stays pending.
#[test]
fn b49_whatever_is_pending_each_call_gets_on() {
    let stage = Stage::new(3);
    stage.machine.interrupt_every(1);
    stage.delegate(BASE, BLOCK);
    let mut base = 0;
    while base < BLOCK {
        let next = stage.map(base, BLOCK, &[(BASE + base, BLOCK - base)], 512).unwrap();
        assert_eq!(next, base + 128 * PAGE, "what is claimed between two looks");
        base = next;
    }
    let mut base = 0;
    let mut taken = 0;
    while base < BLOCK {
        let (next, note) = stage.unmap(base, BLOCK, 1000, 512);
        assert!(next.unwrap() > base);
        base = next.unwrap();
        taken += note.taken.len();
    }
    assert_eq!(taken, 512);
    stage.machine.interrupt_every(0);
    stage.done();
}

/// Memory of pages in random order, with holes: mapped and unmapped as a range and one by one.
#[test]
fn a_range_of_memory_is_the_loop_of_its_entries() {
    let mut dice = Dice(7);
    for number in 0..30 {
        let pages = 1 + dice.roll(40);
        let mut list: Vec<(u64, u64)> = (0..pages).map(|page| (BASE + page * PAGE, PAGE)).collect();
        for _ in 0..dice.roll(6) {
            let (one, two) = (dice.roll(pages), dice.roll(pages));
            list.swap(usize::try_from(one).unwrap(), usize::try_from(two).unwrap());
        }
        let missing = (dice.roll(2) == 0).then(|| dice.roll(pages));
        let interrupts = dice.roll(4);
        let room = 1 + usize::try_from(dice.roll(12)).unwrap();
        let run = |units: u64| {
            let stage = Stage::new(3);
            stage.delegate(BASE, pages * PAGE);
            if let Some(missing) = missing {
                let (pa, _) = list[usize::try_from(missing).unwrap()];
                let range = GranuleRange::one(at(pa));
                go(&stage.machine.cpu(0), Way::Out, range, IsProgress, Budget::ONE).unwrap();
            }
            stage.machine.interrupt_every(interrupts);
            let top = pages * PAGE;
            let (mut base, mut cause) = (0, None);
            while base < top && cause.is_none() {
                let rest = &list[usize::try_from(base / PAGE).unwrap()..];
                match stage.map(base, top, rest, units) {
                    Ok(next) => base = next,
                    Err(why) => cause = Some(why),
                }
            }
            let mapped = (base, cause, stage.machine.census());
            let (mut base, mut taken) = (0, Vec::new());
            while base < top {
                let (next, note) = stage.unmap(base, top, room, units);
                base = next.unwrap();
                taken.extend(note.taken);
            }
            stage.machine.interrupt_every(0);
            let ending = (mapped, taken, stage.machine.census());
            for page in 0..pages {
                assert!(stage.machine.is_zero(BASE + page * PAGE));
            }
            stage.done();
            ending
        };
        let ones = run(1);
        for units in [3, 512] {
            assert_eq!(run(units), ones, "{number}: {units}");
        }
    }
}

#[test]
fn host_memory_is_mapped_as_the_tables_are() {
    let stage = Stage::new(1);
    let shared = stage.realm.unprotected();
    let gib = 1 << 30;
    assert_eq!(stage.map_shared(shared, shared + gib, &[(gib, gib)], 512), Ok(shared + gib));
    assert_eq!(stage.entry(shared).0, level(1));
    assert_eq!(stage.map_shared(shared, shared + gib, &[(gib, gib)], 512), Ok(shared + gib));
    let other = Err(Cause::EntryState { level: level(1), next: 0 });
    assert_eq!(stage.map_shared(shared, shared + gib, &[(2 * gib, gib)], 512), other);
    // Bug catalogue B-8: the top as well.
    let end = stage.realm.end();
    assert_eq!(stage.map_shared(shared, end + PAGE, &[(gib, gib)], 512), Err(Cause::RangeBound));
    assert_eq!(stage.map_shared(shared - PAGE, end, &[(gib, gib)], 512), Err(Cause::RangeBound));
    let needs_table = Cause::NoProgress(level(1));
    assert_eq!(stage.unmap_shared(shared, shared + PAGE, 1000, 512).0, Err(needs_table));
    let (result, note) = stage.unmap_shared(shared, shared + 3 * gib, 1000, 512);
    assert_eq!((result, note.taken), (Ok(shared + 3 * gib), vec![(gib, level(1))]));
    stage.done();
}

/// Bug catalogue B-20: an invalidation of a block that is about its first page only. The caches of
/// the fake machine hold all that a Realm which has run could use.
#[test]
fn b20_no_translation_of_a_block_outlives_it() {
    let machine: &'static FakeMachine = Box::leak(Box::new(FakeMachine::new(Profile::Max)));
    let gib = 1 << 30;
    let mut port = FakePort::new(machine);
    let mut w = World::new(&mut port);
    let realm = w.realm().unwrap();
    w.tables(&realm, gib, 2).unwrap();
    let ram = [realm.rd, gib, gib + 2 * BLOCK];
    w.call(Command::RttInitRipas, ram).unwrap().ok().unwrap();
    let rec = w.running_in(&realm).unwrap();
    let stage = Stage::of(machine, realm);
    stage.delegate(BASE, 2 * BLOCK);
    let both = [(BASE, 2 * BLOCK)];
    assert_eq!(stage.map(gib, gib + 2 * BLOCK, &both, 512), Ok(gib + 2 * BLOCK));
    w.enter(&rec).unwrap();
    assert_eq!(stage.entry(gib).1, Entry::Assigned(Ripas::Ram, at(BASE)));
    let (result, note) = stage.unmap(gib, gib + 2 * BLOCK, 9, 512);
    assert_eq!((result, note.taken.len()), (Ok(gib + 2 * BLOCK), 2));
    assert_eq!(stage.entry(gib).1, Entry::Unassigned(Ripas::Destroyed));
    w.enter(&rec).unwrap();
    stage.done();
}

/// Bug catalogue B-50: several CPUs with ranges that overlap. No page is lost, and nobody waits for
/// ever.
#[test]
fn b50_ranges_that_overlap_on_several_cpus_lose_nothing() {
    const PAGES: u64 = 48;
    let stage = Stage::new(3);
    let machine = stage.machine;
    let rounds = if cfg!(miri) { 3 } else { 2000 };
    machine.unleash();
    std::thread::scope(|scope| {
        for number in 0..4 {
            let stage = &stage;
            scope.spawn(move || {
                let cpu = machine.cpu(usize::try_from(number).unwrap());
                let mut dice = Dice(number);
                for _ in 0..rounds {
                    let first = dice.roll(PAGES);
                    let count = 1 + dice.roll(PAGES - first);
                    let (base, bytes) = (BASE + first * PAGE, count * PAGE);
                    let range = GranuleRange::new(base, base + bytes).unwrap();
                    let ipa = dice.roll(PAGES) * PAGE;
                    cpu.among_others(|rmm| match dice.roll(5) {
                        0 => _ = granules::delegate(rmm, range, IsProgress, Budget::TABLE),
                        1 => _ = granules::undelegate(rmm, range, IsRefused, Budget::TABLE),
                        2 | 3 => {
                            let mut list = List::new(&[(base, bytes)]);
                            let rd = stage.rd(rmm);
                            let end = ipa + bytes;
                            _ = memory::map(rmm, rd, ipa, end, &mut list, Budget::TABLE);
                        }
                        _ => {
                            let rd = stage.rd(rmm);
                            let end = ipa + bytes;
                            _ = memory::unmap(rmm, rd, ipa, end, &mut (), Budget::TABLE);
                        }
                    });
                }
            });
        }
    });
    machine.quiesce();
    let (mut base, top) = (0, 2 * PAGES * PAGE);
    while base < top {
        base = stage.unmap(base, top, 1000, 512).0.unwrap();
    }
    let (mut base, top) = (BASE, BASE + PAGES * PAGE);
    while base < top {
        let range = GranuleRange::new(base, top).unwrap();
        base = go(&machine.cpu(0), Way::Out, range, IsProgress, Budget::TABLE).unwrap().reached;
    }
    stage.done();
}

/// `spec` 10.2: what a Host may make RAM, by the rules of either version.
#[test]
fn memory_that_was_destroyed_becomes_ram_by_one_rule_only() {
    let stage = Stage::new(3);
    let init = |base, rules| {
        stage.machine.cpu(0).directly(|rmm| {
            let how = Init { is_measured: false, rules };
            ripas::init(rmm, stage.rd(rmm), base, 8 * PAGE, how)
        })
    };
    use InitRules::{NotDestroyed, Unassigned};
    stage.delegate(BASE, 3 * PAGE);
    assert_eq!(stage.map(PAGE, 4 * PAGE, &[(BASE, 3 * PAGE)], 512), Ok(4 * PAGE));
    assert_eq!(init(0, Unassigned), Ok(PAGE));
    let memory = Err(Cause::EntryState { level: level(3), next: 0 });
    assert_eq!(init(PAGE, Unassigned), memory);
    assert_eq!(init(0, NotDestroyed), Ok(8 * PAGE));
    assert_eq!(stage.entry(PAGE).1, Entry::Assigned(Ripas::Ram, at(BASE)));
    assert_eq!(init(0, NotDestroyed), Ok(8 * PAGE), "RAM is progress");
    assert_eq!(stage.unmap(2 * PAGE, 3 * PAGE, 1, 1).0, Ok(3 * PAGE));
    assert_eq!(stage.entry(2 * PAGE).1, Entry::Unassigned(Ripas::Destroyed));
    assert_eq!(init(0, NotDestroyed), Ok(2 * PAGE));
    assert_eq!(init(2 * PAGE, NotDestroyed), Err(Cause::NoProgress(level(3))));
    assert_eq!(init(2 * PAGE, Unassigned), Ok(3 * PAGE));
    assert_eq!(stage.entry(2 * PAGE).1, Entry::Unassigned(Ripas::Ram));
    stage.done();
}

/// Whichever version a command belongs to, the RIM of a Realm of 1.0 tells of what becomes RAM: the
/// Host's CPUs may speak both for a moment.
#[test]
fn the_rim_of_a_realm_of_1_0_tells_of_ripas() {
    let rims = [false, true].map(|is_measured| {
        let stage = Stage::new(3);
        stage.machine.cpu(0).directly(|rmm| {
            let how = Init { is_measured, rules: InitRules::Unassigned };
            let before = stage.rim(rmm);
            assert_eq!(ripas::init(rmm, stage.rd(rmm), 0, 8 * PAGE, how), Ok(8 * PAGE));
            assert_ne!(stage.rim(rmm), before);
            stage.rim(rmm)
        })
    });
    assert_eq!(rims[0], rims[1]);
}
