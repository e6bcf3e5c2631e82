//! Whether an outcome is as it must be.

use super::owner::{is_large, is_wide};
use super::pattern;
use super::prober::{Level, Order, Outcome, SCRATCH};
use crate::failure::Failure;
use crate::host::Host;
use crate::stress::small::Extras;
use alloc::vec::Vec;
use cairn_reach::{Answer, Encoding, Fate, Feature, FineGrained, Plant, Row, row};
use core::fmt;

/// Findings of each pass that are reported one by one; more are only counted.
const REPORTED: u64 = 12;

/// A native instruction takes fewer, with what is around it; one that the monitor answers takes
/// more.
const NATIVE_TICKS_MAX: u64 = 40;

/// `ESR_EL1.EC`: an UNDEFINED instruction; a register that the CPU refuses at EL1 itself, which
/// FEAT_IDST makes of UNDEFINED identification registers; an SVC.
const UNKNOWN: u64 = 0x00;
const REGISTER: u64 = 0x18;
const SVC: u64 = 0x15;

/// What is done with an encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// `MRS`.
    Read,
    /// `MSR` with a pattern.
    Write,
    /// `SYS`.
    System,
    /// `SYSL`.
    SystemRead,
}

/// How an instruction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It was executed, by the CPU or by the monitor.
    Done,
    /// UNDEFINED.
    Undefined,
    /// Another exception of EL1.
    Other,
}

impl Outcome {
    fn end(&self) -> End {
        match (self.esr >> 26) & 0x3f {
            SVC => End::Done,
            UNKNOWN | REGISTER => End::Undefined,
            _ => End::Other,
        }
    }

    fn traps(&self) -> bool {
        self.ticks > NATIVE_TICKS_MAX
    }
}

/// What is wrong with an outcome, if anything.
///
/// At EL0 an instruction may always be refused; at EL1 nothing but what is UNDEFINED.
pub(super) fn wrong(
    row: Option<&Row>,
    [sve, pmu]: [bool; 2],
    act: Act,
    level: Level,
    outcome: &Outcome,
) -> Option<&'static str> {
    let end = outcome.end();
    let refused = end == End::Undefined || level == Level::El0 && end == End::Other;
    let Some(row) = row else {
        return (!refused).then_some("has no row in the table, and is not UNDEFINED");
    };
    match row.fate {
        Fate::Switched | Fate::Constant { .. } | Fate::Harmless { .. } => {
            outcome.traps().then_some("traps, although the table says that it does not")
        }
        // Once lent, the instruction is tried again: it is done, or the CPU would have refused it
        // without a trap.
        Fate::Lent { .. } if outcome.traps() => {
            (end != End::Done).then_some("traps, and is not done once the register is lent")
        }
        Fate::Lent { .. } => (end != End::Done && !refused).then_some("ends in an exception"),
        Fate::Optional { feature: Feature::Pmu, .. } if pmu => None,
        Fate::Optional { feature: Feature::Sve, .. } if sve => None,
        Fate::Divided { answer, .. } if outcome.traps() => {
            other_answer(answer, act, refused, outcome)
        }
        Fate::Divided { .. } => (end != End::Done && !refused).then_some("ends in an exception"),
        Fate::Optional { answer, .. } | Fate::Trapped { answer, .. } => {
            if !outcome.traps() {
                return (!refused).then_some("is reached without a trap");
            }
            other_answer(answer, act, refused, outcome)
        }
    }
}

/// Whether an outcome is that of a register that EL3 lets a Realm reach while EL2 has no trap for
/// it: the monitor empties it whenever it loads a REC, and a batch of orders begins with that.
pub(super) fn is_emptied(
    row: Option<&Row>,
    usable: FineGrained,
    act: Act,
    outcome: &Outcome,
) -> bool {
    row.is_some_and(|row| row.is_without_trap(usable))
        && outcome.end() == End::Done
        && !outcome.traps()
        && (act != Act::Read || outcome.value == 0)
}

/// Whether a trapped access gets another answer than this one.
fn other_answer(
    answer: Answer,
    act: Act,
    refused: bool,
    outcome: &Outcome,
) -> Option<&'static str> {
    let done = outcome.end() == End::Done;
    let as_told = match answer {
        Answer::Undefined => refused,
        Answer::Zero => done && (act != Act::Read || outcome.value == 0),
        Answer::Identification | Answer::Emulated | Answer::Host => done,
    };
    (!as_told).then_some("traps, and gets another answer than the table says")
}

/// The judge of one pair of Realms.
pub(super) struct Judge<'h> {
    host: &'h Host,
    extras: Extras,
    usable: FineGrained,
    /// Rows by number.
    rows: Vec<Option<&'static Row>>,
    /// Sorted values that a Realm must not read.
    foreign: Vec<u64>,
    findings: u64,
    /// Findings of this pass.
    fresh: u64,
    tried: u64,
    native: u64,
    trapped: u64,
}

impl<'h> Judge<'h> {
    /// For Realms with these features, on a CPU with these fine-grained traps.
    pub(super) fn new(host: &'h Host, extras: Extras, usable: FineGrained) -> Self {
        let rows = (0..=u16::MAX).map(|number| row(Encoding::from_number(number))).collect();
        let foreign = Vec::new();
        let [findings, fresh, tried, native, trapped] = [0; 5];
        Self { host, extras, usable, rows, foreign, findings, fresh, tried, native, trapped }
    }

