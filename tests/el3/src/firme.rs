//! FIRME's base and granule services, except for the tables that are changed.
//!
//! Its numbers are written out here, apart from those that the monitor has from a crate: a mistake
//! on one side shows.
//!
//! As TF-A main it takes one granule at a time, and knows no CONTINUE. It can be told to take runs,
//! to stop short, or to keep an operation: no published EL3 does.
//!
//! Source: FIRME (Arm DEN0149) 1.0; TF-A main of 2026-08, as measured.

use crate::edition::Edition;

/// `FIRME_SERVICE_VERSION`.
pub const SERVICE_VERSION: u64 = 0xc400_0400;
/// `FIRME_SERVICE_FEATURES`.
pub const SERVICE_FEATURES: u64 = 0xc400_0401;
/// `FIRME_GM_GPI_SET`.
pub const GPI_SET: u64 = 0xc400_0402;
/// `FIRME_GM_GPI_OP_CONTINUE`.
pub const GPI_OP_CONTINUE: u64 = 0xc400_0412;

/// The target is the Normal world's address space.
pub const NON_SECURE: u64 = 0b1001;
/// The target is the Realm world's.
pub const REALM: u64 = 0b1011;

/// A status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
#[expect(missing_docs, reason = "each variant is the status of that name")]
pub enum Status {
    Success = 0,
    NotSupported = -1,
    InvalidParameters = -2,
    Incomplete = -4,
    Denied = -5,
    Busy = -6,
    Conflict = -7,
    NotFound = -9,
}

impl Status {
    /// What a refusal by order means here: codes of interface 0.x that have a status of their own
    /// are that status.
    #[must_use]
    pub const fn ordered(code: i64) -> Self {
        match code {
            -2 => Self::InvalidParameters,
            -6 => Self::Busy,
            -7 => Self::Conflict,
            -9 => Self::NotFound,
            // "Bad address space", and anything else.
            _ => Self::Denied,
        }
    }

    /// Whether X1 says how many granules were changed.
    const fn has_count(self) -> bool {
        matches!(
            self,
            Self::Success | Self::Incomplete | Self::Denied | Self::Conflict | Self::NotFound
        )
    }
}

/// X0, X1 and X2 of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The low 32 bits of X0.
    pub status: Status,
    /// Granules that were changed.
    pub count: u64,
    /// How an operation that is kept goes on.
    pub cookie: u64,
}

impl Answer {
    const fn new(status: Status, count: u64) -> Self {
        Self { status, count: if status.has_count() { count } else { 0 }, cookie: 0 }
    }

    /// The registers. The upper half of X0 is not defined: it is not zero here, and not the sign.
    #[must_use]
    pub const fn registers(self) -> [u64; 3] {
        [word(self.status as i32), self.count, self.cookie]
    }
}

/// X0 with a 32-bit result.
const fn word(value: i32) -> u64 {
    0x5a5a_a5a5 << 32 | value.cast_unsigned() as u64
}

/// How runs are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Runs {
    /// Whole.
    #[default]
    Whole,
    /// One granule at a time, any other count being invalid: as TF-A main.
    Refused,
    /// Up to so many granules, with success.
    Short(u64),
    /// So many granules in each call, the operation being kept until it is over.
    Kept(u64),
}

impl Runs {
    /// The one with this number.
    #[must_use]
    pub const fn from_number(number: u64, granules: u64) -> Self {
        match number {
            1 => Self::Refused,
            2 => Self::Short(granules),
            3 => Self::Kept(granules),
            _ => Self::Whole,
        }
    }
}

/// An operation that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Operation {
    next: u64,
    left: u64,
    target: u64,
    cookie: u64,
}

/// The granule service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Firme {
    runs: Runs,
    kept: Option<Operation>,
    /// Cookies that have been given out.
    cookies: u64,
}

/// Bytes of a granule.
const GRANULE: u64 = 0x1000;

