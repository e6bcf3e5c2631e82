//! Moving granules between the Non-secure and the Realm physical address space.
//!
//! | Step | On failure the granule is |
//! | --- | --- |
//! | delegate: EL3 changes the GPT | UNDELEGATED, untouched |
//! | delegate: wipe | (cannot fail) |
//! | undelegate: EL3 changes the GPT | DELEGATED, in the leak ledger |
//!
//! **A DELEGATED granule is all zero.** It is wiped once on its way in, after the change of the
//! GPT: from then on no store of the Host's can reach it, also none that was under way. And it is
//! wiped whenever an object ends in it. So neither a mapping, nor a new object, nor the way back to
//! the Host has to wipe, and nothing of the Host's reaches the monitor or a Realm.

use machine::addr::GRANULE_WORDS;
use machine::log::{Event, Log, RealmNumber};
use machine::memory::{ExclusiveRun, Memory, Slot};
use machine::root::{El3Error, Pas, RootWorld};

use crate::guard::GranuleGuard;
use crate::history::History;
use crate::ledger::{Failure, Ledger, Step};
use crate::range::GranuleRange;
use crate::state::{Delegated, InRealmPas, State, TransitionTo, Undelegated};
use crate::table::{GranuleError, GranuleTable};

/// Most granules that are held while EL3 works.
///
/// A CPU that wants one of them waits for EL3: at most for so many changes, and only if the Host
/// names a granule from two CPUs at once. EL3 stops at an interrupt of the CPU that holds them.
const RUN_MAX: u64 = 64;

/// Why no granule of a range could be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The first granule is not tracked, or in another state.
    Granule(GranuleError),
    /// EL3 refuses to move it.
    El3(El3Error),
}

impl From<GranuleError> for Refusal {
    fn from(error: GranuleError) -> Self {
        Self::Granule(error)
    }
}

/// How many granules have been moved, and whether the range should be left at that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Granules, at least one.
    pub count: u64,
    /// EL3 has stopped before the end of what it was asked for.
    pub is_short: bool,
}

/// Takes granules from the Host, from the first of a range on: GPT Non-secure to Realm, state
/// UNDELEGATED to DELEGATED. As many as follow each other in that state, up to a bound.
///
/// # Errors
///
/// Why not even the first can be moved, for example because it is Secure; nothing changed then.
#[inline(always)]
pub fn delegate<M: Memory + RootWorld>(
    machine: &M,
    granules: &GranuleTable<'_>,
    range: GranuleRange,
) -> Result<Moved, Refusal> {
    let range = range.part(0, RUN_MAX).unwrap_or(range);
    let mut run = granules.lock_run::<Undelegated>(range)?;
    let asked = run.count();
    let count = machine.set_pas(run.base(), asked, Pas::Realm).map_err(Refusal::El3)?;
    // In the Realm physical address space since EL3's answer, and held by nobody else.
    machine.wipe_run(Slot::Object, ExclusiveRun::new(run.base(), count));
    granules.account().moved_run(Undelegated::STATE, Delegated::STATE, count);
    run.commit::<Delegated>(count, 0);
    Ok(Moved { count, is_short: count < asked })
}

/// Gives granules back to the Host, from the first of a range on: GPT Realm to Non-secure, state
/// DELEGATED to UNDELEGATED. As many as follow each other in that state, up to a bound.
///
/// A refusal by EL3 is entered in the ledger if `is_told`: if the Host will hear of it now. Else it
/// hears of it with its next call, which meets the same granule first, and a refusal is one entry
/// however the Host cuts its ranges.
///
/// # Errors
///
/// Why not even the first can be moved. After a refusal by EL3 it is still DELEGATED.
#[inline(always)]
pub fn undelegate<M: RootWorld + Log>(
    machine: &M,
    granules: &GranuleTable<'_>,
    ledger: &Ledger,
    range: GranuleRange,
    is_told: bool,
) -> Result<Moved, Refusal> {
    let range = range.part(0, RUN_MAX).unwrap_or(range);
    let mut run = granules.lock_run::<Delegated>(range)?;
    let asked = run.count();
    let count = match machine.set_pas(run.base(), asked, Pas::NonSecure) {
        Ok(count) => count,
        Err(el3) => {
            if is_told {
                let (granule, history) = (run.base(), run.history());
                enter(
                    machine,
                    ledger,
                    Failure { granule, history, step: Step::GptToNonSecure, el3 },
                );
            }
            return Err(Refusal::El3(el3));
        }
    };
    // Before the locks go: they order all entries about one granule.
    if ledger.has_entries() {
        (0..count).filter_map(|number| run.base().add(number)).for_each(|granule| {
            if let Some(entry) = ledger.settle(granule) {
                machine.log(Event::Recovered(&entry));
            }
        });
    }
    granules.account().moved_run(Delegated::STATE, Undelegated::STATE, count);
    run.commit::<Undelegated>(count, 0);
    Ok(Moved { count, is_short: count < asked })
}

/// Takes one granule from the Host that is to keep its contents: GPT Non-secure to Realm, state
/// UNDELEGATED to DELEGATED. `contents` is what the caller has copied out of it.
///
/// The result is not zero, as a DELEGATED granule has to be: the caller gives it a role before it
/// lets it go.
///
/// # Errors
///
/// EL3 refuses to move it; it is UNDELEGATED, unlocked and untouched then.
pub fn take_over<'t, M: Memory + RootWorld>(
    machine: &M,
    granules: &GranuleTable<'t>,
    granule: GranuleGuard<'t, Undelegated>,
    contents: &[u64; GRANULE_WORDS],
) -> Result<GranuleGuard<'t, Delegated>, El3Error> {
    machine.set_pas(granule.addr(), 1, Pas::Realm)?;
    let mut granule = granule.transition::<Delegated>();
    // All of it: what a granule holds after a change of the GPT is nobody's promise, and the Host
    // may have written to it until then.
    machine.page(Slot::Object, granule.exclusive()).0 = *contents;
    granules.account().moved(Undelegated::STATE, Delegated::STATE);
    Ok(granule)
}

#[cold]
fn enter(machine: &impl Log, ledger: &Ledger, failure: Failure) {
    let (entry, kept) = ledger.enter(failure);
    machine.log(Event::Leaked { entry: &entry, kept });
}

/// Ends the use of a granule by a Realm: its contents go, then it is DELEGATED again.
#[inline] // perf: `rec_destroy`.
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

/// Ends the use of granules that follow each other: their contents go, then they are DELEGATED
/// again.
///
/// The caller has made sure that nobody reaches them any more, and still holds the table that led
/// to them.
///
/// # Panics
///
/// If one of them is not in state `S`.
pub fn release_run<S>(
    machine: &impl Memory,
    granules: &GranuleTable<'_>,
    range: GranuleRange,
    realm: RealmNumber,
) where
    S: InRealmPas + TransitionTo<Delegated>,
{
    let mut run = granules.lock_known::<S>(range);
    let count = run.count();
    machine.wipe_run(Slot::Object, run.exclusive());
    granules.account().moved_run(S::STATE, Delegated::STATE, count);
    run.commit::<Delegated>(count, History::new(S::STATE, realm).bits());
}
