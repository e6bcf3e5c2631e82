use std::cell::RefCell;
use std::collections::VecDeque;

use super::*;

const SET: u64 = 0xc400_0402;
const CONTINUE: u64 = 0xc400_0412;
const FIRST: u64 = 0x8000_0000;

/// A status as EL3 gives it: 32 bits, and anything above.
fn status(code: i32) -> u64 {
    0xdead_beef << 32 | u64::from(code.cast_unsigned())
}

/// A service with these bits, and an EL3 that gives these answers.
struct Scripted {
    service: GranuleService,
    answers: RefCell<VecDeque<[u64; 3]>>,
    calls: RefCell<Vec<[u64; 4]>>,
    interrupted: bool,
}

impl Scripted {
    fn new(bits: u8, answers: &[(i32, u64, u64)]) -> Self {
        let answers = answers.iter().map(|&(code, x1, x2)| [status(code), x1, x2]).collect();
        Self {
            service: GranuleService(AtomicU8::new(bits)),
            answers: RefCell::new(answers),
            calls: RefCell::default(),
            interrupted: false,
        }
    }

    fn set(&self, count: u64, to: Pas) -> Result<u64, El3Error> {
        let el3 = |registers| {
            self.calls.borrow_mut().push(registers);
            self.answers.borrow_mut().pop_front().expect("a call too many")
        };
        let first = GranuleAddr::new(FIRST).expect("aligned");
        let moved = self.service.set_pas(el3, || self.interrupted, first, count, to);
        assert!(self.answers.borrow().is_empty(), "an answer was not asked for");
        moved
    }

    fn calls(&self) -> Vec<[u64; 4]> {
        self.calls.take()
    }
}

/// What is made of one answer to a request about four granules.
fn one(answer: (i32, u64, u64)) -> Result<u64, El3Error> {
    let el3 = Scripted::new(THERE | CONTINUES, &[answer]);
    let el3 = Scripted { interrupted: true, ..el3 };
    el3.set(4, Pas::Realm)
}

#[test]
fn each_status_has_its_meaning() {
    // Status, X1, what follows. An interrupt is pending, so that nothing is asked again.
    let table: [((i32, u64), Result<u64, i64>); 19] = [
        ((0, 4), Ok(4)),
        ((0, 1), Ok(1)),
        ((0, 5), Ok(4)),
        ((0, u64::MAX), Ok(4)),
        ((0, 0), Err(-1)),
        ((-1, 4), Err(-1)),
        ((-3, 4), Err(-7)),
        ((-5, 0), Err(-3)),
        ((-5, 3), Ok(3)),
        ((-5, 9), Ok(4)),
        ((-6, 4), Err(-6)),
        ((-7, 0), Err(-10)),
        ((-7, 2), Ok(2)),
        ((-8, 4), Err(-5)),
        ((-9, 0), Err(-3)),
        ((-9, 1), Ok(1)),
        ((-10, 4), Err(-4)),
        ((-11, 4), Err(-5)),
        ((-12, 4), Err(-1)),
    ];
    for ((code, x1), expected) in table {
        assert_eq!(one((code, x1, 7)), expected.map_err(El3Error), "status {code}, count {x1}");
    }
    assert_eq!(one((1, 4, 7)), Err(UNKNOWN), "a positive status");
}

#[test]
fn success_that_stops_short_is_followed_by_a_request_for_the_rest() {
    let el3 = Scripted::new(THERE, &[(0, 3, 0), (0, 1, 0), (0, 6, 0)]);
    assert_eq!(el3.set(10, Pas::Realm), Ok(10));
    let expected = [(0, 10), (3, 7), (4, 6)]
        .map(|(done, count)| [SET, FIRST + done * GRANULE_SIZE, count, 0xb]);
    assert_eq!(el3.calls(), expected);
}

#[test]
fn an_interrupt_ends_it_between_requests_with_progress() {
    let el3 = Scripted::new(THERE, &[(0, 3, 0)]);
    let el3 = Scripted { interrupted: true, ..el3 };
    assert_eq!(el3.set(10, Pas::NonSecure), Ok(3));
    assert_eq!(el3.calls(), [[SET, FIRST, 10, 9]]);
}

#[test]
fn an_operation_that_el3_keeps_goes_on_with_the_newest_cookie_to_its_end() {
    let answers = [(-4, 2, 0x51), (-6, 9, 0x52), (-4, 0, 0x53), (0, 5, 0)];
    let el3 = Scripted::new(THERE | CONTINUES, &answers);
    let el3 = Scripted { interrupted: true, ..el3 };
    assert_eq!(el3.set(7, Pas::Realm), Ok(7));
    let calls = [[SET, FIRST, 7, 0xb], [CONTINUE, 0x51, 0, 0]];
    let rest = [[CONTINUE, 0x52, 0, 0], [CONTINUE, 0x53, 0, 0]];
    assert_eq!(el3.calls(), [calls, rest].concat());
}

#[test]
fn an_operation_may_end_with_a_refusal_after_progress() {
    for code in [-5, -7, -9] {
        let el3 = Scripted::new(THERE | CONTINUES, &[(-4, 2, 1), (code, 1, 0)]);
        assert_eq!(el3.set(7, Pas::NonSecure), Ok(3), "status {code}");
    }
    let el3 = Scripted::new(THERE | CONTINUES, &[(-4, 0, 1), (-7, 0, 0)]);
    assert_eq!(el3.set(7, Pas::NonSecure), Err(El3Error::CONFLICT));
}

