//! RTT_DATA_MAP and RTT_DATA_MAP_INIT.

use alloc::format;
use alloc::vec::Vec;

use super::super::abi::{Command, Desc, INPUT, entry, given, list_flags, oaddr, ripas, rtt};
use super::super::memory::UNPROT;
use super::super::registry::Registry;
use super::super::world::{BLOCK, PAGE, World};
use super::good::{IPA, NS, good, realm_with_tables};
use crate::need::Need;
use crate::outcome::{Outcome, holds, same};
use crate::port::{Mishap, Place};

const MAP: Command = Command::DataMap;
const INIT: Command = Command::DataMapInit;

pub(super) fn add(registry: &mut Registry) {
    for command in [Command::DataMap, Command::DataUnmap, Command::UnprotMap, Command::UnprotUnmap]
    {
        add_common(registry, command);
    }
    add_oaddr(registry);
    add_own(registry);
    add_entries(registry);
    add_blocks(registry);
    add_lists(registry);
    add_init(registry);
}

/// What the command itself works on is no memory: RMI_BUSY, after which a Host calls again, would
/// have no end.
fn add_own(registry: &mut Registry) {
    for (number, what) in ["rd", "start_table", "leaf_table"].into_iter().enumerate() {
        registry.add(format!("data_map/data_state/own_{what}"), move |w| {
            let realm = w.realm()?;
            w.tables(&realm, IPA, 2)?;
            let leaf = w.table(&realm, IPA, 3)?;
            let data = [realm.rd, realm.rtt_base, leaf][number];
            let desc = Desc::pages(data, 1).encode();
            w.fails(MAP, &[realm.rd, IPA, IPA + PAGE, oaddr::SINGLE, desc], INPUT)
        });
    }
}

/// What the four commands have in common.
fn add_common(registry: &mut Registry, command: Command) {
    let name = command.label();
    let protected = matches!(command, Command::DataMap | Command::DataUnmap);
    let at = if protected { IPA } else { NS };
    for (condition, base, top) in [
        ("base_align/one", at + 1, at + PAGE),
        ("base_align/half", at + 0x800, at + PAGE),
        ("top_align", at, at + 0x800),
        ("size_valid/empty", at, at),
        ("size_valid/backwards", at + PAGE, at),
    ] {
        registry.add(format!("{name}/{condition}"), move |w| {
            let call = good(w, command)?;
            let mut arguments = call.arguments.clone();
            (arguments[1], arguments[2]) = (base, top);
            w.fails(command, &arguments, INPUT)?;
            call.succeeds(w)?;
            Ok(())
        });
    }
    let bounds: &[(&str, u64, u64)] = if protected {
        &[
            ("unprotected", NS, NS + PAGE),
            ("straddles", (1 << 39) - PAGE, (1 << 39) + PAGE),
            ("past_the_end", 1 << 40, (1 << 40) + PAGE),
        ]
    } else {
        &[
            ("protected", IPA, IPA + PAGE),
            ("straddles", (1 << 39) - PAGE, (1 << 39) + PAGE),
            ("past_the_end", 1 << 40, (1 << 40) + PAGE),
            ("top_past_the_end", NS, (1 << 40) + PAGE),
        ]
    };
    for &(what, base, top) in bounds {
        registry.add(format!("{name}/ipa_bound/{what}"), move |w| {
            let call = good(w, command)?;
            let mut arguments = call.arguments.clone();
            (arguments[1], arguments[2]) = (base, top);
            w.fails(command, &arguments, INPUT)?;
            call.succeeds(w)?;
            Ok(())
        });
    }
    let kinds: &[(&str, u64)] = if matches!(command, Command::DataMap | Command::UnprotMap) {
        &[("none", oaddr::NONE), ("3", 3)]
    } else {
        &[("3", 3)]
    };
    for &(what, kind) in kinds {
        registry.add(format!("{name}/oaddr_type/{what}"), move |w| {
            let call = good(w, command)?;
            let mut arguments = call.arguments.clone();
            arguments[3] = arguments[3] & !3 | kind;
            w.fails(command, &arguments, INPUT)?;
            call.succeeds(w)?;
            Ok(())
        });
    }
    for (what, list, count) in [("align", 4, 1), ("align_one", 1, 1), ("empty", 0, 0)] {
        registry.add(format!("{name}/list/{what}"), move |w| {
            let call = good(w, command)?;
            let pa = w.list(0, &[call.arguments[4]]);
            let mut arguments = call.arguments.clone();
            arguments[3] = arguments[3] & !0xffff | list_flags(count);
            arguments[4] = pa + list;
            w.fails(command, &arguments, INPUT)?;
            call.succeeds(w)?;
            Ok(())
        });
    }
    for (what, place) in
        [("device", Some(Place::Device)), ("beyond_pa", Some(Place::BeyondPa)), ("delegated", None)]
    {
        registry.add(format!("{name}/list/pas_{what}"), move |w| {
            let call = good(w, command)?;
            let mut arguments = call.arguments.clone();
            arguments[3] = arguments[3] & !0xffff | list_flags(1);
            arguments[4] = match place {
                Some(place) => w.place(place)? & !7,
                None => w.delegated()?,
            };
            w.fails(command, &arguments, INPUT)?;
            call.succeeds(w)?;
            Ok(())
        });
    }
    registry.add(format!("{name}/base_align_level"), move |w| {
        // The walk ends at level 1, and the range begins inside of what its entry describes.
        let call = good(w, command)?;
        let mut arguments = call.arguments.clone();
        let base = (1 << 31) + BLOCK + if protected { 0 } else { 1 << 39 };
        (arguments[1], arguments[2]) = (base, base + PAGE);
        let reply = w.complete(command, &arguments)?;
        if matches!(command, Command::DataMap | Command::UnprotMap) {
            reply.is(rtt(1))?;
        } else {
            // Nothing is there: a monitor may also get on.
            reply.one_of(&[rtt(1), 0])?;
        }
        call.succeeds(w)?;
        Ok(())
    });
}

