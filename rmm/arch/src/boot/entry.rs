//! The first instructions: relocation, the choice between cold and warm boot, the switch to virtual
//! memory.
//!
//! Runs with the MMU off until `enable`, so all data accesses go to memory uncached. EL3 left clean
//! lines of the image in the caches; the cold boot invalidates all that it wrote before the MMU
//! goes on. A warm boot reads [`BOOT`] and the tables, both written before that invalidation.
//!
//! Which block is a CPU's own is decided by `MPIDR_EL1`, and EL3's index is only where the search
//! for a free one starts: TF-A keeps the index in one structure for all CPUs, so that of several
//! CPUs that are switched on at once two may be told the same index. Source: TF-A 2.12.1,
//! services/std_svc/rmmd/rmmd_main.c, `rmmd_cpu_on_finish_handler`, which writes
//! `rmm_ep_info->args` and copies it without a lock.

use core::arch::global_asm;
use core::mem::offset_of;

use super::racy::Racy;
use crate::layout;
use crate::mmu;
use crate::registers::{CPTR_CLOSED, HCR_BOOT};

/// What the assembly reads at each boot. Alone in its cache lines, so that no later write to a
/// neighbour can write a stale copy of it back.
#[derive(Debug)]
#[repr(C, align(2048))]
pub(crate) struct BootBlock {
    /// 1 until the cold boot is done.
    pub(crate) cold: u64,
    /// Number of CPUs that have a block.
    pub(crate) cpus: u64,
    /// `TCR_EL2`.
    pub(crate) tcr: u64,
    /// `TTBR0_EL2`.
    pub(crate) ttbr0: u64,
    /// Physical address of the first CPU's block; its first page is what `TTBR1_EL2` takes.
    pub(crate) blocks: u64,
    /// Physical address of the words that name the blocks' owners.
    pub(crate) owners: u64,
    /// First address past the memory that the cold boot wrote.
    pub(crate) written_end: u64,
}

/// Part of the initialised data: its first word must be 1 when EL3 enters for the first time.
pub(crate) static BOOT: Racy<BootBlock> = Racy::new(BootBlock {
    cold: 1,
    cpus: 0,
    tcr: 0,
    ttbr0: 0,
    blocks: 0,
    owners: 0,
    written_end: 0,
});

/// The stack of the cold boot, used until the MMU is on.
#[repr(C, align(16))]
pub(crate) struct BootStack([u8; 24 * 1024]);

pub(crate) static BOOT_STACK: Racy<BootStack> = Racy::new(BootStack([0; 24 * 1024]));

