//! The specification as a program: given the state of the machine and a call, which answers are
//! allowed, and what the state is afterwards.
//!
//! | Module | Owns |
//! | --- | --- |
//! | [`v1_0`] | RMI 1.0 |
//! | [`v2_0`] | RMI 2.0-bet3, without devices, planes and MEC |
//! | [`extension`] | what the monitor has beyond both |
//! | [`state`] | what both have: granule states, tables, contents of pages, measurements |
//!
//! No number, type or line is shared with the monitor; everything here is written from the
//! specification.
#![forbid(unsafe_code)]
#![allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::wildcard_enum_match_arm,
    clippy::large_enum_variant,
    clippy::result_large_err,
    reason = "an index out of range is a mistake in the specification's program, and has to stop \
              the test; what is large lives for a moment"
)]

pub mod extension;
pub mod state;
pub mod v1_0;
pub mod v2_0;
