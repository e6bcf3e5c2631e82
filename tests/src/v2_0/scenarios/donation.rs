//! Donation and reclaim: how memory goes into an operation and comes back.

use alloc::format;
use alloc::vec::Vec;

use super::super::abi::{BLOCKED, Command, Desc, INCOMPLETE, INPUT, Wants, given};
use super::super::registry::Registry;
use super::super::world::{PAGE, World};
use super::sro::{donating, reclaiming, satisfied};
use crate::need::Need;
use crate::outcome::{Outcome, fail, holds, same};
use crate::port::{Mishap, Place};

pub(super) fn add(registry: &mut Registry) {
    add_donation(registry);
    add_bad_donations(registry);
    add_reclaim(registry);
}

fn add_donation(registry: &mut Registry) {
    registry.add("op_mem_donate/success/all", |w| {
        let (_, handle) = donating(w)?;
        let request = w.operation(handle)?.request;
        let descs = w.blocks(request, request.count)?;
        let reply = w.donate(handle, 0, &descs)?.wants(Wants::Nothing)?;
        reply.out(1, request.granules())?.out(2, 0)?;
        w.finish(handle)?.ok()?;
        Ok(())
    });
    registry.add("op_mem_donate/success/one_by_one", |w| {
        let (_, handle) = donating(w)?;
        let count = w.operation(handle)?.request.count;
        for left in (0..count).rev() {
            let request = w.operation(handle)?.request;
            let descs = w.blocks(request, 1)?;
            let reply = w.donate(handle, 0, &descs)?.out(1, 1)?;
            if left == 0 {
                reply.wants(Wants::Nothing)?;
            } else {
                same("rest", reply.wants(Wants::Donation)?.request().count, left)?;
            }
        }
        w.finish(handle)?.ok()?;
        Ok(())
    });
    registry.add("op_mem_donate/success/empty_list", |w| {
        let (_, handle) = donating(w)?;
        let request = w.operation(handle)?.request;
        let reply = w.donate(handle, 0, &[])?.wants(Wants::Donation)?.out(1, 0)?;
        same("request", reply.request(), request)
    });
    registry.add("op_mem_donate/success/the_list_is_not_changed", |w| {
        let (_, handle) = donating(w)?;
        let request = w.operation(handle)?.request;
        let descs = w.blocks(request, request.count)?;
        let words: Vec<u64> = descs.iter().map(|desc| desc.encode()).collect();
        let list = w.list(0, &words);
        w.offer(handle, &descs);
        w.call(Command::OpMemDonate, &[handle, list, words.len() as u64])?;
        same("list", w.port.read_page(list)[..words.len()].to_vec(), words)
    });
    for at in [8, 80, 0x800, 0xff8] {
        registry.add(format!("op_mem_donate/success/list_at_{at:#x}"), move |w| {
            let (_, handle) = donating(w)?;
            let request = w.operation(handle)?.request;
            let room = (PAGE - at) / 8;
            let descs = w.blocks(request, request.count.min(room))?;
            w.donate(handle, at, &descs)?.out(1, descs.len() as u64)?;
            w.finish(handle)?.ok()?;
            Ok(())
        });
    }
    registry.add("op_mem_donate/success/merged_run", |w| {
        let (_, handle) = donating(w)?;
        let count = w.operation(handle)?.request.count;
        let base = w.delegated_run(count, PAGE)?;
        w.donate(handle, 0, &[Desc::pages(base, count)])?.out(1, count)?;
        w.finish(handle)?.ok()?;
        Ok(())
    });
    registry.add("op_mem_donate/success/count_past_the_page", |w| {
        // The list is read to the end of its granule.
        let (_, handle) = donating(w)?;
        let desc = Desc::pages(w.delegated()?, 1);
        let list = w.list(0xff8, &[desc.encode()]);
        w.offer(handle, &[desc]);
        let reply = w.call(Command::OpMemDonate, &[handle, list, 1000])?;
        reply.out(1, 1)?;
        w.finish(handle)?.ok()?;
        Ok(())
    });
    registry.add("op_mem_donate/success/x4_is_ignored", |w| {
        let (_, handle) = donating(w)?;
        let desc = Desc::pages(w.delegated()?, 1);
        let list = w.list(0, &[desc.encode()]);
        w.offer(handle, &[desc]);
        let fid = Command::OpMemDonate.fid();
        let call = [fid, handle, list, 1, 0xffff_0000_dead_beef, 5, 6, 7];
        w.send(Command::OpMemDonate, call)?.out(1, 1)?;
        Ok(())
    });
    registry
        .add("op_mem_donate/request/form", |w| {
            let (_, handle) = donating(w)?;
            let request = w.operation(handle)?.request;
            holds("at least one granule", request.count > 0 && request.size == 0)?;
            holds("Linux serves it", !request.contiguous || request.count <= 1023)?;
            same("state", request.state, given::DELEGATED)
        })
        .reading("a REC is made of single delegated granules (first profile)");
}