fn add_oaddr(registry: &mut Registry) {
    for (what, place) in [("device", Place::Device), ("beyond_pa", Place::BeyondPa)] {
        registry.add(format!("data_map/oaddr/{what}"), move |w| {
            let call = good(w, MAP)?;
            let pa = w.place(place)? & 0x000f_ffff_ffff_f000;
            call.with(w, 4, Desc::pages(pa, 1).encode(), &[INPUT, super::super::abi::TRACKING])
        });
    }
    registry
        .add("data_map/oaddr/above_48_bits", |w| {
            let call = good(w, MAP)?;
            let pa = w.place(Place::High)?;
            w.ok(Command::RangeDelegate, &[pa, pa + PAGE])?;
            call.with(w, 4, Desc::pages(pa, 1).encode(), &[INPUT])
        })
        .needs(Need::HighMemory);
    registry.add("data_map/oaddr/empty_range", |w| {
        let call = good(w, MAP)?;
        let desc = Desc { count: 0, ..Desc::decode(call.arguments[4]) };
        call.with(w, 4, desc.encode(), &[INPUT])
    });
    registry.add("data_map/oaddr/block_not_aligned", |w| {
        let call = good(w, MAP)?;
        let base = Desc::decode(call.arguments[4]).base | PAGE;
        call.with(w, 4, Desc::block(base, 2).encode(), &[INPUT])
    });
    registry
        .add("data_map/oaddr/shorter_than_the_range", |w| {
            let call = good(w, MAP)?;
            let mut arguments = call.arguments.clone();
            arguments[2] += 3 * PAGE;
            let reply = w.complete(MAP, &arguments)?;
            match reply.status() {
                0 => same("out_top", reply.x[1], IPA + PAGE),
                _ => reply.is(INPUT).map(|_| ()),
            }
        })
        .reading("a list and a range that differ go as far as both reach (OQ-14)");
    for (kind, state) in [
        ("undelegated", None),
        ("rtt", Some(0)),
        ("rd", Some(1)),
        ("data", Some(2)),
        ("rec", Some(3)),
    ] {
        registry.add(format!("data_map/oaddr_state/{kind}"), move |w| {
            let call = good(w, MAP)?;
            let other = realm_with_tables(w)?;
            let pa = match state {
                None => w.granule(),
                Some(0) => w.tables.last().map_or(0, |table| table.pa),
                Some(1) => other.rd,
                Some(2) => w.data_unknown(&other, IPA)?,
                Some(_) => w.rec(&other, 0)?.pa,
            };
            call.with(w, 4, Desc::pages(pa, 1).encode(), &[INPUT])
        });
    }
}

