//! RMI_DATA_CREATE, RMI_DATA_CREATE_UNKNOWN, RMI_DATA_DESTROY: what they do.

use super::good::{IPA, realm_with_tables, request};
use super::registry::{Cpu, Registry};
use crate::abi::{Command, INPUT, RealmParams, RecEnter, entry_state, ripas, rtt_error};
use crate::need::Need;
use crate::outcome::{Outcome, holds, same};
use crate::port::Mishap;
use crate::program::{Access, Action, Observed};
use crate::world::{Realm, World, secret_page};

use entry_state::{ASSIGNED, UNASSIGNED};

pub(super) fn add(registry: &mut Registry) {
    add_create(registry);
    add_create_unknown(registry);
    add_destroy(registry);
    add_bounds(registry);
}

fn add_create(registry: &mut Registry) {
    registry.add("data_create/success", |w| {
        let realm = realm_with_tables(w)?;
        let page = secret_page(3);
        let data = w.data(&realm, IPA, &page)?;
        w.expect_entry(&realm, (IPA, 3), (3, ASSIGNED, data, ripas::RAM))?;
        // The Realm reads the Host's bytes.
        let rec = w.rec(&realm, 0)?;
        w.activate(&realm)?;
        let observed = w.observe(&rec, &[Action::Load(IPA + 0x888, Access::WORD)])?;
        same("contents", observed, [Observed::Value(page[0x888 / 8])].into())
    });
    registry.add("data_create/success/any_ripas", |w| {
        let realm = realm_with_tables(w)?;
        // EMPTY, RAM, DESTROYED before.
        w.call(Command::RttInitRipas, [realm.rd, IPA + 0x1000, IPA + 0x2000])?.ok()?;
        w.data(&realm, IPA + 0x2000, &secret_page(1))?;
        w.call(Command::DataDestroy, [realm.rd, IPA + 0x2000])?.ok()?;
        for page in 0..3 {
            let ipa = IPA + page * 0x1000;
            let data = w.data(&realm, ipa, &secret_page(page))?;
            w.expect_entry(&realm, (ipa, 3), (3, ASSIGNED, data, ripas::RAM))?;
        }
        Ok(())
    });
    registry.add("data_create/flags_reserved_bits_ignored", |w| {
        let realm = realm_with_tables(w)?;
        let data = w.delegated()?;
        let src = w.page(&secret_page(5));
        // SBZ: a monitor may also refuse; it must not do anything else.
        let reply = w.call(Command::DataCreate, [realm.rd, data, IPA, src, 0xf0])?;
        holds("success or RMI_ERROR_INPUT", reply.code <= INPUT)
    });
    registry
        .add("data_create/src_changes_while_copied", |w| {
            let realm = realm_with_tables(w)?;
            let data = w.delegated()?;
            let src = w.page(&[1; 512]);
            // The Host rewrites a word that was copied already, and one that was not.
            w.arm(Mishap::HostChange(100, src + 8 * 50, 2))?;
            w.call(Command::DataCreate, [realm.rd, data, IPA, src, 1])?.ok()?;
            let rec = w.rec(&realm, 0)?;
            w.activate(&realm)?;
            let observed = w.observe(&rec, &[Action::Load(IPA + 8 * 50, Access::WORD)])?;
            same("contents as copied", observed, [Observed::Value(1)].into())
        })
        .needs(Need::HostChange);
    registry
        .add("data_create/fault_leaves_no_trace", |w| {
            let realm = realm_with_tables(w)?;
            let data = w.delegated()?;
            let src = w.page(&secret_page(8));
            w.arm(Mishap::HostFault(511))?;
            w.call(Command::DataCreate, [realm.rd, data, IPA, src, 1])?.is(INPUT)?;
            w.expect_entry(&realm, (IPA, 3), (3, UNASSIGNED, 0, ripas::EMPTY))?;
            // Still DELEGATED.
            w.call(Command::GranuleUndelegate, [data])?.ok()?;
            Ok(())
        })
        .needs(Need::HostFault);
}

