//! Unfinished operations: which call is for which state, donation, reclaim, cancelling, handles.

use alloc::format;
use alloc::vec::Vec;

use super::super::abi::{BLOCKED, BUSY, Command, Desc, INCOMPLETE, INPUT, SUCCESS, Wants, given};
use super::super::outcome::Reply;
use super::super::registry::Registry;
use super::super::world::{PAGE, World};
use super::good::{Good, good};
use crate::need::Need;
use crate::outcome::{Outcome, fail, holds, same};
use crate::port::{Mishap, Place};

pub(super) fn add(registry: &mut Registry) {
    add_table(registry);
    add_donation(registry);
    add_bad_donations(registry);
    add_reclaim(registry);
    add_cancel(registry);
    add_handles(registry);
}

/// A REC_CREATE that would succeed, and the handle of its operation, which wants a donation.
#[track_caller]
pub fn donating(w: &mut World<'_>) -> Outcome<(Good, u64)> {
    let call = good(w, Command::RecCreate)?;
    let handle = w.begin(call.command, &call.arguments)?;
    Ok((call, handle))
}

/// Gives everything but does not go on.
#[track_caller]
fn satisfied(w: &mut World<'_>, handle: u64) -> Outcome<Reply> {
    let mut reply = w.donate_all(handle)?;
    while reply.needed() == Some(Wants::Donation) {
        reply = w.donate_all(handle)?;
    }
    reply.wants(Wants::Nothing)
}

/// The handle of a REC_DESTROY that has memory to give back.
#[track_caller]
fn reclaiming(w: &mut World<'_>) -> Outcome<u64> {
    let call = good(w, Command::RecDestroy)?;
    let reply = w.call(call.command, &call.arguments)?.wants(Wants::Reclaim)?;
    Ok(reply.handle())
}

