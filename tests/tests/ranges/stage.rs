//! A machine, a Realm, and the monitor's operations on them.

use core::sync::atomic::{AtomicBool, Ordering};

use cairn_tests::fake_port::FakePort;
use cairn_tests::machine::config::Profile;
use cairn_tests::machine::{FakeCpu, FakeMachine};
use cairn_tests::world::{Realm, World};
use granule::{Budget, GranuleAddr, GranuleRange, Progress, RdState};
use machine::{Memory, Slot};
use realm::Rmm;
use realm::rd::Rd;
use realm::rtt::{Entry, HostAttributes, Level};
use rmi::ops::granule::AlreadyThere::{self, IsProgress};
use rmi::ops::{
    Block, Cause, Named, Operand, Sink, Supply, granule as granules, map, memory, table,
};

pub(crate) const PAGE: u64 = 4096;
pub(crate) const BLOCK: u64 = 2 << 20;
/// Where the Host's allocator does not come.
pub(crate) const BASE: u64 = 0x8080_0000;

/// Small random numbers: the same in each run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % sides
    }
}

pub(crate) type Rmm1<'r, 'm> = Rmm<'r, FakeCpu<'m>>;

/// Which way granules go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    In,
    Out,
}

pub(crate) fn go(
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

/// A list of memory.
pub(crate) struct List(std::vec::IntoIter<Block>);

impl List {
    pub(crate) fn new(blocks: &[(u64, u64)]) -> Self {
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
#[derive(Debug)]
pub(crate) struct Note {
    pub(crate) room: usize,
    pub(crate) taken: Vec<(u64, Level)>,
}

impl Sink for Note {
    fn take(&mut self, pa: GranuleAddr, level: Level, most: u16) -> u16 {
        let room = self.room.saturating_sub(self.taken.len());
        let count = most.min(u16::try_from(room).unwrap_or(most));
        let mapped = |number| pa.as_u64() + u64::from(number) * level.entry_size();
        self.taken.extend((0..count).map(|number| (mapped(number), level)));
        count
    }
}

pub(crate) fn level(number: i64) -> Level {
    Level::new(number).unwrap()
}

/// A machine with a Realm.
pub(crate) struct Stage {
    pub(crate) machine: &'static FakeMachine,
    pub(crate) realm: Realm,
    /// Many calls follow: the machine is checked after the last.
    is_hurrying: AtomicBool,
}

impl Stage {
    /// A Realm with tables down to `depth` at 0, and at the start of its unprotected half.
    pub(crate) fn new(depth: i64) -> Self {
        // The port wants the machine for as long as itself; a test ends soon enough.
        let machine: &'static FakeMachine = Box::leak(Box::new(FakeMachine::new(Profile::Max)));
        let mut port = FakePort::new(machine);
        let mut w = World::new(&mut port);
        let realm = w.realm().unwrap();
        w.tables(&realm, 0, depth).unwrap();
        w.tables(&realm, realm.unprotected(), depth).unwrap();
        machine.take_events();
        Self::of(machine, realm)
    }

    /// A machine with this Realm.
    pub(crate) fn of(machine: &'static FakeMachine, realm: Realm) -> Self {
        Self { machine, realm, is_hurrying: AtomicBool::new(false) }
    }

    /// From now on (`true`) the machine is checked when that ends and not after each call.
    pub(crate) fn hurry(&self, on: bool) {
        self.is_hurrying.store(on, Ordering::Relaxed);
        if on { self.machine.unleash() } else { self.machine.quiesce() }
    }

    /// Lets the monitor do something.
    fn act<R>(&self, act: impl FnOnce(&Rmm<'_, FakeCpu<'static>>) -> R) -> R {
        let cpu = self.machine.cpu(0);
        if self.is_hurrying.load(Ordering::Relaxed) {
            cpu.among_others(act)
        } else {
            cpu.directly(act)
        }
    }

    pub(crate) fn rd<'r>(&self, rmm: &Rmm1<'r, '_>) -> Named<'r> {
        Named::new(rmm, Operand::Rd, self.realm.rd).unwrap()
    }

    /// The RIM.
    pub(crate) fn rim(&self, rmm: &Rmm1<'_, '_>) -> [u8; 64] {
        let mut rd = rmm.granules.lock::<RdState>(at(self.realm.rd)).unwrap();
        let page = rmm.machine.page(Slot::Rd, rd.exclusive());
        page.view::<Rd>().measurements.rim
    }

    pub(crate) fn delegate(&self, base: u64, bytes: u64) {
        let mut base = base;
        let top = base + bytes;
        while base < top {
            let range = GranuleRange::new(base, top).unwrap();
            base = go(&self.machine.cpu(0), Way::In, range, IsProgress, Budget::TABLE)
                .unwrap()
                .reached;
        }
    }

    pub(crate) fn map(
        &self,
        base: u64,
        top: u64,
        blocks: &[(u64, u64)],
        units: u64,
    ) -> Result<u64, Cause> {
        self.act(|rmm| {
            let mut list = List::new(blocks);
            memory::map(rmm, self.rd(rmm), base, top, &mut list, Budget { units })
        })
    }

    pub(crate) fn unmap(
        &self,
        base: u64,
        top: u64,
        room: usize,
        units: u64,
    ) -> (Result<u64, Cause>, Note) {
        let mut note = Note { room, taken: Vec::new() };
        let result = self
            .act(|rmm| memory::unmap(rmm, self.rd(rmm), base, top, &mut note, Budget { units }));
        (result, note)
    }

    pub(crate) fn map_shared(
        &self,
        base: u64,
        top: u64,
        blocks: &[(u64, u64)],
        units: u64,
    ) -> Result<u64, Cause> {
        self.act(|rmm| {
            let attributes = HostAttributes::new(6, true, true).unwrap();
            let mut list = List::new(blocks);
            let rd = self.rd(rmm);
            map::map_range(rmm, rd, (base, top), attributes, &mut list, Budget { units })
        })
    }

    pub(crate) fn unmap_shared(
        &self,
        base: u64,
        top: u64,
        room: usize,
        units: u64,
    ) -> (Result<u64, Cause>, Note) {
        let mut note = Note { room, taken: Vec::new() };
        let result = self
            .act(|rmm| map::unmap_range(rmm, self.rd(rmm), base, top, &mut note, Budget { units }));
        (result, note)
    }

    /// Makes a table of pages of the delegated granule at `pa`.
    pub(crate) fn table(&self, ipa: u64, pa: u64) -> Result<(), Cause> {
        self.act(|rmm| {
            let granule = Named::new(rmm, Operand::Rtt, pa)?;
            table::create(rmm, self.rd(rmm), granule, ipa, Some(Level::PAGE))
        })
    }

    pub(crate) fn entry(&self, ipa: u64) -> (Level, Entry) {
        self.act(|rmm| {
            let show = |level, entry, _| (level, entry);
            table::read(rmm, self.rd(rmm), ipa, Some(Level::PAGE), show)
        })
        .unwrap()
    }

    pub(crate) fn done(self) {
        assert_eq!(self.machine.take_violations(), [""; 0]);
    }
}

pub(crate) fn at(pa: u64) -> GranuleAddr {
    GranuleAddr::new(pa).unwrap()
}
