//! Commands of the Host that need no running REC.

use super::fixture::{Fixture, L2_SIZE, PAGE, Shape, UNPROTECTED};
use super::{Bench, Cost, in_place};
use crate::failure::Failure;
use crate::granules::Purpose;
use crate::rmi::abi::VERSION_1_0;
use crate::rmi::{command, v1_0};

/// A descriptor for a shared page: Normal, write-back, readable and writable.
const SHARED: u64 = 0b110 << 2 | 0b11 << 6;

/// Entries of a table.
const ENTRIES: u64 = 512;
/// Index of the last one.
const LAST: u64 = ENTRIES - 1;

/// Measures all of them.
pub(super) fn run(bench: &Bench<'_>) -> Result<(), Failure> {
    granules(bench)?;
    data(bench)?;
    in_place::run(bench)?;
    tables(bench)?;
    wide_tables(bench)?;
    objects(bench)
}

/// Version, features, delegation.
fn granules(bench: &Bench<'_>) -> Result<(), Failure> {
    let host = bench.host;
    let version = bench.call(command::VERSION, [VERSION_1_0, 0, 0, 0, 0])?;
    bench.row("rmi_version", version.cost);
    // The first granule of its region costs EL3 a table of its own. Usually there are others
    // already.
    let neighbour = host.take_granule()?;
    let page = host.take_page()?;
    let delegate = bench.call(v1_0::command::GRANULE_DELEGATE, [page, 0, 0, 0, 0])?;
    bench.row("granule_delegate", delegate.cost);
    let undelegate = bench.call(v1_0::command::GRANULE_UNDELEGATE, [page, 0, 0, 0, 0])?;
    bench.row("granule_undelegate", undelegate.cost);
    host.put_page(page);
    host.reclaim(neighbour, Purpose::Data);
    let features = bench.call(command::FEATURES, [0; 5])?;
    bench.row("rmi_features", features.cost);
    Ok(())
}

/// Pages of a Realm.
fn data(bench: &Bench<'_>) -> Result<(), Failure> {
    let mut realm = Fixture::new(bench)?;
    realm.tables_to(0, 3)?;
    bench.row("data_create_measured", realm.create_page(0, b"measured", 1)?);
    bench.row("data_create_unmeasured", realm.create_page(PAGE, b"not measured", 0)?);
    let granule = bench.host.take_granule()?;
    bench.row("data_create_unknown", realm.map_page(2 * PAGE, granule)?);
    realm.destroy_page(Some("data_destroy"), 0)?;
    bench.row("granule_cycle", cycle(bench, realm.rd, 0)?);
    realm.destroy(None)
}

/// A page that the Realm gets and gives back, beside others that it keeps: from the host, and to
/// the host.
fn cycle(bench: &Bench<'_>, rd: u64, ipa: u64) -> Result<Cost, Failure> {
    let page = bench.host.take_page()?;
    let mut cost = bench.call(v1_0::command::GRANULE_DELEGATE, [page, 0, 0, 0, 0])?.cost;
    cost += bench.dialect.map_page(bench, rd, ipa, page)?.0;
    cost += bench.dialect.unmap_page(bench, rd, ipa)?.0;
    cost += bench.call(v1_0::command::GRANULE_UNDELEGATE, [page, 0, 0, 0, 0])?.cost;
    bench.host.put_page(page);
    Ok(cost)
}

/// Tables, unprotected mappings, RIPAS before activation.
fn tables(bench: &Bench<'_>) -> Result<(), Failure> {
    let mut realm = Fixture::new(bench)?;
    realm.tables_to(0, 2)?;
    bench.row("rtt_create_l3", realm.create_table(0, 3)?);
    realm.destroy_table(Some("rtt_destroy_l3"), 0, 3)?;

    // The next live entry is the table's last: that is where looking for it takes longest.
    let last = LAST * L2_SIZE;
    realm.create_table(last, 3)?;
    realm.create_table(0, 3)?;
    realm.destroy_table(Some("rtt_destroy_l3_live"), 0, 3)?;
    realm.destroy_table(None, last, 3)?;

    // A block is folded from 512 pages that are contiguous in memory.
    let block = L2_SIZE;
    realm.create_table(block, 3)?;
    let init = bench.call(command::RTT_INIT_RIPAS, [realm.rd, block, block + L2_SIZE, 0, 0])?;
    bench.instructions("init_ripas_per_page", init.cost.instructions / ENTRIES);
    let memory = bench.host.take_granules(512, L2_SIZE)?;
    realm.map_page(block, memory)?;
    // What Linux is refused most often: to fold a table that is not uniform, and to set the RIPAS
    // of a page that is there already.
    let fold = bench.refused(command::RTT_FOLD, [realm.rd, block, 3, 0, 0])?;
    bench.row("rtt_fold_refused", fold);
    let init = [realm.rd, block, block + L2_SIZE, 0, 0];
    bench.row("init_ripas_refused", bench.refused(command::RTT_INIT_RIPAS, init)?);
    for page in 1..ENTRIES {
        realm.map_page(block + page * PAGE, memory + page * PAGE)?;
    }
    realm.fold_table(Some("rtt_fold_512"), block, 3)?;
    let read = bench.call(command::RTT_READ_ENTRY, [realm.rd, block, 3, 0, 0])?;
    bench.row("rtt_read_entry_block", read.cost);
    bench.row("rtt_unfold_2m", realm.create_table(block, 3)?);
    let read = bench.call(command::RTT_READ_ENTRY, [realm.rd, block, 3, 0, 0])?;
    bench.row("rtt_read_entry", read.cost);

    realm.tables_to(UNPROTECTED, 3)?;
    let desc = bench.host.take_page()?;
    let map =
        |at| bench.call(v1_0::command::RTT_MAP_UNPROTECTED, [realm.rd, at, 3, desc | SHARED, 0]);
    let unmap = |at| bench.call(v1_0::command::RTT_UNMAP_UNPROTECTED, [realm.rd, at, 3, 0, 0]);
    bench.row("rtt_map_unprotected", map(UNPROTECTED)?.cost);
    bench.row("rtt_unmap_unprotected", unmap(UNPROTECTED)?.cost);
    let last = UNPROTECTED + LAST * PAGE;
    map(last)?;
    map(UNPROTECTED)?;
    bench.row("rtt_unmap_unprotected_live", unmap(UNPROTECTED)?.cost);
    unmap(last)?;
    bench.host.put_page(desc);
    realm.destroy(None)
}

/// The largest table that can go: 256 TiB of a Realm with descriptors of FEAT_LPA2, on a CPU that
/// has not run one.
///
/// A monitor without FEAT_LPA2 has no such row.
fn wide_tables(bench: &Bench<'_>) -> Result<(), Failure> {
    if !bench.host.features.has_lpa2() {
        return Ok(());
    }
    let shape = Shape { width_bits: 52, start: -1, lpa2: true, ..Shape::default() };
    let mut realm = Fixture::shaped(bench, &shape)?;
    realm.create_table(0, 0)?;
    realm.destroy_table(Some("rtt_destroy_l0_lpa2"), 0, 0)?;
    realm.destroy(None)
}

/// Realms and RECs.
fn objects(bench: &Bench<'_>) -> Result<(), Failure> {
    let mut realm = Fixture::new(bench)?;
    bench.row("realm_create", realm.create_cost);
    let (_, create) = realm.create_rec(0, 0)?;
    bench.row("rec_create", create);
    realm.destroy_rec(Some("rec_destroy"))?;
    realm.destroy(Some("realm_destroy"))
}
