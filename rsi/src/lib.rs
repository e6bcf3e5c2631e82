//! The Realm Services Interface: what a Realm may ask for by SMC.
//!
//! Owns: the ABI of RSI 1.0 and of PSCI 1.1 ([`abi`]), and one function per call, in a file per
//! family. A call is answered at once, or ends the run of the REC with an exit to the Host; then
//! [`resume()`] completes it at the next entry.
//!
//! Does not own: traps other than SMC, and the loop around them (crate `rmm`).
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod abi;
pub mod attestation;
pub mod config;
pub mod guest;
pub mod host_call;
pub mod measurement;
pub mod psci;
pub mod ripas;

use machine::{Event, Machine};
use realm::exit::{Answer, Exit};
use realm::rec::Pending;
use realm::{Rec, Rmm};

use abi::{ERROR_INPUT, NOT_SUPPORTED, SUCCESS, VERSION_1_0, fid};

/// What a call leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The Realm goes on after the SMC, with X0 to X3 as given.
    Return([u64; 4]),
    /// The Realm goes on after the SMC; the call has set the registers itself.
    Done,
    /// The REC exits; the SMC counts as executed.
    Exit(Exit),
    /// The REC exits, and the SMC is repeated when it comes back: the Host has to provide memory
    /// first.
    Retry(Exit),
}

impl Outcome {
    /// A result without outputs.
    pub const fn code(x0: u64) -> Self {
        Self::Return([x0, 0, 0, 0])
    }
}

/// Handles an SMC of the Realm: the function identifier is in W0.
///
/// Returns the exit if the REC has to leave, else `None`: the Realm goes on.
pub fn smc<M: Machine>(rmm: &Rmm<'_, M>, rec: &mut Rec) -> Option<Exit> {
    /// The SVE hint of SMCCC 1.3: no live SVE state. No difference for us.
    const SVE_HINT: u64 = 1 << 16;
    let called = rec.gpr(0) & 0xffff_ffff & !SVE_HINT;
    let outcome = match called {
        fid::VERSION => version(rec.gpr(1)),
        fid::FEATURES => Outcome::code(SUCCESS),
        fid::MEASUREMENT_READ => measurement::read(rmm, rec),
        fid::MEASUREMENT_EXTEND => measurement::extend(rmm, rec),
        fid::ATTESTATION_TOKEN_INIT => attestation::init(rmm, rec),
        fid::ATTESTATION_TOKEN_CONTINUE => attestation::proceed(rmm, rec),
        fid::REALM_CONFIG => config::read(rmm, rec),
        fid::IPA_STATE_SET => ripas::set(rec),
        fid::IPA_STATE_GET => ripas::get(rmm, rec),
        fid::HOST_CALL => host_call::call(rmm, rec),
        _ => psci::call(rmm, rec, called).unwrap_or_else(|| {
            rmm.machine.log(Event::UnknownCall { fid: called });
            Outcome::code(NOT_SUPPORTED)
        }),
    };
    match outcome {
        Outcome::Return(results) => {
            for (number, value) in results.into_iter().enumerate() {
                rec.set_gpr(number, value);
            }
            rec.advance_pc();
            None
        }
        Outcome::Done => {
            rec.advance_pc();
            None
        }
        Outcome::Exit(exit) => {
            rec.advance_pc();
            Some(exit)
        }
        Outcome::Retry(exit) => Some(exit),
    }
}

/// `RSI_VERSION`: success if 1.0 is asked for; the answer names 1.0 in any case.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RSI_VERSION`.
fn version(requested: u64) -> Outcome {
    let result = if requested == VERSION_1_0 { SUCCESS } else { ERROR_INPUT };
    Outcome::Return([result, VERSION_1_0, VERSION_1_0, 0])
}

/// Completes what the Realm asked of the Host at the last exit. Returns an exit if the REC cannot
/// go on yet.
pub fn resume<M: Machine>(rmm: &Rmm<'_, M>, rec: &mut Rec, answer: &Answer) -> Option<Exit> {
    match rec.pending() {
        // A REC with a pending PSCI call cannot be entered.
        Pending::None | Pending::Psci => None,
        Pending::RipasChange => {
            ripas::complete(rec, answer.ripas_reject);
            None
        }
        Pending::HostCall => host_call::complete(rmm, rec, answer.gprs),
    }
}
