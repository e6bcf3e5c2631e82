//! Hosts of both interfaces, one after the other, in one life of RMM.

use alloc::format;

use super::super::abi::{Command, GLOBAL, GONE, INPUT, NOTSUP, SUCCESS, UNKNOWN, V1_0, V2_0};
use super::super::registry::Registry;
use super::super::world::{PAGE, World};
use crate::outcome::{Outcome, fail, holds, same};

pub(super) fn add(registry: &mut Registry) {
    registry.add_before("dialects/one_after_the_other", |w| {
        if !offers_1_0(w)? {
            return Ok(());
        }
        first_host(w)?;
        w.negotiate()?;
        w.boot()?;
        let rec = w.running()?;
        w.enter(&rec)?;
        w.give_everything_back()?;
        first_host(w)
    });
    registry.add_before("dialects/ten_times", |w| {
        if !offers_1_0(w)? {
            return Ok(());
        }
        for _ in 0..10 {
            first_host(w)?;
            w.boot()?;
            w.realm()?;
            w.give_everything_back()?;
        }
        Ok(())
    });
    registry
        .add_before("dialects/latch/delegated_by_1_0", |w| {
            if !offers_1_0(w)? {
                return Ok(());
            }
            let pa = w.granule();
            one(w, [0xc400_0151, pa, 0, 0, 0, 0, 0, 0], SUCCESS)?;
            // A Host of 2.0 that finds memory of the last one sees that it cannot go on.
            let reply = w.call(Command::Version, &[V2_0])?;
            same("X0 to X2", &reply.x[..3], &[INPUT, V1_0, V1_0])?;
            one(w, [Command::Activate.fid(), 0, 0, 0, 0, 0, 0, 0], UNKNOWN)?;
            one(w, [0xc400_0152, pa, 0, 0, 0, 0, 0, 0], SUCCESS)?;
            w.negotiate()
        })
        .reading("memory of a Host of 1.0 keeps RMM with 1.0 (choice of 3.2)");
    registry
        .add_before("dialects/latch/command_of_2_0_after_version_1_0", |w| {
            // What a Host does counts for more than what it has asked for.
            offers_1_0(w)?;
            let page = w.page(&[0; 512]);
            w.call(Command::ConfigSet, &[page])?.ok()?;
            w.ok(Command::Activate, &[])?;
            let reply = w.call(Command::Version, &[V1_0])?;
            same("X0 to X2", &reply.x[..3], &[INPUT, V2_0, V2_0])
        })
        .reading("the first command that only one interface has decides (choice of 3.2)");
    registry
        .add_before("dialects/latch/command_of_1_0_after_version_2_0", |w| {
            if !offers_1_0(w)? {
                return Ok(());
            }
            w.negotiate()?;
            let pa = w.granule();
            one(w, [0xc400_0151, pa, 0, 0, 0, 0, 0, 0], SUCCESS)?;
            let reply = w.call(Command::Version, &[V2_0])?;
            same("X0 to X2", &reply.x[..3], &[INPUT, V1_0, V1_0])?;
            one(w, [0xc400_0152, pa, 0, 0, 0, 0, 0, 0], SUCCESS)?;
            w.negotiate()
        })
        .reading("the first command that only one interface has decides (choice of 3.2)");
    registry
        .add_before("dialects/latch/command_of_2_0_without_version", |w| {
            let page = w.page(&[0; 512]);
            w.call(Command::ConfigSet, &[page])?.ok()?;
            w.ok(Command::Activate, &[])?;
            w.realm()?;
            Ok(())
        })
        .reading("the first command that only one interface has decides (choice of 3.2)");
    for &(number, name) in GONE {
        registry
            .add(format!("dialects/latch/no_{name}_in_2_0"), move |w| {
                w.delegated()?;
                let pa = w.granule();
                one(w, [0xc400_0000 + number, pa, 0, 0, 0, 0, 0, 0], UNKNOWN)
            })
            .reading("a command of 1.0 is unknown while a Host of 2.0 is served (choice of 3.2)");
    }
    registry
        .add_before("dialects/latch/absent_feature_chooses_nothing", |w| {
            if !offers_1_0(w)? {
                return Ok(());
            }
            // PDEV_CREATE: changes nothing, and a Host of 1.0 knows no such command.
            let Some([x0, ..]) = w.port.call([0xc400_0176, 0, 0, 0, 0, 0, 0, 0]) else {
                return fail("no answer");
            };
            holds("not carried out", [UNKNOWN, GLOBAL, NOTSUP].contains(&x0))?;
            let reply = w.call(Command::Version, &[V1_0])?;
            same("X0 to X2", &reply.x[..3], &[SUCCESS, V1_0, V2_0])?;
            first_host(w)
        })
        .reading("only a command that changes something chooses a version (3.2)");
    registry
        .add_before("dialects/latch/no_2_0_in_1_0", |w| {
            if !offers_1_0(w)? {
                return Ok(());
            }
            let pa = w.granule();
            one(w, [0xc400_0151, pa, 0, 0, 0, 0, 0, 0], SUCCESS)?;
            for command in [
                Command::RangeDelegate,
                Command::ConfigSet,
                Command::ConfigGet,
                Command::StateGet,
                Command::OpContinue,
                Command::RealmTerminate,
            ] {
                one(w, [command.fid(), pa, pa + PAGE, 0, 0, 0, 0, 0], UNKNOWN)?;
            }
            one(w, [0xc400_0152, pa, 0, 0, 0, 0, 0, 0], SUCCESS)?;
            w.negotiate()
        })
        .reading("a command of 2.0 is unknown while a Host of 1.0 is served (OQ-18)");
}

/// Whether RMM serves Hosts of 1.0, and then it does.
#[track_caller]
fn offers_1_0(w: &mut World<'_>) -> Outcome<bool> {
    Ok(w.call(Command::Version, &[V1_0])?.status() == SUCCESS)
}

/// X0 of a raw call.
#[track_caller]
fn one(w: &mut World<'_>, call: [u64; 8], code: u64) -> Outcome {
    match w.port.call(call) {
        Some([x0, ..]) => same(&format!("{:#x}", call[0]), x0, code),
        None => fail(format!("no answer to {call:x?}")),
    }
}

/// A Host of 1.0 that runs a Realm and returns everything.
#[track_caller]
fn first_host(w: &mut World<'_>) -> Outcome {
    let reply = w.call(Command::Version, &[V1_0])?;
    holds("1.0 is offered", reply.status() == SUCCESS)?;
    let mut host = crate::world::World::new(&mut *w.port);
    let rec = host.running()?;
    host.enter(&rec)?;
    host.give_everything_back()
}
