//! Realm Translation Tables: the stage 2 tables of a Realm, which say where its memory is (HIPAS)
//! and what it may be used for (RIPAS).
//!
//! | Module | Owns |
//! | --- | --- |
//! | [`level`] | levels and the sizes of what their entries describe |
//! | [`entry`] | what an entry says, and its bits |
//! | [`tree`] | one Realm's tree: geometry, and the walk |
//! | [`words`] | a tree as RDs and RECs hold it |
//! | [`scan`] | questions about a whole table: first live entry, homogeneity |
//! | [`ripas`] | RIPAS changes over a range of entries |
//!
//! Table granules are locked hand over hand from the root. An RTT's reference count is the number
//! of its live entries: TABLE, ASSIGNED and ASSIGNED_NS. Without one, nobody has to look through
//! the table for the next.
//!
//! Levels, the steps of a walk and the passes of [`scan`] are written for each size of granules
//! ([`machine::GranuleShift`]). What works on a table that it has locked and mapped, a [`Position`]
//! and the RIPAS changes there, is of those that are offered.

pub mod entry;
pub mod level;
pub mod ripas;
pub mod scan;
pub mod tree;
pub mod words;

pub use entry::{Entry, Format, HostAttributes, Ripas};
pub use level::{Level, LevelOf};
pub use tree::{Position, Tree};
pub use words::TreeWords;

// Not under Miri: tables of 64 KiB take it many minutes, and the code is that of 4 KiB.
#[cfg(test)]
#[cfg(not(miri))]
mod each_granule;
