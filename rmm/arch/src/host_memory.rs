//! The Non-secure physical address space: two copy loops that may fault.
//!
//! The Host can delegate a page while it is being copied, so any load or store may take a granule
//! protection fault. The loops (plain, and with the memory copy instructions of FEAT_MOPS) stand
//! between `cairn_host_copy` and `cairn_host_copy_end`; the exception vectors know these two
//! addresses and resume at `cairn_host_copy_fault`, which returns 1.
//!
//! Source: Arm ARM (DDI0487), ESR_EL2, ISS of a data abort: DFSC 0x28 granule protection fault,
//! 0x10 synchronous external abort.

use core::arch::global_asm;

use machine::GranuleAddr;
use machine::{HostFault, HostMemory};

use crate::boot::Firmware;
use crate::cpu::Cpu;
use crate::layout::{HOST_SLOT, PAGE_BYTES};
use crate::mmu::descriptor::Access;
use crate::slot::Mapping;

global_asm!(
    r#"
    .section .text.cairn_host_copy, "ax"
    .balign 64
    .global cairn_host_copy
    .global cairn_host_copy_end
    .global cairn_host_copy_fault
    // x0: to, x1: from, x2: bytes, a multiple of 8. Returns 0, or 1 after a fault.
cairn_host_copy:
    subs    x2, x2, #128
    b.lo    2f
1:  ldp     x3, x4, [x1], #16
    ldp     x5, x6, [x1], #16
    ldp     x7, x8, [x1], #16
    ldp     x9, x10, [x1], #16
    stp     x3, x4, [x0], #16
    stp     x5, x6, [x0], #16
    stp     x7, x8, [x0], #16
    stp     x9, x10, [x0], #16
    ldp     x3, x4, [x1], #16
    ldp     x5, x6, [x1], #16
    ldp     x7, x8, [x1], #16
    ldp     x9, x10, [x1], #16
    stp     x3, x4, [x0], #16
    stp     x5, x6, [x0], #16
    stp     x7, x8, [x0], #16
    stp     x9, x10, [x0], #16
    subs    x2, x2, #128
    b.hs    1b
2:  adds    x2, x2, #128
    b.eq    4f
3:  ldr     x3, [x1], #8
    str     x3, [x0], #8
    subs    x2, x2, #8
    b.ne    3b
4:  mov     x0, #0
    ret

    // The same with the memory copy instructions.
    .arch_extension mops
    .global cairn_host_copy_mops
cairn_host_copy_mops:
    cpyfp   [x0]!, [x1]!, x2!
    cpyfm   [x0]!, [x1]!, x2!
    cpyfe   [x0]!, [x1]!, x2!
    mov     x0, #0
    ret
    .arch_extension nomops
cairn_host_copy_end:
cairn_host_copy_fault:
    mov     x0, #1
    ret
    "#
);

unsafe extern "C" {
    /// Copies `bytes` bytes, a multiple of 8, between 8-byte aligned places; 1 if an access
    /// faulted.
    ///
    /// # Safety
    ///
    /// `from` is readable and `to` writable for `bytes`, except that accesses to the Host slot may
    /// fault.
    fn cairn_host_copy(to: *mut u64, from: *const u64, bytes: usize) -> u64;

    /// The same, on a CPU with FEAT_MOPS.
    ///
    /// # Safety
    ///
    /// As of `cairn_host_copy`, and the CPU has FEAT_MOPS.
    fn cairn_host_copy_mops(to: *mut u64, from: *const u64, bytes: usize) -> u64;
}

/// Copies with the best loop that the CPU has.
///
/// # Safety
///
/// `from` is readable and `to` writable for `bytes`, except that accesses to the Host slot may
/// fault.
#[inline(always)]
unsafe fn copy(to: *mut u64, from: *const u64, bytes: usize, mops: bool) -> Result<(), HostFault> {
    let fault = if mops {
        // SAFETY: this function's contract; the CPU has FEAT_MOPS.
        unsafe { cairn_host_copy_mops(to, from, bytes) }
    } else {
        // SAFETY: this function's contract.
        unsafe { cairn_host_copy(to, from, bytes) }
    };
    if fault == 0 { Ok(()) } else { Err(HostFault) }
}

/// Checks that `words` words from byte `offset` lie in one granule.
#[inline(always)]
fn check(offset: usize, words: usize) {
    assert!(offset.is_multiple_of(8), "offset of a Host copy");
    let room = PAGE_BYTES.checked_sub(offset).map(|bytes| bytes / 8);
    assert!(room.is_some_and(|room| words <= room), "length of a Host copy");
}

impl<F: Firmware> HostMemory for Cpu<F> {
    #[inline] // perf: `rec_enter_host_call`.
    fn read_host(
        &self,
        granule: GranuleAddr,
        offset: usize,
        into: &mut [u64],
    ) -> Result<(), HostFault> {
        check(offset, into.len());
        let mapping = Mapping::new(HOST_SLOT, granule, Access::Host);
        let from = core::ptr::with_exposed_provenance(mapping.address() + offset);
        // SAFETY:
        // - `into` is writable for its own length.
        // - The Host slot maps the granule, `check` keeps the copy inside it, and a fault there is
        //   survived.
        // - Assembly reads it once, into `into`: the compiler never sees the Host's memory, which
        //   changes at any time.
        unsafe { copy(into.as_mut_ptr(), from, size_of_val(into), self.area().features.get().mops) }
    }

    #[inline(always)] // perf: every exit writes its page (`rec_enter_host_call`).
    fn write_host(
        &self,
        granule: GranuleAddr,
        offset: usize,
        from: &[u64],
    ) -> Result<(), HostFault> {
        check(offset, from.len());
        let mapping = Mapping::new(HOST_SLOT, granule, Access::Host);
        let to = core::ptr::with_exposed_provenance_mut(mapping.address() + offset);
        // SAFETY:
        // - `from` is readable for its own length.
        // - The Host slot maps the granule, `check` keeps the copy inside it, and a fault there is
        //   survived.
        unsafe { copy(to, from.as_ptr(), size_of_val(from), self.area().features.get().mops) }
    }
}
