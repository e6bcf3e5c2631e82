//! RMI_RTT_FOLD: what folds into what, and what does not.

use alloc::format;

use super::data::fill_block;
use super::good::{DESC, IPA, realm_with_tables};
use super::registry::{Cpu, Registry};
use crate::abi::{Command, entry_state, ripas, rtt_error};

use entry_state::{ASSIGNED, UNASSIGNED};

pub(super) fn add(registry: &mut Registry) {
    add_homogeneous(registry);
    add_not_homogeneous(registry);
}

fn add_homogeneous(registry: &mut Registry) {
    registry.add("rtt_fold/success/unassigned", |w| {
        let realm = realm_with_tables(w)?;
        let [.., desc, _] = w.read_entry(&realm, IPA, 2)?.outputs;
        w.call(Command::RttFold, [realm.rd, IPA, 3])?.ok()?.out(1, desc)?;
        w.expect_entry(&realm, (IPA, 3), (2, UNASSIGNED, 0, ripas::EMPTY))?;
        w.call(Command::RttFold, [realm.rd, 0, 2])?.ok()?;
        w.expect_entry(&realm, (0, 3), (1, UNASSIGNED, 0, ripas::EMPTY))?;
        w.call(Command::RttFold, [realm.rd, 0, 1])?.ok()?;
        w.expect_entry(&realm, (0, 3), (0, UNASSIGNED, 0, ripas::EMPTY))
    });
    registry.add("rtt_fold/success/unassigned_ram_and_destroyed", |w| {
        let realm = realm_with_tables(w)?;
        w.call(Command::RttInitRipas, [realm.rd, IPA, IPA + 0x20_0000])?.ok()?;
        w.call(Command::RttFold, [realm.rd, IPA, 3])?.ok()?;
        w.expect_entry(&realm, (IPA, 3), (2, UNASSIGNED, 0, ripas::RAM))?;
        w.table(&realm, IPA, 3)?;
        w.call(Command::RttDestroy, [realm.rd, IPA, 3])?.ok()?;
        w.table(&realm, IPA, 3)?;
        w.call(Command::RttFold, [realm.rd, IPA, 3])?.ok()?;
        w.expect_entry(&realm, (IPA, 3), (2, UNASSIGNED, 0, ripas::DESTROYED))
    });
    registry.add("rtt_fold/success/unassigned_ns", |w| {
        let realm = w.realm()?;
        let ipa = realm.unprotected();
        w.tables(&realm, ipa, 3)?;
        for level in [3, 2, 1] {
            w.call(Command::RttFold, [realm.rd, ipa, level])?.ok()?;
        }
        w.expect_entry(&realm, (ipa, 3), (0, UNASSIGNED, 0, 0))?;
        w.tables(&realm, ipa, 3)?;
        w.call(Command::RttMapUnprotected, [realm.rd, ipa, 3, DESC])?.ok()?;
        Ok(())
    });
    for (name, ram) in [("assigned_ram", true), ("assigned_empty", false)] {
        registry.add(format!("rtt_fold/success/{name}"), move |w| {
            let realm = realm_with_tables(w)?;
            let data = fill_block(w, &realm, IPA, ram)?;
            let value = if ram { ripas::RAM } else { ripas::EMPTY };
            w.call(Command::RttFold, [realm.rd, IPA, 3])?.ok()?;
            w.expect_entry(&realm, (IPA, 2), (2, ASSIGNED, data, value))?;
            // Any address inside shows the block's entry.
            w.expect_entry(&realm, (IPA + 0x7000, 3), (2, ASSIGNED, data, value))?;
            w.call(Command::RttFold, [realm.rd, IPA, 3])?.is(rtt_error(2))?;
            w.table(&realm, IPA, 3)?;
            w.expect_entry(&realm, (IPA + 0x7000, 3), (3, ASSIGNED, data + 0x7000, value))?;
            w.call(Command::RttFold, [realm.rd, IPA, 3])?.ok()?;
            Ok(())
        });
    }
    registry.add("rtt_fold/success/assigned_destroyed", |w| {
        // Make every page DESTROYED: RAM, destroyed one by one, and given new memory.
        let realm = realm_with_tables(w)?;
        let data = fill_block(w, &realm, IPA, true)?;
        for page in 0..512 {
            let ipa = IPA + page * 0x1000;
            w.call(Command::DataDestroy, [realm.rd, ipa])?.ok()?;
            w.call(Command::DataCreateUnknown, [realm.rd, data + page * 0x1000, ipa])?.ok()?;
        }
        w.call(Command::RttFold, [realm.rd, IPA, 3])?.ok()?;
        w.expect_entry(&realm, (IPA, 2), (2, ASSIGNED, data, ripas::DESTROYED))?;
        w.table(&realm, IPA, 3)?;
        w.expect_entry(&realm, (IPA + 0x1000, 3), (3, ASSIGNED, data + 0x1000, ripas::DESTROYED))
    });
    registry.add("rtt_fold/success/assigned_ns_to_1_gib", |w| {
        let realm = w.realm()?;
        let ipa = realm.unprotected();
        w.tables(&realm, ipa, 3)?;
        let desc = 0x40_0000_0000 | 0b111 << 2 | 0b11 << 6;
        for page in 0..512 {
            let offset = page * 0x1000;
            w.call(Command::RttMapUnprotected, [realm.rd, ipa + offset, 3, desc + offset])?.ok()?;
        }
        w.call(Command::RttFold, [realm.rd, ipa, 3])?.ok()?;
        w.expect_entry(&realm, (ipa, 2), (2, ASSIGNED, desc, 0))?;
        for block in 1..512 {
            let offset = block * 0x20_0000;
            w.call(Command::RttMapUnprotected, [realm.rd, ipa + offset, 2, desc + offset])?.ok()?;
        }
        w.call(Command::RttFold, [realm.rd, ipa, 2])?.ok()?;
        w.expect_entry(&realm, (ipa, 1), (1, ASSIGNED, desc, 0))?;
        // A 1 GiB block is the largest: a table full of them does not fold.
        for block in 1..512 {
            let offset = block << 30;
            let args = [realm.rd, ipa + offset, 1, desc + offset];
            w.call(Command::RttMapUnprotected, args)?.ok()?;
        }
        w.call(Command::RttFold, [realm.rd, ipa, 1])?.is(rtt_error(1))?;
        w.call(Command::RttDestroy, [realm.rd, ipa, 1])?.ok()?;
        Ok(())
    });
}

