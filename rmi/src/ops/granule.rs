//! Granules on their way between Host and monitor.

use granule::delegation::{self, Moved, Refusal};
use granule::{
    Budget, Delegated, GranuleAddr, GranuleError, GranuleRange, GranuleState, Progress, State,
    Undelegated,
};
use machine::{El3Error, Log, Memory, RootWorld, Vcpu};
use realm::Rmm;

use super::{Cause, Operand};

/// What a granule is that is already in the state that a command is to bring it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlreadyThere {
    /// Done.
    IsProgress,
    /// In the wrong state.
    IsRefused,
}

/// Hands granules from the Host to the monitor.
///
/// # Errors
///
/// Of the first granule: `NotTracked`, `RangeState`, `NotDelegated`, `El3Busy`, `El3Conflict`.
pub fn delegate<M: Memory + RootWorld + Vcpu>(
    rmm: &Rmm<'_, M>,
    range: GranuleRange,
    already: AlreadyThere,
    budget: Budget,
) -> Result<Progress, Cause> {
    advance(rmm, range, budget, Cause::NotDelegated, |rest, _| {
        delegation::delegate(rmm.machine, &rmm.granules, rest)
            .or_else(|refusal| unless_there::<Delegated, _>(rmm, rest, refusal, already))
    })
}

/// Hands one granule from the Host to the monitor: [`delegate`] without the loop (perf:
/// `granule_delegate`).
///
/// # Errors
///
/// `NotTracked`, `RangeState`, `Blocked`, `NotDelegated`, `El3Busy`, `El3Conflict`.
#[inline(always)]
pub fn delegate_one<M: Memory + RootWorld>(
    rmm: &Rmm<'_, M>,
    granule: GranuleAddr,
) -> Result<(), Cause> {
    delegation::delegate(rmm.machine, &rmm.granules, GranuleRange::one(granule))
        .map(|_| ())
        .map_err(|refusal| cause(refusal, granule, Cause::NotDelegated))
}

/// Hands granules back to the Host.
///
/// # Errors
///
/// Of the first granule: `NotTracked`, `RangeState`, `El3Busy`, `El3Conflict`; `NotUndelegated` if
/// EL3 refuses, which the specification does not foresee.
pub fn undelegate<M: RootWorld + Vcpu + Log>(
    rmm: &Rmm<'_, M>,
    range: GranuleRange,
    already: AlreadyThere,
    budget: Budget,
) -> Result<Progress, Cause> {
    advance(rmm, range, budget, Cause::NotUndelegated, |rest, is_first| {
        delegation::undelegate(rmm.machine, &rmm.granules, &rmm.ledger, rest, is_first)
            .or_else(|refusal| unless_there::<Undelegated, _>(rmm, rest, refusal, already))
    })
}

/// Granules that are in the wanted state `S` already are done: the first of `rest`, which has been
/// found there, and those that follow it.
#[cold]
fn unless_there<S: State, M>(
    rmm: &Rmm<'_, M>,
    rest: GranuleRange,
    refusal: Refusal,
    already: AlreadyThere,
) -> Result<Moved, Refusal> {
    let is_there = refusal == Refusal::Granule(GranuleError::WrongState(S::STATE));
    if is_there && already == AlreadyThere::IsProgress {
        // None, if another CPU has taken it away meanwhile: it was there all the same.
        let count = rmm.granules.leading::<S>(rest).max(1);
        Ok(Moved { count, is_short: false })
    } else {
        Err(refusal)
    }
}

/// Hands one granule back to the Host: [`undelegate`] without the loop (perf:
/// `granule_undelegate`).
///
/// # Errors
///
/// `NotTracked`, `RangeState`, `Blocked`, `NotUndelegated`, `El3Busy`, `El3Conflict`.
#[inline(always)]
pub fn undelegate_one<M: RootWorld + Log>(
    rmm: &Rmm<'_, M>,
    granule: GranuleAddr,
) -> Result<(), Cause> {
    let range = GranuleRange::one(granule);
    delegation::undelegate(rmm.machine, &rmm.granules, &rmm.ledger, range, true)
        .map(|_| ())
        .map_err(|refusal| cause(refusal, granule, Cause::NotUndelegated))
}

/// Goes through a range in steps, until one fails or is short, an interrupt is pending or the
/// budget is used up. `step` is given what is left of the range, and whether that is all of it.
#[inline(always)]
fn advance<M: Vcpu>(
    rmm: &Rmm<'_, M>,
    range: GranuleRange,
    budget: Budget,
    refused_by_el3: Cause,
    mut step: impl FnMut(GranuleRange, bool) -> Result<Moved, Refusal>,
) -> Result<Progress, Cause> {
    let mut done = 0;
    while let Some(rest) = range.part(done, budget.units.saturating_sub(done)) {
        match step(rest, done == 0) {
            Ok(Moved { count, is_short }) => {
                done += count;
                if is_short || !budget.goes_on(done, rmm.machine) {
                    break;
                }
            }
            Err(refusal) if done == 0 => return Err(cause(refusal, range.base(), refused_by_el3)),
            // The Host's next call meets the same granule first.
            Err(_) => break,
        }
    }
    Ok(Progress { reached: range.base().as_u64() + done * granule::GRANULE_SIZE })
}

/// Why the granule at `addr` could not be moved.
#[cold]
fn cause(refusal: Refusal, addr: GranuleAddr, refused_by_el3: Cause) -> Cause {
    match refusal {
        Refusal::Granule(GranuleError::Untracked | GranuleError::Unaligned) => {
            Cause::NotTracked { addr }
        }
        Refusal::Granule(GranuleError::WrongState(GranuleState::Partial)) => {
            Cause::Blocked(Operand::Granule)
        }
        Refusal::Granule(
            GranuleError::WrongState(_) | GranuleError::Alias | GranuleError::Held,
        ) => Cause::RangeState { addr },
        Refusal::El3(error) => refused(error, refused_by_el3),
    }
}

/// Why EL3 does not move a granule: `for_good` if it never will.
#[cold]
pub(super) fn refused(error: El3Error, for_good: Cause) -> Cause {
    match error {
        El3Error::AGAIN => Cause::El3Busy,
        El3Error::CONFLICT => Cause::El3Conflict,
        El3Error(_) => for_good,
    }
}
