//! What the hosts that exist do, call by call: Linux and its KVM, and tf-a-tests.

use alloc::format;
use alloc::vec::Vec;

use super::super::abi::{
    Command, Desc, INCOMPLETE, INPUT, RTT, SUCCESS, V2_0, Wants, entry, given, oaddr, rtt,
    tracking, unprot_flags,
};
use super::super::pages::{RealmParams, RecParams, flags0};
use super::super::rec::Rec;
use super::super::registry::Registry;
use super::super::world::{BLOCK, PAGE, Realm, World, entry_size};
use super::good::good;
use crate::need::Need;
use crate::outcome::{Outcome, fail, holds, same};
use crate::port::Mishap;

pub(super) fn add(registry: &mut Registry) {
    add_linux(registry);
    add_kvm(registry);
    add_tfa(registry);
    add_tfa_memory(registry);
}

/// The boot sequence of Linux 4.6, call by call.
#[track_caller]
fn linux_boot(w: &mut World<'_>) -> Outcome {
    let reply = w.call(Command::Version, &[V2_0])?;
    same("RMI_VERSION", reply.status(), SUCCESS)?;
    let mut registers = [0; 5];
    for (index, register) in (0..).zip(&mut registers) {
        *register = w.features(index)?;
    }
    holds("feature register 0", registers[0] != 0)?;
    holds("pages of 4 KiB", registers[1] & 1 == 1)?;
    let config = w.page(&[0; 512]);
    w.call(Command::ConfigSet, &[config])?.ok()?;
    w.ok(Command::Activate, &[])?;
    // Memory as this machine has it: what surrounds the Host's first granule.
    let base = w.granule();
    let mut at = base;
    let end = base + 4 * BLOCK;
    while at < end {
        let reply = w.call(Command::TrackingGet, &[at, end])?.ok()?;
        same(
            "category, state",
            (reply.x[1], reply.x[2]),
            (tracking::CONVENTIONAL, tracking::FINE),
        )?;
        holds("progress", at < reply.x[3] && reply.x[3] <= end)?;
        at = reply.x[3];
    }
    let l0 = match registers[1] >> 10 & 15 {
        0 => 1 << 30,
        4 => 1 << 34,
        6 => 1 << 36,
        _ => 1 << 39,
    };
    let (low, high) = (base & !(l0 - 1), (end + l0 - 1) & !(l0 - 1));
    // It repeats the call with the wrong argument: only an answer for all of it helps.
    w.call(Command::GptInfo, &[low, high])?.ok()?.out(1, high)?.out(2, 1)?;
    Ok(())
}

fn add_linux(registry: &mut Registry) {
    registry.add_before("hosts/linux/boot", linux_boot);
    registry.add_before("hosts/linux/boot_fails_and_starts_again", |w| {
        linux_boot(w)?;
        w.ok(Command::Deactivate, &[])?;
        linux_boot(w)
    });
    registry.add_before("hosts/linux/boot_and_a_realm", |w| {
        linux_boot(w)?;
        let rec = kvm_realm(w)?;
        w.enter(&rec)?;
        Ok(())
    });
    registry.add("hosts/linux/delegation_stops_half_way", |w| {
        let realm = w.realm()?;
        w.tables(&realm, 0, 3)?;
        let base = w.delegated_run(8, PAGE)?;
        w.map(&realm, 0, base + 5 * PAGE, 1)?;
        w.through(Command::RangeUndelegate, &[base, base + 5 * PAGE])?;
        let mut at = base;
        let failed = loop {
            let reply = w.complete(Command::RangeDelegate, &[at, base + 8 * PAGE])?;
            if reply.status() != SUCCESS {
                break reply;
            }
            at = reply.x[1];
        };
        failed.is(INPUT)?;
        w.through(Command::RangeUndelegate, &[base, at])
    });
    registry.add("hosts/linux/undelegates_mixed_ranges", |w| {
        let base = w.port.allocate(8, PAGE);
        w.ok(Command::RangeDelegate, &[base + 2 * PAGE, base + 3 * PAGE])?;
        w.through(Command::RangeUndelegate, &[base, base + 8 * PAGE])
    });
    registry.add("hosts/linux/cancels_when_it_has_no_memory", |w| {
        let call = good(w, Command::RecCreate)?;
        let handle = w.begin(call.command, &call.arguments)?;
        if !w.operation(handle)?.can_cancel {
            return fail("Linux warns and leaks");
        }
        w.call(Command::OpCancel, &[handle])?;
        w.finish(handle)?.is_error()?;
        call.succeeds(w)?;
        Ok(())
    });
}

