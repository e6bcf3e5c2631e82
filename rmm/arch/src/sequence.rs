//! One pass over a table: do its words go up by a step? With the vector registers, eight words at a time.

use core::arch::asm;

use machine::Words;

/// Whether word `n` of `table` is `first + n * step`.
///
/// # Safety
///
/// V0 to V5 and V16 to V19 are free to use.
pub(crate) unsafe fn goes_up(table: &Words, first: u64, step: u64) -> bool {
    let differences: u64;
    // SAFETY: reads the 4096 bytes of `table`, 32 times 128, which others may read too; the caller gives the vectors.
    unsafe {
        asm!(
            ".arch_extension simd",
            // V0 to V3: the first eight words as they should be. V4: what all of them gain in the next eight.
            "fmov   d0, {first}",
            "add    {next}, {first}, {step}",
            "mov    v0.d[1], {next}",
            "lsl    {next}, {step}, #1",
            "dup    v4.2d, {next}",
            "add    v1.2d, v0.2d, v4.2d",
            "add    v2.2d, v1.2d, v4.2d",
            "add    v3.2d, v2.2d, v4.2d",
            "shl    v4.2d, v4.2d, #2",
            "movi   v5.2d, #0",
            "mov    {next}, #32",
            "2:",
            ".rept  2",
            "ld1    {{v16.2d, v17.2d, v18.2d, v19.2d}}, [{at}], #64",
            "eor    v16.16b, v16.16b, v0.16b",
            "eor    v17.16b, v17.16b, v1.16b",
            "eor    v18.16b, v18.16b, v2.16b",
            "eor    v19.16b, v19.16b, v3.16b",
            "orr    v16.16b, v16.16b, v17.16b",
            "orr    v18.16b, v18.16b, v19.16b",
            "orr    v5.16b, v5.16b, v16.16b",
            "orr    v5.16b, v5.16b, v18.16b",
            "add    v0.2d, v0.2d, v4.2d",
            "add    v1.2d, v1.2d, v4.2d",
            "add    v2.2d, v2.2d, v4.2d",
            "add    v3.2d, v3.2d, v4.2d",
            ".endr",
            "subs   {next}, {next}, #1",
            "b.ne   2b",
            "umaxp  v5.4s, v5.4s, v5.4s",
            "fmov   {differences}, d5",
            ".arch_extension nosimd",
            at = inout(reg) table.0.as_ptr() => _,
            first = in(reg) first,
            step = in(reg) step,
            next = out(reg) _,
            differences = lateout(reg) differences,
            options(nostack, readonly),
        );
    }
    differences == 0
}
