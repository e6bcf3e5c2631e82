//! A small Realm to measure on.

use super::{Bench, Cost};
use crate::failure::Failure;
use crate::granules::{PAGE_SIZE, Purpose};
use crate::rmi::abi::{realm_params, rec_params};
use crate::rmi::{Command, command, v1_0};
use alloc::vec::Vec;

/// IPA width: four levels of tables, as deep as a walk gets without FEAT_LPA2.
const IPA_WIDTH_BITS: u64 = 40;

/// What a Realm is created with.
pub struct Shape {
    /// IPA width in bits.
    pub width_bits: u64,
    /// Level at which walks start; -1 only with `lpa2`.
    pub start: i64,
    /// Tables of that level.
    pub roots: usize,
    /// `hash_algo`: 0 is SHA-256, 1 is SHA-512.
    pub hash_algorithm: u64,
    /// Descriptors of FEAT_LPA2.
    pub lpa2: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self { width_bits: IPA_WIDTH_BITS, start: 0, roots: 1, hash_algorithm: 0, lpa2: false }
    }
}

/// First unprotected address.
pub const UNPROTECTED: u64 = 1 << (IPA_WIDTH_BITS - 1);

/// Bytes that a level 3 table describes.
pub const L2_SIZE: u64 = 0x20_0000;

/// Bytes that a level 2 table describes.
pub const L1_SIZE: u64 = 0x4000_0000;

/// The name under which a cost is reported, if it is: before anything else is asked of the monitor.
pub type Row<'n> = Option<&'n str>;

/// A Realm, and the granules that have to go back in the end.
pub struct Fixture<'b> {
    bench: &'b Bench<'b>,
    /// Realm descriptor.
    pub rd: u64,
    roots: Vec<u64>,
    /// Instructions of REALM_CREATE.
    pub create_cost: u64,
    tables: Vec<(u64, u64)>,
    pages: Vec<u64>,
    recs: Vec<(u64, Vec<u64>)>,
}

impl<'b> Fixture<'b> {
    /// Creates a Realm without tables or memory.
    pub fn new(bench: &'b Bench<'b>) -> Result<Self, Failure> {
        Self::shaped(bench, &Shape::default())
    }

    /// Creates such a Realm. [`Fixture::tables_to`] is for those that start at level 0.
    pub fn shaped(bench: &'b Bench<'b>, shape: &Shape) -> Result<Self, Failure> {
        let host = bench.host;
        let rd = host.take_granule()?;
        let count = shape.roots as u64;
        let root = match shape.roots {
            1 => host.take_granule()?,
            roots => host.take_granules(roots, count * PAGE)?,
        };
        let params = host.take_page()?;
        let write = |offset: u64, value: u64| host.machine().write_u64(params + offset, value);
        write(realm_params::FLAGS, u64::from(shape.lpa2));
        write(realm_params::S2SZ, shape.width_bits);
        write(realm_params::HASH_ALGO, shape.hash_algorithm);
        write(realm_params::NUM_BPS, host.features.num_bps());
        write(realm_params::NUM_WPS, host.features.num_wps());
        write(realm_params::VMID, 7);
        write(realm_params::RTT_BASE, root);
        write(realm_params::RTT_LEVEL_START, shape.start.cast_unsigned());
        write(realm_params::RTT_NUM_START, count);
        let cost = bench.call(command::REALM_CREATE, [rd, params, 0, 0, 0])?;
        host.put_page(params);
        Ok(Self {
            bench,
            rd,
            roots: (0..count).map(|n| root + n * PAGE).collect(),
            create_cost: cost.instructions,
            tables: Vec::new(),
            pages: Vec::new(),
            recs: Vec::new(),
        })
    }

    /// Makes sure that there are tables down to `level` for `ipa`; the cost of the last one.
    pub fn tables_to(&mut self, ipa: u64, level: u64) -> Result<u64, Failure> {
        let mut cost = 0;
        for level in 1..=level {
            let base = ipa & !(Self::span(level) - 1);
            if !self.tables.contains(&(base, level)) {
                cost = self.create_table(base, level)?;
            }
        }
        Ok(cost)
    }

    /// Bytes that a table of `level` describes.
    const fn span(level: u64) -> u64 {
        1 << (12 + 9 * (4 - level))
    }

    /// Creates one table; its cost.
    pub fn create_table(&mut self, ipa: u64, level: u64) -> Result<u64, Failure> {
        let rtt = self.bench.host.take_granule()?;
        let cost = self.bench.call(command::RTT_CREATE, [self.rd, rtt, ipa, level, 0])?;
        self.tables.push((ipa, level));
        Ok(cost.instructions)
    }

    /// Folds one table; reports what that costs as `row`.
    pub fn fold_table(&mut self, row: Row<'_>, ipa: u64, level: u64) -> Result<(), Failure> {
        self.remove_table(row, command::RTT_FOLD, ipa, level)
    }

