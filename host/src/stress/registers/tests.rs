//! What is right and what is wrong with an outcome.

use super::judge::{Act, is_emptied, wrong};
use super::prober::{Level, Outcome};
use super::{Access, pattern};
use cairn_reach::{Encoding, FineGrained, row};

const TPIDR2_EL0: Encoding = Encoding { op0: 3, op1: 3, crn: 13, crm: 0, op2: 5 };
const TPIDR_EL1: Encoding = Encoding { op0: 3, op1: 0, crn: 13, crm: 0, op2: 4 };
const ACTLR_EL1: Encoding = Encoding { op0: 3, op1: 0, crn: 1, crm: 0, op2: 1 };
const PMCR_EL0: Encoding = Encoding { op0: 3, op1: 3, crn: 9, crm: 12, op2: 0 };
/// HCR_EL2, which no Realm can name.
const HCR_EL2: Encoding = Encoding { op0: 3, op1: 4, crn: 1, crm: 1, op2: 0 };

const DONE: u64 = 0x15 << 26;
const UNDEFINED: u64 = 0;
const NATIVE: u64 = 4;
const TRAPPED: u64 = 200;

/// Whether a read at EL1 of a Realm is wrong.
fn is_wrong(register: Encoding, pmu: bool, esr: u64, value: u64, ticks: u64) -> bool {
    let outcome = Outcome { value, esr, ticks };
    wrong(row(register), [false, pmu], Act::Read, Level::El1, &outcome).is_some()
}

#[test]
fn what_has_no_row_is_undefined() {
    assert!(!is_wrong(HCR_EL2, false, UNDEFINED, 0, NATIVE));
    assert!(is_wrong(HCR_EL2, false, DONE, 0, NATIVE));
    assert!(is_wrong(HCR_EL2, false, DONE, 0, TRAPPED));
}

#[test]
fn what_traps_is_not_reached_and_gets_its_answer() {
    assert!(is_wrong(TPIDR2_EL0, false, DONE, 0, NATIVE));
    assert!(is_wrong(TPIDR2_EL0, false, DONE, 0, TRAPPED));
    assert!(!is_wrong(TPIDR2_EL0, false, UNDEFINED, 0, TRAPPED));
    assert!(!is_wrong(TPIDR2_EL0, false, UNDEFINED, 0, NATIVE), "a CPU without it");
    assert!(!is_wrong(ACTLR_EL1, false, DONE, 0, TRAPPED));
    assert!(is_wrong(ACTLR_EL1, false, DONE, 1, TRAPPED));
}

#[test]
fn what_has_lost_its_trap_is_reached_and_empty() {
    let is_emptied = |first, register, esr, value, ticks| {
        let outcome = Outcome { value, esr, ticks };
        is_emptied(row(register), FineGrained { first, second: false }, Act::Read, &outcome)
    };
    assert!(is_emptied(false, TPIDR2_EL0, DONE, 0, NATIVE));
    assert!(!is_emptied(false, TPIDR2_EL0, DONE, 1, NATIVE), "not empty");
    assert!(!is_emptied(false, TPIDR2_EL0, DONE, 0, TRAPPED), "trapped, and not UNDEFINED");
    assert!(!is_emptied(true, TPIDR2_EL0, DONE, 0, NATIVE), "EL2 has the trap");
    assert!(!is_emptied(false, ACTLR_EL1, DONE, 0, NATIVE), "another control traps it");
    assert!(!is_emptied(false, HCR_EL2, DONE, 0, NATIVE), "no row");
}

#[test]
fn what_is_switched_does_not_trap_and_what_is_optional_depends() {
    assert!(!is_wrong(TPIDR_EL1, false, DONE, 7, NATIVE));
    assert!(is_wrong(TPIDR_EL1, false, DONE, 7, TRAPPED));
    assert!(!is_wrong(PMCR_EL0, true, DONE, 7, NATIVE));
    assert!(is_wrong(PMCR_EL0, false, DONE, 7, NATIVE));
}

#[test]
fn what_is_lent_is_done_and_what_is_divided_gets_its_answer() {
    const DBGBVR0_EL1: Encoding = Encoding { op0: 2, op1: 0, crn: 0, crm: 0, op2: 4 };
    const OSECCR_EL1: Encoding = Encoding { op0: 2, op1: 0, crn: 0, crm: 6, op2: 2 };
    for ticks in [NATIVE, TRAPPED] {
        assert!(!is_wrong(DBGBVR0_EL1, false, DONE, 7, ticks));
    }
    assert!(is_wrong(DBGBVR0_EL1, false, UNDEFINED, 0, TRAPPED));
    assert!(!is_wrong(DBGBVR0_EL1, false, UNDEFINED, 0, NATIVE), "a CPU without it");
    assert!(!is_wrong(OSECCR_EL1, false, DONE, 7, NATIVE));
    assert!(!is_wrong(OSECCR_EL1, false, DONE, 0, TRAPPED));
    assert!(is_wrong(OSECCR_EL1, false, DONE, 7, TRAPPED));
}

#[test]
fn the_host_writes_only_what_the_table_lets_it() {
    let row = row(TPIDR_EL1).unwrap();
    let planted = pattern(1, TPIDR_EL1.number());
    let access = Access::plant(TPIDR_EL1, row, planted).unwrap();
    assert_eq!((access.instruction(), access.operand()), (0xd518_d080, planted));
    assert_eq!(Access::plant(HCR_EL2, row, planted), None);
    assert_ne!(pattern(1, 5), pattern(2, 5));
}
