//! Guest RAM: what of it is private, and by which commands that changes.

use super::tally::Tally;
use crate::bench::Bench;
use crate::bench::fixture::{Fixture, L1_SIZE, L2_SIZE, PAGE, UNPROTECTED};
use crate::failure::Failure;
use crate::rmi::abi::VERSION_2_0;
use crate::rmi::command::{RTT_CREATE, RTT_DESTROY, RTT_FOLD, RTT_INIT_RIPAS, RTT_SET_RIPAS};
use crate::rmi::v2_0::descriptor::AddrRange;
use crate::rmi::v2_0::{SHARED, SINGLE, command as v2_0};
use crate::rmi::{Command, v1_0::command as v1_0};
use alloc::collections::{BTreeMap, BTreeSet};
use core::ops::Range;

/// Where guest RAM begins, ...
pub(super) const RAM_BASE: u64 = L1_SIZE;
/// ... and its size.
pub(super) const RAM_SIZE: u64 = RAM_PAGES as u64 * PAGE;
const RAM_PAGES: usize = 128 * 512;

/// Descriptor bits of a shared page in version 1.0: Normal write-back, readable and writable.
const SHARED_1_0: u64 = 0b110 << 2 | 0b11 << 6;

/// The unprotected alias of an address.
pub(super) const fn alias(ipa: u64) -> u64 {
    ipa | UNPROTECTED
}

/// The parts of a range in each 2 MiB.
pub(super) fn pieces(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let mut at = range.start;
    core::iter::from_fn(move || {
        let piece = at..range.end.min(block_of(at) + L2_SIZE);
        at = piece.end;
        (!piece.is_empty()).then_some(piece)
    })
}

/// The pages of a range.
fn pages(range: Range<u64>) -> impl Iterator<Item = u64> {
    (0..count(&range)).map(move |n| range.start + n * PAGE)
}

/// How many pages a range has.
const fn count(range: &Range<u64>) -> u64 {
    (range.end - range.start) / PAGE
}

const fn block_of(ipa: u64) -> u64 {
    ipa & !(L2_SIZE - 1)
}

const fn is_block(range: &Range<u64>) -> bool {
    range.end - range.start == L2_SIZE
}

/// Guest RAM and what holds it: physical memory in the order of the guest's addresses.
pub(super) struct Backing<'c, 'b> {
    bench: &'c Bench<'b>,
    rd: u64,
    pa: u64,
    /// Whether pages become a block again when all of them are back.
    folds: bool,
    is_v2: bool,
    /// Where there are tables of level 3.
    tables: BTreeSet<u64>,
    /// Private pages in each 2 MiB.
    private: BTreeMap<u64, u64>,
    /// What is counted.
    pub tally: Tally,
}

impl<'c, 'b> Backing<'c, 'b> {
    /// RAM of a new Realm, of which nothing is there. Its tables of level 2 are.
    pub(super) fn new(
        bench: &'c Bench<'b>,
        realm: &mut Fixture<'_>,
        folds: bool,
    ) -> Result<Self, Failure> {
        realm.tables_to(RAM_BASE, 2)?;
        realm.tables_to(alias(RAM_BASE), 2)?;
        let pa = bench.host.take_pages(RAM_PAGES, L2_SIZE)?;
        let mut at = RAM_BASE;
        while at < RAM_BASE + RAM_SIZE {
            at = bench.call(RTT_INIT_RIPAS, [realm.rd, at, RAM_BASE + RAM_SIZE, 0, 0])?.x1;
        }
        Ok(Self {
            bench,
            rd: realm.rd,
            pa,
            folds,
            is_v2: bench.host.dialect().version() == VERSION_2_0,
            tables: BTreeSet::new(),
            private: BTreeMap::new(),
            tally: Tally::default(),
        })
    }

    /// Reports what has been counted since the last report.
    pub(super) fn report(&mut self, name: &str) {
        self.tally.report(self.bench, name, self.folds);
    }

    fn call(&mut self, command: Command, args: [u64; 5]) -> Result<u64, Failure> {
        self.tally.call(self.bench, command, args)
    }

