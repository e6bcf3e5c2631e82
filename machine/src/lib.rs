//! What the monitor stands on: the machine underneath, as traits and records.
//!
//! Owns: sizes of granules and of pages ([`GranuleShift`], [`PAGE_SIZE`]), physical addresses
//! ([`GranuleAddr`]), the banks of DRAM ([`dram`]), pages and the ways to them ([`memory`]), the
//! records of registers that a Realm's CPU is made of ([`vcpu`], [`extensions`]), and the traits of
//! EL3, translation caches, hashes and the log.
//!
//! Crate `rmm-arch` implements the traits on real hardware, the fake machine in `tests/` on the
//! build host. A value of the implementing type stands for *the CPU that runs the code*: slots, EL1
//! registers and the pending interrupt are that CPU's own.
//!
//! Does not own: what state a granule is in (crate `granule`), or any register itself (crate
//! `rmm-arch`).
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod addr;
pub mod attest;
pub mod cpu;
pub mod dram;
pub mod extensions;
pub mod hash;
pub mod log;
pub mod memory;
pub mod root;
pub mod stage2;
pub mod vcpu;

pub use addr::{GRANULE_SIZE, GranuleAddr, GranuleAddrOf, GranuleShift, PAGE_SIZE};
pub use attest::AttestRoot;
pub use cpu::CpuFacts;
pub use hash::Hasher;
pub use log::{Event, Log};
pub use memory::{HostFault, HostMemory, Memory, Page, Slot, Words};
pub use root::{El3Error, El3Interface, Pas, RootWorld};
pub use stage2::Stage2Tlb;
pub use vcpu::Vcpu;

/// Everything at once: what a command that may touch anything takes.
pub trait Machine:
    Memory + HostMemory + RootWorld + AttestRoot + Stage2Tlb + Vcpu + Hasher + Log
{
}

impl<T> Machine for T where
    T: Memory + HostMemory + RootWorld + AttestRoot + Stage2Tlb + Vcpu + Hasher + Log
{
}
