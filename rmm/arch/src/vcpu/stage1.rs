//! The loaded Realm's own translation of an address.

use core::arch::global_asm;

use crate::registers::{PAR_EL1, Readable, Writeable};

/// `PAR_EL1.F`: there is no translation.
const PAR_FAILED: u64 = 1;
/// `PAR_EL1.PA`.
const PAR_PA: u64 = 0x000f_ffff_ffff_f000;

global_asm!(
    r#"
    .section .text.cairn_stage1, "ax"
    .global cairn_stage1
    .global cairn_stage1_abort
cairn_stage1:
    at      s1e1r, x0
    isb
    mrs     x0, par_el1
    ret
cairn_stage1_abort:
    mov     x0, #{failed}
    ret
    "#,
    failed = const PAR_FAILED,
);

unsafe extern "C" {
    /// Asks the Realm's stage 1 to read `va`: PAR_EL1 afterwards, or a failure if the walk met
    /// memory that does not answer: its first instruction aborts then, and the vectors resume it
    /// behind that.
    ///
    /// Source: Arm ARM (DDI0487), "Address translation instructions": an external abort on the walk
    /// is taken, not reported in PAR_EL1. The Host can make a Realm's table such memory.
    ///
    /// # Safety
    ///
    /// A Realm is loaded. Changes PAR_EL1.
    fn cairn_stage1(va: u64) -> u64;
}

/// The page that the loaded Realm reads at `va`; `None` if it has none there.
pub(super) fn translate(va: u64) -> Option<u64> {
    let par = PAR_EL1.get();
    // SAFETY: the contract of `Vcpu`: a Realm is loaded. Its PAR_EL1 is restored below.
    let answer = unsafe { cairn_stage1(va) };
    PAR_EL1.set(par);
    if answer & PAR_FAILED == 0 { Some(answer & PAR_PA) } else { None }
}
