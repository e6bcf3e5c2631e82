//! Creating a Realm and its RECs.

use super::Realm;
use super::pages::PageMap;
use super::populate;
use crate::devices::uart::Uart;
use crate::devices::virtio_rng::VirtioRng;
use crate::dialect::NewRec;
use crate::failure::Failure;
use crate::granules::{PAGE_SIZE, Purpose};
use crate::host::Host;
use crate::ipa;
use crate::job::{HashAlgorithm, Job};
use crate::rmi::abi::{realm_params, rec_params};
use crate::rmi::run::RunPage;
use crate::vcpu::Vcpu;
use crate::vgic::Vgic;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::sync::atomic::AtomicBool;
use spin::Mutex;

/// Identifies this host's Realms in their attestation tokens.
const PERSONALIZATION: &[u8] = b"cairn-host";

/// Breakpoints and watchpoints of each Realm, less one: the fewest of any CPU. They are measured,
/// so that asking for all that there are would give the same guest another measurement on another
/// machine.
const BREAKPOINTS_MINUS_ONE: u64 = 1;

impl Realm {
    /// Creates a new Realm without memory and without RECs.
    ///
    /// # Errors
    ///
    /// The monitor refuses it; everything that was delegated for it is taken back.
    pub fn create(host: &Host, job: &Job, vmid: u64) -> Result<Self, Failure> {
        let algorithm = job.hash_algorithm;
        if !host.features.measures_with(algorithm) {
            return Err(failure!("the monitor cannot measure Realms with {}", algorithm.name()));
        }
        let rd = host.take_granule()?;
        let size = ipa::RTT_START_COUNT as u64 * PAGE_SIZE;
        let root_tables = match host.take_granules(ipa::RTT_START_COUNT, size) {
            Ok(base) => base,
            Err(failure) => {
                host.reclaim(rd, Purpose::Rd);
                return Err(failure);
            }
        };
        if let Err(failure) = create_descriptor(host, rd, root_tables, algorithm, vmid) {
            reclaim_descriptor(host, rd, root_tables);
            return Err(failure);
        }
        Ok(Self {
            rd,
            root_tables,
            memory: job.memory,
            vcpus: Vec::new(),
            vgic: Mutex::new(Vgic::new(job.cpus, host.features.list_registers())),
            uart: Mutex::new(Uart::default()),
            rng: Mutex::new(VirtioRng::new(host.machine().counter())),
            interactive: job.interactive,
            pages: Mutex::new(PageMap::new(&(ipa::RAM_BASE..ipa::RAM_BASE + job.memory))),
            shared: Mutex::new(BTreeMap::new()),
            unknown_mmio: Mutex::new(BTreeSet::new()),
            stopping: AtomicBool::new(false),
            failure: Mutex::new(None),
            label: None,
            line: Mutex::new(Vec::new()),
        })
    }

    /// Builds all of a new Realm: RAM, what the guest boots from, RECs. Afterwards it can run.
    ///
    /// Everything that it does is measured, in this order.
    ///
    /// # Errors
    ///
    /// The guest does not fit, or the monitor refuses something. The Realm can be torn down then.
    pub fn build(&mut self, host: &Host, job: &Job) -> Result<(), Failure> {
        if !host.style.populates_first() {
            self.init_ram(host)?;
        }
        let entry = populate::load(host, self, job)?;
        self.add_recs(host, job.cpus, entry.pc, entry.device_tree)?;
        if host.style.populates_first() {
            self.init_ram(host)?;
        }
        self.activate(host)
    }

    /// Creates the RECs. The first one can run at once, with `pc` and the device tree's address
    /// in `X0`; the others wait for `PSCI_CPU_ON`.
    ///
    /// # Errors
    ///
    /// The monitor refuses one.
    pub fn add_recs(&mut self, host: &Host, count: usize, pc: u64, x0: u64) -> Result<(), Failure> {
        for index in 0..count {
            let entry = if index == 0 { Some((pc, x0)) } else { None };
            self.add_rec(host, index, entry)?;
        }
        Ok(())
    }

    fn add_rec(
        &mut self,
        host: &Host,
        index: usize,
        entry: Option<(u64, u64)>,
    ) -> Result<(), Failure> {
        let mut vcpu = Vcpu::new(index, entry.is_some());
        let result = self.create_rec(host, &mut vcpu, entry);
        if result.is_err() {
            vcpu.release(host);
        } else {
            self.vcpus.push(vcpu);
        }
        result
    }

    fn create_rec(
        &self,
        host: &Host,
        vcpu: &mut Vcpu,
        entry: Option<(u64, u64)>,
    ) -> Result<(), Failure> {
        let rec = host.take_granule()?;
        vcpu.rec = Some(rec);
        vcpu.run = Some(RunPage::new(host.take_page()?, host.features.list_registers()));
        let params = host.take_page()?;
        let write = |offset: u64, value: u64| host.machine().write_u64(params + offset, value);
        if let Some((pc, x0)) = entry {
            write(rec_params::FLAGS, 1);
            write(rec_params::PC, pc);
            write(rec_params::GPRS, x0);
        }
        write(rec_params::MPIDR, ipa::rec_mpidr(vcpu.index as u64));
        let new = NewRec { rd: self.rd, rec, params, index: vcpu.index };
        let created = host.dialect().create_rec(host, &new, &mut vcpu.held);
        host.put_page(params);
        created?;
        vcpu.created = true;
        Ok(())
    }

    /// Ends the construction: from now on the RECs can be entered.
    ///
    /// # Errors
    ///
    /// The monitor refuses it.
    pub fn activate(&self, host: &Host) -> Result<(), Failure> {
        Ok(host.rmi().realm_activate(self.rd)?)
    }
}

fn create_descriptor(
    host: &Host,
    rd: u64,
    root_tables: u64,
    algorithm: HashAlgorithm,
    vmid: u64,
) -> Result<(), Failure> {
    let params = host.take_page()?;
    let write = |offset: u64, value: u64| host.machine().write_u64(params + offset, value);
    write(realm_params::FLAGS, 0);
    write(realm_params::S2SZ, ipa::IPA_WIDTH_BITS);
    write(realm_params::NUM_BPS, BREAKPOINTS_MINUS_ONE);
    write(realm_params::NUM_WPS, BREAKPOINTS_MINUS_ONE);
    write(realm_params::HASH_ALGO, algorithm as u64);
    host.machine().write_bytes(params + realm_params::RPV, PERSONALIZATION);
    write(realm_params::VMID, vmid);
    write(realm_params::RTT_BASE, root_tables);
    write(realm_params::RTT_LEVEL_START, ipa::RTT_START_LEVEL);
    write(realm_params::RTT_NUM_START, ipa::RTT_START_COUNT as u64);
    let created = host.dialect().create_realm(host, rd, params);
    host.put_page(params);
    created
}

/// Takes back the granules of a descriptor that the monitor does not use (any more).
pub(super) fn reclaim_descriptor(host: &Host, rd: u64, root_tables: u64) {
    let end = root_tables + ipa::RTT_START_COUNT as u64 * PAGE_SIZE;
    host.reclaim_range(root_tables, end, Purpose::RootRtt);
    host.reclaim(rd, Purpose::Rd);
}
