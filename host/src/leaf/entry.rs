//! From the first instruction to the first line of Rust, and the exception vectors.
//!
//! The MMU goes on before anything is written: the tables are constants in the image, so there is
//! nothing whose cached and uncached views could differ. Addresses are mapped to themselves: the
//! GiBs with devices as device memory, the GiBs with RAM as normal memory. Only the 2 MiB block
//! with the image's code is executable.

use crate::{bare, platform};
use core::arch::global_asm;

global_asm!(
    r#"
    .section .text.entry, "ax"
    .global _start
_start:                                     // x0: device tree
    msr     daifset, #0xf
    mov     x20, x0
    mov     x21, xzr
    bl      1f
    adrp    x0, __bss_start                 // clear .bss, 16 bytes at a time
    add     x0, x0, :lo12:__bss_start
    adrp    x1, __bss_end
    add     x1, x1, :lo12:__bss_end
2:  cmp     x0, x1
    b.hs    3f
    stp     xzr, xzr, [x0], #16
    b       2b
3:  bl      4f
    mov     x0, x20
    bl      {start}
5:  wfe
    b       5b

    .global _start_secondary
_start_secondary:                           // x0: linear CPU index
    msr     daifset, #0xf
    mov     x21, x0
    bl      1f
    bl      4f
    mov     x0, x21
    bl      {start_secondary}
    b       5b

    // MMU and caches on. Keeps x20 and x21.
1:  adrp    x0, {tables}
    msr     ttbr0_el2, x0
    ldr     x0, ={mair}
    msr     mair_el2, x0
    ldr     x0, ={tcr}
    msr     tcr_el2, x0
    ldr     x0, ={hcr}
    msr     hcr_el2, x0
    isb
    tlbi    alle2
    ic      iallu
    dsb     nsh
    isb
    ldr     x0, ={sctlr}
    msr     sctlr_el2, x0
    isb
    ret

    // Stack of CPU x21, vectors, CPU index where Rust finds it.
4:  msr     spsel, #1
    adrp    x0, __stacks_start
    add     x1, x21, #1
    add     x0, x0, x1, lsl #18
    mov     sp, x0
    mov     x29, xzr
    adrp    x0, {vectors}
    add     x0, x0, :lo12:{vectors}
    msr     vbar_el2, x0
    msr     tpidr_el2, x21
    isb
    ret
    .ltorg

    // No exception is expected but in the copy of a page, which then ends, and at an instruction
    // that is tried: every other reports and never returns. x9: ELR_EL2.
    .section .text, "ax"
    .macro  expected from, to, resume
    adrp    x10, \from
    add     x10, x10, :lo12:\from
    cmp     x9, x10
    b.lo    9f
    adrp    x10, \to
    add     x10, x10, :lo12:\to
    cmp     x9, x10
    b.hs    9f
    adrp    x10, \resume
    add     x10, x10, :lo12:\resume
    msr     elr_el2, x10
    eret
9:
    .endm
    .macro  vector kind
    .balign 0x80
    .if     \kind == 4
    mrs     x9, elr_el2
    expected host_copy_page, host_copy_page_end, host_copy_page_fault
    expected host_probe_place, host_probe_end, host_probe_fault
    .endif
    mov     x0, #\kind
    mrs     x1, esr_el2
    mrs     x2, elr_el2
    mrs     x3, far_el2
    b       {exception}
    .endm
    .balign 0x800
    .global host_vectors
host_vectors:
    vector  0
    vector  1
    vector  2
    vector  3
    vector  4
    vector  5
    vector  6
    vector  7
    vector  8
    vector  9
    vector  10
    vector  11
    vector  12
    vector  13
    vector  14
    vector  15

    // Level 0: tables for the 512 GiBs with devices, which are the first, and for those with RAM.
    .section .rodata, "a"
    .balign 4096
    .global host_tables
host_tables:
    .set    table, 0
    .rept   512
    .if     table == {ram_table}
    .quad   host_tables_ram + 3
    .elseif table == 0
    .quad   host_tables_devices + 3
    .else
    .quad   0
    .endif
    .set    table, table + 1
    .endr

    // Level 1, from a GiB on: GiBs with devices, GiBs with RAM, a table for the GiB with the image.
    .macro  level_1 first
    .set    gib, \first
    .rept   512
    .if     gib == {host_gib}
    .quad   host_tables_image + 3
    .elseif (gib < 64) && (({device_gibs} >> gib) & 1)
    .quad   {device} + (gib << 30)
    .elseif (gib >= {ram_first}) && (gib < {ram_first} + 64) && (({normal_gibs} >> (gib - {ram_first})) & 1)
    .quad   {normal} + (gib << 30)
    .else
    .quad   0
    .endif
    .set    gib, gib + 1
    .endr
    .endm
host_tables_ram:
    level_1 {ram_first}
host_tables_devices:
    .if     {ram_first} != 0
    level_1 0
    .endif

    // Level 2: 2 MiB blocks of the GiB with the image.
host_tables_image:
    .set    block, 0
    .rept   512
    .if     block == {host_block}
    .quad   {code} + ({host_gib} << 30) + (block << 21)
    .else
    .quad   {normal} + ({host_gib} << 30) + (block << 21)
    .endif
    .set    block, block + 1
    .endr
    "#,
    start = sym start,
    start_secondary = sym start_secondary,
    exception = sym exception,
    vectors = sym host_vectors,
    tables = sym host_tables,
    mair = const 0xff00_u64,
    tcr = const TCR,
    hcr = const HCR,
    sctlr = const SCTLR,
    device = const DEVICE,
    normal = const NORMAL,
    code = const CODE,
    host_gib = const platform::HOST_GIB,
    host_block = const platform::HOST_BLOCK,
    ram_table = const RAM_TABLE,
    ram_first = const RAM_FIRST,
    normal_gibs = const NORMAL_GIBS,
    device_gibs = const DEVICE_GIBS,
);

