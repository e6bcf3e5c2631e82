//! The DRAM that the monitor tracks, as banks.

use crate::addr::GRANULE_SIZE;

/// Most banks of DRAM the monitor tracks: EL3's manifest names at most a few, and each hole that
/// the monitor's own memory makes splits one in two.
pub const BANKS_MAX: usize = 8;

/// One run of tracked DRAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bank {
    /// Physical address of its first granule.
    pub base: u64,
    /// Length in bytes, a multiple of the granule size.
    pub size_bytes: u64,
}

impl Bank {
    /// First address past it.
    pub const fn end(&self) -> u64 {
        self.base + self.size_bytes
    }
}

/// The tracked DRAM, ascending and without overlap.
pub type Banks = heapless::Vec<Bank, BANKS_MAX>;

/// How many granules the banks have.
pub fn granule_count(banks: &Banks) -> u64 {
    banks.iter().map(|bank| bank.size_bytes / GRANULE_SIZE).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_banks_count() {
        let mut banks = Banks::new();
        assert_eq!(granule_count(&banks), 0);
        banks.push(Bank { base: 0x4000_0000, size_bytes: 0x4000 }).unwrap();
        banks.push(Bank { base: 0x8_8000_0000, size_bytes: 0x2000 }).unwrap();
        assert_eq!(granule_count(&banks), 6);
    }
}
