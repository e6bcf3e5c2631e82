//! What the versions of the interface do by different commands, timed.

use super::v2_0::operation::Operation;
use super::{Bench, Cost};
use crate::dialect::{NewPage, NewRec, V1_0, V2_0};
use crate::failure::Failure;
use crate::granules::PAGE_SIZE;
use crate::host::Host;
use crate::machine::VirtualInterrupts;
use crate::rmi::abi::{VERSION_2_0, rec_params};
use crate::rmi::command::{REALM_CREATE, REALM_DESTROY, REC_CREATE, REC_DESTROY};
use crate::rmi::v1_0;
use crate::rmi::v2_0::SINGLE;
use crate::rmi::v2_0::command::{REALM_TERMINATE, RTT_DATA_MAP, RTT_DATA_MAP_INIT, RTT_DATA_UNMAP};
use crate::rmi::v2_0::descriptor::AddrRange;
use alloc::vec::Vec;

/// A version of the interface, every command of which is timed.
pub(super) trait TimedDialect: Sync {
    /// Creates a Realm; the granules that the monitor holds for it besides those that it is named.
    fn create_realm(&self, bench: &Bench<'_>, rd: u64, params: u64) -> Timing<Vec<u64>>;

    /// Ends a Realm's life, if the version has a command for that.
    fn terminate(&self, bench: &Bench<'_>, rd: u64) -> Result<Option<Cost>, Failure>;

    /// Destroys a Realm that has nothing any more.
    fn destroy_realm(&self, bench: &Bench<'_>, rd: u64) -> Timing<()>;

    /// Creates a REC; the granules that the monitor holds for it besides its own.
    fn create_rec(&self, bench: &Bench<'_>, rec: &NewRec) -> Timing<Vec<u64>>;

    /// Destroys a REC. Its granules are delegated again.
    fn destroy_rec(&self, bench: &Bench<'_>, rec: u64) -> Timing<()>;

    /// Gives a new Realm a page of the host's, measured if `flags` is 1.
    fn create_page(&self, bench: &Bench<'_>, rd: u64, page: &NewPage, flags: u64) -> Timing<()>;

    /// Gives a Realm an empty page.
    fn map_page(&self, bench: &Bench<'_>, rd: u64, ipa: u64, data: u64) -> Timing<()>;

    /// Takes a page of a Realm away: its granule, which is delegated again.
    fn unmap_page(&self, bench: &Bench<'_>, rd: u64, ipa: u64) -> Timing<u64>;

    /// What this CPU needs before it enters a REC.
    fn before_entry(&self, bench: &Bench<'_>);
}

/// What a command costs, and what comes of it.
pub(super) type Timing<T> = Result<(Cost, T), Failure>;

/// That of the host.
pub(super) fn of(host: &Host) -> &'static dyn TimedDialect {
    if host.dialect().version() == VERSION_2_0 { &V2_0 } else { &V1_0 }
}

/// Most auxiliary granules that a REC can have.
const AUX_MAX: u64 = 16;

impl TimedDialect for V1_0 {
    fn create_realm(&self, bench: &Bench<'_>, rd: u64, params: u64) -> Timing<Vec<u64>> {
        Ok((bench.call(REALM_CREATE, [rd, params, 0, 0, 0])?.cost, Vec::new()))
    }

    fn terminate(&self, _: &Bench<'_>, _: u64) -> Result<Option<Cost>, Failure> {
        Ok(None)
    }

    fn destroy_realm(&self, bench: &Bench<'_>, rd: u64) -> Timing<()> {
        Ok((bench.call(REALM_DESTROY, [rd, 0, 0, 0, 0])?.cost, ()))
    }

    fn create_rec(&self, bench: &Bench<'_>, new: &NewRec) -> Timing<Vec<u64>> {
        let host = bench.host;
        let aux_count = host.v1_0().rec_aux_count(new.rd)?;
        let write = |offset: u64, value: u64| host.machine().write_u64(new.params + offset, value);
        write(rec_params::NUM_AUX, aux_count);
        let mut aux = Vec::new();
        for n in 0..aux_count.min(AUX_MAX) {
            let granule = host.take_granule()?;
            write(rec_params::AUX + 8 * n, granule);
            aux.push(granule);
        }
        Ok((bench.call(REC_CREATE, [new.rd, new.rec, new.params, 0, 0])?.cost, aux))
    }

    fn destroy_rec(&self, bench: &Bench<'_>, rec: u64) -> Timing<()> {
        Ok((bench.call(REC_DESTROY, [rec, 0, 0, 0, 0])?.cost, ()))
    }

    fn create_page(&self, bench: &Bench<'_>, rd: u64, page: &NewPage, flags: u64) -> Timing<()> {
        let args = [rd, page.data, page.ipa, page.source, flags];
        Ok((bench.call(v1_0::command::DATA_CREATE, args)?.cost, ()))
    }

    fn map_page(&self, bench: &Bench<'_>, rd: u64, ipa: u64, data: u64) -> Timing<()> {
        Ok((bench.call(v1_0::command::DATA_CREATE_UNKNOWN, [rd, data, ipa, 0, 0])?.cost, ()))
    }

    fn unmap_page(&self, bench: &Bench<'_>, rd: u64, ipa: u64) -> Timing<u64> {
        let answer = bench.call(v1_0::command::DATA_DESTROY, [rd, ipa, 0, 0, 0])?;
        Ok((answer.cost, answer.x1))
    }

    fn before_entry(&self, _: &Bench<'_>) {}
}

/// `ICH_HCR_EL2.En`: the virtual interface works.
const ENABLED: u64 = 1;

impl TimedDialect for V2_0 {
    fn create_realm(&self, bench: &Bench<'_>, rd: u64, params: u64) -> Timing<Vec<u64>> {
        Operation::new(bench)?.run(REALM_CREATE, [rd, params, 0, 0, 0])
    }

    fn terminate(&self, bench: &Bench<'_>, rd: u64) -> Result<Option<Cost>, Failure> {
        let (cost, _) = Operation::new(bench)?.run(REALM_TERMINATE, [rd, 0, 0, 0, 0])?;
        Ok(Some(cost))
    }

    fn destroy_realm(&self, bench: &Bench<'_>, rd: u64) -> Timing<()> {
        let (cost, _) = Operation::new(bench)?.run(REALM_DESTROY, [rd, 0, 0, 0, 0])?;
        Ok((cost, ()))
    }

    fn create_rec(&self, bench: &Bench<'_>, new: &NewRec) -> Timing<Vec<u64>> {
        Operation::new(bench)?.run(REC_CREATE, [new.rd, new.rec, new.params, 0, 0])
    }

    fn destroy_rec(&self, bench: &Bench<'_>, rec: u64) -> Timing<()> {
        let (cost, _) = Operation::new(bench)?.run(REC_DESTROY, [rec, 0, 0, 0, 0])?;
        Ok((cost, ()))
    }

    fn create_page(&self, bench: &Bench<'_>, rd: u64, page: &NewPage, flags: u64) -> Timing<()> {
        let args = [rd, page.data, page.ipa, page.source, flags];
        Ok((bench.call(RTT_DATA_MAP_INIT, args)?.cost, ()))
    }

    fn map_page(&self, bench: &Bench<'_>, rd: u64, ipa: u64, data: u64) -> Timing<()> {
        let memory = AddrRange::delegated(data, PAGE_SIZE).encode();
        let args = [rd, ipa, ipa + PAGE_SIZE, SINGLE, memory];
        Ok((bench.call(RTT_DATA_MAP, args)?.cost, ()))
    }

    fn unmap_page(&self, bench: &Bench<'_>, rd: u64, ipa: u64) -> Timing<u64> {
        let args = [rd, ipa, ipa + PAGE_SIZE, SINGLE, 0];
        let answer = bench.call(RTT_DATA_UNMAP, args)?;
        let [_, _, memory, ..] = answer.reply;
        Ok((answer.cost, AddrRange::decode(memory).base))
    }

    /// The monitor runs the REC with the virtual interface that it finds here, and switches it off.
    fn before_entry(&self, bench: &Bench<'_>) {
        let interrupts = VirtualInterrupts { hcr: ENABLED, ..VirtualInterrupts::default() };
        bench.host.machine().set_virtual_interrupts(&interrupts);
    }
}
