//! Granules with interface 2.0: by FIRME, if EL3 has it.

use machine::{El3Error, GranuleAddr, Pas};

use super::GranuleCalls;
use super::firme::GranuleService;
use crate::smc;

/// EL3's granule service, as cold boot has found it. Absent with interface 0.x, where nobody looks
/// for it.
static SERVICE: GranuleService = GranuleService::absent();

fn call([x0, x1, x2, x3]: [u64; 4]) -> [u64; 3] {
    smc::call(x0, [x1, x2, x3])
}

/// Looks for the service. Once, at cold boot.
pub(crate) fn discover() -> GranuleCalls {
    SERVICE.discover(call)
}

/// Whether the service is there.
#[inline(always)]
pub(crate) fn has_service() -> bool {
    SERVICE.is_there()
}

/// Moves granules; see [`GranuleService::set_pas`].
// Out of line: commands about one granule with interface 0.x do not carry it.
#[inline(never)]
pub(crate) fn set_pas(
    first: GranuleAddr,
    count: u64,
    to: Pas,
    interrupted: impl Fn() -> bool,
) -> Result<u64, El3Error> {
    SERVICE.set_pas(call, interrupted, first, count, to)
}
