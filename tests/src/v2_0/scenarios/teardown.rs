//! The end of a Realm, in the orders of the hosts, from every state in which its RECs can be.

use alloc::format;

use super::super::abi::{Command, REALM, ripas};
use super::super::rec::Rec;
use super::super::registry::Registry;
use super::super::world::{PAGE, World};
use super::good::{IPA, NS, realm_with_tables, request};
use crate::abi::rsi;
use crate::outcome::{Outcome, same};
use crate::rec::smc;

/// Makes a REC wait for the Host.
type Pend = fn(&mut World<'_>, &Rec) -> Outcome;

/// What a REC waits for.
static PENDING: &[(&str, Pend)] = &[
    ("nothing", |_, _| Ok(())),
    ("psci", |w, rec| {
        w.run(rec, &[smc(&[rsi::PSCI_CPU_ON, 1, rec.realm.entry(1), 0])])?;
        Ok(())
    }),
    ("host_call", |w, rec| {
        w.run(rec, &[smc(&[rsi::HOST_CALL, 0])])?;
        Ok(())
    }),
    ("ripas_change", |w, rec| request(w, rec, (IPA + PAGE, IPA + 9 * PAGE), ripas::RAM, 0)),
    ("system_off", |w, rec| {
        w.run(rec, &[smc(&[rsi::PSCI_SYSTEM_OFF])])?;
        Ok(())
    }),
    ("mmio", |w, rec| {
        let ipa = rec.realm.unprotected() + 0x7000;
        let load = crate::program::Action::Load(ipa, crate::program::Access::WORD);
        w.run(rec, &[load])?;
        Ok(())
    }),
];

/// A Realm with memory of both kinds and two RECs.
#[track_caller]
fn realm(w: &mut World<'_>) -> Outcome<(Rec, Rec)> {
    let realm = realm_with_tables(w)?;
    w.tables(&realm, NS, 3)?;
    w.share(&realm, NS)?;
    w.data_unknown(&realm, IPA)?;
    let second = w.rec_off(&realm, 1)?;
    Ok((w.running_in(&realm)?, second))
}

pub(super) fn add(registry: &mut Registry) {
    for &(name, pend) in PENDING {
        registry.add(format!("teardown/terminate_first/{name}"), move |w| {
            let (rec, second) = realm(w)?;
            pend(w, &rec)?;
            w.ok(Command::RealmTerminate, &[rec.realm.rd])?;
            w.empty(&rec.realm)?;
            w.destroy_tables(&rec.realm)?;
            w.fails(Command::RealmDestroy, &[rec.realm.rd], REALM)?;
            w.destroy_rec(rec.pa)?;
            w.destroy_rec(second.pa)?;
            finish(w, &rec)
        });
        registry.add(format!("teardown/recs_and_tables_first/{name}"), move |w| {
            // tf-a-tests.
            let (rec, second) = realm(w)?;
            pend(w, &rec)?;
            w.destroy_rec(rec.pa)?;
            w.destroy_rec(second.pa)?;
            w.empty(&rec.realm)?;
            w.destroy_tables(&rec.realm)?;
            w.call(Command::RealmTerminate, &[rec.realm.rd])?.ok()?;
            finish(w, &rec)
        });
        registry.add(format!("teardown/memory_first/{name}"), move |w| {
            // KVM: memory, the end, tables; RECs go with their vCPUs.
            let (rec, second) = realm(w)?;
            pend(w, &rec)?;
            w.empty(&rec.realm)?;
            w.ok(Command::RealmTerminate, &[rec.realm.rd])?;
            w.destroy_tables(&rec.realm)?;
            w.destroy_rec(second.pa)?;
            w.destroy_rec(rec.pa)?;
            finish(w, &rec)
        });
    }
    registry.add("teardown/with_folds", |w| {
        let (rec, second) = realm(w)?;
        w.empty(&rec.realm)?;
        // A table of equal entries folds; one whose entries differ does not, and is destroyed.
        let reply = w.complete(Command::RttFold, &[rec.realm.rd, NS, 3])?;
        reply.ok()?;
        w.ok(Command::RealmTerminate, &[rec.realm.rd])?;
        w.destroy_tables(&rec.realm)?;
        w.destroy_rec(rec.pa)?;
        w.destroy_rec(second.pa)?;
        finish(w, &rec)
    });
    registry.add("teardown/walk_by_top", |w| {
        // A Host without books destroys what it finds, guided by the outputs alone.
        let (rec, second) = realm(w)?;
        w.destroy_rec(rec.pa)?;
        w.destroy_rec(second.pa)?;
        w.ok(Command::RealmTerminate, &[rec.realm.rd])?;
        w.empty(&rec.realm)?;
        for level in (1..=3).rev() {
            let mut ipa = 0;
            let mut steps = 0;
            while ipa < rec.realm.end() {
                let arguments = [rec.realm.rd, ipa, level];
                let reply = w.complete(Command::RttDestroy, &arguments)?;
                if reply.x[2] <= ipa {
                    return crate::outcome::fail(format!("no progress from {ipa:#x}"));
                }
                ipa = reply.x[2];
                steps += 1;
                if steps > 10_000 {
                    return crate::outcome::fail("no end");
                }
            }
        }
        finish(w, &rec)
    });
}

/// The Realm is empty and a ZOMBIE.
#[track_caller]
fn finish(w: &mut World<'_>, rec: &Rec) -> Outcome {
    w.ok(Command::RealmDestroy, &[rec.realm.rd])?;
    w.give_back_memory()?;
    same("granules that are not the Host's", w.delegated_count(), 0)
}