fn add_create_unknown(registry: &mut Registry) {
    registry.add("data_create_unknown/success", |w| {
        let realm = realm_with_tables(w)?;
        let data = w.data_unknown(&realm, IPA)?;
        w.expect_entry(&realm, (IPA, 3), (3, ASSIGNED, data, ripas::EMPTY))
    });
    registry.add("data_create_unknown/success/ripas_unchanged", |w| {
        let realm = realm_with_tables(w)?;
        w.call(Command::RttInitRipas, [realm.rd, IPA, IPA + 0x2000])?.ok()?;
        w.data_unknown(&realm, IPA + 0x1000)?;
        w.call(Command::DataDestroy, [realm.rd, IPA + 0x1000])?.ok()?;
        for (page, before) in [(0, ripas::RAM), (1, ripas::DESTROYED), (2, ripas::EMPTY)] {
            let ipa = IPA + page * 0x1000;
            w.expect_entry(&realm, (ipa, 3), (3, UNASSIGNED, 0, before))?;
            let data = w.data_unknown(&realm, ipa)?;
            w.expect_entry(&realm, (ipa, 3), (3, ASSIGNED, data, before))?;
        }
        Ok(())
    });
    registry.add("data_create_unknown/success/contents_of_nobody", |w| {
        let rec = w.running()?;
        let realm = rec.realm;
        w.tables(&realm, IPA, 3)?;
        let data = w.delegated()?;
        w.call(Command::DataCreateUnknown, [realm.rd, data, IPA])?.ok()?;
        request(w, &rec, (IPA, IPA + 0x1000), ripas::RAM, 0)?;
        w.call(Command::RttSetRipas, [realm.rd, rec.pa, IPA, IPA + 0x1000])?.ok()?;
        w.finish(&rec, &RecEnter::default())?;
        let observed = w.observe(&rec, &[Action::Load(IPA + 0x40, Access::WORD)])?;
        let hosts = Observed::Value(secret_page(data)[8]);
        holds("nothing of the Host's", observed.len() == 1 && observed[0] != hosts)
    });
    registry.add("data_create_unknown/success/system_off", |w| {
        let rec = w.running()?;
        w.tables(&rec.realm, IPA, 3)?;
        w.run(&rec, &[crate::rec::smc(&[crate::abi::rsi::PSCI_SYSTEM_OFF])])?;
        w.data_unknown(&rec.realm, IPA)?;
        w.call(Command::DataDestroy, [rec.realm.rd, IPA])?.ok()?;
        Ok(())
    });
}

