//! RTT_CREATE, RTT_DESTROY, RTT_FOLD, RTT_READ_ENTRY.

use alloc::format;

use super::super::abi::{Command, Desc, INPUT, entry, ripas, rtt};
use super::super::memory::UNPROT;
use super::super::registry::Registry;
use super::super::world::{BLOCK, PAGE, Realm, World, entry_size};
use super::good::{Good, IPA, NS, good, realm_with_tables};
use crate::need::Need;
use crate::outcome::{Outcome, holds, same};
use crate::port::Place;

const MINUS_ONE: u64 = u64::MAX;

pub(super) fn add(registry: &mut Registry) {
    add_arguments(registry);
    add_create(registry);
    add_destroy(registry);
    add_fold(registry);
    add_read(registry);
}

/// The command with these address and level fails with this code; outputs are zero.
#[track_caller]
fn refused(w: &mut World<'_>, call: &Good, ipa: u64, level: u64, code: u64) -> Outcome {
    let mut arguments = call.arguments.clone();
    let count = arguments.len();
    (arguments[count - 2], arguments[count - 1]) = (ipa, level);
    let reply = w.complete(call.command, &arguments)?.is(code)?;
    if code == INPUT && call.command == Command::RttDestroy {
        same("X1, X2", (reply.x[1], reply.x[2]), (0, 0))?;
    }
    call.succeeds(w)?;
    Ok(())
}

fn add_arguments(registry: &mut Registry) {
    for command in
        [Command::RttCreate, Command::RttDestroy, Command::RttFold, Command::RttReadEntry]
    {
        let name = command.label();
        let read = command == Command::RttReadEntry;
        for (what, level) in [("4", 4), ("minus_1", MINUS_ONE), ("huge", 1 << 40), ("256", 256)] {
            registry.add(format!("{name}/level_bound/{what}"), move |w| {
                let call = good(w, command)?;
                refused(w, &call, 0, level, INPUT)
            });
        }
        if !read {
            registry.add(format!("{name}/level_bound/start"), move |w| {
                let call = good(w, command)?;
                refused(w, &call, 0, 0, INPUT)
            });
        }
        for (what, ipa, level) in
            [("page", IPA + PAGE, 3), ("one", IPA + 1, 3), ("block", IPA + BLOCK, 2)]
        {
            // RTT_READ_ENTRY names an entry and not a table.
            if read && what != "one" {
                continue;
            }
            registry.add(format!("{name}/ipa_align/{what}"), move |w| {
                let call = good(w, command)?;
                refused(w, &call, ipa, level, INPUT)
            });
        }
        registry.add(format!("{name}/ipa_bound"), move |w| {
            let call = good(w, command)?;
            refused(w, &call, 1 << 40, 3, INPUT)
        });
        if !read {
            registry.add(format!("{name}/rtt_walk/above"), move |w| {
                let call = good(w, command)?;
                refused(w, &call, 1 << 31, 3, rtt(1))
            });
        }
    }
}

fn add_create(registry: &mut Registry) {
    registry.add("rtt_create/rtte_state/table", |w| {
        let call = good(w, Command::RttCreate)?;
        refused(w, &call, IPA, 3, rtt(2))
    });
    registry
        .add("rtt_create/rtt_bound/above_48_bits", |w| {
            let realm = w.realm()?;
            w.tables(&realm, IPA, 2)?;
            let pa = w.place(Place::High)?;
            w.ok(Command::RangeDelegate, &[pa, pa + PAGE])?;
            w.fails(Command::RttCreate, &[realm.rd, pa, IPA, 3], INPUT)
        })
        .needs(Need::HighMemory);
    for (name, wanted) in [("empty", ripas::EMPTY), ("ram", ripas::RAM)] {
        registry.add(format!("rtt_create/success/children_of_void_{name}"), move |w| {
            let realm = w.realm()?;
            w.tables(&realm, IPA, 2)?;
            if wanted == ripas::RAM {
                w.init_ripas(&realm, IPA, IPA + BLOCK)?;
            }
            w.table(&realm, IPA, 3)?;
            for page in [0, 1, 511] {
                w.expect(&realm, IPA + page * PAGE, (3, entry::VOID, wanted))?;
            }
            Ok(())
        });
    }
    registry.add("rtt_create/success/children_of_void_destroyed", |w| {
        let realm = realm_with_tables(w)?;
        w.destroy_table(&realm, IPA, 3)?;
        w.expect(&realm, IPA, (2, entry::VOID, ripas::DESTROYED))?;
        w.table(&realm, IPA, 3)?;
        w.expect(&realm, IPA + 5 * PAGE, (3, entry::VOID, ripas::DESTROYED))
    });
    registry.add("rtt_create/success/unfolds_a_block", |w| {
        let realm = w.realm()?;
        w.tables(&realm, IPA, 2)?;
        let base = w.data_block(&realm, IPA)?;
        w.table(&realm, IPA, 3)?;
        for page in [0, 1, 511] {
            w.expect_pa(&realm, (IPA + page * PAGE, 3), base + page * PAGE)?;
        }
        Ok(())
    });
    registry.add("rtt_create/success/unfolds_a_shared_block", |w| {
        let realm = w.realm()?;
        w.tables(&realm, NS, 2)?;
        let block = Desc::block(0x8020_0000, 2);
        w.ok(Command::UnprotMap, &[realm.rd, NS, NS + BLOCK, UNPROT, block.encode()])?;
        w.table(&realm, NS, 3)?;
        w.expect_pa(&realm, (NS + 511 * PAGE, 3), 0x8020_0000 + 511 * PAGE)
    });
    registry.add("rtt_create/success/each_level", |w| {
        let params = w.realm_params(48, 0, 1)?;
        let realm = w.realm_with(&params)?;
        for level in 1..=3 {
            w.table(&realm, 0, level)?;
        }
        for level in (1..=3).rev() {
            w.destroy_table(&realm, 0, level)?;
        }
        Ok(())
    });
}

