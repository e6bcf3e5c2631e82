//! Objects that an operation owns, and a second CPU that names them.

use alloc::format;

use super::super::abi::{BLOCKED, BUSY, Command, Desc, INPUT, REALM, REC, Wants};
use super::super::registry::Registry;
use super::super::world::PAGE;
use super::good::good;
use super::sro::donating;
use crate::outcome::holds;

pub(super) fn add(registry: &mut Registry) {
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
