//! SVE, performance monitors, breakpoints and watchpoints: a Realm has what it was given, and
//! nobody else sees it.

mod debug;
mod pmu;

use super::super::registry::Registry;
use crate::abi::{Command, INPUT, RealmParams, rsi};
use crate::need::Need;
use crate::outcome::{Outcome, fail, holds, missing, same};
use crate::port::Mishap;
use crate::program::{Action, El1, Observed, RawException, SystemRegister};
use crate::rec::{Rec, VECTORS, smc};
use crate::world::World;

const PFR0: SystemRegister = (3, 0, 0, 4, 0);
const DFR0: SystemRegister = (3, 0, 0, 5, 0);
const ZCR: SystemRegister = (3, 0, 1, 2, 0);
const PMCR: SystemRegister = (3, 3, 9, 12, 0);
const PMCNTENSET: SystemRegister = (3, 3, 9, 12, 1);
const PMINTENSET: SystemRegister = (3, 0, 9, 14, 1);
const PMOVSSET: SystemRegister = (3, 3, 9, 14, 3);
const PMOVSCLR: SystemRegister = (3, 3, 9, 12, 3);
const PMCCNTR: SystemRegister = (3, 3, 9, 13, 0);
const PMEVCNTR0: SystemRegister = (3, 3, 14, 8, 0);
const PMEVTYPER0: SystemRegister = (3, 3, 14, 12, 0);
const MDSCR: SystemRegister = (2, 0, 0, 2, 2);
const DBGBVR1: SystemRegister = (2, 0, 0, 1, 4);
const DBGWVR0: SystemRegister = (2, 0, 0, 0, 6);
const DBGWCR0: SystemRegister = (2, 0, 0, 0, 7);
const CLAIMSET: SystemRegister = (2, 0, 7, 8, 6);
const CLAIMCLR: SystemRegister = (2, 0, 7, 9, 6);
const OSLAR: SystemRegister = (2, 0, 1, 0, 4);
const OSLSR: SystemRegister = (2, 0, 1, 1, 4);

/// ZCR_EL1: the longest vector that EL2 allows; 0, where it starts, is 128 bits.
const LONGEST: Action = Action::Write(ZCR, 15);
/// PMCR_EL0: LC and E.
const COUNTING: u64 = 1 << 6 | 1;
/// The cycle counter, in the sets of counters.
const CYCLES: u64 = 1 << 31;
/// MDSCR_EL1: MDE and KDE.
const DEBUGGING: u64 = 1 << 15 | 1 << 13;
/// DBGWCR_EL1: all eight bytes, loads and stores, EL1 and EL0, enabled.
const WATCHING: u64 = 0xff << 5 | 0b11 << 3 | 0b11 << 1 | 1;

