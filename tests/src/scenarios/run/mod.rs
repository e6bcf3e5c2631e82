//! REC exits: what each shows, and that it shows nothing else; and what the next entry does about
//! it.
//!
//! Every exit is compared whole: a field that the specification does not list for it is zero.

mod aborts;
mod extensions;
mod interrupts;
mod mmio;
mod traps;

use super::registry::Registry;
use crate::abi::{RecExit, exit_reason};

pub(super) fn add(registry: &mut Registry) {
    aborts::add(registry);
    mmio::add(registry);
    traps::add(registry);
    interrupts::add(registry);
    extensions::add(registry);
}

/// A synchronous exit that shows a syndrome and a page.
fn sync_exit(esr: u64, ipa: u64) -> RecExit {
    RecExit { exit_reason: exit_reason::SYNC, esr, hpfar: ipa >> 8, ..RecExit::default() }
}
