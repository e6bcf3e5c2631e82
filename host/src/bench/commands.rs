//! Commands of the Host that need no running REC.

use super::Bench;
use super::fixture::{Fixture, L2_SIZE, PAGE, Shape, UNPROTECTED};
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

/// Version, features, delegation.
pub fn granules(bench: &Bench<'_>) -> Result<(), Failure> {
    let host = bench.host;
    let version = bench.call(command::VERSION, [VERSION_1_0, 0, 0, 0, 0])?;
    bench.row("rmi_version", version.instructions);
    // The first granule of its region costs EL3 a table of its own. Usually there are others
    // already.
    let neighbour = host.take_granule()?;
    let page = host.take_page()?;
    let delegate = bench.call(v1_0::command::GRANULE_DELEGATE, [page, 0, 0, 0, 0])?;
    bench.row("granule_delegate", delegate.instructions);
    let undelegate = bench.call(v1_0::command::GRANULE_UNDELEGATE, [page, 0, 0, 0, 0])?;
    bench.row("granule_undelegate", undelegate.instructions);
    host.put_page(page);
    host.reclaim(neighbour, Purpose::Data);
    let features = bench.call(command::FEATURES, [0; 5])?;
    bench.row("rmi_features", features.instructions);
    Ok(())
}

/// Pages of a Realm.
pub fn data(bench: &Bench<'_>) -> Result<(), Failure> {
    let mut realm = Fixture::new(bench)?;
    realm.tables_to(0, 3)?;
    bench.row("data_create_measured", realm.create_page(0, b"measured", 1)?);
    bench.row("data_create_unmeasured", realm.create_page(PAGE, b"not measured", 0)?);
    let granule = bench.host.take_granule()?;
    bench.row("data_create_unknown", realm.create_unknown(2 * PAGE, granule)?);
    realm.destroy_page(Some("data_destroy"), 0)?;
    realm.destroy(None)
}

/// Tables, unprotected mappings, RIPAS before activation.
pub fn tables(bench: &Bench<'_>) -> Result<(), Failure> {
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
    bench.row("init_ripas_per_page", init.instructions / ENTRIES);
    let memory = bench.host.take_granules(512, L2_SIZE)?;
    realm.create_unknown(block, memory)?;
    // What Linux is refused most often: to fold a table that is not uniform, and to set the RIPAS
    // of a page that is there already.
    let fold = bench.refused(command::RTT_FOLD, [realm.rd, block, 3, 0, 0])?;
    bench.row("rtt_fold_refused", fold);
    let init = [realm.rd, block, block + L2_SIZE, 0, 0];
    bench.row("init_ripas_refused", bench.refused(command::RTT_INIT_RIPAS, init)?);
    for page in 1..ENTRIES {
        realm.create_unknown(block + page * PAGE, memory + page * PAGE)?;
    }
    realm.fold_table(Some("rtt_fold_512"), block, 3)?;
    let read = bench.call(command::RTT_READ_ENTRY, [realm.rd, block, 3, 0, 0])?;
    bench.row("rtt_read_entry_block", read.instructions);
    bench.row("rtt_unfold_2m", realm.create_table(block, 3)?);
    let read = bench.call(command::RTT_READ_ENTRY, [realm.rd, block, 3, 0, 0])?;
    bench.row("rtt_read_entry", read.instructions);

    realm.tables_to(UNPROTECTED, 3)?;
    let desc = bench.host.take_page()?;
    let map =
        |at| bench.call(v1_0::command::RTT_MAP_UNPROTECTED, [realm.rd, at, 3, desc | SHARED, 0]);
    let unmap = |at| bench.call(v1_0::command::RTT_UNMAP_UNPROTECTED, [realm.rd, at, 3, 0, 0]);
    bench.row("rtt_map_unprotected", map(UNPROTECTED)?.instructions);
    bench.row("rtt_unmap_unprotected", unmap(UNPROTECTED)?.instructions);
    let last = UNPROTECTED + LAST * PAGE;
    map(last)?;
    map(UNPROTECTED)?;
    bench.row("rtt_unmap_unprotected_live", unmap(UNPROTECTED)?.instructions);
    unmap(last)?;
    bench.host.put_page(desc);
    realm.destroy(None)
}

/// The largest table that can go: 256 TiB of a Realm with descriptors of FEAT_LPA2, on a CPU that
/// has not run one.
///
/// A monitor without FEAT_LPA2 has no such row.
pub fn wide_tables(bench: &Bench<'_>) -> Result<(), Failure> {
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
pub fn objects(bench: &Bench<'_>) -> Result<(), Failure> {
    let mut realm = Fixture::new(bench)?;
    bench.row("realm_create", realm.create_cost);
    let (_, create) = realm.create_rec(0, 0)?;
    bench.row("rec_create", create);
    realm.destroy_rec(Some("rec_destroy"))?;
    realm.destroy(Some("realm_destroy"))
}