impl Firme {
    /// Takes runs whole, and keeps nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { runs: Runs::Whole, kept: None, cookies: 0 }
    }

    /// Says how runs are taken from now on.
    pub const fn take_runs(&mut self, runs: Runs) {
        self.runs = runs;
    }

    /// GPI_SET by the Realm world. `change` moves the granule at an address to a target, or says
    /// why not.
    pub fn set(
        &mut self,
        edition: Edition,
        [base, count, target]: [u64; 3],
        change: &mut (impl FnMut(u64, u64) -> Result<(), Status> + ?Sized),
    ) -> Answer {
        let refuses_counts = !edition.has_runs || self.runs == Runs::Refused;
        let target = target & 0xf;
        let top = count.checked_mul(GRANULE).and_then(|bytes| base.checked_add(bytes));
        let is_bad = count == 0 || !base.is_multiple_of(GRANULE) || refuses_counts && count != 1;
        let Some(top) = top.filter(|_| !is_bad) else {
            return Answer::new(Status::InvalidParameters, 0);
        };
        if !matches!(target, NON_SECURE | REALM) {
            return Answer::new(Status::Denied, 0);
        }
        if let Some(kept) = self.kept {
            let meets = base < kept.next + kept.left * GRANULE && kept.next < top;
            if !meets {
                return Answer::new(Status::Busy, 0);
            }
            // The kept operation ends, and its cookie is void.
            self.kept = None;
            return Answer::new(Status::Conflict, 0);
        }
        self.go_on(Operation { next: base, left: count, target, cookie: 0 }, change)
    }

    /// OP_CONTINUE by the Realm world.
    pub fn go_on_with(
        &mut self,
        edition: Edition,
        cookie: u64,
        change: &mut (impl FnMut(u64, u64) -> Result<(), Status> + ?Sized),
    ) -> Answer {
        if !edition.has_runs {
            return Answer::new(Status::NotSupported, 0);
        }
        match self.kept {
            Some(kept) if kept.cookie == cookie => self.go_on(kept, change),
            Some(_) | None => Answer::new(Status::InvalidParameters, 0),
        }
    }

    fn go_on(
        &mut self,
        mut operation: Operation,
        change: &mut (impl FnMut(u64, u64) -> Result<(), Status> + ?Sized),
    ) -> Answer {
        let was_kept = self.kept.take().is_some();
        let most = match self.runs {
            Runs::Whole | Runs::Refused => u64::MAX,
            Runs::Short(granules) => granules.max(1),
            Runs::Kept(granules) => granules,
        };
        let mut done = 0;
        while operation.left > 0 && done < most {
            match change(operation.next, operation.target) {
                Ok(()) => {}
                Err(Status::Busy) if was_kept && done == 0 => {
                    let cookie = self.keep(operation);
                    return Answer { cookie, ..Answer::new(Status::Busy, 0) };
                }
                // What has no count cannot be said once something has changed: it is said to the
                // next request.
                Err(status) if done > 0 && !status.has_count() => {
                    return Answer::new(Status::Success, done);
                }
                Err(status) => return Answer::new(status, done),
            }
            operation.next += GRANULE;
            operation.left -= 1;
            done += 1;
        }
        if operation.left == 0 || matches!(self.runs, Runs::Short(_)) {
            return Answer::new(Status::Success, done);
        }
        let cookie = self.keep(operation);
        Answer { cookie, ..Answer::new(Status::Incomplete, done) }
    }

    /// Keeps an operation; its new cookie.
    const fn keep(&mut self, operation: Operation) -> u64 {
        self.cookies += 1;
        let cookie = 0xc00c_1e00_0000_0000 | self.cookies;
        self.kept = Some(Operation { cookie, ..operation });
        cookie
    }
}

/// GPI_SET by the Normal world, which may move nothing.
#[must_use]
pub const fn set_by_normal_world([base, count, _]: [u64; 3]) -> Answer {
    let is_bad = count != 1 || !base.is_multiple_of(GRANULE);
    Answer::new(if is_bad { Status::InvalidParameters } else { Status::Denied }, 0)
}

