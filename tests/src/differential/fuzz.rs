//! What a fuzzer's bytes make the Host and its Realms do. The fuzzer itself is in `tests/fuzz`; its
//! corpus is replayed by an ordinary test as well.

use super::choices::{Bytes, Choices};
use super::generate::{Generator, Group};
use super::session::Session;
use crate::machine::FakeMachine;
use crate::machine::config::Profile;

/// A part of the interface that gets a fuzzer of its own.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its binary and of its corpus.
    pub name: &'static str,
    /// Commands that are sent most of the time.
    groups: &'static [Group],
    /// How often Host memory faults or changes: once in this many commands that read it.
    mishaps: u64,
}

/// All targets on the fake machine.
pub const TARGETS: [Target; 9] = [
    Target {
        name: "granule",
        groups: &[Group::Delegate, Group::Undelegate, Group::Refuse],
        mishaps: 0,
    },
    Target {
        name: "realm",
        groups: &[Group::RealmCreate, Group::RealmActivate, Group::RealmDestroy, Group::TakeApart],
        mishaps: 0,
    },
    Target {
        name: "rec",
        groups: &[Group::RecCreate, Group::RecDestroy, Group::RealmActivate, Group::PsciComplete],
        mishaps: 0,
    },
    Target {
        name: "rtt",
        groups: &[
            Group::RttCreate,
            Group::RttDestroy,
            Group::RttFold,
            Group::ReadEntry,
            Group::Map,
            Group::Unmap,
        ],
        mishaps: 0,
    },
    Target {
        name: "ripas",
        groups: &[Group::InitRipas, Group::SetRipas, Group::Enter, Group::RttCreate],
        mishaps: 0,
    },
    Target {
        name: "data",
        groups: &[Group::DataCreate, Group::DataCreateUnknown, Group::DataDestroy],
        mishaps: 0,
    },
    Target {
        name: "run",
        groups: &[Group::Enter, Group::Enter, Group::PsciComplete, Group::SetRipas],
        mishaps: 0,
    },
    Target { name: "query", groups: &[Group::Query, Group::Anything], mishaps: 0 },
    Target {
        name: "hostile_memory",
        groups: &[Group::RealmCreate, Group::RecCreate, Group::DataCreate, Group::Enter],
        mishaps: 1,
    },
];

/// The most operations of one input.
const LONGEST: usize = 150;

/// What each sequence begins with, so that a few bytes reach deep.
const BEGINNING: [(u64, Group); 7] = [
    (12, Group::Delegate),
    (1, Group::RealmCreate),
    (3, Group::RttCreate),
    (1, Group::InitRipas),
    (2, Group::DataCreateUnknown),
    (2, Group::RecCreate),
    (1, Group::RealmActivate),
];

impl Target {
    /// The target of this name.
    pub fn named(name: &str) -> Option<Self> {
        TARGETS.into_iter().find(|target| target.name == name)
    }

    /// Carries out what the bytes say.
    ///
    /// # Errors
    ///
    /// Monitor and specification disagree; the script shows how.
    pub fn run(&self, bytes: &[u8]) -> Result<(), String> {
        let machine = FakeMachine::new(Profile::Small);
        let mut session = Session::new(&machine);
        let result = self.follow(&mut session, bytes).and_then(|()| session.finish());
        result.map_err(|why| session.script(&why))
    }

    fn follow(&self, session: &mut Session<'_>, bytes: &[u8]) -> Result<(), String> {
        let mut bytes = Bytes(bytes);
        let cpus = 1 + usize::try_from(bytes.below(4)).unwrap_or(0);
        let generator = Generator { layout: session.layout(), cpus, mishaps: self.mishaps };
        let begins = bytes.below(BEGINNING.len() as u64 + 1);
        for (count, group) in BEGINNING.into_iter().take(usize::try_from(begins).unwrap_or(0)) {
            for _ in 0..count {
                let operations = generator.next_of(group, &session.pair.model, &mut bytes);
                session.perform(operations)?;
            }
        }
        for _ in 0..LONGEST {
            if bytes.is_empty() {
                break;
            }
            let own = self.groups.len() as u64;
            let operations =
                match self.groups.get(usize::try_from(bytes.below(own + 1)).unwrap_or(0)) {
                    Some(&group) => generator.next_of(group, &session.pair.model, &mut bytes),
                    None => generator.next(&session.pair.model, &mut bytes),
                };
            session.perform(operations)?;
        }
        Ok(())
    }
}
