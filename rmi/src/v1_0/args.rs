//! Arguments in registers, checked as far as that is possible without looking at any state.

use granule::{GranuleAddr, GranuleRange};
use realm::Rmm;
use realm::rec::RecIndex;
use realm::rtt::Level;
use realm::rtt::ripas::{InitRules, WishRules};

use crate::ops::data::Source;
use crate::ops::ripas::Init;
use crate::ops::{Cause, HostPage, Named, Operand};

/// The granule that an argument names.
///
/// # Errors
///
/// `Unaligned`, `Untracked`.
#[inline]
pub(super) fn granule<'t, M>(
    rmm: &Rmm<'t, M>,
    operand: Operand,
    raw: u64,
) -> Result<Named<'t>, Cause> {
    Named::new(rmm, operand, raw)
}

/// The range of the one granule that is to be delegated or given back.
///
/// # Errors
///
/// `Unaligned`.
#[inline]
pub(super) fn one_granule(raw: u64) -> Result<GranuleRange, Cause> {
    let granule = GranuleAddr::new(raw).ok_or(Cause::Unaligned(Operand::Granule))?;
    Ok(GranuleRange::one(granule))
}

/// A Realm Descriptor.
///
/// # Errors
///
/// `Unaligned`, `Untracked`.
#[inline]
pub(super) fn rd<'t, M>(rmm: &Rmm<'t, M>, raw: u64) -> Result<Named<'t>, Cause> {
    granule(rmm, Operand::Rd, raw)
}

/// A REC.
///
/// # Errors
///
/// `Unaligned`, `Untracked`.
#[inline]
pub(super) fn rec<'t, M>(rmm: &Rmm<'t, M>, raw: u64) -> Result<Named<'t>, Cause> {
    granule(rmm, Operand::Rec, raw)
}

/// A pointer to a page of the Host's.
///
/// # Errors
///
/// `HostUnaligned`, `HostUntracked`.
pub(super) fn host_page<M>(
    rmm: &Rmm<'_, M>,
    page: HostPage,
    raw: u64,
) -> Result<GranuleAddr, Cause> {
    let addr = GranuleAddr::new(raw).ok_or(Cause::HostUnaligned(page))?;
    if rmm.granules.is_tracked(addr) { Ok(addr) } else { Err(Cause::HostUntracked(page)) }
}

/// A level of translation tables, a signed number; `None` if there is no such level.
#[inline]
pub(super) fn level(raw: u64) -> Option<Level> {
    Level::new(raw.cast_signed())
}

/// RTT_INIT_RIPAS is measured, and leaves memory alone.
pub(super) const INIT_RIPAS: Init = Init { is_measured: true, rules: InitRules::Unassigned };

/// RTT_SET_RIPAS changes what is DESTROYED only with the Realm's consent, and steps over a first
/// entry that needs no change.
pub(super) const SET_RIPAS: WishRules = WishRules { empties_destroyed: false, aligned_base: false };

/// The page of a RMI_DATA_CREATE, with its `RmiDataFlags`: bit 0, measure the content. The others should be zero and are
/// ignored, but measured.
pub(super) const fn source(page: GranuleAddr, flags: u64) -> Source {
    const MEASURE_CONTENT: u64 = 1;
    Source { page, measures_content: flags & MEASURE_CONTENT != 0, measured_flags: flags }
}

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

/// `RmiRecMpidr`; `None` if a reserved bit is set.
///
/// The specification says "should be zero" of bits 7:4 and 63:32; like the reference monitor we refuse.
pub(super) fn rec_index(mpidr: u64) -> Option<RecIndex> {
    if mpidr >> 32 != 0 || mpidr & 0xf0 != 0 {
        return None;
    }
    RecIndex::from_affinities(mpidr & 0xf, (mpidr >> 8) & 0xff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rec_is_named_by_four_affinities() {
        for (mpidr, index) in
            [(0, 0), (0xf, 15), (0x100, 16), (0x1_0000, 4096), (0x100_0000, 1_048_576)]
        {
            assert_eq!(rec_index(mpidr).unwrap().as_u64(), index);
        }
        assert_eq!(rec_index(0x10), None);
        assert_eq!(rec_index(1 << 32), None);
    }
}
