//! The same granule given twice, for every command with two granule arguments: refused, never
//! waited for.

use alloc::format;

use super::good::good;
use super::registry::Registry;
use crate::abi::{Command, INPUT};

/// Commands, and the numbers of their granule and pointer arguments.
static PAIRS: &[(Command, &[usize])] = &[
    (Command::DataCreate, &[0, 1, 3]),
    (Command::DataCreateUnknown, &[0, 1]),
    (Command::RealmCreate, &[0, 1]),
    (Command::RecCreate, &[0, 1, 2]),
    (Command::RecEnter, &[0, 1]),
    (Command::RttCreate, &[0, 1]),
    (Command::RttSetRipas, &[0, 1]),
    (Command::PsciComplete, &[0, 1]),
];

pub(super) fn add(registry: &mut Registry) {
    for (command, indices) in PAIRS {
        for &first in *indices {
            for &second in indices.iter().filter(|&&second| second != first) {
                let name = format!("{}/same_granule/{first}_as_{second}", command.label());
                let command = *command;
                registry.add(name, move |w| {
                    let good = good(w, command)?;
                    good.with(w, second, good.arguments[first], INPUT)?;
                    good.succeeds(w)
                });
            }
        }
    }
}