/// Parameters as KVM fills them in: nothing but the geometry.
#[track_caller]
fn kvm_params(w: &mut World<'_>) -> Outcome<RealmParams> {
    let params = w.realm_params(40, 0, 1)?;
    Ok(RealmParams {
        s2sz: params.s2sz,
        rtt_base: params.rtt_base,
        rtt_level_start: params.rtt_level_start,
        rtt_num_start: params.rtt_num_start,
        ..RealmParams::default()
    })
}

/// Calls a map command as KVM does: on RMI_ERROR_RTT it makes a table one level below, and calls again.
#[track_caller]
fn kvm_map(
    w: &mut World<'_>,
    realm: &Realm,
    command: Command,
    range: (u64, u64),
    word: impl Fn(u64) -> (u64, u64),
) -> Outcome {
    let (mut at, top) = range;
    let mut tables = 0;
    while at < top {
        let (flags, desc) = word(at);
        let reply = w.complete(command, &[realm.rd, at, top, flags, desc])?;
        if reply.status() == RTT {
            let level = (reply.x[0] >> 8 & 0xff).cast_signed() + 1;
            tables += 1;
            holds("KVM would loop for ever", level <= 3 && tables <= 8)?;
            let (rtt_granule, base) = (w.delegated()?, at & !(entry_size(level - 1) - 1));
            let arguments = [realm.rd, rtt_granule, base, level.cast_unsigned()];
            w.ok(Command::RttCreate, &arguments)?;
            continue;
        }
        at = reply.ok()?.x[1];
    }
    Ok(())
}

/// INIT_RIPAS as KVM does.
#[track_caller]
fn kvm_init_ripas(w: &mut World<'_>, realm: &Realm, base: u64, top: u64) -> Outcome {
    let mut at = base;
    while at < top {
        let reply = w.complete(Command::InitRipas, &[realm.rd, at, top])?;
        if reply.status() == RTT {
            let level = (reply.x[0] >> 8 & 0xff).cast_signed() + 1;
            holds("KVM gives up", level <= 3)?;
            w.tables(realm, at, level)?;
            continue;
        }
        at = reply.ok()?.x[1];
    }
    Ok(())
}

/// A Realm as KVM builds it: memory at 0x8000_0000, a vCPU.
#[track_caller]
fn kvm_realm(w: &mut World<'_>) -> Outcome<Rec> {
    let params = kvm_params(w)?;
    let realm = w.realm_with(&params)?;
    const BASE: u64 = 0x8000_0000;
    for page in 0..4 {
        let (data, src) = (w.delegated()?, w.page(&[page; 512]));
        let ipa = BASE + page * PAGE;
        loop {
            let arguments = [realm.rd, data, ipa, src, 1];
            let reply = w.complete(Command::DataMapInit, &arguments)?;
            if reply.status() != RTT {
                reply.ok()?;
                break;
            }
            w.tables(&realm, ipa, (reply.x[0] >> 8 & 0xff).cast_signed() + 1)?;
        }
    }
    let rec = w.rec(&realm, 0)?;
    kvm_init_ripas(w, &realm, BASE, BASE + 64 * PAGE)?;
    w.activate(&realm)?;
    Ok(rec)
}

/// Words of KVM for `count` contiguous granules from `pa`: a block where one fits, else pages, at most 511.
fn kvm_word(base: u64, top: u64, pa: u64, flags: u64) -> impl Fn(u64) -> (u64, u64) {
    move |at| {
        let (from, left) = (pa + at - base, top - at);
        let block = at.is_multiple_of(BLOCK) && from.is_multiple_of(BLOCK) && left >= BLOCK;
        let desc =
            if block { Desc::block(from, 2) } else { Desc::pages(from, (left / PAGE).min(511)) };
        (flags, desc.encode())
    }
}

