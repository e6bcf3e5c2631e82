//! For each command a state of the world and arguments with which it succeeds.
//!
//! A failure scenario changes one thing of it: as the rest would have succeeded, that thing was the
//! reason.

use alloc::vec;
use alloc::vec::Vec;

use super::super::abi::{Command, Desc, oaddr, ripas, tracking};
use super::super::memory::UNPROT;
use super::super::outcome::Reply;
use super::super::pages::RecEnter;
use super::super::rec::Rec;
use super::super::world::{PAGE, Realm, World};
use crate::abi::rsi;
use crate::outcome::{Outcome, same};
use crate::rec::smc;

/// Where things happen in a Realm of these scenarios: a protected and an unprotected address.
pub(super) const IPA: u64 = 0x20_0000;
/// See [`IPA`].
pub(super) const NS: u64 = (1 << 39) + IPA;

/// A command that would succeed.
#[derive(Clone, Debug)]
pub(super) struct Good {
    /// The command.
    pub command: Command,
    /// X1 and so on.
    pub arguments: Vec<u64>,
    /// The Realm it is about, if any.
    pub realm: Option<Realm>,
}

impl Good {
    fn new(command: Command, realm: &Realm, arguments: &[u64]) -> Self {
        Self { command, arguments: arguments.to_vec(), realm: Some(*realm) }
    }

    fn alone(command: Command, arguments: &[u64]) -> Self {
        Self { command, arguments: arguments.to_vec(), realm: None }
    }

    /// The command succeeds.
    #[track_caller]
    pub(super) fn succeeds(&self, w: &mut World<'_>) -> Outcome<Reply> {
        w.ok(self.command, &self.arguments)
    }

    /// The command, with another argument `index`, returns one of these codes, and succeeds
    /// without.
    #[track_caller]
    pub(super) fn with(
        &self,
        w: &mut World<'_>,
        index: usize,
        value: u64,
        codes: &[u64],
    ) -> Outcome {
        let mut arguments = self.arguments.clone();
        arguments[index] = value;
        w.complete(self.command, &arguments)?.one_of(codes)?;
        self.succeeds(w)?;
        Ok(())
    }
}

/// A new Realm with tables down to level 3 at [`IPA`].
#[track_caller]
pub(super) fn realm_with_tables(w: &mut World<'_>) -> Outcome<Realm> {
    let realm = w.realm()?;
    w.tables(&realm, IPA, 3)?;
    Ok(realm)
}

/// The REC wishes a RIPAS change, and waits for the Host.
#[track_caller]
pub(super) fn request(
    w: &mut World<'_>,
    rec: &Rec,
    (base, top): (u64, u64),
    wanted: u64,
    flags: u64,
) -> Outcome {
    let exit = w.run(rec, &[smc(&[rsi::IPA_STATE_SET, base, top, wanted, flags])])?;
    same("RIPAS change", (exit.ripas_base, exit.ripas_top, exit.ripas_value), (base, top, wanted))
}

/// A REC of a Realm with tables at [`IPA`] that wishes a RIPAS change there.
#[track_caller]
pub(super) fn ripas_request(
    w: &mut World<'_>,
    range: (u64, u64),
    wanted: u64,
    flags: u64,
) -> Outcome<Rec> {
    let realm = realm_with_tables(w)?;
    let rec = w.running_in(&realm)?;
    request(w, &rec, range, wanted, flags)?;
    Ok(rec)
}

/// A REC that has called CPU_ON for another one that is off.
#[track_caller]
pub(super) fn cpu_on_request(w: &mut World<'_>) -> Outcome<(Rec, Rec)> {
    let (calling, target) = w.two()?;
    w.run(&calling, &[smc(&[rsi::PSCI_CPU_ON, 1, calling.realm.entry(1), 0x77])])?;
    Ok((calling, target))
}

/// Commands that [`good`] knows.
pub(super) static WITH_GOOD: &[Command] = &[
    Command::RangeDelegate,
    Command::RangeUndelegate,
    Command::RealmCreate,
    Command::RealmActivate,
    Command::RealmTerminate,
    Command::RealmDestroy,
    Command::RecCreate,
    Command::RecDestroy,
    Command::RecEnter,
    Command::RttCreate,
    Command::RttDestroy,
    Command::RttFold,
    Command::RttReadEntry,
    Command::DataMapInit,
    Command::DataMap,
    Command::DataUnmap,
    Command::UnprotMap,
    Command::UnprotUnmap,
    Command::InitRipas,
    Command::SetRipas,
    Command::PsciComplete,
    Command::TrackingSet,
    Command::TrackingGet,
    Command::ConfigGet,
    Command::StateGet,
    Command::Features,
    Command::Version,
];