fn add_entries(registry: &mut Registry) {
    registry
        .add("data_map/success/same_mapping_again", |w| {
            let call = good(w, MAP)?;
            call.succeeds(w)?.out(1, IPA + PAGE)?;
            call.succeeds(w)?.out(1, IPA + PAGE)?;
            Ok(())
        })
        .reading("a mapping that is there already counts as progress (third beta)");
    registry.add("data_map/rtte_state/other_address", |w| {
        let call = good(w, MAP)?;
        call.succeeds(w)?;
        let mut arguments = call.arguments.clone();
        arguments[4] = Desc::pages(w.delegated()?, 1).encode();
        w.fails(MAP, &arguments, rtt(3))
    });
    registry.add("data_map/oaddr_state/sixth", |w| {
        let realm = realm_with_tables(w)?;
        let base = w.delegated_run(16, PAGE)?;
        w.ok(Command::RangeUndelegate, &[base + 5 * PAGE, base + 6 * PAGE])?;
        let mut at = IPA;
        while at < IPA + 5 * PAGE {
            let left = (IPA + 16 * PAGE - at) / PAGE;
            at = w.try_map(&realm, at, Desc::pages(base + at - IPA, left))?.ok()?.x[1];
        }
        same("stops before it", at, IPA + 5 * PAGE)?;
        w.try_map(&realm, at, Desc::pages(base + 5 * PAGE, 11))?.is(INPUT)?;
        Ok(())
    });
    for (name, wanted) in
        [("empty", ripas::EMPTY), ("ram", ripas::RAM), ("destroyed", ripas::DESTROYED)]
    {
        registry.add(format!("data_map/success/void_{name}"), move |w| {
            let realm = realm_with_tables(w)?;
            prepare(w, &realm, wanted)?;
            w.data_unknown(&realm, IPA)?;
            w.expect(&realm, IPA, (3, entry::MAPPED, wanted))
        });
    }
    registry.add("data_map/success/wiped_before_the_realm_sees_it", |w| {
        let realm = realm_with_tables(w)?;
        w.init_ripas(&realm, IPA, IPA + PAGE)?;
        let pa = w.data_unknown(&realm, IPA)?;
        let rec = w.running_in(&realm)?;
        let load = crate::program::Action::Load(IPA + 0x40, crate::program::Access::WORD);
        let seen = w.observe(&rec, &[load])?;
        let secret = crate::world::secret_page(pa)[8];
        holds("no secret", !seen.contains(&crate::program::Observed::Value(secret)))
    });
}

/// Gives the page at [`IPA`] a RIPAS, in a table that is there.
#[track_caller]
pub(super) fn prepare(
    w: &mut World<'_>,
    realm: &super::super::world::Realm,
    wanted: u64,
) -> Outcome {
    match wanted {
        ripas::RAM => w.init_ripas(realm, IPA, IPA + PAGE),
        ripas::DESTROYED => {
            w.init_ripas(realm, IPA, IPA + PAGE)?;
            let pa = w.data_unknown(realm, IPA)?;
            w.unmap(Command::DataUnmap, realm, (IPA, IPA + PAGE))?;
            w.set_aside(pa);
            w.expect(realm, IPA, (3, entry::VOID, ripas::DESTROYED))
        }
        _ => Ok(()),
    }
}