    /// Destroys one table; reports what that costs as `row`.
    pub fn destroy_table(&mut self, row: Row<'_>, ipa: u64, level: u64) -> Result<(), Failure> {
        self.remove_table(row, command::RTT_DESTROY, ipa, level)
    }

    fn report(&self, row: Row<'_>, cost: Cost) {
        if let Some(name) = row {
            self.bench.row(name, cost.instructions);
        }
    }

    fn remove_table(
        &mut self,
        row: Row<'_>,
        command: Command,
        ipa: u64,
        level: u64,
    ) -> Result<(), Failure> {
        let cost = self.bench.call(command, [self.rd, ipa, level, 0, 0])?;
        self.report(row, cost);
        self.bench.host.reclaim(cost.x1, Purpose::Rtt);
        self.tables.retain(|table| *table != (ipa, level));
        Ok(())
    }

    /// Puts a page with this content at `ipa`; the cost of DATA_CREATE with these flags.
    pub fn create_page(&mut self, ipa: u64, content: &[u8], flags: u64) -> Result<u64, Failure> {
        let host = self.bench.host;
        let src = host.take_page()?;
        host.machine().write_bytes(src, content);
        let data = host.take_granule()?;
        let cost = self.bench.call(v1_0::command::DATA_CREATE, [self.rd, data, ipa, src, flags])?;
        host.put_page(src);
        self.pages.push(ipa);
        Ok(cost.instructions)
    }

    /// Puts the granule `data` at `ipa`; the cost of DATA_CREATE_UNKNOWN.
    pub fn create_unknown(&mut self, ipa: u64, data: u64) -> Result<u64, Failure> {
        let cost =
            self.bench.call(v1_0::command::DATA_CREATE_UNKNOWN, [self.rd, data, ipa, 0, 0])?;
        self.pages.push(ipa);
        Ok(cost.instructions)
    }

    /// Takes the page at `ipa` away; reports the cost of DATA_DESTROY as `row`.
    pub fn destroy_page(&mut self, row: Row<'_>, ipa: u64) -> Result<(), Failure> {
        let cost = self.bench.call(v1_0::command::DATA_DESTROY, [self.rd, ipa, 0, 0, 0])?;
        self.report(row, cost);
        self.bench.host.reclaim(cost.x1, Purpose::Data);
        self.pages.retain(|page| *page != ipa);
        Ok(())
    }

    /// Creates the next REC; it and the cost of REC_CREATE.
    pub fn create_rec(&mut self, pc: u64, x0: u64) -> Result<(u64, u64), Failure> {
        let host = self.bench.host;
        let aux_count = host.v1_0().rec_aux_count(self.rd)?;
        let rec = host.take_granule()?;
        let params = host.take_page()?;
        let write = |offset: u64, value: u64| host.machine().write_u64(params + offset, value);
        write(rec_params::FLAGS, 1);
        write(rec_params::MPIDR, self.recs.len() as u64);
        write(rec_params::PC, pc);
        write(rec_params::GPRS, x0);
        write(rec_params::NUM_AUX, aux_count);
        let mut aux = Vec::new();
        for n in 0..aux_count.min(16) {
            let granule = host.take_granule()?;
            write(rec_params::AUX + 8 * n, granule);
            aux.push(granule);
        }
        let cost = self.bench.call(command::REC_CREATE, [self.rd, rec, params, 0, 0])?;
        host.put_page(params);
        self.recs.push((rec, aux));
        Ok((rec, cost.instructions))
    }

    /// Destroys the last REC; reports the cost of REC_DESTROY as `row`.
    pub fn destroy_rec(&mut self, row: Row<'_>) -> Result<(), Failure> {
        let (rec, aux) = self.recs.pop().ok_or("the bench has no REC left to destroy")?;
        let cost = self.bench.call(command::REC_DESTROY, [rec, 0, 0, 0, 0])?;
        self.report(row, cost);
        self.bench.host.reclaim(rec, Purpose::Rec);
        for granule in aux {
            self.bench.host.reclaim(granule, Purpose::RecAux);
        }
        Ok(())
    }

    /// Takes the Realm apart; reports the cost of REALM_DESTROY as `row`.
    pub fn destroy(mut self, row: Row<'_>) -> Result<(), Failure> {
        while !self.recs.is_empty() {
            self.destroy_rec(None)?;
        }
        for ipa in core::mem::take(&mut self.pages) {
            self.destroy_page(None, ipa)?;
        }
        let mut tables = self.tables.clone();
        tables.sort_by_key(|(_, level)| core::cmp::Reverse(*level));
        for (ipa, level) in tables {
            self.destroy_table(None, ipa, level)?;
        }
        let cost = self.bench.call(command::REALM_DESTROY, [self.rd, 0, 0, 0, 0])?;
        self.report(row, cost);
        self.bench.host.reclaim(self.rd, Purpose::Rd);
        for root in self.roots {
            self.bench.host.reclaim(root, Purpose::RootRtt);
        }
        Ok(())
    }
}

/// The size of a page, for addresses of consecutive ones.
pub const PAGE: u64 = PAGE_SIZE;