fn add_kvm(registry: &mut Registry) {
    registry
        .add("hosts/kvm/realm_create", |w| {
            let params = kvm_params(w)?;
            w.realm_with(&params)?;
            Ok(())
        })
        .reading("KVM asks for 0 breakpoints and gets the minimum (OQ-3)");
    registry.add("hosts/kvm/realm", |w| {
        let rec = kvm_realm(w)?;
        w.enter(&rec)?;
        Ok(())
    });
    for (name, count, align) in
        [("page", 1, PAGE), ("pages", 100, PAGE), ("block", 512, BLOCK), ("more", 700, BLOCK)]
    {
        registry.add(format!("hosts/kvm/fault/{name}"), move |w| {
            let rec = kvm_realm(w)?;
            let base = 0x9000_0000;
            let pa = w.delegated_run(count, align)?;
            let top = base + count * PAGE;
            let word = kvm_word(base, top, pa, oaddr::SINGLE);
            kvm_map(w, &rec.realm, Command::DataMap, (base, top), word)
        });
    }
    registry.add("hosts/kvm/fault/block_where_a_table_is", |w| {
        let rec = kvm_realm(w)?;
        let base = 0x9000_0000;
        w.tables(&rec.realm, base, 3)?;
        let pa = w.delegated_run(512, BLOCK)?;
        let word = kvm_word(base, base + BLOCK, pa, oaddr::SINGLE);
        kvm_map(w, &rec.realm, Command::DataMap, (base, base + BLOCK), word)
    });
    registry.add("hosts/kvm/fault/shared", |w| {
        let rec = kvm_realm(w)?;
        let base = rec.realm.unprotected() + 0x9000_0000;
        let top = base + BLOCK + 8 * PAGE;
        let flags = unprot_flags(oaddr::SINGLE, 6, 3);
        let word = kvm_word(base, top, 0x8020_0000, flags);
        kvm_map(w, &rec.realm, Command::UnprotMap, (base, top), word)
    });
    registry.add("hosts/kvm/unmap", |w| {
        let rec = kvm_realm(w)?;
        let (base, top) = (0x9000_0000, 0x9000_0000 + BLOCK);
        let pa = w.delegated_run(512, BLOCK)?;
        kvm_map(w, &rec.realm, Command::DataMap, (base, top), kvm_word(base, top, pa, 1))?;
        // A piece out of the middle of a block.
        let found = w.unmap(Command::DataUnmap, &rec.realm, (base + 8 * PAGE, base + 12 * PAGE))?;
        let count: u64 = found.iter().map(|desc| desc.count).sum();
        same("pages", count, 4)?;
        for desc in found {
            w.through(Command::RangeUndelegate, &[desc.base, desc.end()])?;
        }
        Ok(())
    });
    registry
        .add("hosts/kvm/spins_on_pending_interrupts", |w| {
            let rec = kvm_realm(w)?;
            let base = 0x9000_0000;
            let pa = w.delegated_run(64, PAGE)?;
            w.arm(Mishap::Pending(true))?;
            let top = base + 64 * PAGE;
            kvm_map(w, &rec.realm, Command::DataMap, (base, top), kvm_word(base, top, pa, 1))?;
            w.unmap(Command::DataUnmap, &rec.realm, (base, top))?;
            w.arm(Mishap::Pending(false))
        })
        .needs(Need::PendingInterrupt);
}

