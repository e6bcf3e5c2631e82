//! Failure conditions with their stated order, the outcomes that a command may have, and the
//! comparison with an answer.

use core::fmt;

use super::words::{GPT, INPUT, TRACKING};
use super::{Answer, Call, HostView, Model};

/// An answer that the specification does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence(pub String);

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the outputs of an outcome, X1 to X4, may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outputs {
    /// These.
    Are([u64; 4]),
    /// X1 is 0 or this, the others 0: the error of a range command (5.2, 10.6).
    NotBeyond(u64),
    /// The effect looks at them.
    Checked,
}

impl Outputs {
    pub(crate) const ZERO: Self = Self::Are([0; 4]);

    fn fit(self, outputs: [u64; 4]) -> bool {
        match self {
            Self::Are(wanted) => outputs == wanted,
            Self::NotBeyond(base) => outputs == [0; 4] || outputs == [base, 0, 0, 0],
            Self::Checked => true,
        }
    }
}

/// Checks what else is to be checked, and follows. Changes nothing if it fails.
pub(crate) type Effect = Box<dyn FnOnce(&mut Model, &Answer, &dyn HostView) -> Result<(), String>>;

/// One thing that may come of a command.
pub(crate) struct Outcome {
    /// The condition that explains a failure; empty for a success.
    name: &'static str,
    word: u64,
    /// Bits of X0 that are compared.
    mask: u64,
    outputs: Outputs,
    effect: Option<Effect>,
}

impl Outcome {
    pub(crate) fn of(name: &'static str, word: u64) -> Self {
        Self { name, word, mask: u64::MAX, outputs: Outputs::ZERO, effect: None }
    }

    pub(crate) fn mask(self, mask: u64) -> Self {
        Self { mask, ..self }
    }

    pub(crate) fn outputs(self, outputs: Outputs) -> Self {
        Self { outputs, ..self }
    }

    pub(crate) fn effect(
        self,
        effect: impl FnOnce(&mut Model, &Answer, &dyn HostView) -> Result<(), String> + 'static,
    ) -> Self {
        Self { effect: Some(Box::new(effect)), ..self }
    }
}

impl Outcome {
    /// X0, and X1 to X4 unless they depend on more than the call.
    pub(crate) fn answer(&self) -> (u64, Option<[u64; 4]>) {
        let outputs = match self.outputs {
            Outputs::Are(outputs) => Some(outputs),
            Outputs::NotBeyond(_) => Some([0; 4]),
            Outputs::Checked => None,
        };
        (self.word, outputs)
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x} ({}) with {:x?}", self.word, self.name, self.outputs)
    }
}

/// The outcomes that are allowed.
pub(crate) struct Verdict(pub(crate) Vec<Outcome>);

impl Verdict {
    pub(crate) fn fails(name: &'static str, codes: &[u64]) -> Self {
        Self(codes.iter().map(|&code| Outcome::of(name, code)).collect())
    }

    /// Succeeds with these outputs.
    pub(crate) fn succeeds(outputs: [u64; 4], effect: impl FnOnce(&mut Model) + 'static) -> Self {
        let outcome = Outcome::of("", 0).outputs(Outputs::Are(outputs));
        Self(vec![outcome.effect(|model, _, _| {
            effect(model);
            Ok(())
        })])
    }

    /// Also this may come of it.
    pub(crate) fn or(mut self, outcome: Outcome) -> Self {
        self.0.push(outcome);
        self
    }

    /// Finds the outcome that was answered, and follows it. The condition that explains a failure.
    pub(crate) fn settle(
        self,
        model: &mut Model,
        call: &Call,
        answer: &Answer,
        host: &dyn HostView,
        four_outputs: bool,
    ) -> Result<&'static str, Divergence> {
        // X4 is an output of one command; everywhere else the frame has been compared already.
        let x4 = if four_outputs { answer[4] } else { 0 };
        let outputs = [answer[1], answer[2], answer[3], x4];
        let mut expected = Vec::new();
        for outcome in self.0 {
            let text = format!("{outcome:?}");
            if answer[0] & outcome.mask == outcome.word && outcome.outputs.fit(outputs) {
                match outcome.effect.map_or(Ok(()), |effect| effect(model, answer, host)) {
                    Ok(()) => return Ok(outcome.name),
                    Err(problem) => expected.push(format!("{text}, but {problem}")),
                }
            } else {
                expected.push(text);
            }
        }
        let expected = expected.join(", or ");
        Err(Divergence(format!("{call:x?} returned {answer:x?}; the specification: {expected}")))
    }
}

/// Bits of X0 that are compared: TRACKING and GPT carry data (2.2).
fn mask_of(code: u64) -> u64 {
    if matches!(code, TRACKING | GPT) { super::choices::ERROR_DATA_MASK } else { u64::MAX }
}

/// A failure condition that holds.
#[derive(Clone, Copy, Debug)]
struct Failure {
    condition: &'static str,
    code: u64,
    mask: u64,
    outputs: Option<Outputs>,
}

