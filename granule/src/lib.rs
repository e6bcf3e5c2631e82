//! Physical memory as the monitor sees it.
//!
//! Owns: the state of every 4 KiB granule of DRAM ([`GranuleTable`]), the locks that prove a state
//! ([`GranuleGuard`]), the way in and out of the Realm physical address space ([`delegation`]), and
//! the record of granules that could not be given back ([`ledger`]).
//!
//! Does not own: what the granules of a Realm mean to each other (crate `realm`), the ways to their
//! contents (crate `machine`), or any register.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod account;
pub mod delegation;
pub mod guard;
pub mod history;
pub mod ledger;
pub mod range;
pub mod run;
pub mod state;
pub mod sync;
pub mod table;

pub use guard::{GranuleGuard, Running};
pub use history::History;
pub use machine::log::RealmNumber;
pub use machine::{GRANULE_SIZE, GranuleAddr, PAGE_SIZE};
pub use range::{Budget, GranuleRange, GranuleRangeOf, Progress, RangeError};
pub use state::{
    Data, Delegated, GranuleState, Partial, RdState, RecAuxState, RecState, RttState, State,
    TransitionTo, Undelegated,
};
pub use table::{GranuleError, GranuleTable, Tracked};
