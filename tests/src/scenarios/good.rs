//! For each command a state of the world and arguments with which it succeeds.
//!
//! A failure scenario changes one thing of it: as the rest would have succeeded, that thing was the
//! reason.

use alloc::vec;
use alloc::vec::Vec;

use crate::abi::{Command, RecEnter, SUCCESS, ripas, rsi};
use crate::outcome::{Outcome, same};
use crate::program::Action;
use crate::rec::{Rec, smc};
use crate::world::{Realm, World, secret_page};

/// Where things happen in a Realm of these scenarios.
pub(crate) const IPA: u64 = 0x20_0000;

/// A descriptor for MAP_UNPROTECTED: normal write-back memory, read and write.
pub(crate) const DESC: u64 = 0x8100_0000 | 0b110 << 2 | 0b11 << 6;

/// A command that would succeed.
#[derive(Clone, Debug)]
pub(crate) struct Good {
    /// The command.
    pub command: Command,
    /// X1 to X5, as many as the command has.
    pub arguments: Vec<u64>,
    /// The Realm it is about, if any.
    pub realm: Option<Realm>,
}

impl Good {
    /// The command succeeds.
    #[track_caller]
    pub(crate) fn succeeds(&self, w: &mut World<'_>) -> Outcome {
        w.try_call(self.command, &self.arguments)?.is(SUCCESS)?;
        Ok(())
    }

    /// The command, with another argument `index`, returns `code`.
    #[track_caller]
    pub(crate) fn with(&self, w: &mut World<'_>, index: usize, value: u64, code: u64) -> Outcome {
        let mut arguments = self.arguments.clone();
        arguments[index] = value;
        w.try_call(self.command, &arguments)?.is(code)?;
        Ok(())
    }
}

/// A Realm with tables down to level 3 at [`IPA`].
pub(crate) fn realm_with_tables(w: &mut World<'_>) -> Outcome<Realm> {
    let realm = w.realm()?;
    w.tables(&realm, IPA, 3)?;
    Ok(realm)
}

/// A REC that wishes the RIPAS of `[base, top)` to be changed, and waits for the Host.
pub(crate) fn ripas_request(
    w: &mut World<'_>,
    (base, top): (u64, u64),
    wanted: u64,
    flags: u64,
) -> Outcome<Rec> {
    let realm = w.realm()?;
    let rec = w.running_in(&realm)?;
    request(w, &rec, (base, top), wanted, flags)?;
    Ok(rec)
}

/// The REC wishes a RIPAS change, and waits for the Host.
pub(crate) fn request(
    w: &mut World<'_>,
    rec: &Rec,
    (base, top): (u64, u64),
    wanted: u64,
    flags: u64,
) -> Outcome {
    let exit = w.run(rec, &[smc(&[rsi::IPA_STATE_SET, base, top, wanted, flags])])?;
    same("RIPAS change", (exit.ripas_base, exit.ripas_top, exit.ripas_value), (base, top, wanted))
}

/// Two RECs of an active Realm, the first waiting for PSCI_COMPLETE of CPU_ON about the second,
/// which is off.
pub(crate) fn cpu_on_request(w: &mut World<'_>) -> Outcome<(Rec, Rec)> {
    let realm = w.realm()?;
    let calling = w.rec(&realm, 0)?;
    let target = w.rec_off(&realm, 1)?;
    w.activate(&realm)?;
    let call = [rsi::PSCI_CPU_ON, crate::abi::realm_mpidr(1), realm.entry(1), 0x77];
    w.run(&calling, &[smc(&call), Action::Gprs])?;
    Ok((calling, target))
}

/// Prepares a command that would succeed.
pub(crate) fn good(w: &mut World<'_>, command: Command) -> Outcome<Good> {
    let mut realm = None;
    let arguments = match command {
        Command::Version => vec![0x1_0000],
        Command::Features => vec![0],
        Command::GranuleDelegate => vec![w.granule()],
        Command::GranuleUndelegate => vec![w.delegated()?],
        Command::RealmCreate => {
            let params = w.realm_params(40, 0, 1)?;
            vec![w.delegated()?, w.page(&params.to_page())]
        }
        Command::RecEnter => {
            let running = w.running()?;
            w.enter_raw(&running, &RecEnter::default())?;
            realm = Some(running.realm);
            vec![running.pa, running.run]
        }
        Command::RttSetRipas => {
            let range = (IPA, IPA + 0x2000);
            let waiting = ripas_request(w, range, ripas::RAM, 0)?;
            w.tables(&waiting.realm, IPA, 3)?;
            realm = Some(waiting.realm);
            vec![waiting.realm.rd, waiting.pa, range.0, range.1]
        }
        Command::PsciComplete => {
            let (calling, target) = cpu_on_request(w)?;
            realm = Some(calling.realm);
            vec![calling.pa, target.pa, 0]
        }
        Command::RecDestroy => {
            let owner = w.realm()?;
            realm = Some(owner);
            vec![w.rec(&owner, 0)?.pa]
        }
        _ => {
            let owner = realm_with_tables(w)?;
            realm = Some(owner);
            about_a_realm(w, command, &owner)?
        }
    };
    Ok(Good { command, arguments, realm })
}

/// Commands about one new Realm with tables down to level 3 at [`IPA`].
fn about_a_realm(w: &mut World<'_>, command: Command, realm: &Realm) -> Outcome<Vec<u64>> {
    let rd = realm.rd;
    let shared = realm.unprotected();
    Ok(match command {
        Command::DataCreate => {
            let src = w.page(&secret_page(7));
            vec![rd, w.delegated()?, IPA, src, 1]
        }
        Command::DataCreateUnknown => vec![rd, w.delegated()?, IPA],
        Command::DataDestroy => {
            w.data_unknown(realm, IPA)?;
            vec![rd, IPA]
        }
        Command::RealmActivate | Command::RecAuxCount => vec![rd],
        Command::RealmDestroy => {
            // Not the one with tables.
            vec![w.realm()?.rd]
        }
        Command::RecCreate => {
            let params = w.rec_params(realm, 0)?;
            vec![rd, w.delegated()?, w.page(&params.to_page())]
        }
        Command::RttCreate => vec![rd, w.delegated()?, IPA + 0x20_0000, 3],
        Command::RttDestroy | Command::RttFold => vec![rd, IPA, 3],
        Command::RttInitRipas => vec![rd, IPA, IPA + 0x1000],
        Command::RttMapUnprotected => {
            w.tables(realm, shared, 3)?;
            vec![rd, shared, 3, DESC]
        }
        Command::RttUnmapUnprotected => {
            w.tables(realm, shared, 3)?;
            w.call(Command::RttMapUnprotected, [rd, shared, 3, DESC])?.ok()?;
            vec![rd, shared, 3]
        }
        Command::RttReadEntry => vec![rd, IPA, 3],
        _ => Vec::new(),
    })
}
