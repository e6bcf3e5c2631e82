//! Operations: the 16 cells of section 6.1, donation (6.4), reclaim (6.5), cancel (6.7).

use super::super::words::{INPUT, REALM};
use super::super::{Phase, State, fid};
use super::{Bench, RD, REC, RESERVED, SHARED, granule};

/// A second page for lists.
const LIST: u64 = SHARED + 0x1000;

/// Words of a list, by their offset.
type Entries<'e> = &'e [(usize, u64)];

/// One page from a granule on.
const fn page(number: u64) -> u64 {
    granule(number) | 1 << 2
}

fn pages(numbers: core::ops::Range<u64>) -> Vec<(usize, u64)> {
    numbers.enumerate().map(|(at, number)| (at * 8, page(number))).collect()
}

/// A REC_CREATE that waits for `count` granules.
fn waiting(count: u64) -> Bench {
    let mut bench = Bench::realm();
    bench.write(SHARED, &[(0, 1)]);
    bench.is(fid::REC_CREATE, &[RD, REC, SHARED], 0x50d, &[0, count << 2]);
    assert_eq!(bench.model.state(REC), State::Intermediate);
    bench
}

/// The same, with all memory.
fn ready() -> Bench {
    let mut bench = waiting(2);
    bench.write(LIST, &pages(16..18));
    bench.is(fid::OP_MEM_DONATE, &[0, LIST, 2], 0xd, &[2, 0]);
    bench
}

/// The same, giving it back.
fn reclaiming() -> Bench {
    let mut bench = ready();
    bench.ok(fid::REALM_ACTIVATE, &[RD], &[]);
    bench.is(fid::OP_CONTINUE, &[0, 0], 0x20d, &[0]);
    bench
}

/// Another call to an operation, with a list that does not matter.
fn call(command: u64, handle: u64) -> Vec<u64> {
    match command {
        fid::OP_CONTINUE => vec![handle, 0],
        fid::OP_CANCEL => vec![handle],
        _ => vec![handle, LIST, 1],
    }
}

#[test]
fn the_16_cells() {
    const COMMANDS: [u64; 4] =
        [fid::OP_CONTINUE, fid::OP_MEM_DONATE, fid::OP_MEM_RECLAIM, fid::OP_CANCEL];
    type State = (fn() -> Bench, [bool; 4]);
    let states: [State; 4] = [
        // RUN, with bit 10 clear.
        (ready, [true, false, false, false]),
        // DONATE.
        (|| waiting(2), [false, true, false, true]),
        // RECLAIM.
        (reclaiming, [false, false, true, false]),
        // None.
        (Bench::realm, [false; 4]),
    ];
    for (state, works) in states {
        for (command, works) in COMMANDS.into_iter().zip(works) {
            let mut bench = state();
            bench.write(LIST, &[(0, page(20))]);
            if works {
                bench.not(command, &call(command, 0), INPUT, &[]);
            } else {
                bench.only(command, &call(command, 0), INPUT);
            }
            // Another handle never works.
            bench.only(command, &call(command, 7), INPUT);
        }
    }
}

#[test]
fn run_can_be_cancelled_if_it_was_said() {
    let mut bench = waiting(2);
    bench.write(LIST, &pages(16..18));
    bench.is(fid::OP_MEM_DONATE, &[0, LIST, 2], 0x40d, &[2, 0]);
    bench.is(fid::OP_CANCEL, &[0], 0x20d, &[0]);
}

