//! The machine under the monitor: every `unsafe` block, all assembly and all system registers.
//!
//! Owns: boot ([`boot`]), the address space ([`layout`], [`mmu`]), slots and copies of Host memory,
//! calls to EL3 ([`smc`], [`el3`]), stage 2 invalidation ([`stage2`]), errata ([`errata`]), running
//! a Realm's CPU, hash instructions, exception vectors, the log's way to the console. `cpu::Cpu`
//! implements the traits of [`machine`] with them.
//!
//! Does not own: any decision. What a command means is in the logic crates; what is logged, in the
//! firmware.
//!
//! What needs the hardware exists only when built for it; the rest is pure and tested on any
//! machine.
#![cfg_attr(not(test), no_std)]
#![allow(unsafe_code, reason = "this crate is where the workspace keeps it")]

pub mod boot;
pub mod el3;
pub mod errata;
pub mod features;
pub mod frame;
pub mod hunks;
pub mod layout;
pub mod mmu;
pub mod registers;
pub mod smc;
pub mod stage2;
pub mod traps;

#[cfg(target_os = "none")]
mod area;
#[cfg(target_os = "none")]
mod attest;
#[cfg(target_os = "none")]
mod console;
#[cfg(target_os = "none")]
pub mod cpu;
#[cfg(target_os = "none")]
mod facts;
#[cfg(target_os = "none")]
mod hash;
#[cfg(target_os = "none")]
mod host_memory;
#[cfg(target_os = "none")]
mod logger;
#[cfg(target_os = "none")]
mod mem;
#[cfg(target_os = "none")]
pub mod memory;
#[cfg(target_os = "none")]
mod report;
#[cfg(target_os = "none")]
mod root;
#[cfg(target_os = "none")]
mod sequence;
#[cfg(target_os = "none")]
mod slot;
#[cfg(target_os = "none")]
mod vcpu;
#[cfg(target_os = "none")]
mod vectors;

/// Makes a [`boot::Firmware`] the image: defines the functions that the boot assembly calls.
#[cfg(target_os = "none")]
#[macro_export]
macro_rules! firmware {
    ($firmware:ty) => {
        #[unsafe(no_mangle)]
        extern "C" fn cairn_plan(cpu: u64, interface: u64, cpus: u64, shared_buffer: u64) -> i64 {
            $crate::boot::plan::<$firmware>(cpu, interface, cpus, shared_buffer)
        }

        #[unsafe(no_mangle)]
        extern "C" fn cairn_start(named: u64, cold: u64) -> ! {
            $crate::boot::start::<$firmware>(named, cold != 0)
        }
    };
}
