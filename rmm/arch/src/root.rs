//! The Root world: granule transitions.

use machine::{El3Error, GranuleAddr, Pas, RootWorld, Vcpu};

use crate::boot::Firmware;
use crate::cpu::Cpu;
use crate::el3::{v0, v2};

impl<F: Firmware> RootWorld for Cpu<F> {
    #[inline(always)]
    fn set_pas(&self, first: GranuleAddr, count: u64, to: Pas) -> Result<u64, El3Error> {
        let interrupted = || self.interrupt_pending();
        if v2::has_service() {
            v2::set_pas(first, count, to, interrupted)
        } else {
            v0::set_pas(first, count, to, interrupted)
        }
    }
}