fn add_blocks(registry: &mut Registry) {
    registry.add("data_map/level/block_without_a_table", |w| {
        let realm = w.realm()?;
        w.tables(&realm, IPA, 2)?;
        let base = w.data_block(&realm, IPA)?;
        w.expect_pa(&realm, (IPA, 2), base)
    });
    registry.add("data_map/level/512_pages_without_a_table", |w| {
        let realm = w.realm()?;
        w.tables(&realm, IPA, 2)?;
        let base = w.delegated_run(512, BLOCK)?;
        w.try_map(&realm, IPA, Desc::pages(base, 512))?.ok()?.out(1, IPA + BLOCK)?;
        w.expect_pa(&realm, (IPA, 2), base)
    });
    registry.add("data_map/level/pa_not_aligned", |w| {
        let realm = w.realm()?;
        w.tables(&realm, IPA, 2)?;
        let base = w.delegated_run(513, BLOCK)?;
        w.try_map(&realm, IPA, Desc::pages(base + PAGE, 512))?.is(rtt(2))?;
        Ok(())
    });
    registry.add("data_map/level/range_smaller_than_the_entry", |w| {
        let realm = w.realm()?;
        w.tables(&realm, IPA, 2)?;
        for count in [1, 511] {
            let base = w.delegated_run(count, PAGE)?;
            w.try_map(&realm, IPA, Desc::pages(base, count))?.is(rtt(2))?;
        }
        Ok(())
    });
    registry.add("data_map/level/no_blocks_above_level_1", |w| {
        let realm = w.realm()?;
        let base = w.delegated()?;
        w.try_map(&realm, 0, Desc::pages(base, 1))?.is(rtt(0))?;
        let block = Desc::block(0, 0);
        w.complete(MAP, &[realm.rd, 0, block.bytes(), oaddr::SINGLE, block.encode()])?
            .is_error()?;
        Ok(())
    });
    registry
        .add("data_map/level/minus_1", |w| {
            let mut params = w.realm_params(52, -1, 1)?;
            params.flags0 = super::super::pages::flags0::LPA2;
            let realm = w.realm_with(&params)?;
            let base = w.delegated()?;
            w.try_map(&realm, 0, Desc::pages(base, 1))?.is(rtt(-1))?;
            w.tables(&realm, 0, 3)?;
            w.map(&realm, 0, base, 1)
        })
        .needs(Need::Lpa2)
        .reading("level -1 is 0xff in a result word (OQ-17)");
    registry.add("data_map/level/block_where_a_table_is", |w| {
        let realm = realm_with_tables(w)?;
        let base = w.delegated_run(512, BLOCK)?;
        let mut at = IPA;
        let arguments = |at: u64| {
            let (top, desc) = (IPA + BLOCK, Desc::block(base, 2));
            let rest = Desc::pages(base + at - IPA, (top - at) / PAGE);
            let word = if at == IPA { desc.encode() } else { rest.encode() };
            [realm.rd, at, top, oaddr::SINGLE, word]
        };
        while at < IPA + BLOCK {
            at = w.ok(MAP, &arguments(at))?.x[1];
        }
        w.expect_pa(&realm, (IPA + 511 * PAGE, 3), base + 511 * PAGE)
    });
    registry.add("data_map/level/one_page_of_a_block_is_not_delegated", |w| {
        let realm = w.realm()?;
        w.tables(&realm, IPA, 2)?;
        let base = w.delegated_run(512, BLOCK)?;
        w.ok(Command::RangeUndelegate, &[base + 300 * PAGE, base + 301 * PAGE])?;
        w.try_map(&realm, IPA, Desc::block(base, 2))?.is(INPUT)?;
        // All or nothing: the others are still delegated.
        w.is_delegated(base)?;
        w.is_delegated(base + 511 * PAGE)?;
        w.expect(&realm, IPA, (2, entry::VOID, ripas::EMPTY))
    });
}

fn add_lists(registry: &mut Registry) {
    for (name, at) in [("start", 0), ("middle", 0x808)] {
        registry.add(format!("data_map/list/success_{name}"), move |w| {
            let realm = realm_with_tables(w)?;
            let pages: Vec<u64> = (0..6).map(|_| w.delegated()).collect::<Outcome<_>>()?;
            let words: Vec<u64> = pages.iter().map(|pa| Desc::pages(*pa, 1).encode()).collect();
            let mut done = 0;
            while done < 6 {
                let list = w.list(at, &words[done..]);
                let base = IPA + done as u64 * PAGE;
                let flags = list_flags(6 - done as u64);
                let reply = w.ok(MAP, &[realm.rd, base, IPA + 6 * PAGE, flags, list])?;
                done = usize::try_from((reply.x[1] - IPA) / PAGE).unwrap_or(6);
            }
            for (number, pa) in pages.iter().enumerate() {
                w.expect_pa(&realm, (IPA + number as u64 * PAGE, 3), *pa)?;
            }
            Ok(())
        });
    }
    registry.add("data_map/list/one_bad_entry", |w| {
        let realm = realm_with_tables(w)?;
        let (good, bad) = (w.delegated()?, w.granule());
        let words = [Desc::pages(good, 1).encode(), Desc::pages(bad, 1).encode()];
        let list = w.list(0, &words);
        let arguments = [realm.rd, IPA, IPA + 2 * PAGE, list_flags(2), list];
        w.ok(MAP, &arguments)?.out(1, IPA + PAGE)?;
        w.expect_pa(&realm, (IPA, 3), good)
    });
    registry.add("data_map/list/count_past_the_page", |w| {
        let realm = realm_with_tables(w)?;
        let pa = w.delegated()?;
        let list = w.list(0xff8, &[Desc::pages(pa, 1).encode()]);
        let arguments = [realm.rd, IPA, IPA + PAGE, list_flags(0x3fff), list];
        let reply = w.complete(MAP, &arguments)?;
        reply.one_of(&[0, INPUT])?;
        Ok(())
    });
    for state in [given::DELEGATED, given::UNDELEGATED, given::CONDITIONAL] {
        registry.add(format!("unprot_map/success/state_{state}"), move |w| {
            let realm = w.realm()?;
            w.tables(&realm, NS, 3)?;
            let desc = Desc::pages(w.granule(), 1).state(state);
            w.ok(Command::UnprotMap, &[realm.rd, NS, NS + PAGE, UNPROT, desc.encode()])?;
            Ok(())
        });
    }
}

