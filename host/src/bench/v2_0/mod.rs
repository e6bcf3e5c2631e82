//! Commands of version 2.0.
//!
//! | Module | Owns |
//! | --- | --- |
//! | `operation` | commands that take several calls |
//! | `range` | commands on ranges |
//! | `monitor` | those about the monitor itself, and delegation |
//! | `memory` | memory of Realms, and their tables |
//! | `objects` | Realms and RECs, and those that run |
//! | `latency` | how long an interrupt may have to wait |

pub(super) mod latency;
mod memory;
mod monitor;
mod objects;
pub(super) mod operation;
mod range;

use super::Bench;
use crate::failure::Failure;
use monitor::Asked;

/// Measures all of them, what takes longest last.
pub(super) fn run(bench: &Bench<'_>, program: &[u8]) -> Result<(), Failure> {
    for Asked { row, command, args } in monitor::questions(bench)? {
        bench.row(row, bench.ask(command, args).cost);
    }
    monitor::delegation(bench)?;
    memory::pages(bench)?;
    memory::blocks(bench)?;
    memory::tables(bench)?;
    memory::shared(bench)?;
    objects::objects(bench)?;
    objects::running(bench, program)?;
    memory::gibibyte(bench)
}