/// `[A, B] < [C]`: if A or B holds, C does not decide the answer.
pub(crate) type Order = &'static [(&'static [&'static str], &'static [&'static str])];

/// The failure conditions of a command that hold.
pub(crate) struct Conditions {
    must: Vec<Failure>,
    may: Vec<Failure>,
    /// Outputs of failures that have none of their own.
    outputs: Outputs,
}

impl Conditions {
    pub(crate) fn new() -> Self {
        Self { must: Vec::new(), may: Vec::new(), outputs: Outputs::ZERO }
    }

    /// Of a range command, which may give its base in X1 when it fails.
    pub(crate) fn of_range(base: u64) -> Self {
        Self { outputs: Outputs::NotBeyond(base), ..Self::new() }
    }

    /// A condition, and whether it holds.
    pub(crate) fn fails(&mut self, condition: &'static str, holds: bool, code: u64) {
        self.fails_by(condition, holds, &[code]);
    }

    /// A condition for which each of some codes will do.
    pub(crate) fn fails_by(&mut self, condition: &'static str, holds: bool, codes: &[u64]) {
        if holds {
            let failure = |&code| Failure { condition, code, mask: mask_of(code), outputs: None };
            self.must.extend(codes.iter().map(failure));
        }
    }

    /// A condition of GRANULE_RANGE_*, of which also INPUT carries data (OQ-1).
    pub(crate) fn fails_data(&mut self, condition: &'static str, holds: bool, code: u64) {
        let mask = super::choices::ERROR_DATA_MASK;
        if holds {
            self.must.push(Failure { condition, code, mask, outputs: None });
        }
    }

    /// A condition that defines outputs.
    pub(crate) fn fails_with(
        &mut self,
        condition: &'static str,
        holds: bool,
        code: u64,
        outputs: [u64; 4],
    ) {
        if holds {
            let outputs = Some(Outputs::Are(outputs));
            self.must.push(Failure { condition, code, mask: u64::MAX, outputs });
        }
    }

    /// A condition that a monitor may take for a failure: the text is open.
    pub(crate) fn may_fail(&mut self, condition: &'static str, holds: bool, code: u64) {
        if holds {
            self.may.push(Failure { condition, code, mask: u64::MAX, outputs: None });
        }
    }

    /// Whether a failure is certain.
    pub(crate) fn any(&self) -> bool {
        !self.must.is_empty()
    }

    /// The codes of all conditions that hold, each once.
    pub(crate) fn codes(&self) -> Vec<u64> {
        let mut codes: Vec<u64> = self.must.iter().map(|failure| failure.code).collect();
        codes.sort_unstable();
        codes.dedup();
        codes
    }

    fn holds(&self, condition: &str) -> bool {
        self.must.iter().any(|failure| failure.condition == condition)
    }

    /// The failures that may be answered, under an order.
    fn outcomes(&self, order: Order) -> Vec<Outcome> {
        let decides = |failure: &&Failure| {
            !order.iter().any(|(first, then)| {
                then.contains(&failure.condition) && first.iter().any(|name| self.holds(name))
            })
        };
        let failures = self.must.iter().filter(decides).chain(&self.may);
        let outcome = |failure: &Failure| {
            Outcome::of(failure.condition, failure.code)
                .mask(failure.mask)
                .outputs(failure.outputs.unwrap_or(self.outputs))
        };
        failures.map(outcome).collect()
    }

    /// The command fails: a condition holds.
    pub(crate) fn failure(&self, order: Order) -> Verdict {
        Verdict(self.outcomes(order))
    }

    /// The command fails if a condition holds, else this comes of it.
    pub(crate) fn or_else(self, order: Order, success: impl FnOnce() -> Verdict) -> Verdict {
        let mut outcomes = self.outcomes(order);
        if !self.any() {
            outcomes.extend(success().0);
        }
        Verdict(outcomes)
    }

    /// The command fails if a condition holds, else it succeeds with these outputs.
    pub(crate) fn or_succeeds(
        self,
        order: Order,
        outputs: [u64; 4],
        effect: impl FnOnce(&mut Model) + 'static,
    ) -> Verdict {
        self.or_else(order, || Verdict::succeeds(outputs, effect))
    }

    /// The command fails if a condition holds, else it succeeds and the effect looks at its
    /// outputs.
    pub(crate) fn or_checked(
        self,
        order: Order,
        effect: impl FnOnce(&mut Model, &Answer, &dyn HostView) -> Result<(), String> + 'static,
    ) -> Verdict {
        self.or_else(order, || {
            Verdict(vec![Outcome::of("", 0).outputs(Outputs::Checked).effect(effect)])
        })
    }
}

/// Names of the checks on an argument: alignment, bound, and state or physical address space.
pub(crate) type Names = [&'static str; 3];

pub(crate) const RD: Names = ["rd_align", "rd_bound", "rd_state"];
pub(crate) const RECS: Names = ["rec_align", "rec_bound", "rec_gran_state"];
pub(crate) const PARAMS: Names = ["params_align", "params_bound", "params_pas"];

/// `what` does not hold.
pub(crate) fn ensure(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

/// Names INPUT for those who read a list of codes.
pub(crate) const ONLY_INPUT: &[u64] = &[INPUT];
