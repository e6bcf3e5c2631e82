//! What the monitor keeps account of: which addresses are memory that can be a Realm's.

use granule::GRANULE_SIZE;
use realm::Rmm;

use super::Cause;

/// What a range of addresses is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// Memory whose granules the monitor keeps account of one by one.
    Tracked,
    /// Memory that is the monitor's own.
    Reserved,
    /// Nothing that the monitor knows of.
    Absent,
}

/// Bytes of the regions in which memory is accounted for.
const REGION_BYTES: u64 = 1 << 30;

/// Bytes that one entry of EL3's first table describes.
const PROTECTION_BYTES: u64 = 1 << 30;

/// Checks a range of physical addresses; it may end where they do.
fn check_range<M>(rmm: &Rmm<'_, M>, base: u64, top: u64, unit: u64) -> Result<(), Cause> {
    if !base.is_multiple_of(unit) || !top.is_multiple_of(unit) {
        return Err(Cause::RangeUnaligned);
    }
    if top <= base {
        return Err(Cause::RangeEmpty);
    }
    if top > 1 << rmm.features.pa_bits() { Err(Cause::RangeBound) } else { Ok(()) }
}

/// What the addresses from `base` on are, and up to where they all are that, at most up to `top`.
///
/// # Errors
///
/// `RangeUnaligned`, `RangeEmpty`, `RangeBound`.
pub fn region<M>(rmm: &Rmm<'_, M>, base: u64, top: u64) -> Result<(Region, u64), Cause> {
    check_range(rmm, base, top, GRANULE_SIZE)?;
    let tracked = rmm.granules.banks().map(|bank| (Region::Tracked, bank));
    let reserved = rmm.reserved.iter().map(|bank| (Region::Reserved, bank.base..bank.end()));
    let mut reached = top;
    for (region, bank) in tracked.chain(reserved) {
        if bank.contains(&base) {
            return Ok((region, bank.end.min(top)));
        }
        if bank.start > base {
            reached = reached.min(bank.start);
        }
    }
    Ok((Region::Absent, reached))
}

/// Checks that the region that begins at `addr` has memory that is accounted for.
///
/// # Errors
///
/// `RangeUnaligned`, `RangeBound`, `RegionReserved`.
pub fn check_region<M>(rmm: &Rmm<'_, M>, addr: u64) -> Result<(), Cause> {
    let end = addr.checked_add(REGION_BYTES).ok_or(Cause::RangeBound)?;
    check_range(rmm, addr, end, REGION_BYTES)?;
    let is_in = |bank: core::ops::Range<u64>| bank.start < end && addr < bank.end;
    if rmm.granules.banks().any(is_in) { Ok(()) } else { Err(Cause::RegionReserved) }
}

/// Checks a range of addresses that entries of EL3's first table describe.
///
/// # Errors
///
/// `RangeUnaligned`, `RangeEmpty`, `RangeBound`.
pub fn check_protection_range<M>(rmm: &Rmm<'_, M>, base: u64, top: u64) -> Result<(), Cause> {
    check_range(rmm, base, top, PROTECTION_BYTES)
}

/// Checks an address that an entry of EL3's first table describes.
///
/// # Errors
///
/// `RangeUnaligned`, `RangeBound`.
pub fn check_protection_entry<M>(rmm: &Rmm<'_, M>, pa: u64) -> Result<(), Cause> {
    let end = pa.checked_add(PROTECTION_BYTES).ok_or(Cause::RangeBound)?;
    check_range(rmm, pa, end, PROTECTION_BYTES)
}