/// What keeps a table from being folded.
fn add_not_homogeneous(registry: &mut Registry) {
    registry.add("rtt_fold/rtt_homo/mixed_ripas", |w| {
        let realm = realm_with_tables(w)?;
        w.call(Command::RttInitRipas, [realm.rd, IPA + 0x1f_f000, IPA + 0x20_0000])?.ok()?;
        w.call(Command::RttFold, [realm.rd, IPA, 3])?.is(rtt_error(3))?;
        Ok(())
    });
    registry.add("rtt_fold/rtt_homo/table_below", |w| {
        let realm = realm_with_tables(w)?;
        w.call(Command::RttFold, [realm.rd, 0, 2])?.is(rtt_error(2))?;
        w.call(Command::RttFold, [realm.rd, 0, 1])?.is(rtt_error(1))?;
        Ok(())
    });
    registry.add("rtt_fold/rtt_homo/not_contiguous", |w| {
        let realm = realm_with_tables(w)?;
        let data = fill_block(w, &realm, IPA, true)?;
        // Swap two pages.
        for page in [100, 101] {
            w.call(Command::DataDestroy, [realm.rd, IPA + page * 0x1000])?.ok()?;
        }
        for (page, other) in [(100, 101), (101, 100)] {
            let src = w.params(&[0; 512]);
            let args = [realm.rd, data + other * 0x1000, IPA + page * 0x1000, src, 0];
            w.call(Command::DataCreate, args)?.ok()?;
        }
        w.call(Command::RttFold, [realm.rd, IPA, 3])?.is(rtt_error(3))?;
        Ok(())
    });
    registry.add("rtt_fold/rtt_homo/not_aligned", |w| {
        let realm = realm_with_tables(w)?;
        let data = w.delegated_run(513, 0x20_0000)?;
        for page in 0..512 {
            let offset = page * 0x1000;
            let args = [realm.rd, data + 0x1000 + offset, IPA + offset];
            w.call(Command::DataCreateUnknown, args)?.ok()?;
        }
        w.call(Command::RttFold, [realm.rd, IPA, 3])?.is(rtt_error(3))?;
        Ok(())
    });
    for (name, other) in [("mem_attr", 0b101 << 2 | 0b11 << 6), ("s2ap", 0b110 << 2 | 0b01 << 6)] {
        registry.add(format!("rtt_fold/rtt_homo/unprotected_{name}"), move |w| {
            let realm = w.realm()?;
            let ipa = realm.unprotected();
            w.tables(&realm, ipa, 3)?;
            for page in 0..512 {
                let offset = page * 0x1000;
                let attributes = if page == 511 { other } else { DESC & 0xfff };
                let desc = (0x8040_0000 + offset) | attributes;
                w.call(Command::RttMapUnprotected, [realm.rd, ipa + offset, 3, desc])?.ok()?;
            }
            w.call(Command::RttFold, [realm.rd, ipa, 3])?.is(rtt_error(3))?;
            Ok(())
        });
    }
    registry.add_on(Cpu::Large, "rtt_fold/success/assigned_to_1_gib", |w| {
        // That a table full of 1 GiB blocks does not fold is shown with unprotected ones
        // (assigned_ns_to_1_gib).
        let base = w.port.allocate(512 * 512, 1 << 30);
        let realm = w.realm()?;
        w.tables(&realm, 0, 2)?;
        w.port.hurry(true);
        for block in 0..512 {
            let ipa = block * 0x20_0000;
            w.table(&realm, ipa, 3)?;
            for page in 0..512 {
                let (at, pa) = (ipa + page * 0x1000, base + ipa + page * 0x1000);
                w.call(Command::GranuleDelegate, [pa])?.ok()?;
                w.call(Command::DataCreateUnknown, [realm.rd, pa, at])?.ok()?;
            }
            w.call(Command::RttFold, [realm.rd, ipa, 3])?.ok()?;
        }
        w.port.hurry(false);
        w.call(Command::RttFold, [realm.rd, 0, 2])?.ok()?;
        w.expect_entry(&realm, (0x1234_5000, 3), (1, ASSIGNED, base, ripas::EMPTY))?;
        w.table(&realm, 0, 2)?;
        w.expect_entry(&realm, (0x1220_0000, 3), (2, ASSIGNED, base + 0x1220_0000, 0))?;
        // Giving it all back takes as many commands again.
        w.port.hurry(true);
        Ok(())
    });
}