pub(super) fn add(registry: &mut Registry) {
    add_host_vectors(registry);
    add_sve(registry);
    pmu::add(registry);
    pmu::add_limits(registry);
    debug::add(registry);
    let scenario = registry.add("rec_run/simd/host_in_streaming_mode", |w| {
        w.arm(Mishap::Streaming)?;
        // Creation measures, and the Realm uses its vectors.
        let rec = w.running()?;
        same("own", values(w, &rec, &[Action::Simd(7), Action::Simd(8)])?, [0, 7])
    });
    scenario.needs(Need::Streaming);
    let scenario = registry.add("rec_run/sve/first_use_traps_as_sme", |w| {
        // As it does where the Host is in streaming mode (Arm ARM, CheckSMEEnabled: CPTR_EL2.SMEN
        // goes before FPEN).
        let max = limits(w)?.sve()?;
        let rec = with_sve(w, max)?;
        let sme = RawException { cause: 0, esr: 0x1d << 26 | 1 << 25, far: 0, hpfar: 0 };
        let actions = [Action::SetEl1(El1::Vbar, VECTORS), Action::Raw(sme), Action::Vector(7)];
        same("lent", w.observe(&rec, &actions)?, [Observed::Value(0)].into())?;
        let observed = w.observe(&rec, &[Action::Vector(8), Action::Raw(sme)])?;
        let [Observed::Value(7), Observed::Exception { esr: 0x200_0000, .. }] = observed.as_slice()
        else {
            return fail(alloc::format!("SME itself gave {observed:x?}"));
        };
        Ok(())
    });
    scenario.needs(Need::RawException);
    let scenario = registry.add("rec_run/sve/host_in_streaming_mode", |w| {
        let max = limits(w)?.sve()?;
        w.arm(Mishap::Streaming)?;
        let rec = with_sve(w, max)?;
        let actions = [LONGEST, Action::Vector(9), Action::Sve];
        same("own", values(w, &rec, &actions)?, [0, 16 * (max + 1)])?;
        same("kept", values(w, &rec, &[Action::Vector(0)])?, [9])
    });
    scenario.needs(Need::Streaming).needs(Need::Sve);
    registry.add("realm_create/params_supp/sve_vl_above", |w| {
        let sve_vl = limits(w)?.sve_vl.map_or(0, |vl| vl + 1);
        refused(w, |p| (p.flags, p.sve_vl) = (RealmParams::SVE, sve_vl))
    });
    registry.add("realm_create/params_supp/pmu_num_ctrs_above", |w| {
        let counters = limits(w)?.counters.map_or(1, |counters| counters + 1);
        refused(w, |p| (p.flags, p.pmu_num_ctrs) = (RealmParams::PMU, counters))
    });
    registry.add("realm_create/params_supp/one_breakpoint_too_many", |w| {
        let breakpoints = limits(w)?.breakpoints;
        refused(w, |p| p.num_bps = breakpoints + 1)
    });
    registry.add("realm_create/params_supp/one_watchpoint_too_many", |w| {
        let watchpoints = limits(w)?.watchpoints;
        refused(w, |p| p.num_wps = watchpoints + 1)
    });
}

/// What is the Host's in the SIMD unit survives, however EL3 and the Realm change the length of
/// vectors.
fn add_host_vectors(registry: &mut Registry) {
    registry.add("rec_run/simd/el3_works_while_lent", |w| {
        // A Realm without SVE has the unit when the monitor asks EL3 for the platform's token. The
        // Host's vectors are longer than what is open then, and EL3 comes and goes through a change
        // of the length.
        let rec = w.running()?;
        w.smc(&rec, &[rsi::ATTESTATION_TOKEN_INIT, 1])?;
        // The signature is made before the page is found to be EMPTY. So nothing is hashed any more
        // in the entry that asks EL3: a hash may bring the monitor to a state of the unit in which
        // the length does not change.
        let mut last = 0;
        for (page, wanted) in [(0x1000, rsi::ERROR_INPUT), (0, rsi::SUCCESS)] {
            let proceed = smc(&[rsi::ATTESTATION_TOKEN_CONTINUE, page, 0, 0x1000]);
            let mut code = rsi::INCOMPLETE;
            for _ in 0..SLICES_MAX {
                let observed = w.observe(&rec, &[Action::Simd(last + 1), proceed.clone()])?;
                let [Observed::Value(before), Observed::Smc([x0, ..])] = observed.as_slice() else {
                    return fail(alloc::format!("observed {observed:x?}"));
                };
                same("the Realm's own", *before, last)?;
                (last, code) = (last + 1, *x0);
                if code != rsi::INCOMPLETE {
                    break;
                }
            }
            same("code", code, wanted)?;
        }
        Ok(())
    });
    let scenario = registry.add("rec_run/simd/host_with_sve_hint", |w| {
        let rec = w.running()?;
        w.arm(Mishap::SveHint)?;
        same("own", values(w, &rec, &[Action::Simd(7), Action::Simd(8)])?, [0, 7])?;
        same("kept", values(w, &rec, &[Action::Simd(9)])?, [8])
    });
    scenario.needs(Need::HostVectors);
    let scenario = registry.add("rec_run/sve/host_with_sve_hint", |w| {
        let max = limits(w)?.sve()?;
        let rec = with_sve(w, max)?;
        w.arm(Mishap::SveHint)?;
        let actions = [LONGEST, Action::Vector(7), Action::Predicate(true), Action::Sve];
        same("own", values(w, &rec, &actions)?, [0, 0, 16 * (max + 1)])?;
        same("kept", values(w, &rec, &[Action::Vector(0)])?, [7])
    });
    scenario.needs(Need::HostVectors).needs(Need::Sve);
}

