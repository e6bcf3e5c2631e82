//! Life of the RMM, versions, granules, tracking.

use super::super::fid::{self, COMMANDS, Known, When};
use super::super::words::{BUSY, GLOBAL, INPUT, UNKNOWN};
use super::super::{Latch, State, version};
use super::{Bench, MEMORY, RESERVED, SHARED, granule};

#[test]
fn unknown_and_gone_commands_do_not_exist() {
    let mut bench = Bench::active();
    for number in fid::GONE {
        bench.only(0xc400_0000 + number, &[], UNKNOWN);
    }
    bench.only(0xc400_0150 - 1, &[], UNKNOWN);
    // The SVE hint is no part of the number.
    bench.ok(fid::STATE_GET | 1 << 16, &[], &[1]);
}

#[test]
fn commands_of_features_that_are_not_there_are_not_supported() {
    let mut bench = Bench::active();
    for (first, last) in fid::OPTIONAL {
        for number in first..=last {
            bench.is(0xc400_0000 + number, &[], 5, &[]);
            bench.is(0xc400_0000 + number, &[], UNKNOWN, &[]);
            bench.not(0xc400_0000 + number, &[], 0, &[]);
        }
    }
}

#[test]
fn every_command_of_an_active_rmm_is_refused_before() {
    for (command, known) in COMMANDS {
        let mut bench = Bench::new();
        match known {
            Known::Only2(When::Active) | Known::Both(When::Active) => {
                bench.only(command, &[], GLOBAL);
            }
            _ => bench.not(command, &[], GLOBAL, &[]),
        }
    }
}

#[test]
fn registers_that_are_no_outputs_come_back() {
    let mut bench = Bench::new();
    let call = [fid::STATE_GET, 1, 2, 3, 4, 5, 6, 7];
    for register in 1..8 {
        let mut answer = [0, 0, 0, 0, 4, 5, 6, 7];
        assert!(bench.model.judge(&call, &bench.host, &answer).is_ok());
        answer[register] = 0x99;
        assert!(bench.model.judge(&call, &bench.host, &answer).is_err(), "X{register}");
    }
}

#[test]
fn a_life() {
    let mut bench = Bench::new();
    bench.ok(fid::VERSION, &[0x2_0000], &[0x2_0000, 0x2_0000]);
    bench.ok(fid::FEATURES, &[0], &[0x60_0031_4030]);
    bench.ok(fid::FEATURES, &[7], &[0]);
    bench.ok(fid::STATE_GET, &[], &[0]);
    // Bytes beyond the two fields are ignored.
    bench.write(SHARED, &[(0x10, 99), (0xff8, u64::MAX)]);
    bench.ok(fid::CONFIG_SET, &[SHARED], &[]);
    bench.writes(SHARED, &[(0x10, 0), (0xff8, 0)]);
    bench.ok(fid::CONFIG_GET, &[SHARED], &[]);
    bench.ok(fid::ACTIVATE, &[], &[]);
    bench.ok(fid::STATE_GET, &[], &[1]);
    bench.only(fid::ACTIVATE, &[], GLOBAL);
    bench.only(fid::CONFIG_SET, &[SHARED], GLOBAL);
    bench.ok(fid::RANGE_DELEGATE, &[MEMORY, granule(1)], &[granule(1)]);
    bench.only(fid::DEACTIVATE, &[], GLOBAL);
    bench.ok(fid::RANGE_UNDELEGATE, &[MEMORY, granule(1)], &[granule(1)]);
    assert_eq!(bench.model.latch(), Latch::Hard(version::V2_0));
    bench.ok(fid::DEACTIVATE, &[], &[]);
    assert_eq!(bench.model.latch(), Latch::None);
    bench.only(fid::DEACTIVATE, &[], GLOBAL);
    bench.ok(fid::ACTIVATE, &[], &[]);
}