/// An operation in a state, by the name of the state.
type Stage = fn(&mut World<'_>) -> Outcome<u64>;

/// States of an operation, and which of continue, donate and reclaim are for them.
static STAGES: &[(&str, Stage, [bool; 3])] = &[
    (
        "run",
        |w| {
            let (_, handle) = donating(w)?;
            satisfied(w, handle)?;
            Ok(handle)
        },
        [true, false, false],
    ),
    ("donate", |w| Ok(donating(w)?.1), [false, true, false]),
    ("reclaim", reclaiming, [false, false, true]),
    ("unknown", |_| Ok(77), [false, false, false]),
    ("freed", freed, [false, false, false]),
    ("huge", |_| Ok(u64::MAX), [false, false, false]),
];

/// The handle of an operation that is over.
fn freed(w: &mut World<'_>) -> Outcome<u64> {
    let (_, handle) = donating(w)?;
    w.finish(handle)?.ok()?;
    Ok(handle)
}

fn add_table(registry: &mut Registry) {
    for &(state, stage, works) in STAGES {
        registry.add(format!("sro/table/continue_in_{state}"), move |w| {
            let handle = stage(w)?;
            let reply = w.call(Command::OpContinue, &[handle, 0])?;
            judge(&reply, works[0])
        });
        registry.add(format!("sro/table/donate_in_{state}"), move |w| {
            let handle = stage(w)?;
            let desc = Desc::pages(w.delegated()?, 1);
            let reply = w.donate(handle, 0, &[desc])?;
            if !works[1] {
                w.set_aside(desc.base);
            }
            judge(&reply, works[1])
        });
        registry.add(format!("sro/table/reclaim_in_{state}"), move |w| {
            let handle = stage(w)?;
            let list = w.list(0, &[]);
            if works[2] {
                w.reclaim_all(handle)?;
                return Ok(());
            }
            judge(&w.call(Command::OpMemReclaim, &[handle, list, 8])?, false)
        });
        registry.add(format!("sro/table/cancel_in_{state}"), move |w| {
            let handle = stage(w)?;
            let works = w.operation(handle).is_ok_and(|operation| operation.can_cancel);
            holds("RECLAIM cannot be cancelled", state != "reclaim" || !works)?;
            judge(&w.call(Command::OpCancel, &[handle])?, works)
        });
    }
}

/// A call that is for the state goes on; one that is not is RMI_ERROR_INPUT.
#[track_caller]
fn judge(reply: &Reply, works: bool) -> Outcome {
    if works {
        return holds("the call works", matches!(reply.status(), SUCCESS | INCOMPLETE | BUSY));
    }
    reply.is(INPUT)?;
    Ok(())
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
        // By the text the donation is refused and nothing else happens; another monitor ends the operation.
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

fn add_cancel(registry: &mut Registry) {
    registry
        .add("op_cancel/success/nothing_given", |w| {
            let (call, handle) = donating(w)?;
            let reply = w.call(Command::OpCancel, &[handle])?;
            same("status", reply.status(), INCOMPLETE)?;
            w.finish(handle)?.is_error()?;
            call.succeeds(w)?;
            Ok(())
        })
        .reading("an operation that waits for memory can be cancelled, as Linux demands");
    registry
        .add("op_cancel/success/some_given", |w| {
            let (call, handle) = donating(w)?;
            let request = w.operation(handle)?.request;
            if request.count < 2 {
                return Ok(());
            }
            let descs = w.blocks(request, 1)?;
            w.donate(handle, 0, &descs)?.wants(Wants::Donation)?;
            w.call(Command::OpCancel, &[handle])?.wants(Wants::Reclaim)?;
            let reply = w.reclaim_all(handle)?.wants(Wants::Nothing)?;
            same("entries", reply.x[1], 1)?;
            w.call(Command::OpContinue, &[handle, 0])?.is_error()?;
            w.is_delegated(descs[0].base)?;
            call.succeeds(w)?;
            Ok(())
        })
        .reading("an operation that waits for memory can be cancelled, as Linux demands");
    registry
        .add("op_cancel/success/terminal_code", |w| {
            let (_, handle) = donating(w)?;
            w.call(Command::OpCancel, &[handle])?;
            w.finish(handle)?.is(INPUT)?;
            Ok(())
        })
        .reading("a cancelled operation ends with INPUT (OQ-8)");
    registry.add("op_cancel/can_cancel", |w| {
        let handle = reclaiming(w)?;
        holds("not while it gives back", !w.operation(handle)?.can_cancel)?;
        w.call(Command::OpCancel, &[handle])?.is(INPUT)?;
        Ok(())
    });
    registry.add("op_cancel/complete", |w| {
        w.call(Command::OpCancel, &[0])?.is(INPUT)?;
        w.call(Command::OpCancel, &[u64::MAX])?.is(INPUT)?;
        Ok(())
    });
    registry.add("op_continue/complete", |w| {
        w.call(Command::OpContinue, &[0, 0])?.is(INPUT)?;
        w.call(Command::OpContinue, &[u64::MAX, 0])?.is(INPUT)?;
        Ok(())
    });
    for flags in [1, 1 << 1 | 1, 1 << 63] {
        registry.add(format!("op_continue/success/flags_{flags:#x}"), move |w| {
            let (_, handle) = donating(w)?;
            satisfied(w, handle)?;
            let mut reply = w.call(Command::OpContinue, &[handle, flags])?;
            if reply.status() == INCOMPLETE || reply.status() == BUSY {
                reply = w.finish(handle)?;
            }
            // A Host that asks it to stop early may be obeyed.
            reply.one_of(&[SUCCESS, INPUT])?;
            Ok(())
        });
    }
}

fn add_handles(registry: &mut Registry) {
    registry
        .add("sro/handle/lowest_first", |w| {
            let (_, first) = donating(w)?;
            let (_, second) = donating(w)?;
            let (_, third) = donating(w)?;
            same("handles", [first, second, third], [0, 1, 2])?;
            w.finish(second)?.ok()?;
            let (_, again) = donating(w)?;
            same("the lowest that is free", again, 1)
        })
        .reading("a handle is the number of a slot, the lowest free one first (OQ-6)");
    registry
        .add("sro/handle/again_in_every_answer", |w| {
            let (_, handle) = donating(w)?;
            satisfied(w, handle)?;
            let reply = w.call(Command::OpContinue, &[handle, 0])?;
            holds("X1", reply.status() != INCOMPLETE || reply.x[1] == handle)?;
            let handle = if reply.status() == INCOMPLETE { handle } else { reclaiming(w)? };
            let reply = w.finish(handle)?;
            same("its end", reply.status(), SUCCESS)
        })
        .reading("tf-a-tests take the handle from every answer of OP_CONTINUE (OQ-6)");
    registry.add("sro/handle/two_at_once", |w| {
        let (_, first) = donating(w)?;
        let (_, second) = donating(w)?;
        holds("they differ", first != second)?;
        satisfied(w, second)?;
        satisfied(w, first)?;
        w.finish(first)?.ok()?;
        w.finish(second)?.ok()?;
        Ok(())
    });
    registry.add("sro/slots/exhausted", |w| {
        let mut handles = Vec::new();
        for _ in 0..4096 {
            let call = good(w, Command::RecCreate)?;
            let reply = w.call(call.command, &call.arguments)?;
            if reply.status() != INCOMPLETE {
                reply.one_of(&[BLOCKED, BUSY])?;
                break;
            }
            handles.push((call, reply.handle()));
            holds("not for ever", handles.len() < 2000)?;
        }
        holds("at least two", handles.len() >= 2)?;
        // A wrong argument is seen all the same.
        let call = good(w, Command::RecCreate)?;
        w.call(call.command, &[call.arguments[0], 1, 1])?.is(INPUT)?;
        let (_, handle) = handles[0];
        w.finish(handle)?.ok()?;
        call.succeeds(w)?;
        Ok(())
    });
    registry.add("sro/slots/constant_after_failures", |w| {
        let most = open_until_full(w)?;
        let call = good(w, Command::RecCreate)?;
        w.port.hurry(true);
        for number in 0..1000 {
            let mut arguments = call.arguments.clone();
            arguments[number % 3] = 0x0bad;
            w.call(call.command, &arguments)?.is(INPUT)?;
        }
        w.port.hurry(false);
        same("slots", open_until_full(w)?, most)
    });
}

/// Begins operations until there is no slot, and ends all of them; how many there were.
#[track_caller]
fn open_until_full(w: &mut World<'_>) -> Outcome<usize> {
    let realm = w.realm()?;
    let page = w.page(&w.rec_params(&realm, 0).to_page());
    let mut handles = Vec::new();
    while handles.len() < 4096 {
        let rec = w.delegated()?;
        let reply = w.call(Command::RecCreate, &[realm.rd, rec, page])?;
        if reply.status() != INCOMPLETE {
            reply.one_of(&[BLOCKED, BUSY])?;
            w.set_aside(rec);
            break;
        }
        handles.push(reply.handle());
    }
    for handle in &handles {
        // All but the first have an MPIDR that is taken by then.
        w.finish(*handle)?.one_of(&[SUCCESS, INPUT])?;
    }
    Ok(handles.len())
}
