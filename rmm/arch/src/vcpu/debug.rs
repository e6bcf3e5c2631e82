//! Breakpoints and watchpoints: exchanged with the Host's once a Realm touches them, or at once if
//! it may hit them.
//!
//! Until then `MDCR_EL2.TDA` traps, and what the Host has set stays in place: none of it acts,
//! since a Realm without debug registers has MDSCR_EL1.MDE clear.

use core::arch::asm;

use aarch64_cpu::asm::barrier::{self, SY};
use machine::extensions::DebugRegisters;

use crate::features::Features;
use crate::registers::{
    DBGCLAIMCLR_EL1, DBGCLAIMSET_EL1, OSECCR_EL1, OSLAR_EL1, OSLSR_EL1, Readable, Writeable,
};

/// MDSCR_EL1.MDE and SS: breakpoints, watchpoints or single steps may happen.
const MDSCR_ARMED: u64 = 1 << 15 | 1;
/// What of MDSCR_EL1 is the Realm's own: SS, TDCC, KDE, MDE. The rest is the external debugger's.
pub(super) const MDSCR_OWN: u64 = 1 << 15 | 1 << 13 | 1 << 12 | 1;
/// All bits of the claim tags.
const CLAIM_ALL: u64 = 0xff;

/// Whether a Realm with this MDSCR_EL1 needs its debug registers to run.
#[inline(always)]
pub(super) const fn armed(mdscr_el1: u64) -> bool {
    mdscr_el1 & MDSCR_ARMED != 0
}

/// Exchanges value and control of the first `$count` of 16 breakpoints or watchpoints.
macro_rules! exchange {
    ($pairs:expr, $count:expr, $value:literal, $control:literal, $($number:literal)*) => {
        let mut pairs = $pairs.iter_mut().take(usize::from($count));
        $(
            let Some([value, control]) = pairs.next() else { return };
            let (old_value, old_control): (u64, u64);
            // SAFETY: the CPU has the registers; they act on EL1 and EL0 only, which do not run
            // now.
            unsafe {
                asm!(
                    concat!("mrs {old_value}, ", $value, $number, "_el1"),
                    concat!("mrs {old_control}, ", $control, $number, "_el1"),
                    concat!("msr ", $value, $number, "_el1, {value}"),
                    concat!("msr ", $control, $number, "_el1, {control}"),
                    old_value = out(reg) old_value,
                    old_control = out(reg) old_control,
                    value = in(reg) *value,
                    control = in(reg) *control,
                    options(nomem, nostack),
                );
            }
            (*value, *control) = (old_value, old_control);
        )*
    };
}

fn exchange_breakpoints(registers: &mut DebugRegisters, features: &Features) {
    exchange!(registers.breakpoints, features.breakpoints, "dbgbvr", "dbgbcr",
        0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
}

fn exchange_watchpoints(registers: &mut DebugRegisters, features: &Features) {
    exchange!(registers.watchpoints, features.watchpoints, "dbgwvr", "dbgwcr",
        0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
}

/// Exchanges the registers of Realm and Host, all but the OS Lock, which is set then.
fn exchange(registers: &mut DebugRegisters, features: &Features) {
    set_os_lock(1);
    barrier::isb(SY);
    exchange_breakpoints(registers, features);
    exchange_watchpoints(registers, features);
    // An external debugger's register, which is reached only under the lock.
    let eccr = OSECCR_EL1.get();
    OSECCR_EL1.set(registers.oseccr);
    registers.oseccr = eccr;
    let claim = DBGCLAIMCLR_EL1.get() & CLAIM_ALL;
    DBGCLAIMCLR_EL1.set(CLAIM_ALL);
    DBGCLAIMSET_EL1.set(registers.claim);
    registers.claim = claim;
}

/// Gives the Realm its registers; the Host's OS Lock.
#[cold]
#[inline(never)]
pub(super) fn lend(registers: &mut DebugRegisters, features: &Features) -> u64 {
    let host_lock = os_lock();
    exchange(registers, features);
    set_os_lock(registers.os_lock);
    host_lock
}

/// Takes them back. The OS Lock stays set until the Host's MDSCR_EL1 is back: under the lock some
/// of its bits are those of the external debugger's EDSCR, and a Realm may have written them there.
#[cold]
#[inline(never)]
pub(super) fn take_back(registers: &mut DebugRegisters, features: &Features) {
    registers.os_lock = os_lock();
    exchange(registers, features);
}

/// OSLSR_EL1.OSLK.
pub(super) fn os_lock() -> u64 {
    (OSLSR_EL1.get() >> 1) & 1
}

/// Locks or unlocks the OS Lock.
pub(super) fn set_os_lock(lock: u64) {
    OSLAR_EL1.set(lock);
}
