//! Checks of addresses and levels against a Realm's tables, and of the entry at which a walk ends.

use realm::IpaSpace;
use realm::rtt::{Entry, Level, Position, Ripas, Tree};

use super::cause::Cause;

/// The level of a table that is linked into, or taken out of, a tree: below the start level. With
/// the level of its parent. `None` is a level that does not exist.
///
/// # Errors
///
/// `LevelBound`.
pub(crate) fn table_level(tree: &Tree, level: Option<Level>) -> Result<(Level, Level), Cause> {
    let level = level.filter(|&level| level > tree.start).ok_or(Cause::LevelBound)?;
    Ok((level.parent().ok_or(Cause::LevelBound)?, level))
}

/// A level that may hold leaves, and that the tree has.
///
/// # Errors
///
/// `LevelBound`.
pub(crate) fn leaf_level(tree: &Tree, level: Option<Level>) -> Result<Level, Cause> {
    level.filter(|level| level.may_be_leaf() && *level >= tree.start).ok_or(Cause::LevelBound)
}

/// An IPA that must be aligned to an entry of `level` and inside the space.
///
/// # Errors
///
/// `IpaUnaligned`, `IpaBound`.
pub(crate) fn entry_ipa(space: IpaSpace, ipa: u64, level: Level) -> Result<(), Cause> {
    aligned_ipa(ipa, level, space.contains(ipa))
}

/// An IPA of a page that must be protected.
///
/// # Errors
///
/// `IpaUnaligned`, `IpaBound`.
pub(crate) fn protected_page(space: IpaSpace, ipa: u64) -> Result<(), Cause> {
    aligned_ipa(ipa, Level::PAGE, space.is_protected(ipa))
}

/// An IPA that must be aligned to an entry of `level` and unprotected.
///
/// # Errors
///
/// `IpaUnaligned`, `IpaBound`.
pub(crate) fn unprotected_entry(space: IpaSpace, ipa: u64, level: Level) -> Result<(), Cause> {
    aligned_ipa(ipa, level, space.is_unprotected(ipa))
}

/// A range that must be aligned to pages, not empty and protected.
///
/// # Errors
///
/// `RangeUnaligned`, `RangeEmpty`, `RangeBound`.
pub(crate) fn protected_range(space: IpaSpace, base: u64, top: u64) -> Result<(), Cause> {
    page_range(base, top)?;
    if space.is_protected(top - 1) { Ok(()) } else { Err(Cause::RangeBound) }
}

/// A range that must be aligned to pages, not empty and unprotected.
///
/// # Errors
///
/// `RangeUnaligned`, `RangeEmpty`, `RangeBound`.
pub(crate) fn unprotected_range(space: IpaSpace, base: u64, top: u64) -> Result<(), Cause> {
    page_range(base, top)?;
    let is_inside = space.is_unprotected(base) && space.is_unprotected(top - 1);
    if is_inside { Ok(()) } else { Err(Cause::RangeBound) }
}

fn page_range(base: u64, top: u64) -> Result<(), Cause> {
    if !Level::PAGE.is_aligned(base) || !Level::PAGE.is_aligned(top) {
        return Err(Cause::RangeUnaligned);
    }
    if top <= base { Err(Cause::RangeEmpty) } else { Ok(()) }
}

#[inline]
fn aligned_ipa(ipa: u64, level: Level, is_inside: bool) -> Result<(), Cause> {
    if !level.is_aligned(ipa) {
        return Err(Cause::IpaUnaligned);
    }
    if is_inside { Ok(()) } else { Err(Cause::IpaBound) }
}

/// The walk of commands on one entry must have reached its level.
///
/// # Errors
///
/// `Walk` with the level reached.
pub(crate) fn reached(at: &Position<'_, '_>, level: Level) -> Result<(), Cause> {
    if at.level < level { Err(Cause::Walk { level: at.level, next: 0 }) } else { Ok(()) }
}

/// The entry of a command that puts a page where none is.
///
/// # Errors
///
/// `Walk` or `EntryState`, with the level reached.
pub(crate) fn unassigned_page(at: &Position<'_, '_>) -> Result<Ripas, Cause> {
    reached(at, Level::PAGE)?;
    match at.entry {
        Entry::Unassigned(ripas) => Ok(ripas),
        Entry::Assigned(..) | Entry::UnassignedNs | Entry::AssignedNs(..) | Entry::Table(_) => {
            Err(Cause::EntryState { level: at.level, next: 0 })
        }
    }
}