fn add_destroy(registry: &mut Registry) {
    registry.add("data_destroy/success", |w| {
        let realm = realm_with_tables(w)?;
        let first = w.data(&realm, IPA, &secret_page(1))?;
        let second = w.data_unknown(&realm, IPA + 0x3000)?;
        // The next live entry, and then the end of the table.
        let destroy = Command::DataDestroy;
        w.call(destroy, [realm.rd, IPA])?.ok()?.out(1, first)?.out(2, IPA + 0x3000)?;
        w.expect_entry(&realm, (IPA, 3), (3, UNASSIGNED, 0, ripas::DESTROYED))?;
        let end = IPA + 0x20_0000;
        w.call(destroy, [realm.rd, IPA + 0x3000])?.ok()?.out(1, second)?.out(2, end)?;
        w.expect_entry(&realm, (IPA + 0x3000, 3), (3, UNASSIGNED, 0, ripas::EMPTY))?;
        w.call(destroy, [realm.rd, IPA + 0x3000])?.is_top(rtt_error(3), 2, end)?;
        Ok(())
    });
    registry.add("data_destroy/success/destroyed_stays_destroyed", |w| {
        let realm = realm_with_tables(w)?;
        w.data(&realm, IPA, &secret_page(1))?;
        w.call(Command::DataDestroy, [realm.rd, IPA])?.ok()?;
        let data = w.data_unknown(&realm, IPA)?;
        w.call(Command::DataDestroy, [realm.rd, IPA])?.ok()?.out(1, data)?;
        w.expect_entry(&realm, (IPA, 3), (3, UNASSIGNED, 0, ripas::DESTROYED))
    });
    registry.add("data_destroy/success/seen_by_a_running_realm", |w| {
        let rec = w.running()?;
        let realm = rec.realm;
        let mut destroy = [0; 8];
        destroy[..3].copy_from_slice(&[Command::DataDestroy.fid(), realm.rd, 0]);
        // The page is in the translation caches when another CPU takes it away.
        let exit = w.run(
            &rec,
            &[
                Action::Store(0, Access::WORD, 42),
                Action::Meanwhile(destroy),
                Action::Load(0, Access::WORD),
            ],
        )?;
        same("the load aborts", (exit.esr >> 26, exit.hpfar), (0x24, 0))?;
        w.expect_entry(&realm, (0, 3), (3, UNASSIGNED, 0, ripas::DESTROYED))
    });
    registry.add("data_destroy/rtte_state/top_is_any_live_entry", |w| {
        let realm = w.realm()?;
        w.tables(&realm, 0, 3)?;
        w.tables(&realm, 300 * 0x20_0000, 3)?;
        // RAM, the second half of it DESTROYED, and then nothing: what is UNASSIGNED is not live,
        // whatever its RIPAS.
        w.call(Command::RttInitRipas, [realm.rd, 0, 0x10_0000])?.ok()?;
        for page in [0x70, 0x90, 0xa0] {
            w.data_unknown(&realm, page * 0x1000)?;
        }
        w.call(Command::DataDestroy, [realm.rd, 0x9_0000])?.ok()?.out(2, 0xa_0000)?;
        w.call(Command::DataDestroy, [realm.rd, 0xa_0000])?.ok()?.out(2, 0x20_0000)?;
        // RAM that is ASSIGNED, and memory without RIPAS RAM, which the hardware does not see.
        w.data_unknown(&realm, 0x1f_0000)?;
        let destroy = Command::DataDestroy;
        w.call(destroy, [realm.rd, 0x1000])?.is_top(rtt_error(3), 2, 0x7_0000)?;
        w.call(destroy, [realm.rd, 0x7_1000])?.is_top(rtt_error(3), 2, 0x1f_0000)?;
        w.call(destroy, [realm.rd, 0x7_0000])?.ok()?.out(2, 0x1f_0000)?;
        w.call(destroy, [realm.rd, 0x1f_1000])?.is_top(rtt_error(3), 2, 0x20_0000)?;
        // A table far away.
        let far = 300 * 0x20_0000;
        w.call(Command::RttDestroy, [realm.rd, 0x20_0000, 3])?.is_top(rtt_error(2), 2, far)?;
        w.call(Command::RttDestroy, [realm.rd, far, 3])?.ok()?.out(2, 1 << 30)?;
        Ok(())
    });
    registry.add("data_destroy/rtt_walk/top", |w| {
        let realm = w.realm()?;
        let destroy = Command::DataDestroy;
        // Nothing at all: the end of the start table, past the IPA space.
        w.call(destroy, [realm.rd, 0x1000])?.is_top(rtt_error(0), 2, 1 << 48)?;
        w.tables(&realm, 0, 1)?;
        let end = 1 << 39;
        w.call(destroy, [realm.rd, 0x5000])?.is_top(rtt_error(1), 2, end)?;
        w.tables(&realm, 7 << 30, 2)?;
        w.call(destroy, [realm.rd, 0x5000])?.is_top(rtt_error(1), 2, 7 << 30)?;
        w.call(destroy, [realm.rd, 8 << 30])?.is_top(rtt_error(1), 2, end)?;
        Ok(())
    });
    registry.add("data_destroy/rtt_walk/block", |w| {
        let (realm, data) = folded_block(w)?;
        let destroy = Command::DataDestroy;
        // A live block: top is the address as it was given.
        w.call(destroy, [realm.rd, IPA])?.is_top(rtt_error(2), 2, IPA)?;
        w.call(destroy, [realm.rd, IPA + 0x5000])?.is_top(rtt_error(2), 2, IPA + 0x5000)?;
        w.table(&realm, IPA, 3)?;
        let next = IPA + 0x6000;
        let reply = w.call(destroy, [realm.rd, IPA + 0x5000])?.ok()?;
        reply.out(1, data + 0x5000)?.out(2, next)?;
        Ok(())
    });
}

