//! Stateful operations as the Host sees them: handles, and memory that it gives and takes back.

use granule::GranuleAddr;
use machine::addr::PAGE_WORDS;
use machine::{Hasher, HostMemory, Memory};
use realm::Rmm;
use realm::rtt::Level;

use super::descriptor::{AddrRange, List};
use super::status;
use super::table::Reply;
use crate::ops::Cause;
use crate::ops::sro::{self, Awaits, Begun, Donated, Gift, Reclaimed, Resumed};

/// Most descriptors of a list: a page of them.
const LIST_MAX: usize = PAGE_WORDS;

/// Most granules that a list for taking memory back is filled with at a time.
const RECLAIM_MAX: usize = 64;

/// What the Host is asked to donate: `RmiOpMemDonateReq`. Blocks of one granule, anywhere,
/// DELEGATED: only the number is not 0.
const fn request(awaits: Awaits) -> u64 {
    const COUNT_SHIFT: u32 = 2;
    match awaits {
        Awaits::Donation { granules } => granules << COUNT_SHIFT,
        Awaits::Reclaim | Awaits::Continue => 0,
    }
}

/// The reply while an operation is not finished: `output` is X1.
const fn incomplete(awaits: Awaits, output: u64) -> Reply {
    Reply { status: status::incomplete(awaits), outputs: [output, request(awaits), 0, 0] }
}

/// The reply to a command that has begun an operation.
pub(super) const fn begun(begun: Begun) -> Reply {
    incomplete(begun.awaits, begun.handle)
}

/// `RMI_OP_CONTINUE`. An operation that goes on repeats its handle: there are Hosts that take it
/// from here.
///
/// # Errors
///
/// Those of [`sro::resume`].
pub(super) fn proceed<M: Memory + Hasher>(rmm: &Rmm<'_, M>, handle: u64) -> Result<Reply, Cause> {
    match sro::resume(rmm, handle)? {
        Resumed::Awaits(awaits) => Ok(incomplete(awaits, handle)),
        Resumed::Done => Ok([].into()),
    }
}

/// `RMI_OP_CANCEL`.
///
/// # Errors
///
/// Those of [`sro::cancel`].
pub(super) fn cancel<M>(rmm: &Rmm<'_, M>, handle: u64) -> Result<Reply, Cause> {
    Ok(incomplete(sro::cancel(rmm, handle)?, handle))
}

/// What a list gives, as long as its descriptors are ones.
fn gifts(descriptors: &[u64]) -> impl Iterator<Item = Result<Gift, Cause>> + Clone {
    descriptors.iter().map(|&desc| {
        let range = AddrRange::decode(desc).ok_or(Cause::DonationUnaligned)?;
        Ok(Gift { first: range.base, granules: range.bytes() / granule::GRANULE_SIZE })
    })
}

/// `RMI_OP_MEM_DONATE`: how many granules were taken.
///
/// # Errors
///
/// Those of [`sro::donate`], `HostUnaligned`, `HostUntracked`, `HostFault`.
///
/// Source: RMM specification (Arm DEN0137) 2.0, `RMI_OP_MEM_DONATE`: the list ends at the end of
/// its page.
// Out of line: the list would make the stack of every command larger.
#[inline(never)]
pub(super) fn donate<M: Memory + HostMemory>(
    rmm: &Rmm<'_, M>,
    handle: u64,
    list: u64,
    count: u64,
) -> Result<Reply, Cause> {
    let mut descriptors = [0; LIST_MAX];
    // The operation looks whether it waits for a list before it has it read.
    let Donated { granules, awaits } = sro::donate(rmm, handle, || {
        let list = List::new(rmm, list, count)?;
        // A list without descriptors has to be one that could be read.
        let read = descriptors.get_mut(..list.count.max(1)).unwrap_or_default();
        list.read(rmm.machine, 0, read)?;
        Ok(gifts(read.get(..list.count).unwrap_or_default()))
    })?;
    Ok(incomplete(awaits, granules))
}

/// `RMI_OP_MEM_RECLAIM`: how many descriptors were written, one for each granule.
///
/// # Errors
///
/// Those of [`sro::reclaim`], `HostUnaligned`, `HostUntracked`, `HostFault`.
///
/// Source: RMM specification (Arm DEN0137) 2.0, `RMI_OP_MEM_RECLAIM`.
pub(super) fn reclaim<M: Memory + HostMemory>(
    rmm: &Rmm<'_, M>,
    handle: u64,
    list: u64,
    count: u64,
) -> Result<Reply, Cause> {
    // The list is looked at once the operation is known to have something for it; its room, before.
    let place = List::new(rmm, list, count);
    let room = place.as_ref().map_or(0, |list| list.count.min(RECLAIM_MAX)) as u64;
    let tell = |granules: &[GranuleAddr]| {
        let list = place?;
        list.probe(rmm.machine)?;
        let mut descriptors = [0; RECLAIM_MAX];
        for (desc, &base) in descriptors.iter_mut().zip(granules) {
            *desc = AddrRange { base, level: Level::PAGE, count: 1 }.encode();
        }
        list.write(rmm.machine, 0, descriptors.get(..granules.len()).unwrap_or_default())
    };
    let Reclaimed { entries, awaits } = sro::reclaim(rmm, handle, room, tell)?;
    Ok(incomplete(awaits, entries as u64))
}
