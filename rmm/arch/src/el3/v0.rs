//! Granules by the calls of interface 0.x, which 2.0 still has: one by one.

use machine::{El3Error, GRANULE_SIZE, GranuleAddr, Pas};

use super::result;
use crate::smc;

/// Moves granules until one is refused, an interrupt is pending, or all have been moved; how many
/// were.
///
/// # Errors
///
/// EL3's code for the first granule.
#[inline(always)]
pub(crate) fn set_pas(
    first: GranuleAddr,
    count: u64,
    to: Pas,
    interrupted: impl Fn() -> bool,
) -> Result<u64, El3Error> {
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
        if done >= count || interrupted() {
            return Ok(done);
        }
    }
}
