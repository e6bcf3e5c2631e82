//! What a Realm can reach by encoding, and why that shows it nothing of the Host's or of another
//! Realm's.
//!
//! [`rows()`] is the document: one row for each system register, and each system instruction, that
//! the architecture gives to EL1 or EL0. **An encoding without a row must be UNDEFINED in a
//! Realm.** Each row says what becomes of an access ([`Fate`]), by which control, and what a test
//! may write there ([`Plant`]).
//!
//! | Module | Rows |
//! | --- | --- |
//! | `rows::el1` | registers of EL1 (op0 3, op1 0 to 2) |
//! | `rows::el0` | registers that EL0 may use as well (op0 3, op1 3), performance monitors included |
//! | `rows::debug` | debug and trace (op0 2) |
//! | `rows::instructions` | cache and TLB maintenance, address translation, prediction (op0 1) |
//!
//! Three tests read it, and two of them try all 32,768 encodings of registers and 16,384 of
//! instructions: on the fake machine, where each control that a row names is looked up in what the
//! monitor writes and each trap goes to the monitor's own policy (`tests/tests/reach`), and in
//! Realms on QEMU (`cargo xtask stress registers`), under an EL3 that opens all it can. The third
//! compares it with the monitor's answers one by one (`rmm/src/run/sysreg.rs`).
//!
//! Source of names and encodings: Arm ARM (DDI0487), chapter D24, and the system register XML of
//! 2025-09.
#![no_std]
#![forbid(unsafe_code)]

mod closed;
mod encoding;
mod rows;

pub use closed::FineGrained;
pub use encoding::{Encoding, Pattern};

/// Features that a Realm has only if the Host has asked for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Performance monitors.
    Pmu,
    /// Scalable vectors.
    Sve,
}

/// What the monitor makes of an access that traps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The Realm takes an UNDEFINED exception.
    Undefined,
    /// Reads give zero, writes do nothing.
    Zero,
    /// A read of what the monitor shows of the CPU.
    Identification,
    /// The monitor does on the Realm's own state what the instruction would have done.
    Emulated,
    /// A write goes to the Host, which plays the GIC's distributor; a read gives zero.
    Host,
}

/// What becomes of an access from a Realm.
///
/// Each `by` names the controls that trap, all of which the monitor keeps that way:
/// `REGISTER.FIELD, FIELD; REGISTER.FIELD` ([`Row::controls`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The register is exchanged with the Host's whenever a REC is loaded: it is the REC's own.
    Switched,
    /// The first access of a run traps, then the register is exchanged, until the REC is unloaded.
    ///
    /// A trapped access is repeated, so it ends as one that does not trap: done, unless the CPU
    /// lacks the register.
    Lent {
        /// The control that makes the first access trap.
        by: &'static str,
    },
    /// The REC's own, unless a control traps it: the CPU or EL3 may lack the control, or the Host
    /// decides.
    Divided {
        /// The control.
        by: &'static str,
        /// What the Realm gets if it traps.
        answer: Answer,
    },
    /// Exchanged for a Realm that has the feature; traps for others.
    Optional {
        /// The feature.
        feature: Feature,
        /// The control that makes it trap for others.
        by: &'static str,
        /// What others get.
        answer: Answer,
    },
    /// Every access traps.
    Trapped {
        /// The control.
        by: &'static str,
        /// What the Realm gets.
        answer: Answer,
    },
    /// A value that the Realm cannot change, and that depends on nobody's secrets.
    Constant {
        /// Why.
        why: &'static str,
    },
    /// Acts on the Realm's own state only, or on no state at all.
    Harmless {
        /// Why.
        why: &'static str,
    },
}

/// What a test writes to a register, to look for it later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// A pattern in these bits, with others set.
    Bits {
        /// Bits that may hold anything.
        mask: u64,
        /// Bits that are one.
        set: u64,
    },
    /// Nothing.
    Never {
        /// What would go wrong.
        why: &'static str,
    },
}

impl Plant {
    /// A pattern in all bits.
    pub const ALL: Self = Self::Bits { mask: u64::MAX, set: 0 };

