//! The conformance suite on a real machine: the scenarios of `cairn-tests`, run against whatever
//! monitor EL3 has started.
//!
//! | Module | Owns |
//! | --- | --- |
//! | `port` | the machine as the scenarios see it: calls, memory, Realms that run programs |
//! | `mailbox` | a REC's program as operations in memory that the Host and the Realm share |
//! | `a64` | the instructions |
//!
//! A scenario's line is printed before it starts, so that the tool on the other side of the console
//! knows what the machine was doing when it stopped answering; the tool then starts the machine
//! again with what is left.

mod a64;
mod mailbox;
mod port;

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;
use core::ops::Range;

use crate::failure::Failure;
use crate::machine::{Changed, Machine};
use cairn_tests::outcome::Failure as Failed;
use cairn_tests::port::Vgic;
use cairn_tests::scenarios::{self, Ended, Scenario};
use cairn_tests::v2_0;
use port::RealPort;

pub use port::assist;

/// Words of a page.
pub const PAGE_WORDS: usize = 512;

/// Addresses of the board that the suite runs on.
#[derive(Clone, Copy, Debug)]
pub struct Board {
    /// The interrupt distributor, at the start of 2 MiB of devices.
    pub distributor: u64,
    /// A page of another device.
    pub device: u64,
    /// A page of the monitor.
    pub monitor: u64,
}

/// What the suite needs of a machine besides the rest of the host.
pub trait Target {
    /// Where what it has is.
    fn board(&self) -> Board;

    /// Whether the CPU has streaming vectors (FEAT_SME).
    fn has_streaming(&self) -> bool;

    /// Whether the CPU has scalable vectors (FEAT_SVE).
    fn has_sve(&self) -> bool;

    /// SMC #0 with X0 to X7; X0 to X7 afterwards.
    fn call(&self, registers: [u64; 8]) -> [u64; 8];

    /// The same in streaming mode, with vectors and predicates that are known before; whether they
    /// are unchanged.
    fn call_streaming(&self, registers: [u64; 8]) -> ([u64; 8], bool);

    /// The same with a pattern in every register of this CPU that a Realm uses too, and with the
    /// SVE hint of the SMCCC if SVE is to be closed meanwhile; the register that did not survive,
    /// if one did not.
    fn call_watched(&self, registers: [u64; 8], without_sve: bool) -> ([u64; 8], Option<Changed>);

    /// Reads a page that may have been delegated; `false` if it has.
    fn read_page(&self, pa: u64, page: &mut [u64; PAGE_WORDS]) -> bool;

    /// Writes a page that may have been delegated; `false` if it has.
    fn write_page(&self, pa: u64, page: &[u64; PAGE_WORDS]) -> bool;

    /// ICH_VMCR_EL2 of an interface that nobody has used.
    fn resting_vmcr(&self) -> u64;

    /// The virtual interrupt interface of this CPU.
    fn vgic(&self) -> Vgic;

    /// Writes it.
    fn set_vgic(&self, vgic: &Vgic);

    /// Makes earlier writes visible to all.
    fn barrier(&self);

    /// Acknowledges what is pending on this CPU.
    fn acknowledge_interrupts(&self);
}

/// A machine that runs the suite.
pub trait Bare: Machine + Target {}

impl<T: Machine + Target> Bare for T {}

/// Which scenarios to run, as the job text has it: `0-99,105,200-850`, numbers of
/// [`scenarios::all`] and, after the last of them, of [`v2_0::all`].
fn chosen(text: &str) -> Result<Vec<Range<usize>>, Failure> {
    let number = |text: &str| {
        text.parse::<usize>().map_err(|_| failure!("`{text}` is no number of a scenario"))
    };
    text.split(',')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Ok(number(first)?..number(last)? + 1)
        })
        .collect()
}

/// Runs scenarios in `memory`; `started` gets the address of the mailboxes before the first.
///
/// # Errors
///
/// The job text does not say which, or one has left the machine in a state that the others cannot
/// start from.
pub fn run(
    bare: &dyn Bare,
    program: &[u64; PAGE_WORDS],
    memory: Range<u64>,
    job: &str,
    started: impl FnOnce(u64),
) -> Result<(), Failure> {
    let chosen = chosen(job)?;
    let mut all = scenarios::all().scenarios;
    if chosen.iter().any(|range| range.end > all.len()) {
        all.extend(v2_0::all().scenarios);
    }
    let mut port = RealPort::new(bare, program, memory);
    port.reset();
    started(port.mailboxes());
    for range in chosen {
        for scenario in all.iter().take(range.end).skip(range.start) {
            run_one(bare, &mut port, scenario)?;
        }
    }
    Ok(())
}

fn run_one(bare: &dyn Bare, port: &mut RealPort<'_>, scenario: &Scenario) -> Result<(), Failure> {
    let name = &scenario.name;
    bare.console_line(format_args!("@cairn {{\"event\":\"scenario_start\",\"name\":\"{name}\"}}"));
    let before = bare.counter();
    let Ended { outcome, closing } = scenario.carry_out(port);
    let micros = (bare.counter() - before) * 1_000_000 / bare.counter_hz().max(1);
    let (result, why) = match (&outcome, &closing) {
        (Err(wrong @ Failed::Wrong(_)), _) => ("fail", wrong.to_string()),
        (_, Err(failure)) => ("fail", alloc::format!("giving everything back: {failure}")),
        (Err(missing @ Failed::Missing(_)), Ok(())) => ("missing", missing.to_string()),
        (Ok(()), Ok(())) => ("pass", String::new()),
    };
    let why = escaped(&why);
    bare.console_line(format_args!(
        "@cairn {{\"event\":\"scenario\",\"name\":\"{name}\",\"result\":\"{result}\",\"micros\":{micros},\"why\":\"{why}\"}}"
    ));
    match closing {
        Ok(()) => {
            port.reset();
            Ok(())
        }
        Err(_) => Err("not everything could be given back: the machine has to start again".into()),
    }
}

/// Text as the inside of a JSON string.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        // Writing to a string does not fail.
        let _ = match character {
            '"' | '\\' => write!(escaped, "\\{character}"),
            ' '..='~' => write!(escaped, "{character}"),
            _ => write!(escaped, "\\u{:04x}", u32::from(character).min(0xffff)),
        };
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_ranges_of_numbers() {
        assert_eq!(chosen("0-2,5").unwrap(), [0..3, 5..6]);
        assert!(chosen("").unwrap().is_empty());
        assert!(chosen("a").is_err());
    }

    #[test]
    fn text_becomes_a_json_string() {
        assert_eq!(escaped("a\"b\\\n"), "a\\\"b\\\\\\u000a");
    }
}
