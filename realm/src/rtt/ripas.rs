//! RIPAS changes: one engine over the entries of a table, from a base towards a top.
//!
//! It keeps every block that the range covers whole, and never makes a table.

use super::entry::{Entry, Ripas, raw};
use super::scan::ripas_of;
use super::tree::Position;

/// How far a change got, and what it leaves to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// First address that was not reached.
    pub reached: u64,
    /// An entry that hardware may have cached was changed: the range must be invalidated.
    pub stale: bool,
}

/// What a Host may make RAM while it builds a Realm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitRules {
    /// Whatever has no memory, DESTROYED as well. Memory ends the change.
    Unassigned,
    /// Whatever is EMPTY or RAM, with memory or without. DESTROYED ends the change.
    NotDestroyed,
}

/// Changes entries of the table at `at`, from `base` on, to RAM on behalf of the Host before
/// activation. `measured` is told of each entry's `[base, top)`.
///
/// Stops at `top`, at the end of the table, and at the first entry that `rules` do not allow.
/// `base` must be aligned to an entry.
///
/// Source: RMM specification (Arm DEN0137) 1.0, B4.3.18 `RMI_RTT_INIT_RIPAS`; an ASSIGNED entry in
/// the middle does not stop the formal text, but would then be made valid without consent: stop.
/// 2.0, `RMI_RTT_INIT_RIPAS`: ASSIGNED memory cannot be the Host's choice there, DATA_MAP gives
/// none with contents, so it changes as well.
pub fn init(
    at: &Position<'_, '_>,
    base: u64,
    top: u64,
    rules: InitRules,
    mut measured: impl FnMut(u64, u64),
) -> u64 {
    let size = at.level.entry_size();
    let mut addr = base;
    for index in at.index..at.level.entries() {
        if top - addr < size || !init_at(at, index, rules) {
            break;
        }
        measured(addr, addr + size);
        addr += size;
        if addr == top {
            break;
        }
    }
    addr
}

/// Makes one entry RAM; false if `rules` do not allow it.
#[inline(always)]
fn init_at(at: &Position<'_, '_>, index: usize, rules: InitRules) -> bool {
    let not_destroyed = rules == InitRules::NotDestroyed;
    match raw::unassigned(at.raw_at(index)) {
        Some(Ripas::Destroyed) if not_destroyed => false,
        Some(_) => {
            at.set_raw_at(index, raw::unassigned_with(Ripas::Ram));
            true
        }
        None if not_destroyed => match at.entry_at(index) {
            Entry::Assigned(Ripas::Empty | Ripas::Ram, address) => {
                // Nothing can be cached of it: the entry was not valid, and the Realm has not run.
                at.set_at(index, Entry::Assigned(Ripas::Ram, address));
                true
            }
            Entry::Assigned(Ripas::Destroyed, _)
            | Entry::Unassigned(_)
            | Entry::UnassignedNs
            | Entry::AssignedNs(..)
            | Entry::Table(_) => false,
        },
        None => false,
    }
}

/// A Realm's wish, as RSI_IPA_STATE_SET stated it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The RIPAS it wants: EMPTY or RAM.
    pub ripas: Ripas,
    /// Whether it accepts that DESTROYED entries change, that is: that their contents are lost.
    pub change_destroyed: bool,
}

/// Where the versions of the interface differ about a Realm's wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WishRules {
    /// DESTROYED may always become EMPTY: that promises the Realm no contents. Else the Realm must
    /// accept that as well.
    pub empties_destroyed: bool,
    /// The first entry must begin at the base of the range, also if it has the wanted RIPAS.
    pub aligned_base: bool,
}

