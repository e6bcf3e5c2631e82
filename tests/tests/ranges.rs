//! Operations on ranges equal the loop of the same operations on one unit each: in states, outputs, counts, log and ledger, also
//! when EL3 refuses the n-th granule and when an interrupt is pending after the k-th.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test program")]

use cairn_tests::abi::Command;
use cairn_tests::fake_port::FakePort;
use cairn_tests::machine::config::Profile;
use cairn_tests::machine::{FakeCpu, FakeMachine};
use cairn_tests::world::{Realm, World};
use granule::{Budget, GranuleAddr, GranuleRange, Progress};
use realm::Rmm;
use realm::rtt::{Entry, HostAttributes, Level, Ripas};
use rmi::ops::granule::AlreadyThere::{self, IsProgress, IsRefused};
use rmi::ops::{
    Block, Cause, Named, Operand, Sink, Supply, granule as granules, map, memory, table,
};

const PAGE: u64 = 4096;
const BLOCK: u64 = 2 << 20;
/// Where the Host's allocator does not come.
const BASE: u64 = 0x8080_0000;
/// The last granules of the bank are not the Host's.
const BANK_END: u64 = 0x8140_0000;

/// Small random numbers: the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % sides
    }
}

type Rmm1<'r, 'm> = Rmm<'r, FakeCpu<'m>>;

/// Which way granules go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

fn go(
    cpu: &FakeCpu<'_>,
    way: Way,
    range: GranuleRange,
    already: AlreadyThere,
    budget: Budget,
) -> Result<Progress, Cause> {
    cpu.directly(|rmm| match way {
        Way::In => granules::delegate(rmm, range, already, budget),
        Way::Out => granules::undelegate(rmm, range, already, budget),
    })
}

/// What a granule is before the range comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Undelegated,
    Delegated,
    Data,
}

/// How a Host's loop over a range has ended.
#[derive(Debug, PartialEq, Eq)]
struct Ending {
    reached: u64,
    cause: Option<Cause>,
    states: Vec<&'static str>,
    census: [u64; 7],
    leaked: (usize, u64),
    events: Vec<String>,
}

/// One try of a Host's loop.
#[derive(Clone, Debug)]
struct Trial {
    befores: Vec<Before>,
    base: u64,
    way: Way,
    already: AlreadyThere,
    stuck: Option<u64>,
    interrupts: u64,
}

fn prepare(trial: &Trial) -> FakeMachine {
    let machine = FakeMachine::new(Profile::Max);
    {
        let mut port = FakePort::new(&machine);
        let mut w = World::new(&mut port);
        let realm = w.realm().unwrap();
        w.tables(&realm, 0, 3).unwrap();
        for (number, before) in (0..).zip(&trial.befores) {
            let pa = trial.base + number * PAGE;
            if *before != Before::Undelegated {
                w.call(Command::GranuleDelegate, [pa]).unwrap().ok().unwrap();
            }
            if *before == Before::Data {
                let arguments = [realm.rd, pa, number * PAGE];
                w.call(Command::DataCreateUnknown, arguments).unwrap().ok().unwrap();
            }
        }
    }
    if let Some(stuck) = trial.stuck {
        machine.refuse_undelegation(trial.base + stuck * PAGE, Some(-3));
    }
    machine.take_events();
    machine.interrupt_every(trial.interrupts);
    machine
}

/// The Host's loop, with a budget for each of its calls; ends at the first error.
fn run(trial: &Trial, budget: Budget) -> Ending {
    let machine = prepare(trial);
    let cpu = machine.cpu(0);
    let count = trial.befores.len() as u64;
    let top = trial.base + count * PAGE;
    let (mut reached, mut cause) = (trial.base, None);
    while reached < top && cause.is_none() {
        let range = GranuleRange::new(reached, top).unwrap();
        match go(&cpu, trial.way, range, trial.already, budget) {
            Ok(Progress { reached: next }) => {
                assert!(next > reached && next <= top, "{trial:?}");
                assert!(next - reached <= budget.units * PAGE, "{trial:?}");
                reached = next;
            }
            Err(why) => cause = Some(why),
        }
    }
    machine.interrupt_every(0);
    assert_eq!(machine.take_violations(), [""; 0], "{trial:?}");
    Ending {
        reached,
        cause,
        states: (0..count).map(|number| machine.state_name(trial.base + number * PAGE)).collect(),
        census: machine.census(),
        leaked: machine.leaked(),
        events: machine.take_events(),
    }
}

