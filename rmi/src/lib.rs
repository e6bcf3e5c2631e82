//! The Realm Management Interface: what the Host may ask for.
//!
//! | Module | Owns |
//! | --- | --- |
//! | [`ops`] | what a Host can make happen: no number, no label, no layout of any version |
//! | `v1_0` | RMI 1.0: numbers, registers, pages, return codes |
//! | `version`, `dialect` | which version a Host speaks |
//! | `words` | copies of Host memory |
//!
//! To read one command: its row in `v1_0/table.rs`, its arguments in `v1_0/args.rs` or `v1_0/pages.rs`, its function in `ops`.
//!
//! Does not own: the objects themselves (crate `realm`), the run of a REC (crate `rmm`), how a call reaches the monitor
//! (crate `rmm-arch`).
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod dialect;
pub mod ops;
mod v1_0;
mod version;
mod words;

use machine::Machine;
use realm::exit::{Answer, Exit};
use realm::{Rec, Rmm};

use dialect::Dialect;
use version::{Negotiated, negotiate};

/// Registers X0 to X7 of the Host: what it passes with a call, and what it gets back.
pub type Registers = [u64; 8];

/// What runs a REC whose entry has been checked, until something needs the Host.
pub trait Run<M>: Fn(&Rmm<'_, M>, &mut Rec, &Answer<'_>) -> Exit {}

impl<M, T: Fn(&Rmm<'_, M>, &mut Rec, &Answer<'_>) -> Exit> Run<M> for T {}

/// SMCCC NOT_SUPPORTED.
const NOT_SUPPORTED: u64 = u64::MAX;

/// RMI_VERSION, which every version of the interface has, and which chooses among them.
const VERSION: u64 = 0xc400_0150;

/// The function identifier is W0 (SMCCC). Its bit 16 is the SVE hint of SMCCC 1.3: the Host has no live SVE state.
const fn identifier(x0: u64) -> u64 {
    const IDENTIFIER: u64 = 0xffff_ffff & !(1 << 16);
    x0 & IDENTIFIER
}

/// Handles one call of the Host: X0 to X7 become those with which its call returns.
///
/// Source: RMM specification (Arm DEN0137) 1.0, B1.1, B4.1; RMM-EL3 communication interface, `RMM_RMI_REQ_COMPLETE`.
// A function of its own in the image: profiles and crash reports go by its name.
#[inline(never)]
pub fn serve<M: Machine>(rmm: &Rmm<'_, M>, registers: &mut Registers, run: &impl Run<M>) {
    let [x0, x1, x2, x3, ..] = registers;
    if identifier(*x0) == VERSION {
        let Negotiated { agreed, lower, higher } = negotiate(&Dialect::SUPPORTED, *x1);
        // RMI_SUCCESS or RMI_ERROR_INPUT, which have the same numbers in every version.
        let status = u64::from(agreed.is_none());
        [*x0, *x1, *x2, *x3] = [status, lower.as_u64(), higher.as_u64(), 0];
        return;
    }
    match Dialect::current() {
        Dialect::V1_0 => v1_0::table::serve(rmm, registers, run),
    }
}
