//! What the monitor needs of the machine underneath, as traits.
//!
//! Crate `rmm-arch` implements them on real hardware, the fake machine in `tests/` on the build host. A value
//! of the implementing type stands for *the CPU that runs the code*: slots, EL1 registers and the pending
//! interrupt are that CPU's own.

pub mod attest;
pub mod cpu;
pub mod extensions;
pub mod hash;
pub mod log;
pub mod memory;
pub mod root;
pub mod stage2;
pub mod vcpu;

pub use attest::AttestRoot;
pub use cpu::CpuFacts;
pub use hash::Hasher;
pub use log::{Event, Log};
pub use memory::{HostFault, HostMemory, Memory, Page, Slot, Words};
pub use root::{El3Error, RootWorld};
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
