//! RTT commands: what they do, at each level and for each kind of entry.

use alloc::format;

use super::data::folded_block;
use super::good::{DESC, IPA, realm_with_tables};
use super::registry::Registry;
use crate::abi::{Command, INPUT, RealmParams, entry_state, ripas, rtt_error};
use crate::need::Need;
use crate::outcome::{holds, same};
use crate::world::entry_size;

use entry_state::{ASSIGNED, TABLE, UNASSIGNED};

/// Levels that no table, or no leaf, has.
const NO_LEVELS: [i64; 8] = [-2, 4, 5, 64, 255, 1 << 32, i64::MIN, i64::MAX];

pub(super) fn add(registry: &mut Registry) {
    add_levels(registry);
    add_create(registry);
    add_destroy(registry);
    add_read(registry);
}

fn add_levels(registry: &mut Registry) {
    for command in [Command::RttCreate, Command::RttDestroy, Command::RttFold] {
        registry.add(format!("{}/level_bound/all", command.label()), move |w| {
            let realm = w.realm()?;
            let rtt = w.delegated()?;
            for level in NO_LEVELS.into_iter().chain([-1, 0]) {
                let level = level.cast_unsigned();
                if command == Command::RttCreate {
                    w.call(command, [realm.rd, rtt, 0, level])?.is(INPUT)?;
                } else {
                    w.call(command, [realm.rd, 0, level])?.is(INPUT)?;
                }
            }
            Ok(())
        });
        registry.add(format!("{}/ipa_align/each_level", command.label()), move |w| {
            // Nothing else is wrong: RTT_CREATE finds no table there, the others an empty one.
            let realm = realm_with_tables(w)?;
            let rtt = w.delegated()?;
            let half = realm.unprotected();
            let places = if command == Command::RttCreate {
                [half, 7 << 30, IPA + 0x40_0000]
            } else {
                w.tables(&realm, half, 1)?;
                w.tables(&realm, 7 << 30, 2)?;
                [half, 7 << 30, IPA]
            };
            for (level, place) in (1..=3).zip(places) {
                // Aligned to the level, but not to the one above, where the table is linked.
                let ipa = place + entry_size(level);
                let raw = level.cast_unsigned();
                if command == Command::RttCreate {
                    w.call(command, [realm.rd, rtt, ipa, raw])?.is(INPUT)?;
                } else {
                    w.call(command, [realm.rd, ipa, raw])?.is(INPUT)?;
                }
            }
            Ok(())
        });
    }
    for command in [Command::RttMapUnprotected, Command::RttUnmapUnprotected] {
        registry.add(format!("{}/level_bound/all", command.label()), move |w| {
            // Also above the start level of a Realm that starts at level 2.
            for (width, start, roots) in [(40, 0, 1), (34, 2, 16)] {
                let realm = w.realm_of(width, start, roots)?;
                let ipa = realm.unprotected();
                let above = if start == 2 { Some(1) } else { None };
                for level in NO_LEVELS.into_iter().chain([-1, 0]).chain(above) {
                    let level = level.cast_unsigned();
                    w.try_call(command, &[realm.rd, ipa, level, DESC])?.is(INPUT)?;
                }
            }
            Ok(())
        });
    }
    registry.add("rtt_read_entry/level_bound/all", |w| {
        let realm = w.realm_of(40, 1, 2)?;
        for level in NO_LEVELS.into_iter().chain([-1, 0]) {
            w.call(Command::RttReadEntry, [realm.rd, 0, level.cast_unsigned()])?.is(INPUT)?;
        }
        Ok(())
    });
}

