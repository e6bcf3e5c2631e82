//! Arguments in registers, checked as far as that is possible without looking at any state.

use granule::GranuleAddr;
use realm::Rmm;
use realm::rtt::ripas::{InitRules, WishRules};

pub(super) use crate::args::{granule, host_page, in_place, level, rd, rec, rec_index, source};
use crate::ops::ripas::Init;
use crate::ops::{Cause, Named, Operand};

/// The one granule that is to be delegated or given back.
///
/// # Errors
///
/// `Unaligned`.
#[inline]
pub(super) fn one_granule(raw: u64) -> Result<GranuleAddr, Cause> {
    GranuleAddr::new(raw).ok_or(Cause::Unaligned(Operand::Granule))
}

/// RTT_INIT_RIPAS is measured, and leaves memory alone.
pub(super) const INIT_RIPAS: Init = Init { is_measured: true, rules: InitRules::Unassigned };

/// RTT_SET_RIPAS changes what is DESTROYED only with the Realm's consent, and steps over a first
/// entry that needs no change.
pub(super) const SET_RIPAS: WishRules = WishRules { empties_destroyed: false, aligned_base: false };

/// The two RECs of a RMI_PSCI_COMPLETE, which must differ.
///
/// # Errors
///
/// `Alias`, `Unaligned`, `Untracked`.
pub(super) fn calling_and_target<'t, M>(
    rmm: &Rmm<'t, M>,
    calling: u64,
    target: u64,
) -> Result<(Named<'t>, Named<'t>), Cause> {
    if calling == target {
        return Err(Cause::Alias(Operand::TargetRec));
    }
    let calling = granule(rmm, Operand::CallingRec, calling)?;
    Ok((calling, granule(rmm, Operand::TargetRec, target)?))
}