#[test]
fn a_configuration_is_good_and_in_a_page_of_the_host() {
    let mut bench = Bench::new();
    for page in [0, SHARED + 8, RESERVED, 0x807f_f000, 1 << 60] {
        bench.only(fid::CONFIG_SET, &[page], INPUT);
        bench.only(fid::CONFIG_GET, &[page], INPUT);
    }
    for words in [[(0, 1), (8, 0)], [(0, 0), (8, 1)], [(0, 0), (8, 2)], [(0, 7), (8, 0)]] {
        bench.write(SHARED, &words);
        bench.only(fid::CONFIG_SET, &[SHARED], INPUT);
    }
    // The fields are bytes.
    bench.write(SHARED, &[(0, 0x100), (8, 0x300)]);
    bench.ok(fid::CONFIG_SET, &[SHARED], &[]);
    bench.not(fid::CONFIG_GET, &[SHARED], 0, &[]);
}

#[test]
fn an_operation_blocks_deactivation_before_granules_do() {
    let mut bench = Bench::realm();
    bench.write(SHARED, &[]);
    bench.is(fid::REC_CREATE, &[super::RD, super::REC, SHARED], 0x50d, &[0, 1 << 2]);
    bench.only(fid::DEACTIVATE, &[], BUSY);
}

#[test]
fn a_host_of_1_0_is_left_alone() {
    let mut bench = Bench::new();
    bench.ok(fid::VERSION, &[0x1_0000], &[0x1_0000, 0x2_0000]);
    // GRANULE_DELEGATE: whatever the answer.
    bench.is(0xc400_0151, &[MEMORY], 0, &[]);
    assert_eq!(bench.model.latch(), Latch::Hard(version::V1_0));
    bench.only(fid::STATE_GET, &[], UNKNOWN);
    bench.is(fid::VERSION, &[0x2_0000], INPUT, &[0x1_0000, 0x1_0000]);
}

#[test]
fn table_5_2() {
    let mut bench = Bench::new();
    bench.ok(fid::ACTIVATE, &[], &[]);
    let [base, top] = [MEMORY, granule(16)];
    for (base, top) in [(base + 1, top), (base, top + 8), (top, base), (base, base)] {
        bench.only(fid::RANGE_DELEGATE, &[base, top], INPUT);
        bench.only(fid::RANGE_UNDELEGATE, &[base, top], INPUT);
    }
    // As far as it likes, but at least one.
    bench.not(fid::RANGE_DELEGATE, &[base, top], 0, &[base]);
    bench.not(fid::RANGE_DELEGATE, &[base, top], 0, &[granule(17)]);
    bench.not(fid::RANGE_DELEGATE, &[base, top], 0, &[base + 8]);
    bench.ok(fid::RANGE_DELEGATE, &[base, top], &[granule(5)]);
    assert_eq!(bench.model.granules().len(), 5);
    bench.ok(fid::RANGE_DELEGATE, &[granule(5), top], &[top]);
    // Again: progress.
    bench.ok(fid::RANGE_DELEGATE, &[base, top], &[top]);
    bench.not(fid::RANGE_DELEGATE, &[base, top], INPUT, &[]);
    // Undelegated is progress too.
    bench.ok(fid::RANGE_UNDELEGATE, &[base, granule(32)], &[granule(32)]);
    assert!(bench.model.granules().is_empty());
    // The end of memory.
    let end = 0x8080_0000;
    bench.is(fid::RANGE_DELEGATE, &[end, end + 4096], 12, &[]);
    bench.is(fid::RANGE_DELEGATE, &[end, end + 4096], 0x12_3400_030c, &[end]);
    bench.not(fid::RANGE_DELEGATE, &[end, end + 4096], 12, &[end + 4096]);
    bench.not(fid::RANGE_UNDELEGATE, &[end - 4096, end + 4096], 0, &[end + 4096]);
    bench.ok(fid::RANGE_UNDELEGATE, &[end - 4096, end + 4096], &[end]);
    bench.is(fid::RANGE_DELEGATE, &[RESERVED, RESERVED + 4096], 12, &[]);
    // Not the Host's to give.
    bench.is(fid::RANGE_DELEGATE, &[0x807f_f000, end], INPUT, &[]);
    bench.not(fid::RANGE_DELEGATE, &[0x807f_f000, end], 0, &[end]);
}

#[test]
fn a_granule_in_use_stops_a_range() {
    let mut bench = Bench::realm();
    for command in [fid::RANGE_DELEGATE, fid::RANGE_UNDELEGATE] {
        bench.only(command, &[super::RD, granule(8)], INPUT);
        bench.only(command, &[super::ROOT, granule(8)], INPUT);
    }
    assert_eq!(bench.model.state(super::RD), State::Rd);
}

