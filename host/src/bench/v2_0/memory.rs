//! Memory of Realms: pages, blocks, tables, and what the host shares.

use super::range::{Mapping, granules};
use crate::bench::fixture::{Fixture, L1_SIZE, L2_SIZE, PAGE, UNPROTECTED};
use crate::bench::{Bench, Cost};
use crate::failure::Failure;
use crate::granules::Purpose;
use crate::rmi::command::{RTT_INIT_RIPAS, RTT_READ_ENTRY};
use crate::rmi::v2_0::command::{GRANULE_RANGE_DELEGATE, GRANULE_RANGE_UNDELEGATE};

/// Entries of a table.
const ENTRIES: usize = 512;
/// Index of the last one.
const LAST: u64 = 511;

/// Single pages of a Realm.
pub(super) fn pages(bench: &Bench<'_>) -> Result<(), Failure> {
    let mut realm = Fixture::new(bench)?;
    realm.tables_to(0, 3)?;
    bench.row("data_map_init_measured", realm.create_page(0, b"measured", 1)?);
    bench.row("data_map_init_unmeasured", realm.create_page(PAGE, b"not measured", 0)?);
    let granule = bench.host.take_granule()?;
    bench.row("data_map_page", realm.map_page(2 * PAGE, granule)?);
    realm.destroy_page(Some("data_unmap_page"), 2 * PAGE)?;
    realm.destroy(None)
}

/// 2 MiB at once: as a block, and as the pages of a table.
pub(super) fn blocks(bench: &Bench<'_>) -> Result<(), Failure> {
    let mut realm = Fixture::new(bench)?;
    let (block, pages) = (L2_SIZE, 2 * L2_SIZE);
    realm.tables_to(pages, 3)?;
    let pa = bench.host.take_granules(ENTRIES, L2_SIZE)?;
    let at = |ipa| Mapping { rd: realm.rd, ipa, pa, size: L2_SIZE };
    bench.row("data_map_2m_block", at(block).map(bench)?);
    bench.row("data_unmap_2m_block", at(block).unmap(bench)?);
    bench.row("data_map_2m_pages", at(pages).map(bench)?);
    bench.row("data_unmap_2m_pages", at(pages).unmap(bench)?);
    at(pages).map(bench)?;
    let mapped = at(pages);
    realm.fold_table(Some("rtt_fold_512"), pages, 3)?;
    let read = bench.call(RTT_READ_ENTRY, [realm.rd, pages, 3, 0, 0])?;
    bench.row("rtt_read_entry_block", read.cost);
    bench.row("rtt_unfold_2m", realm.create_table(pages, 3)?);
    let read = bench.call(RTT_READ_ENTRY, [realm.rd, pages, 3, 0, 0])?;
    bench.row("rtt_read_entry", read.cost);
    mapped.unmap(bench)?;
    bench.host.reclaim_range(pa, pa + L2_SIZE, Purpose::Data);
    realm.destroy(None)
}

/// Tables, and RIPAS before activation.
pub(super) fn tables(bench: &Bench<'_>) -> Result<(), Failure> {
    let mut realm = Fixture::new(bench)?;
    realm.tables_to(0, 2)?;
    bench.row("rtt_create_l3", realm.create_table(0, 3)?);
    let init = bench.call(RTT_INIT_RIPAS, [realm.rd, 0, L2_SIZE, 0, 0])?;
    bench.row("init_ripas_512", init.cost);
    let block = bench.call(RTT_INIT_RIPAS, [realm.rd, L2_SIZE, 2 * L2_SIZE, 0, 0])?;
    bench.row("init_ripas_2m_block", block.cost);
    realm.destroy_table(Some("rtt_destroy_l3"), 0, 3)?;
    // The next live entry is the table's last: that is where looking for it takes longest.
    let last = LAST * L2_SIZE;
    realm.create_table(last, 3)?;
    realm.create_table(0, 3)?;
    realm.destroy_table(Some("rtt_destroy_l3_live"), 0, 3)?;
    realm.destroy(None)
}

/// Memory of the host at unprotected addresses.
pub(super) fn shared(bench: &Bench<'_>) -> Result<(), Failure> {
    let mut realm = Fixture::new(bench)?;
    let (block, page) = (UNPROTECTED, UNPROTECTED + L2_SIZE);
    realm.tables_to(page, 3)?;
    let pa = bench.host.take_pages(ENTRIES, L2_SIZE)?;
    let at = |ipa, size| Mapping { rd: realm.rd, ipa, pa, size };
    bench.row("unprot_map_page", at(page, PAGE).share(bench)?);
    bench.row("unprot_unmap_page", at(page, PAGE).unshare(bench)?);
    bench.row("unprot_map_2m_pages", at(page, L2_SIZE).share(bench)?);
    bench.row("unprot_unmap_2m_pages", at(page, L2_SIZE).unshare(bench)?);
    bench.row("unprot_map_2m_block", at(block, L2_SIZE).share(bench)?);
    bench.row("unprot_unmap_2m_block", at(block, L2_SIZE).unshare(bench)?);
    put_pages(bench, pa, ENTRIES);
    realm.destroy(None)
}

/// Pages that were taken as they are go back.
pub(super) fn put_pages(bench: &Bench<'_>, pa: u64, count: usize) {
    (pa..).step_by(PAGE_BYTES).take(count).for_each(|page| bench.host.put_page(page));
}

const PAGE_BYTES: usize = 0x1000;

/// A gibibyte given to a Realm, and taken back.
pub(super) fn gibibyte(bench: &Bench<'_>) -> Result<(), Failure> {
    let mut realm = Fixture::new(bench)?;
    let ipa = L1_SIZE;
    realm.tables_to(ipa, 2)?;
    let count = ENTRIES * ENTRIES;
    let pa = bench.host.take_pages(count, L1_SIZE)?;
    let top = pa + L1_SIZE;
    let memory = Mapping { rd: realm.rd, ipa, pa, size: L1_SIZE };
    let delegate = granules(bench, GRANULE_RANGE_DELEGATE, pa, top)?;
    let populate: Cost = [delegate, memory.map(bench)?].into_iter().sum();
    bench.row("populate_1g", populate);
    let unmap = memory.unmap(bench)?;
    let undelegate = granules(bench, GRANULE_RANGE_UNDELEGATE, pa, top)?;
    bench.row("destroy_1g", [unmap, undelegate].into_iter().sum());
    put_pages(bench, pa, count);
    realm.destroy(None)
}
