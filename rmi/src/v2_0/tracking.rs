//! Which memory can be a Realm's, and how EL3 describes it. Both are fixed at boot: each granule of
//! DRAM has a state of its own, and EL3 has described all memory.

use realm::Rmm;

use crate::ops::Cause;
use crate::ops::tracking::{self, Region};

/// `RmiMemCategory`.
mod category {
    pub(super) const CONVENTIONAL: u64 = 0;
    pub(super) const DEVICE_COHERENT: u64 = 2;
    pub(super) const NONE: u64 = 3;
}

/// `RmiTrackingState`.
mod state {
    pub(super) const RESERVED: u64 = 0;
    pub(super) const NONE: u64 = 1;
    pub(super) const FINE: u64 = 2;
    pub(super) const COARSE: u64 = 3;
}

/// `RMI_GRANULE_TRACKING_GET`: category, state, and how far both stay the same.
///
/// # Errors
///
/// `RangeUnaligned`, `RangeEmpty`, `RangeBound`.
///
/// Source: RMM specification (Arm DEN0137) 2.0-bet3, `RMI_GRANULE_TRACKING_GET`.
pub(super) fn get<M>(rmm: &Rmm<'_, M>, base: u64, top: u64) -> Result<[u64; 3], Cause> {
    let (region, reached) = tracking::region(rmm, base, top)?;
    let (category, state) = match region {
        Region::Tracked => (category::CONVENTIONAL, state::FINE),
        Region::Reserved => (category::CONVENTIONAL, state::RESERVED),
        Region::Absent => (category::NONE, state::NONE),
    };
    Ok([category, state, reached])
}

/// `RMI_GRANULE_TRACKING_SET`: nothing can be changed; what is so already is a success (OQ-7).
///
/// # Errors
///
/// `TrackingState`, `Unsupported`, and those of [`tracking::check_region`].
pub(super) fn set<M>(rmm: &Rmm<'_, M>, addr: u64, wanted: u64, to: u64) -> Result<(), Cause> {
    if !matches!(to, state::NONE | state::FINE | state::COARSE) {
        return Err(Cause::TrackingState);
    }
    if wanted > category::DEVICE_COHERENT {
        return Err(Cause::TrackingState);
    }
    tracking::check_region(rmm, addr)?;
    if (wanted, to) == (category::CONVENTIONAL, state::FINE) {
        Ok(())
    } else {
        Err(Cause::Unsupported)
    }
}

/// `RMI_GPT_INFO`: how far, and that EL3 has made the tables. One answer covers all that is asked
/// for: a Host may not be able to ask for the rest.
///
/// # Errors
///
/// `RangeUnaligned`, `RangeEmpty`, `RangeBound`.
///
/// Source: RMM specification (Arm DEN0137) 2.0-bet3, `RMI_GPT_INFO`.
pub(super) fn protection_tables<M>(
    rmm: &Rmm<'_, M>,
    base: u64,
    top: u64,
) -> Result<[u64; 2], Cause> {
    const PLATFORM: u64 = 1;
    tracking::check_protection_range(rmm, base, top)?;
    Ok([top, PLATFORM])
}

/// `RMI_GPT_L1_CREATE` and `RMI_GPT_L1_DESTROY`: all tables are EL3's.
///
/// # Errors
///
/// `RangeUnaligned`, `RangeBound`; else `ProtectionTable`.
pub(super) fn change_protection_table<M>(rmm: &Rmm<'_, M>, pa: u64) -> Result<(), Cause> {
    tracking::check_protection_entry(rmm, pa)?;
    Err(Cause::ProtectionTable)
}
