//! The Realm Management Interface: what the Host may ask for.
//!
//! | Module | Owns |
//! | --- | --- |
//! | [`ops`] | what a Host can make happen: no number, no label, no layout of any version |
//! | `v1_0`, `v2_0` | the two versions of the interface: numbers, registers, pages, return codes |
//! | `args`, `features`, `pages`, `row`, `run_page` | what both have in common |
//! | `version`, `dialect` | which version a Host speaks |
//! | `words` | copies of Host memory |
//!
//! To read one command: its row in `table.rs` of a version, its arguments in `args.rs` or
//! `pages.rs`, its function in `ops`.
//!
//! Does not own: the objects themselves (crate `realm`), the run of a REC (crate `rmm`), how a call
//! reaches the monitor (crate `rmm-arch`).
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod args;
mod dialect;
mod entry;
mod features;
pub mod ops;
mod pages;
mod row;
mod run_page;
mod v1_0;
mod v2_0;
mod version;
mod words;

use machine::Machine;
use realm::exit::{Answer, Exit};
use realm::{Rec, Rmm};

use dialect::{Dialect, Known, Stage};
use version::Negotiated;

pub use v2_0::choices::BETA;

/// Registers X0 to X7 of the Host: what it passes with a call, and what it gets back.
pub type Registers = [u64; 8];

/// What runs a REC whose entry has been checked, until something needs the Host.
pub trait Run<M>: Fn(&Rmm<'_, M>, &mut Rec, &Answer<'_>) -> Exit {}

impl<M, T: Fn(&Rmm<'_, M>, &mut Rec, &Answer<'_>) -> Exit> Run<M> for T {}

/// SMCCC NOT_SUPPORTED.
const NOT_SUPPORTED: u64 = u64::MAX;

/// RMI_VERSION, which every version of the interface has, and which chooses among them.
const VERSION: u64 = 0xc400_0150;

/// RMI_FEATURES, which every version has too.
const FEATURES: u64 = 0xc400_0165;

/// The function identifier is W0 (SMCCC). Its bit 16 is the SVE hint of SMCCC 1.3: the Host has no
/// live SVE state.
const fn identifier(x0: u64) -> u64 {
    const IDENTIFIER: u64 = 0xffff_ffff & !(1 << 16);
    x0 & IDENTIFIER
}

/// Handles one call of the Host: X0 to X7 become those with which its call returns.
///
/// Source: RMM specification (Arm DEN0137) 1.0, B1.1, B4.1; RMM-EL3 communication interface,
/// `RMM_RMI_REQ_COMPLETE`.
// A function of its own in the image: profiles and crash reports go by its name.
#[inline(never)]
pub fn serve<M: Machine>(rmm: &Rmm<'_, M>, registers: &mut Registers, run: &impl Run<M>) {
    let [x0, ..] = *registers;
    let number = identifier(x0);
    if number == VERSION {
        return version(rmm, registers);
    }
    // perf: one comparison before the commands of 1.0 (`granule_delegate` and all others), two
    // before those of 2.0.
    let dialect = if Stage::V1_0.is_now(rmm) {
        Dialect::V1_0
    } else if Stage::V2_0Active.is_now(rmm) {
        Dialect::V2_0
    } else {
        dialect::choose(rmm, known(number))
    };
    match dialect {
        Dialect::V1_0 => v1_0::table::serve(rmm, registers, run),
        Dialect::V2_0 => v2_0::table::serve(rmm, registers, run),
    }
}

/// RMI_VERSION.
#[inline(never)]
fn version<M: Machine>(rmm: &Rmm<'_, M>, registers: &mut Registers) {
    let [x0, x1, x2, x3, ..] = registers;
    let Negotiated { agreed, lower, higher } = dialect::version(rmm, *x1);
    // RMI_SUCCESS or RMI_ERROR_INPUT, which have the same numbers in every version.
    let status = u64::from(agreed.is_none());
    [*x0, *x1, *x2, *x3] = [status, lower.as_u64(), higher.as_u64(), 0];
}

/// What is known of the command with this number.
fn known(number: u64) -> Known {
    Known {
        in_v1_0: v1_0::table::has(number),
        in_v2_0: v2_0::table::has(number),
        asks_only: number == FEATURES || v2_0::table::asks_only(number),
    }
}
