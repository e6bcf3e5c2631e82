//! The firmware, except what touches hardware: boot order, the run loop of a REC.
//!
//! Everything here is generic over [`machine::Machine`], so that the tests run it on the build
//! host; the image (`main.rs`) puts crate `rmm-arch` underneath.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod boot;
pub mod log;
pub mod run;

use machine::Machine;
use realm::Rmm;

/// Handles one call of the Host: X0 to X7 become those with which its call returns.
#[inline(always)]
pub fn handle<M: Machine>(rmm: &Rmm<'_, M>, registers: &mut rmi::Registers) {
    rmi::serve(rmm, registers, &run::run);
}
