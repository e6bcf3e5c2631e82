//! Unfinished operations: which call is for which state, donation, reclaim, cancelling, handles.

use alloc::format;
use alloc::vec::Vec;

use super::super::abi::{BLOCKED, BUSY, Command, Desc, INCOMPLETE, INPUT, REALM, SUCCESS, Wants};
use super::super::outcome::Reply;
use super::super::registry::Registry;
use super::super::world::{PAGE, World};
use super::good::{Good, good};
use crate::outcome::{Outcome, holds, same};

pub(super) fn add(registry: &mut Registry) {
    add_table(registry);
    add_cancel(registry);
    add_failed(registry);
    add_handles(registry);
}

/// A REC_CREATE that would succeed, and the handle of its operation, which wants a donation.
#[track_caller]
pub(super) fn donating(w: &mut World<'_>) -> Outcome<(Good, u64)> {
    let call = good(w, Command::RecCreate)?;
    let handle = w.begin(call.command, &call.arguments)?;
    Ok((call, handle))
}

/// Gives everything but does not go on.
#[track_caller]
pub(super) fn satisfied(w: &mut World<'_>, handle: u64) -> Outcome<Reply> {
    let mut reply = w.donate_all(handle)?;
    while reply.needed() == Some(Wants::Donation) {
        reply = w.donate_all(handle)?;
    }
    reply.wants(Wants::Nothing)
}

/// The handle of a REC_DESTROY that has memory to give back.
#[track_caller]
pub(super) fn reclaiming(w: &mut World<'_>) -> Outcome<u64> {
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

/// A donation that is refused, and what becomes of the operation when the Host goes on all the
/// same.
fn add_failed(registry: &mut Registry) {
    for (name, some) in [("nothing_given", false), ("some_given", true)] {
        registry
            .add(format!("sro/failed_donation/{name}"), move |w| {
                let (call, handle) = donating(w)?;
                let request = w.operation(handle)?.request;
                let mut given = 0;
                if some && request.count > 1 {
                    let descs = w.blocks(request, 1)?;
                    given = w.donate(handle, 0, &descs)?.x[1];
                }
                let count = request.count + 1;
                let base = w.delegated_run(count, PAGE)?;
                let list = w.list(0, &[Desc::pages(base, count).encode()]);
                w.call(Command::OpMemDonate, &[handle, list, 1])?.is(INPUT)?;
                let mut reply = w.call(Command::OpContinue, &[handle, 0])?;
                if reply.status() == INCOMPLETE {
                    reply.wants(Wants::Reclaim)?;
                    reply = w.finish(handle)?;
                } else {
                    holds("what was given has to come back", given == 0)?;
                    w.forget(handle);
                }
                reply.is(INPUT)?;
                // The handle is free.
                w.call(Command::OpContinue, &[handle, 0])?.is(INPUT)?;
                call.succeeds(w)?;
                Ok(())
            })
            .reading("a donation that fails and OP_CONTINUE after it end the operation (0.4)");
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
    registry
        .add("sro/handle/again_after_a_failure", |w| {
            // Not the first handle, which may be the one that says nothing.
            let (_, first) = donating(w)?;
            let (call, second) = donating(w)?;
            w.ok(Command::RealmActivate, &[call.arguments[0]])?;
            w.donate_all(second)?;
            let reply = w.call(Command::OpContinue, &[second, 0])?;
            let goes_on = reply.status() == INCOMPLETE;
            holds("X1", !goes_on || reply.x[1] == second)?;
            if goes_on {
                w.finish(second)?.is(REALM)?;
            }
            w.finish(first)?.ok()?;
            Ok(())
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
        // And so is a Realm that cannot have another REC.
        let late = good(w, Command::RecCreate)?;
        w.ok(Command::RealmActivate, &[late.arguments[0]])?;
        w.call(late.command, &late.arguments)?.is(REALM)?;
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
    let mut handles = Vec::new();
    while handles.len() < 4096 {
        let page = w.page(&w.rec_params(&realm, handles.len() as u64).to_page());
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
        w.finish(*handle)?.ok()?;
    }
    Ok(handles.len())
}
