//! RSI_HOST_CALL: a call of the Realm to the Host, through a structure in the Realm's memory.

use core::sync::atomic::{AtomicU64, Ordering};

use machine::{Memory, PAGE_SIZE, Words};
use realm::exit::Exit;
use realm::rec::Pending;
use realm::{Rec, Rmm};

use crate::Outcome;
use crate::abi::{ERROR_INPUT, SUCCESS};
use crate::guest::{self, PageError};

/// Alignment of `RsiHostCall`, which is as long: it never crosses a page.
const ALIGNMENT: u64 = 0x100;

/// The immediate value and the registers of the structure at `ipa`, in its page.
fn structure(page: &Words, ipa: u64) -> Option<&[AtomicU64; 32]> {
    let first = usize::try_from(ipa % PAGE_SIZE / 8).ok()?;
    page.0.get(first..)?.first_chunk()
}

/// `RSI_HOST_CALL`: shows the Host the structure at X1.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RSI_HOST_CALL`, `RsiHostCall`, A4.5.
pub fn call<M: Memory>(rmm: &Rmm<'_, M>, rec: &mut Rec) -> Outcome {
    let ipa = rec.gpr(1);
    let tree = rec.tree();
    if !ipa.is_multiple_of(ALIGNMENT) || !tree.space.is_protected(ipa) {
        return Outcome::code(ERROR_INPUT);
    }
    let call = &mut rec.host_call;
    let read = guest::with_page(rmm, &tree, ipa, |page| {
        let Some([imm, gprs @ ..]) = structure(page, ipa) else { return 0 };
        for (to, from) in call.iter_mut().zip(gprs) {
            *to = from.load(Ordering::Relaxed);
        }
        u16::try_from(imm.load(Ordering::Relaxed) & 0xffff).unwrap_or(0)
    });
    match read {
        Ok(imm) => {
            rec.set_pending(Pending::HostCall);
            Outcome::Exit(Exit::HostCall { imm })
        }
        Err(error) => guest::failed(rec, ipa, error),
    }
}

/// Completes RSI_HOST_CALL with the Host's registers. If the structure's page is not there, asks
/// the Host for it instead, and the call stays pending.
///
/// If the Realm has made the page EMPTY meanwhile, the answer is lost and the call succeeds.
pub fn complete<M: Memory>(rmm: &Rmm<'_, M>, rec: &mut Rec, gprs: &[u64; 31]) -> Option<Exit> {
    let ipa = rec.gpr(1);
    let written = guest::with_page(rmm, &rec.tree(), ipa, |page| {
        if let Some([_, to @ ..]) = structure(page, ipa) {
            for (to, &from) in to.iter().zip(gprs) {
                to.store(from, Ordering::Relaxed);
            }
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
