//! A Host that speaks no interface: it calls the monitor's operations, and the machine is checked
//! after each.

use std::cell::Cell;

use cairn_tests::machine::{FakeCpu, FakeMachine};
use granule::{Budget, GranuleAddr, GranuleRange, GranuleState, RdState};
use machine::{Memory as _, Slot};
use realm::features::ExtensionsWish;
use realm::measurement::Algorithm;
use realm::rec::RecIndex;
use realm::rtt::Level;
use realm::{Numbering, Rd, Rmm};
use rmi::ops::granule::AlreadyThere;
use rmi::ops::sro::{self, Awaits, Begun, Donated, Gift, Reclaimed, Resumed};
use rmi::ops::{Cause, Named, Operand, granule as granules, realm as realms, rec as recs};

/// Auxiliary granules of a REC with the longest vectors.
pub(crate) const AUX: u64 = 4;

/// Where the machine's memory starts.
const BASE: u64 = 0x8000_0000;

pub(crate) type Monitor<'r, 'm> = Rmm<'r, FakeCpu<'m>>;

pub(crate) struct Host<'m> {
    pub cpu: FakeCpu<'m>,
    machine: &'m FakeMachine,
    next: Cell<u64>,
}

/// A granule by its address.
pub(crate) fn at(pa: u64) -> GranuleAddr {
    GranuleAddr::new(pa).unwrap()
}

/// A list of single granules.
pub(crate) fn list(pages: &[u64]) -> Vec<Gift> {
    pages.iter().map(|&pa| Gift { first: at(pa), granules: 1 }).collect()
}

/// What an argument names.
pub(crate) fn named<'t>(rmm: &Monitor<'t, '_>, operand: Operand, pa: u64) -> Named<'t> {
    Named::new(rmm, operand, pa).unwrap()
}

/// Gives memory, on whatever CPU.
pub(crate) fn donate(rmm: &Monitor<'_, '_>, handle: u64, gifts: &[Gift]) -> Result<Donated, Cause> {
    sro::donate(rmm, handle, || Ok(gifts.iter().map(|&gift| Ok(gift))))
}

impl<'m> Host<'m> {
    pub(crate) fn new(machine: &'m FakeMachine) -> Self {
        Self { cpu: machine.cpu(0), machine, next: Cell::new(BASE) }
    }

    /// Carries out an operation that changes nothing if it fails.
    fn run<T>(
        &self,
        operation: impl FnOnce(&Monitor<'_, 'm>) -> Result<T, Cause>,
    ) -> Result<T, Cause> {
        let result = self.cpu.carry_out(Result::is_err, operation);
        self.check();
        result
    }

    /// The machine is in order.
    pub(crate) fn check(&self) {
        assert_eq!(self.machine.take_violations(), [""; 0]);
    }

    /// So many DELEGATED granules in a row.
    pub(crate) fn delegated<const COUNT: usize>(&self) -> [u64; COUNT] {
        [(); COUNT].map(|()| {
            let pa = self.next.replace(self.next.get() + 4096);
            self.run(|rmm| delegate(rmm, pa)).unwrap();
            pa
        })
    }

    pub(crate) fn undelegate(&self, pa: u64) -> Result<(), Cause> {
        self.run(|rmm| undelegate(rmm, pa))
    }

    /// A granule that is the Host's.
    pub(crate) fn undelegated(&self) -> u64 {
        self.next.replace(self.next.get() + 4096)
    }

    pub(crate) fn state(&self, pa: u64) -> GranuleState {
        self.cpu.rmm().granules.peek(at(pa)).unwrap()
    }

    /// A new Realm.
    pub(crate) fn realm(&self, numbering: Numbering) -> u64 {
        let [rd, root] = self.delegated();
        let wanted = realms::Wanted {
            lpa2: false,
            ipa_width: 40,
            extensions: ExtensionsWish {
                sve_vl: Some(15),
                counters: None,
                breakpoints_minus_one: 1,
                watchpoints_minus_one: 1,
            },
            algorithm: Some(Algorithm::Sha256),
            rpv: [0; 64],
            vmid: Some(u16::try_from(rd >> 12 & 0xff).unwrap()),
            root,
            start: Level::new(1),
            roots: 2,
            measured: Some(&[0; 4096]),
            encryption: None,
            numbering,
        };
        // Two tables at level 1 hold 40 bits; they lie one after the other, at a multiple of both.
        let [second] = self.delegated();
        let root = if root.is_multiple_of(8192) { root } else { second };
        if root == second {
            self.delegated::<1>();
        }
        let wanted = realms::Wanted { root, ..wanted };
        self.run(|rmm| realms::create(rmm, named(rmm, Operand::Rd, rd), &wanted)).unwrap();
        rd
    }

    pub(crate) fn activate(&self, rd: u64) -> Result<(), Cause> {
        self.run(|rmm| realms::activate(rmm, named(rmm, Operand::Rd, rd)))
    }

    pub(crate) fn destroy_realm(&self, rd: u64) -> Result<(), Cause> {
        self.run(|rmm| realms::destroy(rmm, named(rmm, Operand::Rd, rd), realms::Ending::Any))
    }

    pub(crate) fn begin(&self, rd: u64, rec: u64, number: Option<u64>) -> Result<Begun, Cause> {
        self.run(|rmm| {
            let (rd, rec) = (named(rmm, Operand::Rd, rd), named(rmm, Operand::Rec, rec));
            recs::begin_create(rmm, rd, rec, &wanted(number))
        })
    }