fn add_create(registry: &mut Registry) {
    registry.add("rtt_create/success", |w| {
        let realm = w.realm()?;
        for (level, expected) in [(1, 1), (2, 2), (3, 3)] {
            let rtt = w.table(&realm, 0, level)?;
            w.expect_entry(&realm, (0, level - 1), (level - 1, TABLE, rtt, 0))?;
            w.expect_entry(&realm, (0, 3), (expected, UNASSIGNED, 0, ripas::EMPTY))?;
        }
        let rtt = w.delegated()?;
        w.call(Command::RttCreate, [realm.rd, rtt, 0, 2])?.is(rtt_error(1))?;
        Ok(())
    });
    registry.add("rtt_create/success/children_inherit_ripas", |w| {
        let realm = w.realm()?;
        w.tables(&realm, 0, 2)?;
        w.call(Command::RttInitRipas, [realm.rd, 0, 0x20_0000])?.ok()?.out(1, 0x20_0000)?;
        w.table(&realm, 0, 3)?;
        for ipa in [0, 0x1000, 0x1f_f000] {
            w.expect_entry(&realm, (ipa, 3), (3, UNASSIGNED, 0, ripas::RAM))?;
        }
        w.call(Command::RttDestroy, [realm.rd, 0, 3])?.ok()?;
        w.table(&realm, 0, 3)?;
        w.expect_entry(&realm, (0x1f_f000, 3), (3, UNASSIGNED, 0, ripas::DESTROYED))
    });
    registry.add("rtt_create/success/unprotected", |w| {
        let realm = w.realm()?;
        let ipa = realm.unprotected();
        w.tables(&realm, ipa, 3)?;
        w.expect_entry(&realm, (ipa, 3), (3, UNASSIGNED, 0, 0))?;
        let desc = DESC;
        w.call(Command::RttMapUnprotected, [realm.rd, ipa + 0x1000, 3, desc])?.ok()?;
        Ok(())
    });
    registry.add("rtt_create/success/unfold_ram", |w| {
        let (realm, data) = folded_block(w)?;
        w.table(&realm, IPA, 3)?;
        for offset in [0, 0x7000, 0x1f_f000] {
            let expected = (3, ASSIGNED, data + offset, ripas::RAM);
            w.expect_entry(&realm, (IPA + offset, 3), expected)?;
        }
        Ok(())
    });
    registry.add("rtt_create/success/unfold_unprotected", |w| {
        let realm = w.realm()?;
        let ipa = realm.unprotected();
        w.tables(&realm, ipa, 2)?;
        let desc = 0x8020_0000 | 0b101 << 2 | 0b01 << 6;
        w.call(Command::RttMapUnprotected, [realm.rd, ipa, 2, desc])?.ok()?;
        w.table(&realm, ipa, 3)?;
        for offset in [0, 0x7000, 0x1f_f000] {
            w.expect_entry(&realm, (ipa + offset, 3), (3, ASSIGNED, desc + offset, 0))?;
        }
        // A table of ASSIGNED_NS entries is not live.
        w.call(Command::RttDestroy, [realm.rd, ipa, 3])?.ok()?;
        w.expect_entry(&realm, (ipa, 2), (2, UNASSIGNED, 0, 0))
    });
    registry
        .add("rtt_create/rtt_bound2", |w| {
            let high = w.high()?;
            w.call(Command::GranuleDelegate, [high])?.ok()?;
            let realm = w.realm()?;
            w.call(Command::RttCreate, [realm.rd, high, 0, 1])?.is(INPUT)?;
            let mut params = w.realm_params(40, 0, 1)?;
            params.flags = RealmParams::LPA2;
            let large = w.realm_with(&params)?;
            w.call(Command::RttCreate, [large.rd, high, 0, 1])?.ok()?;
            w.read_entry(&large, 0, 0)?.out(3, high)?;
            Ok(())
        })
        .needs(Need::HighMemory);
}

