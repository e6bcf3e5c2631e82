//! Every stated order of failure conditions: when two hold at once, the code of the first comes
//! back.
//!
//! Source: RMM specification (Arm DEN0137) 1.0, "Failure condition ordering" of each command.

use alloc::format;

use super::cases::{Broken, CASES, case};
use super::registry::Registry;
use crate::abi::{Command, INPUT};
use crate::outcome::Outcome;
use crate::port::Place;
use crate::world::World;

/// A stated order: each of the first conditions comes before each of the second.
struct Order {
    command: Command,
    first: &'static [&'static str],
    second: &'static [&'static str],
}

const RD: &[&str] = &["rd_bound", "rd_state"];
const WALK: &[&str] = &["rtt_walk", "rtte_state"];
const WALK_LIVE: &[&str] = &["rtt_walk", "rtte_state", "rtt_live"];
const WALK_HOMO: &[&str] = &["rtt_walk", "rtte_state", "rtt_homo"];
const LEVEL_IPA: &[&str] = &["level_bound", "ipa_bound"];
const IPA: &[&str] = &["ipa_bound"];
const STATE: &[&str] = &["realm_state"];

const fn order(
    command: Command,
    first: &'static [&'static str],
    second: &'static [&'static str],
) -> Order {
    Order { command, first, second }
}

/// Every order that the specification states for two conditions with different codes.
static ORDERS: &[Order] = &[
    order(Command::DataCreate, RD, STATE),
    order(Command::DataCreate, RD, WALK),
    order(Command::DataCreate, IPA, WALK),
    order(Command::DataCreateUnknown, RD, WALK),
    order(Command::DataCreateUnknown, IPA, WALK),
    order(Command::DataDestroy, RD, WALK),
    order(Command::DataDestroy, IPA, WALK),
    order(Command::RealmActivate, RD, STATE),
    order(Command::RealmDestroy, RD, &["realm_live"]),
    order(Command::RecCreate, RD, STATE),
    order(
        Command::RecEnter,
        &["run_align", "run_bound", "run_pas", "rec_align", "rec_bound", "rec_gran_state"],
        &["realm_new", "system_off", "rec_runnable", "rec_mmio", "rec_gicv3", "rec_psci"],
    ),
    order(Command::RttCreate, RD, WALK),
    order(Command::RttCreate, LEVEL_IPA, WALK),
    order(Command::RttDestroy, RD, WALK_LIVE),
    order(Command::RttDestroy, LEVEL_IPA, WALK),
    order(Command::RttFold, RD, WALK_HOMO),
    order(Command::RttFold, LEVEL_IPA, WALK),
    order(Command::RttInitRipas, RD, &["realm_state", "base_align", "rtte_state", "no_progress"]),
    order(Command::RttInitRipas, &["top_gran_align"], &["no_progress"]),
    order(Command::RttSetRipas, RD, &["base_align", "no_progress"]),
    order(Command::RttSetRipas, &["rec_bound", "rec_gran_state"], &["rec_owner"]),
    order(Command::RttSetRipas, &["base_bound"], &["base_align"]),
    order(Command::RttSetRipas, &["top_gran_align"], &["no_progress"]),
    order(Command::RttMapUnprotected, RD, WALK),
    order(Command::RttMapUnprotected, LEVEL_IPA, WALK),
    order(Command::RttUnmapUnprotected, RD, WALK),
    order(Command::RttUnmapUnprotected, LEVEL_IPA, WALK),
];

pub(super) fn add(registry: &mut Registry) {
    for (command, condition, build) in CASES {
        let build = *build;
        registry.add(format!("{}/{condition}", command.label()), move |w| build(w)?.fails(w));
    }
    for order in ORDERS {
        for first in order.first {
            for second in order.second {
                let command = order.command;
                let name = format!("{}/order/{first}_before_{second}", command.label());
                registry.add(name, move |w| both(w, command, first, second));
            }
        }
    }
}

/// Makes the second condition hold, then the first as well: RMI_ERROR_INPUT; then only the second
/// again: its code.
fn both(w: &mut World<'_>, command: Command, first: &str, second: &str) -> Outcome {
    let Some(build) = case(command, second) else {
        return crate::outcome::fail(format!("no case {second}"));
    };
    let broken = build(w)?;
    let (index, value) = spoil(w, &broken, first)?;
    broken.call.with(w, index, value, INPUT)?;
    broken.fails(w)
}

/// The argument and value that make the first condition hold as well.
fn spoil(w: &mut World<'_>, broken: &Broken, condition: &str) -> Outcome<(usize, u64)> {
    let command = broken.call.command;
    let device = w.place(Place::Device).unwrap_or(1 << 52);
    let width = broken.call.realm.map_or(40, |realm| realm.width);
    let ipa_index = if matches!(command, Command::DataDestroy) { 1 } else { ipa_index(command) };
    Ok(match condition {
        "rd_bound" => (0, device),
        "rd_state" => (0, w.delegated()?),
        "rec_align" => (0, broken.call.arguments[0] + 1),
        "rec_bound" => (rec_index(command), device),
        "rec_gran_state" => (rec_index(command), w.delegated()?),
        "run_align" => (1, broken.call.arguments[1] + 8),
        "run_bound" => (1, device),
        "run_pas" => (1, w.delegated()?),
        "ipa_bound" => (ipa_index, 1 << width),
        "level_bound" => (level_index(command), 4),
        "top_gran_align" if command == Command::RttInitRipas => {
            (2, broken.call.arguments[2] - 0x800)
        }
        "top_gran_align" => (3, broken.call.arguments[3] - 0x800),
        "base_bound" => (2, broken.call.arguments[2] + 0x1000),
        other => return crate::outcome::fail(format!("no way to make {other} hold")),
    })
}

fn ipa_index(command: Command) -> usize {
    match command {
        Command::DataCreate | Command::DataCreateUnknown | Command::RttCreate => 2,
        _ => 1,
    }
}

fn level_index(command: Command) -> usize {
    if command == Command::RttCreate { 3 } else { 2 }
}

fn rec_index(command: Command) -> usize {
    if command == Command::RttSetRipas { 1 } else { 0 }
}