#[test]
fn table_6_4() {
    // Entries, count; X0, X1, X2; granules that are taken.
    let sixteen = pages(16..32);
    let one_entry = vec![(0, granule(16) | 16 << 2)];
    let bad_first = vec![(0, page(100)), (8, page(16))];
    let mut bad_third = sixteen.clone();
    bad_third[2].1 = page(100);
    let mut twice = sixteen.clone();
    twice[3].1 = page(17);
    let other_state: Vec<_> = sixteen.iter().map(|(at, word)| (*at, word | 1 << 62)).collect();
    let empty_between = vec![(0, granule(16) | 2 << 2), (8, granule(18)), (16, page(18))];
    let rows: [(Entries<'_>, u64, u64, [u64; 2]); 12] = [
        (&sixteen, 16, 0xd, [16, 0]),
        (&one_entry, 1, 0xd, [16, 0]),
        (&sixteen, 10, 0x50d, [10, 0x18]),
        (&sixteen, 0, 0x50d, [0, 0x40]),
        (&[], 16, 0x50d, [0, 0x40]),
        (&pages(16..33), 17, INPUT, [0, 0]),
        (&bad_first, 2, INPUT, [0, 0]),
        (&bad_third, 16, 0x50d, [2, 0x38]),
        // The second of two equal pages is not suitable.
        (&twice, 16, 0x50d, [3, 0x34]),
        (&other_state, 16, 0xd, [16, 0]),
        (&empty_between, 3, 0x50d, [3, 0x34]),
        // A block that is not aligned.
        (&[(0, granule(16) | 1 | 1 << 2)], 1, INPUT, [0, 0]),
    ];
    for (entries, count, x0, outputs) in rows {
        let mut bench = waiting(16);
        bench.write(LIST, entries);
        bench.is(fid::OP_MEM_DONATE, &[0, LIST, count], x0, &outputs);
        let operation = &bench.model.operations()[&0];
        assert_eq!(operation.granules.len() as u64, outputs[0]);
        let rest = 16 - outputs[0];
        let phase = if rest == 0 { Phase::Run } else { Phase::Donate(rest) };
        assert_eq!(operation.phase, phase, "{entries:x?}");
    }
}

#[test]
fn a_list_is_in_one_granule_of_the_host() {
    let mut bench = waiting(2);
    for list in [LIST + 4, RESERVED, granule(10), 0, 1 << 60] {
        bench.only(fid::OP_MEM_DONATE, &[0, list, 1], INPUT);
    }
    // It is cut at the end of its granule (B-6).
    bench.write(LIST, &[(0xff8, page(16))]);
    bench.is(fid::OP_MEM_DONATE, &[0, LIST + 0xff8, u64::MAX], 0x50d, &[1, 1 << 2]);
}

#[test]
fn a_donating_operation_says_that_it_can_be_cancelled() {
    let mut bench = waiting(2);
    bench.write(LIST, &pages(16..17));
    bench.not(fid::OP_MEM_DONATE, &[0, LIST, 1], 0x10d, &[1, 1 << 2]);
    bench.is(fid::OP_MEM_DONATE, &[0, LIST, 1], 0x50d, &[1, 1 << 2]);
    bench.is(fid::OP_CANCEL, &[0], 0x20d, &[]);
    bench.writes(LIST, &[(0, page(16))]);
    bench.is(fid::OP_MEM_RECLAIM, &[0, LIST, 256], 0xd, &[1]);
    // The code of an operation that was cancelled.
    bench.is(fid::OP_CONTINUE, &[0, 0], INPUT, &[]);
    assert!(bench.model.operations().is_empty());
    assert_eq!(bench.model.state(REC), State::Delegated);
    assert_eq!(bench.model.state(granule(16)), State::Delegated);
}

#[test]
fn cancel_of_what_holds_nothing() {
    let mut bench = waiting(2);
    bench.is(fid::OP_CANCEL, &[0], 0xd, &[]);
    bench.not(fid::OP_CONTINUE, &[0, 0], 0, &[]);
    bench.is(fid::OP_CONTINUE, &[0, 0], INPUT, &[]);
    assert!(bench.model.operations().is_empty());
}

#[test]
fn continue_after_a_donation_that_failed() {
    // Nothing was given: the story ends at once.
    let mut bench = waiting(2);
    bench.only(fid::OP_CONTINUE, &[0, 0], INPUT);
    assert_eq!(bench.model.operations().len(), 1);
    bench.is(fid::OP_MEM_DONATE, &[0, LIST + 1, 1], INPUT, &[]);
    bench.only(fid::OP_CONTINUE, &[0, 0], INPUT);
    assert!(bench.model.operations().is_empty());
    // Something was given: it comes back first.
    let mut bench = waiting(2);
    bench.write(LIST, &[(0, page(16)), (8, page(100))]);
    bench.is(fid::OP_MEM_DONATE, &[0, LIST, 2], 0x50d, &[1, 1 << 2]);
    bench.is(fid::OP_MEM_DONATE, &[0, LIST + 8, 1], INPUT, &[]);
    bench.is(fid::OP_CONTINUE, &[0, 0], 0x20d, &[0]);
    bench.writes(LIST, &[(0, page(16))]);
    bench.is(fid::OP_MEM_RECLAIM, &[0, LIST, 256], 0xd, &[1]);
    bench.is(fid::OP_CONTINUE, &[0, 0], INPUT, &[]);
}

#[test]
fn table_6_5() {
    // What the RMM writes; count; X0, X1; whether that is allowed.
    let both = [(0, page(16)), (8, page(17))];
    let merged = [(0, granule(16) | 2 << 2)];
    let undelegated = [(0, page(16) | 1 << 62)];
    let rows: [(Entries<'_>, u64, u64, u64, bool); 12] = [
        (&both, 256, 0xd, 2, true),
        (&merged, 256, 0xd, 1, true),
        (&both, 1, 0x20d, 1, true),
        (&[], 0, 0x20d, 0, true),
        // Never the end of the operation.
        (&both, 256, REALM, 2, false),
        (&both, 256, 0, 2, false),
        // More than there was room for, or nothing although there was.
        (&both, 1, 0xd, 2, false),
        (&[], 1, 0x20d, 0, false),
        // Is there more?
        (&both, 256, 0x20d, 2, false),
        (&both, 1, 0xd, 1, false),
        (&undelegated, 1, 0x20d, 1, false),
        // Not what was given.
        (&[(0, page(18))], 1, 0x20d, 1, false),
    ];
    for (entries, count, x0, x1, allowed) in rows {
        let mut bench = reclaiming();
        bench.writes(LIST, entries);
        let result = bench.may(fid::OP_MEM_RECLAIM, &[0, LIST, count], x0, &[x1]);
        assert_eq!(result.is_ok(), allowed, "{entries:x?} {count} {x0:x} {x1}: {result:?}");
    }
    let mut bench = reclaiming();
    for list in [LIST + 4, RESERVED, granule(10)] {
        bench.only(fid::OP_MEM_RECLAIM, &[0, list, 1], INPUT);
    }
    // Nothing is lost; then the code that was kept.
    bench.writes(LIST, &both);
    bench.is(fid::OP_MEM_RECLAIM, &[0, LIST, 256], 0xd, &[2]);
    bench.is(fid::OP_CONTINUE, &[0, 0], REALM, &[]);
    assert!(bench.model.operations().is_empty());
    assert_eq!(bench.model.state(granule(17)), State::Delegated);
}

#[test]
fn handles_are_the_lowest_that_are_free() {
    let mut bench = waiting(2);
    bench.write(SHARED, &[(0x100, 1)]);
    bench.not(fid::REC_CREATE, &[RD, granule(6), SHARED], 0x50d, &[0, 2 << 2]);
    bench.not(fid::REC_CREATE, &[RD, granule(6), SHARED], 0x50d, &[2, 2 << 2]);
    bench.is(fid::REC_CREATE, &[RD, granule(6), SHARED], 0x50d, &[1, 2 << 2]);
    // Always as many granules.
    bench.write(SHARED, &[(0x100, 2)]);
    bench.not(fid::REC_CREATE, &[RD, granule(7), SHARED], 0x50d, &[2, 3 << 2]);
    bench.is(fid::OP_CANCEL, &[0], 0xd, &[]);
    bench.is(fid::OP_CONTINUE, &[0, 0], INPUT, &[]);
    bench.is(fid::REC_CREATE, &[RD, granule(7), SHARED], 0x50d, &[0, 2 << 2]);
}

#[test]
fn operations_are_limited_and_bad_arguments_are_seen_first() {
    let mut bench = waiting(2);
    for number in 1..4 {
        bench.write(SHARED, &[(0x100, number)]);
        bench.is(fid::REC_CREATE, &[RD, granule(5 + number), SHARED], 0x50d, &[number, 2 << 2]);
    }
    bench.write(SHARED, &[(0x100, 9)]);
    bench.only(fid::REC_CREATE, &[RD, RESERVED, SHARED], INPUT);
    bench.is(fid::REC_CREATE, &[RD, granule(9), SHARED], 14, &[]);
    bench.is(fid::REC_CREATE, &[RD, granule(9), SHARED], 10, &[]);
    // There may be more than the model counts on.
    bench.is(fid::REC_CREATE, &[RD, granule(9), SHARED], 0x50d, &[4, 2 << 2]);
}

#[test]
fn what_an_operation_owns_is_blocked() {
    let mut bench = ready();
    bench.write(SHARED, &[(0x100, 1)]);
    bench.only(fid::REC_CREATE, &[RD, REC, SHARED], 14);
    bench.only(fid::REC_DESTROY, &[REC], 14);
    bench.only(fid::RANGE_UNDELEGATE, &[REC, REC + 4096], 14);
    for code in [14, 3] {
        bench.is(fid::REC_ENTER, &[REC, SHARED], code, &[]);
    }
    for code in [14, 1] {
        bench.is(fid::RANGE_UNDELEGATE, &[granule(16), granule(17)], code, &[]);
    }
    bench.not(fid::RANGE_UNDELEGATE, &[granule(16), granule(17)], 0, &[granule(17)]);
    bench.ok(fid::OP_CONTINUE, &[0, 0], &[]);
    // Still donated, but no operation.
    bench.only(fid::RANGE_UNDELEGATE, &[granule(16), granule(17)], INPUT);
}

#[test]
fn busy_and_again_change_nothing() {
    let mut bench = ready();
    bench.is(fid::OP_CONTINUE, &[0, 0], 10, &[0]);
    bench.is(fid::OP_CONTINUE, &[0, 0], 0xd, &[0]);
    bench.not(fid::OP_CONTINUE, &[0, 0], 0x10d, &[0]);
    bench.ok(fid::OP_CONTINUE, &[0, 1], &[]);
    assert_eq!(bench.model.state(REC), State::Rec);
}

#[test]
fn a_rec_gives_back_what_it_was_given() {
    let mut bench = ready();
    bench.ok(fid::OP_CONTINUE, &[0, 0], &[]);
    bench.not(fid::REC_DESTROY, &[REC], 0, &[]);
    bench.is(fid::REC_DESTROY, &[REC], 0x20d, &[0, 0]);
    assert_eq!(bench.model.state(REC), State::Intermediate);
    bench.writes(LIST, &[(0, page(17)), (8, page(16))]);
    bench.is(fid::OP_MEM_RECLAIM, &[0, LIST, 2], 0xd, &[2]);
    bench.ok(fid::OP_CONTINUE, &[0, 0], &[]);
    assert_eq!(bench.model.state(REC), State::Delegated);
    assert!(bench.model.recs().is_empty());
}
