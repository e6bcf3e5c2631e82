//! Realms and their measurement.

use super::super::words::{GLOBAL, INPUT, REALM};
use super::super::{RealmState, State, fid};
use super::{Bench, RD, REC, ROOT, SHARED, granule};

#[test]
fn parameters_field_by_field() {
    // Offset, value; whether it may succeed, and must.
    let rows = [
        (0x8, 31, false),
        (0x8, 40, false),
        (0x8, 49, false),
        (0x810, 0, false),
        (0x810, 2, false),
        (0x818, 2, false),
        (0x818, 1 | 1 << 32, true),
        (0x808, ROOT + 8, false),
        (0x808, RD, false),
        (0x808, granule(100), false),
        (0x18, 5, true),
        (0x18, 6, false),
        (0x20, 3, true),
        (0x20, 4, false),
        (0x30, 1, true),
        (0x30, 2, true),
        (0x30, 3, false),
        (0x38, 1, false),
        (0x440, 1, false),
        (0x800, 77, true),
        (0x820, 2, false),
        (0x820, 4, false),
        // flags0: lpa2, sve, pmu, da, lfa_policy, mec_policy.
        (0, 1 << 0, false),
        (0, 1 << 1, false),
        (0, 1 << 2, false),
        (0, 1 << 3, false),
        (0, 1 << 5, true),
        (0, 1 << 6, false),
        (0, 1 << 7, true),
        (0, 1 << 8, false),
        (0, 1 << 63, true),
    ];
    for (offset, value, good) in rows {
        let mut bench = Bench::active();
        let mut words = Bench::params();
        words.push((offset, value));
        bench.write(SHARED, &words);
        if good {
            bench.not(fid::REALM_CREATE, &[RD, SHARED], INPUT, &[]);
            bench.ok(fid::REALM_CREATE, &[RD, SHARED], &[]);
        } else {
            bench.only(fid::REALM_CREATE, &[RD, SHARED], INPUT);
            assert_eq!(bench.model.state(ROOT), State::Delegated, "{offset:x} {value}");
        }
    }
}

#[test]
fn two_start_tables() {
    let mut bench = Bench::active();
    let words = [(0x8, 40), (0x808, granule(2)), (0x810, 1), (0x818, 2)];
    bench.write(SHARED, &words);
    bench.only(fid::REALM_CREATE, &[granule(3), SHARED], INPUT);
    bench.ok(fid::REALM_CREATE, &[RD, SHARED], &[]);
    assert_eq!(bench.model.state(granule(3)), State::Rtt);
}

#[test]
fn states_of_a_realm() {
    let mut bench = Bench::realm();
    bench.only(fid::REALM_DESTROY, &[RD], REALM);
    bench.ok(fid::REALM_ACTIVATE, &[RD], &[]);
    bench.only(fid::REALM_ACTIVATE, &[RD], REALM);
    bench.only(fid::REALM_DESTROY, &[RD], REALM);
    bench.ok(fid::REALM_TERMINATE, &[RD], &[]);
    bench.ok(fid::REALM_TERMINATE, &[RD], &[]);
    bench.only(fid::REALM_ACTIVATE, &[RD], REALM);
    assert_eq!(bench.model.realms()[&RD].state, RealmState::Zombie);
    bench.ok(fid::REALM_DESTROY, &[RD], &[]);
    for command in [fid::REALM_ACTIVATE, fid::REALM_TERMINATE, fid::REALM_DESTROY] {
        bench.only(command, &[RD], INPUT);
        bench.only(command, &[RD + 8], INPUT);
    }
    assert!(bench.model.granules().values().all(|state| *state == State::Delegated));
}

#[test]
fn a_realm_with_a_rec_or_a_table_is_live() {
    let mut bench = Bench::realm();
    bench.make_rec(REC, 0, 1);
    bench.ok(fid::REALM_TERMINATE, &[RD], &[]);
    bench.only(fid::REALM_DESTROY, &[RD], REALM);
    let mut bench = Bench::realm();
    bench.ok(fid::RTT_CREATE, &[RD, super::TABLES[0], 0, 2], &[]);
    bench.ok(fid::REALM_TERMINATE, &[RD], &[]);
    bench.only(fid::REALM_DESTROY, &[RD], REALM);
    bench.ok(fid::RTT_DESTROY, &[RD, 0, 2], &[super::TABLES[0], 1 << 39]);
    bench.ok(fid::REALM_DESTROY, &[RD], &[]);
}

