//! For each command and each failure condition that is not about a granule argument: a state of the
//! world and arguments for which that condition, and no other, holds.

use alloc::vec;

use super::good::{DESC, Good, IPA, cpu_on_request, good, realm_with_tables, ripas_request};
use crate::abi::{
    Command, INPUT, REALM, REALM_OFF, REC, RecEnter, enter_flags, ripas, rsi, rtt_error,
};
use crate::outcome::Outcome;
use crate::rec::smc;
use crate::world::World;

/// A command that fails.
#[derive(Clone, Debug)]
pub(super) struct Broken {
    /// The command with the arguments that make it fail.
    pub call: Good,
    /// What it returns.
    pub code: u64,
    /// Its `top`: number of the output and value.
    pub top: Option<(usize, u64)>,
}

impl Broken {
    /// The command fails as it should.
    #[track_caller]
    pub(super) fn fails(&self, w: &mut World<'_>) -> Outcome {
        let reply = w.try_call(self.call.command, &self.call.arguments)?.is(self.code)?;
        if let Some((number, top)) = self.top {
            reply.out(number, top)?;
        }
        Ok(())
    }
}

/// Makes a world in which the condition holds.
pub(super) type Build = fn(&mut World<'_>) -> Outcome<Broken>;

/// The conditions.
pub(super) static CASES: &[(Command, &str, Build)] = &[
    (Command::DataCreate, "ipa_align", |w| changed(w, Command::DataCreate, 2, IPA + 0x800)),
    (Command::DataCreate, "ipa_bound", |w| changed(w, Command::DataCreate, 2, 1 << 39)),
    (Command::DataCreate, "realm_state", |w| activated(w, Command::DataCreate)),
    (Command::DataCreate, "rtt_walk", |w| no_table(w, Command::DataCreate, 2, None)),
    (Command::DataCreate, "rtte_state", |w| occupied(w, Command::DataCreate)),
    (Command::DataCreateUnknown, "ipa_align", |w| {
        changed(w, Command::DataCreateUnknown, 2, IPA + 8)
    }),
    (Command::DataCreateUnknown, "ipa_bound", |w| {
        changed(w, Command::DataCreateUnknown, 2, 1 << 39)
    }),
    (Command::DataCreateUnknown, "rtt_walk", |w| no_table(w, Command::DataCreateUnknown, 2, None)),
    (Command::DataCreateUnknown, "rtte_state", |w| occupied(w, Command::DataCreateUnknown)),
    (Command::DataDestroy, "ipa_align", |w| {
        top_zero(changed(w, Command::DataDestroy, 1, IPA + 1)?, 2)
    }),
    (Command::DataDestroy, "ipa_bound", |w| {
        top_zero(changed(w, Command::DataDestroy, 1, 1 << 39)?, 2)
    }),
    (Command::DataDestroy, "rtt_walk", |w| {
        no_table(w, Command::DataDestroy, 1, Some((2, 1 << 30)))
    }),
    (Command::DataDestroy, "rtte_state", |w| {
        let broken = changed(w, Command::DataDestroy, 1, IPA + 0x1000)?;
        Ok(Broken { code: rtt_error(3), top: Some((2, IPA + 0x20_0000)), ..broken })
    }),
    (Command::RealmActivate, "realm_state", |w| activated(w, Command::RealmActivate)),
    (Command::RealmDestroy, "realm_live", |w| {
        let realm = realm_with_tables(w)?;
        let call = call(Command::RealmDestroy, &[realm.rd], &good(w, Command::RecAuxCount)?);
        Ok(Broken { call, code: REALM, top: None })
    }),
    (Command::RecCreate, "realm_state", |w| activated(w, Command::RecCreate)),
    (Command::RecEnter, "realm_new", |w| {
        let realm = w.realm()?;
        let rec = w.rec(&realm, 0)?;
        enter_case(w, rec, RecEnter::default(), REALM)
    }),
    (Command::RecEnter, "system_off", |w| {
        let rec = w.running()?;
        w.run(&rec, &[smc(&[rsi::PSCI_SYSTEM_OFF])])?;
        enter_case(w, rec, RecEnter::default(), REALM_OFF)
    }),
    (Command::RecEnter, "rec_runnable", |w| {
        let realm = w.realm()?;
        let rec = w.rec_off(&realm, 0)?;
        w.activate(&realm)?;
        enter_case(w, rec, RecEnter::default(), REC)
    }),
    (Command::RecEnter, "rec_mmio", |w| {
        let rec = w.running()?;
        enter_case(w, rec, RecEnter::flags(enter_flags::EMUL_MMIO), REC)
    }),
    (Command::RecEnter, "rec_gicv3", |w| {
        let rec = w.running()?;
        enter_case(w, rec, RecEnter { gicv3_hcr: 1 << 8, ..RecEnter::default() }, REC)
    }),
    (Command::RecEnter, "rec_psci", |w| {
        let (calling, _) = cpu_on_request(w)?;
        enter_case(w, calling, RecEnter::default(), REC)
    }),
    (Command::RttCreate, "level_bound", |w| changed(w, Command::RttCreate, 3, 0)),
    (Command::RttCreate, "ipa_align", |w| changed(w, Command::RttCreate, 2, IPA + 0x20_1000)),
    (Command::RttCreate, "ipa_bound", |w| changed(w, Command::RttCreate, 2, 1 << 40)),
    (Command::RttCreate, "rtt_walk", |w| {
        let broken = changed(w, Command::RttCreate, 2, 1 << 30)?;
        Ok(Broken { code: rtt_error(1), ..broken })
    }),
    (Command::RttCreate, "rtte_state", |w| {
        let broken = changed(w, Command::RttCreate, 2, IPA)?;
        Ok(Broken { code: rtt_error(2), ..broken })
    }),
    (Command::RttDestroy, "level_bound", |w| top_zero(changed(w, Command::RttDestroy, 2, 0)?, 2)),
    (Command::RttDestroy, "ipa_align", |w| {
        top_zero(changed(w, Command::RttDestroy, 1, IPA + 0x1000)?, 2)
    }),
    (Command::RttDestroy, "ipa_bound", |w| {
        top_zero(changed(w, Command::RttDestroy, 1, 1 << 40)?, 2)
    }),
    (Command::RttDestroy, "rtt_walk", |w| {
        let broken = changed(w, Command::RttDestroy, 1, 1 << 30)?;
        Ok(Broken { code: rtt_error(1), top: Some((2, 1 << 39)), ..broken })
    }),
    (Command::RttDestroy, "rtte_state", |w| {
        let broken = changed(w, Command::RttDestroy, 1, IPA + 0x20_0000)?;
        Ok(Broken { code: rtt_error(2), top: Some((2, 1 << 30)), ..broken })
    }),
    (Command::RttDestroy, "rtt_live", |w| {
        let call = good(w, Command::RttDestroy)?;
        if let Some(realm) = call.realm {
            w.data_unknown(&realm, IPA + 0x5000)?;
        }
        Ok(Broken { call, code: rtt_error(3), top: Some((2, IPA)) })
    }),
    (Command::RttFold, "level_bound", |w| changed(w, Command::RttFold, 2, 0)),
    (Command::RttFold, "ipa_align", |w| changed(w, Command::RttFold, 1, IPA + 0x1000)),
    (Command::RttFold, "ipa_bound", |w| changed(w, Command::RttFold, 1, 1 << 40)),
    (Command::RttFold, "rtt_walk", |w| {
        let broken = changed(w, Command::RttFold, 1, 1 << 30)?;
        Ok(Broken { code: rtt_error(1), ..broken })
    }),
    (Command::RttFold, "rtte_state", |w| {
        let broken = changed(w, Command::RttFold, 1, IPA + 0x20_0000)?;
        Ok(Broken { code: rtt_error(2), ..broken })
    }),
    (Command::RttFold, "rtt_homo", |w| {
        let call = good(w, Command::RttFold)?;
        if let Some(realm) = call.realm {
            w.data_unknown(&realm, IPA + 0x5000)?;
        }
        Ok(Broken { call, code: rtt_error(3), top: None })
    }),
    (Command::RttInitRipas, "size_valid", |w| changed(w, Command::RttInitRipas, 2, IPA)),
    (Command::RttInitRipas, "top_bound", |w| {
        changed(w, Command::RttInitRipas, 2, (1 << 39) + 0x1000)
    }),
    (Command::RttInitRipas, "top_gran_align", |w| {
        changed(w, Command::RttInitRipas, 2, IPA + 0x1800)
    }),
    (Command::RttInitRipas, "realm_state", |w| activated(w, Command::RttInitRipas)),
    (Command::RttInitRipas, "base_align", |w| {
        let call = good(w, Command::RttInitRipas)?;
        // The walk ends at level 1 there.
        Ok(with_range(call, (1 << 30) + 0x1000, 1 << 31, rtt_error(1)))
    }),
    (Command::RttInitRipas, "rtte_state", |w| {
        let call = good(w, Command::RttInitRipas)?;
        if let Some(realm) = call.realm {
            w.data_unknown(&realm, IPA)?;
        }
        Ok(Broken { call, code: rtt_error(3), top: None })
    }),
    (Command::RttInitRipas, "no_progress", |w| {
        let call = good(w, Command::RttInitRipas)?;
        Ok(with_range(call, IPA + 0x20_0000, IPA + 0x20_1000, rtt_error(2)))
    }),
    (Command::RttSetRipas, "size_valid", |w| changed(w, Command::RttSetRipas, 3, IPA)),
    (Command::RttSetRipas, "top_gran_align", |w| changed(w, Command::RttSetRipas, 3, IPA + 0x1800)),
    (Command::RttSetRipas, "rec_owner", |w| {
        let mut call = good(w, Command::RttSetRipas)?;
        call.arguments[0] = realm_with_tables(w)?.rd;
        Ok(Broken { call, code: REC, top: None })
    }),
    (Command::RttSetRipas, "base_bound", |w| changed(w, Command::RttSetRipas, 2, IPA + 0x1000)),
    (Command::RttSetRipas, "top_bound", |w| changed(w, Command::RttSetRipas, 3, IPA + 0x3000)),
    (Command::RttSetRipas, "base_align", |w| {
        set_ripas_case(w, (IPA + 0x1000, IPA + 0x40_0000), rtt_error(2))
    }),
    (Command::RttSetRipas, "no_progress", |w| set_ripas_case(w, (IPA, IPA + 0x1000), rtt_error(2))),
    (Command::RttMapUnprotected, "attr_valid", |w| {
        changed(w, Command::RttMapUnprotected, 3, DESC | 1 << 55)
    }),
    (Command::RttMapUnprotected, "level_bound", |w| changed(w, Command::RttMapUnprotected, 2, 0)),
    (Command::RttMapUnprotected, "addr_align", |w| {
        let mut broken = changed(w, Command::RttMapUnprotected, 2, 2)?;
        broken.call.arguments[1] = (1 << 39) + 0x20_0000;
        broken.call.arguments[3] = DESC + 0x1000;
        Ok(broken)
    }),
    (Command::RttMapUnprotected, "addr_bound", |w| {
        changed(w, Command::RttMapUnprotected, 3, DESC | 1 << 48)
    }),
    (Command::RttMapUnprotected, "ipa_align", |w| {
        changed(w, Command::RttMapUnprotected, 1, (1 << 39) + 0x10)
    }),
    (Command::RttMapUnprotected, "ipa_bound", |w| {
        changed(w, Command::RttMapUnprotected, 1, 1 << 40)
    }),
    (Command::RttMapUnprotected, "rtt_walk", |w| {
        let broken = changed(w, Command::RttMapUnprotected, 1, (1 << 39) + (1 << 30))?;
        Ok(Broken { code: rtt_error(1), ..broken })
    }),
    (Command::RttMapUnprotected, "rtte_state", |w| {
        let call = good(w, Command::RttMapUnprotected)?;
        call.succeeds(w)?;
        Ok(Broken { call, code: rtt_error(3), top: None })
    }),
    (Command::RttReadEntry, "level_bound", |w| changed(w, Command::RttReadEntry, 2, 4)),
    (Command::RttReadEntry, "ipa_align", |w| changed(w, Command::RttReadEntry, 1, IPA + 0x10)),
    (Command::RttReadEntry, "ipa_bound", |w| changed(w, Command::RttReadEntry, 1, 1 << 40)),
    (Command::RttUnmapUnprotected, "level_bound", |w| {
        top_zero(changed(w, Command::RttUnmapUnprotected, 2, 0)?, 1)
    }),
    (Command::RttUnmapUnprotected, "ipa_align", |w| {
        top_zero(changed(w, Command::RttUnmapUnprotected, 1, (1 << 39) + 0x10)?, 1)
    }),
    (Command::RttUnmapUnprotected, "ipa_bound", |w| {
        top_zero(changed(w, Command::RttUnmapUnprotected, 1, 1 << 40)?, 1)
    }),
    (Command::RttUnmapUnprotected, "rtt_walk", |w| {
        let broken = changed(w, Command::RttUnmapUnprotected, 1, (1 << 39) + (1 << 30))?;
        Ok(Broken { code: rtt_error(1), top: Some((1, 1 << 40)), ..broken })
    }),
    (Command::RttUnmapUnprotected, "rtte_state", |w| {
        let broken = changed(w, Command::RttUnmapUnprotected, 1, (1 << 39) + 0x1000)?;
        Ok(Broken { code: rtt_error(3), top: Some((1, (1 << 39) + 0x20_0000)), ..broken })
    }),
];

/// The condition's world.
pub(super) fn case(command: Command, condition: &str) -> Option<Build> {
    CASES
        .iter()
        .find(|(other, name, _)| *other == command && *name == condition)
        .map(|(.., build)| *build)
}

/// A call with other arguments, about the same objects.
fn call(command: Command, arguments: &[u64], like: &Good) -> Good {
    Good { command, arguments: arguments.into(), ..like.clone() }
}

/// A good call with one argument changed: RMI_ERROR_INPUT.
fn changed(w: &mut World<'_>, command: Command, index: usize, value: u64) -> Outcome<Broken> {
    let mut call = good(w, command)?;
    call.arguments[index] = value;
    Ok(Broken { call, code: INPUT, top: None })
}

fn top_zero(broken: Broken, number: usize) -> Outcome<Broken> {
    Ok(Broken { top: Some((number, 0)), ..broken })
}

fn with_range(mut call: Good, base: u64, top: u64, code: u64) -> Broken {
    call.arguments[1] = base;
    call.arguments[2] = top;
    Broken { call, code, top: None }
}

/// A good call of a Realm that has been activated meanwhile: RMI_ERROR_REALM.
fn activated(w: &mut World<'_>, command: Command) -> Outcome<Broken> {
    let call = good(w, command)?;
    if let Some(realm) = call.realm {
        w.activate(&realm)?;
    }
    Ok(Broken { call, code: REALM, top: None })
}

/// A good call at an address whose walk ends at level 2.
fn no_table(
    w: &mut World<'_>,
    command: Command,
    index: usize,
    top: Option<(usize, u64)>,
) -> Outcome<Broken> {
    let broken = changed(w, command, index, IPA + 0x20_0000)?;
    Ok(Broken { code: rtt_error(2), top, ..broken })
}

/// A good call at an address that has memory already.
fn occupied(w: &mut World<'_>, command: Command) -> Outcome<Broken> {
    let call = good(w, command)?;
    if let Some(realm) = call.realm {
        w.data_unknown(&realm, IPA)?;
    }
    Ok(Broken { call, code: rtt_error(3), top: None })
}

fn enter_case(
    w: &mut World<'_>,
    rec: crate::rec::Rec,
    enter: RecEnter,
    code: u64,
) -> Outcome<Broken> {
    let mut page = [0; 512];
    page[..256].copy_from_slice(&enter.to_words());
    w.port.write_page(rec.run, &page);
    let call = Good {
        command: Command::RecEnter,
        arguments: vec![rec.pa, rec.run],
        realm: Some(rec.realm),
    };
    Ok(Broken { call, code, top: None })
}

/// A pending RIPAS change of this range, where the walk ends at level 2.
fn set_ripas_case(w: &mut World<'_>, (base, top): (u64, u64), code: u64) -> Outcome<Broken> {
    let rec = ripas_request(w, (base, top), ripas::RAM, 0)?;
    let call = Good {
        command: Command::RttSetRipas,
        arguments: vec![rec.realm.rd, rec.pa, base, top],
        realm: Some(rec.realm),
    };
    Ok(Broken { call, code, top: None })
}
