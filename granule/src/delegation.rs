//! Moving granules between the Non-secure and the Realm physical address space.
//!
//! | Step | On failure the granule is |
//! | --- | --- |
//! | delegate: EL3 changes the GPT | UNDELEGATED, untouched |
//! | undelegate: wipe | (cannot fail) |
//! | undelegate: EL3 changes the GPT | DELEGATED, wiped, in the leak ledger |
//!
//! A DELEGATED granule holds no secret: objects are wiped when they return to DELEGATED, and what a Host
//! left in a granule before it delegated it is the Host's own. Whoever takes a granule out of DELEGATED
//! initialises all of it, so nothing of the Host's reaches the monitor or a Realm either.

use machine::GranuleAddr;
use machine::log::{Event, Log, RealmNumber};
use machine::memory::{Memory, Slot};
use machine::root::{El3Error, Pas, RootWorld};

use crate::guard::GranuleGuard;
use crate::history::History;
use crate::ledger::{Failure, Ledger, Step};
use crate::state::{Delegated, InRealmPas, State, TransitionTo, Undelegated};
use crate::table::GranuleTable;

/// Takes a granule from the Host: GPT Non-secure to Realm, state UNDELEGATED to DELEGATED.
///
/// # Errors
///
/// EL3's code if it refuses, for example because the granule is Secure; nothing changed then.
pub fn delegate<'t>(
    machine: &impl RootWorld,
    granules: &GranuleTable<'t>,
    granule: GranuleGuard<'t, Undelegated>,
) -> Result<GranuleAddr, El3Error> {
    machine.set_pas(granule.addr(), 1, Pas::Realm)?;
    granules.account().moved(Undelegated::STATE, Delegated::STATE);
    Ok(granule.transition::<Delegated>().addr())
}

/// Gives a granule back to the Host, wiped: GPT Realm to Non-secure, state DELEGATED to UNDELEGATED.
///
/// # Errors
///
/// EL3's code if it refuses; the granule is wiped, still DELEGATED, and in the ledger then.
pub fn undelegate<'t, M: Memory + RootWorld + Log>(
    machine: &M,
    granules: &GranuleTable<'t>,
    ledger: &Ledger,
    mut granule: GranuleGuard<'t, Delegated>,
) -> Result<(), El3Error> {
    let addr = granule.addr();
    machine.wipe(Slot::Object, granule.exclusive());
    if let Err(el3) = machine.set_pas(addr, 1, Pas::NonSecure) {
        let history = granule.history();
        let failure = Failure { granule: addr, history, step: Step::GptToNonSecure, el3 };
        let (entry, kept) = ledger.enter(failure);
        machine.log(Event::Leaked { entry: &entry, kept });
        return Err(el3);
    }
    // Before the lock goes: it orders all entries about one granule.
    if ledger.has_entries()
        && let Some(entry) = ledger.settle(addr)
    {
        machine.log(Event::Recovered(&entry));
    }
    granules.account().moved(Delegated::STATE, Undelegated::STATE);
    granule.transition::<Undelegated>().unlock();
    Ok(())
}

/// Ends the use of a granule by a Realm: its contents go, then it is DELEGATED again.
pub fn release<'t, S>(
    machine: &impl Memory,
    granules: &GranuleTable<'t>,
    mut granule: GranuleGuard<'t, S>,
    realm: RealmNumber,
) -> GranuleGuard<'t, Delegated>
where
    S: InRealmPas + TransitionTo<Delegated>,
{
    granule.set_count(0);
    machine.wipe(Slot::Object, granule.exclusive());
    granules.account().moved(S::STATE, Delegated::STATE);
    let granule = granule.transition::<Delegated>();
    granule.set_history(History::new(S::STATE, realm));
    granule
}
