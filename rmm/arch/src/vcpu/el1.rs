//! EL1 and EL0 registers: the table, and what reads and writes it.

use machine::vcpu::El1Registers;

use crate::registers::*;

/// The table: each field of [`El1Registers`] and the name by which EL2 with E2H set reaches the
/// register.
///
/// In the order of writing: each timer's compare value before its control.
macro_rules! for_each_register {
    ($apply:ident, $($argument:expr),*) => {
        $apply! {
            ($($argument),*)
            sp_el0: SP_EL0,
            sp_el1: SP_EL1,
            elr_el1: ELR_EL12,
            spsr_el1: SPSR_EL12,
            tpidrro_el0: TPIDRRO_EL0,
            tpidr_el0: TPIDR_EL0,
            tpidr_el1: TPIDR_EL1,
            csselr_el1: CSSELR_EL1,
            sctlr_el1: SCTLR_EL12,
            cpacr_el1: CPACR_EL12,
            ttbr0_el1: TTBR0_EL12,
            ttbr1_el1: TTBR1_EL12,
            tcr_el1: TCR_EL12,
            esr_el1: ESR_EL12,
            afsr0_el1: AFSR0_EL12,
            afsr1_el1: AFSR1_EL12,
            far_el1: FAR_EL12,
            mair_el1: MAIR_EL12,
            amair_el1: AMAIR_EL12,
            vbar_el1: VBAR_EL12,
            contextidr_el1: CONTEXTIDR_EL12,
            cntkctl_el1: CNTKCTL_EL12,
            par_el1: PAR_EL1,
            mdscr_el1: MDSCR_EL1,
            cntp_cval_el0: CNTP_CVAL_EL02,
            cntv_cval_el0: CNTV_CVAL_EL02,
            cntp_ctl_el0: CNTP_CTL_EL02,
            cntv_ctl_el0: CNTV_CTL_EL02,
        }
    };
}

macro_rules! read_all {
    (() $($field:ident: $register:ident,)*) => {
        El1Registers { $($field: $register.get()),* }
    };
}

macro_rules! write_all {
    (($from:expr) $($field:ident: $register:ident,)*) => {
        $($register.set($from.$field);)*
    };
}

/// Reads the EL1 registers of whoever is loaded.
#[inline(always)]
pub(super) fn read() -> El1Registers {
    for_each_register!(read_all,)
}

/// Loads EL1 registers. The timers' outputs follow after an ISB.
#[inline(always)]
pub(super) fn write(registers: &El1Registers) {
    for_each_register!(write_all, registers);
}

/// CNTP_CTL_EL0 of whoever is loaded.
#[inline(always)]
pub(super) fn physical_timer_control() -> u64 {
    CNTP_CTL_EL02.get()
}

/// CNTV_CTL_EL0 of whoever is loaded.
#[inline(always)]
pub(super) fn virtual_timer_control() -> u64 {
    CNTV_CTL_EL02.get()
}