/// The SRO loop of tf-a-tests: a list at page offset 80, one entry fewer than asked, one descriptor a page, and X1 and X2 of
/// OP_CONTINUE the wrong way round.
#[track_caller]
fn tfa_loop(w: &mut World<'_>, command: Command, arguments: &[u64]) -> Outcome {
    let mut reply = w.call(command, arguments)?;
    same("it starts as an operation", reply.status(), INCOMPLETE)?;
    let mut handle = reply.handle();
    for _ in 0..1000 {
        reply = match reply.needed() {
            Some(Wants::Donation) => {
                let request = w.operation(handle)?.request;
                let count = if request.count > 1 { request.count - 1 } else { 1 };
                let descs = w.blocks(request, count.min(400))?;
                let reply = w.donate(handle, 80, &descs)?;
                same("granules taken", reply.x[1], descs.len() as u64)?;
                reply
            }
            Some(Wants::Reclaim) => w.reclaim(handle, 0, 512)?,
            Some(Wants::Nothing) => {
                let reply = w.call(Command::OpContinue, &[0, handle])?;
                if reply.status() == INCOMPLETE {
                    handle = reply.x[1];
                }
                reply
            }
            None => return reply.ok().map(|_| ()),
        };
    }
    fail("no end")
}

/// A Realm as tf-a-tests create it.
#[track_caller]
fn tfa_realm(w: &mut World<'_>) -> Outcome<Realm> {
    let fr0 = w.features(0)?;
    let mut params = w.realm_params(40, 0, 1)?;
    params.num_bps = fr0 >> 14 & 63;
    params.num_wps = fr0 >> 20 & 63;
    params.flags0 = 1 << flags0::MEC_SHIFT;
    w.realm_with(&params)
}

fn add_tfa(registry: &mut Registry) {
    registry
        .add("hosts/tfa/rec_create_and_destroy", |w| {
            let realm = tfa_realm(w)?;
            let (rec, page) = (w.delegated()?, w.page(&w.rec_params(&realm, 0).to_page()));
            tfa_loop(w, Command::RecCreate, &[realm.rd, rec, page])?;
            tfa_loop(w, Command::RecDestroy, &[rec])
        })
        .reading("tf-a-tests insist on an operation, and mix up X1 and X2 (OQ-6, OQ-9)");
    registry
        .add("hosts/tfa/eight_recs", |w| {
            let realm = tfa_realm(w)?;
            let mut recs = Vec::new();
            for index in 0..8 {
                let flags = u64::from(index == 0);
                let params = RecParams { flags, ..w.rec_params(&realm, index) };
                let (rec, page) = (w.delegated()?, w.page(&params.to_page()));
                tfa_loop(w, Command::RecCreate, &[realm.rd, rec, page])?;
                recs.push(rec);
            }
            for rec in recs {
                tfa_loop(w, Command::RecDestroy, &[rec])?;
            }
            Ok(())
        })
        .reading("tf-a-tests insist on an operation, and mix up X1 and X2 (OQ-6, OQ-9)");
    registry.add_before("hosts/tfa/garbage_in_the_configuration", |w| {
        w.negotiate()?;
        let mut page = [0xdead_beef_dead_beef; 512];
        (page[0], page[1]) = (0, 0);
        let page = w.page(&page);
        w.call(Command::ConfigSet, &[page])?.ok()?;
        w.call(Command::Activate, &[])?.ok()?;
        Ok(())
    });
    registry.add("hosts/tfa/configuration_reads_back", |w| {
        let page = w.page(&[u64::MAX; 512]);
        w.call(Command::ConfigGet, &[page])?.ok()?;
        same("page", &w.port.read_page(page)[..2], &[0, 0])
    });
    registry.add("hosts/tfa/one_page_per_range_call", |w| {
        let base = w.port.allocate(16, PAGE);
        for command in [Command::RangeDelegate, Command::RangeUndelegate] {
            for number in [3, 0, 15, 7, 8] {
                let pa = base + number * PAGE;
                w.call(command, &[pa, pa + PAGE])?.ok()?;
            }
        }
        w.call(Command::RangeUndelegate, &[base + 1, base + 1 + PAGE])?.is_error()?;
        Ok(())
    });
    for (name, lpa2) in [("lpa2", true), ("plain", false)] {
        registry.add(format!("hosts/tfa/realm_create_{name}"), move |w| {
            let fr0 = w.features(0)?;
            if !lpa2 {
                tfa_realm(w)?;
                return Ok(());
            }
            let mut params = w.realm_params(40, 0, 1)?;
            params.flags0 = flags0::LPA2 | 1 << flags0::MEC_SHIFT;
            (params.s2sz, params.rtt_level_start) = (52, -1);
            let (rd, page) = (w.delegated()?, w.params(&params.to_page()));
            let works = fr0 >> 8 & 1 == 1;
            let code = if works { SUCCESS } else { INPUT };
            w.fails(Command::RealmCreate, &[rd, page], code)
        });
    }
    registry.add("hosts/tfa/teardown", |w| {
        let realm = tfa_realm(w)?;
        let rec = w.running_in(&realm)?;
        w.enter(&rec)?;
        // RECs and tables first, the end of the Realm after them.
        w.destroy_rec(rec.pa)?;
        w.empty(&realm)?;
        w.destroy_tables(&realm)?;
        w.call(Command::RealmTerminate, &[realm.rd])?.ok()?;
        w.ok(Command::RealmDestroy, &[realm.rd])?;
        Ok(())
    });
}