/// X0 of SERVICE_VERSION: 1.0 of the base and of the granule service.
#[must_use]
pub const fn service_version(service: u64) -> u64 {
    word(if service <= 1 { 0x1_0000 } else { Status::NotSupported as i32 })
}

/// X0 and X1 of SERVICE_FEATURES.
#[must_use]
pub const fn service_features(edition: Edition, service: u64, register: u64) -> [u64; 2] {
    /// 4 KiB, 1 GiB for each entry of level 0, 36 bits of addresses.
    const SIZES: u64 = 1 << 6;
    let value = match (service, register) {
        // SERVICE_VERSION and SERVICE_FEATURES; the granule service.
        (0, 0) => 3,
        (0, 1) => 1 << 16,
        (1, 0) => {
            if edition.has_runs {
                3
            } else {
                1
            }
        }
        (1, 1) => SIZES,
        _ => return [word(Status::NotSupported as i32), 0],
    };
    [word(0), value]
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::collections::BTreeMap;

    use super::*;

    const BASE: u64 = 0x8000_0000;

    fn answer(status: Status, count: u64) -> Answer {
        Answer::new(status, count)
    }

    /// A service that takes runs so, and granules that change or are refused once.
    struct Tables {
        firme: Firme,
        realm: BTreeMap<u64, ()>,
        refused: BTreeMap<u64, Status>,
    }

    impl Tables {
        fn new(runs: Runs) -> Self {
            let mut firme = Firme::new();
            firme.take_runs(runs);
            Self { firme, realm: BTreeMap::new(), refused: BTreeMap::new() }
        }

        fn change(
            &mut self,
            call: impl FnOnce(&mut Firme, &mut dyn FnMut(u64, u64) -> Result<(), Status>) -> Answer,
        ) -> Answer {
            let Self { firme, realm, refused } = self;
            call(firme, &mut |pa, target| {
                if let Some(status) = refused.remove(&pa) {
                    return Err(status);
                }
                let was = if target == REALM { realm.insert(pa, ()) } else { realm.remove(&pa) };
                if was.is_some() == (target == NON_SECURE) { Ok(()) } else { Err(Status::Denied) }
            })
        }

        fn set(&mut self, first: u64, count: u64, target: u64) -> Answer {
            let arguments = [BASE + first * GRANULE, count, target];
            self.change(|firme, mut change| firme.set(Edition::V2_ALL, arguments, &mut change))
        }

        fn go_on(&mut self, cookie: u64) -> Answer {
            self.change(|firme, mut change| firme.go_on_with(Edition::V2_ALL, cookie, &mut change))
        }
    }

    #[test]
    fn a_run_is_moved_whole_or_up_to_what_is_refused() {
        let mut tables = Tables::new(Runs::Whole);
        assert_eq!(tables.set(0, 5, REALM), answer(Status::Success, 5));
        assert_eq!(tables.set(3, 5, REALM), answer(Status::Denied, 0));
        assert_eq!(tables.set(3, 5, NON_SECURE), answer(Status::Denied, 2));
        assert_eq!(tables.set(0, 0, REALM).status, Status::InvalidParameters);
        assert_eq!(tables.set(0, u64::MAX, REALM).status, Status::InvalidParameters);
        assert_eq!(tables.set(0, 1, 0xa), answer(Status::Denied, 0));
    }

    #[test]
    fn as_tf_a_main_it_takes_one_granule() {
        let mut tables = Tables::new(Runs::Refused);
        assert_eq!(tables.set(0, 2, REALM), answer(Status::InvalidParameters, 0));
        assert_eq!(tables.set(0, 1, REALM), answer(Status::Success, 1));
        let mut change = |_, _| Ok(());
        let mut firme = Firme::new();
        let set = firme.set(Edition::V2, [BASE, 2, REALM], &mut change);
        assert_eq!(set, answer(Status::InvalidParameters, 0));
        let go_on = firme.go_on_with(Edition::V2, 0, &mut change);
        assert_eq!(go_on, answer(Status::NotSupported, 0));
    }

    #[test]
    fn a_run_can_stop_short() {
        let mut tables = Tables::new(Runs::Short(2));
        assert_eq!(tables.set(0, 5, REALM), answer(Status::Success, 2));
        assert_eq!(tables.set(2, 1, REALM), answer(Status::Success, 1));
    }

    #[test]
    fn an_operation_that_is_kept_goes_on_with_its_newest_cookie_only() {
        let mut tables = Tables::new(Runs::Kept(2));
        let first = tables.set(0, 5, REALM);
        assert_eq!((first.status, first.count), (Status::Incomplete, 2));
        assert_eq!(tables.go_on(first.cookie + 7).status, Status::InvalidParameters);
        let second = tables.go_on(first.cookie);
        assert_eq!((second.status, second.count), (Status::Incomplete, 2));
        assert_eq!(tables.go_on(first.cookie).status, Status::InvalidParameters);
        tables.refused.insert(BASE + 4 * GRANULE, Status::Busy);
        let busy = tables.go_on(second.cookie);
        assert_eq!((busy.status, busy.count), (Status::Busy, 0));
        assert_eq!(tables.go_on(busy.cookie), answer(Status::Success, 1));
        assert_eq!(tables.go_on(busy.cookie).status, Status::InvalidParameters);
    }

    #[test]
    fn a_request_into_a_kept_operation_ends_it_and_one_beside_it_waits() {
        let mut tables = Tables::new(Runs::Kept(2));
        let kept = tables.set(0, 5, REALM);
        assert_eq!(tables.set(5, 1, REALM), answer(Status::Busy, 0));
        assert_eq!(tables.set(4, 3, REALM), answer(Status::Conflict, 0));
        assert_eq!(tables.go_on(kept.cookie).status, Status::InvalidParameters);
        assert_eq!(tables.set(2, 2, REALM), answer(Status::Success, 2));
    }

    #[test]
    fn a_refusal_without_a_count_comes_before_progress_only() {
        let mut tables = Tables::new(Runs::Whole);
        tables.refused.insert(BASE + 2 * GRANULE, Status::Busy);
        assert_eq!(tables.set(0, 5, REALM), answer(Status::Success, 2));
        tables.refused.insert(BASE + 2 * GRANULE, Status::Busy);
        assert_eq!(tables.set(2, 3, REALM), answer(Status::Busy, 0));
        tables.refused.insert(BASE + 3 * GRANULE, Status::Conflict);
        assert_eq!(tables.set(2, 3, REALM), answer(Status::Conflict, 1));
    }

    #[test]
    fn what_is_there_is_told_in_32_bits() {
        assert_eq!(
            [0, 1, 2, 5].map(|s| service_version(s) & 0xffff_ffff),
            [0x1_0000, 0x1_0000, 0xffff_ffff, 0xffff_ffff]
        );
        let features = |service, register| {
            let [x0, x1] = service_features(Edition::V2, service, register);
            (x0 & 0xffff_ffff == 0).then_some(x1)
        };
        assert_eq!(
            [features(0, 0), features(0, 1), features(0, 2)],
            [Some(3), Some(1 << 16), None]
        );
        assert_eq!([features(1, 0), features(1, 1), features(2, 0)], [Some(1), Some(0x40), None]);
        assert_eq!(service_features(Edition::V2_ALL, 1, 0)[1], 3);
        assert_eq!(answer(Status::Denied, 3).registers()[0] & 0xffff_ffff, 0xffff_fffb);
    }

    #[test]
    fn the_normal_world_moves_nothing() {
        assert_eq!(set_by_normal_world([BASE, 1, REALM]), answer(Status::Denied, 0));
        assert_eq!(set_by_normal_world([BASE, 2, REALM]).status, Status::InvalidParameters);
        assert_eq!(set_by_normal_world([BASE + 1, 1, REALM]).status, Status::InvalidParameters);
    }
}
