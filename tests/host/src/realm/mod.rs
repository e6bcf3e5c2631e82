//! A Realm, from the Host's side.
//!
//! The life of one: [`Realm::create`], [`populate`], [`Realm::add_recs`], [`Realm::activate`], then
//! its RECs run ([`crate::vcpu`]), and finally [`teardown`]. A `Realm` remembers exactly what the
//! monitor holds for it, so that tearing down works from every point of that list.

mod build;
mod memory;
mod pages;
pub mod populate;
mod ripas;
pub mod teardown;

pub use memory::SharedView;

use crate::devices::uart::Uart;
use crate::devices::virtio_rng::VirtioRng;
use crate::failure::Failure;
use crate::host::Host;
use crate::ipa;
use crate::vcpu::Vcpu;
use crate::vgic::{CpuSet, Vgic};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use pages::PageMap;
use spin::Mutex;

/// One Realm and the devices that the host gives it.
pub struct Realm {
    /// Realm descriptor.
    rd: u64,
    /// First of the concatenated start-level tables.
    root_tables: u64,
    /// Size of guest RAM in bytes.
    memory: u64,
    /// Virtual CPUs in the order of their RECs.
    pub vcpus: Vec<Vcpu>,
    /// Interrupt controller.
    pub vgic: Mutex<Vgic>,
    /// Serial port.
    pub uart: Mutex<Uart>,
    /// Entropy device.
    pub rng: Mutex<VirtioRng>,
    /// Whether console input goes to the serial port.
    pub interactive: bool,
    /// Guest RAM.
    pages: Mutex<PageMap>,
    /// Pages of the host that the guest can reach, by unprotected IPA.
    shared: Mutex<BTreeMap<u64, u64>>,
    /// Unknown device addresses that were logged already.
    unknown_mmio: Mutex<BTreeSet<u64>>,
    stopping: AtomicBool,
    failure: Mutex<Option<Failure>>,
    /// CPUs of the machine that have left this Realm for good.
    pub finished: AtomicUsize,
}

impl Realm {
    /// The Realm descriptor, by which the monitor knows the Realm.
    #[must_use]
    pub fn rd(&self) -> u64 {
        self.rd
    }

    /// Guest RAM, in protected addresses.
    #[must_use]
    pub fn ram(&self) -> Range<u64> {
        ipa::RAM_BASE..ipa::RAM_BASE + self.memory
    }

    /// Whether no CPU should enter the Realm any more.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Makes all CPUs leave the Realm.
    pub fn stop(&self, host: &Host) {
        self.stopping.store(true, Ordering::Release);
        self.kick(host, CpuSet::MAX);
    }

    /// Makes all CPUs leave the Realm, for a reason; the first reason is kept.
    pub fn fail(&self, host: &Host, failure: Failure) {
        host.log(format_args!("stopping the Realm: {failure}"));
        self.failure.lock().get_or_insert(failure);
        self.stop(host);
    }

    /// Why the Realm was stopped, unless the guest wanted it.
    pub fn take_failure(&self) -> Option<Failure> {
        self.failure.lock().take()
    }

    /// Makes the CPUs that run these virtual CPUs look at their state again.
    pub fn kick(&self, host: &Host, set: CpuSet) {
        for vcpu in self.vcpus.iter().filter(|vcpu| set & (1 << vcpu.index) != 0) {
            host.machine().kick(vcpu.cpu);
        }
    }

    /// Whether this is the first access to an unknown device address.
    pub fn first_unknown_access(&self, ipa: u64) -> bool {
        self.unknown_mmio.lock().insert(ipa)
    }
}

#[cfg(test)]
mod tests;
