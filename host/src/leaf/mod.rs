//! The only module of the host that touches hardware: entry, exceptions, registers, MMIO, SMC.
//!
//! Everything it offers is a safe function that checks what it is given. Memory beyond the host's
//! own image is reached through [`memory`] alone, by volatile accesses to addresses that no Rust
//! object occupies.

mod bench;
mod console;
mod cpu;
mod entry;
mod gic;
mod heap;
mod machine;
mod memory;
mod probe;
mod program;
mod watch;
mod worker;

pub(crate) use bench::bench_program;
pub(crate) use console::{console_line, unlock_console};
pub(crate) use cpu::{
    counter, counter_hz, is_off, power_off, stand_by, start_cpu, switch_off, wait_for_interrupt,
};
pub(crate) use gic::{init_cpu_interrupts, init_interrupts, init_program_interrupts, set_affinity};
pub(crate) use machine::BareMachine;
pub(crate) use memory::{device_tree, read_text};
pub(crate) use program::realm_program;
pub(crate) use worker::{spin_program, worker_program};