    /// The value to write for this pattern, if any.
    #[must_use]
    pub const fn value(self, pattern: u64) -> Option<u64> {
        match self {
            Self::Bits { mask, set } => Some(pattern & mask | set),
            Self::Never { .. } => None,
        }
    }
}

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Name in the Arm ARM; of several registers, what they have in common.
    pub name: &'static str,
    /// Their encodings.
    pub pattern: Pattern,
    /// What becomes of an access.
    pub fate: Fate,
    /// What a test writes there in a Realm.
    pub realm: Plant,
    /// What it writes there as the Host, at EL2.
    pub host: Plant,
    /// Whether a read gives another value each time, or depends on the time.
    pub varies: bool,
}

impl Row {
    const fn new(name: &'static str, pattern: Pattern, fate: Fate) -> Self {
        Self { name, pattern, fate, realm: Plant::ALL, host: Plant::ALL, varies: false }
    }

    /// The controls that make an access trap, if any may: register and field.
    pub fn controls(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let by = match self.fate {
            Fate::Switched | Fate::Constant { .. } | Fate::Harmless { .. } => None,
            Fate::Lent { by }
            | Fate::Divided { by, .. }
            | Fate::Optional { by, .. }
            | Fate::Trapped { by, .. } => Some(by),
        };
        let registers = by.into_iter().flat_map(|by| by.split("; "));
        registers.flat_map(|one| {
            let (register, fields) = one.split_once('.').unwrap_or((one, ""));
            fields.split(", ").map(move |field| (register, field))
        })
    }

    /// Tests plant only these bits, Realm or Host.
    const fn bits(self, mask: u64, set: u64) -> Self {
        let plant = Plant::Bits { mask, set };
        Self { realm: plant, host: plant, ..self }
    }

    /// A Realm plants nothing.
    const fn realm_keeps(self, why: &'static str) -> Self {
        Self { realm: Plant::Never { why }, ..self }
    }

    /// The Host plants nothing.
    const fn host_keeps(self, why: &'static str) -> Self {
        Self { host: Plant::Never { why }, ..self }
    }

    /// Nobody plants anything.
    const fn kept(self, why: &'static str) -> Self {
        self.realm_keeps(why).host_keeps(why)
    }

    /// A read gives another value each time.
    const fn varying(self) -> Self {
        Self { varies: true, ..self }
    }
}

/// All rows, in no order that matters: no encoding has two.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    rows::ALL.iter().flat_map(|rows| rows.iter())
}

/// The row of an encoding; none if it has to be UNDEFINED in a Realm.
#[must_use]
pub fn row(encoding: Encoding) -> Option<&'static Row> {
    rows().find(|row| row.pattern.contains(encoding))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_encoding_has_two_rows_and_no_row_is_empty() {
        let mut all = 0;
        for encoding in Encoding::registers().chain(Encoding::instructions()) {
            let of = rows().filter(|row| row.pattern.contains(encoding)).count();
            assert!(of <= 1, "{encoding} has {of} rows");
            all += of;
        }
        let sizes: usize = rows().map(|row| row.pattern.len()).sum();
        assert_eq!(all, sizes, "an encoding outside op0 1 to 3");
    }

    #[test]
    fn every_trap_and_every_exception_from_the_rule_has_a_reason() {
        for row in rows() {
            let reason = match row.fate {
                Fate::Switched => "exchanged",
                Fate::Lent { by }
                | Fate::Divided { by, .. }
                | Fate::Optional { by, .. }
                | Fate::Trapped { by, .. } => by,
                Fate::Constant { why } | Fate::Harmless { why } => why,
            };
            assert!(!reason.is_empty() && !row.name.is_empty());
            for (register, field) in row.controls() {
                let is_word = |text: &str| {
                    !text.is_empty()
                        && text.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
                };
                assert!(is_word(register) && is_word(field), "{}: {register}.{field}", row.name);
            }
            for plant in [row.realm, row.host] {
                assert!(!matches!(plant, Plant::Never { why: "" }), "{}", row.name);
            }
        }
    }
}