#[test]
fn incomplete_without_continue_or_without_end_is_a_broken_el3() {
    let el3 = Scripted::new(THERE, &[(-4, 0, 1)]);
    assert_eq!(el3.set(7, Pas::Realm), Err(UNKNOWN));
    let el3 = Scripted::new(THERE, &[(-4, 2, 1)]);
    assert_eq!(el3.set(7, Pas::Realm), Ok(2));
    let endless = vec![(-4, 0, 1); IDLE_MAX as usize + 1];
    assert_eq!(Scripted::new(THERE | CONTINUES, &endless).set(7, Pas::Realm), Err(UNKNOWN));
}

#[test]
fn all_granules_with_an_operation_that_is_not_over_are_all_granules() {
    let el3 = Scripted::new(THERE | CONTINUES, &[(-4, 7, 1), (0, 0, 0)]);
    assert_eq!(el3.set(7, Pas::Realm), Ok(7));
}

#[test]
fn busy_is_tried_again_but_not_for_ever() {
    let el3 = Scripted::new(THERE, &[(-6, 0, 0), (-6, 0, 0), (0, 1, 0)]);
    assert_eq!(el3.set(1, Pas::Realm), Ok(1));
    let busy = vec![(-6, 0, 0); IDLE_MAX as usize];
    assert_eq!(Scripted::new(THERE, &busy).set(1, Pas::NonSecure), Err(El3Error::AGAIN));
    let later: Vec<_> = [(0, 2, 0)].into_iter().chain(busy).collect();
    assert_eq!(Scripted::new(THERE, &later).set(3, Pas::NonSecure), Ok(2));
}

#[test]
fn a_refused_count_is_remembered_once_a_single_granule_was_moved() {
    let el3 = Scripted::new(THERE, &[(-2, 9, 0), (0, 1, 0), (0, 1, 0), (0, 1, 0)]);
    assert_eq!(el3.set(3, Pas::Realm), Ok(3));
    let counts: Vec<u64> = el3.calls().iter().map(|[_, _, count, _]| *count).collect();
    assert_eq!(counts, [3, 1, 1, 1]);
    assert!(el3.service.is_single());
    el3.answers.borrow_mut().extend([[0, 1, 0]; 2]);
    assert_eq!(el3.set(2, Pas::NonSecure), Ok(2));
    let counts: Vec<u64> = el3.calls().iter().map(|[_, _, count, _]| *count).collect();
    assert_eq!(counts, [1, 1]);
}

#[test]
fn a_bad_granule_does_not_end_counts() {
    let el3 = Scripted::new(THERE, &[(-2, 0, 0), (-2, 0, 0)]);
    assert_eq!(el3.set(3, Pas::Realm), Err(INVALID));
    assert!(!el3.service.is_single());
    // The first granule alone is refused for another reason.
    let el3 = Scripted::new(THERE, &[(-2, 0, 0), (-5, 0, 0)]);
    assert_eq!(el3.set(3, Pas::Realm), Err(El3Error(-3)));
    assert!(!el3.service.is_single());
}

/// Discovery from an EL3 that answers so: version of the base and of the granule service, register
/// 1 of the base, registers 0 and 1 of the granule service.
fn found([base, granules]: [u64; 2], services: u64, calls: u64, sizes: u64) -> GranuleCalls {
    let el3 = |[x0, x1, x2, _]: [u64; 4]| match (x0, x1, x2) {
        (0xc400_0400, 0, 0) => [base, 0, 0],
        (0xc400_0400, 1, 0) => [granules, 0, 0],
        (0xc400_0401, 0, 1) => [0, services, 0],
        (0xc400_0401, 1, 0) => [0, calls, 0],
        (0xc400_0401, 1, 1) => [0, sizes, 0],
        _ => panic!("{x0:#x}({x1}, {x2}) is not part of discovery"),
    };
    let service = GranuleService::absent();
    let calls = service.discover(el3);
    assert_eq!(service.is_there(), calls != GranuleCalls::OneByOne);
    calls
}

#[test]
fn the_service_is_found_where_it_is() {
    const V1: [u64; 2] = [0x1_0000; 2];
    // As TF-A main on QEMU.
    assert_eq!(found(V1, 0x1_0000, 1, 0x80), GranuleCalls::Runs);
    assert_eq!(found([0x1_0003; 2], 0x1f_0000, 0xf, 0x80), GranuleCalls::ContinuedRuns);
    let missing = [
        found([status(-1), 0x1_0000], 0x1_0000, 1, 0x80),
        found([0x2_0000, 0x1_0000], 0x1_0000, 1, 0x80),
        found(V1, 0x2_0000, 1, 0x80),
        found([0x1_0000, status(-1)], 0x1_0000, 1, 0x80),
        found([0x1_0000, 0], 0x1_0000, 1, 0x80),
        found(V1, 0x1_0000, 2, 0x80),
        found(V1, 0x1_0000, 1, 0x81),
    ];
    assert_eq!(missing, [GranuleCalls::OneByOne; 7]);
}

#[test]
fn an_el3_that_knows_no_firme_has_no_service() {
    let service = GranuleService::absent();
    assert_eq!(service.discover(|_| [u64::MAX, 0, 0]), GranuleCalls::OneByOne);
}
