//! Physical memory as the monitor sees it.
//!
//! Owns: physical addresses ([`GranuleAddr`]), the state of every 4 KiB granule of DRAM ([`GranuleTable`]),
//! the locks that prove a state ([`GranuleGuard`]), the way in and out of the Realm physical address
//! space ([`delegation`]), the record of granules that could not be given back ([`ledger`]), and the
//! traits of the machine underneath ([`machine`]).
//!
//! Does not own: what the granules of a Realm mean to each other (crate `realm`), or any register.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod account;
pub mod addr;
pub mod delegation;
pub mod guard;
pub mod history;
pub mod ledger;
pub mod machine;
pub mod state;
pub mod sync;
pub mod table;

pub use addr::{GRANULE_SIZE, GranuleAddr};
pub use guard::{GranuleGuard, Running};
pub use history::{History, RealmNumber};
pub use state::{
    Data, Delegated, GranuleState, RdState, RecAuxState, RecState, RttState, State, TransitionTo,
    Undelegated,
};
pub use table::{Bank, Banks, GranuleError, GranuleTable, Tracked};
