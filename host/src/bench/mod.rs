//! What each command costs, in executed instructions.
//!
//! QEMU with `-icount shift=0` advances the physical counter by one tick per instruction, so two
//! reads of the counter around a call count the instructions in between, EL3's and the monitor's,
//! exactly and repeatably. Each operation is measured on a Realm of its own, built so that nothing
//! else is in its way; what an operation needs is done again if it has to be measured twice.
//!
//! | Module | Owns |
//! | --- | --- |
//! | `cost` | what a call costs, and which part of it is EL3's |
//! | `dialect` | what the versions of the interface do by other commands |
//! | `fixture` | a small Realm with a 40-bit IPA space that starts at level 0 |
//! | `commands` | the Host's commands of version 1.0 |
//! | `v2_0` | those of version 2.0 |
//! | `in_place` | population in place, against the ordinary way |
//! | `guest` | entries, exits and the Realm's calls, by a small program in the Realm |
//! | `attestation` | tokens, and how soon an interrupt ends their computation |
//! | `conversions` | guests that share memory and take it back |
//! | `latency` | how long an interrupt may have to wait |

mod attestation;
mod commands;
mod conversions;
mod cost;
mod dialect;
mod fixture;
mod guest;
mod in_place;
mod latency;
mod v2_0;

use crate::failure::Failure;
use crate::granules::Purpose;
use crate::host::Host;
use crate::rmi::abi::VERSION_2_0;
use crate::rmi::{Command, RmiError};
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;
use cost::{Cost, El3, Meter};
use dialect::TimedDialect;

/// A machine that can time a call.
pub trait Timed: Sync {
    /// Issues `SMC #0` with `X0`..`X6`; gives back `X0`..`X4` and the ticks between the counter
    /// reads just before and just after it.
    fn timed_smc(&self, args: [u64; 7]) -> ([u64; 5], u64);

    /// Copies a page of the Host's as a kernel does, without the memory copy instructions; the
    /// ticks that it takes.
    fn timed_copy(&self, to: u64, from: u64) -> u64;

    /// Ends the job at once, so that the last command of a trace is the one that was measured last.
    fn end(&self) -> !;
}

/// What the bench works with.
pub struct Bench<'b> {
    host: &'b Host,
    timed: &'b dyn Timed,
    /// EL3, if it tells what it spends.
    meter: Option<Meter>,
    /// The version of the interface, where versions differ.
    dialect: &'static dyn TimedDialect,
    /// Granules that are delegated already, for what the monitor asks for.
    stock: RefCell<Vec<u64>>,
    until: &'b str,
}

/// What the monitor said to a timed command.
#[derive(Clone, Copy, Debug)]
struct Answer {
    cost: Cost,
    /// X0 to X4.
    reply: [u64; 5],
    /// X1.
    x1: u64,
}

impl<'b> Bench<'b> {
    fn new(host: &'b Host, timed: &'b dyn Timed, until: &'b str) -> Self {
        let dialect = dialect::of(host);
        let stock = RefCell::default();
        Self { host, timed, meter: Meter::find(timed), dialect, stock, until }
    }

    /// Gives back what is in stock.
    fn finish(self) {
        for granule in self.stock.into_inner() {
            self.host.reclaim(granule, Purpose::RecAux);
        }
    }

    /// Issues a command that has to be refused for the state of a table's entry; what it costs.
    fn refused(&self, command: Command, args: [u64; 5]) -> Result<Cost, Failure> {
        const ERROR_RTT: u64 = 4;
        let Answer { cost, reply: [x0, ..], .. } = self.ask(command, args);
        if x0 & 0xff == ERROR_RTT {
            return Ok(cost);
        }
        let (name, [a1, a2, a3, ..]) = (command.name(), args);
        Err(failure!("{name}({a1:#x}, {a2:#x}, {a3:#x}) was not refused: {x0:#x}"))
    }

    /// Issues a command, and times it.
    fn ask(&self, command: Command, [a1, a2, a3, a4, a5]: [u64; 5]) -> Answer {
        let registers = [command.number(), a1, a2, a3, a4, a5, 0];
        let call = || self.timed.timed_smc(registers);
        let ((reply, instructions), el3) = match self.meter {
            Some(meter) => meter.of(self.timed, call),
            None => (call(), None),
        };
        let [_, x1, ..] = reply;
        Answer { cost: Cost { el3, ..Cost::one(instructions) }, reply, x1 }
    }

    /// Issues a command that has to succeed, and times it.
    fn call(&self, command: Command, args: [u64; 5]) -> Result<Answer, Failure> {
        let answer = self.ask(command, args);
        RmiError::from_reply(command, args, answer.reply)?;
        Ok(answer)
    }

    /// Reports one row, right after the commands that it is about: no other command of the host may
    /// stand between them.
    fn row(&self, name: &str, cost: Cost) {
        let Cost { instructions, smcs, el3 } = cost;
        match cost.own().zip(el3) {
            Some((own, El3 { services, .. })) => self.report(
                name,
                format_args!(
                    "\"instructions\":{instructions},\"own\":{own},\"smcs\":{smcs},\"el3_calls\":{services}"
                ),
            ),
            None => self.report(
                name,
                format_args!("\"instructions\":{instructions},\"smcs\":{smcs}"),
            ),
        }
    }

    /// Reports a number of instructions that is no cost of commands: of a Realm's own call, or of
    /// an interrupt that waits.
    fn instructions(&self, name: &str, instructions: u64) {
        self.report(name, format_args!("\"instructions\":{instructions}"));
    }

    fn report(&self, name: &str, fields: fmt::Arguments<'_>) {
        self.host.machine().console_line(format_args!(
            "@cairn {{\"event\":\"bench\",\"name\":\"{name}\",{fields}}}"
        ));
        if name == self.until {
            self.timed.end();
        }
    }
}

/// Measures how long an interrupt for the Host may have to wait, and reports a line per command and
/// state of the Realm.
///
/// # Errors
///
/// A command that has to succeed does not.
pub fn latency(host: &Host, timed: &dyn Timed, program: &[u8]) -> Result<(), Failure> {
    // A question to EL3 would take its time while the interrupt waits.
    let bench = Bench { meter: None, ..Bench::new(host, timed, "") };
    latency::run(&bench, program)?;
    bench.finish();
    Ok(())
}

/// Measures what it takes when a guest shares memory and takes it back, and reports a line for each
/// of its habits.
///
/// # Errors
///
/// A command that has to succeed does not.
pub fn conversions(host: &Host, timed: &dyn Timed, program: &[u8]) -> Result<(), Failure> {
    let bench = Bench::new(host, timed, "");
    conversions::run(&bench, program)?;
    bench.finish();
    Ok(())
}

/// Measures everything, or all up to the operation `until`, and reports a line per operation.
/// `program` is the code that runs in the Realm.
///
/// # Errors
///
/// A command that has to succeed does not.
pub fn run(host: &Host, timed: &dyn Timed, program: &[u8], until: &str) -> Result<(), Failure> {
    let bench = Bench::new(host, timed, until);
    if host.dialect().version() == VERSION_2_0 {
        v2_0::run(&bench, program)?;
    } else {
        commands::run(&bench)?;
        guest::run(&bench, program)?;
    }
    bench.finish();
    Ok(())
}
