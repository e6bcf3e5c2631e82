//! The Non-secure physical address space: two copy loops that may fault.
//!
//! The Host can delegate a page while it is being copied, so any load or store may take a granule protection
//! fault. The loops stand between `cairn_host_copy` and `cairn_host_copy_end`; the exception vectors know these two
//! addresses and resume at `cairn_host_copy_fault`, which returns 1.
//!
//! Source: Arm ARM (DDI0487), ESR_EL2, ISS of a data abort: DFSC 0x28 granule protection fault, 0x10 synchronous
//! external abort.

use core::arch::global_asm;

use granule::machine::{HostFault, HostMemory};
use granule::{GRANULE_SIZE, GranuleAddr};

use crate::boot::Firmware;
use crate::cpu::Cpu;
use crate::layout::HOST_SLOT;
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
cairn_host_copy_end:
cairn_host_copy_fault:
    mov     x0, #1
    ret
    "#
);

unsafe extern "C" {
    /// Copies `bytes` bytes, a multiple of 8, between 8-byte aligned places; 1 if an access faulted.
    ///
    /// # Safety
    ///
    /// `from` is readable and `to` writable for `bytes`, except that accesses to the Host slot may fault.
    fn cairn_host_copy(to: *mut u64, from: *const u64, bytes: usize) -> u64;
}

/// Checks that `words` words from byte `offset` lie in one granule.
#[inline(always)]
fn check(offset: usize, words: usize) {
    assert!(offset.is_multiple_of(8), "offset of a Host copy");
    let room = (GRANULE_SIZE as usize).checked_sub(offset).map(|bytes| bytes / 8);
    assert!(room.is_some_and(|room| words <= room), "length of a Host copy");
}

impl<F: Firmware> HostMemory for Cpu<F> {
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
        // - The Host slot maps the granule, `check` keeps the copy inside it, and a fault there is survived.
        // - Each word is read once, by assembly: the compiler never sees the Host's memory.
        let fault = unsafe { cairn_host_copy(into.as_mut_ptr(), from, size_of_val(into)) };
        if fault == 0 { Ok(()) } else { Err(HostFault) }
    }

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
        // - The Host slot maps the granule, `check` keeps the copy inside it, and a fault there is survived.
        let fault = unsafe { cairn_host_copy(to, from.as_ptr(), size_of_val(from)) };
        if fault == 0 { Ok(()) } else { Err(HostFault) }
    }
}
