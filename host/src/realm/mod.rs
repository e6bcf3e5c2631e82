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
use crate::watch::Entered;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};
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
    /// Number by which the console names the Realm, if there are several.
    label: Option<usize>,
    /// What the guest has written since the start of the line, if there are several Realms.
    line: Mutex<Vec<u8>>,
}

/// Most bytes of a line of a guest that are kept together.
const LONGEST_LINE: usize = 512;

impl Realm {
    /// The Realm descriptor, by which the monitor knows the Realm.
    #[must_use]
    pub fn rd(&self) -> u64 {
        self.rd
    }

    /// How its virtual CPU `cpu` is named where something is seen of it.
    #[must_use]
    pub fn entered(&self, cpu: usize) -> Entered {
        Entered { number: self.label, rd: self.rd, cpu }
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
            vcpu.kick(host);
        }
    }

    /// The guest writes a byte to its console: as it is, or in whole lines with the Realm's number.
    pub fn console_write(&self, host: &Host, byte: u8) {
        let Some(label) = self.label else { return host.machine().console_write(&[byte]) };
        let mut line = self.line.lock();
        if byte != b'\n' {
            line.push(byte);
        }
        if byte == b'\n' || line.len() >= LONGEST_LINE {
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches('\r');
            host.machine().console_line(format_args!("[realm {label}] {text}"));
            line.clear();
        }
    }

    /// Takes a byte that was typed for this Realm.
    pub fn console_read(&self, host: &Host) -> Option<u8> {
        host.console_read(self.label)
    }

    /// Gives the Realm a number on the console.
    pub fn set_label(&mut self, label: usize) {
        self.label = Some(label);
    }

    /// Whether this is the first access to an unknown device address.
    pub fn first_unknown_access(&self, ipa: u64) -> bool {
        self.unknown_mmio.lock().insert(ipa)
    }
}

#[cfg(test)]
mod tests;
