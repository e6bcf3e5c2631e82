//! A Host that knows by heart what the tables of the notes say, against the model.

mod life;
mod memory;
mod operation;
mod realm;
mod rec;

use std::collections::HashMap;

use super::platform::tests::small;
use super::{Answer, Call, HostView, Model, Page, fid};

/// First granule that the tests use.
pub(super) const MEMORY: u64 = 0x8000_0000;

/// The address of a granule by its number.
pub(super) const fn granule(number: u64) -> u64 {
    MEMORY + number * 4096
}

/// A page of the Host for parameters and lists.
pub(super) const SHARED: u64 = granule(1024);
/// A page that is never the Host's.
pub(super) const RESERVED: u64 = 0x9000_0000;
/// A Realm's descriptor, its start table, and three tables below.
pub(super) const RD: u64 = granule(0);
pub(super) const ROOT: u64 = granule(1);
pub(super) const TABLES: [u64; 3] = [granule(2), granule(3), granule(4)];
/// A REC.
pub(super) const REC: u64 = granule(5);
/// Memory of the Realm: granules from this number on.
pub(super) const DATA: u64 = 512;

/// The Host's pages.
#[derive(Default)]
pub(super) struct Host {
    pages: HashMap<u64, Page>,
    /// Pages that the next command writes.
    pub(super) written: HashMap<u64, Page>,
    pub(super) list_registers: Vec<u64>,
}

impl HostView for Host {
    fn before(&self, pa: u64) -> Option<Box<Page>> {
        Some(Box::new(self.pages.get(&pa).copied().unwrap_or([0; 512])))
    }

    fn after(&self, pa: u64) -> Option<Box<Page>> {
        self.written.get(&pa).map(|page| Box::new(*page)).or_else(|| self.before(pa))
    }

    fn list_registers(&self) -> Vec<u64> {
        self.list_registers.clone()
    }
}

/// The model with a Host.
pub(super) struct Bench {
    pub(super) model: Model,
    pub(super) host: Host,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self { model: Model::new(small()), host: Host::default() }
    }

    /// The RMM is ACTIVE, and many granules are DELEGATED.
    pub(super) fn active() -> Self {
        let mut bench = Self::new();
        bench.ok(fid::ACTIVATE, &[], &[]);
        bench.ok(fid::RANGE_DELEGATE, &[MEMORY, granule(64)], &[granule(64)]);
        bench
    }

    /// The Host writes words of a page; the others are zero.
    pub(super) fn write(&mut self, pa: u64, words: &[(usize, u64)]) {
        let mut page = [0; 512];
        for &(offset, word) in words {
            page[offset / 8] = word;
        }
        self.host.pages.insert(pa, page);
    }

    /// The next command writes words of a page.
    pub(super) fn writes(&mut self, pa: u64, words: &[(usize, u64)]) {
        let mut page = self.host.pages.get(&pa).copied().unwrap_or([0; 512]);
        for &(offset, word) in words {
            page[offset / 8] = word;
        }
        self.host.written.insert(pa, page);
    }

    /// Whether this may be answered; if so the model follows.
    pub(super) fn may(
        &mut self,
        fid: u64,
        arguments: &[u64],
        x0: u64,
        outputs: &[u64],
    ) -> Result<&'static str, String> {
        // Registers that the command does not use hold anything.
        let mut call: Call = [fid, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77];
        call[1..=arguments.len()].copy_from_slice(arguments);
        let mut answer: Answer = call;
        answer[0] = x0;
        answer[1..4].fill(0);
        answer[1..=outputs.len()].copy_from_slice(outputs);
        if fid == fid::RTT_READ_ENTRY && outputs.len() < 4 {
            answer[4] = 0;
        }
        let result = self.model.judge(&call, &self.host, &answer);
        let written = std::mem::take(&mut self.host.written);
        if result.is_ok() {
            self.host.pages.extend(written);
        }
        result.map_err(|divergence| divergence.to_string())
    }

    /// The command succeeds with these outputs.
    pub(super) fn ok(&mut self, fid: u64, arguments: &[u64], outputs: &[u64]) {
        self.is(fid, arguments, 0, outputs);
    }

    /// This is answered.
    #[track_caller]
    pub(super) fn is(&mut self, fid: u64, arguments: &[u64], x0: u64, outputs: &[u64]) {
        if let Err(divergence) = self.may(fid, arguments, x0, outputs) {
            panic!("{divergence}");
        }
    }

    /// This must not be answered.
    #[track_caller]
    pub(super) fn not(&mut self, fid: u64, arguments: &[u64], x0: u64, outputs: &[u64]) {
        let result = self.may(fid, arguments, x0, outputs);
        assert!(result.is_err(), "{fid:x} {arguments:x?} may answer {x0:#x} {outputs:x?}");
    }

    /// The command fails with this code alone of all that there are.
    #[track_caller]
    pub(super) fn only(&mut self, fid: u64, arguments: &[u64], x0: u64) {
        for code in
            [0, 1, 2, 3, 5, 10, 11, 12, 13, 14, 15, 0x104, 0x204, 0x304, 0x10d, 0x20d, 0x50d]
        {
            if code != x0 {
                self.not(fid, arguments, code, &[]);
            }
        }
        self.is(fid, arguments, x0, &[]);
    }

    /// Words of REALM_CREATE: 40 bits from level 1 on with two tables would do as well.
    pub(super) fn params() -> Vec<(usize, u64)> {
        vec![(0x8, 39), (0x808, ROOT), (0x810, 1), (0x818, 1)]
    }

    /// A Realm in state NEW, SHA-256, 39 bits.
    pub(super) fn realm() -> Self {
        let mut bench = Self::active();
        bench.write(SHARED, &Self::params());
        bench.ok(fid::REALM_CREATE, &[RD, SHARED], &[]);
        bench
    }

    /// The same, with tables down to level 3 for the first 2 MiB.
    pub(super) fn realm_with_tables() -> Self {
        let mut bench = Self::realm();
        bench.ok(fid::RTT_CREATE, &[RD, TABLES[0], 0, 2], &[]);
        bench.ok(fid::RTT_CREATE, &[RD, TABLES[1], 0, 3], &[]);
        bench
    }

    /// A REC is made from three granules, of which the numbers are 16, 17 and 18.
    pub(super) fn make_rec(&mut self, rec: u64, mpidr: u64, flags: u64) {
        self.write(SHARED, &[(0, flags), (0x100, mpidr)]);
        self.is(fid::REC_CREATE, &[RD, rec, SHARED], 0x50d, &[0, 3 << 2]);
        let first = self.model.recs().len() as u64 * 3 + 16;
        self.write(SHARED, &[(0, granule(first) | 3 << 2)]);
        self.is(fid::OP_MEM_DONATE, &[0, SHARED, 1], 0xd, &[3, 0]);
        self.ok(fid::OP_CONTINUE, &[0, 0], &[]);
    }
}
