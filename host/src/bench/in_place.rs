//! Population in place, an extension of Cairn's, against the ordinary way: both make a measured
//! page of a Realm of a page that holds its contents already.

use super::Bench;
use super::fixture::Fixture;
use crate::failure::Failure;
use crate::rmi::abi::{EXTENSIONS, IN_PLACE};
use crate::rmi::{command, v1_0};

/// Measures both ways; a monitor without the extension has no such rows.
pub(super) fn run(bench: &Bench<'_>) -> Result<(), Failure> {
    let host = bench.host;
    if bench.call(command::FEATURES, [EXTENSIONS, 0, 0, 0, 0])?.x1 & 1 == 0 {
        return Ok(());
    }
    let mut realm = Fixture::new(bench)?;
    realm.tables_to(0, 3)?;
    let (page, bounce) = (host.take_page()?, host.take_page()?);
    let create =
        |src, flags| bench.call(v1_0::command::DATA_CREATE, [realm.rd, page, 0, src, flags]);
    // The ordinary way: what is delegated is wiped, so the contents have to leave the page before.
    host.machine().write_bytes(page, b"measured");
    let copy = bench.timed.timed_copy(bounce, page);
    let delegate = bench.call(v1_0::command::GRANULE_DELEGATE, [page, 0, 0, 0, 0])?;
    let ordinary = create(bounce, 1)?;
    let mut all = delegate.cost;
    all += ordinary.cost;
    bench.instructions("populate_from_copy", copy + all.instructions);
    take_back(bench, realm.rd, page)?;
    host.machine().write_bytes(page, b"measured");
    bench.row("populate_in_place", create(page, 1 | IN_PLACE)?.cost);
    take_back(bench, realm.rd, page)?;
    host.put_page(page);
    host.put_page(bounce);
    realm.destroy(None)
}

/// Takes the page at address 0 away from the Realm, and back from the monitor.
fn take_back(bench: &Bench<'_>, rd: u64, page: u64) -> Result<(), Failure> {
    bench.call(v1_0::command::DATA_DESTROY, [rd, 0, 0, 0, 0])?;
    bench.call(v1_0::command::GRANULE_UNDELEGATE, [page, 0, 0, 0, 0])?;
    Ok(())
}
