//! RTT_DATA_UNMAP, RTT_UNPROT_MAP and RTT_UNPROT_UNMAP.

use alloc::format;
use alloc::vec::Vec;

use super::super::abi::{Command, Desc, INPUT, entry, list_flags, oaddr, ripas, rtt, unprot_flags};
use super::super::memory::UNPROT;
use super::super::registry::Registry;
use super::super::world::{BLOCK, PAGE, Realm, World, entry_size};
use super::good::{IPA, NS, good, realm_with_tables};
use super::map::prepare;
use crate::outcome::{Outcome, holds, same};

const UNMAP: Command = Command::DataUnmap;
const MAP: Command = Command::UnprotMap;

pub(super) fn add(registry: &mut Registry) {
    add_outputs(registry);
    add_sweeps(registry);
    add_states(registry);
    add_attributes(registry);
    add_unprotected(registry);
}

/// A Realm with this many contiguous pages of memory at [`IPA`]; the first.
#[track_caller]
fn memory(w: &mut World<'_>, count: u64) -> Outcome<(Realm, u64)> {
    let realm = realm_with_tables(w)?;
    let base = w.delegated_run(count, PAGE)?;
    w.map(&realm, IPA, base, count)?;
    Ok((realm, base))
}

fn add_outputs(registry: &mut Registry) {
    for count in [1, 2, 5, 511] {
        registry.add(format!("data_unmap/single/{count}_pages"), move |w| {
            let (realm, base) = memory(w, count)?;
            let mut seen = 0;
            for desc in w.unmap(UNMAP, &realm, (IPA, IPA + count * PAGE))? {
                same("descriptor", desc, Desc::pages(base + seen * PAGE, desc.count))?;
                seen += desc.count;
            }
            same("pages", seen, count)
        });
    }
    registry.add("data_unmap/single/not_adjacent", |w| {
        let realm = realm_with_tables(w)?;
        let (first, second) = (w.data_unknown(&realm, IPA)?, w.port.allocate(3, PAGE) + PAGE);
        w.ok(Command::RangeDelegate, &[second, second + PAGE])?;
        w.map(&realm, IPA + PAGE, second, 1)?;
        let arguments = [realm.rd, IPA, IPA + 2 * PAGE, oaddr::SINGLE, 0];
        let reply = w.ok(UNMAP, &arguments)?;
        reply.out(1, IPA + PAGE)?.out(2, Desc::pages(first, 1).encode())?;
        Ok(())
    });
    registry.add("data_unmap/none/nothing_is_told", |w| {
        let (realm, base) = memory(w, 4)?;
        let arguments = [realm.rd, IPA, IPA + 4 * PAGE, oaddr::NONE, 0];
        let reply = w.ok(UNMAP, &arguments)?;
        reply.out(2, 0)?.out(3, 0)?;
        w.is_delegated(base)
    });
    registry
        .add("data_unmap/none/address_is_ignored", |w| {
            let (realm, _) = memory(w, 1)?;
            let arguments = [realm.rd, IPA, IPA + PAGE, oaddr::NONE | 3 << 2, 0x123];
            let reply = w.complete(UNMAP, &arguments)?;
            reply.one_of(&[0, INPUT])?;
            Ok(())
        })
        .reading("an address that is not asked for is tolerated (7.2)");
    for (name, at) in [("start", 0), ("middle", 0x408)] {
        registry.add(format!("data_unmap/list/success_{name}"), move |w| {
            let realm = realm_with_tables(w)?;
            let pages: Vec<u64> = (0..6)
                .map(|number| w.data_unknown(&realm, IPA + number * PAGE))
                .collect::<Outcome<_>>()?;
            let (mut done, mut told) = (IPA, Vec::new());
            while done < IPA + 6 * PAGE {
                let list = w.list(at, &[]);
                let arguments = [realm.rd, done, IPA + 6 * PAGE, list_flags(6), list];
                let reply = w.ok(UNMAP, &arguments)?;
                holds("at most what was asked", reply.x[3] <= 6)?;
                for desc in w.listed(list, reply.x[3]) {
                    told.extend((desc.base..desc.end()).step_by(4096));
                }
                done = reply.x[1];
            }
            same("pages", told, pages)
        });
    }
    registry.add("data_unmap/list/full", |w| {
        let realm = realm_with_tables(w)?;
        for number in 0..3 {
            let base = w.port.allocate(2, PAGE);
            w.ok(Command::RangeDelegate, &[base, base + PAGE])?;
            w.map(&realm, IPA + number * PAGE, base, 1)?;
        }
        let list = w.list(0, &[]);
        let reply = w.ok(UNMAP, &[realm.rd, IPA, IPA + 3 * PAGE, list_flags(2), list])?;
        // It may stop earlier.
        holds("at most what was asked", (1..=2).contains(&reply.x[3]))?;
        reply.out(1, IPA + reply.x[3] * PAGE)?;
        Ok(())
    });
    registry.add("data_unmap/list/rest_of_the_page_is_kept", |w| {
        let (realm, _) = memory(w, 1)?;
        let list = w.list(0, &[0, 0x5a5a, 0x5a5a]);
        w.ok(UNMAP, &[realm.rd, IPA, IPA + PAGE, list_flags(3), list])?.out(3, 1)?;
        same("after the entry", w.port.read_page(list)[2], 0x5a5a)
    });
}

