//! Objects that an operation owns, and a second CPU that names them.

use alloc::format;

use super::super::abi::{
    BLOCKED, BUSY, Command, Desc, INCOMPLETE, INPUT, REALM, REC, Wants, entry, oaddr, ripas, rtt,
};
use super::super::outcome::Reply;
use super::super::rec::Rec;
use super::super::registry::Registry;
use super::super::world::{BLOCK, PAGE, World};
use super::good::{IPA, good, realm_with_tables, request};
use super::ripas::CHANGE_DESTROYED;
use super::sro::donating;
use crate::outcome::{Outcome, holds, same};
use crate::program::{Access, Action, Observed};

pub(super) fn add(registry: &mut Registry) {
    add_while_running(registry);
    add_operations_of_another_cpu(registry);
    registry
        .add("races/rec_create/same_rec", |w| {
            let (call, handle) = donating(w)?;
            w.complete(call.command, &call.arguments)?.one_of(&[BLOCKED, INPUT])?;
            w.finish(handle)?.ok()?;
            Ok(())
        })
        .reading("what an operation owns is BLOCKED for others (OQ-12)");
    for (name, command) in [
        ("rec_destroy", Command::RecDestroy),
        ("range_undelegate", Command::RangeUndelegate),
        ("rtt_create", Command::RttCreate),
        ("data_map_init", Command::DataMapInit),
        ("realm_create", Command::RealmCreate),
    ] {
        registry
            .add(format!("races/rec_create/rec_named_by_{name}"), move |w| {
                let (call, handle) = donating(w)?;
                let rec = call.arguments[1];
                let other = good(w, command)?;
                let mut arguments = other.arguments.clone();
                let index =
                    usize::from(matches!(command, Command::RttCreate | Command::DataMapInit));
                arguments[index] = rec;
                if command == Command::RangeUndelegate {
                    arguments[1] = rec + PAGE;
                }
                w.complete(command, &arguments)?.one_of(&[BLOCKED, INPUT])?;
                w.finish(handle)?.ok()?;
                Ok(())
            })
            .reading("what an operation owns is BLOCKED for others (OQ-12)");
    }
    registry
        .add("races/rec_create/rec_enter", |w| {
            let (call, handle) = donating(w)?;
            let run = w.page(&[0; 512]);
            let reply = w.call(Command::RecEnter, &[call.arguments[1], run])?;
            reply.one_of(&[BLOCKED, INPUT, REC])?;
            w.finish(handle)?.ok()?;
            Ok(())
        })
        .reading("a REC that is being created is no REC yet (6.8, 9.4)");
    registry.add("races/rec_create/realm_activate", |w| {
        let (call, handle) = donating(w)?;
        w.call(Command::RealmActivate, &[call.arguments[0]])?.ok()?;
        let reply = w.donate_all(handle)?;
        holds("goes on", reply.needed().is_some())?;
        w.finish(handle)?.is(REALM)?;
        Ok(())
    });
    registry.add("races/rec_create/realm_terminate", |w| {
        let (call, handle) = donating(w)?;
        let rd = call.arguments[0];
        w.ok(Command::RealmTerminate, &[rd])?;
        w.complete(Command::RealmDestroy, &[rd])?.one_of(&[REALM, BLOCKED])?;
        w.finish(handle)?.is(REALM)?;
        Ok(())
    });
    registry.add("races/rec_create/params_changed_meanwhile", |w| {
        let (call, handle) = donating(w)?;
        // The page may be read again at the end: whatever it says then, RMM survives.
        w.port.write_page(call.arguments[2], &[u64::MAX; 512]);
        w.finish(handle)?.one_of(&[0, INPUT])?;
        Ok(())
    });
    registry.add("races/rec_create/same_mpidr", |w| {
        let (call, first) = donating(w)?;
        let rec = w.delegated()?;
        let arguments = [call.arguments[0], rec, call.arguments[2]];
        let reply = w.call(Command::RecCreate, &arguments)?;
        if reply.needed() == Some(Wants::Donation) {
            w.finish(reply.handle())?.ok()?;
            w.finish(first)?.is(INPUT)?;
        } else {
            reply.one_of(&[INPUT, BUSY, BLOCKED])?;
            w.finish(first)?.ok()?;
        }
        Ok(())
    });
    registry.add("races/donate/undelegated_by_another_cpu", |w| {
        let (_, handle) = donating(w)?;
        let pa = w.delegated()?;
        w.ok(Command::RangeUndelegate, &[pa, pa + PAGE])?;
        let list = w.list(0, &[Desc::pages(pa, 1).encode()]);
        let reply = w.call(Command::OpMemDonate, &[handle, list, 1])?;
        holds("not taken", reply.status() == INPUT || reply.x[1] == 0)
    });
    registry.add("races/rec_destroy/again_while_it_gives_back", |w| {
        let call = good(w, Command::RecDestroy)?;
        let reply = w.call(call.command, &call.arguments)?;
        if reply.needed().is_none() {
            return Ok(());
        }
        w.complete(call.command, &call.arguments)?.one_of(&[BLOCKED, INPUT])?;
        w.finish(reply.handle())?.ok()?;
        w.fails(call.command, &call.arguments, INPUT)
    });
    registry.add("races/rec_destroy/realm_destroy_meanwhile", |w| {
        let call = good(w, Command::RecDestroy)?;
        let Some(realm) = call.realm else { return Ok(()) };
        w.ok(Command::RealmTerminate, &[realm.rd])?;
        let reply = w.call(call.command, &call.arguments)?;
        if reply.needed().is_none() {
            return Ok(());
        }
        w.complete(Command::RealmDestroy, &[realm.rd])?.one_of(&[REALM, BLOCKED])?;
        w.finish(reply.handle())?.ok()?;
        w.ok(Command::RealmDestroy, &[realm.rd])?;
        Ok(())
    });
    registry.add("races/operation/while_a_rec_runs", |w| {
        let (_, handle) = donating(w)?;
        let rec = w.running()?;
        let reply = w.while_running(&rec, Command::OpMemDonate, &[handle, 1, 1])?;
        reply.is(INPUT)?;
        w.finish(handle)?.ok()?;
        Ok(())
    });
    registry.add("races/deactivate/abandoned_operation", |w| {
        let (_, handle) = donating(w)?;
        for _ in 0..3 {
            w.call(Command::Deactivate, &[])?.is(BUSY)?;
        }
        // RMM survives, and other Realms live.
        let rec = w.running()?;
        w.enter(&rec)?;
        w.call(Command::Deactivate, &[])?.is(BUSY)?;
        w.finish(handle)?.ok()?;
        Ok(())
    });
}

