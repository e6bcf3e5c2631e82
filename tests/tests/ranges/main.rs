//! Operations on ranges equal the loop of the same operations on one unit each: in states, outputs,
//! counts, log and ledger, also when EL3 refuses the n-th granule and when an interrupt is pending
//! after the k-th.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test program")]

mod blocks;
mod granules;
mod memory;
mod stage;
