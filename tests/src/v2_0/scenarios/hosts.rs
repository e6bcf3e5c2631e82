//! What the hosts that exist do, call by call: Linux and its KVM, and tf-a-tests.

use alloc::format;

use super::super::abi::{Command, Desc, INPUT, RTT, SUCCESS, V2_0, oaddr, tracking, unprot_flags};
use super::super::pages::RealmParams;
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
}

/// The boot sequence of Linux 4.6, call by call.
#[track_caller]
fn linux_boot(w: &mut World<'_>) -> Outcome {
    w.negotiate()?;
    w.call(Command::Version, &[V2_0])?.ok()?;
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

/// Calls a map command as KVM does: on RMI_ERROR_RTT it makes a table one level below, and calls
/// again.
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
        // One descriptor for each call.
        let end = at + Desc::decode(desc).bytes();
        let reply = w.complete(command, &[realm.rd, at, end, flags, desc])?;
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

/// Words of KVM for `count` contiguous granules from `pa`: a block where one fits, else pages, at
/// most 511.
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
