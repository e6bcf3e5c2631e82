//! Arguments that every version of the interface has.

use machine::GranuleAddr;
use realm::Rmm;
use realm::rec::RecIndex;
use realm::rtt::Level;

use crate::ops::data::Source;
use crate::ops::{Cause, HostPage, Named, Operand};

/// The granule that an argument names.
///
/// # Errors
///
/// `Unaligned`, `Untracked`.
#[inline]
pub(crate) fn granule<'t, M>(
    rmm: &Rmm<'t, M>,
    operand: Operand,
    raw: u64,
) -> Result<Named<'t>, Cause> {
    Named::new(rmm, operand, raw)
}

/// A Realm Descriptor.
///
/// # Errors
///
/// `Unaligned`, `Untracked`.
#[inline]
pub(crate) fn rd<'t, M>(rmm: &Rmm<'t, M>, raw: u64) -> Result<Named<'t>, Cause> {
    granule(rmm, Operand::Rd, raw)
}

/// A REC.
///
/// # Errors
///
/// `Unaligned`, `Untracked`.
#[inline]
pub(crate) fn rec<'t, M>(rmm: &Rmm<'t, M>, raw: u64) -> Result<Named<'t>, Cause> {
    granule(rmm, Operand::Rec, raw)
}

/// A pointer to a page of the Host's.
///
/// # Errors
///
/// `HostUnaligned`, `HostUntracked`.
pub(crate) fn host_page<M>(
    rmm: &Rmm<'_, M>,
    page: HostPage,
    raw: u64,
) -> Result<GranuleAddr, Cause> {
    let addr = GranuleAddr::new(raw).ok_or(Cause::HostUnaligned(page))?;
    if rmm.granules.is_tracked(addr) { Ok(addr) } else { Err(Cause::HostUntracked(page)) }
}

/// A level of translation tables, a signed number; `None` if there is no such level.
#[inline]
pub(crate) fn level(raw: u64) -> Option<Level> {
    Level::new(raw.cast_signed())
}

/// The `RmiDataFlags` with which a Host asks for population in place; `None` if it does not: bit
/// 63, which is ours, and the contents where they are to be.
///
/// The bit is not measured: how contents come to a Realm makes no difference to it.
pub(crate) fn in_place(data: GranuleAddr, page: GranuleAddr, flags: u64) -> Option<u64> {
    const IN_PLACE: u64 = 1 << 63;
    (flags & IN_PLACE != 0 && data == page).then_some(flags & !IN_PLACE)
}

/// The page of contents of a new Realm, with its `RmiDataFlags`: bit 0, measure the content. The
/// others should be zero and are ignored, but measured.
pub(crate) const fn source(page: GranuleAddr, flags: u64) -> Source {
    const MEASURE_CONTENT: u64 = 1;
    Source { page, measures_content: flags & MEASURE_CONTENT != 0, measured_flags: flags }
}

/// `RmiRecMpidr`; `None` if a reserved bit is set.
///
/// The specification says "should be zero" of bits 7:4 and 63:32; like the reference monitor we
/// refuse.
pub(crate) fn rec_index(mpidr: u64) -> Option<RecIndex> {
    if mpidr >> 32 != 0 || mpidr & 0xf0 != 0 {
        return None;
    }
    RecIndex::from_affinities(mpidr & 0xf, (mpidr >> 8) & 0xff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bit_63_and_one_page_ask_for_population_in_place() {
        let [page, other] = [0x8000_0000, 0x8000_1000].map(GranuleAddr::containing);
        for flags in [0, 1, u64::MAX >> 1] {
            assert_eq!(in_place(page, page, flags), None);
            assert_eq!(in_place(page, other, flags | 1 << 63), None);
            assert_eq!(in_place(page, page, flags | 1 << 63), Some(flags));
        }
    }

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
