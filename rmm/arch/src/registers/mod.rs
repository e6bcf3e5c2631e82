//! System registers: access to those that the monitor uses, and the fixed values of EL2.
//!
//! Each is in one table (`table`), with name and fields of crate `aarch64-cpu`; only a register for
//! which that has no name, or none that assembles for this target, is accessed by its encoding. A
//! write that could break isolation, or what the monitor itself stands on, is an `unsafe` call with
//! its proof beside it (`Guarded`). No other module takes a register from `aarch64-cpu`.

#[cfg(target_os = "none")]
mod access;
#[cfg(target_os = "none")]
mod table;
mod values;

#[cfg(target_os = "none")]
pub(crate) use table::*;
pub use values::*;
