//! Performance monitors: exchanged with the Host's whenever a REC of a Realm that has them is loaded.
//!
//! No counter runs while they are exchanged: PMCR_EL0.E is 0 in the monitor. The counters that the Realm was not given
//! stay the Host's; with `MDCR_EL2.HPMN` the Realm does not reach them, and HPME keeps them still.
//!
//! Source: RMM specification (Arm DEN0137) 1.0, A8.1; Arm ARM (DDI0487), D13.

use core::arch::asm;

use aarch64_cpu::asm::barrier::{self, SY};
use machine::extensions::PmuRegisters;

use crate::registers::{MDCR, MDCR_HPMN, MDCR_TPM, PMCR, mrs, msr};

/// What of PMCR_EL0 the Realm may set: E, D, X, DP, LC, LP, FZO; P and C act when written.
const PMCR_KEPT: u64 = 0x2f9;
/// All bits of a set of counters. Bit 32 is the instruction counter of FEAT_PMUv3_ICNTR, which Realms do not have: the Host's must not
/// count them either.
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
    ($field:expr, $name:literal) => {{
        let old = mrs!($name);
        msr!($name, $field);
        $field = old;
    }};
}

/// Exchanges a set that one register reads and adds to, and another takes from.
macro_rules! exchange_set {
    ($field:expr, $set:literal, $clear:literal) => {{
        let old = mrs!($set) & ALL;
        msr!($clear, ALL);
        msr!($set, $field);
        $field = old;
    }};
}

fn exchange(registers: &mut PmuRegisters, counters: u8) {
    exchange_register!(registers.pmccntr_el0, "pmccntr_el0");
    exchange_register!(registers.pmccfiltr_el0, "pmccfiltr_el0");
    exchange_register!(registers.pmselr_el0, "pmselr_el0");
    exchange_register!(registers.pmuserenr_el0, "pmuserenr_el0");
    exchange_set!(registers.pmcnten, "pmcntenset_el0", "pmcntenclr_el0");
    exchange_set!(registers.pminten, "pmintenset_el1", "pmintenclr_el1");
    exchange_set!(registers.pmovs, "pmovsset_el0", "pmovsclr_el0");
    exchange_counters(registers, counters);
}

/// Gives the Realm `counters` event counters and the cycle counter.
#[cold]
#[inline(never)]
pub(super) fn load(registers: &mut PmuRegisters, counters: u8) {
    exchange(registers, counters);
    msr!("mdcr_el2", mrs!("mdcr_el2") & !(MDCR_TPM | MDCR_HPMN) | u64::from(counters));
    barrier::isb(SY);
    msr!("pmcr_el0", registers.pmcr_el0);
}

/// Takes them back. `counters` of the CPU's `all` are the Realm's.
#[cold]
#[inline(never)]
pub(super) fn unload(registers: &mut PmuRegisters, counters: u8, all: u8) {
    registers.pmcr_el0 = mrs!("pmcr_el0") & PMCR_KEPT;
    msr!("pmcr_el0", PMCR);
    msr!("mdcr_el2", MDCR | u64::from(all));
    barrier::isb(SY);
    exchange(registers, counters);
}
