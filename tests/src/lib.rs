//! Whole-command scenarios of RMI 1.0 and 2.0, and the fake machine on which they run.
//!
//! Owns: the scenarios ([`scenarios`] of 1.0, [`v2_0`]), written once against a small [`port`]; the
//! list of the specification's conditions that they must cover ([`conditions`]); the fake machine
//! ([`machine`]), which watches the monitor from below.
//!
//! Does not own: the monitor's unit tests, which stand beside its code, or the Normal-world host
//! program (`host`).
//!
//! Scenarios take nothing from the monitor's crates: numbers, layouts and expectations come from
//! the specification.
#![cfg_attr(target_os = "none", no_std)]
#![forbid(unsafe_code)]
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::missing_errors_doc,
    clippy::wildcard_enum_match_arm,
    reason = "test code: a bad index is a failed test, and every scenario fails with its expectation"
)]

extern crate alloc;

pub mod abi;
pub mod conditions;
pub mod need;
pub mod outcome;
pub mod port;
pub mod program;
pub mod rec;
pub mod scenarios;
pub mod v2_0;
pub mod world;

#[cfg(not(target_os = "none"))]
pub mod differential;
#[cfg(not(target_os = "none"))]
pub mod fake_port;
#[cfg(not(target_os = "none"))]
pub mod harness;
#[cfg(not(target_os = "none"))]
pub mod machine;
#[cfg(not(target_os = "none"))]
pub mod operations;
