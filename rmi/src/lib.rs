//! The Realm Management Interface: what the Host may ask for.
//!
//! Owns: the ABI of RMI 1.0 ([`abi`]), the refusals and their codes ([`error`]), and one function per command, in a file
//! per object. Each function reads like the command's page in the specification: check, act, commit the state
//! last, so that a failed command changes nothing. Condition names of the specification stand beside each check.
//!
//! Does not own: the objects themselves (crate `realm`), the run of a REC (crate `rmm`), the register-level call
//! (crate `rmm`).
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod abi;
pub mod args;
pub mod data;
pub mod error;
pub mod granule;
pub mod psci;
pub mod realm;
pub mod rec;
pub mod rtt;
pub mod version;

pub use error::{Refusal, RmiError};
