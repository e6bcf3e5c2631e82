//! In-place population: a page of the Host's becomes memory of a new Realm and keeps its contents.
//!
//! An extension of ours that no specification has, and that a Host asks for in each call
//! (`docs/in-place-population.md`).
//!
//! The contents are copied out, EL3 moves the granule, and the copy is written back: so what is
//! measured is what the Realm gets, whatever the Host writes meanwhile, and nothing is taken for
//! granted about what a granule holds after a change of the granule protection table.
//!
//! Unlike all other commands this one calls EL3 while it holds an RD and a table: all that can fail
//! comes before, so that no failure has anything to take back. The Realm is new, so no REC waits.

use granule::{Data, RdState, Undelegated, delegation};
use machine::addr::GRANULE_WORDS;
use machine::{Hasher, HostMemory, Memory, RootWorld, Slot};
use realm::Rmm;
use realm::rd::{Rd, RealmState};
use realm::rtt::{Level, Ripas};
use zerocopy::IntoBytes;

use super::data::{self, Source};
use super::granule::refused;
use super::{Cause, HostPage, Named, entry, lock};

/// Gives a new Realm a page of the Host's with what is in it, and measures that.
///
/// # Errors
///
/// `State`, `NotEncodable`, `IpaUnaligned`, `IpaBound`, `RealmState`, `Walk`, `EntryState`,
/// `HostFault`, `NotDelegated`, `El3Busy`, `El3Conflict`. The page is the Host's then, and
/// untouched.
// Out of line: the copy would make the stack of every other command larger.
#[cold]
#[inline(never)]
pub fn populate<M: Memory + HostMemory + Hasher + RootWorld>(
    rmm: &Rmm<'_, M>,
    rd: Named<'_>,
    page: Named<'_>,
    ipa: u64,
    source: &Source,
) -> Result<(), Cause> {
    let machine = rmm.machine;
    let (page, mut rd) = lock::pair::<Undelegated, RdState>(page, rd)?;
    let mut rd_page = machine.page(Slot::Rd, rd.exclusive());
    let rd: &mut Rd = rd_page.view_mut();
    let tree = rd.tree();
    data::check_page(&tree, page.addr(), ipa)?;
    if rd.state() != RealmState::New {
        return Err(Cause::RealmState);
    }
    let algorithm = rd.algorithm();
    let measurements = &mut rd.measurements;
    let memory = tree.walk(machine, &rmm.granules, ipa, Level::PAGE, |at| {
        entry::unassigned_page(&at)?;
        let mut contents = [0; GRANULE_WORDS];
        machine
            .read_host(source.page, 0, &mut contents)
            .map_err(|_| Cause::HostFault(HostPage::Source))?;
        let mut memory = delegation::take_over(machine, &rmm.granules, page, &contents)
            .map_err(|error| refused(error, Cause::NotDelegated))?;
        // Nothing can fail from here on.
        let content = source.measures_content.then(|| contents.as_bytes());
        measurements.extend_data(machine, algorithm, (ipa, source.measured_flags), content);
        data::hand_over(machine, &at, Ripas::Ram, &mut memory);
        Ok(memory)
    })?;
    rmm.granules.claim::<Data>(memory).unlock();
    rd.holdings.add_data(1);
    Ok(())
}