/// A list that is refused, and how it differs from a good one.
#[track_caller]
fn refused(w: &mut World<'_>, handle: u64, arguments: &[u64]) -> Outcome {
    w.call(Command::OpMemDonate, arguments)?.is(INPUT)?.out(1, 0)?;
    // The operation is where it was.
    satisfied(w, handle)?;
    w.finish(handle)?.ok()?;
    Ok(())
}

fn add_bad_donations(registry: &mut Registry) {
    for offset in [1, 4] {
        registry.add(format!("op_mem_donate/list_align/{offset}"), move |w| {
            let (_, handle) = donating(w)?;
            let list = w.list(0, &[]);
            refused(w, handle, &[handle, list + offset, 1])
        });
    }
    for (name, place) in
        [("device", Some(Place::Device)), ("beyond_pa", Some(Place::BeyondPa)), ("delegated", None)]
    {
        registry.add(format!("op_mem_donate/list_pas/{name}"), move |w| {
            let (_, handle) = donating(w)?;
            let list = match place {
                Some(place) => w.place(place)? & !7,
                None => w.delegated()?,
            };
            refused(w, handle, &[handle, list, 1])
        });
    }
    registry
        .add("op_mem_donate/list_pas/late_fault", |w| {
            let (_, handle) = donating(w)?;
            let desc = Desc::pages(w.delegated()?, 1);
            let list = w.list(0, &[desc.encode()]);
            w.arm(Mishap::HostFault(0))?;
            refused(w, handle, &[handle, list, 1])
        })
        .needs(Need::HostFault);
    registry.add("op_mem_donate/mem_gt", |w| {
        let (_, handle) = donating(w)?;
        let count = w.operation(handle)?.request.count + 1;
        let base = w.delegated_run(count, PAGE)?;
        let list = w.list(0, &[Desc::pages(base, count).encode()]);
        refused(w, handle, &[handle, list, 1])
    });
    registry.add("op_mem_donate/mem_gt/block", |w| {
        let (_, handle) = donating(w)?;
        let base = w.delegated_run(512, 0x20_0000)?;
        let list = w.list(0, &[Desc::block(base, 2).encode()]);
        refused(w, handle, &[handle, list, 1])
    });
    registry.add("op_mem_donate/mem_gt/overflow", |w| {
        let (_, handle) = donating(w)?;
        let base = w.delegated()?;
        let huge = Desc { base, size: 3, count: 1023, state: 0 };
        let list = w.list(0, &[huge.encode(), huge.encode()]);
        refused(w, handle, &[handle, list, 2])
    });
    registry.add("op_mem_donate/mem_state/first", |w| {
        let (_, handle) = donating(w)?;
        let pa = w.granule();
        let list = w.list(0, &[Desc::pages(pa, 1).encode()]);
        let reply = w.call(Command::OpMemDonate, &[handle, list, 1])?;
        // By the text the donation is refused and nothing else happens; another monitor ends the
        // operation.
        match reply.needed() {
            Some(Wants::Reclaim) => w.finish(handle)?.is(INPUT)?,
            _ => reply.is(INPUT)?,
        };
        Ok(())
    });
    registry.add("op_mem_donate/mem_state/second", |w| {
        let (_, handle) = donating(w)?;
        if w.operation(handle)?.request.count < 2 {
            return Ok(());
        }
        let (good, bad) = (Desc::pages(w.delegated()?, 1), Desc::pages(w.granule(), 1));
        let reply = w.donate(handle, 0, &[good, bad])?;
        if reply.needed() == Some(Wants::Donation) {
            reply.out(1, 1)?;
            w.finish(handle)?.ok()?;
        }
        Ok(())
    });
    registry.add("op_mem_donate/mem_state/same_page_twice", |w| {
        let (_, handle) = donating(w)?;
        let desc = Desc::pages(w.delegated()?, 1);
        let reply = w.donate(handle, 0, &[desc, desc])?;
        if reply.status() == INCOMPLETE {
            holds("taken once", reply.x[1] <= 1)?;
        }
        Ok(())
    });
    for (name, number) in [("rd", 0), ("rec", 1)] {
        registry.add(format!("op_mem_donate/mem_state/{name}_of_the_operation"), move |w| {
            let (call, handle) = donating(w)?;
            let pa = call.arguments[number];
            let list = w.list(0, &[Desc::pages(pa, 1).encode()]);
            let reply = w.call(Command::OpMemDonate, &[handle, list, 1])?;
            holds("it is not taken", reply.status() == INPUT || reply.x[1] == 0)
        });
    }
    for (name, place) in [("device", Place::Device), ("beyond_pa", Place::BeyondPa)] {
        registry.add(format!("op_mem_donate/mem_state/{name}"), move |w| {
            let (_, handle) = donating(w)?;
            let pa = w.place(place)? & 0x000f_ffff_ffff_f000;
            let list = w.list(0, &[Desc::pages(pa, 1).encode()]);
            let reply = w.call(Command::OpMemDonate, &[handle, list, 1])?;
            holds("it is not taken", reply.status() == INPUT || reply.x[1] == 0)
        });
    }
    registry
        .add("op_mem_donate/mem_state/field_is_ignored", |w| {
            let (_, handle) = donating(w)?;
            let desc = Desc::pages(w.delegated()?, 1).state(given::UNDELEGATED);
            let list = w.list(0, &[desc.encode()]);
            w.offer(handle, &[desc.state(given::DELEGATED)]);
            w.call(Command::OpMemDonate, &[handle, list, 1])?.out(1, 1)?;
            Ok(())
        })
        .reading("what state memory is in is not for the descriptor to say (0.4)");
    registry.add("op_mem_donate/mem_align", |w| {
        let (_, handle) = donating(w)?;
        let base = w.delegated_run(512, 0x20_0000)?;
        let bad = Desc { base: base + PAGE, size: 1, count: 1, state: 0 };
        let list = w.list(0, &[bad.encode()]);
        w.call(Command::OpMemDonate, &[handle, list, 1])?.is(INPUT)?;
        Ok(())
    });
}