fn add_sweeps(registry: &mut Registry) {
    registry.add("data_unmap/success/nothing_there", |w| {
        let realm = realm_with_tables(w)?;
        let mut at = IPA;
        while at < IPA + BLOCK {
            let reply = w.ok(UNMAP, &[realm.rd, at, IPA + BLOCK, oaddr::SINGLE, 0])?;
            reply.out(2, 0)?.out(3, 0)?;
            at = reply.x[1];
        }
        Ok(())
    });
    registry.add("data_unmap/success/void_larger_than_the_range", |w| {
        let realm = w.realm()?;
        w.tables(&realm, IPA, 2)?;
        let reply = w.ok(UNMAP, &[realm.rd, IPA, IPA + PAGE, oaddr::SINGLE, 0])?;
        reply.out(1, IPA + PAGE)?.out(3, 0)?;
        Ok(())
    });
    registry
        .add("data_unmap/success/void_from_its_middle", |w| {
            let realm = w.realm()?;
            w.tables(&realm, IPA, 2)?;
            let base = IPA + 7 * PAGE;
            let reply = w.ok(UNMAP, &[realm.rd, base, IPA + 2 * BLOCK, oaddr::SINGLE, 0])?;
            holds("progress", reply.x[1] > base)
        })
        .reading("where nothing is, an unmap gets on from any address (10.6)");
    registry.add("data_unmap/success/with_holes", |w| {
        let realm = realm_with_tables(w)?;
        let mut pages = Vec::new();
        for number in [1, 2, 9, 100, 511] {
            pages.push(w.data_unknown(&realm, IPA + number * PAGE)?);
        }
        let found = w.unmap(UNMAP, &realm, (IPA, IPA + BLOCK))?;
        let mut told = Vec::new();
        for desc in found {
            told.extend((desc.base..desc.end()).step_by(4096));
        }
        same("pages", told, pages)
    });
    registry.add("data_unmap/rtte_state/range_inside_a_block", |w| {
        let realm = w.realm()?;
        w.tables(&realm, IPA, 2)?;
        w.data_block(&realm, IPA)?;
        for (base, top) in
            [(IPA, IPA + PAGE), (IPA + PAGE, IPA + BLOCK), (IPA + PAGE, IPA + 2 * PAGE)]
        {
            w.fails(UNMAP, &[realm.rd, base, top, oaddr::SINGLE, 0], rtt(2))?;
        }
        Ok(())
    });
    registry.add("data_unmap/success/block", |w| {
        let realm = w.realm()?;
        w.tables(&realm, IPA, 2)?;
        let base = w.data_block(&realm, IPA)?;
        let mut told = 0;
        for desc in w.unmap(UNMAP, &realm, (IPA, IPA + BLOCK))? {
            same("first", desc.base, base + told)?;
            told += desc.bytes();
        }
        same("all of it", told, BLOCK)?;
        w.is_delegated(base)?;
        w.is_delegated(base + BLOCK - PAGE)
    });
    registry.add("data_unmap/success/broken_block", |w| {
        let realm = w.realm()?;
        w.tables(&realm, IPA, 2)?;
        let base = w.data_block(&realm, IPA)?;
        w.fails(UNMAP, &[realm.rd, IPA + PAGE, IPA + 2 * PAGE, oaddr::SINGLE, 0], rtt(2))?;
        w.table(&realm, IPA, 3)?;
        let reply = w.ok(UNMAP, &[realm.rd, IPA + PAGE, IPA + 2 * PAGE, oaddr::SINGLE, 0])?;
        reply.out(2, Desc::pages(base + PAGE, 1).encode())?;
        w.expect_pa(&realm, (IPA, 3), base)?;
        w.expect_pa(&realm, (IPA + 2 * PAGE, 3), base + 2 * PAGE)
    });
    registry.add("data_unmap/success/over_several_tables", |w| {
        let realm = realm_with_tables(w)?;
        w.tables(&realm, IPA + BLOCK, 3)?;
        w.data_unknown(&realm, IPA + BLOCK - PAGE)?;
        w.data_unknown(&realm, IPA + BLOCK)?;
        w.unmap(UNMAP, &realm, (IPA, IPA + 2 * BLOCK))?;
        w.expect(&realm, IPA + BLOCK, (3, entry::VOID, ripas::EMPTY))
    });
}

