//! How everything is taken apart: from any state that can be reached this must be possible.

use cairn_spec::v2_0::words::RECLAIM;
use cairn_spec::v2_0::{Call, Entry, Phase, Realm, State, Table, entry_size, fid};

use super::layout::Layout;
use super::pair::{Machine, Pair};
use crate::differential::operation::Operation;

/// Calls until an operation must be over.
const PATIENCE: usize = 1000;

/// One call, with zeros in the registers that are left.
fn call<M: Machine>(pair: &mut Pair<M>, fid: u64, arguments: &[u64]) -> Result<u64, String> {
    let mut call = [0; 8];
    call[0] = fid;
    call[1..=arguments.len()].copy_from_slice(arguments);
    pair.perform(&Operation::Call(0, call))?;
    Ok(pair.answer[0])
}

/// The same, which must succeed.
fn must<M: Machine>(pair: &mut Pair<M>, fid: u64, arguments: &[u64]) -> Result<(), String> {
    match call(pair, fid, arguments)? {
        0 => Ok(()),
        code => Err(format!("{fid:#x} {arguments:x?} returned {code:#x}")),
    }
}

/// A page of the Host's: broken calls may have delegated some.
fn host_page<M: Machine>(pair: &mut Pair<M>, layout: &Layout) -> Result<u64, String> {
    let pages = layout.host_pages();
    if let Some(page) = pages.into_iter().find(|&pa| pair.model.is_host_memory(pa)) {
        return Ok(page);
    }
    let delegated = |&pa: &u64| pair.model.state(pa) == State::Delegated;
    let page = pages.into_iter().find(delegated).ok_or("no page is left to the Host")?;
    must(pair, fid::RANGE_UNDELEGATE, &[page, page + 4096])?;
    Ok(page)
}

/// Brings an operation to its end.
fn end_operation<M: Machine>(
    pair: &mut Pair<M>,
    layout: &Layout,
    handle: u64,
) -> Result<(), String> {
    for _ in 0..PATIENCE {
        let Some(operation) = pair.model.operations().get(&handle) else { return Ok(()) };
        match operation.phase {
            Phase::Run => call(pair, fid::OP_CONTINUE, &[handle, 0])?,
            Phase::Donate(_) => call(pair, fid::OP_CANCEL, &[handle])?,
            Phase::Reclaim => {
                let list = host_page(pair, layout)?;
                call(pair, fid::OP_MEM_RECLAIM, &[handle, list, 256])?
            }
        };
    }
    Err(format!("operation {handle} does not end"))
}

/// Addresses and levels of the tables below one, the deepest first.
fn tables_below(table: &Table, found: &mut Vec<(u64, i64)>) {
    for entry in &table.entries {
        if let Entry::Table(child) = entry {
            tables_below(child, found);
            found.push((child.base, child.level));
        }
    }
}

/// Blocks and pages of the Realm's memory: address and level. Host memory goes with its table
/// (10.2).
fn mapped(table: &Table, found: &mut Vec<(u64, i64)>) {
    for (entry, number) in table.entries.iter().zip(0..) {
        match entry {
            Entry::Table(child) => mapped(child, found),
            Entry::Assigned(..) => {
                found.push((table.base + number * entry_size(table.level), table.level));
            }
            Entry::Unassigned(_) | Entry::UnassignedNs | Entry::AssignedNs(..) => {}
        }
    }
}

/// The calls that end a Realm without RECs; all must succeed.
pub fn end_of_realm(realm: &Realm, rd: u64) -> Vec<Call> {
    let (mut leaves, mut tables) = (Vec::new(), Vec::new());
    mapped(&realm.tables, &mut leaves);
    tables_below(&realm.tables, &mut tables);
    let mut calls = vec![[fid::REALM_TERMINATE, rd, 0, 0, 0, 0, 0, 0]];
    calls.extend(
        leaves
            .into_iter()
            .map(|(ipa, level)| [fid::DATA_UNMAP, rd, ipa, ipa + entry_size(level), 0, 0, 0, 0]),
    );
    calls.extend(
        tables
            .into_iter()
            .map(|(ipa, level)| [fid::RTT_DESTROY, rd, ipa, level.cast_unsigned(), 0, 0, 0, 0]),
    );
    calls.push([fid::REALM_DESTROY, rd, 0, 0, 0, 0, 0, 0]);
    calls
}

/// Ends all operations, RECs and Realms, undelegates all granules and deactivates the RMM.
///
/// # Errors
///
/// Something does not come back, or an answer is wrong.
pub fn give_back<M: Machine>(pair: &mut Pair<M>, layout: &Layout) -> Result<(), String> {
    if !pair.model.is_active() {
        return Ok(());
    }
    for handle in pair.model.operations().keys().copied().collect::<Vec<_>>() {
        end_operation(pair, layout, handle)?;
    }
    for rec in pair.model.recs().keys().copied().collect::<Vec<_>>() {
        match call(pair, fid::REC_DESTROY, &[rec])? {
            RECLAIM => {}
            code => return Err(format!("REC_DESTROY returned {code:#x}")),
        }
        let handle = pair.answer[1];
        end_operation(pair, layout, handle)?;
    }
    for rd in pair.model.realms().keys().copied().collect::<Vec<_>>() {
        for [fid, arguments @ ..] in end_of_realm(&pair.model.realms()[&rd], rd) {
            must(pair, fid, &arguments)?;
        }
    }
    while let Some(&pa) = pair.model.granules().keys().next() {
        must(pair, fid::RANGE_UNDELEGATE, &[pa, pa + 4096])?;
    }
    must(pair, fid::DEACTIVATE, &[])
}
