//! The calling convention: numbers, registers, the order of general checks.

use alloc::format;
use alloc::vec::Vec;

use super::super::abi::{
    Command, GLOBAL, GONE, INPUT, NOTSUP, OPTIONAL, SUCCESS, UNKNOWN, V2_0, When,
};
use super::super::outcome::Reply;
use super::super::registry::Registry;
use super::super::world::World;
use super::good::{WITH_GOOD, good};
use crate::need::Need;
use crate::outcome::{Outcome, fail, holds, same};

pub(super) fn add(registry: &mut Registry) {
    add_numbers(registry);
    add_registers(registry);
    add_gate(registry);
}

/// X0 of a raw call.
#[track_caller]
fn code(w: &mut World<'_>, call: [u64; 8]) -> Outcome<u64> {
    match w.port.call(call) {
        Some([x0, ..]) => Ok(x0),
        None => fail(format!("no answer to {call:x?}")),
    }
}

fn add_numbers(registry: &mut Registry) {
    for &(number, name) in GONE {
        registry.add(format!("abi/gone/{name}"), move |w| {
            let pa = w.granule();
            same("X0", code(w, [0xc400_0000 + number, pa, 0, 0, 0, 0, 0, 0])?, UNKNOWN)
        });
    }
    for &(family, numbers) in OPTIONAL {
        registry.add(format!("abi/optional/{family}"), move |w| {
            for number in numbers {
                let reply = code(w, [0xc400_0000 + number, 0, 0, 0, 0, 0, 0, 0])?;
                // A small monitor may not know a whole family.
                holds("NOT_SUPPORTED or unknown", reply == NOTSUP || reply == UNKNOWN)?;
            }
            Ok(())
        });
    }
    registry.add("plat_token_refresh/unsupported", |w| {
        w.call(Command::PlatTokenRefresh, &[])?.one_of(&[NOTSUP, UNKNOWN, SUCCESS])?;
        Ok(())
    });
    registry.add("abi/unknown/rest_of_the_windows", |w| {
        for number in (0x150..=0x18e).chain(0x1d0..=0x2cf) {
            let fid = 0xc400_0000 + number;
            let known = Command::ALL.iter().any(|command| command.fid() == fid)
                || OPTIONAL.iter().any(|(_, numbers)| numbers.contains(&number));
            if !known {
                same(&format!("{fid:#x}"), code(w, [fid, 1, 2, 3, 4, 5, 6, 7])?, UNKNOWN)?;
            }
        }
        Ok(())
    });
    registry
        .add("abi/unknown/other_owners", |w| {
            for fid in [0, 1, 0x8000_0000, 0x8400_0150, 0xc300_0150, 0x4400_0158, u64::MAX] {
                same(&format!("{fid:#x}"), code(w, [fid, 0, 0, 0, 0, 0, 0, 0])?, UNKNOWN)?;
            }
            Ok(())
        })
        .needs(Need::NoFirmware);
    registry.add("abi/unknown/registers_kept", |w| {
        let call = [0xc400_02cf, 1, 2, 3, 0x4444, 0x5555, 0x6666, 0x7777];
        let reply = w.port.call(call).unwrap_or_default();
        same("X0", reply[0], UNKNOWN)?;
        same("X4 to X7", &reply[4..], &call[4..])
    });
    registry.add("abi/sve_hint", |w| {
        for command in [Command::Version, Command::StateGet, Command::Features] {
            let argument = if command == Command::Version { V2_0 } else { 1 };
            let call = [command.fid(), argument, 0, 0, 9, 9, 9, 9];
            let mut hinted = call;
            hinted[0] |= 1 << 16;
            same(command.label(), w.port.call(hinted), w.port.call(call))?;
        }
        let pa = w.granule();
        let fid = Command::RangeDelegate.fid() | 1 << 16;
        w.send(Command::RangeDelegate, [fid, pa, pa + 0x1000, 0, 1, 2, 3, 4])?.ok()?;
        Ok(())
    });
    registry.add("abi/result_words", |w| {
        // Codes that later rows of the table name are not used for anything else.
        let reply = w.call(Command::RangeDelegate, &[1, 2])?;
        same("INPUT", reply.status(), INPUT)?;
        let reply = w.call(Command::ConfigSet, &[0])?;
        same("GLOBAL", reply.x[0], GLOBAL)
    });
}

fn add_registers(registry: &mut Registry) {
    for &command in WITH_GOOD {
        // The Host's books compare X4 to X7 after every answer; here after a success and a failure.
        registry.add(format!("abi/x4_to_x7/{}", command.label()), move |w| {
            let call = good(w, command)?;
            let junk: Vec<u64> = call.arguments.iter().map(|_| 0x0bad_0bad_0bad_0bad).collect();
            w.call(command, &junk)?;
            call.succeeds(w)?;
            w.call(command, &junk)?;
            Ok(())
        });
        registry
            .add(format!("abi/unused_outputs/{}", command.label()), move |w| {
                let call = good(w, command)?;
                let junk: Vec<u64> = call.arguments.iter().map(|_| 0x0bad_0bad_0bad_0bad).collect();
                let failed = w.call(command, &junk)?;
                let kept = matches!(command, Command::Version | Command::RttDestroy);
                if failed.status() != SUCCESS && !kept {
                    zeros(&failed, 0)?;
                }
                let reply = call.succeeds(w)?;
                zeros(&reply, command.outputs())
            })
            .reading("outputs that an answer does not define are zero; the notes infer it");
    }
    registry.add("abi/x4_to_x7/operations", |w| {
        for command in
            [Command::OpContinue, Command::OpMemDonate, Command::OpMemReclaim, Command::OpCancel]
        {
            w.call(command, &[77, 0, 0])?.is(INPUT)?;
        }
        let call = good(w, Command::RecCreate)?;
        call.succeeds(w)?;
        Ok(())
    });
}

/// X1 to X3 from `first` on are zero; a range command may name its base.
#[track_caller]
fn zeros(reply: &Reply, first: usize) -> Outcome {
    let base = reply.command.range().map(|first| reply.call[1 + first]);
    for number in first + 1..4 {
        let value = reply.x[number];
        if value != 0 && !(number == 1 && Some(value) == base) {
            return fail(format!("{}: X{number} is {value:#x}", reply.command.label()));
        }
    }
    Ok(())
}

/// Commands that RMM takes only while it is active.
fn add_gate(registry: &mut Registry) {
    for &command in Command::ALL {
        if command.when() != When::Active {
            continue;
        }
        for (name, argument) in [("zero", 0), ("junk", 0x0bad_0bad_0bad_0bad)] {
            registry.add_before(format!("{}/act/{name}", command.label()), move |w| {
                w.negotiate()?;
                let arguments: Vec<u64> = (0..command.arguments()).map(|_| argument).collect();
                let mut codes = [GLOBAL].to_vec();
                if command == Command::PlatTokenRefresh {
                    // The feature is looked at after the state, but its number may not be known.
                    codes.push(UNKNOWN);
                }
                w.call(command, &arguments)?.one_of(&codes)?;
                Ok(())
            });
        }
    }
}
