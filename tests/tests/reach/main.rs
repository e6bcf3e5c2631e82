//! The table of `cairn-reach` against the monitor, on the build host: what the table says becomes
//! of an access is what the monitor's own values, records and policy make of it.
//!
//! | Module | Compares with the table |
//! | --- | --- |
//! | `policy` | what the monitor answers, on the fake machine, to each of 49,152 encodings that traps |
//! | `controls` | the trap bits that the monitor writes |
//! | `records` | the registers that the monitor exchanges or hides |
//!
//! That a CPU obeys those bits, and that nothing else is reached, is tried on QEMU: `cargo xtask
//! stress registers`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test program")]

mod controls;
mod policy;
mod records;

use cairn_reach::{Answer, Encoding, Fate, Feature, Row, row, rows};

/// How many encodings have each fate.
///
/// An encoding that leaves the table counts as UNDEFINED by the CPU itself, which nothing on the
/// build host can contradict: so the number is written here, and who takes a row away has to say so
/// in two places.
#[test]
fn no_row_is_lost() {
    let count = |fate: fn(&Fate) -> bool| {
        let of = |row: &&Row| fate(&row.fate);
        rows().filter(of).map(|row| row.pattern.len()).sum::<usize>()
    };
    let trapped = |answer| {
        let is =
            |row: &&Row| matches!(row.fate, Fate::Trapped { answer: one, .. } if one == answer);
        rows().filter(is).map(|row| row.pattern.len()).sum::<usize>()
    };
    let counts = [
        ("switched", count(|fate| matches!(fate, Fate::Switched)), 74),
        ("lent", count(|fate| matches!(fate, Fate::Lent { .. })), 69),
        ("divided", count(|fate| matches!(fate, Fate::Divided { .. })), 4),
        ("of SVE", count(|fate| matches!(fate, Fate::Optional { feature: Feature::Sve, .. })), 1),
        (
            "of the PMU",
            count(|fate| matches!(fate, Fate::Optional { feature: Feature::Pmu, .. })),
            79,
        ),
        ("UNDEFINED", trapped(Answer::Undefined), 6_601),
        ("zero", trapped(Answer::Zero), 1_453),
        ("identification", trapped(Answer::Identification), 56),
        ("emulated", trapped(Answer::Emulated), 2),
        ("the Host's", trapped(Answer::Host), 3),
        ("constant", count(|fate| matches!(fate, Fate::Constant { .. })), 14),
        ("harmless", count(|fate| matches!(fate, Fate::Harmless { .. })), 191),
    ];
    let changed: Vec<_> = counts.iter().filter(|(_, found, expected)| found != expected).collect();
    assert!(changed.is_empty(), "{changed:?}");
}

/// All encodings, each with its row.
fn all() -> impl Iterator<Item = (Encoding, Option<&'static Row>)> {
    Encoding::registers().chain(Encoding::instructions()).map(|encoding| (encoding, row(encoding)))
}

/// An encoding as it is written in the Arm ARM.
fn encoding((op0, op1, crn, crm, op2): (u8, u8, u8, u8, u8)) -> Encoding {
    Encoding { op0, op1, crn, crm, op2 }
}