#[test]
fn a_range_of_granules_is_the_loop_of_its_granules() {
    let mut dice = Dice(1);
    for number in 0..150 {
        let count = 1 + dice.roll(if number % 3 == 0 { 200 } else { 12 });
        let way = if dice.roll(2) == 0 { Way::In } else { Way::Out };
        let source = if way == Way::In { Before::Undelegated } else { Before::Delegated };
        let target = if way == Way::In { Before::Delegated } else { Before::Undelegated };
        let odd = 3 + dice.roll(60);
        let befores = (0..count)
            .map(|_| match dice.roll(odd) {
                0 => Before::Data,
                1 | 2 => target,
                _ => source,
            })
            .collect();
        let stuck = (dice.roll(3) == 0).then(|| dice.roll(count));
        // Some reach what is not the Host's, and the end of the bank.
        let base = if dice.roll(5) == 0 { BANK_END - dice.roll(9) * PAGE } else { BASE };
        let base = if base > BASE { base - 4 * PAGE - PAGE } else { base };
        let befores: Vec<Before> = if base > BASE { vec![source; 1] } else { befores };
        let already = if dice.roll(2) == 0 { IsProgress } else { IsRefused };
        let interrupts = dice.roll(4);
        let trial = Trial { befores, base, way, already, stuck, interrupts };
        let ones = run(&trial, Budget::ONE);
        for units in [2, 64, 65, 512] {
            assert_eq!(run(&trial, Budget { units }), ones, "{units} of {trial:?}");
        }
    }
}

#[test]
fn a_range_ends_with_the_tracked_memory_and_with_what_is_not_the_hosts() {
    let machine = FakeMachine::new(Profile::Max);
    let cpu = machine.cpu(0);
    let first = BANK_END - 6 * PAGE;
    let range = |base| GranuleRange::new(base, BANK_END + 4 * PAGE).unwrap();
    let delegate = |base| go(&cpu, Way::In, range(base), IsProgress, Budget::TABLE);
    // Four granules are Secure or Root.
    let secure = BANK_END - 4 * PAGE;
    assert_eq!(delegate(first), Ok(Progress { reached: secure }));
    assert_eq!(delegate(secure), Err(Cause::NotDelegated));
    let addr = GranuleAddr::new(BANK_END).unwrap();
    assert_eq!(delegate(BANK_END), Err(Cause::NotTracked { addr }));
    assert_eq!(machine.take_violations(), [""; 0]);
}

#[test]
fn el3_that_cannot_now_is_told_from_el3_that_never_will() {
    let machine = FakeMachine::new(Profile::Max);
    let cpu = machine.cpu(0);
    let range = GranuleRange::new(BASE, BASE + 4 * PAGE).unwrap();
    for way in [Way::In, Way::Out] {
        let never = if way == Way::In { Cause::NotDelegated } else { Cause::NotUndelegated };
        for (code, cause) in [(-6, Cause::El3Busy), (-10, Cause::El3Conflict), (-3, never)] {
            machine.refuse_el3_call(0, code);
            assert_eq!(go(&cpu, way, range, IsProgress, Budget::TABLE), Err(cause));
        }
        // The third one: what is done before it counts.
        machine.refuse_el3_call(2, -6);
        let reached = BASE + 2 * PAGE;
        let some = go(&cpu, way, range, IsProgress, Budget::TABLE);
        assert_eq!(some, Ok(Progress { reached }));
        let all = go(&cpu, way, range, IsProgress, Budget::TABLE);
        assert_eq!(all, Ok(Progress { reached: range.top() }));
    }
    assert_eq!(machine.leaked(), (0, 0));
    assert_eq!(machine.take_violations(), [""; 0]);
}

/// A list of memory.
struct List(std::vec::IntoIter<Block>);

impl List {
    fn new(blocks: &[(u64, u64)]) -> Self {
        let block = |&(pa, bytes)| Block { pa: GranuleAddr::new(pa).unwrap(), bytes };
        Self(blocks.iter().map(block).collect::<Vec<_>>().into_iter())
    }
}

impl Supply for List {
    fn next(&mut self) -> Result<Option<Block>, Cause> {
        Ok(self.0.next())
    }
}

/// Remembers all mappings, up to a number.
struct Note {
    room: usize,
    taken: Vec<(u64, Level)>,
}

impl Sink for Note {
    fn take(&mut self, pa: GranuleAddr, level: Level) -> bool {
        let has_room = self.taken.len() < self.room;
        if has_room {
            self.taken.push((pa.as_u64(), level));
        }
        has_room
    }
}

fn level(number: i64) -> Level {
    Level::new(number).unwrap()
}

/// A machine with a Realm.
struct Stage {
    machine: &'static FakeMachine,
    realm: Realm,
}