    /// Issues a command about `ipa`, and makes the table that it misses; X1 of its reply.
    fn with_table(&mut self, ipa: u64, command: Command, args: [u64; 5]) -> Result<u64, Failure> {
        match self.tally.ask(self.bench, command, args) {
            Ok(answer) => Ok(answer.x1),
            Err(error) if error.rtt_level() == Some(2) => {
                let table = self.bench.host.take_page()?;
                self.delegate(table..table + PAGE)?;
                self.call(RTT_CREATE, [self.rd, table, block_of(ipa), 3, 0])?;
                self.tables.insert(block_of(ipa));
                self.call(command, args)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Issues a command again and again, from where it ended.
    fn whole(
        &mut self,
        range: Range<u64>,
        command: Command,
        args: impl Fn(u64) -> [u64; 5],
    ) -> Result<(), Failure> {
        let mut at = range.start;
        while at < range.end {
            let next = self.with_table(at, command, args(at))?;
            if next <= at || next > range.end {
                return Err(failure!("{} at {at:#x} went to {next:#x}", command.name()));
            }
            at = next;
        }
        Ok(())
    }

    fn delegate(&mut self, range: Range<u64>) -> Result<(), Failure> {
        if self.is_v2 {
            let end = range.end;
            return self.whole(range, v2_0::GRANULE_RANGE_DELEGATE, |at| [at, end, 0, 0, 0]);
        }
        pages(range)
            .try_for_each(|pa| self.call(v1_0::GRANULE_DELEGATE, [pa, 0, 0, 0, 0]).map(drop))
    }

    fn undelegate(&mut self, range: Range<u64>) -> Result<(), Failure> {
        if self.is_v2 {
            let end = range.end;
            return self.whole(range, v2_0::GRANULE_RANGE_UNDELEGATE, |at| [at, end, 0, 0, 0]);
        }
        pages(range)
            .try_for_each(|pa| self.call(v1_0::GRANULE_UNDELEGATE, [pa, 0, 0, 0, 0]).map(drop))
    }

    /// The physical memory behind guest RAM.
    const fn behind(&self, range: &Range<u64>) -> Range<u64> {
        self.pa + range.start - RAM_BASE..self.pa + range.end - RAM_BASE
    }

    /// Carries out a change of RIPAS.
    pub(super) fn set_ripas(&mut self, rec: u64, range: Range<u64>) -> Result<(), Failure> {
        let (rd, end) = (self.rd, range.end);
        self.whole(range, RTT_SET_RIPAS, |at| [rd, rec, at, end, 0])
    }

    /// Makes memory the guest's own.
    pub(super) fn give(&mut self, range: Range<u64>) -> Result<(), Failure> {
        let rd = self.rd;
        for piece in pieces(range) {
            let behind = self.behind(&piece);
            self.delegate(behind.clone())?;
            if self.is_v2 {
                let (base, end, size) = (piece.start, piece.end, piece.end - piece.start);
                self.whole(piece.clone(), v2_0::RTT_DATA_MAP, |at| {
                    let done = at - base;
                    let memory = AddrRange::delegated(behind.start + done, size - done);
                    [rd, at, end, SINGLE, memory.encode()]
                })?;
            } else {
                for (ipa, pa) in pages(piece.clone()).zip(pages(behind)) {
                    self.with_table(ipa, v1_0::DATA_CREATE_UNKNOWN, [rd, pa, ipa, 0, 0])?;
                }
            }
            *self.private_in(&piece) += count(&piece);
            self.fold_back(block_of(piece.start))?;
        }
        Ok(())
    }

    /// Takes memory of the guest's own away.
    pub(super) fn take(&mut self, range: Range<u64>) -> Result<(), Failure> {
        let rd = self.rd;
        for piece in pieces(range) {
            if self.is_v2 {
                let end = piece.end;
                self.whole(piece.clone(), v2_0::RTT_DATA_UNMAP, |at| [rd, at, end, SINGLE, 0])?;
            } else {
                for ipa in pages(piece.clone()) {
                    self.with_table(ipa, v1_0::DATA_DESTROY, [rd, ipa, 0, 0, 0])?;
                }
            }
            self.undelegate(self.behind(&piece))?;
            *self.private_in(&piece) -= count(&piece);
            self.fold_back(block_of(piece.start))?;
        }
        Ok(())
    }

    /// How many pages are private in the 2 MiB of a piece.
    fn private_in(&mut self, piece: &Range<u64>) -> &mut u64 {
        self.private.entry(block_of(piece.start)).or_default()
    }

    /// Makes one entry of a table that is all private or all empty.
    fn fold_back(&mut self, block: u64) -> Result<(), Failure> {
        let private = *self.private_in(&(block..block + L2_SIZE));
        let is_even = private == 0 || private == L2_SIZE / PAGE;
        if !self.folds || !is_even || !self.tables.remove(&block) {
            return Ok(());
        }
        let table = self.call(RTT_FOLD, [self.rd, block, 3, 0, 0])?;
        self.undelegate(table..table + PAGE)?;
        self.bench.host.put_page(table);
        Ok(())
    }

    /// Lets the guest reach the memory behind a piece of its RAM at the unprotected alias: all 2
    /// MiB by one entry if nothing is in the way.
    pub(super) fn share(&mut self, piece: Range<u64>) -> Result<(), Failure> {
        let (rd, behind) = (self.rd, self.behind(&piece));
        let (ipa, end) = (alias(piece.start), alias(piece.end));
        if self.is_v2 {
            return self.whole(ipa..end, v2_0::RTT_UNPROT_MAP, |at| {
                let pa = behind.start + (at - ipa);
                let memory = AddrRange::delegated(pa, behind.end - pa);
                let memory = AddrRange { undelegated: true, ..memory };
                [rd, at, end, SINGLE | SHARED, memory.encode()]
            });
        }
        let desc = |pa: u64| pa | SHARED_1_0;
        if self.is_shared_as_block(&piece) {
            let args = [rd, ipa, 2, desc(behind.start), 0];
            return self.call(v1_0::RTT_MAP_UNPROTECTED, args).map(drop);
        }
        for (ipa, pa) in pages(ipa..end).zip(pages(behind)) {
            self.with_table(ipa, v1_0::RTT_MAP_UNPROTECTED, [rd, ipa, 3, desc(pa), 0])?;
        }
        Ok(())
    }

    /// Takes the alias away.
    pub(super) fn unshare(&mut self, range: Range<u64>) -> Result<(), Failure> {
        let rd = self.rd;
        for piece in pieces(range) {
            let (ipa, end) = (alias(piece.start), alias(piece.end));
            if self.is_v2 {
                self.whole(ipa..end, v2_0::RTT_UNPROT_UNMAP, |at| [rd, at, end, SINGLE, 0])?;
            } else if self.is_shared_as_block(&piece) {
                self.call(v1_0::RTT_UNMAP_UNPROTECTED, [rd, ipa, 2, 0, 0])?;
            } else {
                for ipa in pages(ipa..end) {
                    self.call(v1_0::RTT_UNMAP_UNPROTECTED, [rd, ipa, 3, 0, 0])?;
                }
            }
        }
        Ok(())
    }

    fn is_shared_as_block(&self, piece: &Range<u64>) -> bool {
        is_block(piece) && !self.tables.contains(&alias(piece.start))
    }

    /// Takes everything back.
    pub(super) fn end(mut self) -> Result<(), Failure> {
        self.take(RAM_BASE..RAM_BASE + RAM_SIZE)?;
        for block in core::mem::take(&mut self.tables) {
            let table = self.call(RTT_DESTROY, [self.rd, block, 3, 0, 0])?;
            self.undelegate(table..table + PAGE)?;
            self.bench.host.put_page(table);
        }
        pages(self.pa..self.pa + RAM_SIZE).for_each(|page| self.bench.host.put_page(page));
        Ok(())
    }
}