/// Changes entries of the table at `at`, from `base` on, as the Realm wished.
///
/// Stops at `top`, at the end of the table, at a TABLE entry, at an entry that reaches past `top`,
/// and at a DESTROYED entry if the Realm does not accept that. `None` if the first entry already
/// stops it: the Host has to walk deeper. An entry that already has the wanted RIPAS never stops it
/// at its beginning.
///
/// Source: RMM specification (Arm DEN0137) 1.0, B4.3.21 `RMI_RTT_SET_RIPAS`, B3.75 `RttSetRipas`.
/// When the first entry already has the wanted RIPAS, `base_align` and `no_progress` do not apply,
/// and the literal formula for `out_top` may point backwards; we step over that entry, up to `top`.
pub fn set(
    at: &Position<'_, '_>,
    base: u64,
    top: u64,
    wish: Wish,
    rules: WishRules,
) -> Option<Progress> {
    let level = at.level;
    if rules.aligned_base && !level.is_aligned(base) {
        return None;
    }
    let change_destroyed =
        wish.change_destroyed || rules.empties_destroyed && wish.ripas == Ripas::Empty;
    let wish = Wish { change_destroyed, ..wish };
    let mut addr = base;
    let mut first = at.index;
    if ripas_of(at.entry) == Some(wish.ripas) {
        addr = top.min(level.align_down(base) + level.entry_size());
        first += 1;
    } else if !level.is_aligned(base) {
        return None;
    }
    let size = level.entry_size();
    let fitting = usize::try_from(top.saturating_sub(addr) / size).unwrap_or(usize::MAX);
    let mut stale = false;
    for index in (first..level.entries()).take(fitting) {
        let Some(was_valid) = change_at(at, index, wish) else { break };
        stale |= was_valid;
        addr += size;
    }
    (addr > base).then_some(Progress { reached: addr, stale })
}

/// Changes one entry; whether hardware could use the old one. `None` if the entry must not be
/// changed.
#[inline]
fn change_at(at: &Position<'_, '_>, index: usize, wish: Wish) -> Option<bool> {
    // Most entries of a large range have no memory: no need to take them apart.
    match raw::unassigned(at.raw_at(index)) {
        Some(Ripas::Destroyed) if !wish.change_destroyed => None,
        Some(_) => {
            at.set_raw_at(index, raw::unassigned_with(wish.ripas));
            Some(false)
        }
        None => {
            let entry = at.entry_at(index);
            let changed = change(entry, wish)?;
            at.set_at(index, changed);
            Some(changed != entry && entry.is_valid())
        }
    }
}

/// What the entry says after the wish; `None` if it must not be changed.
fn change(entry: Entry, wish: Wish) -> Option<Entry> {
    match entry {
        Entry::Unassigned(Ripas::Destroyed) | Entry::Assigned(Ripas::Destroyed, _)
            if !wish.change_destroyed =>
        {
            None
        }
        Entry::Unassigned(_) => Some(Entry::Unassigned(wish.ripas)),
        Entry::Assigned(_, address) => Some(Entry::Assigned(wish.ripas, address)),
        Entry::UnassignedNs | Entry::AssignedNs(..) | Entry::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use granule::GranuleAddr;

    /// What a wish makes of each entry; `None`: it stops there.
    ///
    /// Source: RMM specification (Arm DEN0137) 1.0, B4.3.21, A5.4.
    #[test]
    fn a_wish_changes_only_ripas_and_only_with_consent() {
        let page = GranuleAddr::new(0x8000_0000).unwrap();
        let wishes = [
            Wish { ripas: Ripas::Ram, change_destroyed: false },
            Wish { ripas: Ripas::Ram, change_destroyed: true },
            Wish { ripas: Ripas::Empty, change_destroyed: false },
            Wish { ripas: Ripas::Empty, change_destroyed: true },
        ];
        for wish in wishes {
            for ripas in [Ripas::Empty, Ripas::Ram, Ripas::Destroyed] {
                let stops = ripas == Ripas::Destroyed && !wish.change_destroyed;
                let unassigned = Some(Entry::Unassigned(wish.ripas)).filter(|_| !stops);
                assert_eq!(change(Entry::Unassigned(ripas), wish), unassigned);
                let assigned = Some(Entry::Assigned(wish.ripas, page)).filter(|_| !stops);
                assert_eq!(change(Entry::Assigned(ripas, page), wish), assigned);
            }
            for entry in [Entry::UnassignedNs, Entry::Table(page)] {
                assert_eq!(change(entry, wish), None);
            }
        }
    }
}
