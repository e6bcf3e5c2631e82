//! Passes over a table with the vector registers: do its words go up by a step, and which is the
//! first with a mark?

use core::arch::asm;
use core::sync::atomic::AtomicU64;

use machine::Words;

/// Whether word `n` of `table` is `first + n * step`.
///
/// # Safety
///
/// V0 to V5 and V16 to V19 are free to use.
pub(crate) unsafe fn goes_up(table: &Words, first: u64, step: u64) -> bool {
    let differences: u64;
    // SAFETY: reads the 4096 bytes of `table`, 32 times 128, which others may read too; the caller
    // gives the vectors.
    unsafe {
        asm!(
            ".arch_extension simd",
            // V0 to V3: the first eight words as they should be. V4: what all of them gain in the
            // next eight.
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

/// Words of a table that [`first_marked`] looks at together.
pub(crate) const BLOCK: usize = 32;

/// The index of the first word from `from` on, a multiple of [`BLOCK`], that has any bit of `mark`
/// in its lowest byte.
///
/// # Safety
///
/// V0 to V7 and V16 to V23 are free to use.
pub(crate) unsafe fn first_marked(table: &Words, from: usize, mark: u8) -> Option<usize> {
    let words = table.0.get(from..).filter(|words| !words.is_empty())?;
    assert!(words.len().is_multiple_of(BLOCK), "part of a block");
    let range = words.as_ptr_range();
    let marks = u64::from_ne_bytes([mark; 8]);
    let at: *const AtomicU64;
    let (first, second, third, fourth): (u64, u64, u64, u64);
    // SAFETY: reads `words`, which is not empty, 256 bytes at a time until `range.end`, and not
    // beyond since it is a whole number of such blocks. Others may read it too. The caller gives
    // the vectors.
    unsafe {
        asm!(
            ".arch_extension simd",
            // A load of structures of four bytes deals out eight words to four registers: the first
            // gets the lowest byte of each word, and the fifth, which says nothing.
            "2:",
            "ld4    {{v0.16b, v1.16b, v2.16b, v3.16b}}, [{at}], #64",
            "ld4    {{v4.16b, v5.16b, v6.16b, v7.16b}}, [{at}], #64",
            "ld4    {{v16.16b, v17.16b, v18.16b, v19.16b}}, [{at}], #64",
            "ld4    {{v20.16b, v21.16b, v22.16b, v23.16b}}, [{at}], #64",
            "orr    v1.16b, v0.16b, v4.16b",
            "orr    v2.16b, v16.16b, v20.16b",
            "orr    v1.16b, v1.16b, v2.16b",
            // The even bytes: the lowest of eight words, four words together.
            "xtn    v1.8b, v1.8h",
            "fmov   {first}, d1",
            "tst    {first}, {marks}",
            "b.ne   3f",
            "cmp    {at}, {end}",
            "b.ne   2b",
            "3:",
            // Apart again, to see which word it was.
            "xtn    v0.8b, v0.8h",
            "xtn    v4.8b, v4.8h",
            "xtn    v16.8b, v16.8h",
            "xtn    v20.8b, v20.8h",
            "fmov   {first}, d0",
            "fmov   {second}, d4",
            "fmov   {third}, d16",
            "fmov   {fourth}, d20",
            ".arch_extension nosimd",
            at = inout(reg) range.start => at,
            end = in(reg) range.end,
            marks = in(reg) marks,
            first = out(reg) first,
            second = lateout(reg) second,
            third = lateout(reg) third,
            fourth = lateout(reg) fourth,
            options(nostack, readonly),
        );
    }
    let block = (at.addr() - table.0.as_ptr().addr()) / size_of::<u64>() - BLOCK;
    (block..).step_by(8).zip([first, second, third, fourth]).find_map(|(start, lowest)| {
        let marked = lowest & marks;
        // Byte n is that of word n; usize has 64 bits.
        (marked != 0).then(|| start + marked.trailing_zeros() as usize / 8)
    })
}
