//! Performance monitors: stopped whenever a REC is loaded, and exchanged with the Host's if its
//! Realm has them.
//!
//! PMCR_EL0 is the Host's outside `load` and `unload`, since EL3s with interface 2.0 do not switch
//! it. While a Realm without performance monitors runs, its E bit is 0: the Host counts nothing of
//! the Realm. The monitor itself is never counted: `MDCR_EL2.HPMD` and HCCD stop the Host's
//! counters at EL2.
//!
//! No counter runs while they are exchanged. All that the CPU has are exchanged, also those that
//! the Realm was not given: `MDCR_EL2.HPMN` says that it does not reach them, but what an access
//! beyond it does is CONSTRAINED UNPREDICTABLE, and QEMU lets it through. The Realm then finds a
//! counter of its own there: zero at first, and still, since `MDCR_EL2.HPME` is 0.
//!
//! Source: RMM specification (Arm DEN0137) 1.0, A8.1; Arm ARM (DDI0487), D13, "PMEVCNTR<n>_EL0".

use core::arch::asm;

use aarch64_cpu::asm::barrier::{self, SY};
use machine::extensions::PmuRegisters;
use machine::vcpu::VcpuRegisters;

use crate::area::CpuArea;
use crate::registers::*;

/// What of PMCR_EL0 the Realm may set: E, D, X, DP, LC, LP, FZO; P and C act when written.
const PMCR_KEPT: u64 = 0x2f9;
/// What of PMCR_EL0 the Host may set: FZS, which belongs to statistical profiling, as well.
const PMCR_KEPT_HOST: u64 = PMCR_KEPT | 1 << 32;
/// PMCR_EL0.E: the counters run.
const PMCR_E: u64 = 1;
/// Bit of [`CpuArea::host_pmcr`] that is set as long as the rest of it is put away.
const IS_SWITCHED: u64 = 1 << 63;
/// All bits of a set of counters. Bit 32 is the instruction counter of FEAT_PMUv3_ICNTR, which
/// Realms do not have: the Host's must not count them either.
const ALL: u64 = 0x1_ffff_ffff;

/// Exchanges counter and type of the first `$count` of 31 event counters.
macro_rules! exchange_counters {
    ($registers:expr, $count:expr, $($number:literal)*) => {
        let types = $registers.pmevtyper_el0.iter_mut();
        let mut pairs = $registers.pmevcntr_el0.iter_mut().zip(types).take(usize::from($count));
        $(
            let Some((counter, kind)) = pairs.next() else { return };
            let (old_counter, old_kind): (u64, u64);
            // SAFETY: the CPU has the registers, and no counter runs.
            unsafe {
                asm!(
                    concat!("mrs {old_counter}, pmevcntr", $number, "_el0"),
                    concat!("mrs {old_kind}, pmevtyper", $number, "_el0"),
                    concat!("msr pmevcntr", $number, "_el0, {counter}"),
                    concat!("msr pmevtyper", $number, "_el0, {kind}"),
                    old_counter = out(reg) old_counter,
                    old_kind = out(reg) old_kind,
                    counter = in(reg) *counter,
                    kind = in(reg) *kind,
                    options(nomem, nostack),
                );
            }
            (*counter, *kind) = (old_counter, old_kind);
        )*
    };
}

fn exchange_counters(registers: &mut PmuRegisters, counters: u8) {
    exchange_counters!(registers, counters,
        0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30);
}

/// Exchanges a register.
macro_rules! exchange_register {
    ($field:expr, $register:ident) => {{
        let old = $register.get();
        $register.set($field);
        $field = old;
    }};
}

/// Exchanges a set that one register reads and adds to, and another takes from.
macro_rules! exchange_set {
    ($field:expr, $set:ident, $clear:ident) => {{
        let old = $set.get() & ALL;
        $clear.set(ALL);
        $set.set($field);
        $field = old;
    }};
}

fn exchange(registers: &mut PmuRegisters, counters: u8) {
    exchange_register!(registers.pmccntr_el0, PMCCNTR_EL0);
    exchange_register!(registers.pmccfiltr_el0, PMCCFILTR_EL0);
    exchange_register!(registers.pmselr_el0, PMSELR_EL0);
    exchange_register!(registers.pmuserenr_el0, PMUSERENR_EL0);
    exchange_set!(registers.pmcnten, PMCNTENSET_EL0, PMCNTENCLR_EL0);
    exchange_set!(registers.pminten, PMINTENSET_EL1, PMINTENCLR_EL1);
    exchange_set!(registers.pmovs, PMOVSSET_EL0, PMOVSCLR_EL0);
    exchange_counters(registers, counters);
}

/// Stops the Host's counters, if they run, and gives a Realm that has performance monitors its own.
///
/// perf: the features are looked at here, not before: a copy that lives longer is spilled
/// (`rec_enter_host_call`).
#[inline(always)]
pub(super) fn load(area: &CpuArea, registers: &mut VcpuRegisters) {
    if !area.features.get().pmu {
        return;
    }
    let pmcr = PMCR_EL0.get();
    if pmcr & PMCR_E != 0 || registers.extensions.counters().is_some() {
        switch_in(area, registers, pmcr & PMCR_KEPT_HOST);
    }
}

/// Brings back what [`load`] has put away.
#[inline(always)]
pub(super) fn unload(area: &CpuArea, registers: &mut VcpuRegisters) {
    if area.host_pmcr.get() != 0 {
        switch_out(area, registers);
    }
}

#[cold]
#[inline(never)]
fn switch_in(area: &CpuArea, registers: &mut VcpuRegisters, pmcr: u64) {
    area.host_pmcr.set(pmcr | IS_SWITCHED);
    PMCR_EL0.set(pmcr & !PMCR_E);
    // The counters are still before they are exchanged, and before the Realm runs.
    barrier::isb(SY);
    let Some(counters) = registers.extensions.counters() else { return };
    exchange(&mut registers.pmu, area.features.get().counters);
    let own = MDCR_EL2::HPMN.val(u64::from(counters));
    // SAFETY: the counters are the Realm's own since the exchange, and it reaches as many of them
    // as it was given. All other traps stay.
    unsafe { MDCR_EL2.modify(MDCR_EL2::TPM::CLEAR + MDCR_EL2::TPMCR::CLEAR + own) };
    barrier::isb(SY);
    PMCR_EL0.set(registers.pmu.pmcr_el0);
}

#[cold]
#[inline(never)]
fn switch_out(area: &CpuArea, registers: &mut VcpuRegisters) {
    let host = area.host_pmcr.replace(0) & !IS_SWITCHED;
    if registers.extensions.counters().is_some() {
        let all = area.features.get().counters;
        registers.pmu.pmcr_el0 = PMCR_EL0.get() & PMCR_KEPT;
        // Nothing counts during the exchange, and no overflow of the Realm's signals any more.
        PMCR_EL0.set(host & !PMCR_E);
        // SAFETY: all traps are set again, as at boot; HPMN is the number that the CPU has.
        unsafe { MDCR_EL2.set(MDCR | u64::from(all)) };
        barrier::isb(SY);
        exchange(&mut registers.pmu, all);
    }
    // Last, so that the Host's counters run only once they are its own again.
    PMCR_EL0.set(host);
}
