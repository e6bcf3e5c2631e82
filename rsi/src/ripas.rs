//! RSI_IPA_STATE_GET and RSI_IPA_STATE_SET.

use machine::Memory;
use realm::exit::Exit;
use realm::rec::{Pending, RipasRequest};
use realm::rtt::ripas::Wish;
use realm::rtt::scan::ripas_of;
use realm::rtt::{Level, Ripas};
use realm::{Rec, Rmm};

use crate::Outcome;
use crate::abi::{ERROR_INPUT, SUCCESS};

/// Numbers of RIPAS.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RsiRipas`.
const EMPTY: u64 = 0;
const RAM: u64 = 1;
const DESTROYED: u64 = 2;

/// Bit 0 of the flags: entries whose contents are lost may change too.
const CHANGE_DESTROYED: u64 = 1;

/// `RSI_IPA_STATE_SET`: asks the Host to change the RIPAS of [X1, X2) to X3, with flags X4.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RSI_IPA_STATE_SET`, A5.4.
pub fn set(rec: &mut Rec) -> Outcome {
    let (base, top, ripas, flags) = (rec.gpr(1), rec.gpr(2), rec.gpr(3), rec.gpr(4));
    let ripas = match ripas {
        EMPTY => Ripas::Empty,
        RAM => Ripas::Ram,
        _ => return Outcome::code(ERROR_INPUT),
    };
    if !rec.tree().space.is_protected_range(base, top) {
        return Outcome::code(ERROR_INPUT);
    }
    let wish = Wish { ripas, change_destroyed: flags & CHANGE_DESTROYED != 0 };
    rec.ripas = RipasRequest::new(base, top, wish);
    rec.set_pending(Pending::RipasChange);
    Outcome::Exit(Exit::RipasChange { base, top, ripas })
}

/// Completes RSI_IPA_STATE_SET: X1 is how far the Host got, X2 whether it refuses the rest. The
/// request is over then.
///
/// Source: RMM specification (Arm DEN0137) 1.0, A5.4, B3.40 `RipasChangeResponse`: only a change to
/// RAM can be rejected.
pub fn complete(rec: &mut Rec, reject: bool) {
    const ACCEPT: u64 = 0;
    const REJECT: u64 = 1;
    let RipasRequest { addr, top, .. } = rec.ripas;
    let rejected = reject && rec.ripas.wish().ripas == Ripas::Ram && addr != top;
    let response = if rejected { REJECT } else { ACCEPT };
    for (number, value) in [SUCCESS, addr, response, 0].into_iter().enumerate() {
        rec.set_gpr(number, value);
    }
    rec.ripas = RipasRequest::default();
    rec.set_pending(Pending::None);
}

/// `RSI_IPA_STATE_GET`: X2 is the RIPAS at X1, and X1 the end of the range, at most up to X2, that
/// has the same. Looks at one table.
///
/// Source: RMM specification (Arm DEN0137) 1.0, `RSI_IPA_STATE_GET`.
pub fn get<M: Memory>(rmm: &Rmm<'_, M>, rec: &mut Rec) -> Outcome {
    let (base, end) = (rec.gpr(1), rec.gpr(2));
    let tree = rec.tree();
    if !tree.space.is_protected_range(base, end) {
        return Outcome::code(ERROR_INPUT);
    }
    let (top, ripas) = tree.walk(rmm.machine, &rmm.granules, base, Level::PAGE, |at| {
        let Some(ripas) = ripas_of(at.entry) else { unreachable!("protected page of no RIPAS") };
        let mut top = at.level.align_down(base) + at.level.entry_size();
        for index in at.index + 1..at.level.entries() {
            if top >= end || ripas_of(at.entry_at(index)) != Some(ripas) {
                break;
            }
            top += at.level.entry_size();
        }
        (top.min(end), ripas)
    });
    let number = match ripas {
        Ripas::Empty => EMPTY,
        Ripas::Ram => RAM,
        Ripas::Destroyed => DESTROYED,
    };
    Outcome::Return([SUCCESS, top, number, 0])
}
