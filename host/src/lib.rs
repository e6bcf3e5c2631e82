//! The Normal-world host, except for the hardware under it.
//!
//! This library is everything that a hypervisor does to give a guest a Realm: it delegates
//! granules, builds the Realm, enters its RECs, serves each exit and takes everything back at the
//! end. It reaches memory, the monitor and interrupts through [`machine::Machine`] alone, so it
//! builds and is tested on any machine; `main.rs` and its leaf module supply the real one.
//!
//! Read it in this order: [`rmi`] (the interface), [`dialect`] (what a host does differently in its
//! two versions), [`style`] (in which order, as one kind of host or another), [`realm`] (building,
//! populating, tearing down), [`vcpu`] (running), then what a guest expects to find: [`vgic`],
//! [`vtimer`], [`devices`].

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[macro_use]
mod failure;

pub mod bench;
pub mod conformance;
pub mod console;
pub mod devices;
pub mod dialect;
pub mod granules;
pub mod guest_fdt;
pub mod host;
pub mod ipa;
pub mod job;
pub mod machine;
pub mod ram;
pub mod realm;
pub mod report;
pub mod rmi;
pub mod stress;
pub mod style;
pub mod vcpu;
pub mod vgic;
pub mod vtimer;
pub mod watch;

pub use failure::Failure;

#[cfg(test)]
mod testing;
