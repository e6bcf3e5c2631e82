//! Changes of RIPAS: by the Host while it builds a Realm, and by a Realm's wish.

use granule::{RdState, RecState};
use machine::stage2::Stale;
use machine::{Hasher, Memory, Slot, Stage2Tlb};
use realm::rd::{Rd, RealmState};
use realm::rtt::ripas::{InitRules, WishRules};
use realm::rtt::{Entry, Level, ripas};
use realm::{Rec, Rmm};

use super::lock::{self, tree_of};
use super::{Cause, Named};

/// How a Host makes a range of a new Realm RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Init {
    /// Whether the RIM tells of it. That of a Realm without an instance always does.
    pub is_measured: bool,
    /// What may become RAM.
    pub rules: InitRules,
}

/// Makes a range of a new Realm RAM. Returns how far it got: at most to the end of one table.
///
/// # Errors
///
/// `State`, `RangeEmpty`, `RangeBound`, `RangeUnaligned`, `RealmState`, `BaseUnaligned`,
/// `EntryState`, `NoProgress`.
pub fn init<M: Memory + Hasher>(
    rmm: &Rmm<'_, M>,
    rd: Named<'_>,
    base: u64,
    top: u64,
    Init { is_measured, rules }: Init,
) -> Result<u64, Cause> {
    let machine = rmm.machine;
    let mut guard = rd.lock::<RdState>()?;
    let mut page = machine.page(Slot::Rd, guard.exclusive());
    let rd: &mut Rd = page.view_mut();
    let tree = rd.tree();
    if top <= base {
        return Err(Cause::RangeEmpty);
    }
    if !tree.space.is_protected(top - 1) {
        return Err(Cause::RangeBound);
    }
    if !Level::PAGE.is_aligned(top) {
        return Err(Cause::RangeUnaligned);
    }
    if rd.state() != RealmState::New {
        return Err(Cause::RealmState);
    }
    let algorithm = rd.algorithm();
    tree.walk(machine, &rmm.granules, base, Level::PAGE, |at| {
        if !at.level.is_aligned(base) {
            return Err(Cause::BaseUnaligned(at.level));
        }
        let has_memory = !matches!(at.entry, Entry::Unassigned(_));
        if has_memory && rules == InitRules::Unassigned {
            return Err(Cause::EntryState { level: at.level, next: 0 });
        }
        // What a RIM tells of is as the Realm was made: a Host whose CPUs still speak one version
        // while others have changed to the other must not mix their rules.
        let reached = if is_measured || rd.instance.get().is_none() {
            let mut extension = rd.measurements.extend_ripas(algorithm);
            ripas::init(&at, base, top, rules, |base, top| extension.extend(machine, base, top))
        } else {
            ripas::init(&at, base, top, rules, |_, _| {})
        };
        machine.publish();
        if reached == base { Err(Cause::NoProgress(at.level)) } else { Ok(reached) }
    })
}

/// Carries out a part of what a Realm wished. Returns how far it got.
///
/// # Errors
///
/// `State`, `RangeEmpty`, `RangeUnaligned`, `RecRunning`, `RecOwner`, `RequestBase`, `RequestTop`,
/// `BaseUnaligned`, `NoProgress`.
// perf: two dialects call it, and neither should pay for that (`set_ripas_1g_1g_block`).
#[inline(always)]
pub fn set<M: Memory + Stage2Tlb>(
    rmm: &Rmm<'_, M>,
    rd: Named<'_>,
    rec: Named<'_>,
    (base, top): (u64, u64),
    rules: WishRules,
) -> Result<u64, Cause> {
    let machine = rmm.machine;
    let (mut rd, mut rec_guard) = lock::pair::<RdState, RecState>(rd, rec)?;
    if top <= base {
        return Err(Cause::RangeEmpty);
    }
    if !Level::PAGE.is_aligned(top) {
        return Err(Cause::RangeUnaligned);
    }
    if rec_guard.count() != 0 {
        return Err(Cause::RecRunning);
    }
    let tree = tree_of(rmm, &mut rd);
    let mut page = machine.page(Slot::Rec, rec_guard.exclusive());
    let rec: &mut Rec = page.view_mut();
    if rec.owner() != rd.addr() {
        return Err(Cause::RecOwner);
    }
    if base != rec.ripas.addr {
        return Err(Cause::RequestBase);
    }
    if top > rec.ripas.top {
        return Err(Cause::RequestTop);
    }
    let wish = rec.ripas.wish();
    let progress = tree.walk(machine, &rmm.granules, base, Level::PAGE, |at| {
        let Some(progress) = ripas::set(&at, base, top, wish, rules) else {
            return Err(if at.level.is_aligned(base) {
                Cause::NoProgress(at.level)
            } else {
                Cause::BaseUnaligned(at.level)
            });
        };
        if progress.stale {
            let stale = Stale::Range {
                ipa: base,
                size_bytes: progress.reached - base,
                leaf_size_bytes: at.level.entry_size(),
            };
            machine.invalidate(tree.vmid, stale);
        } else {
            machine.publish();
        }
        Ok(progress)
    })?;
    rec.ripas.addr = progress.reached;
    Ok(progress.reached)
}