fn add_destroy(registry: &mut Registry) {
    registry.add("rtt_destroy/success", |w| {
        let realm = realm_with_tables(w)?;
        let table = w.tables.last().map_or(0, |table| table.pa);
        let reply = w.ok(Command::RttDestroy, &[realm.rd, IPA, 3])?;
        reply.out(1, table)?;
        holds("top past the address", reply.x[2] > IPA)?;
        w.is_delegated(table)?;
        w.expect(&realm, IPA, (2, entry::VOID, ripas::DESTROYED))
    });
    registry.add("rtt_destroy/success/top_is_where_the_next_table_is", |w| {
        let realm = realm_with_tables(w)?;
        w.tables(&realm, IPA + 3 * BLOCK, 3)?;
        let top = w.destroy_table(&realm, IPA, 3)?;
        holds("not past a table", IPA < top && top <= IPA + 3 * BLOCK)
    });
    registry.add("rtt_destroy/success/unprotected", |w| {
        let realm = w.realm()?;
        w.tables(&realm, NS, 3)?;
        w.share(&realm, NS)?;
        w.destroy_table(&realm, NS, 3)?;
        let [level, state, ..] = w.read_entry(&realm, NS, 2)?;
        same("level, state", (level, state), (2, entry::VOID))
    });
    registry.add("rtt_destroy/rtte_state/no_table", |w| {
        let realm = realm_with_tables(w)?;
        let reply = w.complete(Command::RttDestroy, &[realm.rd, IPA + BLOCK, 3])?.is(rtt(2))?;
        holds("a Host gets on", reply.x[2] > IPA + BLOCK)
    });
    registry.add("rtt_destroy/rtt_walk/top", |w| {
        let realm = realm_with_tables(w)?;
        let reply = w.complete(Command::RttDestroy, &[realm.rd, 1 << 31, 3])?.is(rtt(1))?;
        holds("a Host gets on", reply.x[2] > 1 << 31)
    });
    registry.add("rtt_destroy/rtte_state/block", |w| {
        let realm = w.realm()?;
        w.tables(&realm, IPA, 2)?;
        w.data_block(&realm, IPA)?;
        w.complete(Command::RttDestroy, &[realm.rd, IPA, 3])?.is(rtt(2))?.out(2, IPA)?;
        Ok(())
    });
    for (name, level) in [("data", 3), ("table", 2)] {
        registry.add(format!("rtt_destroy/rtt_live/{name}"), move |w| {
            let realm = realm_with_tables(w)?;
            w.data_unknown(&realm, IPA + 5 * PAGE)?;
            let base = IPA & !(entry_size(level as i64 - 1) - 1);
            let reply = w.complete(Command::RttDestroy, &[realm.rd, base, level])?;
            reply.is(rtt(level as i64))?.out(2, base)?;
            Ok(())
        });
    }
}

/// Fills a table of level 3 with memory that is contiguous or not; its first granule.
#[track_caller]
fn fill(w: &mut World<'_>, realm: &Realm, align: u64) -> Outcome<u64> {
    let base = w.delegated_run(513, BLOCK)? + align;
    w.map(realm, IPA, base, 512)?;
    Ok(base)
}

