//! The rows.

mod debug;
mod el0;
mod el1;
mod instructions;

use crate::{Answer, Fate, Feature, Row};

/// All of them.
pub(crate) const ALL: [&[Row]; 4] = [el1::ROWS, el0::ROWS, debug::ROWS, instructions::ROWS];

/// Fields of both fine-grained trap registers, that for reads and that for writes.
macro_rules! fine {
    ($fields:literal) => {
        concat!("HFGRTR_EL2.", $fields, "; HFGWTR_EL2.", $fields)
    };
}
use fine;

/// Traps, and is UNDEFINED for a Realm.
const fn undefined(by: &'static str) -> Fate {
    Fate::Trapped { by, answer: Answer::Undefined }
}

/// Traps, and reads zero.
const fn zero(by: &'static str) -> Fate {
    Fate::Trapped { by, answer: Answer::Zero }
}

/// Performance monitors: exchanged for a Realm that has them.
const PMU: Fate =
    Fate::Optional { feature: Feature::Pmu, by: "MDCR_EL2.TPM, TPMCR", answer: Answer::Zero };

const fn constant(why: &'static str) -> Fate {
    Fate::Constant { why }
}

const fn harmless(why: &'static str) -> Fate {
    Fate::Harmless { why }
}
