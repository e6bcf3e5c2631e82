//! The Root world: granule transitions.

use machine::GranuleAddr;
use machine::{El3Error, RootWorld};

use crate::boot::Firmware;
use crate::cpu::Cpu;
use crate::smc;

/// EL3's X0 as a result: 0 or a negative code.
pub(crate) fn result(x0: u64) -> Result<(), El3Error> {
    if x0 == 0 { Ok(()) } else { Err(El3Error(x0.cast_signed())) }
}

impl<F: Firmware> RootWorld for Cpu<F> {
    #[inline(always)]
    fn delegate(&self, granule: GranuleAddr) -> Result<(), El3Error> {
        let [x0, ..] = smc::call(smc::GTSI_DELEGATE, [granule.as_u64(), 0, 0]);
        result(x0)
    }

    #[inline(always)]
    fn undelegate(&self, granule: GranuleAddr) -> Result<(), El3Error> {
        let [x0, ..] = smc::call(smc::GTSI_UNDELEGATE, [granule.as_u64(), 0, 0]);
        result(x0)
    }
}