/// Commands of another CPU while the Realm runs and has used the memory.
fn add_while_running(registry: &mut Registry) {
    registry.add("races/running/unmapped_memory_is_gone", |w| {
        let (rec, _) = with_memory(w)?;
        let rd = rec.realm.rd;
        let unmap = meanwhile(Command::DataUnmap, &[rd, IPA, IPA + PAGE, oaddr::NONE, 0]);
        let load = Action::Load(IPA, Access::WORD);
        let exit = w.run(&rec, &[load.clone(), unmap, load])?;
        same("reason, class", (exit.exit_reason, exit.esr >> 26), (0, 0x24))?;
        same("page", exit.hpfar, IPA >> 8)
    });
    registry.add("races/running/unmapped_memory_is_the_hosts", |w| {
        let (rec, pa) = with_memory(w)?;
        let rd = rec.realm.rd;
        let unmap = meanwhile(Command::DataUnmap, &[rd, IPA, IPA + PAGE, oaddr::NONE, 0]);
        w.run(&rec, &[Action::Store(IPA, Access::WORD, 0x5ec3), unmap])?;
        w.is_delegated(pa)
    });
    registry.add("races/running/mapped_memory_is_there", |w| {
        let realm = realm_with_tables(w)?;
        w.init_ripas(&realm, IPA, IPA + PAGE)?;
        let rec = w.running_in(&realm)?;
        let word = Desc::pages(w.delegated()?, 1).encode();
        let arguments = [realm.rd, IPA, IPA + PAGE, oaddr::SINGLE, word];
        let actions = [meanwhile(Command::DataMap, &arguments), Action::Load(IPA, Access::WORD)];
        let observed = w.observe(&rec, &actions)?;
        let [Observed::Reply(reply), Observed::Value(_)] = observed.as_slice() else {
            return crate::outcome::fail(format!("observed {observed:x?}"));
        };
        same("the reply", reply[0], 0)
    });
    registry.add("races/running/folded_memory_is_there", |w| {
        let realm = realm_with_tables(w)?;
        w.init_ripas(&realm, IPA, IPA + BLOCK)?;
        let base = w.delegated_run(512, BLOCK)?;
        w.map(&realm, IPA, base, 512)?;
        let rec = w.running_in(&realm)?;
        let fold = meanwhile(Command::RttFold, &[realm.rd, IPA, 3]);
        let load = Action::Load(IPA + 7 * PAGE, Access::WORD);
        let observed = w.observe(&rec, &[load.clone(), fold, load])?;
        let call = [Command::RttFold.fid(), realm.rd, IPA, 3, 0, 0, 0, 0];
        w.note_success(&Reply { command: Command::RttFold, call, x: [0; 8] });
        same("steps", observed.len(), 3)?;
        let folded = matches!(&observed[1], Observed::Reply(reply) if reply[0] == 0);
        holds("folded", folded)?;
        same("the same before and after", &observed[0], &observed[2])
    });
    registry.add("races/running/table_in_the_way", |w| {
        let (rec, _) = with_memory(w)?;
        let reply = w.while_running(&rec, Command::RttDestroy, &[rec.realm.rd, IPA, 3])?;
        reply.is(rtt(3))?;
        Ok(())
    });
    registry.add("races/running/map_against_unmap_against_set_ripas", |w| {
        let realm = realm_with_tables(w)?;
        w.init_ripas(&realm, IPA, IPA + PAGE)?;
        w.data_unknown(&realm, IPA)?;
        let (waiting, running) = (w.rec(&realm, 0)?, w.rec(&realm, 1)?);
        w.activate(&realm)?;
        // One REC waits with the wish that memory which was destroyed becomes RAM.
        request(w, &waiting, (IPA, IPA + PAGE), ripas::RAM, CHANGE_DESTROYED)?;
        let (rd, top) = (realm.rd, IPA + PAGE);
        let word = Desc::pages(w.delegated()?, 1).encode();
        let actions = [
            Action::Store(IPA, Access::WORD, 0x5ec3),
            meanwhile(Command::DataUnmap, &[rd, IPA, top, oaddr::NONE, 0]),
            meanwhile(Command::DataMap, &[rd, IPA, top, oaddr::SINGLE, word]),
            meanwhile(Command::SetRipas, &[rd, waiting.pa, IPA, top]),
            Action::Load(IPA, Access::WORD),
        ];
        let observed = w.observe(&running, &actions)?;
        let [_, replies @ .., last] = observed.as_slice() else {
            return crate::outcome::fail("nothing was observed");
        };
        for reply in replies {
            holds("each succeeds", matches!(reply, Observed::Reply([0, ..])))?;
        }
        // Not the memory that was taken away, and wiped.
        same("what the Realm reads", last, &Observed::Value(0))?;
        w.expect(&realm, IPA, (3, entry::MAPPED, ripas::RAM))
    });
    registry.add("races/running/delegation_of_one_range_by_two", |w| {
        let rec = w.running()?;
        let base = w.port.allocate(8, PAGE);
        let reply = w.while_running(&rec, Command::RangeDelegate, &[base, base + 6 * PAGE])?;
        reply.ok()?;
        w.through(Command::RangeDelegate, &[base + 4 * PAGE, base + 8 * PAGE])?;
        w.through(Command::RangeDelegate, &[base, base + 8 * PAGE])
    });
}