fn add_fold(registry: &mut Registry) {
    registry.add("rtt_fold/success/memory", |w| {
        let realm = realm_with_tables(w)?;
        let base = fill(w, &realm, 0)?;
        let table = w.tables.last().map_or(0, |table| table.pa);
        w.ok(Command::RttFold, &[realm.rd, IPA, 3])?.out(1, table)?;
        w.expect_pa(&realm, (IPA, 2), base)?;
        w.is_delegated(table)
    });
    for (name, wanted) in [("empty", ripas::EMPTY), ("ram", ripas::RAM)] {
        registry.add(format!("rtt_fold/success/void_{name}"), move |w| {
            let realm = realm_with_tables(w)?;
            if wanted == ripas::RAM {
                w.init_ripas(&realm, IPA, IPA + BLOCK)?;
            }
            w.ok(Command::RttFold, &[realm.rd, IPA, 3])?;
            w.expect(&realm, IPA, (2, entry::VOID, wanted))
        });
    }
    registry.add("rtt_fold/success/void_level_1", |w| {
        let realm = w.realm()?;
        w.tables(&realm, 0, 1)?;
        w.ok(Command::RttFold, &[realm.rd, 0, 1])?;
        w.expect(&realm, 0, (0, entry::VOID, ripas::EMPTY))
    });
    registry.add("rtt_fold/success/shared_memory", |w| {
        let realm = w.realm()?;
        w.tables(&realm, NS, 3)?;
        let desc = Desc { count: 512, ..Desc::pages(0x8020_0000, 1) };
        let arguments = [realm.rd, NS, NS + BLOCK, UNPROT, desc.encode()];
        let mut at = NS;
        while at < NS + BLOCK {
            let rest = Desc::pages(desc.base + at - NS, (NS + BLOCK - at) / PAGE);
            let call = [arguments[0], at, arguments[2], arguments[3], rest.encode()];
            at = w.ok(Command::UnprotMap, &call)?.x[1];
        }
        w.ok(Command::RttFold, &[realm.rd, NS, 3])?;
        w.expect_pa(&realm, (NS, 2), 0x8020_0000)
    });
    registry.add("rtt_fold/rtt_homo/one_is_memory", |w| {
        let realm = realm_with_tables(w)?;
        w.data_unknown(&realm, IPA + 7 * PAGE)?;
        w.fails(Command::RttFold, &[realm.rd, IPA, 3], rtt(3))
    });
    registry.add("rtt_fold/rtt_homo/one_is_not_memory", |w| {
        let realm = realm_with_tables(w)?;
        let base = w.delegated_run(512, BLOCK)?;
        w.map(&realm, IPA, base, 511)?;
        w.fails(Command::RttFold, &[realm.rd, IPA, 3], rtt(3))
    });
    registry.add("rtt_fold/rtt_homo/ripas", |w| {
        let realm = realm_with_tables(w)?;
        w.init_ripas(&realm, IPA, IPA + PAGE)?;
        w.fails(Command::RttFold, &[realm.rd, IPA, 3], rtt(3))
    });
    registry.add("rtt_fold/rtt_homo/not_aligned", |w| {
        let realm = realm_with_tables(w)?;
        fill(w, &realm, PAGE)?;
        w.fails(Command::RttFold, &[realm.rd, IPA, 3], rtt(3))
    });
    registry.add("rtt_fold/rtt_homo/tables", |w| {
        let realm = realm_with_tables(w)?;
        w.fails(Command::RttFold, &[realm.rd, 0, 2], rtt(2))
    });
    registry.add("rtt_fold/rtte_state", |w| {
        let realm = realm_with_tables(w)?;
        w.fails(Command::RttFold, &[realm.rd, IPA + BLOCK, 3], rtt(2))
    });
}

fn add_read(registry: &mut Registry) {
    registry.add("rtt_read_entry/success/void", |w| {
        let realm = realm_with_tables(w)?;
        same("entry", w.read_entry(&realm, IPA, 3)?, [3, entry::VOID, 0, ripas::EMPTY])
    });
    registry.add("rtt_read_entry/success/void_ram", |w| {
        let realm = realm_with_tables(w)?;
        w.init_ripas(&realm, IPA, IPA + PAGE)?;
        same("entry", w.read_entry(&realm, IPA, 3)?, [3, entry::VOID, 0, ripas::RAM])
    });
    registry.add("rtt_read_entry/success/data", |w| {
        let realm = realm_with_tables(w)?;
        let pa = w.data_unknown(&realm, IPA)?;
        same("entry", w.read_entry(&realm, IPA, 3)?, [3, entry::MAPPED, pa, ripas::EMPTY])?;
        w.init_ripas(&realm, IPA, IPA + PAGE)?;
        same("entry", w.read_entry(&realm, IPA, 3)?, [3, entry::MAPPED, pa, ripas::RAM])
    });
    registry.add("rtt_read_entry/success/table", |w| {
        let realm = realm_with_tables(w)?;
        let table = w.tables.last().map_or(0, |table| table.pa);
        let [level, state, desc, _] = w.read_entry(&realm, IPA, 2)?;
        same("level, state, table", (level, state, desc), (2, entry::TABLE, table))
    });
    registry.add("rtt_read_entry/success/shared", |w| {
        let realm = w.realm()?;
        w.tables(&realm, NS, 3)?;
        let pa = w.share(&realm, NS)?;
        w.expect_pa(&realm, (NS, 3), pa)
    });
    registry.add("rtt_read_entry/success/level_of_the_walk", |w| {
        let realm = realm_with_tables(w)?;
        let [level, state, ..] = w.read_entry(&realm, 1 << 31, 3)?;
        same("level, state", (level, state), (1, entry::VOID))
    });
    registry.add("rtt_read_entry/failure/outputs", |w| {
        let realm = realm_with_tables(w)?;
        let reply = w.call(Command::RttReadEntry, &[realm.rd, IPA + 1, 3])?.is(INPUT)?;
        same("X1 to X3", &reply.x[1..4], &[0; 3])
    });
}
