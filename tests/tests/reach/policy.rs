//! What the monitor answers to each encoding that traps.

use std::sync::Arc;

use cairn_reach::{Answer, Encoding, Fate, Feature, Row};
use cairn_tests::abi::{Command, RealmParams, RecEnter, exit_reason};
use cairn_tests::harness;
use cairn_tests::outcome::{Outcome, fail, same};
use cairn_tests::program::{Action, El1, Observed, SystemRegister};
use cairn_tests::rec::{Rec, VECTORS};
use cairn_tests::scenarios::{Cpu, Run, Scenario};
use cairn_tests::world::World;

use super::{all, encoding};

/// ICH_HCR_EL2.TDIR: the Host asks for the trap of ICC_DIR_EL1.
const TDIR: u64 = 1 << 14;
/// ESR_EL2.EC of a system register access.
const SYSTEM_REGISTER: u64 = 0x18;
/// ESR_EL1 of an UNDEFINED instruction.
const UNDEFINED: u64 = 0x200_0000;
/// What is written to a register that keeps it, as far as the table lets a test.
const PATTERN: u64 = 0x5a5a_5a5a_5a5a_5a5a;
const ALLINT: Encoding = Encoding { op0: 3, op1: 0, crn: 4, crm: 3, op2: 0 };
const DBGCLAIMCLR: Encoding = Encoding { op0: 2, op1: 0, crn: 7, crm: 9, op2: 6 };
const OSLAR: SystemRegister = (2, 0, 1, 0, 4);
const OSLSR: SystemRegister = (2, 0, 1, 1, 4);

/// How a trapped access ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Undefined,
    Value(u64),
    Written,
    /// The Host was asked to do it.
    Host,
    Other(String),
}

/// How a trapped access has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Undefined,
    /// A read gives zero, a write does nothing.
    Zero,
    /// A read gives zero unless the register is one of those that identify the CPU.
    Identification,
    /// The instruction is executed.
    Done,
    Host,
    /// CPUs refuse it without a trap: whatever comes, it shows nothing, and nobody else learns of
    /// it.
    Nothing,
}

/// What the table says of an access that traps; `None` if it does not trap.
fn expected(of: Encoding, row: Option<&Row>, read: bool, extras: bool) -> Option<Expected> {
    let Some(row) = row else { return Some(Expected::Nothing) };
    let answer = match row.fate {
        Fate::Switched | Fate::Constant { .. } | Fate::Harmless { .. } => return None,
        Fate::Lent { .. } => return Some(Expected::Done),
        Fate::Optional { feature: Feature::Pmu | Feature::Sve, .. } if extras => return None,
        // HCRX_EL2.TALLINT traps writes alone.
        Fate::Divided { .. } if of == ALLINT && read => return None,
        Fate::Divided { answer, .. }
        | Fate::Optional { answer, .. }
        | Fate::Trapped { answer, .. } => answer,
    };
    Some(match (answer, read) {
        (Answer::Undefined, _) => Expected::Undefined,
        (Answer::Zero, _) => Expected::Zero,
        (Answer::Identification, true) => Expected::Identification,
        (Answer::Host, false) => Expected::Host,
        (Answer::Emulated, _) => Expected::Done,
        // There is no such instruction.
        (Answer::Identification, false) | (Answer::Host, true) => Expected::Nothing,
    })
}

/// Identification registers that say something; the rest are zero.
///
/// Source: RMM specification (Arm DEN0137) 1.0, A2.1.2.3 and A3.1, and Arm ARM (DDI0487),
/// ID_AA64*_EL1.
fn identifies(of: Encoding, sve: bool) -> bool {
    match (of.crm, of.op2) {
        (4 | 7, 0 | 1) | (5, 0) | (6, 0..=2) | (7, 2) => true,
        (4, 4) => sve,
        _ => false,
    }
}

impl Expected {
    fn is(self, of: Encoding, extras: bool, end: &End) -> bool {
        match self {
            Self::Undefined => *end == End::Undefined,
            Self::Zero => matches!(end, End::Value(0) | End::Written),
            Self::Identification => {
                matches!(end, End::Value(value) if *value == 0 || identifies(of, extras))
            }
            Self::Done => matches!(end, End::Value(_) | End::Written),
            Self::Host => *end == End::Host,
            Self::Nothing => matches!(end, End::Undefined | End::Value(0) | End::Written),
        }
    }
}

const fn name(of: Encoding) -> SystemRegister {
    (of.op0 as u64, of.op1 as u64, of.crn as u64, of.crm as u64, of.op2 as u64)
}

