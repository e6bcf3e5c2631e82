//! A small Realm to measure on.

use super::{Answer, Bench, Cost};
use crate::dialect::{NewPage, NewRec};
use crate::failure::Failure;
use crate::granules::{PAGE_SIZE, Purpose};
use crate::rmi::abi::{realm_params, rec_params};
use crate::rmi::{Command, command};
use alloc::vec::Vec;

/// IPA width: four levels of tables, as deep as a walk gets without FEAT_LPA2.
const IPA_WIDTH_BITS: u64 = 40;

/// What a Realm is created with.
pub(super) struct Shape {
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
pub(super) const UNPROTECTED: u64 = 1 << (IPA_WIDTH_BITS - 1);

/// Bytes that a level 3 table describes.
pub(super) const L2_SIZE: u64 = 0x20_0000;

/// Bytes that a level 2 table describes.
pub(super) const L1_SIZE: u64 = 0x4000_0000;

/// The name under which a cost is reported, if it is: before anything else is asked of the monitor.
pub(super) type Row<'n> = Option<&'n str>;

/// A Realm, and the granules that have to go back in the end.
pub(super) struct Fixture<'b> {
    bench: &'b Bench<'b>,
    /// Realm descriptor.
    pub rd: u64,
    roots: Vec<u64>,
    /// What REALM_CREATE cost.
    pub create_cost: Cost,
    /// Granules that the monitor has got while the Realm was created.
    held: Vec<u64>,
    tables: Vec<(u64, u64)>,
    pages: Vec<u64>,
    recs: Vec<(u64, Vec<u64>)>,
}

impl<'b> Fixture<'b> {
    /// Creates a Realm without tables or memory.
    pub(super) fn new(bench: &'b Bench<'b>) -> Result<Self, Failure> {
        Self::shaped(bench, &Shape::default())
    }

    /// Creates such a Realm. [`Fixture::tables_to`] is for those that start at level 0.
    pub(super) fn shaped(bench: &'b Bench<'b>, shape: &Shape) -> Result<Self, Failure> {
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
        let (create_cost, held) = bench.dialect.create_realm(bench, rd, params)?;
        host.put_page(params);
        Ok(Self {
            bench,
            rd,
            roots: (0..count).map(|n| root + n * PAGE).collect(),
            create_cost,
            held,
            tables: Vec::new(),
            pages: Vec::new(),
            recs: Vec::new(),
        })
    }

