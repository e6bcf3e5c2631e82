//! EL3 refuses: the command fails, nothing is lost, and the ledger knows.

use alloc::format;

use super::registry::Registry;
use crate::abi::{Command, INPUT};
use crate::need::Need;
use crate::outcome::{Outcome, same};
use crate::port::Mishap;
use crate::world::World;

/// Codes of EL3, and one that it should not give.
const CODES: [i64; 7] = [-1, -2, -3, -4, -5, -6, 1];

fn ledger(w: &World<'_>, expected: usize) -> Outcome {
    match w.port.leaked() {
        Some(leaked) => same("granules in the ledger", leaked, expected),
        None => Ok(()),
    }
}

pub(super) fn add(registry: &mut Registry) {
    for code in CODES {
        registry
            .add(format!("granule_delegate/el3_refuses/{code}"), move |w| {
                let pa = w.granule();
                w.arm(Mishap::El3Refuses(0, code))?;
                w.call(Command::GranuleDelegate, [pa])?.is(INPUT)?;
                w.call(Command::GranuleUndelegate, [pa])?.is(INPUT)?;
                ledger(w, 0)?;
                w.call(Command::GranuleDelegate, [pa])?.ok()?;
                Ok(())
            })
            .needs(Need::El3Refusal);
        registry
            .add(format!("granule_undelegate/el3_refuses/{code}"), move |w| {
                let pa = w.delegated()?;
                w.arm(Mishap::El3Refuses(0, code))?;
                w.call(Command::GranuleUndelegate, [pa])?.is(INPUT)?;
                ledger(w, 1)?;
                // It is DELEGATED, and of use.
                w.call(Command::GranuleDelegate, [pa])?.is(INPUT)?;
                w.call(Command::GranuleUndelegate, [pa])?.ok()?;
                ledger(w, 0)
            })
            .needs(Need::El3Refusal);
    }
    registry
        .add("granule_undelegate/el3_refuses/again_and_again", |w| {
            let pa = w.delegated()?;
            w.arm(Mishap::El3Keeps(pa, -6))?;
            for _ in 0..3 {
                w.call(Command::GranuleUndelegate, [pa])?.is(INPUT)?;
                ledger(w, 1)?;
            }
            w.arm(Mishap::El3Keeps(pa, 0))?;
            w.call(Command::GranuleUndelegate, [pa])?.ok()?;
            ledger(w, 0)
        })
        .needs(Need::El3Refusal);
    registry
        .add("granule_undelegate/el3_refuses/others_are_given_back_meanwhile", |w| {
            let (stuck, other) = (w.delegated()?, w.delegated()?);
            w.arm(Mishap::El3Keeps(stuck, -6))?;
            w.call(Command::GranuleUndelegate, [stuck])?.is(INPUT)?;
            w.call(Command::GranuleUndelegate, [other])?.ok()?;
            ledger(w, 1)?;
            w.arm(Mishap::El3Keeps(stuck, 0))?;
            w.call(Command::GranuleUndelegate, [stuck])?.ok()?;
            ledger(w, 0)
        })
        .needs(Need::El3Refusal);
    registry
        .add("granule_undelegate/el3_refuses/more_than_the_ledger_holds", |w| {
            let base = w.delegated_run(100, 4096)?;
            for number in 0..100 {
                w.arm(Mishap::El3Keeps(base + number * 4096, -3))?;
                w.call(Command::GranuleUndelegate, [base + number * 4096])?.is(INPUT)?;
            }
            for number in 0..100 {
                w.arm(Mishap::El3Keeps(base + number * 4096, 0))?;
                w.call(Command::GranuleUndelegate, [base + number * 4096])?.ok()?;
            }
            ledger(w, 0)
        })
        .needs(Need::El3Refusal);
    registry
        .add("granule_undelegate/el3_refuses/used_again_instead", |w| {
            // A stuck granule may serve a Realm; when that is over, it is still known.
            let pa = w.delegated()?;
            w.arm(Mishap::El3Keeps(pa, -3))?;
            w.call(Command::GranuleUndelegate, [pa])?.is(INPUT)?;
            let realm = w.realm()?;
            w.tables(&realm, 0, 3)?;
            w.call(Command::DataCreateUnknown, [realm.rd, pa, 0])?.ok()?;
            w.call(Command::GranuleUndelegate, [pa])?.is(INPUT)?;
            w.call(Command::DataDestroy, [realm.rd, 0])?.ok()?.out(1, pa)?;
            w.arm(Mishap::El3Keeps(pa, 0))?;
            w.call(Command::GranuleUndelegate, [pa])?.ok()?;
            ledger(w, 0)
        })
        .needs(Need::El3Refusal);
}
