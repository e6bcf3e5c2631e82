//! RMI_RTT_MAP_UNPROTECTED, RMI_RTT_UNMAP_UNPROTECTED.

use alloc::vec::Vec;

use super::good::{DESC, IPA, realm_with_tables};
use super::registry::Registry;
use crate::abi::{Command, INPUT, RealmParams, entry_state, rtt_error};
use crate::port::Place;
use crate::world::entry_size;

use entry_state::{ASSIGNED, UNASSIGNED};

pub(super) fn add(registry: &mut Registry) {
    registry.add("rtt_map_unprotected/success", |w| {
        let realm = w.realm()?;
        let ipa = realm.unprotected();
        for level in [1, 2, 3] {
            let at = ipa + entry_size(level);
            w.tables(&realm, at, level)?;
            let desc = 0x40_0000_0000 | DESC & 0xfff;
            let raw = level.cast_unsigned();
            w.call(Command::RttMapUnprotected, [realm.rd, at, raw, desc])?.ok()?;
            w.expect_entry(&realm, (at, level), (level, ASSIGNED, desc, 0))?;
            w.call(Command::RttMapUnprotected, [realm.rd, at, raw, desc])?.is(rtt_error(level))?;
        }
        Ok(())
    });
    registry.add("rtt_map_unprotected/success/all_attributes", |w| {
        let realm = w.realm()?;
        let ipa = realm.unprotected();
        w.tables(&realm, ipa, 3)?;
        for bits in 0..32 {
            let desc = 0x8765_4000 | (bits & 7) << 2 | (bits >> 3) << 6;
            let reply = w.call(Command::RttMapUnprotected, [realm.rd, ipa, 3, desc])?;
            if bits & 7 == 0b100 {
                reply.is(INPUT)?;
                continue;
            }
            reply.ok()?;
            w.expect_entry(&realm, (ipa, 3), (3, ASSIGNED, desc, 0))?;
            w.call(Command::RttUnmapUnprotected, [realm.rd, ipa, 3])?.ok()?;
        }
        Ok(())
    });
    registry.add("rtt_map_unprotected/attr_valid/each_bit", |w| {
        let realm = w.realm()?;
        let ipa = realm.unprotected();
        w.tables(&realm, ipa, 3)?;
        let controlled = |bit: u64| matches!(bit, 2..=4 | 6 | 7 | 12..=47);
        for bit in (0..64).filter(|&bit| !controlled(bit)) {
            let desc = 0b110 << 2 | 1 << bit;
            w.call(Command::RttMapUnprotected, [realm.rd, ipa, 3, desc])?.is(INPUT)?;
        }
        Ok(())
    });
    registry.add("rtt_map_unprotected/addr_align/each_level", |w| {
        let realm = w.realm()?;
        let ipa = realm.unprotected();
        w.tables(&realm, ipa, 1)?;
        for (level, offset) in [(1, 0x20_0000), (1, 0x1000)] {
            let desc = 0x8000_0000 + offset;
            w.call(Command::RttMapUnprotected, [realm.rd, ipa, level, desc])?.is(INPUT)?;
        }
        let reply = w.call(Command::RttMapUnprotected, [realm.rd, ipa + 0x20_0000, 1, 0])?;
        reply.is(INPUT)?;
        Ok(())
    });
    registry.add("rtt_map_unprotected/success/lpa2_address", |w| {
        let mut params = w.realm_params(52, 0, 16)?;
        params.flags = RealmParams::LPA2;
        let realm = w.realm_with(&params)?;
        let ipa = realm.end() - 0x1000;
        w.tables(&realm, ipa, 3)?;
        // Bits 51:50 of the address at 9:8, 49:48 in place.
        let desc = 0x3_0000_8000_0000 | 0x300 | DESC & 0xff;
        w.call(Command::RttMapUnprotected, [realm.rd, ipa, 3, desc])?.ok()?;
        w.expect_entry(&realm, (ipa, 3), (3, ASSIGNED, desc, 0))?;
        for bit in [5, 10, 11, 50, 51] {
            let args = [realm.rd, ipa - 0x1000, 3, DESC | 1 << bit];
            w.call(Command::RttMapUnprotected, args)?.is(INPUT)?;
        }
        Ok(())
    });
    registry.add("rtt_map_unprotected/ipa_bound/protected", |w| {
        let realm = realm_with_tables(w)?;
        for ipa in [0, IPA, realm.unprotected() - 0x1000] {
            w.call(Command::RttMapUnprotected, [realm.rd, ipa, 3, DESC])?.is(INPUT)?;
            w.call(Command::RttUnmapUnprotected, [realm.rd, ipa, 3])?.is_top(INPUT, 1, 0)?;
        }
        Ok(())
    });
    registry.add("rtt_map_unprotected/success/any_target", |w| {
        // The monitor does not look at the target: the granule protection table protects.
        let realm = w.realm()?;
        let ipa = realm.unprotected();
        w.tables(&realm, ipa, 3)?;
        let mut targets = Vec::from([w.delegated()?, realm.rd, 0x900_0000]);
        targets
            .extend([Place::Secure, Place::Monitor].into_iter().filter_map(|place| w.place(place)));
        for (page, target) in targets.into_iter().enumerate() {
            let at = ipa + page as u64 * 0x1000;
            let desc = target | DESC & 0xfff;
            w.call(Command::RttMapUnprotected, [realm.rd, at, 3, desc])?.ok()?;
        }
        Ok(())
    });
    registry.add("rtt_map_unprotected/rtte_state/table", |w| {
        let realm = w.realm()?;
        let ipa = realm.unprotected();
        w.tables(&realm, ipa, 3)?;
        w.call(Command::RttMapUnprotected, [realm.rd, ipa, 2, 0])?.is(rtt_error(2))?;
        // TABLE is live: top is the address.
        w.call(Command::RttUnmapUnprotected, [realm.rd, ipa, 2])?.is_top(rtt_error(2), 1, ipa)?;
        Ok(())
    });
    registry.add("rtt_unmap_unprotected/success", |w| {
        let realm = w.realm()?;
        let ipa = realm.unprotected();
        w.tables(&realm, ipa, 3)?;
        for page in [0, 5] {
            let at = ipa + page * 0x1000;
            w.call(Command::RttMapUnprotected, [realm.rd, at, 3, DESC])?.ok()?;
        }
        let unmap = Command::RttUnmapUnprotected;
        w.call(unmap, [realm.rd, ipa, 3])?.ok()?.out(1, ipa + 0x5000)?;
        w.expect_entry(&realm, (ipa, 3), (3, UNASSIGNED, 0, 0))?;
        w.call(unmap, [realm.rd, ipa, 3])?.is_top(rtt_error(3), 1, ipa + 0x5000)?;
        w.call(unmap, [realm.rd, ipa + 0x5000, 3])?.ok()?.out(1, ipa + 0x20_0000)?;
        Ok(())
    });
    registry.add("rtt_unmap_unprotected/rtte_state/top_at_any_distance", |w| {
        let realm = w.realm()?;
        let ipa = realm.unprotected();
        w.tables(&realm, ipa, 3)?;
        let at = |index: u64| ipa + index * 0x1000;
        let unmap = Command::RttUnmapUnprotected;
        // Around the groups in which a monitor may look through a table, from any place in one.
        for from in [1, 2, 7, 8, 30, 31, 32, 33, 63, 64, 200, 383, 384, 385, 479, 480, 510, 511] {
            // What is behind does not count.
            w.call(Command::RttMapUnprotected, [realm.rd, at(from - 1), 3, DESC])?.ok()?;
            w.call(unmap, [realm.rd, at(from), 3])?.is_top(rtt_error(3), 1, at(512))?;
            for distance in [1, 2, 3, 7, 8, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 300, 509] {
                let live = from + distance;
                if live > 511 {
                    break;
                }
                let desc = DESC ^ (live & 3) << 6;
                w.call(Command::RttMapUnprotected, [realm.rd, at(live), 3, desc])?.ok()?;
                w.call(unmap, [realm.rd, at(from), 3])?.is_top(rtt_error(3), 1, at(live))?;
                w.call(unmap, [realm.rd, at(live), 3])?.ok()?.out(1, at(512))?;
            }
            w.call(unmap, [realm.rd, at(from - 1), 3])?.ok()?.out(1, at(512))?;
        }
        Ok(())
    });
    registry.add("rtt_unmap_unprotected/rtt_walk/block_above", |w| {
        let realm = w.realm()?;
        let ipa = realm.unprotected();
        w.tables(&realm, ipa, 2)?;
        w.call(Command::RttMapUnprotected, [realm.rd, ipa, 2, 0x8000_0000])?.ok()?;
        let unmap = Command::RttUnmapUnprotected;
        let inside = ipa + 0x3000;
        w.call(unmap, [realm.rd, inside, 3])?.is_top(rtt_error(2), 1, inside)?;
        w.call(unmap, [realm.rd, ipa, 2])?.ok()?.out(1, ipa + (1 << 30))?;
        Ok(())
    });
}