/// A good call.
#[track_caller]
pub(super) fn good(w: &mut World<'_>, command: Command) -> Outcome<Good> {
    Ok(match command {
        Command::RangeDelegate => {
            let pa = w.granule();
            Good::alone(command, &[pa, pa + PAGE])
        }
        Command::RangeUndelegate => {
            let pa = w.delegated()?;
            Good::alone(command, &[pa, pa + PAGE])
        }
        Command::RealmCreate => {
            let (rd, params) = (w.delegated()?, w.realm_params(40, 0, 1)?);
            // A page of its own: other Realms may be made before the command.
            let page = w.page(&params.to_page());
            Good::alone(command, &[rd, page])
        }
        Command::TrackingSet => {
            let region = w.granule() & !((1 << 30) - 1);
            Good::alone(command, &[region, tracking::CONVENTIONAL, tracking::FINE])
        }
        Command::TrackingGet => {
            let pa = w.granule();
            Good::alone(command, &[pa, pa + PAGE])
        }
        Command::ConfigGet => Good::alone(command, &[w.granule()]),
        Command::StateGet => Good::alone(command, &[]),
        Command::Features => Good::alone(command, &[1]),
        Command::Version => Good::alone(command, &[super::super::abi::V2_0]),
        Command::RecDestroy | Command::RecEnter | Command::SetRipas | Command::PsciComplete => {
            good_of_rec(w, command)?
        }
        Command::RealmActivate | Command::RealmTerminate | Command::RealmDestroy => {
            let realm = w.realm()?;
            if command == Command::RealmDestroy {
                w.ok(Command::RealmTerminate, &[realm.rd])?;
            }
            Good::new(command, &realm, &[realm.rd])
        }
        _ => good_of_memory(w, command)?,
    })
}

#[track_caller]
fn good_of_rec(w: &mut World<'_>, command: Command) -> Outcome<Good> {
    Ok(match command {
        Command::RecDestroy => {
            let realm = w.realm()?;
            let rec = w.rec(&realm, 0)?;
            Good::new(command, &realm, &[rec.pa])
        }
        Command::RecEnter => {
            let rec = w.running()?;
            let mut page = [0; 512];
            page[..256].copy_from_slice(&RecEnter::default().to_words());
            w.port.write_page(rec.run, &page);
            w.program(&rec, &[]);
            Good::new(command, &rec.realm, &[rec.pa, rec.run])
        }
        Command::SetRipas => {
            let (base, top) = (IPA, IPA + 2 * PAGE);
            let rec = ripas_request(w, (base, top), ripas::RAM, 0)?;
            Good::new(command, &rec.realm, &[rec.realm.rd, rec.pa, base, top])
        }
        _ => {
            let (calling, _) = cpu_on_request(w)?;
            Good::new(command, &calling.realm, &[calling.pa, 0])
        }
    })
}

#[track_caller]
fn good_of_memory(w: &mut World<'_>, command: Command) -> Outcome<Good> {
    let realm = realm_with_tables(w)?;
    let rd = realm.rd;
    let (base, ns) = ((IPA, IPA + PAGE), (NS, NS + PAGE));
    let arguments = match command {
        Command::RecCreate => {
            let rec = w.delegated()?;
            let page = w.page(&w.rec_params(&realm, 0).to_page());
            vec![rd, rec, page]
        }
        Command::RttCreate => vec![rd, w.delegated()?, IPA + 0x20_0000, 3],
        Command::RttDestroy | Command::RttFold | Command::RttReadEntry => vec![rd, IPA, 3],
        Command::DataMapInit => {
            let (data, src) = (w.delegated()?, w.page(&crate::world::secret_page(1)));
            vec![rd, data, IPA, src, 1]
        }
        Command::DataMap => {
            let desc = Desc::pages(w.delegated()?, 1);
            vec![rd, base.0, base.1, oaddr::SINGLE, desc.encode()]
        }
        Command::DataUnmap => {
            w.data_unknown(&realm, IPA)?;
            vec![rd, base.0, base.1, oaddr::SINGLE, 0]
        }
        Command::UnprotMap | Command::UnprotUnmap => {
            w.tables(&realm, NS, 3)?;
            if command == Command::UnprotUnmap {
                w.share(&realm, NS)?;
                vec![rd, ns.0, ns.1, oaddr::SINGLE, 0]
            } else {
                vec![rd, ns.0, ns.1, UNPROT, Desc::pages(w.granule(), 1).encode()]
            }
        }
        _ => vec![rd, base.0, base.1],
    };
    Ok(Good::new(command, &realm, &arguments))
}
