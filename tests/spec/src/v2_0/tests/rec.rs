//! RECs: creation, entry, PSCI.

use super::super::words::{INPUT, REALM, REC as BAD_REC};
use super::super::{RealmState, fid};
use super::{Bench, RD, REC, RESERVED, SHARED, granule};

/// A run page, and a second REC.
const RUN: u64 = SHARED + 0x1000;
const OTHER: u64 = granule(6);

/// An ACTIVE Realm with two RECs, of which the first can run.
fn running() -> Bench {
    let mut bench = Bench::realm();
    bench.make_rec(REC, 0, 1);
    bench.make_rec(OTHER, 1, 0);
    bench.ok(fid::REALM_ACTIVATE, &[RD], &[]);
    bench
}

/// REC_ENTER with this exit.
fn enter(bench: &mut Bench, exit: &[(usize, u64)]) -> Result<&'static str, String> {
    bench.write(RUN, &[]);
    bench.writes(RUN, exit);
    bench.may(fid::REC_ENTER, &[REC, RUN], 0, &[])
}

#[test]
fn creation() {
    let mut bench = Bench::realm();
    bench.make_rec(REC, 0, 1);
    bench.write(SHARED, &[]);
    bench.only(fid::REC_CREATE, &[RD, OTHER, SHARED], INPUT);
    bench.write(SHARED, &[(0x100, 0xf0ff_ff05)]);
    for arguments in [
        [RD, REC, SHARED],
        [RD, OTHER, SHARED + 8],
        [RD, OTHER, RESERVED],
        [RD, granule(100), SHARED],
        [OTHER, granule(7), SHARED],
    ] {
        bench.only(fid::REC_CREATE, &arguments, INPUT);
    }
    bench.ok(fid::REALM_ACTIVATE, &[RD], &[]);
    bench.only(fid::REC_CREATE, &[RD, OTHER, SHARED], REALM);
}

#[test]
fn recs_are_limited() {
    let mut bench = Bench::realm();
    bench.model.platform.max_recs_order = 1;
    bench.make_rec(REC, 0, 1);
    bench.write(SHARED, &[(0x100, 1)]);
    bench.only(fid::REC_CREATE, &[RD, OTHER, SHARED], REALM);
}

#[test]
fn two_with_one_affinity_in_flight() {
    let mut bench = Bench::realm();
    bench.write(SHARED, &[]);
    bench.is(fid::REC_CREATE, &[RD, REC, SHARED], 0x50d, &[0, 1 << 2]);
    bench.is(fid::REC_CREATE, &[RD, OTHER, SHARED], 0x50d, &[1, 1 << 2]);
    bench.write(RUN, &[(0, granule(16) | 1 << 2), (8, granule(17) | 1 << 2)]);
    bench.is(fid::OP_MEM_DONATE, &[0, RUN, 1], 0xd, &[1, 0]);
    bench.is(fid::OP_MEM_DONATE, &[1, RUN + 8, 1], 0xd, &[1, 0]);
    bench.ok(fid::OP_CONTINUE, &[1, 0], &[]);
    bench.not(fid::OP_CONTINUE, &[0, 0], 0, &[]);
    bench.is(fid::OP_CONTINUE, &[0, 0], 0x20d, &[0]);
}

