//! A Realm's memory while it runs: private pages given on demand, shared pages of the host.

use super::Realm;
use crate::devices::virtio_rng::SharedMemory;
use crate::failure::Failure;
use crate::granules::{PAGE_SIZE, Purpose};
use crate::host::Host;
use crate::ipa;
use crate::rmi::RmiError;
use crate::rmi::abi::ripas;
use alloc::collections::BTreeMap;
use core::ops::Range;

/// What an entry of level 2 describes, in bytes and in pages.
const BLOCK_SIZE: u64 = ipa::entry_size(2);
const BLOCK_PAGES: usize = (BLOCK_SIZE / PAGE_SIZE) as usize;

/// Times that a command is repeated because a table was missing: one per level is enough, but
/// another CPU may work on the same tables.
const TABLE_ATTEMPTS: usize = 8;

impl Realm {
    /// Runs a command on `ipa`, creating the tables that it misses.
    pub(super) fn with_tables<T>(
        &self,
        host: &Host,
        ipa: u64,
        mut command: impl FnMut() -> Result<T, RmiError>,
    ) -> Result<T, Failure> {
        let mut attempts = 0;
        loop {
            let error = match command() {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            attempts += 1;
            match error.rtt_level() {
                Some(level @ 0..3) if attempts <= TABLE_ATTEMPTS => {
                    self.create_table(host, ipa, u64::from(level.unsigned_abs()) + 1)?;
                }
                _ => return Err(error.into()),
            }
        }
    }

    /// Creates the table at `level` that describes `ipa`.
    pub(super) fn create_table(&self, host: &Host, ipa: u64, level: u64) -> Result<(), Failure> {
        let rtt = host.take_granule()?;
        let base = ipa::entry_base(ipa, level - 1);
        let Err(error) = host.rmi().rtt_create(self.rd, rtt, base, level) else { return Ok(()) };
        host.reclaim(rtt, Purpose::Rtt);
        // Another CPU may have been faster; then the table is there, which is all we want.
        let there =
            error.rtt_level().is_some_and(|found| i64::from(found) + 1 == level.cast_signed());
        if there { Ok(()) } else { Err(error.into()) }
    }

    /// Gives the Realm memory at the protected address `ipa`, on which it faulted, and around it.
    ///
    /// # Errors
    ///
    /// The page cannot be given, or the Realm may not have it.
    pub fn give_memory(&self, host: &Host, ipa: u64) -> Result<(), Failure> {
        let page = ipa & !(PAGE_SIZE - 1);
        if host.dialect().has_blocks() && self.give_block(host, page) {
            return Ok(());
        }
        let claimed = self.pages.lock().claim_around(page);
        let Some((first, around)) = claimed.split_first() else {
            return self.check_present(host, page);
        };
        let result = self.give_page(host, *first);
        if result.is_err() {
            claimed.iter().for_each(|page| self.pages.lock().unclaim(*page));
            return result;
        }
        for page in around {
            // The guest did not ask for these, so it does not matter if one cannot be given.
            if self.give_page(host, *page).is_err() {
                self.pages.lock().unclaim(*page);
            }
        }
        Ok(())
    }

    /// Gives the 2 MiB around `page` in one piece, if nothing of it is there and the host has such
    /// a piece.
    fn give_block(&self, host: &Host, page: u64) -> bool {
        let Some(base) = self.pages.lock().claim_block(page) else { return false };
        let given = host
            .take_granules(BLOCK_PAGES, BLOCK_SIZE)
            .and_then(|data| self.map(host, base, data..data + BLOCK_SIZE));
        if given.is_err() {
            // What the monitor refuses in one piece it may take page by page, but for the pages
            // that it has taken.
            let mut pages = self.pages.lock();
            (0..BLOCK_PAGES as u64).for_each(|n| pages.unclaim(base + n * PAGE_SIZE));
        }
        given.is_ok()
    }

    /// Gives one page. Nothing is kept if it fails.
    fn give_page(&self, host: &Host, page: u64) -> Result<(), Failure> {
        let data = host.take_granule()?;
        self.map(host, page, data..data + PAGE_SIZE)
    }

    /// Makes the delegated memory `data` the Realm's, from `ipa` on. If that fails, all of it is
    /// taken back.
    fn map(&self, host: &Host, ipa: u64, data: Range<u64>) -> Result<(), Failure> {
        let size = data.end - data.start;
        let mut done = 0;
        while done < size {
            let rest = data.start + done..data.end;
            let mapped = self.with_tables(host, ipa + done, || {
                host.dialect().map(host, self.rd, ipa + done, rest.clone())
            });
            let failure = match mapped {
                Ok(next) if next > ipa + done && next <= ipa + size => {
                    done = next - ipa;
                    continue;
                }
                Ok(next) => failure!("memory was mapped from {ipa:#x} to {next:#x}"),
                Err(failure) => failure,
            };
            host.reclaim_range(rest.start, rest.end, Purpose::Data);
            if done != 0 {
                self.take_pages(host, ipa, ipa + done)?;
            }
            return Err(failure);
        }
        Ok(())
    }

    /// The guest faulted on a page that it should have. That is fine while another CPU is giving
    /// it, or when it has just been given; the guest tries again then.
    fn check_present(&self, host: &Host, page: u64) -> Result<(), Failure> {
        let entry = host.rmi().rtt_read_entry(self.rd, page)?;
        if entry.ripas == ripas::RAM {
            return Ok(());
        }
        Err(failure!("the guest faulted at {page:#x}, whose RIPAS is {}", entry.ripas))
    }

    /// Gives the guest a page of the host at the unprotected address `ipa`.
    ///
    /// # Errors
    ///
    /// The page cannot be given. Nothing is kept then.
    pub fn share_page(&self, host: &Host, ipa: u64) -> Result<(), Failure> {
        let alias = ipa & !(PAGE_SIZE - 1);
        let mut shared = self.shared.lock();
        if shared.contains_key(&alias) {
            return Ok(());
        }
        let page = host.take_page()?;
        let result =
            self.with_tables(host, alias, || host.dialect().share(host, self.rd, alias, page));
        if result.is_ok() {
            shared.insert(alias, page);
        } else {
            host.put_page(page);
        }
        result
    }

    /// Takes away all pages of the host that the guest reaches between two unprotected addresses.
    ///
    /// # Errors
    ///
    /// The monitor refuses one; it stays in the guest's reach and out of the host's use.
    pub fn unshare(&self, host: &Host, base: u64, top: u64) -> Result<(), Failure> {
        let mut shared = self.shared.lock();
        while let Some((&alias, &page)) = shared.range(base..top).next() {
            let (was_mapped, _) =
                host.dialect().unshare(host, self.rd, alias, alias + PAGE_SIZE)?;
            if !was_mapped {
                return Err(failure!("the shared page at {alias:#x} was not mapped any more"));
            }
            shared.remove(&alias);
            host.put_page(page);
        }
        Ok(())
    }

    /// Takes the private pages between two protected addresses back from the Realm. Goes from
    /// one to the next as the monitor says, so that a gap costs one command for each 2 MiB at most.
    ///
    /// # Errors
    ///
    /// The monitor answers something unexpected; what is left stays with it.
    pub fn take_pages(&self, host: &Host, base: u64, top: u64) -> Result<(), Failure> {
        let mut next = base;
        while next < top {
            // A block that is larger than what is left of the range is split by a table.
            let taken =
                self.with_tables(host, next, || host.dialect().unmap(host, self.rd, next, top))?;
            host.reclaim_range(taken.base, taken.base + taken.size, Purpose::Data);
            if taken.next <= next {
                return Err(failure!("taking memory at {next:#x} gets no further"));
            }
            next = taken.next;
        }
        Ok(())
    }

    /// Folds the tables of pages between two addresses whose entries are alike now, if the host is
    /// one that does so; for the others it hears that they are not.
    ///
    /// # Errors
    ///
    /// The monitor answers something unexpected.
    pub fn fold_tables(&self, host: &Host, base: u64, top: u64) -> Result<(), Failure> {
        if !host.style.is_linux() {
            return Ok(());
        }
        let mut block = ipa::entry_base(base, 2);
        while block < top {
            match host.rmi().rtt_fold(self.rd, block, 3) {
                Ok(rtt) => host.reclaim(rtt, Purpose::Rtt),
                Err(error) if error.rtt_level().is_some() => {}
                Err(error) => return Err(error.into()),
            }
            block += BLOCK_SIZE;
        }
        Ok(())
    }

    /// Runs `f` with a view of the memory that the guest shares.
    pub fn with_shared<T>(&self, host: &Host, f: impl FnOnce(&SharedView<'_>) -> T) -> T {
        f(&SharedView { host, pages: &self.shared.lock() })
    }
}

/// Shared memory by the guest's addresses, with or without the bit that marks the alias.
pub struct SharedView<'a> {
    host: &'a Host,
    pages: &'a BTreeMap<u64, u64>,
}

impl SharedView<'_> {
    /// Calls `f` with the physical address and the range within the buffer of each page's part.
    fn parts(&self, ipa: u64, size: usize, mut f: impl FnMut(u64, usize, usize)) -> bool {
        let mut done = 0;
        while done < size {
            let Some(at) = ipa.checked_add(done as u64) else { return false };
            let alias = ipa::device_address(at) | ipa::SHARED_BIT;
            let offset = alias % PAGE_SIZE;
            let Some(page) = self.pages.get(&(alias - offset)) else { return false };
            let room = usize::try_from(PAGE_SIZE - offset).unwrap_or(0);
            let count = room.min(size - done);
            f(page + offset, done, done + count);
            done += count;
        }
        true
    }
}

impl SharedMemory for SharedView<'_> {
    fn read(&self, ipa: u64, bytes: &mut [u8]) -> bool {
        self.parts(ipa, bytes.len(), |pa, from, to| {
            if let Some(part) = bytes.get_mut(from..to) {
                self.host.machine().read_bytes(pa, part);
            }
        })
    }

    fn write(&self, ipa: u64, bytes: &[u8]) -> bool {
        self.parts(ipa, bytes.len(), |pa, from, to| {
            if let Some(part) = bytes.get(from..to) {
                self.host.machine().write_bytes(pa, part);
            }
        })
    }
}