global_asm!(
    r#"
    .section .head, "ax"
    .global cairn_entry
cairn_entry:
    mov     x19, x0
    mov     x20, x1
    mov     x21, x2
    mov     x22, x3
    msr     daifset, #0xf
    msr     spsel, #1
    ldr     x9, ={sctlr_boot}
    msr     sctlr_el2, x9
    ldr     x9, ={hcr}
    msr     hcr_el2, x9
    isb
    ldr     x9, ={cptr}
    msr     cptr_el2, x9
    adr     x9, cairn_boot_vectors
    msr     vbar_el2, x9
    isb
    adrp    x24, {boot}
    add     x24, x24, :lo12:{boot}
    ldr     x9, [x24, #{cold}]
    cbz     x9, 20f

    // Cold boot: add the load address to each word that holds an address, the only relocation that
    // a static position-independent image has. The list is RELR: an even entry is the offset of
    // such a word; an odd one says with a bit each which of the 63 words after the last are others.
    adrp    x9, __image_start
    adrp    x10, __relr_start
    add     x10, x10, :lo12:__relr_start
    adrp    x11, __relr_end
    add     x11, x11, :lo12:__relr_end
    mov     x13, x9
5:  cmp     x10, x11
    b.hs    11f
    ldr     x12, [x10], #8
    tbnz    x12, #0, 6f
    add     x13, x9, x12
    ldr     x14, [x13]
    add     x14, x14, x9
    str     x14, [x13], #8
    b       5b
6:  mov     x15, x13
    add     x13, x13, #504
7:  lsr     x12, x12, #1
    cbz     x12, 5b
    tbz     x12, #0, 8f
    ldr     x14, [x15]
    add     x14, x14, x9
    str     x14, [x15]
8:  add     x15, x15, #8
    b       7b
11: adrp    x10, __bss_start
    add     x10, x10, :lo12:__bss_start
    adrp    x11, __bss_end
    add     x11, x11, :lo12:__bss_end
12: cmp     x10, x11
    b.hs    13f
    stp     xzr, xzr, [x10], #16
    b       12b
13: adrp    x9, {stack}
    add     x9, x9, :lo12:{stack}
    add     sp, x9, #{stack_size}
    mov     x29, xzr
    mov     x30, xzr
    mov     x0, x19
    mov     x1, x20
    mov     x2, x21
    mov     x3, x22
    bl      cairn_plan
    cbnz    x0, 30f
    str     xzr, [x24, #{cold}]
    dsb     sy
    // Whatever the caches hold of the memory written above is stale: invalidate it.
    mrs     x9, ctr_el0
    ubfx    x9, x9, #16, #4
    mov     x10, #4
    lsl     x10, x10, x9
    adrp    x11, __image_start
    ldr     x12, [x24, #{written_end}]
14: dc      ivac, x11
    add     x11, x11, x10
    cmp     x11, x12
    b.lo    14b
    dsb     sy
    mov     x25, #1
    b       21f

    // Warm boot.
20: ldr     x9, [x24, #{cpus}]
    mov     x0, #-4
    cmp     x19, x9
    b.hs    30f
    mov     x25, #0

    // Both: turn on the MMU. Until the CPU has its block nothing uses the high half; the first
    // table serves.
21: ldr     x9, ={mair}
    msr     mair_el2, x9
    ldr     x9, [x24, #{tcr}]
    msr     tcr_el2, x9
    ldr     x9, [x24, #{ttbr0}]
    msr     ttbr0_el2, x9
    ldr     x26, [x24, #{blocks}]
    msr     s3_4_c2_c0_1, x26 // TTBR1_EL2
    msr     vttbr_el2, xzr
    ldr     x12, [x24, #{owners}]
    ldr     x13, [x24, #{cpus}]
    dsb     sy
    isb
    tlbi    alle2
    tlbi    alle1
    ic      iallu
    dsb     nsh
    isb
    ldr     x9, ={sctlr}
    msr     sctlr_el2, x9
    isb

    // The block that this CPU has had since its first boot, ...
    mrs     x11, mpidr_el1
    mov     x14, xzr
22: ldr     x15, [x12, x14, lsl #3]
    cmp     x15, x11
    b.eq    25f
    add     x14, x14, #1
    cmp     x14, x13
    b.lo    22b
    // ... or the first free one, from the one with EL3's index on.
    mov     x14, x19
    mov     x16, x13
23: add     x17, x12, x14, lsl #3
    mov     x15, xzr
    .arch_extension lse
    casal   x15, x11, [x17]
    .arch_extension nolse
    cbz     x15, 25f
    add     x14, x14, #1
    cmp     x14, x13
    csel    x14, x14, xzr, lo
    sub     x16, x16, #1
    cbnz    x16, 23b
    mov     x0, #-4
    b       30f
25: mov     x10, #{block_bytes}
    madd    x9, x10, x14, x26
    msr     s3_4_c2_c0_1, x9 // TTBR1_EL2
    isb
    tlbi    alle2
    dsb     nsh
    isb
    mov     x9, #{stack_top}
    mov     sp, x9
    adrp    x9, cairn_vectors
    add     x9, x9, :lo12:cairn_vectors
    msr     vbar_el2, x9
    isb
    mov     x29, xzr
    mov     x30, xzr
    mov     x0, x19
    mov     x1, x25
    b       cairn_start

cairn_boot_failed:
    mov     x0, #-1
    // x0 holds the boot code. EL3 does not call again; if it does, there is no monitor.
30: mov     x1, x0
    mov     x2, #0
    ldr     x0, ={boot_complete}
31: smc     #0
    ldr     x0, ={req_complete}
    // As of an unknown function: the Host's X0 is -1, and X1 to X7 are its own.
    mov     x8, x7
    mov     x7, x6
    mov     x6, x5
    mov     x5, x4
    mov     x4, x3
    mov     x3, x2
    mov     x2, x1
    mov     x1, #-1
    b       31b
    .ltorg

    // Any exception while the MMU is off: EL3 learns that this monitor does not work.
    .balign 2048
cairn_boot_vectors:
    .rept 16
    b       cairn_boot_failed
    .balign 128
    .endr
    "#,
    boot = sym BOOT,
    stack = sym BOOT_STACK,
    stack_size = const size_of::<BootStack>(),
    cold = const offset_of!(BootBlock, cold),
    cpus = const offset_of!(BootBlock, cpus),
    tcr = const offset_of!(BootBlock, tcr),
    ttbr0 = const offset_of!(BootBlock, ttbr0),
    blocks = const offset_of!(BootBlock, blocks),
    owners = const offset_of!(BootBlock, owners),
    written_end = const offset_of!(BootBlock, written_end),
    block_bytes = const super::carve::BLOCK_BYTES,
    stack_top = const layout::STACK_TOP as i64,
    sctlr_boot = const mmu::SCTLR_BOOT,
    sctlr = const mmu::SCTLR | mmu::SCTLR_MMU,
    hcr = const HCR_BOOT,
    cptr = const CPTR_CLOSED,
    mair = const mmu::descriptor::MAIR,
    boot_complete = const crate::smc::BOOT_COMPLETE,
    req_complete = const crate::smc::REQ_COMPLETE,
);
