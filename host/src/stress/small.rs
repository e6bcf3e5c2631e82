//! A small Realm, built as Linux' hypervisor builds one: page by page, and undone where the monitor
//! or EL3 refuses. The same in each version of the interface.

use super::program;
use crate::dialect::{NewPage, NewRec};
use crate::failure::Failure;
use crate::granules::{PAGE_SIZE, Purpose};
use crate::host::Host;
use crate::rmi::abi::{realm_params, rec_params};
use crate::rmi::run::RunPage;
use alloc::vec::Vec;

/// IPA width: four levels of tables.
pub const IPA_WIDTH_BITS: u64 = 40;

/// First unprotected address.
pub const UNPROTECTED: u64 = 1 << (IPA_WIDTH_BITS - 1);

/// Bytes that a level 3 table describes.
pub const BLOCK: u64 = 0x20_0000;

/// What a Realm has beyond the least.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras {
    /// With SVE, the longest vector.
    sve_vl: Option<u64>,
    /// With performance monitors, at least one event counter.
    counters: Option<u64>,
}

impl Extras {
    /// All that the monitor offers.
    #[must_use]
    pub fn all(host: &Host) -> Self {
        let features = host.features;
        let counters = features.event_counters().filter(|&counters| counters != 0);
        Self { sve_vl: features.sve_vl(), counters }
    }

    /// The longest vectors, and half of the event counters: the others must stay out of reach.
    #[must_use]
    pub fn half_of_the_counters(host: &Host) -> Self {
        let all = Self::all(host);
        Self { counters: all.counters.map(|counters| counters / 2), ..all }
    }

    /// Whether the Realm has SVE, and whether it has performance monitors.
    #[must_use]
    pub const fn sve_and_pmu(self) -> [bool; 2] {
        [self.sve_vl.is_some(), self.counters.is_some()]
    }

    /// What a worker is told of it.
    #[must_use]
    pub fn role(self) -> u64 {
        let of = |has: bool, bit: u64| if has { bit } else { 0 };
        of(self.sve_vl.is_some(), program::SVE) | of(self.counters.is_some(), program::COUNTER)
    }

    /// Adds it to the parameters of a Realm.
    fn write(self, host: &Host, params: u64) {
        let write = |offset: u64, value: u64| host.machine().write_u64(params + offset, value);
        let flags = u64::from(self.sve_vl.is_some()) << 1 | u64::from(self.counters.is_some()) << 2;
        write(realm_params::FLAGS, flags);
        write(realm_params::SVE_VL, self.sve_vl.unwrap_or(0));
        write(realm_params::PMU_NUM_CTRS, self.counters.unwrap_or(0));
    }
}

/// A REC and what it is made of.
#[derive(Debug)]
pub struct SmallRec {
    /// The REC.
    pub pa: u64,
    /// The page through which it is entered.
    pub run: RunPage,
    /// What the monitor holds for it.
    held: Vec<u64>,
}

/// A Realm, and the granules that have to go back in the end.
#[derive(Debug)]
pub struct Small {
    /// Realm descriptor.
    pub rd: u64,
    root: u64,
    /// IPA and level, parents before children.
    tables: Vec<(u64, u64)>,
    pages: Vec<u64>,
    /// Its RECs.
    pub recs: Vec<SmallRec>,
}

impl Small {
    /// Creates a Realm without memory. Where the monitor chooses VMIDs, it ignores this one.
    ///
    /// # Errors
    ///
    /// It is refused; everything has been taken back then, or leaked where that was refused too.
    pub fn create(host: &Host, vmid: u64) -> Result<Self, Failure> {
        Self::create_with(host, vmid, Extras::default())
    }

    /// The same with SVE and performance monitors.
    ///
    /// # Errors
    ///
    /// As [`Self::create`].
    pub fn create_with(host: &Host, vmid: u64, extras: Extras) -> Result<Self, Failure> {
        let rd = host.take_granule()?;
        let root = host.take_granule().inspect_err(|_| host.reclaim(rd, Purpose::Rd))?;
        let params = host.take_page()?;
        write_realm_params(host, params, root, vmid);
        extras.write(host, params);
        let created = host.dialect().create_realm(host, rd, params);
        host.put_page(params);
        if let Err(failure) = created {
            host.reclaim(root, Purpose::RootRtt);
            host.reclaim(rd, Purpose::Rd);
            return Err(failure);
        }
        Ok(Self { rd, root, tables: Vec::new(), pages: Vec::new(), recs: Vec::new() })
    }

    /// Makes sure that there are tables down to level 3 for `ipa`.
    ///
    /// # Errors
    ///
    /// One is refused.
    pub fn tables_to(&mut self, host: &Host, ipa: u64) -> Result<(), Failure> {
        for level in 1..=3 {
            let base = ipa & !((1 << (12 + 9 * (4 - level))) - 1);
            if self.tables.contains(&(base, level)) {
                continue;
            }
            let rtt = host.take_granule()?;
            if let Err(error) = host.rmi().rtt_create(self.rd, rtt, base, level) {
                host.reclaim(rtt, Purpose::Rtt);
                return Err(error.into());
            }
            self.tables.push((base, level));
        }
        Ok(())
    }

