//! Memory in blocks and pages: mapped and taken away in one go, and entry by entry.

use granule::{Budget, GranuleRange};
use realm::rtt::ripas::InitRules;
use realm::rtt::{Entry, Level};
use rmi::ops::Cause;
use rmi::ops::granule::AlreadyThere::IsProgress;
use rmi::ops::ripas::{self, Init};

use super::stage::{BASE, BLOCK, Dice, PAGE, Stage, Way, at, go, level};

/// Blocks of addresses and of memory.
const BLOCKS: u64 = 4;
/// Pages of all of them.
const PAGES: u64 = BLOCKS * BLOCK / PAGE;
/// Granules for tables: behind the memory.
const TABLES: u64 = BASE + BLOCKS * BLOCK;

/// One try: where a Host wants which memory, and what is in its way.
#[derive(Clone, Debug)]
struct Trial {
    is_shared: bool,
    /// The page of memory that belongs to each page of addresses.
    pages: Vec<u64>,
    /// Pages that one descriptor names at most.
    cut: u64,
    /// Blocks of addresses that have a table from the beginning.
    tables: Vec<u64>,
    /// Pages of addresses of the range, and of the one that is taken away afterwards.
    range: (u64, u64),
    taken: (u64, u64),
    /// A page of memory that is not DELEGATED.
    hole: Option<u64>,
    /// Pages of addresses that are RAM.
    ram: u64,
    interrupts: u64,
    room: usize,
}

impl Trial {
    fn new(dice: &mut Dice) -> Self {
        let per_block = BLOCK / PAGE;
        // Whole blocks change places; some are shifted, and in some two pages change places.
        let mut blocks: Vec<u64> = (0..BLOCKS).collect();
        for _ in 0..dice.roll(4) {
            blocks.swap(usize_of(dice.roll(BLOCKS)), usize_of(dice.roll(BLOCKS)));
        }
        let mut pages: Vec<u64> = blocks
            .into_iter()
            .flat_map(|block| {
                let shift = if dice.roll(6) == 0 { dice.roll(per_block) } else { 0 };
                (0..per_block).map(move |page| block * per_block + (page + shift) % per_block)
            })
            .collect();
        if dice.roll(3) == 0 {
            pages.swap(usize_of(dice.roll(PAGES)), usize_of(dice.roll(PAGES)));
        }
        let mut range = || {
            if dice.roll(2) == 0 {
                return (0, PAGES);
            }
            let fine = dice.roll(3) == 0;
            let unit = if fine { 1 } else { per_block };
            let base = dice.roll(PAGES / unit);
            let count = 1 + dice.roll(PAGES / unit - base);
            (base * unit, (base + count) * unit)
        };
        let (range, taken) = (range(), range());
        let mut rarely = |sides, of| (dice.roll(sides) == 0).then(|| dice.roll(of));
        let hole = rarely(3, PAGES);
        let tables = (0..BLOCKS).filter(|_| rarely(4, 1).is_some()).collect();
        Self {
            is_shared: dice.roll(3) == 0,
            pages,
            cut: [1, 7, 512, 4096][usize_of(dice.roll(4))],
            tables,
            range,
            taken,
            hole,
            ram: dice.roll(PAGES),
            interrupts: dice.roll(4),
            room: 1 + usize_of(dice.roll(700)),
        }
    }

    /// The descriptors for the pages from one on.
    fn list(&self, from: u64) -> Vec<(u64, u64)> {
        let mut list: Vec<(u64, u64)> = Vec::new();
        for page in &self.pages[usize_of(from)..] {
            let pa = BASE + page * PAGE;
            match list.last_mut() {
                Some((base, bytes)) if *base + *bytes == pa && *bytes < self.cut * PAGE => {
                    *bytes += PAGE;
                }
                _ => list.push((pa, PAGE)),
            }
        }
        list
    }

    fn base(&self, stage: &Stage) -> u64 {
        if self.is_shared { stage.realm.unprotected() } else { 0 }
    }
}