    /// What the Realms have.
    pub(super) const fn extras(&self) -> Extras {
        self.extras
    }

    /// How many were found.
    pub(super) const fn findings(&self) -> u64 {
        self.findings
    }

    /// How many instructions were tried; of those that were done: how many by the CPU, and how many
    /// by the monitor.
    pub(super) const fn counts(&self) -> (u64, u64, u64) {
        (self.tried, self.native, self.trapped)
    }

    /// Values that a Realm must not read from now on.
    pub(super) fn set_foreign(&mut self, values: impl Iterator<Item = u64>) {
        self.foreign = values.collect();
        self.foreign.sort_unstable();
    }

    /// What a Realm has planted: values that are neither what it started with nor like any other.
    pub(super) fn own(&self, fresh: &[Outcome], kept: &[Outcome]) -> Vec<u64> {
        let pairs = Encoding::registers().zip(fresh.iter().zip(kept));
        let planted = pairs.filter(|(register, (fresh, kept))| {
            let plant = self.row(*register).map_or(Plant::ALL, |row| row.realm);
            kept.end() == End::Done
                && is_wide(plant)
                && fresh.value != kept.value
                && is_large(kept.value)
        });
        planted.map(|(_, (_, kept))| kept.value).collect()
    }

    fn row(&self, encoding: Encoding) -> Option<&'static Row> {
        self.rows.get(usize::from(encoding.number())).copied().flatten()
    }

    /// What to try.
    pub(super) fn orders(
        &self,
        act: Act,
        level: Level,
        owner: u64,
        encodings: impl Iterator<Item = Encoding>,
    ) -> Vec<Order> {
        let order = |encoding: Encoding| {
            let pattern = pattern(owner, encoding.number());
            let plant = self.row(encoding).map_or(Plant::ALL, |row| row.realm);
            let (instruction, operand) = match act {
                Act::Read => (encoding.read(), 0),
                Act::Write => (encoding.write(), plant.value(pattern)?),
                Act::System => (encoding.write(), SCRATCH),
                Act::SystemRead => (encoding.read(), 0),
            };
            Some(Order { instruction, level, operand })
        };
        encodings.filter_map(order).collect()
    }

    /// Judges what became of orders in a Realm.
    pub(super) fn outcomes(
        &mut self,
        realm: usize,
        act: Act,
        level: Level,
        orders: &[Order],
        outcomes: &[Outcome],
    ) {
        self.fresh = 0;
        let has = self.extras.sve_and_pmu();
        for (order, outcome) in orders.iter().zip(outcomes) {
            let encoding = order.encoding();
            let row = self.row(encoding);
            self.tried += 1;
            if outcome.end() == End::Done {
                *(if outcome.traps() { &mut self.trapped } else { &mut self.native }) += 1;
            }
            if let Some(why) = wrong(row, has, act, level, outcome)
                && !is_emptied(row, self.usable, act, outcome)
            {
                self.found(format_args!(
                    "{act:?} of {} at {level:?} of Realm {realm} {why}: value {:#x}, syndrome {:#x}, {} instructions",
                    Name(encoding, row), outcome.value, outcome.esr, outcome.ticks
                ));
            }
            let is_read = act == Act::Read && outcome.end() == End::Done;
            if is_read && self.foreign.binary_search(&outcome.value).is_ok() {
                self.found(format_args!(
                    "{} at {level:?} of Realm {realm} shows {:#x}, which the Host or the other Realm has written",
                    Name(encoding, row), outcome.value
                ));
            }
        }
    }

    /// Judges registers that a Realm has read at two times, or that two Realms have read in the
    /// same situation.
    pub(super) fn same(
        &mut self,
        whose: &str,
        realm: usize,
        before: &[Outcome],
        after: &[Outcome],
    ) {
        self.fresh = 0;
        for (register, (before, after)) in Encoding::registers().zip(before.iter().zip(after)) {
            let row = self.row(register);
            if row.is_some_and(|row| row.varies) {
                continue;
            }
            if (before.end(), before.value) != (after.end(), after.value) {
                self.found(format_args!(
                    "{} of Realm {realm} depends on a value {whose}: {:#x}, then {:#x}",
                    Name(register, row),
                    before.value,
                    after.value
                ));
            }
        }
    }

    /// Reports a finding.
    pub(super) fn found(&mut self, what: fmt::Arguments<'_>) {
        self.findings += 1;
        self.fresh += 1;
        if self.fresh <= REPORTED {
            let [sve, pmu] = self.extras.sve_and_pmu();
            self.host.log(format_args!("not isolated (SVE {sve}, PMU {pmu}): {what}"));
        }
    }

    /// Makes sure that the number of ticks tells what traps: one native register, and one that
    /// always traps.
    ///
    /// # Errors
    ///
    /// It does not.
    pub(super) fn calibrate(&self, native: &Outcome, trapped: &Outcome) -> Result<(), Failure> {
        if native.end() == End::Done && !native.traps() && trapped.traps() {
            return Ok(());
        }
        Err(failure!(
            "this machine's counter does not count instructions: {} for TPIDR_EL0, {} for ID_AA64PFR0_EL1",
            native.ticks,
            trapped.ticks
        ))
    }
}

/// An encoding with its name.
struct Name(Encoding, Option<&'static Row>);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(encoding, row) = self;
        write!(f, "{encoding} ({})", row.map_or("no row", |row| row.name))
    }
}
