//! Which version of the interface this EL3 speaks, and what of it. The machine's loader chooses, by
//! a word at [`crate::board::Board::edition`].
//!
//! Source: RMM-EL3 communication interface 0.4 and 2.0; TF-A 2.12.1 and main of 2026-08,
//! `services/std_svc/rmmd`.

use core::ops::Range;

/// A version, and what this EL3 has of its optional parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edition {
    /// Interface 2.0, else 0.4.
    pub is_v2: bool,
    /// FIRME's granule service.
    pub has_firme: bool,
    /// It takes counts and can be told to keep operations; else as TF-A main, which takes the count
    /// 1.
    pub has_runs: bool,
    /// It hands out memory from the end of the monitor's window; else as QEMU virt, which has none.
    pub has_memory: bool,
}

/// Bits of the word.
const V2: u64 = 1;
const NO_FIRME: u64 = 2;
const RUNS: u64 = 4;
const MEMORY: u64 = 8;

impl Edition {
    /// Interface 0.4.
    pub const V0: Self =
        Self { is_v2: false, has_firme: false, has_runs: false, has_memory: false };

    /// Interface 2.0 as TF-A main has it on QEMU virt.
    pub const V2: Self = Self { is_v2: true, has_firme: true, has_runs: false, has_memory: false };

    /// Interface 2.0 with everything.
    pub const V2_ALL: Self =
        Self { is_v2: true, has_firme: true, has_runs: true, has_memory: true };

    /// Interface 2.0 without FIRME.
    pub const V2_OLD: Self =
        Self { is_v2: true, has_firme: false, has_runs: false, has_memory: false };

    /// The one with this number; 0 is interface 0.4.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        if number & V2 == 0 {
            return Self::V0;
        }
        let has_firme = number & NO_FIRME == 0;
        Self {
            is_v2: true,
            has_firme,
            has_runs: has_firme && number & RUNS != 0,
            has_memory: number & MEMORY != 0,
        }
    }

    /// Its number, for the loader.
    #[must_use]
    pub const fn number(self) -> u64 {
        if !self.is_v2 {
            return 0;
        }
        V2 | if self.has_firme { 0 } else { NO_FIRME }
            | if self.has_runs { RUNS } else { 0 }
            | if self.has_memory { MEMORY } else { 0 }
    }

    /// What the monitor is told in X1 of its cold boot.
    #[must_use]
    pub const fn version(self) -> u64 {
        if self.is_v2 { 0x2_0000 } else { 4 }
    }

    /// Registers of the monitor, from X1 on, that reach the Normal world as X0 and those that
    /// follow.
    #[must_use]
    pub const fn results(self) -> usize {
        if self.is_v2 { 8 } else { 5 }
    }

    /// Whether each world has ICC_SRE_EL2, ICH_HCR_EL2 and ICH_VMCR_EL2 for itself.
    #[must_use]
    pub const fn keeps_virtual_interrupts(self) -> bool {
        !self.is_v2
    }
}

/// The monitor's memory that is handed out on request, from its end down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserve {
    /// Bytes that have been handed out, and those lost to alignment.
    taken: u64,
}

/// What the image itself may take; nothing of it is handed out.
///
/// Source: TF-A main of 2026-08, `PLAT_ARM_RMM_PAYLOAD_SIZE`.
const PAYLOAD_BYTES: u64 = 6 << 20;

/// Why no memory is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoReserve {
    /// There is none, or not so much.
    Memory,
    /// A flag that does not exist, or a size of nothing.
    Flags,
}

impl Reserve {
    /// Nothing has been handed out.
    #[must_use]
    pub const fn new() -> Self {
        Self { taken: 0 }
    }

    /// Hands out memory of the monitor's window; its address. `flags`: the alignment's power of two
    /// in bits 63:56, and bit 0 for "near this CPU".
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn take(
        &mut self,
        window: &Range<u64>,
        size_bytes: u64,
        flags: u64,
    ) -> Result<u64, NoReserve> {
        const ALIGNMENT: u32 = 56;
        const KNOWN: u64 = 0xff << ALIGNMENT | 1;
        let shift = u32::try_from(flags >> ALIGNMENT).unwrap_or(u32::MAX);
        if flags & !KNOWN != 0 || size_bytes == 0 {
            return Err(NoReserve::Flags);
        }
        let lowest = window.start + PAYLOAD_BYTES;
        let aligned = |end: u64| {
            let mask = 1_u64.checked_shl(shift)?.checked_sub(1)?;
            Some(end.checked_sub(size_bytes)? & !mask).filter(|&start| start >= lowest)
        };
        let start = aligned(window.end - self.taken).ok_or(NoReserve::Memory)?;
        self.taken = window.end - start;
        Ok(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_back() {
        for edition in [Edition::V0, Edition::V2, Edition::V2_ALL, Edition::V2_OLD] {
            assert_eq!(Edition::from_number(edition.number()), edition);
        }
        assert_eq!(Edition::from_number(0), Edition::V0);
        assert_eq!(Edition::from_number(RUNS | MEMORY), Edition::V0);
        assert!(!Edition::from_number(V2 | NO_FIRME | RUNS).has_runs);
    }

    #[test]
    fn memory_comes_from_the_end_of_the_window_until_the_image_begins() {
        let (start, end) = (0xfdc0_0000, 0xffbf_f000);
        let window = start..end;
        let mut reserve = Reserve::new();
        assert_eq!(reserve.take(&window, 0x1000, 12 << 56), Ok(end - 0x1000));
        assert_eq!(reserve.take(&window, 0x10, 12 << 56 | 1), Ok(end - 0x2000));
        assert_eq!(reserve.take(&window, 0x1000, 2), Err(NoReserve::Flags));
        assert_eq!(reserve.take(&window, 0, 12 << 56), Err(NoReserve::Flags));
        assert_eq!(reserve.take(&window, 1, 64 << 56), Err(NoReserve::Memory));
        assert_eq!(reserve.take(&window, u64::MAX, 0), Err(NoReserve::Memory));
        let rest = end - 0x2000 - start - PAYLOAD_BYTES;
        assert_eq!(reserve.take(&window, rest + 8, 0), Err(NoReserve::Memory));
        assert_eq!(reserve.take(&window, rest, 0), Ok(start + PAYLOAD_BYTES));
        assert_eq!(reserve.take(&window, 1, 0), Err(NoReserve::Memory));
    }
}