#[test]
fn conditions_of_an_entry() {
    let mut bench = running();
    for arguments in [[REC, RUN + 8], [REC, RESERVED], [REC, granule(9)], [RD, RUN], [REC + 8, RUN]]
    {
        bench.only(fid::REC_ENTER, &arguments, INPUT);
    }
    bench.only(fid::REC_ENTER, &[OTHER, RUN], BAD_REC);
    bench.write(RUN, &[(0, 1)]);
    bench.only(fid::REC_ENTER, &[REC, RUN], BAD_REC);
    bench.write(RUN, &[]);
    bench.model.set_running(REC, true);
    bench.only(fid::REC_ENTER, &[REC, RUN], BAD_REC);
    bench.only(fid::REC_DESTROY, &[REC], BAD_REC);
    bench.only(fid::REALM_TERMINATE, &[RD], REALM);
    bench.model.set_running(REC, false);
    bench.host.list_registers = vec![1 << 61 | 1 << 62];
    bench.only(fid::REC_ENTER, &[REC, RUN], BAD_REC);
    // HW in an invalid list register does no harm.
    bench.host.list_registers = vec![1 << 61];
    bench.writes(RUN, &[(0x800, 1)]);
    bench.ok(fid::REC_ENTER, &[REC, RUN], &[]);
    bench.ok(fid::REALM_TERMINATE, &[RD], &[]);
    bench.only(fid::REC_ENTER, &[REC, RUN], REALM);
}

#[test]
fn exits_say_nothing_else() {
    let rows: [(&[(usize, u64)], bool); 13] = [
        (&[(0x800, 3), (0xa00, 0xc400_0001)], true),
        (&[(0x800, 3), (0xa00, 0xc400_0001), (0xa08, 1)], false),
        (&[(0x800, 1)], true),
        (&[(0x800, 1), (0xc00, 5), (0xc18, 9), (0xf00, 1)], true),
        (&[(0x800, 1), (0x900, 1)], false),
        (&[(0x800, 1), (0xb00, 1)], false),
        (&[(0x800, 2), (0xa00, 1)], false),
        (&[(0x800, 0), (0x900, 1), (0xa00, 7)], true),
        (&[(0x800, 0), (0xa08, 7)], false),
        (&[(0x800, 5), (0xe00, 3), (0xaf0, 9)], true),
        (&[(0x800, 4), (0xd00, 0x1000), (0xd08, 0x2000), (0xd10, 1)], true),
        (&[(0x800, 4), (0xd00, 0x1000), (0xd08, 0x2000), (0xd10, 2)], false),
        (&[(0x800, 9)], false),
    ];
    for (exit, allowed) in rows {
        let result = enter(&mut running(), exit);
        assert_eq!(result.is_ok(), allowed, "{exit:x?}: {result:?}");
    }
}

#[test]
fn an_emulatable_abort_allows_emulation() {
    let mut bench = running();
    let fault = 1 << 38 >> 12 << 4;
    let abort = [(0x800, 0), (0x900, 0x24 << 26 | 1 << 24), (0x910, fault)];
    enter(&mut bench, &abort).unwrap();
    bench.write(RUN, &[(0, 1)]);
    bench.not(fid::REC_ENTER, &[REC, RUN], BAD_REC, &[]);
    // At a protected address it is not emulatable.
    enter(&mut bench, &[(0x800, 0), (0x900, 0x24 << 26 | 1 << 24)]).unwrap();
    bench.write(RUN, &[(0, 1)]);
    bench.only(fid::REC_ENTER, &[REC, RUN], BAD_REC);
}

const CPU_ON: [(usize, u64); 3] = [(0x800, 3), (0xa00, 0xc400_0003), (0xa08, 1)];
const DENIED: u64 = (-3_i64).cast_unsigned();