/// Most calls that a signature takes: an interrupt may end each of them.
const SLICES_MAX: u64 = 200;

/// What feature register 0 says.
struct Limits {
    sve_vl: Option<u64>,
    counters: Option<u64>,
    breakpoints: u64,
    watchpoints: u64,
}

impl Limits {
    /// The longest vector, or the end of a scenario about SVE.
    fn sve(&self) -> Outcome<u64> {
        self.sve_vl.map_or_else(|| missing(Need::Sve), Ok)
    }

    /// The number of event counters, or the end of a scenario about performance monitors.
    fn pmu(&self) -> Outcome<u64> {
        self.counters.map_or_else(|| missing(Need::Pmu), Ok)
    }

    /// The same, and not 0.
    fn event_counters(&self) -> Outcome<u64> {
        match self.pmu()? {
            0 => missing(Need::EventCounter),
            counters => Ok(counters),
        }
    }
}

fn limits(w: &mut World<'_>) -> Outcome<Limits> {
    let [features, ..] = w.call(Command::Features, [0])?.ok()?.outputs;
    Ok(Limits {
        sve_vl: (features >> 9 & 1 == 1).then_some(features >> 10 & 15),
        counters: (features >> 26 & 1 == 1).then_some(features >> 27 & 31),
        breakpoints: features >> 14 & 63,
        watchpoints: features >> 20 & 63,
    })
}

/// A Realm that has to be refused.
#[track_caller]
fn refused(w: &mut World<'_>, change: impl FnOnce(&mut RealmParams)) -> Outcome {
    let mut params = w.realm_params(40, 0, 1)?;
    change(&mut params);
    let rd = w.delegated()?;
    let page = w.params(&params.to_page());
    w.call(Command::RealmCreate, [rd, page])?.is(INPUT)?;
    Ok(())
}

/// A REC of an active Realm with changed parameters.
#[track_caller]
fn running_with(w: &mut World<'_>, change: impl FnOnce(&mut RealmParams)) -> Outcome<Rec> {
    let mut params = w.realm_params(40, 0, 1)?;
    change(&mut params);
    let realm = w.realm_with(&params)?;
    w.running_in(&realm)
}

#[track_caller]
fn with_sve(w: &mut World<'_>, vl: u64) -> Outcome<Rec> {
    running_with(w, |p| (p.flags, p.sve_vl) = (RealmParams::SVE, vl))
}

#[track_caller]
fn with_pmu(w: &mut World<'_>, counters: u64) -> Outcome<Rec> {
    running_with(w, |p| (p.flags, p.pmu_num_ctrs) = (RealmParams::PMU, counters))
}

/// The values that a program reads.
#[track_caller]
fn values<const COUNT: usize>(
    w: &mut World<'_>,
    rec: &Rec,
    actions: &[Action],
) -> Outcome<[u64; COUNT]> {
    let observed = w.observe(rec, actions)?;
    let mut values = [0; COUNT];
    let mut slots = values.iter_mut();
    for seen in &observed {
        match seen {
            Observed::Value(value) => {
                if let Some(slot) = slots.next() {
                    *slot = *value;
                }
            }
            Observed::Done => {}
            other => return fail(alloc::format!("observed {other:x?}")),
        }
    }
    same("values", slots.count(), 0)?;
    Ok(values)
}