/// Levels of a mapping: 3, 2, 1.
fn add_tfa_memory(registry: &mut Registry) {
    for level in [3, 2, 1] {
        registry.add(format!("hosts/tfa/unprot_map_level_{level}"), move |w| {
            let realm = tfa_realm(w)?;
            let size = entry_size(level);
            let base = realm.unprotected() + (1 << 30);
            let desc = Desc::block(0x8000_0000, level);
            // The state as it was coded before the third beta.
            let word = desc.encode() | 1 << 63;
            let arguments = [realm.rd, base, base + size, unprot_flags(oaddr::SINGLE, 6, 3), word];
            let mut reply = w.call(Command::UnprotMap, &arguments)?;
            if reply.status() == RTT {
                w.tables(&realm, base, level)?;
                reply = w.call(Command::UnprotMap, &arguments)?;
            }
            reply.ok()?.out(1, base + size)?;
            let [walked, state, ..] = w.read_entry(&realm, base, level)?;
            same("level, state", (walked.cast_signed(), state), (level, entry::MAPPED))?;
            let arguments = [realm.rd, base, base + size, oaddr::SINGLE, 0];
            let reply = w.call(Command::UnprotUnmap, &arguments)?.ok()?;
            reply.out(1, base + size)?;
            Ok(())
        });
    }
    registry.add("hosts/tfa/data_map_and_unmap", |w| {
        let realm = tfa_realm(w)?;
        let (base, pa) = (0x8800_0000, w.delegated()?);
        let word = Desc::pages(pa, 1).state(given::DELEGATED).encode();
        let arguments = [realm.rd, base, base + PAGE, oaddr::SINGLE, word];
        let reply = w.call(Command::DataMap, &arguments)?;
        reply.is(rtt(0))?;
        // All levels at once, then one more try.
        w.tables(&realm, base, 3)?;
        w.call(Command::DataMap, &arguments)?.ok()?;
        let arguments = [realm.rd, base, base + PAGE, oaddr::SINGLE, 0];
        let reply = w.call(Command::DataUnmap, &arguments)?;
        same("X0", reply.x[0], 0)?;
        reply.out(2, word)?.out(3, 1)?;
        Ok(())
    });
    registry.add("hosts/tfa/data_map_init_is_immediate", |w| {
        let realm = tfa_realm(w)?;
        w.tables(&realm, 0, 3)?;
        let (data, src) = (w.delegated()?, w.page(&[1; 512]));
        w.call(Command::DataMapInit, &[realm.rd, data, 0, src, 0])?.ok()?;
        Ok(())
    });
    registry.add("hosts/tfa/ripas_is_immediate", |w| {
        let realm = tfa_realm(w)?;
        w.tables(&realm, 0, 3)?;
        w.call(Command::InitRipas, &[realm.rd, 0, PAGE])?.ok()?.out(1, PAGE)?;
        Ok(())
    });
    registry.add("hosts/tfa/folds_of_level_1", |w| {
        let realm = tfa_realm(w)?;
        w.tables(&realm, 0, 1)?;
        w.call(Command::RttFold, &[realm.rd, 0, 1])?.ok()?;
        Ok(())
    });
}