#[test]
fn psci() {
    let mut bench = running();
    bench.only(fid::PSCI_COMPLETE, &[REC, 0], INPUT);
    enter(&mut bench, &CPU_ON).unwrap();
    bench.only(fid::REC_ENTER, &[REC, RUN], BAD_REC);
    for status in [1, (-1_i64).cast_unsigned(), (-4_i64).cast_unsigned()] {
        bench.only(fid::PSCI_COMPLETE, &[REC, status], INPUT);
    }
    bench.only(fid::PSCI_COMPLETE, &[OTHER, 0], INPUT);
    bench.ok(fid::PSCI_COMPLETE, &[REC, 0], &[]);
    assert!(bench.model.recs()[&OTHER].is_runnable);
    bench.only(fid::PSCI_COMPLETE, &[REC, 0], INPUT);
    // Again: DENIED for a REC that is on fails, and ends the request.
    enter(&mut bench, &CPU_ON).unwrap();
    bench.only(fid::PSCI_COMPLETE, &[REC, DENIED], INPUT);
    enter(&mut bench, &[(0x800, 1)]).unwrap();
    // A REC that is gone.
    enter(&mut bench, &CPU_ON).unwrap();
    bench.is(fid::REC_DESTROY, &[OTHER], 0x20d, &[0]);
    bench.writes(SHARED, &[(0, granule(19) | 3 << 2)]);
    bench.is(fid::OP_MEM_RECLAIM, &[0, SHARED, 8], 0xd, &[1]);
    bench.ok(fid::OP_CONTINUE, &[0, 0], &[]);
    bench.only(fid::PSCI_COMPLETE, &[REC, 0], 0);
    // The Realm turns itself off.
    enter(&mut bench, &[(0x800, 3), (0xa00, 0x8400_0008)]).unwrap();
    assert_eq!(bench.model.realms()[&RD].state, RealmState::SystemOff);
    bench.only(fid::REC_ENTER, &[REC, RUN], REALM);
}

#[test]
fn denied_leaves_a_rec_off() {
    let mut bench = running();
    enter(&mut bench, &CPU_ON).unwrap();
    bench.only(fid::PSCI_COMPLETE, &[REC, DENIED], 0);
    assert!(!bench.model.recs()[&OTHER].is_runnable);
    // CPU_OFF.
    enter(&mut bench, &[(0x800, 3), (0xa00, 0x8400_0002)]).unwrap();
    bench.only(fid::REC_ENTER, &[REC, RUN], BAD_REC);
}

#[test]
fn ripas_changes() {
    let mut bench = running();
    // Tables cannot be missing: the first entry would be too large.
    let (base, top) = (0x1000, 0x4000);
    enter(&mut bench, &[(0x800, 4), (0xd00, base), (0xd08, top), (0xd10, 1)]).unwrap();
    bench.is(fid::RTT_SET_RIPAS, &[RD, REC, base, top], 0x104, &[]);
    bench.ok(fid::RTT_CREATE, &[RD, granule(2), 0, 2], &[]);
    bench.is(fid::RTT_SET_RIPAS, &[RD, REC, base, top], 0x204, &[base]);
    bench.ok(fid::RTT_CREATE, &[RD, granule(3), 0, 3], &[]);
    bench.only(fid::RTT_SET_RIPAS, &[RD, REC, 0, top], INPUT);
    bench.not(fid::RTT_SET_RIPAS, &[RD, REC, 0, top], INPUT, &[base]);
    bench.only(fid::RTT_SET_RIPAS, &[RD, REC, base, top + 0x1000], INPUT);
    bench.only(fid::RTT_SET_RIPAS, &[RD, REC, base, base], INPUT);
    bench.only(fid::RTT_SET_RIPAS, &[RD, OTHER, base, top], INPUT);
    bench.not(fid::RTT_SET_RIPAS, &[RD, REC, base, top], 0, &[base]);
    bench.ok(fid::RTT_SET_RIPAS, &[RD, REC, base, top], &[0x2000]);
    bench.only(fid::RTT_SET_RIPAS, &[RD, REC, base, top], INPUT);
    bench.ok(fid::RTT_SET_RIPAS, &[RD, REC, 0x2000, top], &[top]);
    bench.ok(fid::RTT_READ_ENTRY, &[RD, 0x3000, 3], &[3, 0, 0, 1]);
    bench.ok(fid::RTT_READ_ENTRY, &[RD, 0x4000, 3], &[3, 0, 0, 0]);
    // The next entry ends the request.
    enter(&mut bench, &[(0x800, 1)]).unwrap();
    bench.only(fid::RTT_SET_RIPAS, &[RD, REC, top, top + 0x1000], INPUT);
}
