//! What each command costs, in executed instructions.
//!
//! QEMU with `-icount shift=0` advances the physical counter by one tick per instruction, so two reads of the counter
//! around a call count the instructions in between, EL3's and the monitor's, exactly and repeatably. Each
//! operation is measured on a Realm of its own, built so that nothing else is in its way; what an operation needs is
//! done again if it has to be measured twice.
//!
//! | Module | Owns |
//! | --- | --- |
//! | `fixture` | a small Realm with a 40-bit IPA space that starts at level 0 |
//! | `commands` | the Host's commands |
//! | `in_place` | population in place, against the ordinary way |
//! | `guest` | entries, exits and the Realm's calls, by a small program in the Realm |
//! | `attestation` | tokens, and how soon an interrupt ends their computation |
//! | `latency` | how long an interrupt may have to wait |

mod attestation;
mod commands;
mod fixture;
mod guest;
mod in_place;
mod latency;

use crate::failure::Failure;
use crate::host::Host;
use crate::rmi::Command;

/// A machine that can time a call.
pub trait Timed: Sync {
    /// Issues `SMC #0` with `X0`..`X6`; gives back `X0`..`X4` and the ticks between the counter reads just before and
    /// just after it.
    fn timed_smc(&self, args: [u64; 7]) -> ([u64; 5], u64);

    /// Copies a page of the Host's as a kernel does, without the memory copy instructions; the ticks
    /// that it takes.
    fn timed_copy(&self, to: u64, from: u64) -> u64;

    /// Ends the job at once, so that the last command of a trace is the one that was measured last.
    fn end(&self) -> !;
}

/// What the bench works with.
pub struct Bench<'b> {
    host: &'b Host,
    timed: &'b dyn Timed,
    until: &'b str,
}

/// The result of a timed command.
#[derive(Clone, Copy, Debug)]
struct Cost {
    /// Instructions.
    instructions: u64,
    /// X1 of the reply.
    x1: u64,
}

impl Bench<'_> {
    /// Issues a command that has to succeed, and times it.
    fn call(&self, command: Command, args: [u64; 5]) -> Result<Cost, Failure> {
        let [a1, a2, a3, a4, a5] = args;
        let function = command.number();
        let ([x0, x1, ..], instructions) = self.timed.timed_smc([function, a1, a2, a3, a4, a5, 0]);
        if x0 == 0 {
            Ok(Cost { instructions, x1 })
        } else {
            let name = command.name();
            Err(failure!("{name}({a1:#x}, {a2:#x}, {a3:#x}, {a4:#x}) returned {x0:#x}"))
        }
    }

    /// Reports one row, right after the command that it is about.
    fn row(&self, name: &str, instructions: u64) {
        self.host.machine().console_line(format_args!(
            "@cairn {{\"event\":\"bench\",\"name\":\"{name}\",\"instructions\":{instructions}}}"
        ));
        if name == self.until {
            self.timed.end();
        }
    }
}

/// Measures how long an interrupt for the Host may have to wait, and reports a line per command and state of the Realm.
///
/// # Errors
///
/// A command that has to succeed does not.
pub fn latency(host: &Host, timed: &dyn Timed, program: &[u8]) -> Result<(), Failure> {
    latency::run(&Bench { host, timed, until: "" }, program)
}

/// Measures everything, or all up to the operation `until`, and reports a line per operation. `program` is the code that
/// runs in the Realm.
///
/// # Errors
///
/// A command that has to succeed does not.
pub fn run(host: &Host, timed: &dyn Timed, program: &[u8], until: &str) -> Result<(), Failure> {
    let bench = Bench { host, timed, until };
    commands::granules(&bench)?;
    commands::data(&bench)?;
    in_place::run(&bench)?;
    commands::tables(&bench)?;
    commands::wide_tables(&bench)?;
    commands::objects(&bench)?;
    guest::run(&bench, program)
}
