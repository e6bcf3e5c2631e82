//! Performance monitors.

use super::super::super::registry::Registry;
use super::{
    COUNTING, CYCLES, DFR0, PMCCNTR, PMCNTENSET, PMCR, PMEVCNTR0, PMEVTYPER0, PMINTENSET, PMOVSCLR,
    PMOVSSET, limits, values, with_pmu,
};
use crate::outcome::{holds, same};
use crate::program::{Action, Observed};
use alloc::vec::Vec;

pub(super) fn add(registry: &mut Registry) {
    registry.add("rec_run/pmu/has_the_counters_it_was_given", |w| {
        let max = limits(w)?.pmu()?;
        for counters in [max.min(1), max] {
            let rec = with_pmu(w, counters)?;
            let [dfr0, pmcr] = values(w, &rec, &[Action::Read(DFR0), Action::Read(PMCR)])?;
            holds("ID_AA64DFR0_EL1 says so", !matches!(dfr0 >> 8 & 15, 0 | 15))?;
            same("PMCR_EL0.N", pmcr >> 11 & 31, counters)?;
            same("PMCR_EL0.E", pmcr & 1, 0)?;
        }
        Ok(())
    });
    registry.add("rec_run/pmu/counts_and_is_kept", |w| {
        let max = limits(w)?.event_counters()?;
        let rec = with_pmu(w, max)?;
        let other = with_pmu(w, max)?;
        let start = [
            Action::Write(PMEVCNTR0, 0x1234),
            Action::Write(PMEVTYPER0, 0x11),
            Action::Write(PMCNTENSET, CYCLES),
            Action::Write(PMCR, COUNTING),
            Action::Read(PMCCNTR),
            Action::Read(PMCCNTR),
        ];
        let [first, second] = values(w, &rec, &start)?;
        holds("cycles", second > first)?;
        let look = [
            Action::Read(PMEVCNTR0),
            Action::Read(PMEVTYPER0),
            Action::Read(PMCNTENSET),
            Action::Read(PMCCNTR),
        ];
        let [counter, kind, ..] = values::<4>(w, &other, &look)?;
        holds("nothing of the other Realm's", counter != 0x1234 && kind != 0x11)?;
        let [counter, kind, enabled, cycles] = values(w, &rec, &look)?;
        same("kept over an exit", (counter, kind, enabled), (0x1234, 0x11, CYCLES))?;
        holds("cycles go on", cycles > second)
    });
    registry.add("rec_run/pmu/starts_at_zero", |w| {
        let max = limits(w)?.event_counters()?;
        let rec = with_pmu(w, max)?;
        let look = [PMEVCNTR0, PMEVTYPER0, PMCNTENSET, PMCCNTR].map(Action::Read);
        same("counters", values(w, &rec, &look)?, [0; 4])
    });
    registry.add("rec_exit/pmu_overflow", |w| {
        let max = limits(w)?.event_counters()?;
        let rec = with_pmu(w, max)?;
        let overflow = [
            Action::Write(PMCNTENSET, 1),
            Action::Write(PMINTENSET, 1),
            Action::Write(PMCR, COUNTING),
            Action::Write(PMOVSSET, 1),
        ];
        let exit = w.run(&rec, &overflow)?;
        same("active", exit.pmu_ovf_status, 1)?;
        w.observed(&rec);
        let exit = w.run(&rec, &[Action::Read(PMOVSCLR), Action::Write(PMOVSCLR, 1)])?;
        same("not active", exit.pmu_ovf_status, 0)?;
        same("seen", w.observed(&rec), [Observed::Value(1), Observed::Done].into())?;
        // Without counting, nothing is signalled.
        let exit = w.run(&rec, &[Action::Write(PMCR, 1 << 6), Action::Write(PMOVSSET, 1)])?;
        same("disabled", exit.pmu_ovf_status, 0)
    });
}

/// What a Realm with performance monitors must not see, and what it must not see again.
pub(super) fn add_limits(registry: &mut Registry) {
    registry.add("rec_run/pmu/counters_above_its_own", |w| {
        let max = limits(w)?.event_counters()?;
        let own = max.min(1);
        // What a CPU does with these is its own affair; what they hold is not.
        let above = || {
            (own..max)
                .flat_map(|n| [(8, n), (12, n)])
                .map(|(crm, n)| (3, 3, 14, crm + n / 8, n % 8))
        };
        let (first, second) = (with_pmu(w, own)?, with_pmu(w, own)?);
        let write: Vec<_> = above().map(|register| Action::Write(register, 0x15)).collect();
        w.run(&first, &write)?;
        w.observed(&first);
        let read: Vec<_> = above().map(Action::Read).collect();
        let seen = w.observe(&second, &read)?;
        let values =
            seen.iter().filter(|seen| matches!(seen, Observed::Value(value) if *value != 0));
        same("nothing of Host or other Realm", values.count(), 0)?;
        // Nor does an overflow there concern the Host.
        let bit = 1 << own;
        let overflow = [PMCNTENSET, PMINTENSET, PMOVSSET].map(|set| Action::Write(set, bit));
        let counting = [Action::Write(PMCR, COUNTING)];
        let exit = w.run(&first, &[&counting[..], &overflow[..]].concat())?;
        same("not signalled", exit.pmu_ovf_status, 0)
    });
    registry.add("rec_run/pmu/reset_bits_act_once", |w| {
        const P_AND_C: u64 = 0b110;
        let max = limits(w)?.event_counters()?;
        let rec = with_pmu(w, max)?;
        let reset = [
            Action::Write(PMEVCNTR0, 0x1234),
            Action::Write(PMCCNTR, 0x5678),
            Action::Write(PMCR, 1 << 6 | P_AND_C),
            Action::Read(PMCR),
            Action::Read(PMEVCNTR0),
            Action::Read(PMCCNTR),
            Action::Write(PMEVCNTR0, 7),
            Action::Write(PMCCNTR, 8),
        ];
        let [pmcr, counter, cycles] = values(w, &rec, &reset)?;
        same("P and C read as zero", pmcr & P_AND_C, 0)?;
        same("reset", (counter, cycles), (0, 0))?;
        let look = [Action::Read(PMCR), Action::Read(PMEVCNTR0), Action::Read(PMCCNTR)];
        let [pmcr, counter, cycles] = values(w, &rec, &look)?;
        same("P and C are not kept over an exit", pmcr & P_AND_C, 0)?;
        same("nor do they act again", (counter, cycles), (7, 8))
    });
}
