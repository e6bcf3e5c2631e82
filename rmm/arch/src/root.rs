//! The Root world: granule transitions.

use machine::{El3Error, GRANULE_SIZE, GranuleAddr, Pas, RootWorld, Vcpu};

use crate::boot::Firmware;
use crate::cpu::Cpu;
use crate::smc;

/// EL3's X0 as a result: 0 or a negative code.
pub(crate) fn result(x0: u64) -> Result<(), El3Error> {
    if x0 == 0 { Ok(()) } else { Err(El3Error(x0.cast_signed())) }
}

impl<F: Firmware> RootWorld for Cpu<F> {
    // Granule by granule: EL3's interface 0.x knows no ranges.
    #[inline(always)]
    fn set_pas(&self, first: GranuleAddr, count: u64, to: Pas) -> Result<u64, El3Error> {
        let service = match to {
            Pas::Realm => smc::GTSI_DELEGATE,
            Pas::NonSecure => smc::GTSI_UNDELEGATE,
        };
        let mut done = 0;
        loop {
            let pa = first.as_u64() + done * GRANULE_SIZE;
            let [x0, ..] = smc::call(service, [pa, 0, 0]);
            match result(x0) {
                Ok(()) => done += 1,
                Err(refusal) if done == 0 => return Err(refusal),
                // The caller meets the refusal again when it goes on from here.
                Err(_) => return Ok(done),
            }
            if done >= count || self.interrupt_pending() {
                return Ok(done);
            }
        }
    }
}