#[test]
fn vmids_end() {
    let mut bench = Bench::active();
    bench.model.platform.vmid16 = false;
    bench.ok(fid::RANGE_DELEGATE, &[granule(64), granule(600)], &[granule(600)]);
    for number in 0..256 {
        let (rd, root) = (granule(2 * number), granule(2 * number + 1));
        bench.write(SHARED, &[(0x8, 39), (0x808, root), (0x810, 1), (0x818, 1)]);
        if number == 255 {
            bench.only(fid::REALM_CREATE, &[rd, SHARED], GLOBAL);
        } else {
            bench.ok(fid::REALM_CREATE, &[rd, SHARED], &[]);
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Annex C, steps a, b and c, by commands.
fn rims(algorithm: u64, bytes: usize) -> [String; 3] {
    let mut bench = Bench::active();
    let mut words = Bench::params();
    words.push((0x30, algorithm));
    bench.write(SHARED, &words);
    bench.ok(fid::REALM_CREATE, &[RD, SHARED], &[]);
    let rim = |bench: &Bench| {
        let rim = bench.model.realms()[&RD].rim();
        assert!(rim[bytes..].iter().all(|&byte| byte == 0));
        hex(&rim[..bytes])
    };
    assert_eq!(rim(&bench), "00".repeat(bytes));
    let ipa = 0x8000_0000;
    bench.ok(fid::RTT_CREATE, &[RD, super::TABLES[0], ipa, 2], &[]);
    bench.ok(fid::RTT_CREATE, &[RD, super::TABLES[1], ipa, 3], &[]);
    bench.ok(fid::RTT_INIT_RIPAS, &[RD, ipa, ipa + 0x2000], &[ipa + 0x2000]);
    let word = |at: u64| (0..8).fold(0, |word, byte| word | ((at + byte) & 0xff) << (8 * byte));
    let page: Vec<_> = (0..4096).step_by(8).map(|at| (at, word(at as u64))).collect();
    bench.write(SHARED, &page);
    bench.ok(fid::DATA_MAP_INIT, &[RD, granule(30), ipa, SHARED, 1], &[]);
    let a = rim(&bench);
    bench.ok(fid::DATA_MAP_INIT, &[RD, granule(31), ipa + 0x1000, SHARED, 0], &[]);
    let b = rim(&bench);
    // A REC that cannot run is not measured.
    bench.make_rec(granule(6), 1, 0);
    assert_eq!(rim(&bench), b);
    bench.write(SHARED, &[(0, 1), (0x200, 0x8000_0000), (0x300, 0x11), (0x338, 0x77), (0x100, 2)]);
    bench.is(fid::REC_CREATE, &[RD, REC, SHARED], 0x50d, &[0, 3 << 2]);
    // The parameters were read then.
    bench.write(SHARED, &[(0, granule(40) | 3 << 2)]);
    bench.is(fid::OP_MEM_DONATE, &[0, SHARED, 1], 0xd, &[3, 0]);
    bench.ok(fid::OP_CONTINUE, &[0, 0], &[]);
    [a, b, rim(&bench)]
}

#[test]
fn measurements_of_annex_c() {
    let sha_256 = [
        "269e6e5fa823fe7d4a143545b48f933ae716d4bd1c0a7ff9e61970fbe655ca12",
        "4a5658b4acf2c8291b93477c571697989648fafd30e030158766aecc48466dbf",
        "5082d826581d8bbdb06945ce1453ef57381e58dca314a3ac797a1fee46b12f21",
    ];
    assert_eq!(rims(0, 32), sha_256);
    let sha_384 = [
        "33a6adfcac47625fda0a23ac26c47e0267084dd741280502b1b05df7ef61f893\
         c4d9a670f0bea1e791779b733771ffd6",
        "cd8af62262ee16dadfd61ad29dcefbfeb5dcbd9e6c9d457fb807b9ae5055a777\
         6a5528b0662811bd613664437e4045f5",
        "fe1e091a52d693be1db1bf89645c6e378014738e8c9a9ce2ee659a3a84922cdc\
         9b1a8aaaca55535134e9e0c2abc796c1",
    ];
    assert_eq!(rims(2, 48), sha_384);
    let [a, _, c] = rims(1, 64);
    assert_eq!(
        a,
        "42b38af904344ebfd9eeaf01383f660cb3cf1221126ca4613bfb12ed9870eed7\
         c49c727d2d7a40464b7a5029b551012782b59fa0462ee8f8ac6c012cfbf052d9"
    );
    assert_eq!(
        c,
        "5c8d53319c7c32ad508dbd07a4d06c587d927fc6cf6f1b18af6aa9244591c478\
         66e0695a073e058db7481d2b474ed1e2c5caccba20d3c1ce8474ccb3f77cdb52"
    );
}
