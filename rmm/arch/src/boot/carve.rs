//! Divides the memory after the image: tables, per-CPU blocks, the blocks' owners, granule words.

use super::BootCode;
use crate::layout::{PAGE, block};
use crate::mmu::tables::POOL_PAGES;

/// Bytes of each CPU's block.
pub const BLOCK_BYTES: u64 = block::PAGES as u64 * PAGE;

/// Who gets which memory. All physical addresses, page aligned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carve {
    /// Tables of the low half: [`POOL_PAGES`] pages.
    pub tables: u64,
    /// The blocks of the CPUs, one after the other.
    pub blocks: u64,
    /// One 64-bit word per block: `MPIDR_EL1` of the CPU that it belongs to, 0 until one has taken
    /// it.
    pub owners: u64,
    /// One 16-bit word per granule.
    pub words: u64,
    /// Number of words.
    pub words_count: u64,
    /// First address past all of it.
    pub end: u64,
}

/// Divides `[image_end, limit)`.
///
/// # Errors
///
/// [`BootCode::CpuCount`] if the CPUs' blocks do not fit, [`BootCode::Unknown`] if the granule
/// words do not.
pub fn carve(image_end: u64, limit: u64, cpus: u64, words_count: u64) -> Result<Carve, BootCode> {
    let tables = image_end.checked_next_multiple_of(PAGE).ok_or(BootCode::Unknown)?;
    let blocks = tables.checked_add(POOL_PAGES as u64 * PAGE).ok_or(BootCode::Unknown)?;
    let owners = cpus
        .checked_mul(BLOCK_BYTES)
        .and_then(|bytes| blocks.checked_add(bytes))
        .filter(|&owners| owners <= limit)
        .ok_or(BootCode::CpuCount)?;
    let words = (cpus * size_of::<u64>() as u64)
        .checked_next_multiple_of(PAGE)
        .and_then(|bytes| owners.checked_add(bytes))
        .filter(|&words| words <= limit)
        .ok_or(BootCode::CpuCount)?;
    let end = words_count
        .checked_mul(2)
        .and_then(|bytes| words.checked_add(bytes))
        .and_then(|end| end.checked_next_multiple_of(PAGE))
        .filter(|&end| end <= limit)
        .ok_or(BootCode::Unknown)?;
    Ok(Carve { tables, blocks, owners, words, words_count, end })
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: u64 = 0x4014_0010;
    const LIMIT: u64 = 0x418f_f000;

    #[test]
    fn thirty_two_cpus_and_a_bank_of_3_gib_fit_in_the_window_of_qemu() {
        let carve = carve(END, LIMIT, 32, 0xc_0000).unwrap();
        assert_eq!(carve.tables, 0x4014_1000);
        assert_eq!(carve.blocks - carve.tables, 32 * PAGE);
        assert_eq!(carve.owners - carve.blocks, 32 * BLOCK_BYTES);
        assert_eq!(carve.words - carve.owners, PAGE);
        assert_eq!(carve.end - carve.words, 0x18_0000);
        assert!(carve.end < LIMIT);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_code() {
        assert_eq!(carve(END, LIMIT, 4096, 1), Err(BootCode::CpuCount));
        assert_eq!(carve(END, LIMIT, u64::MAX, 1), Err(BootCode::CpuCount));
        assert_eq!(carve(END, LIMIT, 1, 1 << 24), Err(BootCode::Unknown));
        assert_eq!(carve(END, LIMIT, 1, u64::MAX), Err(BootCode::Unknown));
    }
}
