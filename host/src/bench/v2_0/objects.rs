//! Realms and RECs, and those that run.

use super::operation::Operation;
use super::range::Mapping;
use crate::bench::Bench;
use crate::bench::fixture::{Fixture, L2_SIZE, PAGE, UNPROTECTED};
use crate::bench::guest::{
    CALL, CODE, EXIT_HOST_CALL, EXIT_PSCI, EXIT_RIPAS_CHANGE, EXIT_SYNC, Guest, OP_LOAD,
    OP_NOTHING, PSCI_CPU_ON, RSI_IPA_STATE_SET,
};
use crate::failure::Failure;
use crate::granules::Purpose;
use crate::rmi::command::{REALM_ACTIVATE, REC_CREATE, REC_DESTROY, RTT_INIT_RIPAS, RTT_SET_RIPAS};
use crate::rmi::v2_0::command::{
    OP_CANCEL, OP_CONTINUE, OP_MEM_DONATE, OP_MEM_RECLAIM, PSCI_COMPLETE,
};

/// Realms and RECs, and the parts of a command that takes several calls.
pub(super) fn objects(bench: &Bench<'_>) -> Result<(), Failure> {
    let mut realm = Fixture::new(bench)?;
    bench.row("realm_create", realm.create_cost);
    let (_, create) = realm.create_rec(0, 0)?;
    bench.row("rec_create", create);
    realm.destroy_rec(Some("rec_destroy"))?;
    parts(bench, &mut realm, ["op_cancel", "op_mem_donate", "op_continue", "op_mem_reclaim"])?;
    realm.end(Some("realm_terminate"), Some("realm_destroy"))
}

/// Calls of operations as rows of their own, of these names: that which cancels, that which
/// donates, that which goes on, and that which takes back.
pub(super) fn parts(
    bench: &Bench<'_>,
    realm: &mut Fixture<'_>,
    [cancel, donate, go_on, reclaim]: [&str; 4],
) -> Result<(), Failure> {
    let new = realm.new_rec(0, 0)?;
    let create = [new.rd, new.rec, new.params, 0, 0];
    Operation::new(bench)?.telling(&[(OP_CANCEL, cancel)]).cancelled().run(REC_CREATE, create)?;
    let donate = [(OP_MEM_DONATE, donate), (OP_CONTINUE, go_on)];
    let (_, held) = Operation::new(bench)?.telling(&donate).run(REC_CREATE, create)?;
    realm.keep_rec(&new, held);
    let reclaim = [(OP_MEM_RECLAIM, reclaim)];
    Operation::new(bench)?.telling(&reclaim).run(REC_DESTROY, [new.rec, 0, 0, 0, 0])?;
    realm.drop_rec();
    Ok(())
}

/// A Realm that runs `program`.
pub(super) fn running(bench: &Bench<'_>, program: &[u8]) -> Result<(), Failure> {
    let host = bench.host;
    let mut realm = Fixture::new(bench)?;
    realm.tables_to(0, 3)?;
    realm.create_page(CODE, program, 0)?;
    realm.create_page(CALL, &[], 0)?;
    let block = L2_SIZE;
    let pa = host.take_granules(512, L2_SIZE)?;
    let memory = Mapping { rd: realm.rd, ipa: block, pa, size: L2_SIZE };
    bench.call(RTT_INIT_RIPAS, [realm.rd, block, block + L2_SIZE, 0, 0])?;
    memory.map(bench)?;
    let (rec, _) = realm.create_rec(CODE, CALL)?;
    realm.create_rec(CODE, CALL)?;
    bench.row("realm_activate", bench.call(REALM_ACTIVATE, [realm.rd, 0, 0, 0, 0])?.cost);

    let guest = Guest { bench, rec, run: host.take_page()? };
    guest.enter(0, EXIT_HOST_CALL)?;
    guest.answer(&[OP_NOTHING]);
    guest.enter(0, EXIT_HOST_CALL)?;
    bench.row("rec_enter_host_call", guest.enter(0, EXIT_HOST_CALL)?);

    const OTHER: u64 = 1;
    guest.ask(&[PSCI_CPU_ON, OTHER, CODE, 0]);
    guest.enter(0, EXIT_PSCI)?;
    bench.row("psci_complete", bench.call(PSCI_COMPLETE, [rec, 0, 0, 0, 0])?.cost);
    guest.enter(0, EXIT_HOST_CALL)?;

    const EMPTY: u64 = 0;
    guest.ask(&[RSI_IPA_STATE_SET, block, block + L2_SIZE, EMPTY, 1]);
    guest.enter(0, EXIT_RIPAS_CHANGE)?;
    let set = bench.call(RTT_SET_RIPAS, [realm.rd, rec, block, block + L2_SIZE, 0])?;
    bench.row("set_ripas_2m_block", set.cost);
    guest.enter(0, EXIT_HOST_CALL)?;

    // The load at an unprotected address exits again and again, since nobody emulates it.
    guest.answer(&[OP_LOAD, UNPROTECTED + PAGE]);
    guest.enter(0, EXIT_SYNC)?;
    bench.row("rec_enter_abort", guest.enter(0, EXIT_SYNC)?);
    host.put_page(guest.run);
    memory.unmap(bench)?;
    host.reclaim_range(pa, pa + L2_SIZE, Purpose::Data);
    realm.destroy(None)
}
