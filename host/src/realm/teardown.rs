//! Taking everything back, in the order that Linux does it.
//!
//! In version 2.0 the Realm is terminated before anything else. RECs first, then private pages,
//! shared pages, tables from the deepest level up, and last the Realm itself. A step that the
//! monitor refuses is reported and what it concerns is leaked; the others go on, so that as much as
//! possible comes back.

use super::Realm;
use super::build::reclaim_descriptor;
use crate::failure::Failure;
use crate::granules::{PAGE_SIZE, Purpose};
use crate::host::Host;
use crate::ipa;

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
    note(host.dialect().terminate_realm(host, realm.rd));
    for mut vcpu in core::mem::take(&mut realm.vcpus) {
        note(vcpu.destroy(host));
    }
    note(realm.take_pages(host, 0, ipa::SHARED_BIT));
    note(realm.unshare_everything(host));
    for level in (ipa::RTT_START_LEVEL + 1..=3).rev() {
        note(realm.destroy_tables(host, level));
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
            match host.rmi().rtt_destroy(self.rd, next, level) {
                Ok((rtt, top)) => {
                    host.reclaim(rtt, Purpose::Rtt);
                    next = top.max(next + step);
                }
                Err(error) if error.rtt_level().is_some() && error.top() > next => {
                    next = error.top();
                }
                Err(error) => return Err(error.into()),
            }
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
