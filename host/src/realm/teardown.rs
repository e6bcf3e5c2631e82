//! Taking everything back.
//!
//! In our own style the Realm is terminated before anything else, where the version of the
//! interface has that. RECs come first, then private pages, shared pages, tables from the deepest
//! level up, and last the Realm itself. In the style of Linux private pages come before the rest, 2
//! MiB after 2 MiB, and tables from the top down. A step that the monitor refuses is reported and
//! what it concerns is leaked; the others go on, so that as much as possible comes back.

use super::Realm;
use super::build::reclaim_descriptor;
use crate::failure::Failure;
use crate::granules::{PAGE_SIZE, Purpose};
use crate::host::Host;
use crate::ipa;
use crate::rmi::RmiError;
use core::ops::Range;

/// Destroys a Realm that no CPU is in, and takes its granules back.
///
/// # Errors
///
/// The first step that was refused.
pub fn destroy(host: &Host, mut realm: Realm) -> Result<(), Failure> {
    let mut first = None;
    let mut note = |result: Result<(), Failure>| {
        if let Err(failure) = result {
            host.log(format_args!("tearing down: {failure}"));
            first.get_or_insert(failure);
        }
    };
    let is_linux = host.style.is_linux();
    if is_linux {
        note(realm.take_pages_by_blocks(host));
    }
    note(host.dialect().terminate_realm(host, realm.rd));
    for mut vcpu in core::mem::take(&mut realm.vcpus) {
        note(vcpu.destroy(host));
    }
    note(realm.take_pages(host, 0, ipa::SHARED_BIT));
    note(realm.unshare_everything(host));
    let first_level = ipa::RTT_START_LEVEL + 1;
    if is_linux {
        note(realm.destroy_tables_from(host, first_level, 0..ipa::IPA_END));
    } else {
        for level in (first_level..=3).rev() {
            note(realm.destroy_tables(host, level));
        }
    }
    note(realm.destroy_descriptor(host));
    first.map_or(Ok(()), Err)
}

impl Realm {
    /// Unmaps every shared page that the host remembers; the monitor must not know of others.
    fn unshare_everything(&self, host: &Host) -> Result<(), Failure> {
        self.unshare(host, ipa::SHARED_BIT, ipa::IPA_END)?;
        let mut next = ipa::SHARED_BIT;
        while next < ipa::IPA_END {
            let (was_mapped, top) = host.dialect().unshare(host, self.rd, next, ipa::IPA_END)?;
            if was_mapped {
                return Err(failure!("a page below {top:#x} was mapped, but not by us"));
            }
            if top <= next {
                return Err(failure!("looking for shared pages at {next:#x} gets no further"));
            }
            next = top;
        }
        Ok(())
    }

    /// Destroys every table at `level`.
    fn destroy_tables(&self, host: &Host, level: u64) -> Result<(), Failure> {
        let step = ipa::entry_size(level - 1);
        let mut next = 0;
        while next < ipa::IPA_END {
            let result = host.rmi().rtt_destroy(self.rd, next, level);
            next = table_after(host, result, next, step)?;
        }
        Ok(())
    }

    /// Takes the pages of RAM back, and folds what has become uniform.
    fn take_pages_by_blocks(&self, host: &Host) -> Result<(), Failure> {
        let ram = self.ram();
        let mut base = ram.start;
        while base < ram.end {
            let top = base + ipa::entry_size(2);
            self.take_pages(host, base, top)?;
            self.fold_tables(host, base, top)?;
            base = top;
        }
        Ok(())
    }

    /// Destroys every table of `level` in a range, and before it those below it that keep it in
    /// use.
    fn destroy_tables_from(
        &self,
        host: &Host,
        level: u64,
        range: Range<u64>,
    ) -> Result<(), Failure> {
        let step = ipa::entry_size(level - 1);
        let mut next = range.start;
        while next < range.end {
            let mut result = host.rmi().rtt_destroy(self.rd, next, level);
            if let Err(error) = &result
                && error.rtt_level().is_some()
                && error.top() <= next
                && level < 3
            {
                self.destroy_tables_from(host, level + 1, next..next + step)?;
                result = host.rmi().rtt_destroy(self.rd, next, level);
            }
            next = table_after(host, result, next, step)?;
        }
        Ok(())
    }

    fn destroy_descriptor(&self, host: &Host) -> Result<(), Failure> {
        if let Err(failure) = host.dialect().destroy_realm(host, self.rd) {
            for n in 0..ipa::RTT_START_COUNT as u64 {
                host.leak(self.root_tables + n * PAGE_SIZE, Purpose::RootRtt);
            }
            host.leak(self.rd, Purpose::Rd);
            return Err(failure);
        }
        reclaim_descriptor(host, self.rd, self.root_tables);
        Ok(())
    }
}

/// Where the next table may be, once the one at `next` is destroyed or was not there.
fn table_after(
    host: &Host,
    result: Result<(u64, u64), RmiError>,
    next: u64,
    step: u64,
) -> Result<u64, Failure> {
    match result {
        Ok((rtt, top)) => {
            host.reclaim(rtt, Purpose::Rtt);
            Ok(top.max(next + step))
        }
        Err(error) if error.rtt_level().is_some() && error.top() > next => Ok(error.top()),
        Err(error) => Err(error.into()),
    }
}
