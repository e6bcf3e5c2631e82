//! Commands on translation tables. The tables themselves are in [`crate::state::rtt`].
//!
//! Source: RMM specification (Arm DEN0137) 1.0, A5.5.

mod commands;
mod ripas;
mod unprotected;

pub(crate) use crate::state::rtt::{Entry, Ripas, Table, Walk};
