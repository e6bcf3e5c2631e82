//! What a Host can make happen, whatever interface it speaks: arguments with types in, results with
//! types out.
//!
//! Each function reads like its page in the specification: check, act, commit the state last, so
//! that a refused command changes nothing. Why it is refused is a [`Cause`]; numbers and names of
//! conditions are the dialects'.

mod blocks;
pub mod cause;
pub mod data;
pub mod donation;
pub mod enter;
mod entry;
pub mod granule;
pub mod in_place;
pub mod lock;
pub mod map;
pub mod memory;
pub mod psci;
pub mod realm;
pub mod rec;
pub mod ripas;
pub mod sro;
mod sweep;
pub mod table;
pub mod tracking;
pub mod vgic;

pub use blocks::{Block, Sink, Supply};
pub use cause::{Cause, HostPage, Operand};
pub use lock::Named;
