//! What every sequence ends with, and where some begin.

use cairn_spec::v1_0::{Entry, Model, Realm, State, Table, entry_size, fid};

use super::command;
use crate::differential::operation::Operation;

/// Reads the entries of all tables of all Realms in which something changes from one to the next,
/// and some more.
pub fn read_back(model: &Model) -> Vec<Operation> {
    let mut reads = Vec::new();
    for (&rd, realm) in model.realms() {
        read_table(rd, realm, &realm.tables, &mut reads);
    }
    reads
}

fn read_table(rd: u64, realm: &Realm, table: &Table, reads: &mut Vec<Operation>) {
    let size = entry_size(table.level);
    let last = table.entries.len() - 1;
    for (index, entry) in table.entries.iter().enumerate() {
        let ipa = table.base + index as u64 * size;
        if !realm.contains(ipa) {
            break;
        }
        if let Entry::Table(child) = entry {
            read_table(rd, realm, child, reads);
        }
        // A run of equal entries is worth its two ends; of a block that was spread out, all differ.
        let before = index.checked_sub(1).map(|before| &table.entries[before]);
        let after = table.entries.get(index + 1);
        let edge = before != Some(entry) || after != Some(entry);
        let spread = before.is_some_and(Entry::is_live) && after.is_some_and(Entry::is_live);
        if index == last || (edge && (!spread || index % 37 == 0)) || index % 171 == 5 {
            let level = table.level.cast_unsigned();
            reads.push(command(0, fid::RTT_READ_ENTRY, &[rd, ipa, level]));
        }
    }
}

/// All that it takes to end a Realm. `spare` are granules for the tables of blocks.
pub fn take_apart(model: &Model, rd: u64, spare: [u64; 4]) -> Vec<Operation> {
    let mut operations = Vec::new();
    let realm = &model.realms()[&rd];
    for (&pa, _) in model.recs().iter().filter(|(_, rec)| rec.owner == rd) {
        operations.push(command(0, fid::REC_DESTROY, &[pa]));
    }
    for pa in spare.into_iter().filter(|&pa| model.state(pa) == State::Undelegated) {
        operations.push(command(0, fid::GRANULE_DELEGATE, &[pa]));
    }
    empty(rd, &realm.tables, &spare, &mut operations);
    operations.push(command(0, fid::REALM_DESTROY, &[rd]));
    operations
}

fn empty(rd: u64, table: &Table, spare: &[u64], operations: &mut Vec<Operation>) {
    let size = entry_size(table.level);
    let child = (table.level + 1).cast_unsigned();
    for (index, entry) in table.entries.iter().enumerate() {
        let ipa = table.base + index as u64 * size;
        match entry {
            Entry::Table(below) => {
                empty(rd, below, spare, operations);
                operations.push(command(0, fid::RTT_DESTROY, &[rd, ipa, child]));
            }
            Entry::Assigned(..) => empty_leaf(rd, ipa, table.level, spare, operations),
            Entry::Unassigned(_) | Entry::UnassignedNs | Entry::AssignedNs(..) => {}
        }
    }
}

/// A page is destroyed; a block is broken into a table first.
fn empty_leaf(rd: u64, ipa: u64, level: i64, spare: &[u64], operations: &mut Vec<Operation>) {
    let Some((table, spare)) = spare.split_first().filter(|_| level < 3) else {
        operations.push(command(0, fid::DATA_DESTROY, &[rd, ipa]));
        return;
    };
    let child = (level + 1).cast_unsigned();
    operations.push(command(0, fid::RTT_CREATE, &[rd, *table, ipa, child]));
    for number in 0..512 {
        let ipa = ipa + number * entry_size(level + 1);
        empty_leaf(rd, ipa, level + 1, spare, operations);
    }
    operations.push(command(0, fid::RTT_DESTROY, &[rd, ipa, child]));
}

/// Gives back every granule that is free.
pub fn give_back(model: &Model) -> Vec<Operation> {
    let free = model.granules().iter().filter(|(_, state)| **state == State::Delegated);
    free.map(|(&pa, _)| command(0, fid::GRANULE_UNDELEGATE, &[pa])).collect()
}

/// A Realm with a table of 512 pages that can be folded, at `base`, which is aligned to 2 MiB and
/// has 520 granules behind it.
pub fn block(model: &Model, rd: u64, base: u64, first: u64) -> Vec<Operation> {
    let Some(realm) = model.realms().get(&rd) else { return Vec::new() };
    let mut operations = Vec::new();
    for number in 0..520 {
        operations.push(command(0, fid::GRANULE_DELEGATE, &[base + number * 4096]));
    }
    for (number, level) in (0..).zip(realm.start() + 1..=3) {
        let rtt = base + (512 + number) * 4096;
        operations.push(command(0, fid::RTT_CREATE, &[rd, rtt, first, level.cast_unsigned()]));
    }
    for number in 0..512 {
        let (data, ipa) = (base + number * 4096, first + number * 4096);
        operations.push(command(0, fid::DATA_CREATE_UNKNOWN, &[rd, data, ipa]));
    }
    operations
}