fn add_init(registry: &mut Registry) {
    for (condition, index, value, code) in [
        ("ipa_align", 2, IPA + 0x800, INPUT),
        ("ipa_bound", 2, 1 << 39, INPUT),
        ("ipa_bound/past_the_end", 2, 1 << 40, INPUT),
        ("rtt_walk", 2, IPA + BLOCK, rtt(2)),
        ("rtt_walk/level_1", 2, 1 << 31, rtt(1)),
    ] {
        registry.add(format!("data_map_init/{condition}"), move |w| {
            let call = good(w, INIT)?;
            call.with(w, index, value, &[code])
        });
    }
    registry.add("data_map_init/rtte_state/same_address", |w| {
        let call = good(w, INIT)?;
        call.succeeds(w)?;
        let mut arguments = call.arguments.clone();
        // The granule is DATA now: both conditions hold.
        w.complete(INIT, &arguments)?.one_of(&[INPUT, rtt(3)])?;
        arguments[1] = w.delegated()?;
        w.fails(INIT, &arguments, rtt(3))
    });
    for (name, wanted) in
        [("empty", ripas::EMPTY), ("ram", ripas::RAM), ("destroyed", ripas::DESTROYED)]
    {
        registry.add(format!("data_map_init/success/void_{name}"), move |w| {
            let realm = realm_with_tables(w)?;
            prepare(w, &realm, wanted)?;
            w.data(&realm, IPA, &[3; 512], 1)?;
            w.expect(&realm, IPA, (3, entry::MAPPED, ripas::RAM))
        });
    }
    registry.add("data_map_init/success/contents", |w| {
        let realm = realm_with_tables(w)?;
        w.data(&realm, IPA, &[0x77; 512], 0)?;
        let rec = w.running_in(&realm)?;
        let load = crate::program::Action::Load(IPA + 0xff8, crate::program::Access::WORD);
        let seen = w.observe(&rec, &[load])?;
        same("read", seen, [crate::program::Observed::Value(0x77)].into())
    });
    registry.add("data_map_init/alias/rd", |w| {
        let call = good(w, INIT)?;
        call.with(w, 1, call.arguments[0], &[INPUT])
    });
    registry.add("data_map_init/alias/leaf_table", |w| {
        let call = good(w, INIT)?;
        let table = w.tables.last().map_or(0, |table| table.pa);
        call.with(w, 1, table, &[INPUT])
    });
    registry.add("data_map_init/alias/src_is_data", |w| {
        let call = good(w, INIT)?;
        call.with(w, 3, call.arguments[1], &[INPUT])
    });
    registry
        .add("data_map_init/data_bound/above_48_bits", |w| {
            let call = good(w, INIT)?;
            let pa = w.place(Place::High)?;
            w.ok(Command::RangeDelegate, &[pa, pa + PAGE])?;
            call.with(w, 1, pa, &[INPUT])
        })
        .needs(Need::HighMemory);
    registry
        .add("data_map_init/src_pas/fault_in_the_copy", |w| {
            let call = good(w, INIT)?;
            w.arm(Mishap::HostFault(300))?;
            w.fails(INIT, &call.arguments, INPUT)?;
            w.is_delegated(call.arguments[1])?;
            call.succeeds(w)?;
            Ok(())
        })
        .needs(Need::HostFault);
}
