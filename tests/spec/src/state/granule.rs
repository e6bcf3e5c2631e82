//! States of granules.
//!
//! Source: RMM specification (Arm DEN0137) 1.0, A2.2; 2.0-bet3, the same chapter.

/// State of a granule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each variant is the state of that name")]
pub enum State {
    Undelegated,
    Delegated,
    Rd,
    Rec,
    RecAux,
    Rtt,
    Data,
    /// RMI 2.0: donated, no command may name it.
    Internal,
    /// RMI 2.0: a REC that an operation is making or taking apart.
    Intermediate,
}
