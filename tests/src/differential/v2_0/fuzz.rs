//! What a fuzzer's bytes make a Host of RMI 2.0 do. The fuzzer itself is in `tests/fuzz`; its
//! corpus is replayed by an ordinary test as well.

use cairn_el3::edition::Edition;
use cairn_el3::firme::Runs;

use super::fake::{layout_of, platform_of};
use super::generate::{Generator, Kind};
use super::layout::Layout;
use super::session::Session;
use crate::differential::choices::{Bytes, Choices};
use crate::differential::operation::write_script;
use crate::machine::FakeMachine;
use crate::machine::config::Profile;

/// A part of the interface that gets a fuzzer of its own.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its binary and of its corpus.
    pub name: &'static str,
    /// Commands that are sent most of the time.
    kinds: &'static [Kind],
    /// How often EL3 refuses or Host memory faults, see [`Layout`].
    mishaps: u64,
}

/// All targets.
pub const TARGETS: [Target; 4] = [
    Target { name: "v2_ranges", kinds: &[Kind::Range, Kind::Range, Kind::Ask], mishaps: 5 },
    Target {
        name: "v2_mappings",
        kinds: &[Kind::Map, Kind::Unmap, Kind::Unprotected, Kind::Table],
        mishaps: 0,
    },
    Target {
        name: "v2_pages",
        kinds: &[Kind::Realm, Kind::RecCreate, Kind::Init, Kind::Map, Kind::Enter],
        mishaps: 4,
    },
    Target {
        name: "v2_operations",
        kinds: &[Kind::RecCreate, Kind::Operation, Kind::Operation, Kind::RecDestroy],
        mishaps: 8,
    },
];

/// The most operations of one input.
const LONGEST: usize = 150;

/// What each sequence begins with, so that a few bytes reach deep. It is active from the first
/// command of these on.
const BEGINNING: [(u64, Kind); 5] = [
    (6, Kind::Range),
    (1, Kind::Realm),
    (4, Kind::Table),
    (2, Kind::RecCreate),
    (4, Kind::Operation),
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
    ///
    /// # Panics
    ///
    /// The fake machine does not speak RMI 2.0.
    pub fn run(&self, bytes: &[u8]) -> Result<(), String> {
        let mut bytes = Bytes(bytes);
        let machine = FakeMachine::over(Profile::Small, Edition::V2_ALL);
        machine.take_runs(match bytes.below(4) {
            0 => Runs::Whole,
            1 => Runs::Refused,
            2 => Runs::Short(3),
            _ => Runs::Kept(5),
        });
        let platform = platform_of(&machine).expect("RMI 2.0 and the features of the profile");
        let layout = Layout { mishaps: self.mishaps, ..layout_of(&machine) };
        let mut session = Session::new(&machine, platform, layout);
        let result = self.follow(&mut session, &mut bytes).and_then(|()| session.finish());
        result.map_err(|why| write_script(&why, &session.operations))
    }

    fn follow(
        &self,
        session: &mut Session<&FakeMachine>,
        bytes: &mut Bytes<'_>,
    ) -> Result<(), String> {
        while !session.pair.model.is_active() && !bytes.is_empty() {
            session.run(bytes, 1)?;
        }
        let begins = bytes.below(BEGINNING.len() as u64 + 1);
        for (count, kind) in BEGINNING.into_iter().take(usize::try_from(begins).unwrap_or(0)) {
            for _ in 0..count {
                Self::send(session, kind, bytes)?;
            }
        }
        for _ in 0..LONGEST {
            if bytes.is_empty() {
                break;
            }
            let own = self.kinds.len() as u64;
            match self.kinds.get(usize::try_from(bytes.below(own + 1)).unwrap_or(0)) {
                Some(&kind) => Self::send(session, kind, bytes)?,
                None => session.run(bytes, 1)?,
            }
        }
        Ok(())
    }

    fn send(
        session: &mut Session<&FakeMachine>,
        kind: Kind,
        choices: &mut Bytes<'_>,
    ) -> Result<(), String> {
        let Session { pair, layout, .. } = &*session;
        let next = Generator { layout, model: &pair.model, choices }.of(kind);
        session.replay(next)
    }
}
