//! Checks that many commands share: from raw register values to locked granules and checked levels.

use core::cmp::Ordering;

use granule::{GranuleAddr, GranuleError, GranuleGuard, RdState, RttState, State, Tracked};
use machine::HostFault;
use realm::rtt::{Entry, Format, Level, Position, Tree};
use realm::{IpaSpace, Rmm};

use crate::error::Refusal;

/// Labels of the three checks on a granule argument.
#[derive(Clone, Copy, Debug)]
pub struct Labels {
    /// Not 4 KiB aligned.
    pub align: &'static str,
    /// Not delegable.
    pub bound: &'static str,
    /// In another state.
    pub state: &'static str,
}

/// Labels of `rd`.
pub const RD: Labels = Labels { align: "rd_align", bound: "rd_bound", state: "rd_state" };
/// Labels of `rec`.
pub const REC: Labels = Labels { align: "rec_align", bound: "rec_bound", state: "rec_gran_state" };
/// Labels of `data`.
pub const DATA: Labels = Labels { align: "data_align", bound: "data_bound", state: "data_state" };
/// Labels of `rtt`.
pub const RTT: Labels = Labels { align: "rtt_align", bound: "rtt_bound", state: "rtt_state" };
/// Labels of `addr` of the granule commands.
pub const GRAN: Labels = Labels { align: "gran_align", bound: "gran_bound", state: "gran_state" };

impl Labels {
    /// The refusal for a granule that could not be locked.
    pub fn refusal(&self, error: GranuleError) -> Refusal {
        Refusal::input(match error {
            GranuleError::Unaligned => self.align,
            GranuleError::Untracked => self.bound,
            GranuleError::WrongState(_) | GranuleError::Alias => self.state,
        })
    }

    /// Checks alignment and bound of a granule argument, so that nothing of its state is looked at yet.
    ///
    /// # Errors
    ///
    /// `align` or `bound`.
    #[inline]
    pub fn check<'t, M>(&self, rmm: &Rmm<'t, M>, raw: u64) -> Result<Tracked<'t>, Refusal> {
        let addr = GranuleAddr::new(raw).ok_or(Refusal::input(self.align))?;
        rmm.granules.find(addr).ok_or(Refusal::input(self.bound))
    }

    /// Locks the granule that an argument names.
    ///
    /// # Errors
    ///
    /// `align`, `bound` or `state`.
    pub fn lock<'t, S: State, M>(
        &self,
        rmm: &Rmm<'t, M>,
        raw: u64,
    ) -> Result<GranuleGuard<'t, S>, Refusal> {
        let addr = GranuleAddr::new(raw).ok_or(Refusal::input(self.align))?;
        rmm.granules.lock(addr).map_err(|error| self.refusal(error))
    }
}

/// Locks two granules that arguments name, in ascending order of address.
///
/// # Errors
///
/// The labels of whichever check fails; the same granule twice is a wrong state of the second.
pub fn lock_pair<'t, A: State, B: State, M>(
    rmm: &Rmm<'t, M>,
    (a_labels, a): (&Labels, u64),
    (b_labels, b): (&Labels, u64),
) -> Result<(GranuleGuard<'t, A>, GranuleGuard<'t, B>), Refusal> {
    let a_found = a_labels.check(rmm, a)?;
    let b_found = b_labels.check(rmm, b)?;
    match a.cmp(&b) {
        Ordering::Less => {
            let first = a_found.lock().map_err(|error| a_labels.refusal(error))?;
            let second = b_found.lock().map_err(|error| b_labels.refusal(error))?;
            Ok((first, second))
        }
        Ordering::Greater => {
            let second = b_found.lock().map_err(|error| b_labels.refusal(error))?;
            let first = a_found.lock().map_err(|error| a_labels.refusal(error))?;
            Ok((first, second))
        }
        Ordering::Equal => Err(b_labels.refusal(GranuleError::Alias)),
    }
}

/// Checks a pointer to Host memory, as far as that is possible without touching it.
///
/// # Errors
///
/// The two labels given.
pub fn host_pointer<M>(
    rmm: &Rmm<'_, M>,
    raw: u64,
    align: &'static str,
    bound: &'static str,
) -> Result<GranuleAddr, Refusal> {
    let addr = GranuleAddr::new(raw).ok_or(Refusal::input(align))?;
    if rmm.granules.is_tracked(addr) { Ok(addr) } else { Err(Refusal::input(bound)) }
}

/// The refusal for a copy from or to Host memory that faulted.
pub const fn host_fault(condition: &'static str) -> impl FnOnce(HostFault) -> Refusal {
    move |_| Refusal::input(condition)
}

/// The level of a table that is linked into, or taken out of, a tree: below the start level, at most 3.
///
/// # Errors
///
/// `level_bound`.
pub fn table_level(tree: &Tree, raw: u64) -> Result<(Level, Level), Refusal> {
    const BOUND: Refusal = Refusal::input("level_bound");
    let level = Level::new(raw.cast_signed()).ok_or(BOUND)?;
    if level <= tree.start {
        return Err(BOUND);
    }
    Ok((level.parent().ok_or(BOUND)?, level))
}

/// An IPA that must be aligned to an entry of `level` and inside the space.
///
/// # Errors
///
/// `ipa_align`, `ipa_bound`.
pub fn entry_ipa(space: IpaSpace, ipa: u64, level: Level) -> Result<(), Refusal> {
    if !level.is_aligned(ipa) {
        return Err(Refusal::input("ipa_align"));
    }
    if !space.contains(ipa) {
        return Err(Refusal::input("ipa_bound"));
    }
    Ok(())
}

/// An IPA of a page that must be protected.
///
/// # Errors
///
/// `ipa_align`, `ipa_bound`.
pub fn protected_page(space: IpaSpace, ipa: u64) -> Result<(), Refusal> {
    if !Level::PAGE.is_aligned(ipa) {
        return Err(Refusal::input("ipa_align"));
    }
    if !space.is_protected(ipa) {
        return Err(Refusal::input("ipa_bound"));
    }
    Ok(())
}

/// Whether a granule's address fits the Realm's descriptors.
///
/// # Errors
///
/// `condition`.
pub fn address_fits(
    format: Format,
    addr: GranuleAddr,
    condition: &'static str,
) -> Result<(), Refusal> {
    if format.can_hold(addr.as_u64()) { Ok(()) } else { Err(Refusal::input(condition)) }
}

/// A locked Realm Descriptor.
pub type RdGuard<'t> = GranuleGuard<'t, RdState>;

/// A locked translation table.
pub type TableGuard<'t> = GranuleGuard<'t, RttState>;

/// `rtt_walk` of commands on one entry: the walk must have reached the level.
///
/// # Errors
///
/// `rtt_walk` with the level reached.
pub fn reached(at: &Position<'_, '_>, level: Level) -> Result<(), Refusal> {
    if at.level < level { Err(Refusal::rtt(at.level, "rtt_walk")) } else { Ok(()) }
}

/// `rtt_walk` and `rtte_state` of commands that put a page where none is.
///
/// # Errors
///
/// `rtt_walk` or `rtte_state`, with the level reached.
pub fn unassigned_page(at: &Position<'_, '_>) -> Result<realm::rtt::Ripas, Refusal> {
    reached(at, Level::PAGE)?;
    match at.entry {
        Entry::Unassigned(ripas) => Ok(ripas),
        Entry::Assigned(..) | Entry::UnassignedNs | Entry::AssignedNs(..) | Entry::Table(_) => {
            Err(Refusal::rtt(at.level, "rtte_state"))
        }
    }
}
