//! One sequence: from a machine that has just booted until everything is given back.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cairn_tests::differential::choices::{Choices, Random};
use cairn_tests::differential::generate::{
    Generator, Group, Layout, block, give_back, read_back, take_apart,
};
use cairn_tests::differential::operation::Operation;
use cairn_tests::differential::pair::{Pair, Tally};
use cairn_tests::machine::FakeMachine;
use cairn_tests::machine::config::Profile;
use cairn_tests::port::Place;

/// Operations of a sequence. Long ones reach deeper, and their machine is built once.
const LONGEST: u64 = 1500;
/// Where the first bank of DRAM begins.
const MEMORY: u64 = 0x8000_0000;
/// Sequences with one that begins with a table of 512 pages among them.
const BLOCKS: u64 = 48;

/// Operations of such a sequence, besides: each looks at all those pages.
const AFTER_A_BLOCK: u64 = 200;

/// What many sequences begin with: a Realm that runs.
const BEGINNING: [(u64, Group); 8] = [
    (30, Group::Delegate),
    (2, Group::RealmCreate),
    (9, Group::RttCreate),
    (4, Group::InitRipas),
    (3, Group::DataCreate),
    (3, Group::DataCreateUnknown),
    (4, Group::RecCreate),
    (2, Group::RealmActivate),
];

/// A sequence that failed.
pub struct Failure {
    pub profile: Profile,
    pub operations: Vec<Operation>,
    pub why: String,
}

fn layout(pair: &Pair<'_>) -> Layout {
    let places = [Place::Device, Place::BeyondPa, Place::Secure, Place::Root, Place::High];
    let mut strange: Vec<u64> = places.into_iter().map(|place| pair.place(place)).collect();
    strange.extend([0, u64::MAX, !0xfff, MEMORY + 100 * 4096]);
    Layout::new(MEMORY, strange)
}

/// Does things and remembers them.
struct Recorder<'p, 'm> {
    pair: &'p mut Pair<'m>,
    operations: Vec<Operation>,
}

impl Recorder<'_, '_> {
    fn perform(&mut self, operations: Vec<Operation>) -> Result<(), String> {
        for operation in operations {
            let result = self.pair.perform(&operation);
            self.operations.push(operation);
            result?;
        }
        Ok(())
    }

    fn explore(&mut self, seed: u64) -> Result<(), String> {
        let mut random = Random(seed);
        let layout = layout(self.pair);
        let cpus = 1 + usize::try_from(random.below(4)).unwrap();
        let generator = Generator { layout, cpus, mishaps: 12 };
        let mut steps = LONGEST;
        if random.once_in(2) {
            for (count, group) in BEGINNING {
                for _ in 0..count {
                    let operations = generator.next_of(group, &self.pair.model, &mut random);
                    self.perform(operations)?;
                }
            }
        }
        if self.pair.profile() == Profile::Max {
            self.begin_with_a_block(&generator, &mut random)?;
            steps = AFTER_A_BLOCK;
        }
        for _ in 0..steps {
            let operations = generator.next(&self.pair.model, &mut random);
            self.perform(operations)?;
        }
        Ok(())
    }

    /// Folds and unfolds of memory need more granules than chance brings together.
    fn begin_with_a_block(
        &mut self,
        generator: &Generator,
        random: &mut Random,
    ) -> Result<(), String> {
        while self.pair.model.realms().is_empty() {
            let group = if random.once_in(2) { Group::Delegate } else { Group::RealmCreate };
            let operations = generator.next_of(group, &self.pair.model, random);
            self.perform(operations)?;
        }
        let rds: Vec<u64> = self.pair.model.realms().keys().copied().collect();
        // Now and then the memory is not aligned to a block.
        let base = MEMORY + 0x20_0000 + if random.once_in(4) { 0x1000 } else { 0 };
        let rd = random.pick(&rds).unwrap();
        self.perform(block(&self.pair.model, rd, base, 0))
    }
}

/// The state is compared once more, then everything is given back: from any state that can be reached that must be possible.
fn finish(pair: &mut Pair<'_>) -> Result<(), String> {
    let layout = layout(pair);
    let perform = |pair: &mut Pair<'_>, operations: Vec<Operation>| {
        operations.iter().try_for_each(|operation| pair.perform(operation))
    };
    perform(pair, read_back(&pair.model))?;
    // A refusal of EL3 that is still armed goes off now.
    perform(pair, vec![Operation::Call(0, [0xc400_0151, layout.shared, 0, 0, 0, 0, 0, 0])])?;
    for rd in pair.model.realms().keys().copied().collect::<Vec<_>>() {
        perform(pair, take_apart(&pair.model, rd, layout.spare))?;
    }
    perform(pair, give_back(&pair.model))?;
    if !pair.model.granules().is_empty() {
        return Err(format!("not given back: {:x?}", pair.model.granules()));
    }
    pair.check_end()
}

/// The same; a panic is a failure like any other.
fn guarded(action: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(action)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(format!("panic: {}", text.unwrap_or_else(|| "without text".into())))
    })
}

/// A new sequence.
pub fn explore(seed: u64) -> Result<Tally, Failure> {
    let profile = match seed % BLOCKS {
        0 => Profile::Max,
        number if number % 6 == 1 => Profile::Plain,
        _ => Profile::Small,
    };
    let machine = FakeMachine::new(profile);
    let mut pair = Pair::new(&machine);
    let mut recorder = Recorder { pair: &mut pair, operations: Vec::new() };
    let explored = guarded(|| recorder.explore(seed));
    let operations = recorder.operations;
    match explored.and_then(|()| guarded(|| finish(&mut pair))) {
        Ok(()) => Ok(pair.tally),
        Err(why) => Err(Failure { profile, operations, why }),
    }
}

/// A sequence that is known.
pub fn replay(profile: Profile, operations: &[Operation]) -> Result<(), String> {
    let machine = FakeMachine::new(profile);
    let mut pair = Pair::new(&machine);
    guarded(|| {
        operations.iter().try_for_each(|operation| pair.perform(operation))?;
        finish(&mut pair)
    })
}
