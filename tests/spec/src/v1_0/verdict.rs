//! Failure conditions, the order that the specification states for them, and the comparison with
//! what was answered.

use std::fmt;

use crate::v1_0::{Answer, Call, Model, decode, fid};

/// RMI_ERROR_INPUT.
pub(crate) const INPUT: u64 = 1;
/// RMI_ERROR_REALM.
pub(crate) const REALM: u64 = 2;
/// RMI_ERROR_REALM, index 1.
pub(crate) const REALM_OFF: u64 = 0x102;
/// RMI_ERROR_REC.
pub(crate) const REC: u64 = 3;
/// SMCCC NOT_SUPPORTED.
pub(crate) const NOT_SUPPORTED: u64 = u64::MAX;

/// RMI_ERROR_RTT at a level.
pub(crate) fn rtt(level: i64) -> u64 {
    4 | (level.cast_unsigned() & 0xff) << 8
}

/// An answer that the specification does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence(pub String);

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A failure condition that holds.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    condition: &'static str,
    code: u64,
    outputs: [u64; 4],
}

/// `[A, B] < [C]`: if A or B holds, C does not decide the answer.
pub(crate) type Order = &'static [(&'static [&'static str], &'static [&'static str])];

/// The conditions of a command that hold.
#[derive(Default)]
pub(crate) struct Conditions {
    must: Vec<Failure>,
    may: Vec<Failure>,
}

impl Conditions {
    /// A condition, and whether it holds.
    pub(crate) fn fails(&mut self, condition: &'static str, holds: bool, code: u64) {
        if holds {
            self.must.push(Failure { condition, code, outputs: [0; 4] });
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
            self.must.push(Failure { condition, code, outputs });
        }
    }

    /// A condition that a monitor may take for a failure: the text is not clear, or the machine
    /// decides.
    pub(crate) fn may_fail(&mut self, condition: &'static str, holds: bool, code: u64) {
        if holds {
            self.may.push(Failure { condition, code, outputs: [0; 4] });
        }
    }

    /// Whether a failure is certain.
    pub(crate) fn any(&self) -> bool {
        !self.must.is_empty()
    }

    fn holds(&self, condition: &str) -> bool {
        self.must.iter().any(|failure| failure.condition == condition)
    }

    /// The command fails if a condition holds.
    pub(crate) fn or_succeeds(
        self,
        order: Order,
        outputs: [u64; 4],
        effect: impl FnOnce(&mut Model) + 'static,
    ) -> Verdict {
        if self.any() {
            return self.failure(order);
        }
        Verdict { failures: self.may, success: Some((outputs, Box::new(effect))) }
    }

    /// The command fails: a condition holds.
    pub(crate) fn failure(self, order: Order) -> Verdict {
        let decides = |failure: &Failure| {
            !order.iter().any(|(first, then)| {
                then.contains(&failure.condition) && first.iter().any(|name| self.holds(name))
            })
        };
        let mut failures: Vec<Failure> =
            self.must.iter().filter(|failure| decides(failure)).cloned().collect();
        failures.extend(self.may);
        Verdict { failures, success: None }
    }
}

/// What a success does.
pub(crate) type Effect = Box<dyn FnOnce(&mut Model)>;

/// The answers that are allowed.
pub(crate) struct Verdict {
    failures: Vec<Failure>,
    success: Option<([u64; 4], Effect)>,
}

impl Verdict {
    pub(crate) fn fails(code: u64, outputs: [u64; 4]) -> Self {
        let condition = "always";
        Self { failures: vec![Failure { condition, code, outputs }], success: None }
    }

    pub(crate) fn succeeds(outputs: [u64; 4], effect: impl FnOnce(&mut Model) + 'static) -> Self {
        Self { failures: Vec::new(), success: Some((outputs, Box::new(effect))) }
    }

    /// Either this or another verdict holds: the Host has changed its memory, and cannot tell when
    /// it was read. If both are successes, `unsure` makes what differs unknown.
    pub(crate) fn or(mut self, other: Self, unsure: impl FnOnce(&mut Model) + 'static) -> Self {
        self.failures.extend(other.failures);
        self.success = match (self.success, other.success) {
            (Some((outputs, effect)), Some(_)) => Some((
                outputs,
                Box::new(|model| {
                    effect(model);
                    unsure(model);
                }),
            )),
            (one, another) => one.or(another),
        };
        self
    }

    /// The effect to carry out, and the condition that explains a failure.
    pub(crate) fn compare(
        self,
        call: &Call,
        answer: &Answer,
    ) -> Result<(Option<Effect>, &'static str), Divergence> {
        let [code, outputs @ ..] = answer;
        // X4 may keep what the Host passed, unless it is an output.
        let same = |expected: &[u64; 4]| {
            let x4_kept = decode(call[0]) != fid::RTT_READ_ENTRY && outputs[3] == call[4];
            outputs[..3] == expected[..3] && (outputs[3] == expected[3] || x4_kept)
        };
        let mut expected = Vec::new();
        if let Some((outputs, effect)) = self.success {
            if *code == 0 && same(&outputs) {
                return Ok((Some(effect), ""));
            }
            expected.push(format!("success with {outputs:x?}"));
        }
        for failure in &self.failures {
            if *code == failure.code && same(&failure.outputs) {
                return Ok((None, failure.condition));
            }
            let Failure { condition, code, outputs } = failure;
            expected.push(format!("{code:#x} ({condition}) with {outputs:x?}"));
        }
        let expected = expected.join(", or ");
        Err(Divergence(format!("{call:x?} returned {answer:x?}; the specification: {expected}")))
    }
}