    /// Makes a REC in one call.
    pub(crate) fn create(&self, rd: u64, rec: u64, number: u64, aux: &[u64]) -> Result<(), Cause> {
        self.run(|rmm| {
            let (rd, rec) = (named(rmm, Operand::Rd, rd), named(rmm, Operand::Rec, rec));
            recs::create(rmm, rd, rec, &wanted(Some(number)), Some(aux))
        })
    }

    pub(crate) fn begin_destroy(&self, rec: u64) -> Result<Begun, Cause> {
        self.run(|rmm| recs::begin_destroy(rmm, named(rmm, Operand::Rec, rec)))
    }

    pub(crate) fn donate(&self, handle: u64, gifts: &[Gift]) -> Result<Donated, Cause> {
        self.run(|rmm| donate(rmm, handle, gifts))
    }

    /// Takes back up to `count` granules, and says which.
    pub(crate) fn reclaim(&self, handle: u64, count: u64) -> Result<(Vec<u64>, Awaits), Cause> {
        let mut pages = Vec::new();
        let told = |granules: &[GranuleAddr]| {
            pages.extend(granules.iter().map(|granule| granule.as_u64()));
            Ok(())
        };
        let Reclaimed { entries, awaits } =
            self.run(|rmm| sro::reclaim(rmm, handle, count, told))?;
        assert_eq!(entries, pages.len());
        for &page in &pages {
            assert_eq!(self.state(page), GranuleState::Delegated);
        }
        Ok((pages, awaits))
    }

    /// A reclaim whose list cannot be written.
    pub(crate) fn reclaim_in_vain(&self, handle: u64) -> Result<Reclaimed, Cause> {
        self.run(|rmm| sro::reclaim(rmm, handle, AUX, |_| Err(VAIN)))
    }

    /// Goes on; a failure may be the end of an operation, which changes something.
    pub(crate) fn resume(&self, handle: u64) -> Result<Resumed, Cause> {
        let result = self.cpu.carry_out(|_| false, |rmm| sro::resume(rmm, handle));
        self.check();
        result
    }

    pub(crate) fn cancel(&self, handle: u64) -> Result<Awaits, Cause> {
        self.run(|rmm| sro::cancel(rmm, handle))
    }

    /// Makes a REC in several calls; its auxiliary granules.
    pub(crate) fn rec(&self, rd: u64, rec: u64, number: u64) -> [u64; 4] {
        let Begun { handle, .. } = self.begin(rd, rec, Some(number)).unwrap();
        let aux = self.delegated();
        self.donate(handle, &list(&aux)).unwrap();
        assert_eq!(self.resume(handle), Ok(Resumed::Done));
        assert_eq!(self.state(rec), GranuleState::Rec);
        aux
    }

    /// Takes all back of an operation that waits for that.
    pub(crate) fn drain(&self, handle: u64) -> Vec<u64> {
        let (pages, awaits) = self.reclaim(handle, u64::MAX).unwrap();
        assert_eq!(awaits, Awaits::Continue);
        pages
    }

    /// Ends a REC in several calls.
    pub(crate) fn destroy(&self, rec: u64) {
        let Begun { handle, awaits } = self.begin_destroy(rec).unwrap();
        assert_eq!(awaits, Awaits::Reclaim);
        assert_eq!(self.drain(handle).len() as u64, AUX);
        assert_eq!(self.resume(handle), Ok(Resumed::Done));
        assert_eq!(self.state(rec), GranuleState::Delegated);
    }

    /// How many operations are unfinished.
    pub(crate) fn operations(&self) -> usize {
        self.cpu.rmm().operations.waiting().count()
    }

    /// Looks at a Realm.
    pub(crate) fn descriptor<T>(&self, rd: u64, look: impl FnOnce(&Rd) -> T) -> T {
        let rmm = self.cpu.rmm();
        let mut guard = rmm.granules.lock::<RdState>(at(rd)).unwrap();
        look(rmm.machine.page(Slot::Rd, guard.exclusive()).view())
    }
}

/// What a list that cannot be written or read makes of a call.
pub(crate) const VAIN: Cause = Cause::HostFault(rmi::ops::HostPage::Params);

/// The index of a REC.
pub(crate) fn index(number: u64) -> RecIndex {
    RecIndex::from_affinities(number & 0xf, number >> 4).unwrap()
}

/// A runnable REC.
pub(crate) fn wanted(number: Option<u64>) -> recs::Wanted<'static> {
    recs::Wanted {
        is_runnable: true,
        index: number.map(index),
        pc: 0x1000,
        gprs: [1, 2, 3, 4, 5, 6, 7, 8],
        measured: &[7; 4096],
    }
}

/// Hands a granule to the monitor.
pub(crate) fn delegate(rmm: &Rmm<'_, FakeCpu<'_>>, pa: u64) -> Result<(), Cause> {
    let range = GranuleRange::one(at(pa));
    granules::delegate(rmm, range, AlreadyThere::IsRefused, Budget::ONE).map(|_| ())
}

/// Takes a granule back from the monitor.
pub(crate) fn undelegate(rmm: &Rmm<'_, FakeCpu<'_>>, pa: u64) -> Result<(), Cause> {
    let range = GranuleRange::one(at(pa));
    granules::undelegate(rmm, range, AlreadyThere::IsRefused, Budget::ONE).map(|_| ())
}