impl Stage {
    /// A Realm with tables down to `depth` at 0, and at the start of its unprotected half.
    fn new(depth: i64) -> Self {
        // The port wants the machine for as long as itself; a test ends soon enough.
        let machine: &'static FakeMachine = Box::leak(Box::new(FakeMachine::new(Profile::Max)));
        let mut port = FakePort::new(machine);
        let mut w = World::new(&mut port);
        let realm = w.realm().unwrap();
        w.tables(&realm, 0, depth).unwrap();
        w.tables(&realm, realm.unprotected(), depth).unwrap();
        machine.take_events();
        Self { machine, realm }
    }

    fn rd<'r>(&self, rmm: &Rmm1<'r, '_>) -> Named<'r> {
        Named::new(rmm, Operand::Rd, self.realm.rd).unwrap()
    }

    fn delegate(&self, base: u64, bytes: u64) {
        let mut base = base;
        let top = base + bytes;
        while base < top {
            let range = GranuleRange::new(base, top).unwrap();
            base = go(&self.machine.cpu(0), Way::In, range, IsProgress, Budget::TABLE)
                .unwrap()
                .reached;
        }
    }

    fn map(&self, base: u64, top: u64, blocks: &[(u64, u64)], units: u64) -> Result<u64, Cause> {
        self.machine.cpu(0).directly(|rmm| {
            let mut list = List::new(blocks);
            memory::map(rmm, self.rd(rmm), base, top, &mut list, Budget { units })
        })
    }

    fn unmap(&self, base: u64, top: u64, room: usize, units: u64) -> (Result<u64, Cause>, Note) {
        let mut note = Note { room, taken: Vec::new() };
        let result = self.machine.cpu(0).directly(|rmm| {
            memory::unmap(rmm, self.rd(rmm), base, top, &mut note, Budget { units })
        });
        (result, note)
    }

    fn map_shared(&self, base: u64, top: u64, blocks: &[(u64, u64)]) -> Result<u64, Cause> {
        self.machine.cpu(0).directly(|rmm| {
            let attributes = HostAttributes::new(6, true, true).unwrap();
            let mut list = List::new(blocks);
            let rd = self.rd(rmm);
            map::map_range(rmm, rd, (base, top), attributes, &mut list, Budget::TABLE)
        })
    }

    fn unmap_shared(&self, base: u64, top: u64) -> (Result<u64, Cause>, Note) {
        let mut note = Note { room: 1000, taken: Vec::new() };
        let result = self.machine.cpu(0).directly(|rmm| {
            map::unmap_range(rmm, self.rd(rmm), base, top, &mut note, Budget::TABLE)
        });
        (result, note)
    }

    fn entry(&self, ipa: u64) -> (Level, Entry) {
        self.machine
            .cpu(0)
            .directly(|rmm| {
                let show = |level, entry, _| (level, entry);
                table::read(rmm, self.rd(rmm), ipa, Some(Level::PAGE), show)
            })
            .unwrap()
    }

    fn done(self) {
        assert_eq!(self.machine.take_violations(), [""; 0]);
    }
}

fn at(pa: u64) -> GranuleAddr {
    GranuleAddr::new(pa).unwrap()
}

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
        assert_eq!(next, base + PAGE);
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
    assert_eq!(stage.map_shared(shared, shared + gib, &[(gib, gib)]), Ok(shared + gib));
    assert_eq!(stage.entry(shared).0, level(1));
    assert_eq!(stage.map_shared(shared, shared + gib, &[(gib, gib)]), Ok(shared + gib));
    let other = Err(Cause::EntryState { level: level(1), next: 0 });
    assert_eq!(stage.map_shared(shared, shared + gib, &[(2 * gib, gib)]), other);
    // Bug catalogue B-8: the top as well.
    let end = stage.realm.end();
    assert_eq!(stage.map_shared(shared, end + PAGE, &[(gib, gib)]), Err(Cause::RangeBound));
    assert_eq!(stage.map_shared(shared - PAGE, end, &[(gib, gib)]), Err(Cause::RangeBound));
    let needs_table = Cause::NoProgress(level(1));
    assert_eq!(stage.unmap_shared(shared, shared + PAGE).0, Err(needs_table));
    let (result, note) = stage.unmap_shared(shared, shared + 3 * gib);
    assert_eq!((result, note.taken), (Ok(shared + 3 * gib), vec![(gib, level(1))]));
    stage.done();
}

/// Bug catalogue B-20: an invalidation of a block that is about its first page only. The caches of the fake machine hold all that a
/// Realm which has run could use.
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
    let stage = Stage { machine, realm };
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

/// Bug catalogue B-50: several CPUs with ranges that overlap. No page is lost, and nobody waits for ever.
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
