//! Names of exception classes.

/// What `ESR_EL2` says happened.
///
/// Source: Arm ARM (DDI0487), ESR_EL2, EC and the fault status codes of aborts.
pub(super) const fn name(esr: u64) -> &'static str {
    match esr >> 26 & 0x3f {
        0x00 => "undefined instruction or register",
        0x07 => "floating point access",
        0x0e => "illegal execution state",
        0x18 => "system register trap",
        0x19 => "SVE access",
        0x1d => "SME access",
        0x1e => "granule protection check of a table",
        0x21 => "instruction abort",
        0x22 => "misaligned PC",
        0x25 => abort(esr & 0x3f),
        0x26 => "misaligned SP",
        0x2f => "SError",
        0x3c => "BRK instruction",
        _ => "other class",
    }
}

const fn abort(status: u64) -> &'static str {
    match status {
        0x00..=0x03 => "data abort: address size",
        0x04..=0x07 => "data abort: no translation",
        0x08..=0x0b => "data abort: access flag",
        0x0c..=0x0f => "data abort: permission",
        0x10 => "data abort: external",
        0x13..=0x17 => "data abort: external on a table walk",
        0x21 => "data abort: alignment",
        0x23..=0x27 => "data abort: granule protection of a table",
        0x28 => "data abort: granule protection",
        0x30 => "data abort: TLB conflict",
        _ => "data abort",
    }
}
