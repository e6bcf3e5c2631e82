//! Whole-command scenarios of RMI 2.0, third beta, without devices and planes.
//!
//! | Module | Owns |
//! | --- | --- |
//! | [`abi`], [`pages`] | numbers, words and pages of the interface |
//! | [`outcome`] | what a command replied |
//! | [`world`] | a Host: commands, books |
//! | [`sro`], [`memory`], [`rec`] | unfinished operations, memory of a Realm, its RECs |
//! | [`conditions`] | what must have a scenario, and how sure it is |
//! | [`betas`] | where earlier betas have another answer |
//! | [`scenarios`] | the scenarios |
//!
//! Numbers and expectations come from notes on the interface, which say of every fact where it
//! stands. Where that is less than the text or two programs that agree, or where the notes leave a
//! question open, a scenario is a reading: another monitor that fails it may be right.

pub mod abi;
pub mod betas;
pub mod conditions;
pub mod memory;
pub mod outcome;
pub mod pages;
pub mod rec;
pub mod registry;
pub mod scenarios;
pub mod sro;
pub mod world;

pub use scenarios::all;