fn add_sve(registry: &mut Registry) {
    registry.add("rec_run/sve/each_length", |w| {
        let max = limits(w)?.sve()?;
        for vl in 0..=max {
            let rec = with_sve(w, vl)?;
            let [pfr0, bytes] = values(w, &rec, &[Action::Read(PFR0), LONGEST, Action::Sve])?;
            holds("ID_AA64PFR0_EL1 says so", pfr0 >> 32 & 15 != 0)?;
            // A CPU need not have every length: it takes the next shorter one.
            holds("a vector", bytes >= 16 && bytes <= 16 * (vl + 1) && bytes.is_multiple_of(16))?;
            // Powers of two are not optional up to the longest.
            if (vl + 1).is_power_of_two() {
                same("its length", bytes, 16 * (vl + 1))?;
            }
        }
        Ok(())
    });
    registry.add("rec_run/sve/starts_empty_and_is_kept", |w| {
        let max = limits(w)?.sve()?;
        for vl in [0, max / 2, max] {
            let rec = with_sve(w, vl)?;
            let other = with_sve(w, max)?;
            let first = [LONGEST, Action::Vector(0x1111), Action::Predicate(true), Action::Sve];
            let [lane, active, bytes] = values(w, &rec, &first)?;
            same("starts at zero", (lane, active), (0, 0))?;
            let [lane, active] =
                values(w, &other, &[LONGEST, Action::Vector(0x2222), Action::Predicate(false)])?;
            same("nothing of the other Realm's", (lane, active), (0, 0))?;
            let again = [Action::Vector(0x3333), Action::Predicate(true)];
            same("kept over an exit", values(w, &rec, &again)?, [0x1111, bytes])?;
            same("the other's too", values(w, &other, &[Action::Vector(0)])?, [0x2222])?;
        }
        Ok(())
    });
    registry.add("rec_run/sve/is_kept_while_the_monitor_hashes", |w| {
        let max = limits(w)?.sve()?;
        let rec = with_sve(w, max)?;
        // RSI_MEASUREMENT_EXTEND of REM 1 by 32 bytes.
        let mut extend = [0; 11];
        extend[..4].copy_from_slice(&[0xc400_0193, 1, 32, 0x1234]);
        let actions = [LONGEST, Action::Vector(0x5555), Action::Smc(extend), Action::Vector(0)];
        let observed = w.observe(&rec, &actions)?;
        let [Observed::Done, Observed::Value(_), Observed::Smc(results), Observed::Value(0x5555)] =
            observed.as_slice()
        else {
            return fail(alloc::format!("observed {observed:x?}"));
        };
        same("extended", results[0], 0)
    });
    registry.add("rec_run/sve/simd_is_a_part_of_it", |w| {
        let max = limits(w)?.sve()?;
        let rec = with_sve(w, max)?;
        let [_, own] = values(w, &rec, &[LONGEST, Action::Simd(7), Action::Simd(8)])?;
        same("own", own, 7)?;
        same("kept", values(w, &rec, &[Action::Simd(9), Action::Sve])?, [8, 16 * (max + 1)])
    });
    registry.add("rec_run/sve/is_the_realms_own", |w| {
        let max = limits(w)?.sve()?;
        let (rec, other) = (with_sve(w, max)?, with_sve(w, max)?);
        let [_, _, bytes] = values(
            w,
            &rec,
            &[LONGEST, Action::Vector(0x1111), Action::Predicate(true), Action::Sve],
        )?;
        let theirs = [LONGEST, Action::Vector(0x2222), Action::Predicate(false)];
        let [lane, active] = values(w, &other, &theirs)?;
        holds("nothing of the other Realm's", lane != 0x1111 && active != bytes)?;
        let again = [Action::Vector(0x3333), Action::Predicate(true)];
        same("kept over an exit", values(w, &rec, &again)?, [0x1111, bytes])?;
        same("the other's too", values(w, &other, &[Action::Vector(0)])?, [0x2222])
    });
    registry.add("rec_aux_count/success/sve", |w| {
        let max = limits(w)?.sve()?;
        let realm = w.realm()?;
        let [plain, ..] = w.call(Command::RecAuxCount, [realm.rd])?.ok()?.outputs;
        let mut params = w.realm_params(40, 0, 1)?;
        (params.flags, params.sve_vl) = (RealmParams::SVE, max);
        let realm = w.realm_with(&params)?;
        let [sve, ..] = w.call(Command::RecAuxCount, [realm.rd])?.ok()?.outputs;
        holds("at most 16", sve <= 16 && plain <= sve)?;
        let rec = w.rec(&realm, 0)?;
        w.call(Command::RecDestroy, [rec.pa])?.ok()?;
        Ok(())
    });
}
