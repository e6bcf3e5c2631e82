//! RSI_HOST_CALL: a call of the Realm to the Host, through a structure in the Realm's memory.

use granule::machine::Memory;
use realm::exit::Exit;
use realm::rec::Pending;
use realm::{Rec, Rmm};

use crate::Outcome;
use crate::abi::{ERROR_INPUT, SUCCESS};
use crate::guest::{self, PageError};

/// Alignment of `RsiHostCall`, which is as long: it never crosses a page.
const ALIGNMENT: u64 = 0x100;

/// Index of the first word of the structure in its page, and of its registers.
fn gprs_index(ipa: u64) -> usize {
    usize::try_from((ipa & 0xfff) / 8).unwrap_or(0) + 1
}

/// `RSI_HOST_CALL`: shows the Host the structure at X1.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RSI_HOST_CALL`, `RsiHostCall`, A4.5.
pub fn call<M: Memory>(rmm: &Rmm<'_, '_, M>, rec: &mut Rec) -> Outcome {
    let ipa = rec.gpr(1);
    if !ipa.is_multiple_of(ALIGNMENT) || !rec.tree().space.is_protected(ipa) {
        return Outcome::code(ERROR_INPUT);
    }
    let first = gprs_index(ipa);
    let tree = rec.tree();
    let call = &mut rec.host_call;
    let read = guest::with_page(rmm, &tree, ipa, |page| {
        for (number, gpr) in call.iter_mut().enumerate() {
            *gpr = guest::word(page, first + number);
        }
        u16::try_from(guest::word(page, first - 1) & 0xffff).unwrap_or(0)
    });
    match read {
        Ok(imm) => {
            rec.set_pending(Pending::HostCall);
            Outcome::Exit(Exit::HostCall { imm })
        }
        Err(error) => guest::failed(rec, ipa, error),
    }
}

/// Completes RSI_HOST_CALL with the Host's registers. If the structure's page is not there, asks the Host for it instead,
/// and the call stays pending.
///
/// If the Realm has made the page EMPTY meanwhile, the answer is lost and the call succeeds.
pub fn complete<M: Memory>(rmm: &Rmm<'_, '_, M>, rec: &mut Rec, gprs: &[u64; 31]) -> Option<Exit> {
    let ipa = rec.gpr(1);
    let first = gprs_index(ipa);
    let written = guest::with_page(rmm, &rec.tree(), ipa, |page| {
        for (number, &value) in gprs.iter().enumerate() {
            guest::set_word(page, first + number, value);
        }
    });
    match written {
        Ok(()) | Err(PageError::Empty) => {
            for (number, value) in [SUCCESS, 0, 0, 0].into_iter().enumerate() {
                rec.set_gpr(number, value);
            }
            rec.set_pending(Pending::None);
            None
        }
        Err(PageError::Absent(level)) => Some(guest::absent(rec, ipa, level)),
    }
}
