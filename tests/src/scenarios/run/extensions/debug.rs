//! Breakpoints, watchpoints, and what else is an external debugger's.

use super::super::super::registry::Registry;
use super::{
    CLAIMCLR, CLAIMSET, DBGBVR1, DBGWCR0, DBGWVR0, DEBUGGING, DFR0, MDSCR, OSLAR, OSLSR, WATCHING,
    limits, running_with, values,
};
use crate::need::Need;
use crate::outcome::{fail, holds, same};
use crate::program::{Access, Action, El1, Observed};
use crate::rec::VECTORS;

/// In the memory that a Realm has from the start.
const WATCHED: u64 = 0x800;

pub(super) fn add(registry: &mut Registry) {
    registry.add("rec_run/debug/has_what_it_was_given", |w| {
        let limits = limits(w)?;
        for (bps, wps) in [(1, 1), (limits.breakpoints, limits.watchpoints)] {
            let rec = running_with(w, |p| (p.num_bps, p.num_wps) = (bps, wps))?;
            let [dfr0] = values(w, &rec, &[Action::Read(DFR0)])?;
            same("BRPs, WRPs", (dfr0 >> 12 & 15, dfr0 >> 20 & 15), (bps, wps))?;
        }
        Ok(())
    });
    registry.add("rec_run/debug/watchpoint", |w| {
        let rec = w.running()?;
        let arm = [
            Action::Write(DBGWVR0, WATCHED),
            Action::Write(DBGWCR0, WATCHING),
            Action::Write(OSLAR, 0),
            Action::Write(MDSCR, DEBUGGING),
        ];
        w.observe(&rec, &arm)?;
        // After an exit, so that it has been put away and brought back.
        let touch = [Action::SetEl1(El1::Vbar, VECTORS), Action::Load(WATCHED, Access::WORD)];
        let observed = w.observe(&rec, &touch)?;
        let [Observed::Exception { esr, far, vector, at_instruction: true, .. }] =
            observed.as_slice()
        else {
            return fail(alloc::format!("no exception but {observed:x?}"));
        };
        same("a watchpoint", (esr >> 26, *vector, far & !7), (0x35, 0x200, WATCHED))
    });
    let scenario = registry.add("rec_run/debug/os_lock_silences", |w| {
        let rec = w.running()?;
        let arm = [
            Action::Write(DBGWVR0, WATCHED),
            Action::Write(DBGWCR0, WATCHING),
            Action::Write(MDSCR, DEBUGGING),
        ];
        w.observe(&rec, &arm)?;
        values::<1>(w, &rec, &[Action::Load(WATCHED, Access::WORD)])?;
        Ok(())
    });
    scenario.needs(Need::OsLock);
    registry.add("rec_run/debug/is_kept_and_shown_to_nobody", |w| {
        let rec = w.running()?;
        let other = w.running()?;
        let write = [
            Action::Write(DBGBVR1, 0x1230),
            Action::Write(DBGWVR0, 0x4560),
            Action::Write(CLAIMSET, 5),
            Action::Write(OSLAR, 0),
        ];
        w.observe(&rec, &write)?;
        let look = [
            Action::Read(DBGBVR1),
            Action::Read(DBGWVR0),
            Action::Read(CLAIMCLR),
            Action::Read(OSLSR),
        ];
        let [break0, watch0, claimed, lock] = values(w, &other, &look)?;
        same("its own claim and lock, as after a reset", (claimed, lock), (0, 0xa))?;
        holds("nothing of the other Realm's", break0 != 0x1230 && watch0 != 0x4560)?;
        same("kept over an exit", values(w, &rec, &look)?, [0x1230, 0x4560, 5, 8])
    });
    registry.add("rec_run/debug/starts_at_zero", |w| {
        let rec = w.running()?;
        let look = [Action::Read(DBGBVR1), Action::Read(DBGWVR0)];
        same("registers", values(w, &rec, &look)?, [0, 0])
    });
}