fn add_reclaim(registry: &mut Registry) {
    registry.add("op_mem_reclaim/success/all", |w| {
        let handle = reclaiming(w)?;
        let reply = w.reclaim_all(handle)?;
        reply.wants(Wants::Nothing)?;
        holds("something came back", reply.x[1] > 0)?;
        w.call(Command::OpContinue, &[handle, 0])?.ok()?;
        Ok(())
    });
    registry.add("op_mem_reclaim/success/one_by_one", |w| {
        let handle = reclaiming(w)?;
        for _ in 0..1000 {
            let reply = w.reclaim(handle, 0, 1)?;
            if reply.needed() == Some(Wants::Nothing) {
                w.call(Command::OpContinue, &[handle, 0])?.ok()?;
                return Ok(());
            }
            reply.wants(Wants::Reclaim)?.out(1, 1)?;
        }
        fail("it does not come to its end")
    });
    registry.add("op_mem_reclaim/success/count_zero", |w| {
        let handle = reclaiming(w)?;
        w.reclaim(handle, 0, 0)?.wants(Wants::Reclaim)?.out(1, 0)?;
        Ok(())
    });
    registry.add("op_mem_reclaim/success/end_of_the_page", |w| {
        let handle = reclaiming(w)?;
        let guard = w.granule();
        let reply = w.reclaim(handle, 0xff8, 1000)?;
        holds("at most what fits", reply.x[1] <= 1)?;
        same("the next page", w.port.read_page(guard)[0], w.port.read_page(guard)[1])
    });
    registry.add("op_mem_reclaim/success/comes_back_delegated_and_wiped", |w| {
        let realm = w.realm()?;
        let rec = w.rec(&realm, 0)?;
        let before = w.delegated_count();
        w.destroy_rec(rec.pa)?;
        same("granules", w.delegated_count(), before)?;
        w.take_apart(&realm)?;
        w.give_back_memory()
    });
    registry.add("op_mem_reclaim/list_align", |w| {
        let handle = reclaiming(w)?;
        let list = w.list(0, &[]);
        for offset in [1, 4] {
            w.call(Command::OpMemReclaim, &[handle, list + offset, 8])?.is(INPUT)?;
        }
        w.finish(handle)?.ok()?;
        Ok(())
    });
    for (name, place) in
        [("device", Some(Place::Device)), ("beyond_pa", Some(Place::BeyondPa)), ("delegated", None)]
    {
        registry.add(format!("op_mem_reclaim/list_pas/{name}"), move |w| {
            let handle = reclaiming(w)?;
            let list = match place {
                Some(place) => w.place(place)? & !7,
                None => w.delegated()?,
            };
            w.call(Command::OpMemReclaim, &[handle, list, 8])?.is(INPUT)?;
            w.finish(handle)?.ok()?;
            Ok(())
        });
    }
    registry
        .add("op_mem_reclaim/list_pas/late_fault", |w| {
            let handle = reclaiming(w)?;
            let list = w.list(0, &[]);
            w.arm(Mishap::HostFault(0))?;
            w.call(Command::OpMemReclaim, &[handle, list, 8])?.is(INPUT)?.out(1, 0)?;
            // Nothing is lost: the next call tells of it.
            w.finish(handle)?.ok()?;
            Ok(())
        })
        .needs(Need::HostFault);
    registry.add("op_mem_reclaim/success/nobody_elses_before", |w| {
        let (_, handle) = donating(w)?;
        satisfied(w, handle)?;
        let given: Vec<u64> = w.operation(handle)?.given.keys().copied().collect();
        for pa in given {
            let reply = w.complete(Command::RangeUndelegate, &[pa, pa + PAGE])?;
            reply.one_of(&[BLOCKED, INPUT])?;
        }
        Ok(())
    });
}
