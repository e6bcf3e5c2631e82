//! One sequence: from a machine that has just booted until everything is given back.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cairn_tests::differential::choices::{Choices, Random};
use cairn_tests::differential::generate::{Generator, Group, block};
use cairn_tests::differential::operation::Operation;
use cairn_tests::differential::pair::Tally;
use cairn_tests::differential::session::{MEMORY, Session};
use cairn_tests::machine::FakeMachine;
use cairn_tests::machine::config::Profile;

/// Operations of a sequence. Long ones reach deeper, and their machine is built once.
const LONGEST: u64 = 1500;
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
pub(crate) struct Failure {
    pub profile: Profile,
    pub operations: Vec<Operation>,
    pub why: String,
}

/// Makes a sequence.
struct Explorer<'s, 'm>(&'s mut Session<'m>);

impl Explorer<'_, '_> {
    fn perform_next(
        &mut self,
        generator: &Generator,
        group: Group,
        random: &mut Random,
    ) -> Result<(), String> {
        let operations = generator.next_of(group, &self.0.pair.model, random);
        self.0.perform(operations)
    }

    fn explore(&mut self, seed: u64) -> Result<(), String> {
        let mut random = Random(seed);
        let layout = self.0.layout();
        let cpus = 1 + usize::try_from(random.below(4)).unwrap();
        let generator = Generator { layout, cpus, mishaps: 12 };
        let mut steps = LONGEST;
        if random.once_in(2) {
            for (count, group) in BEGINNING {
                for _ in 0..count {
                    self.perform_next(&generator, group, &mut random)?;
                }
            }
        }
        if self.0.pair.profile() == Profile::Max {
            self.begin_with_a_block(&generator, &mut random)?;
            steps = AFTER_A_BLOCK;
        }
        for _ in 0..steps {
            let operations = generator.next(&self.0.pair.model, &mut random);
            self.0.perform(operations)?;
        }
        Ok(())
    }

    /// Folds and unfolds of memory need more granules than chance brings together.
    fn begin_with_a_block(
        &mut self,
        generator: &Generator,
        random: &mut Random,
    ) -> Result<(), String> {
        while self.0.pair.model.realms().is_empty() {
            let group = if random.once_in(2) { Group::Delegate } else { Group::RealmCreate };
            self.perform_next(generator, group, random)?;
        }
        let rds: Vec<u64> = self.0.pair.model.realms().keys().copied().collect();
        // Now and then the memory is not aligned to a block.
        let base = MEMORY + 0x20_0000 + if random.once_in(4) { 0x1000 } else { 0 };
        let rd = random.pick(&rds).unwrap();
        let operations = block(&self.0.pair.model, rd, base, 0);
        self.0.perform(operations)
    }
}

/// The same; a panic is a failure like any other.
fn guarded(action: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(action)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(format!("panic: {}", text.unwrap_or_else(|| "without text".into())))
    })
}

/// A new sequence.
pub(crate) fn explore(seed: u64) -> Result<Tally, Failure> {
    let profile = match seed % BLOCKS {
        0 => Profile::Max,
        number if number % 6 == 1 => Profile::Plain,
        _ => Profile::Small,
    };
    let machine = FakeMachine::new(profile);
    let mut session = Session::new(&machine);
    let explored = guarded(|| Explorer(&mut session).explore(seed));
    match explored.and_then(|()| guarded(|| session.finish())) {
        Ok(()) => Ok(session.pair.tally),
        Err(why) => Err(Failure { profile, operations: session.operations, why }),
    }
}

/// A sequence that is known.
pub(crate) fn replay(profile: Profile, operations: &[Operation]) -> Result<(), String> {
    let machine = FakeMachine::new(profile);
    let mut session = Session::new(&machine);
    guarded(|| {
        session.perform(operations.to_vec())?;
        session.finish()
    })
}