/// A Realm with a 2 MiB block of RAM at [`IPA`], and its physical address.
pub(super) fn folded_block(w: &mut World<'_>) -> Outcome<(Realm, u64)> {
    let realm = realm_with_tables(w)?;
    let data = fill_block(w, &realm, IPA, true)?;
    w.call(Command::RttFold, [realm.rd, IPA, 3])?.ok()?;
    Ok((realm, data))
}

/// 512 contiguous pages at `ipa`, RAM or EMPTY; their physical address.
pub(super) fn fill_block(w: &mut World<'_>, realm: &Realm, ipa: u64, ram: bool) -> Outcome<u64> {
    let data = w.delegated_run(512, 0x20_0000)?;
    if ram {
        w.call(Command::RttInitRipas, [realm.rd, ipa, ipa + 0x20_0000])?.ok()?;
    }
    for page in 0..512 {
        let offset = page * 0x1000;
        w.call(Command::DataCreateUnknown, [realm.rd, data + offset, ipa + offset])?.ok()?;
    }
    Ok(data)
}

fn add_bounds(registry: &mut Registry) {
    for command in [Command::DataCreate, Command::DataCreateUnknown] {
        let label = command.label();
        let create = move |w: &mut World<'_>, realm: &Realm, data: u64, ipa: u64| {
            let src = w.params(&[0; 512]);
            w.call(command, [realm.rd, data, ipa, src, 0])
        };
        registry.add(alloc::format!("{label}/ipa_bound/beyond_any_space"), move |w| {
            let realm = realm_with_tables(w)?;
            let data = w.delegated()?;
            for ipa in [1 << 39, 1 << 40, 1 << 52, 1 << 63, u64::MAX - 0xfff] {
                create(w, &realm, data, ipa)?.is(INPUT)?;
            }
            create(w, &realm, data, IPA)?.ok()?;
            Ok(())
        });
        registry
            .add(alloc::format!("{label}/data_bound2"), move |w| {
                let high = w.high()?;
                w.call(Command::GranuleDelegate, [high])?.ok()?;
                let realm = realm_with_tables(w)?;
                create(w, &realm, high, IPA)?.is(INPUT)?;
                let mut params = w.realm_params(40, 0, 1)?;
                params.flags = RealmParams::LPA2;
                let large = w.realm_with(&params)?;
                w.tables(&large, IPA, 3)?;
                create(w, &large, high, IPA)?.ok()?;
                let reply = w.read_entry(&large, IPA, 3)?;
                reply.out(3, high)?;
                Ok(())
            })
            .needs(Need::HighMemory);
        registry.add(alloc::format!("{label}/rtt_walk/each_level"), move |w| {
            let realm = w.realm()?;
            let data = w.delegated()?;
            for level in 0..3 {
                create(w, &realm, data, IPA)?.is(rtt_error(level))?;
                w.table(&realm, IPA & !(crate::world::entry_size(level) - 1), level + 1)?;
            }
            create(w, &realm, data, IPA)?.ok()?;
            // With other memory: that the first is in use would be a failure of its own.
            let other = w.delegated()?;
            create(w, &realm, other, IPA)?.is(rtt_error(3))?;
            Ok(())
        });
        registry.add(alloc::format!("{label}/rtt_walk/block"), move |w| {
            let (realm, _) = folded_block(w)?;
            let data = w.delegated()?;
            create(w, &realm, data, IPA + 0x1000)?.is(rtt_error(2))?;
            Ok(())
        });
    }
    registry.add_on(Cpu::Plain, "data_destroy/success/small_cpu", |w| {
        let realm = realm_with_tables(w)?;
        let data = w.data_unknown(&realm, IPA)?;
        w.call(Command::DataDestroy, [realm.rd, IPA])?.ok()?.out(1, data)?;
        Ok(())
    });
}