/// The entry of the level 0 table for RAM, and the first GiB that it describes.
const RAM_TABLE: u64 = platform::HOST_GIB / 512;
const RAM_FIRST: u64 = RAM_TABLE * 512;

/// 64 GiBs from there on, a bit for each that holds normal memory. No board has any beyond.
const NORMAL_GIBS: i64 = {
    let mut mask = 0;
    let mut gib = 0;
    while gib < 64 {
        if platform::is_normal_gib(RAM_FIRST + gib) {
            mask |= 1 << gib;
        }
        gib += 1;
    }
    mask
};

/// The first 64 GiBs, a bit for each with a device that the host uses.
const DEVICE_GIBS: i64 = 1 << (platform::PL011_BASE >> 30)
    | 1 << (platform::GICD_BASE >> 30)
    | 1 << (platform::GICR_BASE >> 30);

/// 48-bit addresses, 4 KiB pages, write-back inner-shareable walks, 48-bit physical addresses or as
/// many as the CPU has, and the bits that are always one.
const TCR: u64 = 16 | 1 << 8 | 1 << 10 | 3 << 12 | 5 << 16 | 1 << 23 | 1 << 31;
/// EL1 is AArch64; physical interrupts and system errors belong to EL2.
const HCR: u64 = 1 << 31 | 1 << 5 | 1 << 4 | 1 << 3;
/// Always-one bits, instruction cache, stack alignment, data cache, MMU.
const SCTLR: u64 = 0x30c5_0830 | 1 << 12 | 1 << 3 | 1 << 2 | 1;
/// Block, access flag, always-one `AP[1]`.
const BLOCK: u64 = 1 | 1 << 10 | 1 << 6;
const EXECUTE_NEVER: u64 = 1 << 54;
/// Attribute 0: Device-nGnRnE.
const DEVICE: u64 = BLOCK | EXECUTE_NEVER;
/// Attribute 1: Normal write-back, inner shareable.
const CODE: u64 = BLOCK | 1 << 2 | 3 << 8;
const NORMAL: u64 = CODE | EXECUTE_NEVER;

// SAFETY: both symbols are defined by the assembly above; Rust only takes their addresses.
unsafe extern "C" {
    static host_vectors: u8;
    static host_tables: u8;
}

/// First Rust function of CPU 0.
extern "C" fn start(device_tree: u64) -> ! {
    super::heap::init();
    bare::start(device_tree)
}

/// First Rust function of every other CPU.
extern "C" fn start_secondary(cpu: usize) -> ! {
    bare::start_secondary(cpu)
}

/// Any exception taken by the host.
extern "C" fn exception(kind: u64, esr: u64, elr: u64, far: u64) -> ! {
    bare::last_words(format_args!(
        "the host took exception {kind} at {elr:#x}: syndrome {esr:#x}, address {far:#x}"
    ))
}