/// Carries out one access in a REC that has just been entered: nothing is lent yet.
fn attempt(w: &mut World<'_>, rec: &Rec, action: Action) -> Outcome<End> {
    let actions = [Action::SetEl1(El1::Vbar, VECTORS), action];
    w.port.program(rec.realm.rd, rec.index, &actions);
    let enter = RecEnter { gicv3_hcr: TDIR, ..RecEnter::default() };
    let exit = w.enter_with(rec, &enter)?;
    let asked = exit.exit_reason == exit_reason::SYNC && exit.esr >> 26 == SYSTEM_REGISTER;
    if asked {
        w.finish(rec, &RecEnter::default())?;
        return Ok(End::Host);
    }
    same("exit", exit.exit_reason, exit_reason::IRQ)?;
    Ok(match w.observed(rec).as_slice() {
        [Observed::Value(value)] => End::Value(*value),
        [Observed::Done] => End::Written,
        [Observed::Exception { esr: UNDEFINED, at_instruction: true, .. }] => End::Undefined,
        other => End::Other(format!("{other:x?}")),
    })
}

/// A REC of an active Realm, with SVE and performance monitors or without.
fn running(w: &mut World<'_>, extras: bool) -> Outcome<Rec> {
    let [features, ..] = w.call(Command::Features, [0])?.ok()?.outputs;
    let mut params = w.realm_params(40, 0, 1)?;
    if extras {
        params.flags = RealmParams::SVE | RealmParams::PMU;
        params.sve_vl = features >> 10 & 15;
        params.pmu_num_ctrs = features >> 27 & 31;
    }
    // As many as the CPU has, minus one.
    params.num_bps = features >> 14 & 63;
    params.num_wps = features >> 20 & 63;
    let realm = w.realm_with(&params)?;
    w.running_in(&realm)
}

/// Runs on the fake machine, which has something to say as well.
fn run(name: &str, run: impl Fn(&mut World<'_>) -> Outcome + Send + Sync + 'static) {
    let scenario = Scenario {
        name: name.into(),
        cpu: Cpu::Max,
        needs: Vec::new(),
        interpretation: None,
        run: Run::V1(Box::new(run)),
    };
    harness::run(&Arc::new(scenario)).unwrap_or_else(|why| panic!("{name}: {why}"));
}

/// Every encoding, read and written, in one kind of Realm.
fn every_encoding(w: &mut World<'_>, extras: bool) -> Outcome {
    let rec = running(w, extras)?;
    let (mut tried, mut wrong) = (0, Vec::new());
    for (of, row) in all() {
        for read in [true, false] {
            let Some(expected) = expected(of, row, read, extras) else { continue };
            let plant = row.and_then(|row| row.realm.value(PATTERN)).unwrap_or(PATTERN);
            let action = if read { Action::Read(name(of)) } else { Action::Write(name(of), plant) };
            let end = attempt(w, &rec, action)?;
            tried += 1;
            if !expected.is(of, extras, &end) {
                let name = row.map_or("no row", |row| row.name);
                let act = if read { "read" } else { "write" };
                wrong.push(format!("{act} of {of} ({name}): {expected:?}, but {end:x?}"));
            }
        }
    }
    // Most encodings have no row: a table that nothing is tried of would not be one.
    same("all that can trap is tried", tried > 80_000, true)?;
    if wrong.is_empty() {
        return Ok(());
    }
    let some: Vec<_> = wrong.iter().take(40).map(String::as_str).collect();
    fail(format!("{} differ, extras {extras}:\n{}", wrong.len(), some.join("\n")))
}

#[test]
fn a_realm_without_features_gets_what_the_table_says() {
    run("reach/plain", |w| every_encoding(w, false));
}

#[test]
fn a_realm_with_features_gets_what_the_table_says() {
    run("reach/extras", |w| every_encoding(w, true));
}

#[test]
fn what_is_lent_keeps_what_is_written_over_an_exit() {
    run("reach/lent", |w| {
        let rec = running(w, false)?;
        for (of, row) in all() {
            let Some(row) = row else { continue };
            let Fate::Lent { .. } = row.fate else { continue };
            let Some(value) = row.realm.value(PATTERN) else { continue };
            let kept = if of == DBGCLAIMCLR { 0 } else { value };
            let written = attempt(w, &rec, Action::Write(name(of), value))?;
            same(row.name, written, End::Written)?;
            same(row.name, attempt(w, &rec, Action::Read(name(of)))?, End::Value(kept))?;
        }
        Ok(())
    });
}

#[test]
fn the_os_lock_is_emulated() {
    let emulated = all().filter(|(_, row)| {
        let answer = row.map(|row| row.fate);
        matches!(answer, Some(Fate::Trapped { answer: Answer::Emulated, .. }))
    });
    let emulated: Vec<_> = emulated.map(|(of, _)| name(of)).collect();
    assert_eq!(emulated, [OSLAR, OSLSR]);
    assert_eq!(encoding((2, 0, 1, 1, 4)).to_string(), "S2_0_C1_C1_4");
    run("reach/os_lock", |w| {
        let rec = running(w, false)?;
        for locked in [0, 1, 0] {
            let written = attempt(w, &rec, Action::Write(OSLAR, locked))?;
            same("written", written, End::Written)?;
            // OSLM: implemented.
            let status = End::Value(1 << 3 | locked << 1);
            same("OSLSR_EL1", attempt(w, &rec, Action::Read(OSLSR))?, status)?;
        }
        Ok(())
    });
}