fn add_states(registry: &mut Registry) {
    for (name, before, after) in [
        ("empty", ripas::EMPTY, ripas::EMPTY),
        ("ram", ripas::RAM, ripas::DESTROYED),
        ("destroyed", ripas::DESTROYED, ripas::DESTROYED),
    ] {
        registry.add(format!("data_unmap/success/data_{name}"), move |w| {
            let realm = realm_with_tables(w)?;
            prepare(w, &realm, before)?;
            w.data_unknown(&realm, IPA)?;
            w.unmap(UNMAP, &realm, (IPA, IPA + PAGE))?;
            w.expect(&realm, IPA, (3, entry::VOID, after))
        });
        registry.add(format!("data_unmap/success/void_{name}"), move |w| {
            let realm = realm_with_tables(w)?;
            prepare(w, &realm, before)?;
            w.unmap(UNMAP, &realm, (IPA, IPA + PAGE))?;
            w.expect(&realm, IPA, (3, entry::VOID, before))
        });
    }
}

fn add_attributes(registry: &mut Registry) {
    for (name, attributes, works) in [
        ("device", 1, true),
        ("normal_non_cacheable", 5, true),
        ("normal_write_back", 6, true),
        ("reserved_4", 4, false),
    ] {
        let scenario = registry.add(format!("unprot_map/attributes/{name}"), move |w| {
            let call = good(w, MAP)?;
            let mut arguments = call.arguments.clone();
            arguments[3] = unprot_flags(oaddr::SINGLE, attributes, 3);
            let reply = w.complete(MAP, &arguments)?;
            if works { reply.ok() } else { reply.is(INPUT) }?;
            Ok(())
        });
        scenario.reading("attributes are those of 1.0, three bits of them (7.2)");
    }
    for permissions in 0..4 {
        registry.add(format!("unprot_map/s2ap/{permissions}"), move |w| {
            let call = good(w, MAP)?;
            let mut arguments = call.arguments.clone();
            arguments[3] = unprot_flags(oaddr::SINGLE, 6, permissions);
            w.ok(MAP, &arguments)?;
            Ok(())
        });
    }
    for permissions in [4, 8, 15] {
        registry.add(format!("unprot_map/s2ap/{permissions}_is_reserved"), move |w| {
            let call = good(w, MAP)?;
            call.with(w, 3, unprot_flags(oaddr::SINGLE, 6, permissions), &[INPUT])
        });
    }
    registry.add("unprot_map/s2ap/bit_1_is_read", |w| {
        use crate::program::{Access, Action, Observed};
        let realm = w.realm()?;
        w.tables(&realm, NS, 3)?;
        let pa = w.page(&[0x77; 512]);
        let flags = unprot_flags(oaddr::SINGLE, 6, 2);
        let arguments = [realm.rd, NS, NS + PAGE, flags, Desc::pages(pa, 1).encode()];
        w.ok(MAP, &arguments)?;
        let rec = w.running_in(&realm)?;
        let exit =
            w.run(&rec, &[Action::Load(NS, Access::WORD), Action::Store(NS, Access::WORD, 5)])?;
        same("a store is refused", (exit.exit_reason, exit.esr >> 26), (0, 0x24))?;
        same("a load is not", w.observed(&rec), [Observed::Value(0x77)].into())
    });
    registry
        .add("unprot_map/oaddr/any_address_of_the_host", |w| {
            let realm = w.realm()?;
            w.tables(&realm, NS, 3)?;
            // The protection table stands in the way of an access, not of the mapping.
            let pa = w.delegated()?;
            let word = Desc::pages(pa, 1).encode();
            w.ok(MAP, &[realm.rd, NS, NS + PAGE, UNPROT, word])?;
            Ok(())
        })
        .reading("no state of a granule is looked at by UNPROT_MAP (10.7)");
}