fn add_destroy(registry: &mut Registry) {
    registry.add("rtt_destroy/success", |w| {
        let realm = realm_with_tables(w)?;
        let rtt = w.table(&realm, IPA + 0x40_0000, 3)?;
        let destroy = Command::RttDestroy;
        let reply = w.call(destroy, [realm.rd, IPA + 0x40_0000, 3])?.ok()?;
        // The end of the parent's table, or the next live entry of it.
        reply.out(1, rtt)?.out(2, 1 << 30)?;
        w.expect_entry(&realm, (IPA + 0x40_0000, 2), (2, UNASSIGNED, 0, ripas::DESTROYED))?;
        let next = w.table(&realm, IPA + 0x60_0000, 3)?;
        let reply = w.call(destroy, [realm.rd, IPA, 3])?.ok()?;
        reply.out(2, IPA + 0x60_0000)?;
        w.call(destroy, [realm.rd, IPA + 0x60_0000, 3])?.ok()?.out(1, next)?;
        // The freed table serves again at once.
        let create = [realm.rd, rtt, IPA + 0x40_0000, 3];
        w.call(Command::RttCreate, create)?.ok()?;
        Ok(())
    });
    registry.add("rtt_destroy/success/unprotected", |w| {
        let realm = w.realm()?;
        let ipa = realm.unprotected();
        w.tables(&realm, ipa, 3)?;
        for page in 0..4 {
            let at = ipa + page * 0x1000;
            w.call(Command::RttMapUnprotected, [realm.rd, at, 3, DESC])?.ok()?;
        }
        let reply = w.call(Command::RttDestroy, [realm.rd, ipa, 3])?.ok()?;
        reply.out(2, ipa + (1 << 30))?;
        w.expect_entry(&realm, (ipa, 2), (2, UNASSIGNED, 0, 0))?;
        // UNASSIGNED_NS, not UNASSIGNED: it can be mapped as a block.
        let desc = DESC & !0x1f_f000;
        w.call(Command::RttMapUnprotected, [realm.rd, ipa, 2, desc])?.ok()?;
        Ok(())
    });
    registry.add("rtt_destroy/rtt_walk/block", |w| {
        let (realm, _) = folded_block(w)?;
        let destroy = Command::RttDestroy;
        w.call(destroy, [realm.rd, IPA, 3])?.is_top(rtt_error(2), 2, IPA)?;
        Ok(())
    });
    registry.add("rtt_destroy/rtt_live/table_below", |w| {
        let realm = realm_with_tables(w)?;
        let destroy = Command::RttDestroy;
        w.call(destroy, [realm.rd, 0, 2])?.is_top(rtt_error(2), 2, 0)?;
        w.call(destroy, [realm.rd, 0, 1])?.is_top(rtt_error(1), 2, 0)?;
        w.call(destroy, [realm.rd, IPA, 3])?.ok()?;
        w.call(destroy, [realm.rd, 0, 2])?.ok()?.out(2, 1 << 39)?;
        w.call(destroy, [realm.rd, 0, 1])?.ok()?.out(2, 1 << 48)?;
        Ok(())
    });
    registry.add("rtt_destroy/rtt_live/assigned_empty", |w| {
        let realm = realm_with_tables(w)?;
        w.data_unknown(&realm, IPA + 0x1f_f000)?;
        w.call(Command::RttDestroy, [realm.rd, IPA, 3])?.is_top(rtt_error(3), 2, IPA)?;
        Ok(())
    });
}

fn add_read(registry: &mut Registry) {
    registry.add("rtt_read_entry/success/each_kind", |w| {
        let (realm, data) = folded_block(w)?;
        let other = w.table(&realm, IPA + 0x20_0000, 3)?;
        w.expect_entry(&realm, (IPA, 2), (2, ASSIGNED, data, ripas::RAM))?;
        w.expect_entry(&realm, (IPA + 0x20_0000, 2), (2, TABLE, other, 0))?;
        w.read_entry(&realm, IPA + 0x20_0000, 2)?.out(4, 0)?;
        w.expect_entry(&realm, (IPA + 0x40_0000, 2), (2, UNASSIGNED, 0, ripas::EMPTY))?;
        let reply = w.read_entry(&realm, IPA, 2)?;
        holds("no attributes of a protected entry", reply.outputs[2] & 0x3fc == 0)
    });
    registry.add("rtt_read_entry/success/level_minus_1", |w| {
        let mut params = w.realm_params(52, -1, 1)?;
        params.flags = RealmParams::LPA2;
        let realm = w.realm_with(&params)?;
        w.expect_entry(&realm, (0, 3), (-1, UNASSIGNED, 0, ripas::EMPTY))?;
        let rtt = w.table(&realm, 0, 0)?;
        w.expect_entry(&realm, (0, -1), (-1, TABLE, rtt, 0))?;
        w.read_entry(&realm, 0, -1)?.out(1, u64::MAX)?;
        Ok(())
    });
    registry.add("rtt_read_entry/success/system_off", |w| {
        let rec = w.running()?;
        w.run(&rec, &[crate::rec::smc(&[crate::abi::rsi::PSCI_SYSTEM_OFF])])?;
        let reply = w.read_entry(&rec.realm, 0, 3)?;
        same("state", reply.outputs[1], ASSIGNED)
    });
    registry.add("rtt_read_entry/ipa_align/each_level", |w| {
        let realm = realm_with_tables(w)?;
        for level in 0..3 {
            let args = [realm.rd, entry_size(level + 1), level.cast_unsigned()];
            w.call(Command::RttReadEntry, args)?.is(INPUT)?;
        }
        Ok(())
    });
}
