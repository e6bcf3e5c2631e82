//! Emulatable accesses, EMUL_MMIO and INJECT_SEA.

use alloc::format;

use super::super::registry::Registry;
use super::sync_exit;
use crate::abi::{REC, RecEnter, RecExit, enter_flags};
use crate::need::Need;
use crate::outcome::{Outcome, fail, same};
use crate::program::{Access, Action, El1, Observed};
use crate::rec::{Rec, VECTORS, idle_exit};
use crate::world::World;

const DATA: u64 = 0x24 << 26;
const ISV: u64 = 1 << 24;
const WNR: u64 = 1 << 6;
/// Translation fault at level 0; the level of the walk is added.
const FAULT: u64 = 4;

/// Where the device is: an offset in an unprotected page.
fn device(rec: &Rec, offset: u64) -> u64 {
    rec.realm.unprotected() + 0x7000 + offset
}

pub(super) fn add(registry: &mut Registry) {
    for size in 0..4 {
        for sign in [false, true] {
            for wide in [false, true] {
                let legal = match size {
                    3 => wide && !sign,
                    2 => !sign || wide,
                    _ => sign || !wide,
                };
                if legal {
                    add_read(registry, Access { sign, wide, ..Access::sized(size) });
                }
            }
        }
        registry.add(format!("rec_enter/emul_mmio/write_{}", 8 << size), move |w| {
            write(w, Access::sized(size))
        });
    }
    add_registers(registry);
    add_inject(registry);
}

/// What a load leaves in its register.
fn extended(access: Access, value: u64) -> u64 {
    let bits = 8 << access.size;
    let mask = u64::MAX >> (64 - bits);
    let negative = access.sign && value >> (bits - 1) & 1 == 1;
    let value = if negative { value | !mask } else { value & mask };
    if access.wide { value } else { value & 0xffff_ffff }
}

fn add_read(registry: &mut Registry, access: Access) {
    let kind = if access.sign { "signed" } else { "unsigned" };
    let register = if access.wide { "x" } else { "w" };
    let name = format!("rec_enter/emul_mmio/read_{}_{kind}_{register}", 8 << access.size);
    let scenario = registry.add(name, move |w| {
        let rec = w.running()?;
        for value in [0x8877_6655_4433_2211, 0x0102_0304_8586_8788, u64::MAX, 0x7f7f_7f7f_7f7f_7f7f]
        {
            let exit = w.run(&rec, &[Action::Load(device(&rec, 0x18), access)])?;
            same("exit", exit, emulatable(w, &rec, access, None)?)?;
            let mut enter = RecEnter::flags(enter_flags::EMUL_MMIO);
            enter.gprs[0] = value;
            // Nothing but X0 is looked at.
            enter.gprs[3] = 0xbad;
            let observed = w.finish(&rec, &enter)?;
            same("register", observed, [Observed::Value(extended(access, value))].into())?;
        }
        Ok(())
    });
    // A 32-bit load without sign extension names a W register.
    if access.size == 2 && !access.sign && access.wide {
        scenario.needs(Need::NoSuchLoad);
    }
}

/// The exit of an emulatable access at offset 0x18.
fn emulatable(
    w: &mut World<'_>,
    rec: &Rec,
    access: Access,
    stored: Option<u64>,
) -> Outcome<RecExit> {
    // No tables are made there, but a machine may need some nearby.
    let [level, ..] = w.read_entry(&rec.realm, device(rec, 0), 3)?.outputs;
    let fault = FAULT + level;
    let mut esr = DATA | ISV | access.size << 22 | u64::from(access.wide) << 15 | fault;
    if stored.is_some() {
        esr |= WNR;
    }
    let mut exit = sync_exit(esr, device(rec, 0));
    exit.far = 0x18;
    exit.gprs[0] = stored.map_or(0, |value| value & (u64::MAX >> (64 - (8 << access.size))));
    Ok(exit)
}

fn write(w: &mut World<'_>, access: Access) -> Outcome {
    let rec = w.running()?;
    let value = 0x8877_6655_4433_2211;
    let exit = w.run(&rec, &[Action::Store(device(&rec, 0x18), access, value)])?;
    same("exit", exit, emulatable(w, &rec, access, Some(value))?)?;
    let mut enter = RecEnter::flags(enter_flags::EMUL_MMIO);
    enter.gprs = [0xbad; 31];
    same("store", w.finish(&rec, &enter)?, [Observed::Done].into())
}

