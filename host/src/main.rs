//! The Normal-world host as a program: BL33 of TF-A, at EL2, without an operating system.
//!
//! CPU 0 arrives at [`start`] with the machine's device tree. It starts the other CPUs, builds the
//! Realm, runs its first REC, waits until every CPU has left the Realm, tears it down and switches
//! the machine off. The other CPUs arrive at [`start_secondary`] and run one REC each.
//!
//! All that touches hardware is in the leaf module; the rest of the host is the library.

#![cfg_attr(all(target_arch = "aarch64", target_os = "none"), no_std, no_main)]

#[cfg(not(all(target_arch = "aarch64", target_os = "none")))]
fn main() {}

#[cfg(all(target_arch = "aarch64", target_os = "none"))]
extern crate alloc;

#[cfg(all(target_arch = "aarch64", target_os = "none"))]
mod bare;
#[cfg(all(target_arch = "aarch64", target_os = "none"))]
#[expect(unsafe_code, reason = "the leaf: everything that touches hardware")]
mod leaf;
#[cfg(all(target_arch = "aarch64", target_os = "none"))]
mod platform;
