//! The page through which the Host runs a REC. Virtual interrupts are not in it: the Host has them
//! in the hardware.

use machine::{GranuleAddr, HostMemory};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use crate::ops::Cause;
use crate::run_page;

/// `RmiRecEnter`, the first half of the run page, as far as it has a meaning. Where 1.0 has virtual
/// interrupts, from byte offset 0x300 on, there is nothing.
///
/// Source: RMM specification (Arm DEN0137) 2.0, `RmiRecEnter`.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Debug)]
#[repr(C)]
pub(super) struct RecEnter {
    /// `flags`. Those for planes and devices are ignored.
    pub(super) flags: u64,
    hole: [u64; 63],
    /// `gprs`, from byte offset 0x200.
    pub(super) gprs: [u64; 31],
}

impl RecEnter {
    /// Copies the Host's part of the page at `run`.
    ///
    /// # Errors
    ///
    /// `HostFault`.
    pub(super) fn read(machine: &impl HostMemory, run: GranuleAddr) -> Result<Self, Cause> {
        let mut passed = Self::new_zeroed();
        let words: &mut [u64; 95] = zerocopy::transmute_mut!(&mut passed);
        run_page::read(machine, run, words)?;
        Ok(passed)
    }
}