fn add_unprotected(registry: &mut Registry) {
    registry
        .add("unprot_map/success/same_mapping_again", |w| {
            let call = good(w, MAP)?;
            call.succeeds(w)?;
            call.succeeds(w)?;
            Ok(())
        })
        .reading("a mapping that is there already counts as progress (10.7)");
    registry.add("unprot_map/rtte_state/other_mapping", |w| {
        let call = good(w, MAP)?;
        call.succeeds(w)?;
        let mut arguments = call.arguments.clone();
        arguments[4] = Desc::pages(w.granule(), 1).encode();
        w.fails(MAP, &arguments, rtt(3))
    });
    for (name, level) in [("block_2m", 2), ("block_1g", 1)] {
        registry.add(format!("unprot_map/level/{name}"), move |w| {
            let realm = w.realm()?;
            let size = entry_size(level);
            let base = realm.unprotected() + size;
            w.tables(&realm, base, level)?;
            let block = Desc::block(0x8000_0000, level);
            let arguments = [realm.rd, base, base + size, UNPROT, block.encode()];
            w.ok(MAP, &arguments)?.out(1, base + size)?;
            w.expect_pa(&realm, (base, level), 0x8000_0000)?;
            let arguments = [realm.rd, base, base + size, oaddr::SINGLE, 0];
            w.ok(Command::UnprotUnmap, &arguments)?.out(1, base + size)?;
            Ok(())
        });
    }
    registry.add("unprot_map/level/block_where_a_table_is", |w| {
        let realm = w.realm()?;
        w.tables(&realm, NS, 3)?;
        let block = Desc::block(0x8020_0000, 2);
        let mut at = NS;
        while at < NS + BLOCK {
            let rest = Desc::pages(block.base + at - NS, (NS + BLOCK - at) / PAGE);
            let word = if at == NS { block.encode() } else { rest.encode() };
            at = w.ok(MAP, &[realm.rd, at, NS + BLOCK, UNPROT, word])?.x[1];
        }
        w.expect_pa(&realm, (NS + 5 * PAGE, 3), 0x8020_5000)
    });
    registry.add("unprot_map/level/no_table", |w| {
        let realm = w.realm()?;
        let word = Desc::pages(w.granule(), 1).encode();
        for level in 0..3 {
            w.tables(&realm, NS, level)?;
            w.fails(MAP, &[realm.rd, NS, NS + PAGE, UNPROT, word], rtt(level))?;
        }
        Ok(())
    });
    registry.add("unprot_map/oaddr/shorter_than_the_range", |w| {
        let call = good(w, MAP)?;
        let mut arguments = call.arguments.clone();
        arguments[2] += 3 * PAGE;
        let reply = w.complete(MAP, &arguments)?;
        if reply.status() == 0 {
            return same("out_top", reply.x[1], NS + PAGE);
        }
        reply.is(INPUT)?;
        Ok(())
    });
    registry.add("unprot_map/oaddr/block_not_aligned", |w| {
        let call = good(w, MAP)?;
        let word = Desc::block(0x8020_0000 + PAGE, 2).encode();
        call.with(w, 4, word, &[INPUT])
    });
    for kind in [oaddr::NONE, oaddr::SINGLE] {
        registry.add(format!("unprot_unmap/success/kind_{kind}"), move |w| {
            let call = good(w, Command::UnprotUnmap)?;
            let mut arguments = call.arguments.clone();
            arguments[3] = kind;
            let reply = w.ok(call.command, &arguments)?.out(1, NS + PAGE)?;
            holds("count", kind != oaddr::NONE || reply.x[3] == 0)?;
            let Some(realm) = call.realm else { return Ok(()) };
            let [level, state, ..] = w.read_entry(&realm, NS, 3)?;
            same("level, state", (level, state), (3, entry::VOID))
        });
    }
    registry.add("unprot_unmap/success/list", |w| {
        let realm = w.realm()?;
        w.tables(&realm, NS, 3)?;
        let pa = w.share(&realm, NS)?;
        let list = w.list(0, &[]);
        let arguments = [realm.rd, NS, NS + PAGE, list_flags(4), list];
        w.ok(Command::UnprotUnmap, &arguments)?.out(3, 1)?;
        let found = w.listed(list, 1);
        same("address, count", (found[0].base, found[0].count), (pa, 1))
    });
    registry.add("unprot_unmap/success/nothing_there", |w| {
        let realm = w.realm()?;
        w.unmap(Command::UnprotUnmap, &realm, (realm.unprotected(), realm.end()))?;
        Ok(())
    });
    registry.add("unprot_unmap/rtte_state/range_inside_a_block", |w| {
        let realm = w.realm()?;
        w.tables(&realm, NS, 2)?;
        let block = Desc::block(0x8020_0000, 2);
        w.ok(MAP, &[realm.rd, NS, NS + BLOCK, UNPROT, block.encode()])?;
        let arguments = [realm.rd, NS, NS + PAGE, oaddr::NONE, 0];
        w.fails(Command::UnprotUnmap, &arguments, rtt(2))
    });
}