/// Operations that one CPU has begun, and another one drives.
fn add_operations_of_another_cpu(registry: &mut Registry) {
    registry.add("races/donate/by_another_cpu", |w| {
        let (_, handle) = donating(w)?;
        let given = Desc::pages(w.delegated()?, 1);
        let rec = w.running()?;
        let list = w.list(0, &[given.encode()]);
        w.offer(handle, &[given]);
        let reply = w.while_running(&rec, Command::OpMemDonate, &[handle, list, 1])?;
        w.remember(&reply);
        same("granules taken", (reply.status(), reply.x[1]), (INCOMPLETE, 1))?;
        // It is not the first CPU's to take back any more.
        let back = w.call(Command::RangeUndelegate, &[given.base, given.end()])?;
        holds("it is the operation's", matches!(back.status(), INPUT | BLOCKED))?;
        w.finish(handle)?.ok()?;
        Ok(())
    });
    registry.add("races/donate/against_undelegate_by_another_cpu", |w| {
        let (_, handle) = donating(w)?;
        let page = Desc::pages(w.delegated()?, 1);
        let rec = w.running()?;
        let list = w.list(0, &[page.encode()]);
        let range = [page.base, page.end()];
        w.while_running(&rec, Command::RangeUndelegate, &range)?.ok()?;
        let reply = w.call(Command::OpMemDonate, &[handle, list, 1])?;
        holds("the other CPU has it", reply.status() == INPUT || reply.x[1] == 0)?;
        w.finish(handle)?;
        Ok(())
    });
    registry.add("races/rec_create/ended_by_another_cpu", |w| {
        let (call, handle) = donating(w)?;
        w.donate_all(handle)?;
        let rec = w.running()?;
        let mut reply = w.while_running(&rec, Command::OpContinue, &[handle, 0])?;
        // The command that it answers is the one that began the operation.
        reply.call = w.operation(handle)?.begun.call;
        reply.command = Command::RecCreate;
        same("status", reply.x[0], 0)?;
        w.forget(handle);
        w.note_success(&reply);
        w.fails(Command::OpContinue, &[handle, 0], INPUT)?;
        w.destroy_rec(call.arguments[1])
    });
}

/// Another CPU sends this command.
fn meanwhile(command: Command, arguments: &[u64]) -> Action {
    let mut call = [0; 8];
    call[0] = command.fid();
    call[1..=arguments.len()].copy_from_slice(arguments);
    Action::Meanwhile(call)
}

/// A REC of a Realm that has a page of memory at [`IPA`]; the page.
#[track_caller]
fn with_memory(w: &mut World<'_>) -> Outcome<(Rec, u64)> {
    let realm = realm_with_tables(w)?;
    w.init_ripas(&realm, IPA, IPA + PAGE)?;
    let pa = w.data_unknown(&realm, IPA)?;
    Ok((w.running_in(&realm)?, pa))
}