    /// Gives the Realm a page with this content, which is measured.
    ///
    /// # Errors
    ///
    /// It is refused; the page has been taken back then, or leaked.
    pub fn page(&mut self, host: &Host, ipa: u64, content: &[u8]) -> Result<(), Failure> {
        host.rmi().rtt_init_ripas(self.rd, ipa, ipa + PAGE_SIZE)?;
        let source = host.take_page()?;
        host.machine().write_bytes(source, content);
        let result = host.take_granule().and_then(|data| {
            let added = host.dialect().add_page(host, self.rd, NewPage { ipa, data, source });
            Ok(added.inspect_err(|_| host.reclaim(data, Purpose::Data))?)
        });
        host.put_page(source);
        result?;
        self.pages.push(ipa);
        Ok(())
    }

    /// Gives the Realm a page of unknown content.
    ///
    /// # Errors
    ///
    /// As [`Self::page`].
    pub fn unknown_page(&mut self, host: &Host, ipa: u64) -> Result<(), Failure> {
        let data = host.take_granule()?;
        if let Err(error) = host.dialect().map(host, self.rd, ipa, data..data + PAGE_SIZE) {
            host.reclaim(data, Purpose::Data);
            return Err(error.into());
        }
        self.pages.push(ipa);
        Ok(())
    }

    /// Creates a REC that starts at `pc` with these values in X0 and so on.
    ///
    /// # Errors
    ///
    /// It is refused; its granules have been taken back then, or leaked.
    pub fn rec(&mut self, host: &Host, pc: u64, gprs: &[u64]) -> Result<(), Failure> {
        let rec = host.take_granule()?;
        let mut held = Vec::new();
        let index = self.recs.len();
        if let Err(failure) = create_rec(host, (self.rd, rec), index, (pc, gprs), &mut held) {
            reclaim_rec(host, rec, &held);
            return Err(failure);
        }
        let run = RunPage::new(host.take_page()?, host.features.list_registers());
        self.recs.push(SmallRec { pa: rec, run, held });
        Ok(())
    }

    /// Takes the Realm apart, as far as the monitor lets it; what it keeps is leaked.
    ///
    /// # Errors
    ///
    /// Something that has to be possible is refused.
    pub fn destroy(self, host: &Host) -> Result<(), Failure> {
        let dialect = host.dialect();
        dialect.terminate_realm(host, self.rd)?;
        for mut rec in self.recs {
            dialect.destroy_rec(host, rec.pa, &mut rec.held)?;
            reclaim_rec(host, rec.pa, &rec.held);
            host.put_page(rec.run.pa());
        }
        for ipa in self.pages {
            let taken = dialect.unmap(host, self.rd, ipa, ipa + PAGE_SIZE)?;
            if taken.size != PAGE_SIZE {
                return Err(failure!("the page at {ipa:#x} is gone"));
            }
            host.reclaim(taken.base, Purpose::Data);
        }
        for (ipa, level) in self.tables.into_iter().rev() {
            let (rtt, _) = host.rmi().rtt_destroy(self.rd, ipa, level)?;
            host.reclaim(rtt, Purpose::Rtt);
        }
        dialect.destroy_realm(host, self.rd)?;
        host.reclaim(self.root, Purpose::RootRtt);
        host.reclaim(self.rd, Purpose::Rd);
        Ok(())
    }
}

/// Writes the parameters of a Realm with one start-level table.
pub fn write_realm_params(host: &Host, params: u64, root: u64, vmid: u64) {
    let write = |offset: u64, value: u64| host.machine().write_u64(params + offset, value);
    write(realm_params::S2SZ, IPA_WIDTH_BITS);
    write(realm_params::NUM_BPS, 1);
    write(realm_params::NUM_WPS, 1);
    write(realm_params::VMID, vmid);
    write(realm_params::RTT_BASE, root);
    write(realm_params::RTT_NUM_START, 1);
}

/// Creates the REC `rec` of the Realm `rd`, which is runnable.
fn create_rec(
    host: &Host,
    (rd, rec): (u64, u64),
    index: usize,
    (pc, gprs): (u64, &[u64]),
    held: &mut Vec<u64>,
) -> Result<(), Failure> {
    let params = host.take_page()?;
    let write = |offset: u64, value: u64| host.machine().write_u64(params + offset, value);
    write(rec_params::FLAGS, 1);
    write(rec_params::MPIDR, index as u64);
    write(rec_params::PC, pc);
    for (n, value) in (0..).zip(gprs) {
        write(rec_params::GPRS + 8 * n, *value);
    }
    let created = host.dialect().create_rec(host, &NewRec { rd, rec, params, index }, held);
    host.put_page(params);
    created
}

fn reclaim_rec(host: &Host, pa: u64, held: &[u64]) {
    host.reclaim(pa, Purpose::Rec);
    held.iter().for_each(|granule| host.reclaim(*granule, Purpose::RecAux));
}