fn add_registers(registry: &mut Registry) {
    registry.add("rec_enter/emul_mmio/xzr", |w| {
        let rec = w.running()?;
        let access = Access { register: 31, ..Access::WORD };
        let exit = w.run(&rec, &[Action::Store(device(&rec, 0x18), access, 0x123)])?;
        same("exit", exit, emulatable(w, &rec, access, Some(0))?)?;
        w.finish(&rec, &RecEnter::flags(enter_flags::EMUL_MMIO))?;
        let actions = [Action::Load(device(&rec, 0x18), access), Action::Gprs];
        let before = w.observe(&rec, &[Action::Gprs])?;
        w.run(&rec, &actions)?;
        let mut enter = RecEnter::flags(enter_flags::EMUL_MMIO);
        enter.gprs[0] = 0xbad;
        let observed = w.finish(&rec, &enter)?;
        same("no register changes", observed.last(), before.last())
    });
    registry.add("rec_enter/emul_mmio/only_once", |w| {
        let rec = w.running()?;
        w.run(&rec, &[Action::Load(device(&rec, 0), Access::WORD)])?;
        w.finish(&rec, &RecEnter::flags(enter_flags::EMUL_MMIO))?;
        w.enter_raw(&rec, &RecEnter::flags(enter_flags::EMUL_MMIO))?.is(REC)?;
        Ok(())
    });
    registry.add("rec_enter/emul_mmio/not_taken_means_again", |w| {
        let rec = w.running()?;
        let first = w.run(&rec, &[Action::Load(device(&rec, 0x18), Access::WORD)])?;
        same("the same exit", w.enter(&rec)?, first)
    });
    registry.add("rec_enter/rec_mmio/after_other_exits", |w| {
        let rec = w.running()?;
        let mmio = RecEnter::flags(enter_flags::EMUL_MMIO);
        w.enter(&rec)?;
        w.enter_raw(&rec, &mmio)?.is(REC)?;
        w.run(&rec, &[crate::rec::smc(&[crate::abi::rsi::PSCI_CPU_SUSPEND])])?;
        w.enter_raw(&rec, &mmio)?.is(REC)?;
        same("it still runs", w.enter(&rec)?, idle_exit())
    });
    registry.add("rec_enter/emul_mmio/failed_entry_keeps_the_exit", |w| {
        let rec = w.running()?;
        w.run(&rec, &[Action::Load(device(&rec, 0), Access::WORD)])?;
        let bad = RecEnter { gicv3_hcr: 1, ..RecEnter::flags(enter_flags::EMUL_MMIO) };
        w.enter_raw(&rec, &bad)?.is(REC)?;
        w.finish(&rec, &RecEnter::flags(enter_flags::EMUL_MMIO))?;
        Ok(())
    });
}

fn add_inject(registry: &mut Registry) {
    for (name, access) in
        [("emulatable", Access::WORD), ("without_syndrome", Access::WORD.without_syndrome())]
    {
        registry.add(format!("rec_enter/inject_sea/{name}"), move |w| {
            let rec = w.running()?;
            let ipa = device(&rec, 0x20);
            w.run(&rec, &[Action::SetEl1(El1::Vbar, VECTORS), Action::Load(ipa, access)])?;
            sea(w, &rec, enter_flags::INJECT_SEA, ipa)
        });
    }
    registry.add("rec_enter/inject_sea/wins_over_emul_mmio", |w| {
        let rec = w.running()?;
        let ipa = device(&rec, 0x20);
        w.run(&rec, &[Action::SetEl1(El1::Vbar, VECTORS), Action::Load(ipa, Access::WORD)])?;
        sea(w, &rec, enter_flags::INJECT_SEA | enter_flags::EMUL_MMIO, ipa)
    });
    registry.add("rec_enter/inject_sea/no_effect_otherwise", |w| {
        // By the text the flag has no effect then; the reference monitor refuses.
        let rec = w.running()?;
        let both = RecEnter::flags(enter_flags::INJECT_SEA | enter_flags::EMUL_MMIO);
        for enter in [RecEnter::flags(enter_flags::INJECT_SEA), both] {
            same("exit", w.enter_with(&rec, &enter)?, idle_exit())?;
        }
        // An abort at a protected address is none of those either.
        w.call(crate::abi::Command::DataDestroy, [rec.realm.rd, 0])?.ok()?;
        let exit = w.run(&rec, &[Action::Load(0, Access::WORD)])?;
        same("again", w.enter_with(&rec, &RecEnter::flags(enter_flags::INJECT_SEA))?, exit)
    });
}

/// The next entry injects an external abort for the load at `ipa`.
fn sea(w: &mut World<'_>, rec: &Rec, flags: u64, ipa: u64) -> Outcome {
    let observed = w.finish(rec, &RecEnter::flags(flags))?;
    match observed.as_slice() {
        [Observed::Exception { esr, far, vector, at_instruction, .. }] => {
            let summary = (esr >> 26, esr >> 9 & 1, esr & 0x3f, *far, *vector, *at_instruction);
            same("exception", summary, (0x25, 1, 0x10, ipa, 0x200, true))
        }
        other => fail(format!("no exception but {other:x?}")),
    }
}