fn usize_of(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

/// Everything that a Host sees in the end, and what the monitor has noted.
#[derive(Debug, PartialEq, Eq)]
struct Ending {
    mapped: (u64, Option<Cause>),
    emptied: (u64, Option<Cause>),
    tables: u64,
    taken: Vec<(u64, Level)>,
    entries: Vec<(Level, Entry)>,
    census: [[u64; 8]; 2],
    leaked: (usize, u64),
    events: Vec<String>,
}

/// A Host that goes through a range of addresses, and makes a table where one is needed, as KVM
/// does. How far it came, and why no further.
fn walk(
    stage: &Stage,
    tables: &mut u64,
    (base, top): (u64, u64),
    mut call: impl FnMut(u64) -> Result<u64, Cause>,
) -> (u64, Option<Cause>) {
    let mut now = base;
    while now < top {
        match call(now) {
            Ok(next) => {
                assert!(now < next && next <= top, "{now:#x} to {next:#x}");
                now = next;
            }
            Err(Cause::NoProgress(at_level) | Cause::BaseUnaligned(at_level))
                if at_level == level(2) =>
            {
                stage.table(now & !(BLOCK - 1), TABLES + *tables * PAGE).unwrap();
                *tables += 1;
            }
            Err(cause) => return (now, Some(cause)),
        }
    }
    (now, None)
}

/// The Host's loops, with a budget for each of its calls.
fn run(trial: &Trial, units: u64) -> Ending {
    let stage = Stage::new(2);
    let mut tables = 0;
    stage.delegate(BASE, BLOCKS * BLOCK + 2 * BLOCKS * PAGE);
    let start = trial.base(&stage);
    for block in &trial.tables {
        stage.table(start + block * BLOCK, TABLES + tables * PAGE).unwrap();
        tables += 1;
    }
    if let Some(hole) = trial.hole {
        let page = GranuleRange::one(at(BASE + hole * PAGE));
        go(&stage.machine.cpu(0), Way::Out, page, IsProgress, Budget::ONE).unwrap();
    }
    if !trial.is_shared && trial.ram != 0 {
        // As far as the tables allow.
        _ = stage.machine.cpu(0).directly(|rmm| {
            let how = Init { is_measured: false, rules: InitRules::NotDestroyed };
            ripas::init(rmm, stage.rd(rmm), 0, trial.ram * PAGE, how)
        });
    }
    stage.machine.take_events();
    stage.hurry(true);
    stage.machine.interrupt_every(trial.interrupts);
    let bounds = |(base, top): (u64, u64)| (start + base * PAGE, start + top * PAGE);

    let (base, top) = bounds(trial.range);
    let mapped = walk(&stage, &mut tables, (base, top), |now| {
        let list = trial.list((now - start) / PAGE);
        if trial.is_shared {
            stage.map_shared(now, top, &list, units)
        } else {
            stage.map(now, top, &list, units)
        }
    });
    // As a whole, between the two.
    stage.hurry(false);
    let census = stage.machine.census();
    stage.hurry(true);
    let mut taken = Vec::new();
    let (base, top) = bounds(trial.taken);
    let emptied = walk(&stage, &mut tables, (base, top), |now| {
        let (result, note) = if trial.is_shared {
            stage.unmap_shared(now, top, trial.room, units)
        } else {
            stage.unmap(now, top, trial.room, units)
        };
        assert!(result.is_ok() || note.taken.is_empty(), "{result:?} and {note:x?}");
        taken.extend(note.taken);
        result
    });
    stage.machine.interrupt_every(0);
    stage.hurry(false);
    let entries = (0..BLOCKS)
        .flat_map(|block| [block * BLOCK, (block + 1) * BLOCK - PAGE])
        .map(|offset| stage.entry(start + offset))
        .collect();
    let ending = Ending {
        mapped,
        emptied,
        tables,
        taken,
        entries,
        census: [census, stage.machine.census()],
        leaked: stage.machine.leaked(),
        events: stage.machine.take_events(),
    };
    stage.done();
    ending
}

#[test]
fn a_range_with_blocks_is_the_loop_of_its_entries() {
    let mut dice = Dice(11);
    let mut blocks = 0;
    let mut stops = 0;
    for number in 0..30 {
        let trial = Trial::new(&mut dice);
        let ones = run(&trial, 1);
        for units in [3, 512] {
            assert_eq!(run(&trial, units), ones, "{number}: {units} of {trial:?}");
        }
        blocks += ones.taken.iter().filter(|(_, taken_level)| *taken_level == level(2)).count();
        stops += usize::from(ones.mapped.1.is_some());
    }
    // The dice have shown what they are for.
    assert!(blocks > 10 && stops > 2, "{blocks} blocks, {stops} stops");
}
