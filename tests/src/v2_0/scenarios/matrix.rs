//! Each command in each state of a Realm.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::super::abi::{Command, Desc, REALM, SUCCESS, oaddr, ripas};
use super::super::memory::UNPROT;
use super::super::pages::RecEnter;
use super::super::rec::Rec;
use super::super::registry::Registry;
use super::super::world::{BLOCK, PAGE, World};
use super::good::{IPA, NS, request};
use crate::abi::rsi;
use crate::outcome::Outcome;
use crate::rec::smc;

/// State of a Realm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Active,
    Off,
    Zombie,
}

impl State {
    const ALL: [(Self, &'static str); 4] = [
        (Self::New, "new"),
        (Self::Active, "active"),
        (Self::Off, "system_off"),
        (Self::Zombie, "zombie"),
    ];
}

use State::{Active, New, Off, Zombie};

/// Commands, and the states in which they succeed; in the others the answer is RMI_ERROR_REALM.
static MATRIX: &[(Command, &[State])] = &[
    (Command::RealmActivate, &[New]),
    (Command::RealmTerminate, &[New, Active, Off, Zombie]),
    (Command::RecCreate, &[New]),
    (Command::RecDestroy, &[New, Active, Off, Zombie]),
    (Command::RecEnter, &[Active]),
    (Command::RttCreate, &[New, Active, Off, Zombie]),
    (Command::RttDestroy, &[New, Active, Off, Zombie]),
    (Command::RttFold, &[New, Active, Off, Zombie]),
    (Command::RttReadEntry, &[New, Active, Off, Zombie]),
    (Command::DataMapInit, &[New]),
    (Command::DataMap, &[New, Active]),
    (Command::DataUnmap, &[New, Active, Off, Zombie]),
    (Command::UnprotMap, &[New, Active]),
    (Command::UnprotUnmap, &[New, Active, Off, Zombie]),
    (Command::InitRipas, &[New]),
];

/// A Realm in which every command of the matrix has something to do, and two RECs of it.
#[track_caller]
fn stage(w: &mut World<'_>, state: State) -> Outcome<(Rec, Rec)> {
    let realm = w.realm()?;
    w.tables(&realm, IPA, 3)?;
    w.tables(&realm, IPA + BLOCK, 3)?;
    w.tables(&realm, NS, 3)?;
    w.data_unknown(&realm, IPA)?;
    w.share(&realm, NS)?;
    let (rec, other) = (w.rec(&realm, 0)?, w.rec_off(&realm, 1)?);
    if state != New {
        w.activate(&realm)?;
    }
    if state == Off {
        w.run(&rec, &[smc(&[rsi::PSCI_SYSTEM_OFF])])?;
    }
    if state == Zombie {
        w.ok(Command::RealmTerminate, &[realm.rd])?;
    }
    Ok((rec, other))
}

/// Arguments with which the command has no other reason to fail.
#[track_caller]
fn arguments(w: &mut World<'_>, command: Command, recs: (Rec, Rec)) -> Outcome<Vec<u64>> {
    let (rec, other) = recs;
    let rd = rec.realm.rd;
    let next = IPA + PAGE;
    Ok(match command {
        Command::RealmActivate | Command::RealmTerminate => vec![rd],
        Command::RecCreate => {
            let granule = w.delegated()?;
            let page = w.page(&w.rec_params(&rec.realm, 2).to_page());
            vec![rd, granule, page]
        }
        Command::RecDestroy => vec![other.pa],
        Command::RecEnter => {
            let mut page = [0; 512];
            page[..256].copy_from_slice(&RecEnter::default().to_words());
            w.port.write_page(rec.run, &page);
            vec![rec.pa, rec.run]
        }
        Command::RttCreate => vec![rd, w.delegated()?, IPA + 2 * BLOCK, 3],
        Command::RttDestroy | Command::RttFold => vec![rd, IPA + BLOCK, 3],
        Command::RttReadEntry => vec![rd, IPA, 3],
        Command::DataMapInit => vec![rd, w.delegated()?, next, w.page(&[7; 512]), 1],
        Command::DataMap => {
            let desc = Desc::pages(w.delegated()?, 1);
            vec![rd, next, next + PAGE, oaddr::SINGLE, desc.encode()]
        }
        Command::DataUnmap => vec![rd, IPA, IPA + PAGE, oaddr::SINGLE, 0],
        Command::UnprotMap => {
            let desc = Desc::pages(w.granule(), 1);
            vec![rd, NS + PAGE, NS + 2 * PAGE, UNPROT, desc.encode()]
        }
        Command::UnprotUnmap => vec![rd, NS, NS + PAGE, oaddr::NONE, 0],
        _ => vec![rd, next, next + PAGE],
    })
}

pub(super) fn add(registry: &mut Registry) {
    for &(command, states) in MATRIX {
        for (state, label) in State::ALL {
            registry.add(format!("matrix/{}/{label}", command.label()), move |w| {
                let recs = stage(w, state)?;
                let arguments = arguments(w, command, recs)?;
                let code = if states.contains(&state) { SUCCESS } else { REALM };
                w.fails(command, &arguments, code)
            });
        }
    }
    for (state, label) in State::ALL {
        registry.add(format!("matrix/realm_destroy/{label}"), move |w| {
            let (rec, other) = stage(w, state)?;
            w.destroy_rec(rec.pa)?;
            w.destroy_rec(other.pa)?;
            w.empty(&rec.realm)?;
            w.destroy_tables(&rec.realm)?;
            let code = if state == Zombie { SUCCESS } else { REALM };
            w.fails(Command::RealmDestroy, &[rec.realm.rd], code)
        });
    }
    // A request that a REC has made while its Realm was active can be answered in whatever state it
    // is now.
    for (state, label) in [(Active, "active"), (Off, "system_off"), (Zombie, "zombie")] {
        registry.add(format!("matrix/set_ripas/{label}"), move |w| {
            let (rec, other) = pending(w, state, true)?;
            let at = IPA + 8 * PAGE;
            let arguments = [rec.realm.rd, rec.pa, at, at + PAGE];
            let reply = w.ok(Command::SetRipas, &arguments)?;
            reply.out(1, at + PAGE)?;
            w.destroy_rec(other.pa)
        });
        registry.add(format!("matrix/psci_complete/{label}"), move |w| {
            let (rec, _) = pending(w, state, false)?;
            w.call(Command::PsciComplete, &[rec.pa, 0])?.ok()?;
            Ok(())
        });
    }
}

/// A Realm whose first REC waits for the Host: with a RIPAS change, or with a CPU_ON.
#[track_caller]
fn pending(w: &mut World<'_>, state: State, memory: bool) -> Outcome<(Rec, Rec)> {
    let realm = w.realm()?;
    w.tables(&realm, IPA, 3)?;
    let (rec, other) = (w.rec(&realm, 0)?, w.rec(&realm, 1)?);
    let target = w.rec_off(&realm, 2)?;
    w.activate(&realm)?;
    let at = IPA + 8 * PAGE;
    if memory {
        request(w, &rec, (at, at + PAGE), ripas::RAM, 0)?;
    } else {
        w.run(&rec, &[smc(&[rsi::PSCI_CPU_ON, target.index, realm.entry(1), 0])])?;
    }
    if state == Off {
        w.run(&other, &[smc(&[rsi::PSCI_SYSTEM_OFF])])?;
    }
    if state == Zombie {
        w.ok(Command::RealmTerminate, &[realm.rd])?;
    }
    Ok((rec, other))
}
