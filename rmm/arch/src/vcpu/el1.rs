//! EL1 and EL0 registers: the table, and what reads and writes it.

use machine::vcpu::El1Registers;

use crate::registers::{mrs, msr};

/// The table: each field of [`El1Registers`] and the name by which EL2 with E2H set reaches the
/// register.
///
/// In the order of writing: each timer's compare value before its control.
macro_rules! for_each_register {
    ($apply:ident, $($argument:expr),*) => {
        $apply! {
            ($($argument),*)
            sp_el0: "sp_el0",
            sp_el1: "sp_el1",
            elr_el1: "s3_5_c4_c0_1", // ELR_EL12
            spsr_el1: "s3_5_c4_c0_0", // SPSR_EL12
            tpidrro_el0: "tpidrro_el0",
            tpidr_el0: "tpidr_el0",
            tpidr_el1: "tpidr_el1",
            csselr_el1: "csselr_el1",
            sctlr_el1: "s3_5_c1_c0_0", // SCTLR_EL12
            cpacr_el1: "s3_5_c1_c0_2", // CPACR_EL12
            ttbr0_el1: "s3_5_c2_c0_0", // TTBR0_EL12
            ttbr1_el1: "s3_5_c2_c0_1", // TTBR1_EL12
            tcr_el1: "s3_5_c2_c0_2", // TCR_EL12
            esr_el1: "s3_5_c5_c2_0", // ESR_EL12
            afsr0_el1: "s3_5_c5_c1_0", // AFSR0_EL12
            afsr1_el1: "s3_5_c5_c1_1", // AFSR1_EL12
            far_el1: "s3_5_c6_c0_0", // FAR_EL12
            mair_el1: "s3_5_c10_c2_0", // MAIR_EL12
            amair_el1: "s3_5_c10_c3_0", // AMAIR_EL12
            vbar_el1: "s3_5_c12_c0_0", // VBAR_EL12
            contextidr_el1: "s3_5_c13_c0_1", // CONTEXTIDR_EL12
            cntkctl_el1: "s3_5_c14_c1_0", // CNTKCTL_EL12
            par_el1: "par_el1",
            mdscr_el1: "mdscr_el1",
            cntp_cval_el0: "s3_5_c14_c2_2", // CNTP_CVAL_EL02
            cntv_cval_el0: "s3_5_c14_c3_2", // CNTV_CVAL_EL02
            cntp_ctl_el0: "s3_5_c14_c2_1", // CNTP_CTL_EL02
            cntv_ctl_el0: "s3_5_c14_c3_1", // CNTV_CTL_EL02
        }
    };
}

macro_rules! read_all {
    (() $($field:ident: $name:literal,)*) => {
        El1Registers { $($field: mrs!($name)),* }
    };
}

macro_rules! write_all {
    (($from:expr) $($field:ident: $name:literal,)*) => {
        $(msr!($name, $from.$field);)*
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
    mrs!("s3_5_c14_c2_1")
}

/// CNTV_CTL_EL0 of whoever is loaded.
#[inline(always)]
pub(super) fn virtual_timer_control() -> u64 {
    mrs!("s3_5_c14_c3_1")
}
