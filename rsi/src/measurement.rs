//! RSI_MEASUREMENT_READ and RSI_MEASUREMENT_EXTEND.

use granule::RdState;
use machine::{Hasher, Memory, Slot};
use realm::measurement::{REM_COUNT, VALUE_BYTES};
use realm::rd::Rd;
use realm::{Rec, Rmm};

use crate::Outcome;
use crate::abi::{ERROR_INPUT, SUCCESS};

/// `RSI_MEASUREMENT_READ`: X1 to X8 are the measurement with index X1.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RSI_MEASUREMENT_READ`.
pub fn read<M: Memory>(rmm: &Rmm<'_, M>, rec: &mut Rec) -> Outcome {
    let index = rec.gpr(1);
    let value: Option<[u64; 8]> = with_rd(rmm, rec, |rd| {
        rd.measurements.get(index).map(|value| zerocopy::transmute!(*value))
    });
    let Some(value) = value else { return Outcome::code(ERROR_INPUT) };
    rec.set_gpr(0, SUCCESS);
    for (number, word) in value.into_iter().enumerate() {
        rec.set_gpr(1 + number, word);
    }
    Outcome::Done
}

/// `RSI_MEASUREMENT_EXTEND`: extends REM X1 (1 to 4) by X2 bytes from X3 to X10.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RSI_MEASUREMENT_EXTEND`.
pub fn extend<M: Memory + Hasher>(rmm: &Rmm<'_, M>, rec: &mut Rec) -> Outcome {
    let index = rec.gpr(1).checked_sub(1).and_then(|index| usize::try_from(index).ok());
    let size = usize::try_from(rec.gpr(2)).ok();
    let (Some(index @ 0..REM_COUNT), Some(size @ 0..=VALUE_BYTES)) = (index, size) else {
        return Outcome::code(ERROR_INPUT);
    };
    let value: [u64; 8] = core::array::from_fn(|word| rec.gpr(3 + word));
    let value: [u8; VALUE_BYTES] = zerocopy::transmute!(value);
    // Under the RD's lock throughout: two RECs may extend at once.
    with_rd(rmm, rec, |rd| {
        let algorithm = rd.algorithm();
        rd.measurements.extend_rem(rmm.machine, algorithm, index, &value, size);
    });
    Outcome::code(SUCCESS)
}

/// Lets `access` work on the Realm's descriptor, locked.
pub(crate) fn with_rd<M: Memory, R>(
    rmm: &Rmm<'_, M>,
    rec: &Rec,
    access: impl FnOnce(&mut Rd) -> R,
) -> R {
    let Ok(mut rd) = rmm.granules.lock::<RdState>(rec.owner()) else { unreachable!("RD of a REC") };
    let mut page = rmm.machine.page(Slot::Rd, rd.exclusive());
    access(page.view_mut())
}