    /// Makes sure that there are tables down to `level` for `ipa`; the cost of the last one.
    pub(super) fn tables_to(&mut self, ipa: u64, level: u64) -> Result<Cost, Failure> {
        let mut cost = Cost::default();
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
    pub(super) fn create_table(&mut self, ipa: u64, level: u64) -> Result<Cost, Failure> {
        let rtt = self.bench.host.take_granule()?;
        let answer = self.bench.call(command::RTT_CREATE, [self.rd, rtt, ipa, level, 0])?;
        self.tables.push((ipa, level));
        Ok(answer.cost)
    }

    /// Folds one table; reports what that costs as `row`.
    pub(super) fn fold_table(&mut self, row: Row<'_>, ipa: u64, level: u64) -> Result<(), Failure> {
        self.remove_table(row, command::RTT_FOLD, ipa, level)
    }

    /// Destroys one table; reports what that costs as `row`.
    pub(super) fn destroy_table(
        &mut self,
        row: Row<'_>,
        ipa: u64,
        level: u64,
    ) -> Result<(), Failure> {
        self.remove_table(row, command::RTT_DESTROY, ipa, level)
    }

    fn report(&self, row: Row<'_>, cost: Cost) {
        if let Some(name) = row {
            self.bench.row(name, cost);
        }
    }

    fn remove_table(
        &mut self,
        row: Row<'_>,
        command: Command,
        ipa: u64,
        level: u64,
    ) -> Result<(), Failure> {
        let Answer { cost, x1: table, .. } =
            self.bench.call(command, [self.rd, ipa, level, 0, 0])?;
        self.report(row, cost);
        self.bench.host.reclaim(table, Purpose::Rtt);
        self.tables.retain(|table| *table != (ipa, level));
        Ok(())
    }

    /// Puts a page with this content at `ipa`; what that costs with these flags.
    pub(super) fn create_page(
        &mut self,
        ipa: u64,
        content: &[u8],
        flags: u64,
    ) -> Result<Cost, Failure> {
        let Self { bench, rd, .. } = *self;
        let source = bench.host.take_page()?;
        bench.host.machine().write_bytes(source, content);
        let data = bench.host.take_granule()?;
        let page = NewPage { ipa, data, source };
        let (cost, ()) = bench.dialect.create_page(bench, rd, &page, flags)?;
        bench.host.put_page(source);
        self.pages.push(ipa);
        Ok(cost)
    }

    /// Puts the granule `data`, which is empty, at `ipa`; what that costs.
    pub(super) fn map_page(&mut self, ipa: u64, data: u64) -> Result<Cost, Failure> {
        let (cost, ()) = self.bench.dialect.map_page(self.bench, self.rd, ipa, data)?;
        self.pages.push(ipa);
        Ok(cost)
    }

    /// Takes the page at `ipa` away; reports what that costs as `row`.
    pub(super) fn destroy_page(&mut self, row: Row<'_>, ipa: u64) -> Result<(), Failure> {
        let (cost, data) = self.bench.dialect.unmap_page(self.bench, self.rd, ipa)?;
        self.report(row, cost);
        self.bench.host.reclaim(data, Purpose::Data);
        self.pages.retain(|page| *page != ipa);
        Ok(())
    }

    /// Creates the next REC; it and what that costs.
    pub(super) fn create_rec(&mut self, pc: u64, x0: u64) -> Result<(u64, Cost), Failure> {
        let new = self.new_rec(pc, x0)?;
        let (cost, held) = self.bench.dialect.create_rec(self.bench, &new)?;
        self.keep_rec(&new, held);
        Ok((new.rec, cost))
    }

    /// What the next REC is created of.
    pub(super) fn new_rec(&self, pc: u64, x0: u64) -> Result<NewRec, Failure> {
        let host = self.bench.host;
        let (rec, params) = (host.take_granule()?, host.take_page()?);
        let index = self.recs.len();
        let write = |offset: u64, value: u64| host.machine().write_u64(params + offset, value);
        write(rec_params::FLAGS, 1);
        write(rec_params::MPIDR, index as u64);
        write(rec_params::PC, pc);
        write(rec_params::GPRS, x0);
        Ok(NewRec { rd: self.rd, rec, params, index })
    }

    /// The REC exists now, and these granules are the monitor's for it.
    pub(super) fn keep_rec(&mut self, new: &NewRec, held: Vec<u64>) {
        self.bench.host.put_page(new.params);
        self.recs.push((new.rec, held));
    }

    /// Destroys the last REC; reports the cost of REC_DESTROY as `row`.
    pub(super) fn destroy_rec(&mut self, row: Row<'_>) -> Result<(), Failure> {
        let rec = self.last_rec().ok_or("the bench has no REC left to destroy")?;
        let (cost, ()) = self.bench.dialect.destroy_rec(self.bench, rec)?;
        self.report(row, cost);
        self.drop_rec();
        Ok(())
    }

    /// The last REC.
    pub(super) fn last_rec(&self) -> Option<u64> {
        self.recs.last().map(|(rec, _)| *rec)
    }

    /// The last REC does not exist any more.
    pub(super) fn drop_rec(&mut self) {
        let Some((rec, held)) = self.recs.pop() else { return };
        self.bench.host.reclaim(rec, Purpose::Rec);
        held.iter().for_each(|granule| self.bench.host.reclaim(*granule, Purpose::RecAux));
    }

    /// Takes the Realm apart; reports the cost of REALM_DESTROY as `row`.
    pub(super) fn destroy(self, row: Row<'_>) -> Result<(), Failure> {
        self.end(None, row)
    }

    /// Takes the Realm apart; reports the cost of REALM_TERMINATE, if there is such a command, and
    /// that of REALM_DESTROY.
    pub(super) fn end(mut self, terminate: Row<'_>, destroy: Row<'_>) -> Result<(), Failure> {
        if let Some(cost) = self.bench.dialect.terminate(self.bench, self.rd)? {
            self.report(terminate, cost);
        }
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
        let (cost, ()) = self.bench.dialect.destroy_realm(self.bench, self.rd)?;
        self.report(destroy, cost);
        self.held.iter().for_each(|granule| self.bench.host.reclaim(*granule, Purpose::RecAux));
        self.bench.host.reclaim(self.rd, Purpose::Rd);
        for root in self.roots {
            self.bench.host.reclaim(root, Purpose::RootRtt);
        }
        Ok(())
    }
}

/// The size of a page, for addresses of consecutive ones.
pub(super) const PAGE: u64 = PAGE_SIZE;