#[test]
fn el3_refuses() {
    let mut bench = Bench::new();
    bench.ok(fid::ACTIVATE, &[], &[]);
    for code in [INPUT, BUSY] {
        bench.model.refuse_el3(code);
        bench.only(fid::RANGE_DELEGATE, &[MEMORY, granule(2)], code);
        bench.ok(fid::RANGE_DELEGATE, &[MEMORY, granule(2)], &[granule(1)]);
        bench.ok(fid::RANGE_UNDELEGATE, &[MEMORY, granule(2)], &[granule(2)]);
    }
    // After what is done already: success, as far as that.
    bench.ok(fid::RANGE_DELEGATE, &[MEMORY, granule(1)], &[granule(1)]);
    bench.model.refuse_el3(INPUT);
    bench.not(fid::RANGE_DELEGATE, &[MEMORY, granule(2)], 0, &[granule(2)]);
    bench.ok(fid::RANGE_DELEGATE, &[MEMORY, granule(2)], &[granule(1)]);
    bench.ok(fid::RANGE_DELEGATE, &[granule(1), granule(2)], &[granule(2)]);
}

#[test]
fn tracking() {
    let mut bench = Bench::active();
    let top = 1 << 48;
    bench.ok(fid::TRACKING_GET, &[MEMORY, top], &[0, 2, 0x8080_0000]);
    bench.ok(fid::TRACKING_GET, &[MEMORY, top], &[0, 2, granule(1)]);
    bench.not(fid::TRACKING_GET, &[MEMORY, top], 0, &[0, 2, 0x8080_1000]);
    bench.ok(fid::TRACKING_GET, &[RESERVED, top], &[0, 0, RESERVED + 0x10_0000]);
    bench.ok(fid::TRACKING_GET, &[0, top], &[3, 1, MEMORY]);
    bench.ok(fid::TRACKING_GET, &[top - 4096, top], &[3, 1, top]);
    for (base, to) in [(1, 4096), (0, 8), (4096, 0), (0, 0), (top, top + 4096), (0, top + 4096)] {
        bench.only(fid::TRACKING_GET, &[base, to], INPUT);
    }
    let memory = 0x8_8000_0000;
    let rows = [
        ([memory, 0, 2], 0),
        ([memory, 0, 1], 5),
        ([memory, 0, 3], 5),
        ([memory, 1, 2], 5),
        ([memory, 0, 0], INPUT),
        ([memory, 0, 4], INPUT),
        ([memory, 4, 2], INPUT),
        ([memory + 4096, 0, 2], INPUT),
        ([0, 0, 2], INPUT),
        ([top, 0, 2], INPUT),
    ];
    for (arguments, code) in rows {
        bench.is(fid::TRACKING_SET, &arguments, code, &[]);
        if code != 0 {
            bench.not(fid::TRACKING_SET, &arguments, 0, &[]);
        }
    }
}

#[test]
fn protection_table() {
    const GIB: u64 = 1 << 30;
    let mut bench = Bench::active();
    let base = 0x8000_0000;
    bench.ok(fid::GPT_INFO, &[base, base + GIB], &[base + GIB, 1]);
    bench.not(fid::GPT_INFO, &[base, base + GIB], 0, &[base + GIB, 0]);
    bench.ok(fid::GPT_INFO, &[0, GIB], &[GIB, 0]);
    bench.not(fid::GPT_INFO, &[GIB, 4 * GIB], 0, &[4 * GIB, 0]);
    bench.ok(fid::GPT_INFO, &[(1 << 48) - GIB, 1 << 48], &[1 << 48, 0]);
    for (from, to) in [(4096, GIB), (0, 4096), (GIB, GIB), (1 << 48, (1 << 48) + GIB)] {
        bench.only(fid::GPT_INFO, &[from, to], INPUT);
    }
    for command in [fid::GPT_L1_CREATE, fid::GPT_L1_DESTROY] {
        bench.only(command, &[base], 15);
        bench.only(command, &[base + 4096], INPUT);
        bench.only(command, &[1 << 48], INPUT);
    }
}
